//! The mount API, and the root.

use core::ffi::CStr;

use super::{Result, arg, common, fd, flag, number, path};
use crate::report::Call;

/// Flags of `open_tree(2)` for a detached copy.
const OPEN_TREE_CLONE_CLOEXEC: usize = 1 | 0o2_000_000;

/// `open_tree(directory, path, OPEN_TREE_CLONE | flags)`: a detached copy of the mount.
pub fn clone_tree(directory: i32, name: &CStr, flags: usize) -> Result<i32> {
    call!(Call::OpenTree, common::OPEN_TREE, arg(directory), path(name), OPEN_TREE_CLONE_CLOEXEC | flags)
        .map(fd)
}

/// `open_tree_attr(directory, path, OPEN_TREE_CLONE | flags, {set, clear})`: a detached copy with other attributes, as
/// [`clone_tree`] and [`mount_setattr`] make it, in one call; since Linux 6.15.
pub fn clone_tree_with(directory: i32, name: &CStr, flags: usize, set: u64, clear: u64) -> Result<i32> {
    let attributes = [set, clear, 0, 0];
    call!(
        Call::OpenTree,
        common::OPEN_TREE_ATTR,
        arg(directory),
        path(name),
        OPEN_TREE_CLONE_CLOEXEC | flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(fd)
}

/// `move_mount(mount, "", target, "", F_EMPTY_PATH | T_EMPTY_PATH)`
pub fn attach(mount: i32, target: i32) -> Result<()> {
    const F_EMPTY_PATH_T_EMPTY_PATH: usize = 0x04 | 0x40;
    let empty = path(c"");
    call!(
        Call::MoveMount,
        common::MOVE_MOUNT,
        arg(mount),
        empty,
        arg(target),
        empty,
        F_EMPTY_PATH_T_EMPTY_PATH
    )
    .map(drop)
}

/// `fsopen(fstype, FSOPEN_CLOEXEC)`
pub fn fsopen(fstype: &CStr) -> Result<i32> {
    call!(Call::Fsopen, common::FSOPEN, path(fstype), 1).map(fd)
}

/// `fsconfig(context, FSCONFIG_SET_STRING, key, value)`; a flag where the value is empty.
pub fn fsconfig_set(context: i32, key: &CStr, value: &CStr) -> Result<()> {
    const SET_FLAG: usize = 0;
    const SET_STRING: usize = 1;
    if value.is_empty() {
        call!(Call::Fsconfig, common::FSCONFIG, arg(context), SET_FLAG, path(key), 0, 0).map(drop)
    } else {
        call!(Call::Fsconfig, common::FSCONFIG, arg(context), SET_STRING, path(key), path(value), 0).map(drop)
    }
}

/// `fsconfig(context, FSCONFIG_CMD_CREATE)`
pub fn fsconfig_create(context: i32) -> Result<()> {
    const CMD_CREATE: usize = 6;
    call!(Call::Fsconfig, common::FSCONFIG, arg(context), CMD_CREATE, 0, 0, 0).map(drop)
}

/// `fsconfig(context, FSCONFIG_CMD_RECONFIGURE)`
pub fn fsconfig_reconfigure(context: i32) -> Result<()> {
    const CMD_RECONFIGURE: usize = 7;
    call!(Call::Fsconfig, common::FSCONFIG, arg(context), CMD_RECONFIGURE, 0, 0, 0).map(drop)
}

/// `fsmount(context, FSMOUNT_CLOEXEC, attributes)`
pub fn fsmount(context: i32, attributes: u64) -> Result<i32> {
    call!(Call::Fsmount, common::FSMOUNT, arg(context), 1, attributes as usize).map(fd)
}

/// `fspick(mount, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC)`
pub fn fspick(mount: i32) -> Result<i32> {
    const EMPTY_PATH_CLOEXEC: usize = 8 | 1;
    call!(Call::Fspick, common::FSPICK, arg(mount), path(c""), EMPTY_PATH_CLOEXEC).map(fd)
}

/// `mount_setattr(directory, path, flags, {set, clear, propagation})`
pub fn mount_setattr(
    directory: i32,
    name: &CStr,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<()> {
    let attributes = [set, clear, propagation, 0];
    let flags = flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 };
    call!(
        Call::MountSetattr,
        common::MOUNT_SETATTR,
        arg(directory),
        path(name),
        flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(drop)
}

/// `mount_setattr(mount, "", AT_EMPTY_PATH[ | AT_RECURSIVE], MOUNT_ATTR_IDMAP, userns_fd)`
pub fn map_ids(mount: i32, recursive: bool, user_namespace: i32) -> Result<()> {
    let attributes = [flag::MOUNT_ATTR_IDMAP, 0, 0, user_namespace as u64];
    let flags = flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 };
    call!(
        Call::MountSetattr,
        common::MOUNT_SETATTR,
        arg(mount),
        path(c""),
        flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(drop)
}

/// `mount(source, target, NULL, flags, NULL)`
pub fn mount_flags(source: &CStr, target: &CStr, flags: u64) -> Result<()> {
    call!(Call::Mount, number::MOUNT, path(source), path(target), 0, flags as usize, 0).map(drop)
}

/// `umount2(path, MNT_DETACH)`
pub fn unmount(target: &CStr) -> Result<()> {
    call!(Call::Umount, number::UMOUNT2, path(target), flag::MNT_DETACH).map(drop)
}

/// `pivot_root(".", ".")`
pub fn pivot_root() -> Result<()> {
    call!(Call::PivotRoot, number::PIVOT_ROOT, path(c"."), path(c".")).map(drop)
}

/// `chroot(path)`
pub fn chroot(directory: &CStr) -> Result<()> {
    call!(Call::Chroot, number::CHROOT, path(directory)).map(drop)
}

//! The root file system: opened, switched to, sealed.
//!
//! Runs in init.

use core::ffi::CStr;

use crate::mount::attribute;
use crate::state::Init;
use crate::sys::{self, Failure, flag};
use crate::wire::StrsRef;

impl Init {
    /// Binds the root file system onto itself, with what is mounted below: `pivot_root(2)` wants a mount, and what is
    /// mounted in it from here on must not reach the host's tree.
    pub fn open_root(&mut self, path: &CStr, opened: bool, shared: bool) -> sys::Result<()> {
        if shared {
            make_mount_below_private(path)?;
        }
        let directory = flag::O_PATH | flag::O_DIRECTORY;
        // What the runtime's identity may not reach belongs to the user namespace's own root, who is at work now.
        let held = opened && self.held(0) >= 0;
        let tree =
            if held { self.held(0) } else { sys::clone_tree(flag::AT_FDCWD, path, flag::AT_RECURSIVE)? };
        let target = if held { self.held(1) } else { sys::openat2(flag::AT_FDCWD, path, directory, 0, 0)? };
        sys::attach(tree, target)?;
        self.root = tree;
        Ok(())
    }

    /// Opens the root file system as a directory.
    pub fn open_root_directory(&mut self, path: &CStr) -> sys::Result<()> {
        self.root = sys::openat2(flag::AT_FDCWD, path, flag::O_PATH | flag::O_DIRECTORY, 0, 0)?;
        Ok(())
    }

    /// The root becomes `/`; the old one, stacked on it by the kernel, is detached.
    pub fn pivot_root(&self, shared: bool) -> sys::Result<()> {
        let old =
            if shared { sys::openat(flag::AT_FDCWD, c"/", flag::O_PATH | flag::O_DIRECTORY, 0)? } else { -1 };
        sys::fchdir(self.root)?;
        sys::pivot_root()?;
        if shared {
            // Without this the host's mounts would go with the old root.
            sys::mount_setattr(old, c"", true, 0, 0, MS_SLAVE)?;
        }
        sys::unmount(c".")?;
        sys::chdir(c"/")
    }

    /// The root's mount moves onto `/`, for a host root that can't be pivoted away, and stays below.
    ///
    /// Where a whole proc or sysfs is mounted, though nobody can reach it, the kernel lets a user namespace mount another,
    /// in which nothing is masked (`mount_too_revealing()`). So the host's go; those that a user namespace has locked
    /// are covered.
    pub fn move_root(&self, kernel_views: StrsRef<'_>) -> sys::Result<()> {
        for path in kernel_views {
            match sys::unmount(path) {
                Err(Failure { errno: flag::EINVAL | flag::EPERM, .. }) => {
                    let place = sys::openat(flag::AT_FDCWD, path, flag::O_PATH | flag::O_NOFOLLOW, 0)?;
                    sys::attach(self.empty_directory(None)?, place)?;
                }
                // It went with another that it was mounted in.
                Err(Failure { errno: flag::ENOENT, .. }) => {}
                result => result?,
            }
        }
        sys::fchdir(self.root)?;
        sys::mount_flags(c".", c"/", flag::MS_MOVE)?;
        sys::chroot(c".")?;
        sys::chdir(c"/")
    }

    /// `/` becomes the root's directory, for this process alone.
    pub fn change_root(&self) -> sys::Result<()> {
        sys::fchdir(self.root)?;
        sys::chroot(c".")?;
        sys::chdir(c"/")
    }

    /// The root's mount becomes read-only.
    pub fn readonly_root(&self) -> sys::Result<()> {
        sys::mount_setattr(self.root, c"", false, attribute::RDONLY, 0, 0)
    }

    /// Propagation of the root's mount, after the switch: before, it would reach the host's.
    pub fn set_root_propagation(&self, propagation: u64) -> sys::Result<()> {
        let recursive = propagation & flag::MS_REC != 0;
        sys::mount_setattr(self.root, c"", recursive, 0, 0, propagation & !flag::MS_REC)
    }
}

const MS_PRIVATE: u64 = 1 << 18;
const MS_SLAVE: u64 = 1 << 19;

/// The mount that a directory of the host is in becomes private, so that what is mounted onto it stays here. Its root is
/// found by going up: propagation can be set on roots of mounts alone.
fn make_mount_below_private(path: &CStr) -> sys::Result<()> {
    sys::chdir(path)?;
    loop {
        match sys::mount_setattr(flag::AT_FDCWD, c".", false, 0, 0, MS_PRIVATE) {
            Err(Failure { errno: flag::EINVAL, .. }) => sys::chdir(c"..")?,
            result => return result,
        }
    }
}

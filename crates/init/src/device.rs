//! `devices` and the links that every container has, in a directory that is open.
//!
//! Runs in init. What exists already must be what is asked for: a file of the image is never taken for a device.

use core::ffi::CStr;

use crate::descriptor::descriptor_name;
use crate::report::Call;
use crate::resolve::{self, Make};
use crate::state::Init;
use crate::sys::{self, Failure, flag};

/// A device node.
pub struct Node<'a> {
    pub name: &'a CStr,
    pub mode: u32,
    pub major: u32,
    pub minor: u32,
}

impl Init {
    /// Opens the directory in which the next nodes are made.
    pub fn enter_directory(&mut self, path: &CStr) -> sys::Result<()> {
        let directory = resolve::open_or_make(self.root, path, Make::Directory)?;
        let previous = core::mem::replace(&mut self.directory, directory);
        self.discard(previous);
        Ok(())
    }

    /// Makes a node; its owner is set where it is not root. One that is there already stays as it is: it may be the host's,
    /// through a bind mount.
    pub fn make_node(&self, node: &Node<'_>, uid: u32, gid: u32) -> sys::Result<()> {
        match sys::mknodat(self.directory, node.name, node.mode, node.major, node.minor) {
            Err(Failure { errno: flag::EEXIST, .. }) => return self.check_existing(node),
            result => result?,
        }
        if uid | gid != 0 {
            sys::fchownat(self.directory, node.name, uid, gid)?;
        }
        Ok(())
    }

    /// What is there already must be that device.
    fn check_existing(&self, node: &Node<'_>) -> sys::Result<()> {
        let status = sys::stat(self.directory, node.name)?;
        let same = status.kind() == node.mode & flag::S_IFMT
            && (status.kind() == flag::S_IFIFO
                || (status.rdev_major, status.rdev_minor) == (node.major, node.minor));
        if same { Ok(()) } else { sys::refuse(Call::CheckType, flag::EEXIST) }
    }

    /// Binds a device of the host, where nodes can't be made (in a user namespace).
    pub fn bind_node(&mut self, node: &Node<'_>, source: &CStr) -> sys::Result<()> {
        let tree = crate::mount::clone_host_path(source, false)?;
        let status = sys::stat(tree, c"")?;
        if status.kind() != node.mode & flag::S_IFMT
            || (status.rdev_major, status.rdev_minor) != (node.major, node.minor)
        {
            return sys::refuse(Call::CheckType, flag::EINVAL);
        }
        let flags = flag::O_RDONLY | flag::O_CREAT | flag::O_EXCL | flag::O_NOFOLLOW;
        match sys::openat(self.directory, node.name, flags, 0o644) {
            Ok(file) => sys::close(file),
            Err(Failure { errno: flag::EEXIST, .. }) => {}
            Err(failure) => return Err(failure),
        }
        let target = sys::openat(self.directory, node.name, flag::O_PATH | flag::O_NOFOLLOW, 0)?;
        if sys::stat(target, c"")?.kind() == flag::S_IFLNK {
            return sys::refuse(Call::CheckType, flag::ELOOP);
        }
        sys::attach(tree, target)?;
        self.discard(target);
        self.discard(tree);
        Ok(())
    }

    /// Makes a link; one that exists stays (the image's own `/dev`).
    pub fn make_link(&self, name: &CStr, target: &CStr) -> sys::Result<()> {
        match sys::symlinkat(target, self.directory, name) {
            Err(Failure { errno: flag::EEXIST, .. }) => Ok(()),
            result => result,
        }
    }

    /// Makes a link at a path.
    pub fn make_link_at(&mut self, path: &CStr, target: &CStr) -> sys::Result<()> {
        let (parent, name) = resolve::open_parent(self.root, path)?;
        match sys::symlinkat(target, parent, name) {
            Err(Failure { errno: flag::EEXIST, .. }) => {}
            result => result?,
        }
        self.discard(parent);
        Ok(())
    }

    /// Replaces streams by the null device of the root, if it has one. The container is at work behind the root's `/dev`
    /// already: what is there need not be a device, and may be another file at any moment. So it is looked at without
    /// being opened, and what was looked at is what is opened, through a procfs of our own.
    #[inline(never)]
    pub fn reopen_null(&mut self, streams: u32) -> sys::Result<()> {
        let flags = flag::O_PATH | flag::O_NOFOLLOW;
        let found = match sys::openat2(flag::AT_FDCWD, c"/dev/null", flags, 0, 0) {
            Ok(found) => found,
            Err(Failure { errno: flag::ENOENT, .. }) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let status = sys::stat(found, c"")?;
        if status.kind() == flag::S_IFCHR && (status.rdev_major, status.rdev_minor) == (1, 3) {
            let procfs = self.private_procfs()?;
            let name = descriptor_name(found)?;
            let null = sys::openat2(procfs, name.as_c_str(), flag::O_RDWR | flag::O_NOCTTY, 0, 0)?;
            for stream in (0..3).filter(|stream| streams & (1 << stream) != 0) {
                sys::duplicate(null, stream)?;
            }
            self.discard(null);
        }
        self.discard(found);
        Ok(())
    }
}

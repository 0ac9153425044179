//! `maskedPaths` and `readonlyPaths`.
//!
//! Runs in init, before the root is switched: the null device is the host's, never one of the image. Each path is
//! resolved once; from then on the descriptor counts.

use core::ffi::CStr;

use crate::mount::{BindAttributes, attribute, set_options};
use crate::report::Call;
use crate::resolve;
use crate::state::Init;
use crate::sys::{self, flag};
use crate::wire::StrsRef;

impl Init {
    /// Covers a path, where it exists. The options are the same for all paths.
    pub fn mask(&mut self, path: &CStr, options: StrsRef<'_>) -> sys::Result<()> {
        let Some(target) = resolve::open_existing(self.root, path)? else { return Ok(()) };
        let directory = sys::stat(target, c"")?.kind() == flag::S_IFDIR;
        let cover = if directory { self.empty_directory(Some(options))? } else { self.null_device()? };
        sys::attach(cover, target)?;
        self.discard(target);
        // What is attached can be cloned: one file system serves all masks.
        let kept = if directory { &mut self.empty } else { &mut self.null };
        let previous = core::mem::replace(kept, cover);
        self.discard(previous);
        Ok(())
    }

    /// A mount of an empty directory.
    pub fn empty_directory(&self, options: Option<StrsRef<'_>>) -> sys::Result<i32> {
        if self.empty >= 0 {
            return sys::clone_tree(self.empty, c"", flag::AT_EMPTY_PATH);
        }
        let context = sys::fsopen(c"tmpfs")?;
        sys::fsconfig_set(context, c"nr_inodes", c"1")?;
        if let Some(options) = options {
            set_options(context, options)?;
        }
        sys::fsconfig_create(context)?;
        let attributes = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
        let mount = sys::fsmount(context, attributes)?;
        self.discard(context);
        Ok(mount)
    }

    fn null_device(&self) -> sys::Result<i32> {
        if self.null >= 0 {
            return sys::clone_tree(self.null, c"", flag::AT_EMPTY_PATH);
        }
        let null = crate::mount::clone_host_path(c"/dev/null", false)?;
        let status = sys::stat(null, c"")?;
        if status.kind() != flag::S_IFCHR || (status.rdev_major, status.rdev_minor) != (1, 3) {
            return sys::refuse(Call::CheckType, flag::EINVAL);
        }
        Ok(null)
    }

    /// Binds a path onto itself, read-only, where it exists.
    pub fn readonly(&mut self, path: &CStr) -> sys::Result<()> {
        let Some(target) = resolve::open_existing(self.root, path)? else { return Ok(()) };
        let flags = flag::AT_EMPTY_PATH | flag::AT_RECURSIVE;
        let read_only = BindAttributes { set: attribute::RDONLY, clear: 0, implied_clear: 0 };
        let tree = read_only.clone_tree(target, c"", flags)?;
        sys::attach(tree, target)?;
        self.discard(target);
        self.discard(tree);
        Ok(())
    }
}

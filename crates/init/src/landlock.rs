//! Landlock: what of the file system this process, and all that it becomes and makes, may use.
//!
//! Runs in init. The ruleset is made while every path can be opened, and applied last of all before the program, when
//! nothing has to be opened any more but that.

use core::ffi::CStr;

use crate::state::Init;
use crate::sys::{self, flag};

/// Rights that a file has: execute, write, read, truncate, ioctl. The kernel refuses others for what is no directory.
const FILE_RIGHTS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;

impl Init {
    /// A ruleset that denies these, as far as no rule allows them.
    pub fn new_ruleset(&mut self, handled: u64) -> sys::Result<()> {
        self.ruleset = sys::landlock_create_ruleset(handled)?;
        Ok(())
    }

    /// Allows these at and below a path. After the root was switched: it is resolved in the container.
    pub fn allow_path(&mut self, path: &CStr, access: u64) -> sys::Result<()> {
        let opened = sys::openat2(flag::AT_FDCWD, path, flag::O_PATH, 0, flag::RESOLVE_NO_MAGICLINKS)?;
        let is_directory = sys::stat(opened, c"")?.kind() == flag::S_IFDIR;
        let access = if is_directory { access } else { access & FILE_RIGHTS };
        sys::landlock_add_path(self.ruleset, opened, access)?;
        sys::close(opened);
        Ok(())
    }

    /// Needs no new privileges, or CAP_SYS_ADMIN.
    pub fn restrict_paths(&mut self) -> sys::Result<()> {
        sys::landlock_restrict_self(self.ruleset)?;
        sys::close(self.ruleset);
        Ok(())
    }
}

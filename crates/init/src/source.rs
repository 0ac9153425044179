//! Sources of bind mounts, cloned before the identity changes.
//!
//! Runs in init, in a mount namespace that a user namespace owns: flags of the host's mounts are locked in it
//! (mount_namespaces(7)), and in a clone of it.

use core::ffi::CStr;

use crate::mount::clone_host_path;
use crate::report::Kind;
use crate::state::Init;
use crate::sys::{self, Failure, flag};

impl Init {
    /// Clones a host path into a slot that has none yet; slot 1 gets the path itself, as the place to attach slot 0 to.
    pub fn open_source(
        &mut self,
        slot: u32,
        source: &CStr,
        recursive: bool,
        host_rights: bool,
    ) -> sys::Result<()> {
        if self.held(slot) >= 0 {
            return Ok(());
        }
        let (tree, mut place) = match clone_host_path(source, recursive) {
            Ok(tree) => (tree, -1),
            Err(Failure { errno: flag::EACCES, .. }) => {
                let place = if host_rights { self.seek()? } else { -1 };
                if place < 0 {
                    // What belongs to the namespace's own root is for that one to open, later.
                    return Ok(());
                }
                let flags = flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 };
                (sys::clone_tree(place, c"", flags)?, place)
            }
            Err(failure) => return Err(failure),
        };
        self.hold(slot, tree)?;
        if slot == 0 {
            if place < 0 {
                place = sys::openat2(flag::AT_FDCWD, source, flag::O_PATH, 0, 0)?;
            }
            return self.hold(1, place);
        }
        self.discard(place);
        Ok(())
    }

    /// Has the runtime look up this step's source. The host's rights are gone with the user namespace, the runtime has them;
    /// but the path must be one of this mount namespace, whose mounts alone can be cloned here, and are locked. So the
    /// runtime gets the namespace's root. −1: it can't reach the source either.
    fn seek(&self) -> sys::Result<i32> {
        let root = sys::openat(flag::AT_FDCWD, c"/", flag::O_PATH | flag::O_DIRECTORY, 0)?;
        self.report_descriptor(Kind::Seeking, 0, root)?;
        self.discard(root);
        let Some(place) = sys::recv_descriptor(self.channel)? else { sys::exit(1) };
        Ok(place)
    }
}

//! The seccomp filter, and the hand-over of its listener.
//!
//! Runs in init, as its last act before it becomes the program. Whatever the filter says of a call, init needs none of
//! it any more: a listener is fetched from outside (`pidfd_getfd(2)`), and init waits for that in a page fault, which is
//! no system call. What tells the runtime that the filter is in place is that fault.

use crate::report::{HANDED_OVER, Kind};
use crate::state::Init;
use crate::sys;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`
const NEW_LISTENER: u32 = 1 << 3;

impl Init {
    /// Installs the filter; where it has a listener, goes on when that was handed over, and ends where it never will be.
    pub fn install_filter(&self, flags: u32, program: &[u8]) -> sys::Result<()> {
        if flags & NEW_LISTENER == 0 {
            return sys::install_filter(flags, program).map(drop);
        }
        let (watcher, page) = sys::watch_page()?;
        // The kernel gives the lowest free number: the listener's will be the one that is closed here.
        self.report_descriptor(Kind::Filtering, watcher as u32, watcher)?;
        sys::close(watcher);
        sys::install_filter(flags, program)?;
        // No system call from here on.
        if page.read() == HANDED_OVER { Ok(()) } else { sys::exit(1) }
    }
}

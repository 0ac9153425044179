//! The program's start, its memory and its signals. The only place of this crate where code is unsafe.

#![allow(unsafe_code)]

#[cfg(not(test))]
mod entry;
mod memory;

use std::mem::MaybeUninit;
use std::ptr;

use nix::libc::{SIG_IGN, sigaction, sigset_t};
use nix::sys::signal::{SigSet, Signal};

#[cfg(not(test))]
pub(crate) use memory::Memory;

/// Every signal there is: C libraries leave out those that they use for themselves, musl's one (34) that is the program's
/// to other libraries, and the kernel passes over what can't be blocked.
pub(crate) fn all_signals() -> SigSet {
    let mut set = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: a set is bits, of which all may be set.
    unsafe { set.as_mut_ptr().write_bytes(0xff, 1) };
    // SAFETY: every byte was written.
    let set = unsafe { set.assume_init() };
    // SAFETY: as above.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Whether a signal is ignored (`sigaction(2)`).
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<sigaction>::zeroed();
    // SAFETY: nothing is changed without a new action, and what counts is written where there is room for it.
    let asked = unsafe { sigaction(signal as i32, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all of it was written, by zeros or by the call.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == SIG_IGN
}

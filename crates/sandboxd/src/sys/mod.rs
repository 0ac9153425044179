//! The program's start, its memory and its signals. The only place of this crate where code is unsafe.

#![allow(unsafe_code)]

#[cfg(not(test))]
mod entry;
mod memory;

use std::mem::MaybeUninit;

use nix::libc::sigset_t;
use nix::sys::signal::SigSet;

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

//! The counters of code that the compiler has instrumented (LLVM's SanitizerCoverage, inline 8-bit counters).
//!
//! Runs in the fuzzing process alone. Without instrumentation nothing calls in here, and there are no counters.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Called by the constructors of instrumented objects, each with the bounds of the section that the linker has merged.
// SAFETY: the name is the one that instrumented code calls; nothing else defines it.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    START.store(start, Ordering::Relaxed);
    LENGTH.store((stop as usize).saturating_sub(start as usize), Ordering::Relaxed);
}

/// How often each piece of instrumented code ran since the last time, modulo 256: given to `see`, then set to zero.
pub(crate) fn take_counters(see: impl FnOnce(&[u8])) {
    let (start, length) = (START.load(Ordering::Relaxed), LENGTH.load(Ordering::Relaxed));
    if start.is_null() || length == 0 {
        return see(&[]);
    }
    // SAFETY: the section is mapped for the life of the process; `see` gets a copy's worth of time while no
    // instrumented code of another thread runs that is looked at (the runner has one thread).
    let counters = unsafe { std::slice::from_raw_parts(start, length) };
    see(counters);
    // SAFETY: as above; the section is writable, its counters are bytes.
    unsafe { std::ptr::write_bytes(start, 0, length) };
}

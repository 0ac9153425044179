//! Descriptors: lists of them, their names, when they are closed.
//!
//! Runs in init.

use crate::buffer::PathBuffer;
use crate::sys;
use crate::wire::{Field, Reader};

/// Descriptors from here on are closed as soon as they are done with; those below, by execve.
const CLOSED_AT_ONCE: i32 = 48;

/// Closes what is not needed any more, unless execve will: a call less for each of the first descriptors.
pub fn discard(descriptor: i32) {
    if descriptor >= CLOSED_AT_ONCE {
        sys::close(descriptor);
    }
}

/// Takes every number below the end that is free. A new descriptor has the lowest.
pub fn take_descriptors(end: i32) -> sys::Result<()> {
    loop {
        let taken = sys::eventfd()?;
        if taken >= end {
            sys::close(taken);
            return Ok(());
        }
    }
}

/// The descriptors of a list in an encoded plan.
pub fn descriptors(list: &[u8]) -> impl Iterator<Item = i32> {
    let mut reader = Reader::new(list);
    core::iter::from_fn(move || i32::decode(&mut reader))
}

/// A descriptor of this process's, as a path below a procfs.
pub fn descriptor_name(descriptor: i32) -> sys::Result<PathBuffer> {
    let mut name = PathBuffer::new();
    name.push(b"self/fd/")?;
    let mut divisor = 1_000_000_000;
    while divisor > 1 && descriptor / divisor == 0 {
        divisor /= 10;
    }
    while divisor > 0 {
        name.push(&[b'0' + (descriptor / divisor % 10) as u8])?;
        divisor /= 10;
    }
    Ok(name)
}

//! What an open file holds, in one read where it has a length. Runs in the runtime.

use std::fs::File;
use std::io::{self, Read as _};

/// Reads a file of `length` bytes, at most `most`. What it grows by meanwhile is not waited for; one that has no length, as
/// a pipe and the kernel's files, is read to its end.
///
/// # Errors
/// Those of read(2).
pub(crate) fn read(file: File, length: u64, most: u64) -> io::Result<Vec<u8>> {
    let most = if length == 0 { most } else { most.min(length) };
    let mut bytes = Vec::with_capacity(length.min(most) as usize);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

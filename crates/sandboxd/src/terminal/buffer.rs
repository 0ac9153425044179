//! Bytes on the way from one descriptor to another.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Bytes on the way. At most as many as a pipe takes without blocking once it is said to be writable.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8; Self::CAPACITY]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// `PIPE_BUF`
    const CAPACITY: usize = 4096;

    pub(super) fn new() -> Self {
        Self { bytes: Box::new([0; Self::CAPACITY]), start: 0, end: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.clear();
        self.end = bytes.len();
        self.bytes[..self.end].copy_from_slice(bytes);
    }

    /// The last byte that was read.
    pub(super) fn last(&self) -> u8 {
        self.bytes[self.end.saturating_sub(1)]
    }

    /// Reads into the empty buffer.
    pub(super) fn fill(&mut self, from: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.clear();
        self.end = rustix::io::read(from, &mut self.bytes[..])?;
        Ok(self.end)
    }

    pub(super) fn flush(&mut self, to: BorrowedFd<'_>) -> Result<(), Errno> {
        self.start += rustix::io::write(to, &self.bytes[self.start..self.end])?;
        Ok(())
    }
}

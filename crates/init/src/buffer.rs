//! A text of bounded length, on the stack: a path of at most `PATH_MAX` bytes as a rule.
//!
//! Runs in init.

use core::ffi::CStr;

use crate::report::Call;
use crate::sys::{self, flag};

/// Longest path, with its NUL.
const PATH_MAX: usize = 4096;

/// A path under construction.
pub type PathBuffer = Buffer<PATH_MAX>;

/// A text under construction, of at most `SIZE` bytes with its NUL.
#[derive(Clone)]
pub struct Buffer<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: usize,
}

impl<const SIZE: usize> Buffer<SIZE> {
    /// The empty text.
    pub const fn new() -> Self {
        Self { bytes: [0; SIZE], length: 0 }
    }

    /// What is there, without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// What is there, as the kernel takes it.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes[..=self.length]).unwrap_or(c"")
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) -> sys::Result<()> {
        let end = self.length + bytes.len();
        if end >= SIZE {
            return sys::refuse(Call::CheckRoot, flag::ENAMETOOLONG);
        }
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.bytes[end] = 0;
        self.length = end;
        Ok(())
    }

    /// Appends a slash and a component.
    pub fn push_component(&mut self, component: &[u8]) -> sys::Result<()> {
        self.push(b"/")?;
        self.push(component)
    }

    /// Removes the last component and its slash; nothing at the root.
    pub fn pop_component(&mut self) {
        let end = self.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.truncate(end);
    }

    /// Cuts to this length.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.bytes[length] = 0;
        }
    }

    /// Replaces the whole.
    pub fn set(&mut self, bytes: &[u8]) -> sys::Result<()> {
        self.truncate(0);
        self.push(bytes)
    }
}

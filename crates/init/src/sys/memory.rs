//! Memory: what is mapped, and what is given back.

use super::{Result, arch, arg, number};
use crate::report::Call;

/// `mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, offset)`: the plan.
///
/// # Safety
/// Nothing may change the file while the bytes are in use: it must be sealed.
pub unsafe fn map_file(fd: i32, offset: usize, length: usize) -> Result<&'static [u8]> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let address = call!(Call::Mmap, number::MMAP, 0, length, PROT_READ, MAP_PRIVATE, arg(fd), offset)?;
    // SAFETY: the kernel mapped `length` readable bytes there, and they are never unmapped; the caller's condition.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
}

/// `mmap(NULL, words, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)`: zeroed memory that is never freed.
pub fn map_words(words: usize) -> Result<&'static mut [usize]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let length = words * size_of::<usize>();
    let address =
        call!(Call::Mmap, number::MMAP, 0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0)?;
    // SAFETY: the kernel mapped zeroed pages there for us alone; the alignment is a page's.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut usize, words) })
}

/// `madvise(below the stack pointer, MADV_DONTNEED)`: gives back what calls that have returned used of the stack.
pub fn release_stack() {
    const MADV_DONTNEED: usize = 4;
    const PAGE: usize = 4096;
    /// Deeper than any call goes.
    const MOST: usize = 1 << 20;
    // What a leaf function may use below the pointer (System V ABI).
    const RED_ZONE: usize = 128;
    let end = (arch::stack_pointer() - RED_ZONE) & !(PAGE - 1);
    // Nothing of this program's lies there; where nothing is mapped either, or the pages are larger, nothing is done.
    let _ = call!(Call::Mmap, number::MADVISE, end - MOST, MOST, MADV_DONTNEED);
}

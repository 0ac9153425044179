//! What a freestanding program owes the compiler: an entry point, the memory functions, a panic handler.
//!
//! Runs in init.

#![allow(unsafe_code)]

use core::arch::global_asm;
use core::ffi::{CStr, c_char};

use crate::sys;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    entry = sym entry,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {entry}",
    entry = sym entry,
);

/// The program's arguments, from the stack that execve made.
struct Arguments(*const *const c_char);

impl Iterator for Arguments {
    type Item = &'static CStr;
    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: the pointer is at or before the null that ends argv: it moves only past what is not null.
        let text = unsafe { *self.0 };
        if text.is_null() {
            return None;
        }
        // SAFETY: as above, the next entry exists.
        self.0 = unsafe { self.0.add(1) };
        // SAFETY: execve puts NUL-terminated strings there, which nobody changes.
        Some(unsafe { CStr::from_ptr(text) })
    }
}

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: at entry the stack pointer is at argc, argv follows (System V ABI).
    let arguments = unsafe { stack.add(1) };
    crate::main(Arguments(arguments.cast()))
}

/// The plan in the sealed file, right behind the program. The mapping begins at the border of a page.
pub fn map_plan(file: i32, offset: usize, length: usize) -> sys::Result<&'static [u8]> {
    /// The largest that a kernel is built for.
    const PAGE: usize = 1 << 16;
    let before = offset % PAGE;
    // SAFETY: the runtime sealed the file against writing and resizing before it executed this program.
    let mapped = unsafe { sys::map_file(file, offset - before, before + length) }?;
    Ok(mapped.get(before..).unwrap_or_default())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(124)
}

/// Asked for by the precompiled `core`; never called, since panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(target_arch = "x86_64")]
/// `memcpy(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's condition: both regions are valid and don't overlap.
    unsafe {
        core::arch::asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _,
            options(nostack, preserves_flags));
    }
    to
}

#[cfg(target_arch = "x86_64")]
/// `memset(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's condition: the region is valid.
    unsafe {
        core::arch::asm!("rep stosb", inout("rdi") to => _, in("al") byte as u8, inout("rcx") count => _,
            options(nostack, preserves_flags));
    }
    to
}

#[cfg(not(target_arch = "x86_64"))]
/// `memcpy(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's condition; volatile, so that the loop isn't turned into a call of memcpy.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
    }
    to
}

#[cfg(not(target_arch = "x86_64"))]
/// `memset(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's condition; volatile, so that the loop isn't turned into a call of memset.
        unsafe { to.add(index).write_volatile(byte as u8) };
    }
    to
}

/// `memmove(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: copying upwards never reads what was written: `to` is outside `from..from + count`.
        return unsafe { memcpy(to, from, count) };
    }
    for index in (0..count).rev() {
        // SAFETY: the caller's condition; downwards, so that overlapping bytes are read before they are written.
        unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
    }
    to
}

/// `memcmp(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for index in 0..count {
        // SAFETY: the caller's condition: both regions are valid.
        let (left, right) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// `bcmp(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's condition.
    unsafe { memcmp(left, right, count) }
}

/// `strlen(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller's condition: a NUL ends the text.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

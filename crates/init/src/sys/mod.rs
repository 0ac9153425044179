//! System calls, one function a call: safe where the arguments can't go wrong, without an allocator, without libc.
//!
//! Runs in init, and between clone and execve in the runtime. Each function's first line of documentation is the
//! call. A failure names the call and the errno.

#![allow(unsafe_code)]

use core::ffi::CStr;

use crate::report::Call;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
pub mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub mod arch;

pub use arch::{number, syscall6};

pub mod flag;

/// Numbers that all architectures share.
#[allow(missing_docs)]
pub mod common {
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const OPEN_TREE: usize = 428;
    pub const MOVE_MOUNT: usize = 429;
    pub const FSOPEN: usize = 430;
    pub const FSCONFIG: usize = 431;
    pub const FSMOUNT: usize = 432;
    pub const FSPICK: usize = 433;
    pub const CLONE3: usize = 435;
    pub const CLOSE_RANGE: usize = 436;
    pub const OPENAT2: usize = 437;
    pub const MOUNT_SETATTR: usize = 442;
    pub const LANDLOCK_CREATE_RULESET: usize = 444;
    pub const LANDLOCK_ADD_RULE: usize = 445;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
    pub const OPEN_TREE_ATTR: usize = 467;
}

/// A call that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub call: Call,
    /// Why.
    pub errno: u32,
}

/// What a call gives.
pub type Result<T> = core::result::Result<T, Failure>;

/// A check of our own that failed, as if a call had.
pub const fn refuse<T>(call: Call, errno: u32) -> Result<T> {
    Err(Failure { call, errno })
}

fn check(call: Call, result: isize) -> Result<usize> {
    if (-4095..0).contains(&result) {
        Err(Failure { call, errno: -result as u32 })
    } else {
        Ok(result as usize)
    }
}

macro_rules! call {
    ($call:expr, $number:expr $(, $argument:expr)*) => {{
        let mut arguments = [0_usize; 6];
        let given = [$($argument),*];
        arguments[..given.len()].copy_from_slice(&given);
        // SAFETY: each function below passes what its call asks for: numbers, and pointers made from references that
        // outlive the call, with the lengths of what they refer to.
        $crate::sys::check($call, unsafe { $crate::sys::syscall6($number, arguments) })
    }};
}

fn fd(number: usize) -> i32 {
    number as i32
}

const fn arg(fd: i32) -> usize {
    fd as isize as usize
}

fn path(text: &CStr) -> usize {
    text.as_ptr() as usize
}

mod credentials;
mod file;
mod landlock;
mod memory;
mod mount;
mod process;
mod seccomp;
mod socket;

pub use credentials::*;
pub use file::*;
pub use landlock::*;
pub use memory::*;
pub use mount::*;
pub use process::*;
pub use seccomp::*;
pub use socket::*;

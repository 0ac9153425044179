//! The few calls that have no safe form.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::ptrace;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// Makes the command a tracee of the calling thread: it stops with SIGTRAP at its `execve`.
pub fn trace_me(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec and makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) }
}

/// Reads word `offset` of the tracee's user area (`struct user`).
///
/// # Errors
/// That of ptrace(2).
pub fn read_user_word(pid: nix::unistd::Pid, offset: usize) -> nix::Result<i64> {
    ptrace::read_user(pid, offset as ptrace::AddressType)
}

/// The user namespace that owns a namespace: `NS_GET_USERNS`, ioctl_ns(2).
///
/// # Errors
/// That of ioctl(2).
pub fn owning_user_namespace(namespace: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    /// The request returns a descriptor as its result.
    struct GetUserNamespace;
    // SAFETY: NS_GET_USERNS takes no argument and returns a new descriptor, which is taken over once.
    unsafe impl Ioctl for GetUserNamespace {
        type Output = OwnedFd;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            opcode::none(0xb7, 1)
        }
        fn as_ptr(&mut self) -> *mut c_void {
            std::ptr::null_mut()
        }
        unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
            // SAFETY: the call has succeeded, so `out` is a descriptor that nobody else owns.
            Ok(unsafe { OwnedFd::from_raw_fd(out) })
        }
    }
    // SAFETY: the implementation above is that of the request.
    unsafe { ioctl(namespace, GetUserNamespace) }
}

//! The few calls that have no safe form.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::ptrace;

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

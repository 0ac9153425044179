//! Killing the runtime at a system call of choice: ptrace(2) on the runtime's process alone.
//!
//! What it clones is not traced and lives on, as it would after a crash or the kernel's OOM killer. Every call is
//! reached in turn, so no race decides what is tested.

use std::process::Command;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command::Call;
use crate::sys::{read_user_word, register, trace_me};

/// How a traced call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status, after this many system calls.
    Exited(i32, usize),
    /// It was killed when it was about to make this system call (its number).
    Killed(i64),
}

/// Makes the call and kills it before its `at`th system call (the first is 0), if it comes to that.
///
/// # Panics
/// When it cannot be traced.
#[must_use]
pub fn kill_before(call: Call, at: usize) -> End {
    let mut command = call.into_command();
    let pid = spawn_traced(&mut command);
    let mut seen = 0;
    let mut inside = false;
    loop {
        ptrace::syscall(pid, None).expect("PTRACE_SYSCALL");
        match wait(pid) {
            WaitStatus::PtraceSyscall(_) => {
                inside = !inside;
                if !inside {
                    continue;
                }
                if seen == at {
                    let number = system_call(pid);
                    ptrace::kill(pid).expect("PTRACE_KILL");
                    while !matches!(wait(pid), WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {
                        let _ = ptrace::cont(pid, Signal::SIGKILL);
                    }
                    return End::Killed(number);
                }
                seen += 1;
            }
            WaitStatus::Exited(_, status) => return End::Exited(status, seen),
            WaitStatus::Signaled(_, signal, _) => return End::Exited(128 + signal as i32, seen),
            // A signal of its own, such as that of a child: it gets it.
            WaitStatus::Stopped(_, signal) => deliver(pid, signal),
            _ => {}
        }
    }
}

/// Makes the call, and looks at each entry and exit of its system calls, while it stands still. Its exit status.
///
/// # Panics
/// When it cannot be traced.
pub fn watch(call: Call, mut look: impl FnMut()) -> i32 {
    let mut command = call.into_command();
    let pid = spawn_traced(&mut command);
    loop {
        ptrace::syscall(pid, None).expect("PTRACE_SYSCALL");
        match wait(pid) {
            WaitStatus::PtraceSyscall(_) => look(),
            WaitStatus::Exited(_, status) => {
                look();
                return status;
            }
            WaitStatus::Signaled(_, signal, _) => return 128 + signal as i32,
            WaitStatus::Stopped(_, signal) => deliver(pid, signal),
            _ => {}
        }
    }
}

fn deliver(pid: Pid, signal: Signal) {
    // The next PTRACE_SYSCALL would swallow it; sent again it arrives while the process runs.
    if signal != Signal::SIGTRAP {
        ptrace::syscall(pid, signal).expect("PTRACE_SYSCALL with a signal");
        let _ = wait(pid);
    }
}

// It is waited for with waitpid, as a tracee must be.
#[allow(clippy::zombie_processes)]
fn spawn_traced(command: &mut Command) -> Pid {
    let child = trace_me(command).spawn().expect("start under ptrace");
    let pid = Pid::from_raw(child.id().cast_signed());
    let first = wait(pid);
    assert!(matches!(first, WaitStatus::Stopped(_, Signal::SIGTRAP)), "no stop at execve: {first:?}");
    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)
        .expect("PTRACE_SETOPTIONS");
    pid
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).expect("wait for the tracee")
}

/// The number of the system call that the tracee has stopped at, where that is known.
fn system_call(pid: Pid) -> i64 {
    if cfg!(target_arch = "x86_64") { read_user_word(pid, register::ORIG_RAX).unwrap_or(-1) } else { -1 }
}

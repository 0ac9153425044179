//! System calls that fail: one of choice, by ptrace(2), which makes the kernel skip it and gives the caller an errno; or all
//! of one number, by a seccomp filter around the command, as an engine that runs in a container has one.
//!
//! Every call is reached in turn, so no race decides what is tested. On x86_64 alone: elsewhere a tracer can't skip a call by
//! the registers that it is shown.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::command::{Call, anonymous_file};
use crate::step::{Whose, next_stop, spawn, text_of};
use crate::sys::register::{ORIG_RAX, RAX};
use crate::sys::{at_entry, read_user_word, write_user_word};
use crate::system_call::SystemCall;
use crate::wait::stretched;

/// How long a command may take one of whose calls has failed.
const DEADLINE: Duration = Duration::from_secs(15);

const CLOSE: i64 = 3;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Injected {
    /// The call that has failed; `None` when the command makes fewer.
    pub failed: Option<SystemCall>,
    /// How many calls there were up to it, or in all.
    pub calls: usize,
    /// The command's exit status, 128 + signal when it was killed; `None` when it did not end in time.
    pub status: Option<i32>,
    /// What it printed.
    pub output: String,
}

/// Makes the call, of which the `at`th system call (the first is 0) of whose are counted fails, if it comes to that.
///
/// # Panics
/// When it can't be traced.
#[must_use]
pub fn fail_at(call: Call, at: usize, whose: Whose) -> Injected {
    let mut output = anonymous_file(b"");
    let mut command = call.stdout_file(output.try_clone().expect("dup")).into_command();
    // What is waited for are the tracees of this thread alone.
    let following = std::thread::spawn(move || follow(&mut command, at, whose));
    let (failed, calls, status) = following.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Injected { failed, calls, status, output: text_of(&mut output) }
}

fn follow(command: &mut Command, at: usize, whose: Whose) -> (Option<SystemCall>, usize, Option<i32>) {
    let first = spawn(command);
    let mut options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC;
    if whose == Whose::Made {
        options |= Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
    }
    ptrace::setoptions(first, options).expect("PTRACE_SETOPTIONS");
    let mut known = BTreeSet::from([first]);
    let (mut failed, mut failing, mut seen) = (None, None, 0);
    let end = Instant::now() + stretched(DEADLINE);
    ptrace::syscall(first, None).expect("PTRACE_SYSCALL");
    loop {
        let Some((pid, status)) = next_stop(first, end) else {
            let _ = waitpid(first, Some(WaitPidFlag::__WALL));
            return (failed, seen, None);
        };
        let mut signal = None;
        match status {
            WaitStatus::Exited(pid, code) if pid == first => return (failed, seen, Some(code)),
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                return (failed, seen, Some(128 + signal as i32));
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => continue,
            WaitStatus::PtraceSyscall(pid) if failing == Some(pid) => {
                let errno = failed.map_or(Errno::EPERM, |call: SystemCall| call.errno);
                write_user_word(pid, RAX, -(errno as i64)).expect("give a tracee its result");
                failing = None;
            }
            WaitStatus::PtraceSyscall(pid) if failed.is_none() => {
                let counted = (whose == Whose::Command) == (pid == first);
                if counted && at_entry(pid) {
                    let number = read_user_word(pid, ORIG_RAX).unwrap_or(-1);
                    if seen == at && can_fail(number) {
                        // A descriptor is closed whatever close(2) returns.
                        if number != CLOSE {
                            write_user_word(pid, ORIG_RAX, -1).expect("skip a tracee's call");
                        }
                        (failed, failing) = (Some(SystemCall::numbered(number)), Some(pid));
                    }
                    seen += 1;
                }
            }
            // The stop that a new tracee begins with is not its own.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) if known.insert(pid) => {}
            WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceEvent(..) => {}
            WaitStatus::Stopped(_, its) => signal = Some(its),
            _ => {}
        }
        // When the call has failed, who stops is let go.
        let let_go = failed.is_some() && failing.is_none();
        let _ = if let_go { ptrace::detach(pid, signal) } else { ptrace::syscall(pid, signal) };
    }
}

/// Not those that have no result to look at (`rt_sigreturn`, `exit`, `exit_group`), nor those that can't fail (`getpid`,
/// `umask`, `getuid` and their like).
const fn can_fail(number: i64) -> bool {
    !matches!(number, 15 | 60 | 231 | 39 | 95 | 102 | 104 | 107 | 108 | 110 | 186)
}

//! The stepper: a command stopped before each system call that takes a path, in turn, while the test changes what the
//! path leads to. Exhaustive where a loop of races is luck.
//!
//! The command and every process that it makes are traced, by a thread of their own: what it waits for are the tracees, and
//! nobody else's children.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Instant;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command::{Call, anonymous_file};
use crate::sys::{at_entry, read_user_word, register, trace_me};
use crate::system_call::SystemCall;
use crate::wait::{DEADLINE, stretched};

/// Whose system calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the command's own process.
    Command,
    /// Those of the processes that it makes: init, an exec'd process.
    Made,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// Whether the command got to the call; if not, all its calls have been tried.
    pub reached: bool,
    /// Its exit status, 128 + signal when it was killed.
    pub status: i32,
    /// What it printed.
    pub output: String,
}

/// System calls that take a path, or attach what one led to (x86_64).
const PATH_CALLS: [i64; 33] = [
    2, 42, 49, 59, 80, 81, 83, 84, 87, 88, 90, 92, 137, 155, 161, 165, 166, 257, 258, 259, 260, 262, 263,
    264, 265, 266, 267, 322, 332, 428, 429, 437, 442,
];

/// Makes the call, stops before the `at`th path-taking system call (the first is 0) of whose are counted, changes the
/// world and lets it go on.
///
/// # Panics
/// When it can't be traced, or at the deadline.
#[must_use]
pub fn step(call: Call, at: usize, whose: Whose, change: impl FnOnce()) -> Stepped {
    step_counting(call, at, whose, Counted::Path, change)
}

/// As [`step`], of the calls of one name alone.
///
/// # Panics
/// When it can't be traced, or at the deadline; or no call of this name is known.
#[must_use]
pub fn step_before(call: Call, name: &str, at: usize, whose: Whose, change: impl FnOnce()) -> Stepped {
    let number = SystemCall::named(name).unwrap_or_else(|| panic!("no call {name}")).number;
    step_counting(call, at, whose, Counted::Number(number), change)
}

/// Which calls are.
#[derive(Clone, Copy)]
enum Counted {
    Path,
    Number(i64),
}

impl Counted {
    fn is(self, pid: Pid) -> bool {
        match self {
            Self::Path => is_path_call(pid),
            Self::Number(number) => call_number(pid) == Some(number),
        }
    }
}

fn step_counting(call: Call, at: usize, whose: Whose, counted: Counted, change: impl FnOnce()) -> Stepped {
    let mut output = anonymous_file(b"");
    let mut command = call.stdout_file(output.try_clone().expect("dup")).into_command();
    let (reached, is_reached) = channel();
    let (changed, is_changed) = channel();
    let (reached, status) = std::thread::scope(|scope| {
        let stepping = scope.spawn(move || {
            follow(&mut command, at, whose, counted, || {
                let _ = reached.send(());
                // The test's thread is gone when it has failed: that is reported there.
                let _ = is_changed.recv();
            })
        });
        // Gone with a change that panics: the command is let go then, too.
        let changed = changed;
        if is_reached.recv().is_ok() {
            change();
            let _ = changed.send(());
        }
        stepping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Stepped { reached, status, output: text_of(&mut output) }
}

pub(crate) fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind a memfd");
    file.read_to_end(&mut bytes).expect("read a memfd");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the call was reached, and the exit status.
fn follow(
    command: &mut Command,
    at: usize,
    whose: Whose,
    counting: Counted,
    change: impl FnOnce(),
) -> (bool, i32) {
    let first = spawn(command);
    let mut known = BTreeSet::from([first]);
    let mut change = Some(change);
    let mut seen = 0;
    let end = Instant::now() + stretched(DEADLINE);
    ptrace::syscall(first, None).expect("PTRACE_SYSCALL");
    loop {
        let Some((pid, status)) = next_stop(first, end) else {
            panic!("the stepped command is not done in {:?}", stretched(DEADLINE));
        };
        let mut signal = None;
        match status {
            WaitStatus::Exited(pid, code) if pid == first => return (change.is_none(), code),
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                return (change.is_none(), 128 + signal as i32);
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => continue,
            WaitStatus::PtraceSyscall(pid) => {
                let counted = (whose == Whose::Command) == (pid == first);
                if counted && at_entry(pid) && counting.is(pid) {
                    if seen == at
                        && let Some(change) = change.take()
                    {
                        change();
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
        // After the change nothing is counted any more: who stops is let go.
        let _ = if change.is_none() { ptrace::detach(pid, signal) } else { ptrace::syscall(pid, signal) };
    }
}

/// The next stop or end of a tracee of the calling thread. `None` when there was none until `end`: the first is killed then.
pub(crate) fn next_stop(first: Pid, end: Instant) -> Option<(Pid, WaitStatus)> {
    let flags = WaitPidFlag::__WALL | WaitPidFlag::from_bits_retain(WNOTHREAD) | WaitPidFlag::WNOHANG;
    loop {
        let status = waitpid(None, Some(flags)).expect("wait for tracees");
        if let Some(pid) = status.pid() {
            return Some((pid, status));
        }
        if Instant::now() >= end {
            let _ = kill(first, Signal::SIGKILL);
            return None;
        }
        std::thread::yield_now();
    }
}

/// `__WNOTHREAD`: children and tracees of the calling thread alone.
const WNOTHREAD: i32 = 0x2000_0000;

fn is_path_call(pid: Pid) -> bool {
    call_number(pid).is_none_or(|number| PATH_CALLS.binary_search(&number).is_ok())
}

/// The number of the call that a tracee is about to make (x86_64).
fn call_number(pid: Pid) -> Option<i64> {
    if cfg!(target_arch = "x86_64") { read_user_word(pid, register::ORIG_RAX).ok() } else { None }
}

// It is waited for with waitpid, as a tracee must be.
#[allow(clippy::zombie_processes)]
pub(crate) fn spawn(command: &mut Command) -> Pid {
    let child = trace_me(command).spawn().expect("start under ptrace");
    let pid = Pid::from_raw(child.id().cast_signed());
    let first = waitpid(pid, Some(WaitPidFlag::__WALL)).expect("wait for the tracee");
    assert!(matches!(first, WaitStatus::Stopped(_, Signal::SIGTRAP)), "no stop at execve: {first:?}");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::setoptions(pid, options).expect("PTRACE_SETOPTIONS");
    pid
}

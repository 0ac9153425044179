//! A wall clock that jumps by years between any two looks of a command at it, and is the machine's own for all others.
//!
//! The command is traced, and its auxiliary vector has no vDSO: what would have read the clock's page makes a system call,
//! whose result is changed. On x86_64 alone, as the injector of errors.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command::{Call, anonymous_file};
use crate::step::{next_stop, spawn, text_of};
use crate::sys::register::{ORIG_RAX, RDI, RSI, RSP};
use crate::sys::{at_entry, read_user_word};
use crate::wait::stretched;

/// How far from the machine's clock the answers are: ahead and behind, in turn.
const JUMP: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const DEADLINE: Duration = Duration::from_secs(60);

/// Calls of x86_64 that read or wait for the wall clock.
const GETTIMEOFDAY: i64 = 96;
const TIME: i64 = 201;
const FUTEX: i64 = 202;
const TIMER_CREATE: i64 = 222;
const CLOCK_GETTIME: i64 = 228;
const CLOCK_NANOSLEEP: i64 = 230;
const TIMERFD_CREATE: i64 = 283;

/// `CLOCK_REALTIME` and `CLOCK_REALTIME_COARSE`.
const REALTIME: i64 = 0;
const REALTIME_COARSE: i64 = 5;
const FUTEX_CLOCK_REALTIME: i64 = 256;

/// Entries of the auxiliary vector.
const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_SYSINFO_EHDR: u64 = 33;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Jumped {
    /// The command's exit status, 128 + signal when it was killed.
    pub status: i32,
    /// What it printed.
    pub output: String,
    /// How often it has looked at the wall clock.
    pub looks: usize,
    /// The calls (their numbers) that would have waited for a time of that clock.
    pub waits: Vec<i64>,
}

/// Makes the call with such a clock.
///
/// # Panics
/// When it can't be traced, or at the deadline.
#[must_use]
pub fn jumping(call: Call) -> Jumped {
    let mut output = anonymous_file(b"");
    let mut command = call.stdout_file(output.try_clone().expect("dup")).into_command();
    // What is waited for are the tracees of this thread alone.
    let following = std::thread::spawn(move || follow(&mut command));
    let mut jumped = following.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    jumped.output = text_of(&mut output);
    jumped
}

fn follow(command: &mut Command) -> Jumped {
    let pid = spawn(command);
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).expect("PTRACE_SETOPTIONS");
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("its memory");
    hide_vdso(pid, &memory);
    let mut jumped = Jumped { status: 0, output: String::new(), looks: 0, waits: Vec::new() };
    let end = Instant::now() + stretched(DEADLINE);
    ptrace::syscall(pid, None).expect("PTRACE_SYSCALL");
    loop {
        let Some((_, status)) = next_stop(pid, end) else {
            let _ = waitpid(pid, Some(WaitPidFlag::__WALL));
            panic!("the command is not done in {:?}", stretched(DEADLINE));
        };
        let mut signal = None;
        match status {
            WaitStatus::Exited(_, code) => return Jumped { status: code, ..jumped },
            WaitStatus::Signaled(_, signal, _) => return Jumped { status: 128 + signal as i32, ..jumped },
            WaitStatus::PtraceSyscall(_) if at_entry(pid) => jumped.waits.extend(wall_clock_wait(pid)),
            WaitStatus::PtraceSyscall(_) => {
                if let Some(answer) = wall_clock_answer(pid) {
                    change(&memory, answer, jumped.looks);
                    jumped.looks += 1;
                }
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, its) => signal = Some(its),
            _ => {}
        }
        let _ = ptrace::syscall(pid, signal);
    }
}

fn word(pid: Pid, place: usize) -> i64 {
    read_user_word(pid, place).unwrap_or(-1)
}

/// The call, where it is one that waits until the wall clock shows a time.
fn wall_clock_wait(pid: Pid) -> Option<i64> {
    let number = word(pid, ORIG_RAX);
    let waits = match number {
        TIMER_CREATE | TIMERFD_CREATE => word(pid, RDI) == REALTIME,
        // For a duration it does not matter by which clock.
        CLOCK_NANOSLEEP => word(pid, RDI) == REALTIME && word(pid, RSI) & 1 == 1,
        FUTEX => word(pid, RSI) & FUTEX_CLOCK_REALTIME != 0,
        _ => false,
    };
    waits.then_some(number)
}

/// Where the seconds are that a call at its end has written, if they are the wall clock's.
fn wall_clock_answer(pid: Pid) -> Option<u64> {
    let answer = match word(pid, ORIG_RAX) {
        CLOCK_GETTIME if matches!(word(pid, RDI), REALTIME | REALTIME_COARSE) => word(pid, RSI),
        GETTIMEOFDAY | TIME => word(pid, RDI),
        _ => return None,
    };
    u64::try_from(answer).ok().filter(|answer| *answer != 0)
}

fn change(memory: &File, answer: u64, looks: usize) {
    let mut seconds = [0; 8];
    memory.read_exact_at(&mut seconds, answer).expect("read the tracee's time");
    let jump = JUMP.as_secs().cast_signed() * if looks.is_multiple_of(2) { 1 } else { -1 };
    let seconds = i64::from_ne_bytes(seconds) + jump;
    memory.write_all_at(&seconds.to_ne_bytes(), answer).expect("write the tracee's time");
}

/// On the stack of a program that has just been executed: the arguments, the environment, the vector.
fn hide_vdso(pid: Pid, memory: &File) {
    let read = |at: u64| {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, at).expect("read the tracee's stack");
        u64::from_ne_bytes(bytes)
    };
    let stack = word(pid, RSP).cast_unsigned();
    let mut at = stack + 8 * (read(stack) + 2);
    while read(at) != 0 {
        at += 8;
    }
    at += 8;
    while read(at) != AT_NULL {
        if read(at) == AT_SYSINFO_EHDR {
            memory.write_all_at(&AT_IGNORE.to_ne_bytes(), at).expect("write the tracee's stack");
        }
        at += 16;
    }
}

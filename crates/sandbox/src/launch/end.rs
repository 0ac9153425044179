//! The end of a process that was launched, and how it ended.
//!
//! Runs in the runtime. It is our child as a rule, but not always ours to wait for: its caller may ignore SIGCHLD, or wait
//! for any child.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::wait_readable;
use crate::sys::exit_status_of;

/// How long a process may take to end that was killed.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Waits for the end of a process that was killed, for a while: one that the kernel doesn't let go would be waited for in
/// vain. Whether it has ended.
pub(crate) fn wait_killed(process: BorrowedFd<'_>) -> bool {
    wait_readable(&[process], Instant::now() + KILL_DEADLINE).is_ok()
}

/// Waits for the end of a process: our child, or another's. `None` where nobody can tell how it ended.
///
/// # Errors
/// Those of waitid(2) but ECHILD, and of poll(2).
pub(crate) fn wait(process: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    match retry_on_intr(|| waitid(WaitId::PidFd(process), WaitIdOptions::EXITED)) {
        Err(Errno::CHILD) => wait_for_other(process),
        Err(errno) => Err(errno.into()),
        Ok(status) => Ok(status.map(|status| {
            ExitStatus::from_raw(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code << 8,
                (None, Some(signal)) => signal | if status.dumped() { 0x80 } else { 0 },
                (None, None) => 0,
            })
        })),
    }
}

/// Waits for the end of a process that is another's child, or was waited for; how it ended, where that can be known: while
/// it is a zombie from `/proc`, then from its pidfd (Linux 6.15).
fn wait_for_other(process: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(process, PollFlags::IN)], None))?;
    let status = zombie_status(process).or_else(|| exit_status_of(process));
    Ok(status.map(ExitStatus::from_raw))
}

/// The last field of `/proc/PID/stat`; the pid is taken from the pidfd before and after, which says −1 when it is given up.
fn zombie_status(process: BorrowedFd<'_>) -> Option<i32> {
    let pid = || {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        line.trim().parse::<i32>().ok().filter(|pid| *pid > 0)
    };
    let before = pid()?;
    let stat = std::fs::read_to_string(format!("/proc/{before}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1.trim_ascii();
    let status = fields.rsplit(' ').next()?.parse().ok()?;
    // Who may not look into the process is told 0; a zombie's program is missing to all others.
    let program = std::fs::read_link(format!("/proc/{before}/exe")).map_err(|error| error.kind());
    let may_look = program == Err(io::ErrorKind::NotFound);
    (fields.starts_with('Z') && may_look && pid() == Some(before)).then_some(status)
}

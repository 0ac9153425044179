//! Waiting for events with a deadline; nothing here sleeps.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};

use crate::procfs::all_pids;

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A deadline on this machine: `SLOWNESS` times as long, where that is set.
#[must_use]
pub fn stretched(deadline: Duration) -> Duration {
    static SLOWNESS: LazyLock<u32> =
        LazyLock::new(|| std::env::var("SLOWNESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1));
    deadline * *SLOWNESS
}

/// Waits until `fd` is readable (or hung up), false at the deadline.
#[must_use]
pub fn readable(fd: impl AsFd, deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// A process, held by pidfd.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    pidfd: OwnedFd,
}

impl Process {
    /// Takes hold of a process.
    ///
    /// # Errors
    /// `ESRCH` when it is gone.
    pub fn open(pid: i32) -> io::Result<Self> {
        let id = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { pid, pidfd: pidfd_open(id, PidfdFlags::empty())? })
    }

    /// Waits until it has exited (it may be a zombie), false at the deadline.
    #[must_use]
    pub fn wait_exit(&self, deadline: Duration) -> bool {
        readable(&self.pidfd, stretched(deadline))
    }

    /// Whether it has exited.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.wait_exit(Duration::ZERO)
    }

    /// Sends a signal, as the kernel's OOM killer or another host process would.
    pub fn signal(&self, signal: Signal) {
        // An error says that it is gone already, which is what a sender of signals must expect.
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Reaps it, when it became a child of this process (the test process is a subreaper): its exit status as a
    /// shell has it, 128 + signal when it was killed; none when it is not a child, or has not exited.
    #[must_use]
    pub fn reap(&self) -> Option<i32> {
        let id = Pid::from_raw(self.pid)?;
        let (_, status) = waitpid(Some(id), WaitOptions::NOHANG).ok()??;
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    }
}

/// Children of this process that have exited and are not reaped.
#[must_use]
pub fn exited_children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let is_exited_child = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        line("PPid:") == own && line("State:").starts_with('Z')
    };
    all_pids().into_iter().filter(is_exited_child).collect()
}

/// How long a child that has ended is left for its test to reap. A test that wants its status asks for it at once.
const UNASKED: Duration = Duration::from_secs(90);

/// Children that have ended and that nobody has reaped, with when that was first seen: by pid and start time.
static ENDED: Mutex<BTreeMap<(i32, String), Instant>> = Mutex::new(BTreeMap::new());

/// Reaps exited children in pid namespaces, as any parent of orphans does: what a runtime or a hook has left there, since
/// a pid namespace ends only when they are reaped. Inits, and children in the machine's pid namespace, are the tests' to
/// reap; those that nobody has asked for in 90 seconds are reaped here, what engines and runtimes have left: thousands
/// would stay, and each look at `/proc` takes longer for each of them.
pub fn reap_orphans() {
    let mut left = BTreeMap::new();
    let mut known = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in exited_children() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let ids: Vec<_> = ids.split_whitespace().collect();
        if ids.len() < 2 || ids.last() == Some(&"1") {
            let child = (pid, start_time(pid));
            let since = known.get(&child).copied().unwrap_or_else(Instant::now);
            if since.elapsed() < stretched(UNASKED) {
                left.insert(child, since);
                continue;
            }
        }
        let _ = Process::open(pid).map(|process| process.reap());
    }
    *known = left;
}

/// Field 22 of `/proc/PID/stat`, proc_pid_stat(5).
fn start_time(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).unwrap_or_default().to_owned()
}

/// A FIFO, by which a container and its test tell each other how far they are.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    file: std::fs::File,
    seen: Vec<u8>,
}

impl Fifo {
    /// Makes the FIFO and opens it for both directions, so that neither side's open ever blocks.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("mkfifo");
        rustix::fs::chmod(path, Mode::from_raw_mode(0o666)).expect("chmod");
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).expect("open the fifo").into();
        Self { path: path.to_owned(), file, seen: Vec::new() }
    }

    /// The next line, without its newline.
    ///
    /// # Panics
    /// At the deadline.
    pub fn line(&mut self) -> String {
        let deadline = stretched(DEADLINE);
        let end = Instant::now() + deadline;
        loop {
            if let Some(at) = self.seen.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=at).collect();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(readable(&self.file, left), "no line from {} in {deadline:?}", self.path.display());
            let mut buffer = [0; 4096];
            let count = self.file.read(&mut buffer).unwrap_or(0);
            self.seen.extend_from_slice(&buffer[..count]);
        }
    }

    /// Whether nothing has been written so far.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.seen.is_empty() && !readable(&self.file, Duration::ZERO)
    }

    /// Writes a line to it.
    pub fn send(&mut self, line: &str) {
        use std::io::Write;
        writeln!(self.file, "{line}").expect("write to the fifo");
    }
}

//! Ending all processes of a cgroup, and waiting for the end.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::CgroupError;
use super::file::{self, is_errno, is_gone};
use super::freeze::{Thaw, wait_readable};
use super::handle::{Cgroup, open_cgroup, processes_of, read_processes};
use super::record::{Hierarchy, RecordedDirectory};

impl Cgroup {
    /// Sends SIGKILL to every process in the cgroup and below it, frozen ones too. They are ending when this returns, not
    /// gone: see [`Cgroup::wait_empty`].
    ///
    /// On v2 and hybrid `cgroup.kill`; on v1 process by process, by pidfd, with the freezer so that none is born
    /// meanwhile, and thawed whatever happens.
    ///
    /// # Errors
    /// The cgroup can't be read or written. A missing one is no error.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let Some(directory) = self.primary() else { return Ok(()) };
        if self.is_foreign()? {
            return Ok(());
        }
        let error = |source| CgroupError::Call { call: "kill", path: directory.path.clone(), source };
        if let Some(open) = open_cgroup(directory)? {
            let killed = match directory.hierarchy {
                Hierarchy::V2 => match file::write_file(&open, "cgroup.kill", "1") {
                    // A threaded cgroup can't be killed as one.
                    Err(error) if is_errno(&error, Errno::OPNOTSUPP) => kill_each(open.as_fd()),
                    killed => killed,
                },
                Hierarchy::V1(_) => kill_v1(&directory.hierarchy, open.as_fd()),
            };
            match killed {
                Err(error) if is_gone(&error) => {}
                killed => killed.map_err(error)?,
            }
        }
        self.thaw_all_v1()
    }

    /// Waits until no process is in the cgroup or below it.
    ///
    /// # Errors
    /// [`CgroupError::StillPopulated`] at the deadline, with the pids. A missing cgroup is empty.
    pub fn wait_empty(&self, deadline: Instant) -> Result<(), CgroupError> {
        let Some(directory) = self.primary() else { return Ok(()) };
        wait_empty(directory, deadline)
    }
}

pub(super) fn wait_empty(directory: &RecordedDirectory, deadline: Instant) -> Result<(), CgroupError> {
    let Some(open) = open_cgroup(directory)? else { return Ok(()) };
    let empty = match directory.hierarchy {
        Hierarchy::V2 => wait_unpopulated(open.as_fd(), deadline),
        Hierarchy::V1(_) => wait_processes(open.as_fd(), deadline),
    };
    match empty {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(CgroupError::StillPopulated { path: directory.path.clone(), pids: processes_of(directory)? })
        }
        Err(error) if is_gone(&error) => Ok(()),
        Err(source) => Err(CgroupError::Call { call: "wait", path: directory.path.clone(), source }),
    }
}

fn kill_v1(hierarchy: &Hierarchy, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let guard = Thaw { hierarchy, cgroup, armed: hierarchy.is_v1_with("freezer") };
    if guard.armed {
        // It need not have stopped all to be of use: who is not stopped yet is, when it next enters the kernel.
        file::write_file(cgroup, "freezer.state", "FROZEN")?;
    }
    kill_each(cgroup)
}

/// Signals each process, until no process is there that was not signalled: a process with SIGKILL pending can't fork.
fn kill_each(cgroup: BorrowedFd<'_>) -> io::Result<()> {
    /// What outruns this many rounds is not stopped by more of them.
    const ROUNDS: usize = 1000;
    let mut signalled = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut new = Vec::new();
        for pid in read_processes(cgroup)? {
            if !signalled.contains(&pid)
                && let Some(pidfd) = open_process(pid)?
            {
                new.push((pid, pidfd));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        // A pid read above may have been another's by the time it was opened: who is still listed is who was opened.
        let listed = read_processes(cgroup)?;
        for (pid, pidfd) in new {
            if listed.binary_search(&pid).is_ok() {
                match pidfd_send_signal(&pidfd, Signal::KILL) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => return Err(errno.into()),
                }
                signalled.insert(pid);
            }
        }
    }
    Err(Errno::BUSY.into())
}

/// A pidfd; `None` where the process is gone, or can't be seen from this pid namespace (pid 0).
fn open_process(pid: i32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        // EINVAL: not a thread-group leader any more.
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// v1 tells nobody when a cgroup becomes empty: so wait for each process's end. Between its end and its leaving the
/// cgroup is a moment without notice.
pub(super) fn wait_processes(cgroup: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    let mut ended = BTreeSet::new();
    let mut pause = Duration::from_micros(50);
    loop {
        let pids = read_processes(cgroup)?;
        if pids.is_empty() {
            return Ok(true);
        }
        let mut waited = false;
        for pid in pids {
            if ended.insert(pid)
                && let Some(pidfd) = open_process(pid)?
            {
                waited = true;
                if !wait_readable(&mut [PollFd::new(&pidfd, PollFlags::IN)], deadline)? {
                    return Ok(false);
                }
            }
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        if !waited {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

/// v2 tells of the change in `cgroup.events`, but at most once in 10 ms (`CGROUP_FILE_NOTIFY_MIN_INTV`): the end of the
/// processes is watched as well, so that a container that has just started does not wait for that.
fn wait_unpopulated(cgroup: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    /// Where more are in it, the notice alone will do.
    const WATCHED: usize = 64;
    let events = file::open_read(cgroup, "cgroup.events", OFlags::RDONLY)?;
    let mut ended = BTreeSet::new();
    loop {
        let mut processes = Vec::new();
        for pid in read_processes(cgroup)?.into_iter().take(WATCHED) {
            if ended.insert(pid) {
                processes.extend(open_process(pid)?);
            }
        }
        // Only now: who left before was not watched.
        rustix::fs::seek(&events, SeekFrom::Start(0))?;
        if file::read_descriptor(&events)?.lines().any(|line| line == "populated 0") {
            return Ok(true);
        }
        loop {
            let mut set = vec![PollFd::new(&events, PollFlags::PRI)];
            set.extend(processes.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
            if !wait_readable(&mut set, deadline)? {
                return Ok(false);
            }
            let ready: Vec<bool> = set.iter().map(|it| !it.revents().is_empty()).collect();
            let watched = processes.len();
            let mut index = 0;
            processes.retain(|_| {
                index += 1;
                !ready[index]
            });
            if ready[0] || (watched > 0 && processes.is_empty()) {
                break;
            }
        }
    }
}

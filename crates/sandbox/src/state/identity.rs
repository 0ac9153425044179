//! Which process it is, across calls of the runtime: pids are used again.
//!
//! Runs in the runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use init::sys::flag;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::probe::read_small_file;

/// A process, recognisable for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// In the runtime's pid namespace.
    pub pid: i32,
    /// The inode of its pidfd, which is never used again (Linux 6.9); 0 where pidfds have none of their own.
    pub pidfs_inode: u64,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22), where the inode is 0.
    pub start_time: u64,
}

impl Identity {
    /// Of a process that is held.
    ///
    /// # Errors
    /// The process can't be looked at.
    pub fn of(pid: i32, pidfd: BorrowedFd<'_>) -> io::Result<Self> {
        let pidfs_inode = pidfs_inode(pidfd)?;
        let start_time = if pidfs_inode == 0 { start_time(pid)? } else { 0 };
        Ok(Self { pid, pidfs_inode, start_time })
    }

    /// Holds the process, if it is still that one and has not ended.
    ///
    /// # Errors
    /// What pidfd_open says, but that the process is gone.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pidfd) = self.hold()? else { return Ok(None) };
        Ok((!has_ended(pidfd.as_fd())?).then_some(pidfd))
    }

    /// Holds the process, if it is still that one; it may have ended, and wait for its parent to ask how.
    ///
    /// # Errors
    /// As of [`Identity::open`].
    pub fn hold(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let same = match Self::of(self.pid, pidfd.as_fd()) {
            Ok(now) => now == *self,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        Ok(same.then_some(pidfd))
    }
}

/// Whether the process has ended (it may be waited for still).
pub fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut polled, Some(&now))? > 0)
}

fn pidfs_inode(pidfd: BorrowedFd<'_>) -> io::Result<u64> {
    let magic = init::sys::filesystem_magic(pidfd.as_raw_fd())
        .map_err(|failure| io::Error::from_raw_os_error(failure.errno as i32))?;
    if magic == flag::PIDFS_MAGIC { Ok(fstat(pidfd)?.st_ino) } else { Ok(0) }
}

/// Field 22 of `/proc/PID/stat`; the second may contain anything but ends with the last parenthesis.
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = read_small_file(&format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = after_name.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
    field.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no start time in /proc/PID/stat"))
}

/// This boot's id.
pub fn boot_id() -> io::Result<String> {
    Ok(read_small_file("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

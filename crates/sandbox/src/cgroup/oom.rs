//! Notices of the kernel that a cgroup is out of memory: v2 `memory.events` (`POLLPRI`), v1 an eventfd registered for
//! `memory.oom_control` (kernel, `cgroup-v2.rst`, `cgroup-v1/memory.rst`, 9 and 10).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::{OFlags, SeekFrom};

use super::error::CgroupError;
use super::file::{self, is_gone};
use super::handle::{Cgroup, open_cgroup};
use super::record::Hierarchy;

/// A watch over one container's memory.
#[derive(Debug)]
pub struct OomWatch(Source);

#[derive(Debug)]
enum Source {
    /// `memory.events`, and its `oom_kill` so far.
    Events { file: OwnedFd, kills: u64 },
    /// An eventfd, and the file that it is registered for: it has to stay open.
    Notice { eventfd: OwnedFd, control: OwnedFd },
}

impl Cgroup {
    /// Watches for the moments at which the container is out of memory; `None` where no controller counts its memory.
    ///
    /// # Errors
    /// The files are there, and can't be used.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>, CgroupError> {
        let directories = &self.record.directories;
        let v1 = directories.iter().find(|it| it.hierarchy.is_v1_with("memory"));
        let Some(directory) = v1.or_else(|| directories.iter().find(|it| it.hierarchy == Hierarchy::V2))
        else {
            return Ok(None);
        };
        let Some(cgroup) = open_cgroup(directory)? else { return Ok(None) };
        let source = if v1.is_some() { watch_v1(cgroup.as_fd()) } else { watch_v2(cgroup.as_fd()) };
        match source {
            Ok(source) => Ok(Some(OomWatch(source))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => {
                Err(CgroupError::Call { call: "watch memory of", path: directory.path.clone(), source })
            }
        }
    }
}

fn watch_v2(cgroup: BorrowedFd<'_>) -> io::Result<Source> {
    let file = file::open_read(cgroup, "memory.events", OFlags::RDONLY)?;
    let kills = read_kills(&file)?;
    Ok(Source::Events { file, kills })
}

fn watch_v1(cgroup: BorrowedFd<'_>) -> io::Result<Source> {
    let control = file::open_read(cgroup, "memory.oom_control", OFlags::RDONLY)?;
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let registration = format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd());
    file::write_file(cgroup, "cgroup.event_control", &registration)?;
    Ok(Source::Notice { eventfd, control })
}

fn read_kills(events: &OwnedFd) -> io::Result<u64> {
    rustix::fs::seek(events, SeekFrom::Start(0))?;
    let text = file::read_descriptor(events)?;
    let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(kills.and_then(|kills| kills.parse().ok()).unwrap_or(0))
}

impl OomWatch {
    /// What to poll for.
    pub const fn flags(&self) -> PollFlags {
        match self.0 {
            Source::Events { .. } => PollFlags::PRI,
            Source::Notice { .. } => PollFlags::IN,
        }
    }

    /// How often it was out of memory since it was last asked: processes that the kernel ended for it (v2), or notices (v1).
    /// A cgroup that is gone was not.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn take(&mut self) -> io::Result<u64> {
        match &mut self.0 {
            Source::Events { file, kills } => match read_kills(file) {
                Ok(now) => Ok(now.saturating_sub(std::mem::replace(kills, now))),
                Err(error) if is_gone(&error) => Ok(0),
                Err(error) => Err(error),
            },
            Source::Notice { eventfd, control } => {
                let mut count = [0; 8];
                match rustix::io::read(&*eventfd, &mut count) {
                    Ok(_) => {}
                    Err(rustix::io::Errno::AGAIN) => return Ok(0),
                    Err(errno) => return Err(errno.into()),
                }
                // The end of the cgroup is told as well.
                let gone = rustix::fs::seek(&*control, SeekFrom::Start(0))
                    .map_err(io::Error::from)
                    .and_then(|_| file::read_descriptor(&*control))
                    .is_err();
                Ok(if gone { 0 } else { u64::from_ne_bytes(count) })
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Source::Events { file, .. } => file.as_fd(),
            Source::Notice { eventfd, .. } => eventfd.as_fd(),
        }
    }
}

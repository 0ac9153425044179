//! `stats` and `events`: what a container uses, and what happens to it.
//!
//! Runs in the runtime, without the container's lock: a long watch keeps nobody out. Nothing here polls at intervals: the
//! kernel tells of memory and of the end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

use super::container::{Status, status};
use super::pause::{cgroup, open_init};
use crate::ContainerId;
use crate::cgroup::{Cgroup, OomWatch, Stats};
use crate::error::{Error, Result};
use crate::resctrl::ResctrlRecord;
use crate::state::StateRoot;

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is out of memory: the kernel has ended a process of it, or is about to.
    OutOfMemory,
    /// Its init has ended.
    Stopped,
    /// The caller's descriptor hung up.
    HungUp,
    /// The moment is there until which was to be waited.
    Deadline,
}

/// A watch over a container. In an event loop its descriptor becomes readable when there is an event:
/// [`Events::try_next`] is called then until there is none, or it is [`Event::Stopped`], after which it stays readable.
#[derive(Debug)]
pub struct Events {
    cgroup: Cgroup,
    /// An epoll(7) of init's pidfd and the notices about memory.
    sources: OwnedFd,
    init: OwnedFd,
    oom: Option<OomWatch>,
    pending_oom: u64,
    resctrl: Option<ResctrlRecord>,
}

pub(super) fn watch(state: &StateRoot, id: &ContainerId) -> Result<Events> {
    let record = state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
    let stopped = || Error::status(format!("container with id {id} is not running"));
    if matches!(status(&record)?, Status::Stopped | Status::Creating) {
        return Err(stopped());
    }
    let init = open_init(&record)?.ok_or_else(stopped)?;
    let cgroup = cgroup(&record)?;
    let oom = cgroup.watch_oom()?;
    let sources = gather(&init, oom.as_ref()).map_err(|errno| Error::host("epoll", errno.into()))?;
    Ok(Events { cgroup, sources, init, oom, pending_oom: 0, resctrl: record.resctrl })
}

/// What a container uses, or has used.
pub(super) fn stats(state: &StateRoot, id: &ContainerId) -> Result<Stats> {
    let record = state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
    usage(&cgroup(&record)?, record.resctrl.as_ref())
}

fn usage(cgroup: &Cgroup, resctrl: Option<&ResctrlRecord>) -> Result<Stats> {
    let resctrl = resctrl.map(ResctrlRecord::stats).transpose()?;
    Ok(Stats { resctrl, ..cgroup.stats()? })
}

fn gather(init: &OwnedFd, oom: Option<&OomWatch>) -> rustix::io::Result<OwnedFd> {
    let sources = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&sources, init, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    if let Some(oom) = oom {
        let flags =
            if oom.flags() == PollFlags::PRI { epoll::EventFlags::PRI } else { epoll::EventFlags::IN };
        epoll::add(&sources, oom, epoll::EventData::new_u64(1), flags)?;
    }
    Ok(sources)
}

impl Events {
    /// What it uses now.
    ///
    /// # Errors
    /// The counters can't be read.
    pub fn stats(&self) -> Result<Stats> {
        usage(&self.cgroup, self.resctrl.as_ref())
    }

    /// Waits for the next event. What happened before the end is told before it. `peer` is a descriptor, such as the
    /// reader's end of a pipe, whose hanging up ends the wait.
    ///
    /// # Errors
    /// poll(2), or the counter can't be read.
    pub fn wait(&mut self, peer: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Result<Event> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            let mut set = vec![PollFd::new(&self.sources, PollFlags::IN)];
            // Without a flag it tells of errors and hang-ups alone.
            set.extend(peer.map(|peer| PollFd::from_borrowed_fd(peer, PollFlags::empty())));
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut set, timeout.as_ref()) {
                Ok(0) => return Ok(Event::Deadline),
                Ok(_) if set[0].revents().is_empty() => return Ok(Event::HungUp),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failure(errno.into())),
            }
        }
    }

    /// The next event that there is already, [`Event::OutOfMemory`] or [`Event::Stopped`]; the last is told again and again.
    ///
    /// # Errors
    /// poll(2), or the counter can't be read.
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        if self.pending_oom == 0 {
            // The end is looked at first: what happened before it is counted then.
            let stopped = self.has_stopped()?;
            if let Some(oom) = &mut self.oom {
                self.pending_oom += oom.take().map_err(failure)?;
            }
            if self.pending_oom == 0 {
                return Ok(stopped.then_some(Event::Stopped));
            }
        }
        self.pending_oom -= 1;
        Ok(Some(Event::OutOfMemory))
    }

    fn has_stopped(&self) -> Result<bool> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            match poll(&mut [PollFd::new(&self.init, PollFlags::IN)], Some(&now)) {
                Err(Errno::INTR) => {}
                ready => return Ok(ready.map_err(|errno| failure(errno.into()))? > 0),
            }
        }
    }
}

fn failure(error: std::io::Error) -> Error {
    Error::host("watch the container", error)
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sources.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.sources.as_raw_fd()
    }
}

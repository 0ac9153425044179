//! `stats` and `events`: what a container uses, and what happens to it.
//!
//! Runs in the runtime, without the container's lock: a long watch keeps nobody out. Nothing here polls at intervals: the
//! kernel tells of memory and of the end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
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

/// A watch over a container.
#[derive(Debug)]
pub struct Events {
    cgroup: Cgroup,
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
    Ok(Events { cgroup, init, oom, pending_oom: 0, resctrl: record.resctrl })
}

impl Events {
    /// What it uses now.
    ///
    /// # Errors
    /// The counters can't be read.
    pub fn stats(&self) -> Result<Stats> {
        let resctrl = self.resctrl.as_ref().map(ResctrlRecord::stats).transpose()?;
        Ok(Stats { resctrl, ..self.cgroup.stats()? })
    }

    /// Waits for the next event. What happened before the end is told before it. `peer` is a descriptor, such as the
    /// reader's end of a pipe, whose hanging up ends the wait.
    ///
    /// # Errors
    /// poll(2), or the counter can't be read.
    pub fn wait(&mut self, peer: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Result<Event> {
        let host = |error| Error::host("watch the container", error);
        loop {
            if self.pending_oom > 0 {
                self.pending_oom -= 1;
                return Ok(Event::OutOfMemory);
            }
            let mut set = vec![PollFd::new(&self.init, PollFlags::IN)];
            set.extend(self.oom.as_ref().map(|oom| PollFd::new(oom, oom.flags())));
            let watched = set.len();
            // Without a flag it tells of errors and hang-ups alone.
            set.extend(peer.map(|peer| PollFd::from_borrowed_fd(peer, PollFlags::empty())));
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let count = match poll(&mut set, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                count => count.map_err(|errno| host(errno.into()))?,
            };
            if count == 0 {
                return Ok(Event::Deadline);
            }
            let ready: Vec<bool> = set.iter().map(|it| !it.revents().is_empty()).collect();
            if let Some(oom) = &mut self.oom
                && (ready[0] || ready[1])
            {
                self.pending_oom += oom.take().map_err(host)?;
            }
            if self.pending_oom == 0 && ready[0] {
                return Ok(Event::Stopped);
            }
            if ready.get(watched) == Some(&true) {
                return Ok(Event::HungUp);
            }
        }
    }
}

impl AsFd for Events {
    /// Init's pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }
}

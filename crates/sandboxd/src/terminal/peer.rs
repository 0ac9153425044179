//! Whether any process has a container's terminal open, and how to hear that one opens it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// The container's side of the terminal.
#[derive(Debug)]
pub(super) enum Peer {
    /// Some process has it open.
    Open,
    /// No process has: a master says so whenever it is asked, and would end each wait. Without a descriptor to wait for
    /// (there may be too many) it is looked at from time to time.
    Closed(Option<Changes>),
}

/// Becomes readable when something happens at a master, once each time (`EPOLLET`).
#[derive(Debug)]
pub(super) struct Changes(OwnedFd);

impl Changes {
    pub(super) fn of(master: &OwnedFd) -> Result<Self, Errno> {
        let changes = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&changes, master, epoll::EventData::new_u64(0), flags)?;
        Ok(Self(changes))
    }

    /// Before the master is looked at: what happens afterwards is told again.
    pub(super) fn consume(&self) {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = epoll::wait(&self.0, &mut events[..], Some(&now));
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

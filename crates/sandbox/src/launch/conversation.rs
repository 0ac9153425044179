//! The runtime's end of the socket to init.
//!
//! Runs in the runtime. Each wait watches the process too and has a deadline.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use init::report::{Kind, NO_SOURCE, REPORT_BYTES, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::stamps::Stamps;

/// What init said.
#[derive(Debug)]
pub enum Message {
    /// It waits at this step.
    Waiting(Report),
    /// It waits for `start`.
    Ready,
    /// Another process goes on, held by this pidfd.
    Forked {
        /// Its pid in the runtime's pid namespace.
        pid: i32,
        /// Holds it.
        pidfd: OwnedFd,
    },
    /// It waits at this step, and this is to be worked on: a detached mount, or a file system that is being made.
    Offered {
        /// Where it waits.
        report: Report,
        /// What is.
        offered: OwnedFd,
    },
    /// It waits at this step for a descriptor of its source, which it can't reach itself.
    Seeking {
        /// Where it waits.
        report: Report,
        /// The root of its mount namespace.
        root: OwnedFd,
    },
    /// It is about to install a filter with a listener.
    Filtering(Filtering),
    /// A step failed.
    Failed(Report),
    /// The socket was closed: init has become the program, or is gone.
    Closed,
}

/// Sends bytes with a descriptor (`SCM_RIGHTS`), as one message.
pub(crate) fn send_descriptor(socket: impl AsFd, bytes: &[u8], descriptor: impl AsFd) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[io::IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a descriptor that was sent: it is there already, so the call neither waits nor is interrupted.
///
/// # Errors
/// What recvmsg says; EMFILE where it can't arrive for want of a number.
pub(crate) fn receive_descriptor(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [io::IoSliceMut::new(&mut byte)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut buffers, &mut ancillary, flags)?;
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let absent = if message.bytes > 0 { Errno::MFILE.into() } else { io::ErrorKind::UnexpectedEof.into() };
    received.ok_or(absent)
}

/// Init installs a filter with a listener, then waits until that was handed over.
#[derive(Debug)]
pub struct Filtering {
    /// A userfaultfd: readable when the filter is in place. Closed, init ends.
    pub watcher: OwnedFd,
    /// The listener's number in init.
    pub listener: i32,
}

/// The socket.
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    /// When init's steps began, where that is traced.
    stamps: RefCell<Stamps>,
}

impl Conversation {
    /// Takes the runtime's end.
    pub const fn new(socket: OwnedFd) -> Self {
        Self { socket, stamps: RefCell::new(Stamps::new(Vec::new())) }
    }

    /// Takes the runtime's end from a socket through which the child of a clone has sent it, before it was executed.
    pub(super) fn receive_channel(socket: &OwnedFd, names: Vec<&'static str>) -> io::Result<Self> {
        let stamps = RefCell::new(Stamps::new(names));
        Ok(Self { socket: receive_descriptor(socket)?, stamps })
    }

    /// Lets init go on.
    ///
    /// # Errors
    /// EPIPE where init is gone.
    pub fn go(&self) -> io::Result<()> {
        send(&self.socket, &[1], SendFlags::NOSIGNAL).map(drop).map_err(Into::into)
    }

    /// Gives init the network namespace, or the source of a mount, that it waits for.
    ///
    /// # Errors
    /// EPIPE where init is gone.
    pub fn give(&self, awaited: BorrowedFd<'_>) -> io::Result<()> {
        send_descriptor(&self.socket, &[1], awaited)
    }

    /// Tells init that there is no source for it.
    ///
    /// # Errors
    /// EPIPE where init is gone.
    pub fn deny(&self) -> io::Result<()> {
        send(&self.socket, &[NO_SOURCE], SendFlags::NOSIGNAL).map(drop).map_err(Into::into)
    }

    /// Waits for what init says next.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed; what recvmsg says.
    pub fn receive(&self, deadline: Option<Instant>) -> io::Result<Message> {
        loop {
            let Some(message) = self.receive_any(deadline)? else { continue };
            if matches!(message, Message::Closed | Message::Ready | Message::Failed(_)) {
                self.stamps.borrow_mut().finish();
            }
            return Ok(message);
        }
    }

    /// `None`: a step has begun.
    fn receive_any(&self, deadline: Option<Instant>) -> io::Result<Option<Message>> {
        if let Some(deadline) = deadline {
            wait_readable(&[self.socket.as_fd()], deadline)?;
        }
        let mut bytes = [0; REPORT_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut buffers = [io::IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                // ECONNRESET: init ended with something of ours unread. That is said first and once; then comes what it
                // had reported, then end-of-file.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                result => break result?,
            }
        };
        if received.bytes == 0 {
            return Ok(Some(Message::Closed));
        }
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed report of init");
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(malformed());
        }
        let report = Report::from_bytes(&bytes[..received.bytes]).ok_or_else(malformed)?;
        let mut descriptor = || {
            let first = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            first.ok_or_else(malformed)
        };
        Ok(Some(match report.kind {
            Kind::Stamped => {
                let at_ns = u64::from(report.errno) << 32 | u64::from(report.call);
                self.stamps.borrow_mut().add(report.step, at_ns);
                return Ok(None);
            }
            Kind::Failed => Message::Failed(report),
            Kind::Waiting => Message::Waiting(report),
            Kind::Ready => Message::Ready,
            Kind::Forked => {
                let pid = report.errno as i32;
                // The descriptor may not have arrived, for want of numbers. The process is our child, and not reaped: its
                // pid is its own.
                let held = |_| match Pid::from_raw(pid) {
                    Some(pid) => Ok(pidfd_open(pid, PidfdFlags::empty())?),
                    None => Err(malformed()),
                };
                Message::Forked { pid, pidfd: descriptor().or_else(held)? }
            }
            Kind::Offered => Message::Offered { report, offered: descriptor()? },
            Kind::Seeking => Message::Seeking { report, root: descriptor()? },
            Kind::Filtering => {
                Message::Filtering(Filtering { watcher: descriptor()?, listener: report.errno as i32 })
            }
        }))
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until one of the descriptors is readable (a pidfd: its process has ended).
///
/// # Errors
/// `TimedOut` when the deadline has passed.
pub(crate) fn wait_readable(descriptors: &[BorrowedFd<'_>], deadline: Instant) -> io::Result<usize> {
    let mut polled: Vec<_> =
        descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN)).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left.max(Duration::from_nanos(1))).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {
                let ready = polled.iter().position(|polled| !polled.revents().is_empty());
                return Ok(ready.unwrap_or(0));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

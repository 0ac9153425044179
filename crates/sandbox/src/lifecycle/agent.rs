//! The agent that answers calls of which a filter notifies (`SCMP_ACT_NOTIFY`), and how it gets the listener.
//!
//! Runs in the runtime. Init can't send the descriptor itself: once the filter is in place, any call that it makes may
//! be denied, or be one that waits for the agent. So init sends a userfaultfd beforehand, installs the filter, and reads
//! a page that is not there, which is no call. The runtime hears of the fault, takes the listener (`pidfd_getfd(2)`),
//! sends it, and gives the page. Where it does not, init ends: a container never runs whose calls nobody answers.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use init::report::HANDED_OVER;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde_json::{Value, json};
use spec::Config;
use spec::config::Listener;

use crate::error::{Error, Result};
use crate::launch::{Filtering, wait_readable};
use crate::sys;

/// How long an agent may take to accept the connection, and to read what it is sent.
const AGENT_DEADLINE: Duration = Duration::from_secs(5);

/// How long a kernel may take to install a filter.
const FILTER_DEADLINE: Duration = Duration::from_secs(60);

/// What the taking of the listener out of init is called in an error.
const FETCH: &str = "take the listener (pidfd_getfd) for seccomp agent";

/// runc's words, which its callers look for.
const CONNECT: &str = "failed to connect with seccomp agent";

/// Whom the listener is of.
#[derive(Debug)]
pub(super) struct Handover<'a> {
    /// The container's config.
    pub config: &'a Config,
    /// A relative `listenerPath` begins here.
    pub bundle: &'a Path,
    /// The process that installs the filter …
    pub pid: i32,
    /// … held.
    pub pidfd: BorrowedFd<'a>,
    /// The socket to it: it becomes readable where the filter can't be installed.
    pub conversation: BorrowedFd<'a>,
    /// The container's state document.
    pub state: Value,
}

/// Whether the listener has gone to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// Init goes on.
    Over,
    /// Init has something else to say, or has ended.
    NotYet,
}

impl Handover<'_> {
    /// Follows init through the installation, and hands the listener over.
    ///
    /// # Errors
    /// [`Error::Listener`]; init ends by itself then.
    pub(super) fn follow(&self, filtering: &Filtering) -> Result<Handed> {
        // The plan asks for a listener because the config names one.
        let Some(listener) = listener_of(self.config) else { return Ok(Handed::NotYet) };
        let watched = [filtering.watcher.as_fd(), self.conversation, self.pidfd];
        match wait_readable(&watched, Instant::now() + FILTER_DEADLINE) {
            Ok(0) => {}
            Ok(_) => return Ok(Handed::NotYet),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Error::Deadline("init")),
            Err(error) => return Err(Error::host("wait for the filter", error)),
        }
        let page = read_fault(&filtering.watcher).map_err(|error| Error::host("read the fault", error))?;
        let descriptor = pidfd_getfd(self.pidfd, filtering.listener, PidfdGetfdFlags::empty())
            .map_err(|errno| error(listener, FETCH, errno.into()))?;
        let agent = open_agent(listener, self.bundle)?;
        self.send(&agent, &descriptor, &listener.metadata)
            .map_err(|source| error(listener, "send the listener to seccomp agent", source))?;
        match sys::give_page(filtering.watcher.as_fd(), page, HANDED_OVER) {
            // It has been killed: its end is what is found next.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(Handed::NotYet),
            result => result.map(|()| Handed::Over).map_err(|error| Error::host("let init go on", error)),
        }
    }

    /// One *container process state* (config-linux.md, Seccomp), the descriptor with its first byte.
    fn send(&self, agent: &OwnedFd, listener: &OwnedFd, metadata: &str) -> io::Result<()> {
        let mut document = json!({
            "ociVersion": spec::VERSION,
            "fds": ["seccompFd"],
            "pid": self.pid,
            "state": self.state,
        });
        if !metadata.is_empty() {
            document["metadata"] = metadata.into();
        }
        let bytes = document.to_string().into_bytes();
        let deadline = Instant::now() + AGENT_DEADLINE;
        let mut sent = 0;
        while sent < bytes.len() {
            wait_writable(agent, self.pidfd, deadline)?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let descriptors = [listener.as_fd()];
            if sent == 0 {
                ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(agent, &[IoSlice::new(&bytes[sent..])], &mut ancillary, flags) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Looks, before anything is done, whether somebody holds the agent's socket; the agent does not hear of it: the kernel
/// refuses to connect sockets of different types, but only where there is one to connect to.
///
/// # Errors
/// [`Error::Listener`]
pub(super) fn probe(config: &Config, bundle: &Path) -> Result<()> {
    let Some(listener) = listener_of(config) else { return Ok(()) };
    let probe = || -> io::Result<()> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        match connect(&socket, &address(listener, bundle)?) {
            Err(Errno::PROTOTYPE) => Ok(()),
            Ok(()) => Err(Errno::PROTOTYPE.into()),
            Err(errno) => Err(errno.into()),
        }
    };
    probe().map_err(|source| error(listener, CONNECT, source))
}

fn listener_of(config: &Config) -> Option<&Listener> {
    config.linux.seccomp.as_ref().filter(|_| config.process.is_some())?.listener.as_ref()
}

fn open_agent(listener: &Listener, bundle: &Path) -> Result<OwnedFd> {
    let open = || -> io::Result<OwnedFd> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // connect waits as long where the agent's backlog is full.
        set_socket_timeout(&socket, Timeout::Send, Some(AGENT_DEADLINE))?;
        match connect(&socket, &address(listener, bundle)?) {
            Err(Errno::AGAIN) => Err(Errno::TIMEDOUT.into()),
            result => result.map(|()| socket).map_err(Into::into),
        }
    };
    open().map_err(|source| error(listener, CONNECT, source))
}

/// A name that begins with `@` is an abstract one, as for runc.
fn address(listener: &Listener, bundle: &Path) -> io::Result<SocketAddrUnix> {
    let address = match listener.path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(&*bundle.join(&*listener.path)),
    };
    address.map_err(Into::into)
}

fn error(listener: &Listener, action: &'static str, source: io::Error) -> Error {
    Error::Listener { action, agent: listener.path.to_string(), source }
}

/// Where the page begins that init waits for (`struct uffd_msg`; the kernel rounds the address).
fn read_fault(watcher: &OwnedFd) -> io::Result<u64> {
    const PAGEFAULT: u8 = 0x12;
    let mut message = [0; 32];
    let length = rustix::io::read(watcher, &mut message)?;
    let address = message[16..24].try_into().map(u64::from_ne_bytes);
    match address {
        Ok(address) if length == message.len() && message[0] == PAGEFAULT => Ok(address),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a page fault")),
    }
}

/// Waits until the socket takes more, as long as the process lives.
fn wait_writable(socket: &OwnedFd, process: BorrowedFd<'_>, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left.max(Duration::from_nanos(1))).ok();
        let mut polled = [
            PollFd::from_borrowed_fd(process, PollFlags::IN),
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT),
        ];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Err(Errno::TIMEDOUT.into()),
            Ok(_) if !polled[0].revents().is_empty() => {
                return Err(io::Error::other("the process has ended"));
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

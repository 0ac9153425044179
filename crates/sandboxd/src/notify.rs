//! `sd_notify(3)` from inside a container: what its process says is passed on to who started the runtime.
//!
//! As runc does it: the container sees a socket of the runtime's, never the service manager's own. When it says that it
//! is ready, the service manager hears so, and which process to watch; a barrier makes sure that it has read both
//! before the runtime goes.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::error::{Context as _, Result};

const VARIABLE: &str = "NOTIFY_SOCKET";
const NAME: &str = "notify.sock";
/// No message is longer (systemd's own limit).
const MOST_BYTES: usize = 4096;
/// How long the service manager may take to read what it was told.
const BARRIER: Duration = Duration::from_secs(30);

/// Until when messages are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The container is ready, or has ended.
    Ready,
    /// The container has ended.
    End,
}

/// The address of who wants to be told, if somebody does.
pub(crate) fn wanted() -> Option<OsString> {
    env::var_os(VARIABLE).filter(|address| !address.is_empty())
}

/// A socket that is connected to the service manager's.
#[derive(Debug)]
pub(crate) struct ServiceManager(UnixDatagram);

impl ServiceManager {
    /// `None` where nobody wants to be told.
    pub(crate) fn connect() -> Option<Result<Self>> {
        let address = wanted()?;
        Some(connect(&address).map(Self).context(|| format!("connect to {VARIABLE} {}", address.display())))
    }
}

/// The two ends.
#[derive(Debug)]
pub(crate) struct Notify {
    /// What the container writes to.
    container: UnixDatagram,
    manager: ServiceManager,
}

impl Notify {
    /// Binds the container's socket in its directory. `None` where the container was made without such a directory.
    ///
    /// # Errors
    /// Of the calls.
    pub(crate) fn bind(directory: &Path, manager: ServiceManager) -> Result<Option<Self>> {
        // By descriptor: an address has at most 107 bytes.
        let held = match fs::File::open(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            held => held.context(|| format!("open {}", directory.display()))?,
        };
        let path = format!("/proc/self/fd/{}/{NAME}", held.as_raw_fd());
        let bind = || -> io::Result<UnixDatagram> {
            // Of a `start` that did not come to its end.
            let _ = fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path)?;
            // Whatever user the process is.
            fs::set_permissions(&path, Permissions::from_mode(0o777))?;
            Ok(socket)
        };
        let container = bind().context(|| format!("bind {}", directory.join(NAME).display()))?;
        Ok(Some(Self { container, manager }))
    }

    /// Passes on what the container says. The service manager is told to watch `main_pid` when it is ready.
    ///
    /// # Errors
    /// Of the calls.
    pub(crate) fn forward(&self, init: BorrowedFd<'_>, main_pid: u32, until: Until) -> Result<()> {
        let mut bytes = [0; MOST_BYTES];
        loop {
            let mut polled =
                [PollFd::new(&self.container, PollFlags::IN), PollFd::from_borrowed_fd(init, PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context(|| "poll".to_owned()),
            }
            let ended = !polled[1].revents().is_empty();
            if polled[0].revents().is_empty() {
                if ended {
                    return Ok(());
                }
                continue;
            }
            let length = self.container.recv(&mut bytes).context(|| format!("read {NAME}"))?;
            let message = chosen(&bytes[..length]);
            if message.is_empty() {
                continue;
            }
            self.send(&message)?;
            if message.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"READY=")) {
                self.send(format!("MAINPID={main_pid}\n").as_bytes())?;
                self.barrier()?;
                if until == Until::Ready {
                    return Ok(());
                }
            }
        }
    }

    fn send(&self, message: &[u8]) -> Result<()> {
        self.manager.0.send(message).map(drop).context(|| format!("write to {VARIABLE}"))
    }

    /// `sd_notify_barrier(3)`: the other end closes a descriptor when it has read all that was sent before.
    fn barrier(&self) -> Result<()> {
        let context = || format!("write to {VARIABLE}");
        let (ours, theirs) = io::pipe().context(|| "pipe".to_owned())?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [theirs.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let message = [IoSlice::new(b"BARRIER=1")];
        rustix::net::sendmsg(&self.manager.0, &message, &mut ancillary, SendFlags::NOSIGNAL)
            .context(context)?;
        drop(theirs);
        let mut polled = [PollFd::new(&ours, PollFlags::IN)];
        // Who does not know barriers closes it too when it reads the message. At the deadline we go on as runc does.
        let deadline = Timespec::try_from(BARRIER).ok();
        let _ = rustix::event::poll(&mut polled, deadline.as_ref());
        Ok(())
    }
}

/// A path, or `@` and an abstract name.
fn connect(address: &OsString) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

/// The lines that may go to the service manager: a container must not name processes of the host or store descriptors.
fn chosen(message: &[u8]) -> Vec<u8> {
    let passed = |line: &&[u8]| {
        [&b"READY="[..], b"STATUS=", b"ERRNO=", b"EXTEND_TIMEOUT_USEC="]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let mut chosen = Vec::new();
    for line in message.split(|byte| *byte == b'\n').filter(passed) {
        chosen.extend_from_slice(line);
        chosen.push(b'\n');
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_keeps_only_what_concerns_the_container() {
        assert_eq!(chosen(b"STATUS=up\nMAINPID=1\nREADY=1\nFDSTORE=1"), b"STATUS=up\nREADY=1\n");
        assert_eq!(chosen(b"WATCHDOG=1"), b"");
    }
}

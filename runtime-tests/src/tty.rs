//! Terminals: the console socket that receives a pty's master end, and a pty of our own for foreground runs.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::wait::{DEADLINE, readable, stretched};

/// A listening console socket.
#[derive(Debug)]
pub struct ConsoleSocket {
    /// Its path.
    pub path: PathBuf,
    listener: UnixListener,
}

impl ConsoleSocket {
    /// Listens at `path`.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn listen(path: &Path) -> Self {
        Self { path: path.to_owned(), listener: UnixListener::bind(path).expect("bind the console socket") }
    }

    /// Accepts the connection and receives the master.
    ///
    /// # Panics
    /// At the deadline, or when no descriptor comes.
    #[must_use]
    pub fn receive(&self) -> Master {
        assert!(readable(&self.listener, stretched(DEADLINE)), "nobody connected to the console socket");
        let (stream, _) = self.listener.accept().expect("accept");
        assert!(readable(&stream, stretched(DEADLINE)), "nothing on the console socket");
        let fd = receive_fd(&stream).expect("a descriptor on the console socket");
        Master::new(fd)
    }

    /// Whether nobody has connected.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !readable(&self.listener, Duration::ZERO)
    }
}

/// Receives a descriptor, if one comes with the next message.
#[must_use]
pub fn receive_fd(stream: &UnixStream) -> Option<OwnedFd> {
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

/// The master end of a pty.
#[derive(Debug)]
pub struct Master {
    file: File,
    seen: String,
}

impl Master {
    fn new(fd: OwnedFd) -> Self {
        Self { file: fd.into(), seen: String::new() }
    }

    /// A pty of our own: its master, and its other end for a child's standard streams.
    ///
    /// # Panics
    /// When there is no devpts.
    #[must_use]
    pub fn pair() -> (Self, File) {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("open a pty");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let peer = ioctl_tiocgptpeer(&master, flags).expect("TIOCGPTPEER");
        (Self::new(master), peer.into())
    }

    /// Sets the window size.
    ///
    /// # Panics
    /// When it is no terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.file.as_fd(), size).expect("TIOCSWINSZ");
    }

    /// Types a line.
    ///
    /// # Panics
    /// When the other end is gone.
    pub fn type_line(&mut self, line: &str) {
        write!(self.file, "{line}\r").expect("write to the pty");
    }

    /// Types what is given, as it is.
    ///
    /// # Panics
    /// When the other end is gone.
    pub fn type_text(&mut self, text: &str) {
        write!(self.file, "{text}").expect("write to the pty");
    }

    /// Reads until `text` has appeared: all that was read so far.
    ///
    /// # Panics
    /// At the deadline, or when the other end is closed before.
    pub fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + stretched(DEADLINE);
        while !self.seen.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.read_some(left), "`{text}` did not appear on the terminal: {:?}", self.seen);
        }
        std::mem::take(&mut self.seen)
    }

    /// Reads until every process has closed the other end.
    ///
    /// # Panics
    /// At the deadline.
    pub fn until_closed(&mut self) -> String {
        let end = Instant::now() + stretched(DEADLINE);
        while self.read_some(end.saturating_duration_since(Instant::now())) {}
        assert!(Instant::now() < end, "the terminal is still open: {:?}", self.seen);
        std::mem::take(&mut self.seen)
    }

    fn read_some(&mut self, left: Duration) -> bool {
        if !readable(&self.file, left) {
            return false;
        }
        let mut buffer = [0; 4096];
        // EIO is how a pty says that the other end is closed.
        let count = self.file.read(&mut buffer).unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        count > 0
    }
}

//! A process's terminal, from the caller's side: who gets the master, and what can be done with it.
//!
//! Runs in the runtime.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::termios::{Winsize, tcsetwinsize};
use spec::config::ConsoleSize;

use crate::error::{Error, Result};
use crate::launch::receive_descriptor;

/// Who gets the master of a process's terminal.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Console {
    /// Nobody: a process that asks for a terminal is refused.
    #[default]
    None,
    /// Whoever is at the other end of this connected `AF_UNIX` socket (`--console-socket`).
    Socket(OwnedFd),
    /// The caller: where the process has a terminal, it comes with it, as [`Process::terminal`](crate::Process::terminal).
    Kept,
}

impl From<OwnedFd> for Console {
    fn from(socket: OwnedFd) -> Self {
        Self::Socket(socket)
    }
}

impl From<UnixStream> for Console {
    fn from(socket: UnixStream) -> Self {
        Self::Socket(socket.into())
    }
}

impl Console {
    /// That it fits a process with or without a terminal. In runc's words.
    ///
    /// # Errors
    /// [`Error::Request`]
    pub(crate) fn check(&self, terminal: bool) -> Result<()> {
        match (terminal, self) {
            (true, Self::None) => {
                Err(Error::Request("cannot allocate tty if runc will detach without setting console socket"))
            }
            (false, Self::Socket(_)) => {
                Err(Error::Request("cannot use console socket if runc will not detach or allocate tty"))
            }
            _ => Ok(()),
        }
    }

    /// The socket over which the master is going to be sent, of a process with or without a terminal.
    ///
    /// # Errors
    /// Of socketpair.
    pub(crate) fn open(&self, terminal: bool) -> Result<OpenConsole<'_>> {
        Ok(match self {
            Self::Socket(socket) if terminal => OpenConsole::Socket(socket.as_fd()),
            Self::Kept if terminal => {
                let (ours, theirs) =
                    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                        .map_err(|errno| Error::host("socketpair", errno.into()))?;
                OpenConsole::Kept { ours, theirs }
            }
            _ => OpenConsole::None,
        })
    }
}

/// The way of a master that is still to be sent.
#[derive(Debug)]
pub(crate) enum OpenConsole<'a> {
    None,
    Socket(BorrowedFd<'a>),
    Kept { ours: OwnedFd, theirs: OwnedFd },
}

impl OpenConsole<'_> {
    /// What it is sent over.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::None => None,
            Self::Socket(socket) => Some(*socket),
            Self::Kept { theirs, .. } => Some(theirs.as_fd()),
        }
    }

    /// The caller's master, which has been sent.
    ///
    /// # Errors
    /// None was.
    pub(crate) fn into_terminal(self) -> Result<Option<Terminal>> {
        let Self::Kept { ours, .. } = self else { return Ok(None) };
        let master = receive_descriptor(ours).map_err(|error| Error::host("receive the terminal", error))?;
        Ok(Some(Terminal(master.into())))
    }
}

/// The master of a process's terminal: what is written to it is the process's input, what is read from it its output.
///
/// Keep it for as long as the process is there: with it the terminal hangs up (SIGHUP for its session).
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// Gives it a size, in characters; the process that is in its foreground is told (SIGWINCH).
    ///
    /// # Errors
    /// Of the ioctl `TIOCSWINSZ`.
    pub fn resize(&self, size: ConsoleSize) -> Result<()> {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.0, size).map_err(|errno| Error::host("resize the terminal", errno.into()))
    }
}

/// As long as no process has the terminal open, reading is at an end; one may open it again later.
impl Read for &Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (&self.0).read(buffer) {
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(0),
            read => read,
        }
    }
}

impl Write for &Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Terminal {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<Terminal> for OwnedFd {
    fn from(terminal: Terminal) -> Self {
        terminal.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::send_descriptor;

    #[test]
    fn fits_a_terminal_or_none() {
        let socket = || Console::from(UnixStream::pair().unwrap().0);
        assert!(Console::None.check(false).is_ok() && Console::None.check(true).is_err());
        assert!(socket().check(true).is_ok() && socket().check(false).is_err());
        assert!(Console::Kept.check(true).is_ok() && Console::Kept.check(false).is_ok());
        assert!(Console::Kept.open(false).unwrap().into_terminal().unwrap().is_none());
    }

    #[test]
    fn master_comes_over_a_socket() {
        let kept = Console::Kept.open(true).unwrap();
        let error = kept.into_terminal().unwrap_err().to_string();
        assert!(error.starts_with("receive the terminal: "), "{error}");

        let kept = Console::Kept.open(true).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send_descriptor(kept.socket().unwrap(), b"/dev/pts/0", writer).unwrap();
        let mut received = kept.into_terminal().unwrap().unwrap();
        received.write_all(b"hello").unwrap();
        drop(received);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}

//! A process that we made: what its maker can do with it.
//!
//! Runs in the runtime.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::{ExitStatus, Output};
use std::sync::OnceLock;
use std::time::Instant;

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use super::collect::{Collected, Source, collect};
use crate::console::Terminal;
use crate::error::{Error, Result};
use crate::launch::{self, wait_readable};
use crate::streams::Pipes;
use crate::sys::send_signal;

/// A process that was made for the caller, and is its child: a container's first, or one executed in it.
///
/// Nothing happens to it when this is dropped, but that its terminal hangs up where that is kept here. However it ends, also by a [`Runtime::start`](crate::Runtime::start) that fails or by
/// [`Runtime::delete`](crate::Runtime::delete), it stays a zombie of the caller until it is waited for, here or by `waitpid`.
#[derive(Debug)]
pub struct Process {
    /// Its pid in the runtime's pid namespace. For signals there is [`Process::kill`]: a pid may be another's by then.
    pub pid: i32,
    /// Becomes readable when it ends, in `poll(2)` as in every event loop.
    pub pidfd: OwnedFd,
    /// Where its input is written to, where a pipe was asked for.
    pub stdin: Option<PipeWriter>,
    /// Where its output is read from, where a pipe was asked for.
    pub stdout: Option<PipeReader>,
    /// Where its error output is read from, where a pipe was asked for.
    pub stderr: Option<PipeReader>,
    /// Its terminal, where it has one that the caller keeps ([`Console::Kept`](crate::Console::Kept)).
    pub terminal: Option<Terminal>,
    /// How it has ended, once that was waited for: the kernel says it once.
    ended: OnceLock<ExitStatus>,
}

impl Process {
    pub(super) fn new(pid: i32, pidfd: OwnedFd, pipes: Pipes, terminal: Option<Terminal>) -> Self {
        let Pipes { stdin, stdout, stderr } = pipes;
        Self { pid, pidfd, stdin, stdout, stderr, terminal, ended: OnceLock::new() }
    }

    /// Sends a signal by number.
    ///
    /// # Errors
    /// ESRCH where it has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        send_signal(self.pidfd.as_fd(), signal).map_err(|error| Error::host("pidfd_send_signal", error))
    }

    /// Waits for its end; how that was is told as often as it is asked. Its input is left open: a process that reads to the
    /// end of it needs [`stdin`](Self::stdin) dropped before.
    ///
    /// # Errors
    /// ECHILD where somebody else has waited for it, or this program ignores SIGCHLD, and the kernel (before 6.15) does not
    /// tell any more.
    pub fn wait(&self) -> Result<ExitStatus> {
        if let Some(ended) = self.ended.get() {
            return Ok(*ended);
        }
        let ended =
            launch::wait(self.pidfd.as_fd()).and_then(|status| status.ok_or_else(|| Errno::CHILD.into()));
        match (ended, self.ended.get()) {
            // Another thread was faster.
            (_, Some(ended)) => Ok(*ended),
            (Ok(status), None) => Ok(*self.ended.get_or_init(|| status)),
            (Err(error), None) => Err(Error::host("waitid", error)),
        }
    }

    /// How it has ended; `None` as long as it hasn't.
    ///
    /// # Errors
    /// As of [`Process::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.wait_until(Instant::now())
    }

    /// Waits for its end until a moment; `None` where that comes first.
    ///
    /// # Errors
    /// As of [`Process::wait`].
    pub fn wait_until(&self, deadline: Instant) -> Result<Option<ExitStatus>> {
        match wait_readable(&[self.pidfd.as_fd()], deadline) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(Error::host("poll", error)),
            Ok(_) => self.wait().map(Some),
        }
    }

    /// Closes its input, reads its output until it ends, and waits for it: [`Process::collect`] without a limit.
    ///
    /// # Errors
    /// A pipe can't be read; as of [`Process::wait`].
    pub fn wait_with_output(&mut self) -> Result<Output> {
        let Collected { stdout, stderr, .. } = self.collect(None, usize::MAX)?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }

    /// Closes its input, reads its output until it ends or until a moment, and waits for it. Of each stream at most so many bytes
    /// are kept; the rest is read all the same. Processes that it leaves behind may have the pipes open: what they write later
    /// is not waited for. What is read from a [terminal](Self::terminal) counts as standard output; its input can't be closed.
    ///
    /// Where it has ended, pipes and terminal are closed. Where it has not, they are as they were, but don't block any more: it can
    /// be asked again, for what comes from then on.
    ///
    /// # Errors
    /// A pipe can't be read; as of [`Process::wait`].
    pub fn collect(&mut self, until: Option<Instant>, most_bytes: usize) -> Result<Collected> {
        let host = |error| Error::host("read", error);
        self.stdin = None;
        // Open here, it is never at its end, and can't be taken for it while its processes have closed it for a moment.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let _held = self.terminal.as_ref().map(|terminal| ioctl_tiocgptpeer(terminal, flags)).transpose();
        let terminal = self.terminal.as_ref().map(AsFd::as_fd);
        let files =
            [self.stdout.as_ref().map(AsFd::as_fd).or(terminal), self.stderr.as_ref().map(AsFd::as_fd)];
        let mut sources = Vec::with_capacity(2);
        for file in files {
            sources.push(file.map(|file| Source::new(file, most_bytes)).transpose().map_err(host)?);
        }
        let ended = collect(self.pidfd.as_fd(), &mut sources, until).map_err(host)?;
        let mut collected = Collected { status: None, ..Collected::default() };
        let texts = [&mut collected.stdout, &mut collected.stderr];
        for (text, source) in texts.into_iter().zip(sources) {
            let Some(source) = source else { continue };
            *text = source.text;
            collected.truncated |= source.truncated;
        }
        if ended {
            collected.status = Some(self.wait()?);
            (self.stdout, self.stderr, self.terminal) = (None, None, None);
        }
        Ok(collected)
    }
}

impl AsFd for Process {
    /// The pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Process {
    /// The pidfd.
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

//! What a process prints, collected until it ends.
//!
//! Runs in the runtime.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What a process has printed, and how it has ended: of [`Process::collect`](crate::Process::collect).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// How it has ended; `None` where it had not until the deadline.
    pub status: Option<ExitStatus>,
    /// Its standard output, or what its terminal has shown.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether there was more than was to be kept.
    pub truncated: bool,
}

/// How much is read of one source before the others, the deadline and the end are looked at again: as much as a pipe may hold
/// (`fs.pipe-max-size`), so that what an ended process has left is read whole, and nobody who goes on writing is read for ever.
const MOST_AT_ONCE: usize = 1 << 20;

/// What is read from.
pub(super) struct Source<'a> {
    file: BorrowedFd<'a>,
    most_bytes: usize,
    pub(super) text: Vec<u8>,
    pub(super) truncated: bool,
    /// Whether somebody has the other end open.
    open: bool,
}

impl<'a> Source<'a> {
    /// Of what at most so many bytes are kept; it does not block from now on.
    pub(super) fn new(file: BorrowedFd<'a>, most_bytes: usize) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(file, true)?;
        Ok(Self { file, most_bytes, text: Vec::new(), truncated: false, open: true })
    }

    /// Reads what is there.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let mut left = MOST_AT_ONCE;
        while left > 0 {
            match rustix::io::read(self.file, &mut buffer) {
                Ok(0) => {
                    self.open = false;
                    break;
                }
                Ok(length) => {
                    let kept = length.min(self.most_bytes - self.text.len());
                    self.text.extend_from_slice(&buffer[..kept]);
                    self.truncated |= kept < length;
                    left = left.saturating_sub(length);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Reads all until the process has ended, and then what is in them. Whether it has ended until the deadline.
pub(super) fn collect(
    process: BorrowedFd<'_>,
    sources: &mut [Option<Source<'_>>],
    until: Option<Instant>,
) -> io::Result<bool> {
    loop {
        let mut polled = vec![PollFd::from_borrowed_fd(process, PollFlags::IN)];
        let open = sources.iter().flatten().filter(|source| source.open);
        polled.extend(open.map(|source| PollFd::from_borrowed_fd(source.file, PollFlags::IN)));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let ready = match poll(&mut polled, timeout.as_ref()) {
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        let ended = !polled[0].revents().is_empty();
        drop(polled);
        for source in sources.iter_mut().flatten().filter(|source| source.open) {
            source.read()?;
        }
        if ended {
            return Ok(true);
        }
        // Looked at with whatever else is ready, too: who never stops printing does not put it off.
        if ready == 0 || until.is_some_and(|until| until <= Instant::now()) {
            return Ok(false);
        }
    }
}

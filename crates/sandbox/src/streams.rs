//! The three streams of a process: the caller's own, the null device, a pipe, or any descriptor.
//!
//! Runs in the runtime.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use init::wire::Descriptor;

use crate::error::{Error, Result};
use crate::launch::Inheritance;
use crate::probe;

/// What one stream of a process is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's own, as it is when the process is made.
    #[default]
    Inherit,
    /// The null device.
    Null,
    /// A new pipe; the caller's end comes with the process.
    Piped,
    /// Any open file. It stays the request's: closed with it, or used again.
    Descriptor(OwnedFd),
}

macro_rules! from_descriptor {
    ($($type:ty),*) => {$(
        impl From<$type> for Stdio {
            fn from(file: $type) -> Self {
                Self::Descriptor(file.into())
            }
        }
    )*};
}

from_descriptor!(OwnedFd, File, PipeReader, PipeWriter, UnixStream, TcpStream);

/// The streams of a process. Not used where it gets a terminal: that is all three.
#[derive(Debug, Default)]
pub struct Streams {
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

impl Streams {
    /// Nothing to read, and two pipes to read from: for a command whose output is wanted.
    pub const fn captured() -> Self {
        Self { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped }
    }

    fn all(&self) -> [&Stdio; 3] {
        [&self.stdin, &self.stdout, &self.stderr]
    }

    fn mask(&self, is: impl Fn(&Stdio) -> bool) -> u32 {
        let numbered = self.all().into_iter().enumerate();
        numbered.filter(|(_, stdio)| is(stdio)).fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// Bit n: stream n is not the caller's own.
    pub(crate) fn own(&self) -> u32 {
        self.mask(|stdio| !matches!(stdio, Stdio::Inherit))
    }

    /// Bit n: stream n is the null device; `inherited` says it of the caller's own.
    pub(crate) fn null(&self, inherited: u32) -> u32 {
        let null = |stdio: &Stdio| match stdio {
            Stdio::Null => true,
            Stdio::Descriptor(file) => probe::is_null_device(file.as_fd()),
            Stdio::Inherit | Stdio::Piped => false,
        };
        inherited & !self.own() | self.mask(null)
    }

    /// Opens what is to be opened for a new process.
    ///
    /// # Errors
    /// Of pipe2, or of the null device.
    pub(crate) fn open(&self) -> Result<OpenStreams<'_>> {
        let pipe = || io::pipe().map_err(|error| Error::host("pipe2", error));
        let mut open = OpenStreams::default();
        for (number, stdio) in self.all().into_iter().enumerate() {
            open.theirs[number] = match (stdio, number) {
                (Stdio::Inherit, _) => continue,
                (Stdio::Null, _) => {
                    let null = File::options().read(true).write(true).open("/dev/null");
                    Theirs::Owned(null.map_err(|error| Error::file("open", "/dev/null", error))?.into())
                }
                (Stdio::Descriptor(file), _) => Theirs::Borrowed(file.as_fd()),
                (Stdio::Piped, 0) => {
                    let (reader, writer) = pipe()?;
                    open.ours.stdin = Some(writer);
                    Theirs::Owned(reader.into())
                }
                (Stdio::Piped, number) => {
                    let (reader, writer) = pipe()?;
                    *(if number == 1 { &mut open.ours.stdout } else { &mut open.ours.stderr }) = Some(reader);
                    Theirs::Owned(writer.into())
                }
            };
        }
        Ok(open)
    }
}

/// The caller's ends of the pipes that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

#[derive(Debug, Default)]
enum Theirs<'a> {
    #[default]
    None,
    Owned(OwnedFd),
    Borrowed(BorrowedFd<'a>),
}

/// Streams that a process can be launched with.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams<'a> {
    theirs: [Theirs<'a>; 3],
    ours: Pipes,
}

impl OpenStreams<'_> {
    /// Adds the process's ends to what it inherits.
    pub(crate) fn inherit<'a>(&'a self, inheritance: &mut Inheritance<'a>) {
        for (number, theirs) in self.theirs.iter().enumerate() {
            let name = Descriptor::Stream(number as u16);
            match theirs {
                Theirs::None => {}
                Theirs::Owned(file) => inheritance.add(name, file.as_fd()),
                Theirs::Borrowed(file) => inheritance.add(name, *file),
            }
        }
    }

    /// The process has its ends: only the caller's are left.
    pub(crate) fn into_pipes(self) -> Pipes {
        self.ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_null_streams_are_told_apart() {
        let null = File::open("/dev/null").unwrap();
        let streams = Streams { stdin: null.into(), stdout: Stdio::Inherit, stderr: Stdio::Piped };
        assert_eq!(streams.own(), 0b101);
        assert_eq!(streams.null(0b111), 0b011);
        assert_eq!(Streams::default().null(0b101), 0b101);
        assert_eq!(Streams::captured().null(0b111), 0b001);
    }
}

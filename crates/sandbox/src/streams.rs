//! The three streams of a process: the caller's own, the null device, a pipe, or any descriptor.
//!
//! Runs in the runtime.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use init::wire::Descriptor;
use rustix::process::geteuid;

use crate::error::{Error, Result};
use crate::host::StreamKind;
use crate::launch::Inheritance;
use crate::probe;

/// What one stream of a process is.
#[derive(Debug, Default)]
#[non_exhaustive]
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

    /// Bit n: stream n is not the caller's own.
    pub(crate) fn own(&self) -> u32 {
        let numbered = self.all().into_iter().enumerate();
        let own = numbered.filter(|(_, stdio)| !matches!(stdio, Stdio::Inherit));
        own.fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// What each stream is; `inherited` says it of the caller's own.
    pub(crate) fn kinds(&self, inherited: [StreamKind; 3]) -> [StreamKind; 3] {
        let mut kinds = inherited;
        for (kind, stdio) in kinds.iter_mut().zip(self.all()) {
            match stdio {
                Stdio::Inherit => {}
                Stdio::Null => *kind = StreamKind::Null,
                Stdio::Piped => *kind = StreamKind::Pipe { owner: geteuid().as_raw() },
                Stdio::Descriptor(file) => *kind = probe::probe_stream(file.as_fd()),
            }
        }
        kinds
    }

    /// Opens what is to be opened for a new process, which gets `more` from 3 on.
    ///
    /// # Errors
    /// Of pipe2, or of the null device.
    pub(crate) fn open<'a>(&'a self, more: &'a [OwnedFd]) -> Result<OpenStreams<'a>> {
        let pipe = || io::pipe().map_err(|error| Error::host("pipe2", error));
        let mut open = OpenStreams { more, ..OpenStreams::default() };
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

/// Streams that a process can be launched with, and what it gets after them.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams<'a> {
    theirs: [Theirs<'a>; 3],
    more: &'a [OwnedFd],
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
        for (number, file) in (3..).zip(self.more) {
            inheritance.add(Descriptor::Stream(number), file.as_fd());
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
    fn kinds_of_streams_are_told_apart() {
        let null = File::open("/dev/null").unwrap();
        let streams = Streams { stdin: null.into(), stdout: Stdio::Inherit, stderr: Stdio::Piped };
        assert_eq!(streams.own(), 0b101);
        let inherited = [StreamKind::Other, StreamKind::Null, StreamKind::Pipe { owner: 7 }];
        let owner = geteuid().as_raw();
        let own = StreamKind::Pipe { owner };
        assert_eq!(streams.kinds(inherited), [StreamKind::Null, StreamKind::Null, own]);
        assert_eq!(Streams::default().kinds(inherited), inherited);
        assert_eq!(Streams::captured().kinds(inherited), [StreamKind::Null, own, own]);
        let (reader, _writer) = io::pipe().unwrap();
        let streams = Streams { stdin: reader.into(), ..Streams::default() };
        assert_eq!(streams.kinds(inherited)[0], own);
    }
}

//! What the contestants have as standard input, output and error: pipes, like under an engine. crun gives the owner of a
//! container's streams to its user, which is no business of the host's `/dev/null`.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Context, Failure, Result};
use crate::process::rendered;

/// One set for all.
#[derive(Debug)]
pub(super) struct Streams {
    /// At its end.
    input: OwnedFd,
    output: OwnedFd,
    drain: std::fs::File,
}

impl Streams {
    pub(super) fn open() -> Result<Self> {
        let (input, _) = pipe_with(PipeFlags::CLOEXEC).context("pipe")?;
        let (drain, output) = pipe_with(PipeFlags::CLOEXEC).context("pipe")?;
        rustix::fs::fcntl_setfl(&drain, OFlags::NONBLOCK).context("fcntl")?;
        Ok(Self { input, output, drain: drain.into() })
    }

    /// Gives a command these streams.
    pub(super) fn give<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        let copy = |stream: &OwnedFd| stream.try_clone().map(Stdio::from).context("dup");
        Ok(command.stdin(copy(&self.input)?).stdout(copy(&self.output)?).stderr(copy(&self.output)?))
    }

    /// Runs a command to its end; it must succeed. The failure says the first line of its output.
    pub(super) fn run(&self, command: &mut Command) -> Result<()> {
        let status = self.give(command)?.status().context(rendered(command))?;
        let said = self.drain();
        if status.success() {
            return Ok(());
        }
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        Err(Failure::new(format!("{}: {line}", rendered(command))))
    }

    /// What was written since the last time: never so much that a writer has to wait.
    pub(super) fn drain(&self) -> String {
        let mut said = Vec::new();
        // It ends with EAGAIN.
        let _ = (&self.drain).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }
}

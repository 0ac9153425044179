//! Running other programs.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::error::{Context, Failure, Result};

/// Where a program is: the name itself when it has a slash, else the first in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return PathBuf::from(name).canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Runs a command to its end; it must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context(rendered(command))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{}: {status}", rendered(command)))) }
}

/// What a command prints; it must succeed.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context(rendered(command))?;
    if !output.status.success() {
        return Err(Failure::new(format!("{}: {}", rendered(command), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command, whatever its end, with nothing on its standard input, and returns what it printed.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().context(rendered(command))
}

/// A command as one would type it.
pub(crate) fn rendered(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Waits for the end of a process that leads its own process group. When the deadline passes, the group is killed
/// and there is no status.
pub(crate) fn wait_until(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("open a pidfd")?;
    let timeout = Timespec::try_from(limit).context("deadline")?;
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).context("poll")?;
    if ended == 0 {
        kill_process_group(pid, Signal::KILL).context("kill")?;
        child.wait().context("wait")?;
        return Ok(None);
    }
    child.wait().map(Some).context("wait")
}

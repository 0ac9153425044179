//! What whoever makes a process has of it beside it: streams, a file with its pid, its pidfd.
//!
//! Runs in the runtime.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::{Error, Result};
use crate::launch::send_descriptor;
use crate::streams::Streams;

/// A terminal is all three streams.
pub(super) fn check_streams(terminal: bool, streams: &Streams) -> Result<()> {
    if terminal && streams.own() != 0 {
        return Err(Error::Request("a process with a terminal has no other streams"));
    }
    Ok(())
}

/// The number and nothing else, in a file that appears whole.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let error = |source| Error::file("write the pid file", path, source);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{pid}"));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::options().write(true).create_new(true).open(&temporary)?;
        file.write_all(pid.to_string().as_bytes())?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        error(source)
    })
}

/// Sends the pidfd to who asked for it.
pub(super) fn send_pidfd(socket: Option<&OwnedFd>, pidfd: &OwnedFd) -> Result<()> {
    let Some(socket) = socket else { return Ok(()) };
    send_descriptor(socket, b"pidfd", pidfd).map_err(|error| Error::host("send the pidfd", error))
}

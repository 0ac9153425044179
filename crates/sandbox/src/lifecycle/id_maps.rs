//! The id maps of a new user namespace, written while its init waits.
//!
//! Runs in the runtime. Who has no right to a map asks `newuidmap(1)` and `newgidmap(1)`, set-user-id programs of the
//! host that grant what `/etc/subuid` and `/etc/subgid` say.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Error, Result};
use crate::launch::wait_readable;
use crate::plan::{IdMaps, MapWriter};

/// How long a helper may take.
const HELPER_DEADLINE: Duration = Duration::from_secs(10);

/// Of what a helper prints, this much is kept for the error.
const MOST_OUTPUT_BYTES: u64 = 1024;

/// One of the two maps.
struct Map<'a> {
    /// `uid_map` or `gid_map`.
    file: &'static str,
    pointer: &'static str,
    helper: &'static str,
    ranges: &'static str,
    lines: &'a str,
    writer: MapWriter,
}

/// Writes the maps of a process's user namespace.
///
/// # Errors
/// [`Error::IdMap`], naming the field of the config.
pub(super) fn write_id_maps(maps: &IdMaps, pid: i32) -> Result<()> {
    let uid = Map {
        file: "uid_map",
        pointer: "/linux/uidMappings",
        helper: "newuidmap",
        ranges: "/etc/subuid",
        lines: &maps.uid,
        writer: maps.uid_writer,
    };
    let gid = Map {
        file: "gid_map",
        pointer: "/linux/gidMappings",
        helper: "newgidmap",
        ranges: "/etc/subgid",
        lines: &maps.gid,
        writer: maps.gid_writer,
    };
    if maps.gid_writer == MapWriter::OwnId {
        // The kernel's condition for a map without the right to one (user_namespaces(7)).
        gid.write_file(pid, "setgroups", "deny")?;
    }
    uid.write(pid)?;
    gid.write(pid)
}

impl Map<'_> {
    fn write(&self, pid: i32) -> Result<()> {
        // user_namespaces(7): a map is less than a page, whoever writes it.
        let page = rustix::param::page_size();
        if self.lines.len() >= page {
            let reason = format!("it is {} bytes long, the kernel takes fewer than {page}", self.lines.len());
            return Err(self.error(format!("write {}", self.file), reason));
        }
        match self.writer {
            // One write: the kernel takes a map whole or not at all.
            MapWriter::Runtime | MapWriter::OwnId => self.write_file(pid, self.file, self.lines),
            MapWriter::Helper => {
                self.run_helper(pid).map_err(|reason| self.error(self.helper.to_owned(), reason))
            }
        }
    }

    fn write_file(&self, pid: i32, file: &str, text: &str) -> Result<()> {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text)
            .map_err(|error| self.error(format!("write {path}"), crate::error::reason(&error)))
    }

    fn error(&self, action: String, reason: String) -> Error {
        Error::IdMap { pointer: self.pointer, action, reason }
    }

    /// The helper's own words in the error, and where its ranges come from.
    fn run_helper(&self, pid: i32) -> Result<(), String> {
        let plain = |error: io::Error| crate::error::reason(&error);
        let output =
            memfd_create(c"sandboxd-idmap", MemfdFlags::CLOEXEC).map_err(|errno| plain(errno.into()))?;
        let mut output = File::from(output);
        let mut command = Command::new(self.helper);
        command.arg(pid.to_string()).args(self.lines.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(output.try_clone().map_err(plain)?);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!(
                "not found in $PATH; a map of more than the caller's own id needs it (package uidmap), and a range in {}",
                self.ranges
            ),
            _ => plain(error),
        })?;
        let status = wait(&mut child).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            _ => plain(error),
        })?;
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        output.rewind().map_err(plain)?;
        output.take(MOST_OUTPUT_BYTES).read_to_end(&mut said).map_err(plain)?;
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        let said = said.strip_prefix(&format!("{}: ", self.helper)).unwrap_or(&said);
        Err(format!("{said} ({status}; what may be mapped is in {})", self.ranges))
    }
}

/// Waits for the child, which is ended at the deadline.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    // It is ours and not reaped: the pid is its.
    let pidfd: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let ended = wait_readable(&[std::os::fd::AsFd::as_fd(&pidfd)], Instant::now() + HELPER_DEADLINE);
    if ended.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    ended.map(|_| status)
}

//! What is known of a container, at the moment of asking.
//!
//! Runs in the runtime. The status is never stored: it follows from the record, the process and the cgroup.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::{StatxFlags, statx};
use rustix::io::Errno;

use crate::ContainerId;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::launch::ExecutableId;
use crate::state::{Phase, Record};

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work, or was ended.
    Creating,
    /// Init waits for `start`.
    Created,
    /// The process runs.
    Running,
    /// The process is frozen.
    Paused,
    /// The process has ended.
    Stopped,
}

impl Status {
    /// The word in the state document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a container, as of the moment of asking.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Where it is in its life.
    pub status: Status,
    /// Process id of init in the runtime's pid namespace; 0 when stopped.
    pub pid: i32,
    /// Bundle, absolute.
    pub bundle: PathBuf,
    /// Root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created.
    pub created: SystemTime,
    /// Effective uid of whoever created it.
    pub owner_uid: u32,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The config's `ociVersion`.
    pub oci_version: String,
}

impl Container {
    /// From a record, as things are now.
    pub(super) fn of_record(id: &ContainerId, record: &Record) -> Result<Self> {
        let status = status(record)?;
        let alive = matches!(status, Status::Created | Status::Running | Status::Paused);
        Ok(Self::with_status(id, record, status, alive))
    }

    pub(super) fn with_status(id: &ContainerId, record: &Record, status: Status, alive: bool) -> Self {
        Self {
            id: id.clone(),
            status,
            pid: if alive { record.init.map_or(0, |init| init.pid) } else { 0 },
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created(),
            owner_uid: record.owner_uid,
            annotations: record.annotations.clone(),
            oci_version: record.oci_version.clone(),
        }
    }
}

/// The state document (runtime.md, State) that hooks read; inside a pid namespace of its own init is 1.
pub(super) fn state_document(container: &Container, inside: bool) -> Vec<u8> {
    state_value(container, inside).to_string().into_bytes()
}

pub(super) fn state_value(container: &Container, inside: bool) -> serde_json::Value {
    let mut document = serde_json::json!({
        "ociVersion": container.oci_version,
        "id": &*container.id,
        "status": container.status.name(),
        "bundle": container.bundle,
        "annotations": container.annotations,
    });
    if container.pid != 0 {
        document["pid"] = if inside { 1.into() } else { container.pid.into() };
    }
    document
}

/// The status that a record has now.
pub(super) fn status(record: &Record) -> Result<Status> {
    let host = |error| Error::host("look at init", error);
    let Some(init) = record.init else {
        return Ok(if record.phase == Phase::Creating { Status::Creating } else { Status::Stopped });
    };
    if init.open().map_err(host)?.is_none() {
        return Ok(Status::Stopped);
    }
    if record.phase == Phase::Creating {
        return Ok(Status::Creating);
    }
    if let Some(cgroup) = &record.cgroup
        && !cgroup.directories.is_empty()
        && Cgroup::open(cgroup.clone())?.is_frozen()?
    {
        return Ok(Status::Paused);
    }
    let executes = executable_of(init.pid)
        .map_err(|errno| Error::host("look at init's program: statx", errno.into()))?;
    Ok(if executes.is_some() && executes == record.executable { Status::Created } else { Status::Running })
}

/// The file that a process executes.
fn executable_of(pid: i32) -> Result<Option<ExecutableId>, Errno> {
    let path = format!("/proc/{pid}/exe");
    match statx(rustix::fs::CWD, path, rustix::fs::AtFlags::empty(), StatxFlags::INO) {
        Ok(status) => {
            let device = rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor);
            Ok(Some(ExecutableId { device, inode: status.stx_ino }))
        }
        // A zombie executes nothing; of another user's process this can't be seen.
        Err(Errno::NOENT | Errno::ACCESS | Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
}

//! `pause` and `resume`: the container's cgroup is frozen and thawed.
//!
//! Runs in the runtime, under the container's lock. Nothing is recorded: that a container is paused shows in its cgroup,
//! so whatever becomes of this process, `resume` finds what is the case.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::container::{Status, status};
use crate::ContainerId;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::state::{Record, StateRoot, has_ended};

/// How long processes may take to stand still. Shorter than others wait for the lock.
const FREEZE_DEADLINE: Duration = Duration::from_secs(8);

pub(super) fn pause(state: &StateRoot, id: &ContainerId) -> Result<()> {
    let entry = state.lock(id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Created | Status::Running => {}
        Status::Paused => return Err(Error::status("container not running: container paused")),
        Status::Creating | Status::Stopped => return Err(not_running()),
    }
    let cgroup = cgroup(&record)?;
    let Some(init) = open_init(&record)? else { return Err(not_running()) };
    let frozen = cgroup.freeze(Some(init.as_fd()), Instant::now() + FREEZE_DEADLINE);
    if !has_ended(init.as_fd()).map_err(|error| Error::host("look at init", error))? {
        return Ok(frozen?);
    }
    // It ended meanwhile: an empty cgroup freezes too, and who enters it would never run.
    cgroup.thaw()?;
    Err(not_running())
}

pub(super) fn resume(state: &StateRoot, id: &ContainerId) -> Result<()> {
    let entry = state.lock(id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    if status(&record)? != Status::Paused {
        return Err(Error::status("container not paused"));
    }
    Ok(cgroup(&record)?.thaw()?)
}

pub(super) fn not_running() -> Error {
    Error::status("container not running")
}

/// Init's pidfd; `None` where it has ended.
pub(super) fn open_init(record: &Record) -> Result<Option<OwnedFd>> {
    let Some(init) = record.init else { return Ok(None) };
    init.open().map_err(|error| Error::host("look at init", error))
}

/// The container's cgroups, where it has any.
pub(super) fn cgroup(record: &Record) -> Result<Cgroup> {
    match record.cgroup.clone().filter(|cgroup| !cgroup.directories.is_empty()) {
        Some(cgroup) => Ok(Cgroup::open(cgroup)?),
        None => Err(Error::Request("the container has no cgroup: it was created without cgroups")),
    }
}

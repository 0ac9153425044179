//! `pause` and `resume`: the container's cgroup is frozen and thawed.
//!
//! Runs in the runtime, under the container's lock. Nothing is recorded: that a container is paused shows in its cgroup,
//! so whatever becomes of this process, `resume` finds what is the case.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::container::{Status, status};
use crate::ContainerId;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::probe::read_small_file;
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
    // On v1 a process that was killed and then frozen does not end. `kill` looks for a freezer after it has killed, this
    // for a kill after it has frozen: one of the two sees the other.
    let killed = || record.init.map_or(Ok(false), |init| is_kill_pending(init.pid));
    let stays = has_ended(init.as_fd()).and_then(|ended| Ok(!ended && !killed()?));
    if let Ok(true) = stays {
        return Ok(frozen?);
    }
    // It ended meanwhile: an empty cgroup freezes too, and who enters it would never run. Or that can't be seen: it is as
    // before then.
    cgroup.thaw()?;
    stays.map_err(|error| Error::host("look at init", error))?;
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

/// Whether SIGKILL was sent to a process that has not ended (proc_pid_status(5), `SigPnd` and `ShdPnd`).
fn is_kill_pending(pid: i32) -> io::Result<bool> {
    const SIGKILL_BIT: u64 = 1 << 8;
    let status = match read_small_file(&format!("/proc/{pid}/status")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        status => status?,
    };
    let pending = status.lines().filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"));
    let mut sets = pending.filter_map(|line| u64::from_str_radix(line[7..].trim(), 16).ok());
    Ok(sets.any(|set| set & SIGKILL_BIT != 0))
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

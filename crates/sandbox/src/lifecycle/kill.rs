//! `kill`: a signal to init, or to all processes of the container.
//!
//! Runs in the runtime. Every signal goes through a pidfd whose process was recognised.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::container::{Status, status};
use super::members;
use crate::ContainerId;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::state::{Record, StateRoot};
use crate::sys::send_signal;

const SIGKILL: i32 = Signal::KILL.as_raw();

/// The last of the real-time signals.
const MOST_SIGNAL: i32 = 64;

/// Whom `kill` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillScope {
    /// The first process.
    Init,
    /// All processes in the container's cgroup; without one, all in its pid namespace.
    All,
}

pub(super) fn kill(state: &StateRoot, id: &ContainerId, signal: i32, scope: KillScope) -> Result<()> {
    let record = state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
    let now = status(&record)?;
    if !(0..=MOST_SIGNAL).contains(&signal) {
        return Err(Error::Request("unknown signal"));
    }
    match (now, scope) {
        // In a pid namespace that is not the container's own nobody ends the others with init.
        (Status::Created | Status::Running | Status::Paused, KillScope::Init)
            if is_shared_kill(&record, signal) =>
        {
            kill_all(&record, signal).map(drop)
        }
        (Status::Stopped, KillScope::Init) if is_shared_kill(&record, signal) && has_processes(&record)? => {
            kill_all(&record, signal).map(drop)
        }
        // Init is gone, what it left behind may not be: without a pid namespace nobody has ended it.
        (Status::Stopped, KillScope::All) => kill_all(&record, signal).map(drop),
        (Status::Stopped, KillScope::Init) => Err(Error::status("container not running")),
        (Status::Creating, _) => Err(Error::status("container not running")),
        (_, KillScope::All) => kill_all(&record, signal)
            .and_then(|had_cgroup| if had_cgroup { Ok(()) } else { members::signal(&record, signal) }),
        (_, KillScope::Init) => kill_init(&record, signal).and_then(|()| thaw(&record, signal)),
    }
}

fn is_shared_kill(record: &Record, signal: i32) -> bool {
    signal == SIGKILL && !record.own_pids && has_cgroup(record)
}

fn has_cgroup(record: &Record) -> bool {
    record.cgroup.as_ref().is_some_and(|cgroup| !cgroup.directories.is_empty())
}

fn has_processes(record: &Record) -> Result<bool> {
    let Some(cgroup) = record.cgroup.clone() else { return Ok(false) };
    Ok(!Cgroup::open(cgroup)?.processes()?.is_empty())
}

fn kill_init(record: &Record, signal: i32) -> Result<()> {
    let gone = || Error::status("container not running");
    let init = record.init.ok_or_else(gone)?;
    let pidfd = init.open().map_err(|error| Error::host("look at init", error))?.ok_or_else(gone)?;
    match send_signal(pidfd.as_fd(), signal) {
        Err(error) if is_gone(&error) => Err(gone()),
        result => result.map_err(|error| Error::host("pidfd_send_signal", error)),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// A frozen process takes no signal on v1 until it is thawed; SIGKILL must work. Looked for after the signal was sent: a
/// `pause` that is under way looks for the signal after it has frozen.
fn thaw(record: &Record, signal: i32) -> Result<()> {
    match &record.cgroup {
        Some(cgroup) if signal == SIGKILL && !cgroup.directories.is_empty() => {
            let cgroup = Cgroup::open(cgroup.clone())?;
            if cgroup.is_frozen()? {
                cgroup.thaw()?;
            }
            // It may have frozen itself, in a cgroup of its own making.
            Ok(cgroup.thaw_all_v1()?)
        }
        _ => Ok(()),
    }
}

/// Whether there was a cgroup to look into.
fn kill_all(record: &Record, signal: i32) -> Result<bool> {
    let Some(cgroup) = record.cgroup.clone().filter(|cgroup| !cgroup.directories.is_empty()) else {
        return Ok(false);
    };
    let cgroup = Cgroup::open(cgroup)?;
    if signal == SIGKILL {
        cgroup.kill_all()?;
        return Ok(true);
    }
    for pid in cgroup.processes()?.into_iter().filter_map(Pid::from_raw) {
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // The pid may have been used again since it was read: it must still be in the cgroup now that it is held.
        if cgroup.processes()?.contains(&pid.as_raw_nonzero().get()) {
            match send_signal(pidfd.as_fd(), signal) {
                Err(error) if !is_gone(&error) => return Err(Error::host("pidfd_send_signal", error)),
                _ => {}
            }
        }
    }
    Ok(true)
}

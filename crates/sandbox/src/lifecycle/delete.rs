//! `delete`: processes, cgroup, poststop hooks, state; in this order, so that it can be done again from any point.
//!
//! Runs in the runtime.

use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::Instant;

use rustix::process::{Signal, pidfd_send_signal};
use spec::config::HookPoint;

use super::Running;
use super::container::{Container, Status, state_document, status};
use super::start::ignored_signals;
use crate::cgroup::{Cgroup, DEFAULT_DEADLINE};
use crate::error::{Error, Result};
use crate::hooks::{HookPlace, HookRun};
use crate::launch::wait_readable;
use crate::outcome::Warning;
use crate::probe::read_small_file;
use crate::resctrl::ResctrlRecord;
use crate::state::{Entry, Record, StateRoot, has_ended};
use crate::{ContainerId, Interrupt, Outcome};

/// Whether `delete` may kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Only a stopped container.
    Stopped,
    /// Kill first; a container that does not exist is a success.
    Force,
}

pub(super) fn delete(
    state: &StateRoot,
    id: &ContainerId,
    deletion: Deletion,
    interrupt: &Interrupt,
) -> Result<Outcome<()>> {
    let _phase = phase!("delete");
    let entry = match state.lock(id) {
        Err(Error::NotFound) if deletion == Deletion::Force => return Ok(Outcome::new(())),
        result => result?,
    };
    let mut warnings = Vec::new();
    let record = match (entry.read(), deletion) {
        (Ok(Some(record)), _) => record,
        // Nothing was done yet, or it is not readable: there is nothing to go by but the directory itself.
        (Ok(None), Deletion::Force) => {
            entry.check_abandoned()?;
            state.remove(&entry)?;
            return Ok(Outcome::new(()));
        }
        // What was intended names all that there can be; who init is, is found by its cgroup. Damage alone leads here: what
        // can't be read for want of a descriptor or of memory is there, and so is the container.
        (Err(error @ Error::State { .. }), Deletion::Force) => match entry.read_intended()? {
            Some(record) => {
                warnings
                    .push(Warning { pointer: None, message: format!("removed as it was intended: {error}") });
                record
            }
            None => {
                state.remove(&entry)?;
                let message = format!("removed, without its cgroup: {error}");
                return Ok(Outcome { value: (), warnings: vec![Warning { pointer: None, message }] });
            }
        },
        (Ok(None), Deletion::Stopped) => {
            entry.check_abandoned()?;
            return Err(Error::NotFound);
        }
        (Err(error), _) => return Err(error),
    };
    let now = status(&record)?;
    if now != Status::Stopped && deletion == Deletion::Stopped {
        return Err(not_stopped(id, now));
    }
    let deadline = Instant::now() + DEFAULT_DEADLINE;
    let cgroup = record.cgroup.clone().filter(|cgroup| !cgroup.directories.is_empty());
    let cgroup = cgroup.map(Cgroup::open).transpose()?;
    if now != Status::Stopped {
        kill_all(&record, cgroup.as_ref(), deadline)?;
    }
    if let Some(cgroup) = &cgroup {
        // Without a pid namespace of its own nobody has ended what init left behind.
        let kill = deletion == Deletion::Force || !record.own_pids;
        end_cgroup(cgroup, kill, deadline)?;
    }
    record.resctrl.as_ref().map_or(Ok(()), ResctrlRecord::remove)?;
    warnings.extend(poststop(&entry, &record, interrupt)?);
    state.remove(&entry)?;
    tracing::debug!("removed the container");
    Ok(Outcome { value: (), warnings })
}

fn not_stopped(id: &ContainerId, now: Status) -> Error {
    Error::status(format!("cannot delete container {id} that is not stopped: {now}"))
}

/// Removes a container whose end its maker has seen.
pub(super) fn delete_ended(
    state: &StateRoot,
    running: &Running,
    interrupt: &Interrupt,
) -> Result<Outcome<()>> {
    let Running { entry, record, process, .. } = running;
    if !has_ended(process.as_fd()).map_err(|error| Error::host("look at init", error))? {
        return Err(not_stopped(entry.id(), status(record)?));
    }
    remove(state, running, Init::Ended, interrupt)
}

/// Ends a container that its maker still holds, and removes it.
pub(super) fn end(
    state: &StateRoot,
    running: &Running,
    interrupt: &Interrupt,
) -> Result<Outcome<ExitStatus>> {
    let Outcome { warnings, .. } = remove(state, running, Init::Kill, interrupt)?;
    // Where somebody else has removed it, its init has been ended, too.
    let deadline = Instant::now() + DEFAULT_DEADLINE;
    let status = running.process.wait_until(deadline)?.ok_or_else(|| stuck(running.process.pid))?;
    Ok(Outcome { value: status, warnings })
}

/// What is known of a container's init.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Init {
    /// It has ended.
    Ended,
    /// It may be alive, and is to be killed then.
    Kill,
}

/// Removes a container of ours. Nothing is read back: the maker knows what it made.
fn remove(state: &StateRoot, running: &Running, init: Init, interrupt: &Interrupt) -> Result<Outcome<()>> {
    let _phase = phase!("delete");
    let Running { entry, record, .. } = running;
    match state.lock_again(entry) {
        // Somebody was faster.
        Err(Error::NotFound) => return Ok(Outcome::new(())),
        result => result?,
    }
    let deadline = Instant::now() + DEFAULT_DEADLINE;
    let cgroup = record.cgroup.clone().filter(|cgroup| !cgroup.directories.is_empty());
    let cgroup = cgroup.map(Cgroup::open).transpose()?;
    if init == Init::Kill {
        kill_all(record, cgroup.as_ref(), deadline)?;
    }
    if let Some(cgroup) = cgroup {
        end_cgroup(&cgroup, true, deadline)?;
    }
    record.resctrl.as_ref().map_or(Ok(()), ResctrlRecord::remove)?;
    let warnings = poststop(entry, record, interrupt)?;
    state.remove(entry)?;
    Ok(Outcome { value: (), warnings })
}

/// Ends every process; init is waited for, the others by their cgroup.
fn kill_all(record: &Record, cgroup: Option<&Cgroup>, deadline: Instant) -> Result<()> {
    let init = record.init.map(|init| init.open()).transpose();
    let init = init.map_err(|error| Error::host("look at init", error))?.flatten();
    if let Some(pidfd) = &init {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
    if let Some(cgroup) = cgroup {
        cgroup.kill_all()?;
    }
    if let Some(pidfd) = &init {
        wait_readable(&[pidfd.as_fd()], deadline).map_err(|error| match (error.kind(), record.init) {
            (std::io::ErrorKind::TimedOut, Some(init)) => stuck(init.pid),
            _ => Error::host("wait for the end of init", error),
        })?;
    }
    Ok(())
}

/// What can be seen of a process that does not end. All that there is of the container stays, for another attempt.
fn stuck(pid: i32) -> Error {
    let read = |file: &str| read_small_file(&format!("/proc/{pid}/{file}")).unwrap_or_default();
    let unknown = || "an unknown place".to_owned();
    let status = read("status");
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    let place = Some(read("wchan")).filter(|place| !matches!(place.trim(), "" | "0"));
    Error::Stuck {
        pid,
        state: state.map_or_else(unknown, |state| state.trim().to_owned()),
        place: place.map_or_else(unknown, |place| place.trim().to_owned()),
    }
}

/// Removes the cgroup. Most often nobody is in it; whoever is, is ended only where it can be the container's.
fn end_cgroup(cgroup: &Cgroup, kill: bool, deadline: Instant) -> Result<()> {
    if kill {
        if cgroup.remove(Instant::now()).is_ok() {
            return Ok(());
        }
        cgroup.kill_all()?;
    }
    Ok(cgroup.remove(deadline)?)
}

fn poststop(entry: &Entry, record: &Record, interrupt: &Interrupt) -> Result<Vec<Warning>> {
    if !record.poststop {
        return Ok(Vec::new());
    }
    let not_run = |message| Ok(vec![Warning { pointer: None, message }]);
    // It goes before the record, and after these hooks: without it they have run, unless a crash of the machine has taken it.
    let config = match entry.find_config() {
        Ok(Some(config)) => config,
        Ok(None) => {
            return not_run("the recorded config is gone: poststop hooks are not run again".to_owned());
        }
        Err(error @ Error::State { .. }) => return not_run(format!("poststop hooks are not run: {error}")),
        Err(error) => return Err(error),
    };
    let config = spec::parse_config(config.as_bytes())?.config;
    let container = Container::with_status(entry.id(), record, Status::Stopped, false);
    let run = HookRun {
        point: HookPoint::Poststop,
        hooks: &config.hooks,
        directory: &record.bundle,
        state: &state_document(&container, false),
        place: HookPlace::Runtime,
        ignored_signals: ignored_signals()?,
        interrupt,
    };
    Ok(run.run_all())
}

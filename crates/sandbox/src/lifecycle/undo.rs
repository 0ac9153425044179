//! What exists of a container, or of a process in one, that is not whole yet; and how it goes when it can't become whole.
//!
//! Runs in the runtime.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use init::report::NO_PLAN;
use rustix::process::{Signal, pidfd_send_signal};
use spec::config::{HookPoint, Hooks};

use super::container::{Container, Status, state_document};
use super::prepare::Prepared;
use crate::cgroup::{Cgroup, DEFAULT_DEADLINE};
use crate::error::{Error, Result};
use crate::hooks::{HookPlace, HookRun};
use crate::launch::{wait, wait_killed};
use crate::resctrl::Resctrl;
use crate::state::{Entry, Identity, Record, StateRoot};
use crate::{ContainerId, Interrupt};

/// A process on its way to what it shall be, our child.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

impl Unfinished {
    /// By what it is known from now on, to other commands too.
    pub(super) fn identify(&self) -> Result<Identity> {
        Identity::of(self.pid, self.pidfd.as_fd()).map_err(|error| Error::host("look at init", error))
    }

    /// Waits for its end; how it ended, in words.
    pub(super) fn wait(&self) -> String {
        match wait(self.pidfd.as_fd()).map(|ended| ended.map(|status| (status.code(), status.signal()))) {
            Err(error) => crate::error::reason(&error),
            // Its end is all that shows.
            Ok(None) => "in a way that the caller's ignoring of SIGCHLD hides".to_owned(),
            Ok(Some((Some(NO_PLAN), _))) => {
                "it could not map its plan into its memory (mmap): cannot allocate memory".to_owned()
            }
            Ok(Some((Some(code), _))) => format!("exit status {code}"),
            Ok(Some((None, Some(9)))) => {
                "killed by signal 9: by somebody, or for want of memory in its cgroup".to_owned()
            }
            Ok(Some((None, Some(signal)))) => format!("killed by signal {signal}"),
            Ok(Some((None, None))) => "in an unknown way".to_owned(),
        }
    }

    pub(super) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// The poststop hooks of a container that was destroyed because one of its hooks, or what came after them, has failed: the life
/// cycle ends with them (runtime.md), and they take back what the hooks before have done.
pub(super) struct Poststop {
    hooks: Hooks,
    bundle: PathBuf,
    state: Vec<u8>,
    ignored_signals: u64,
    interrupt: Interrupt,
}

impl Poststop {
    pub(super) fn of(
        prepared: &Prepared,
        record: &Record,
        id: &ContainerId,
        interrupt: &Interrupt,
    ) -> Option<Self> {
        let hooks = Some(&prepared.config.hooks).filter(|hooks| !hooks.poststop.is_empty())?.clone();
        let container = Container::with_status(id, record, Status::Stopped, false);
        let state = state_document(&container, false);
        let ignored_signals = prepared.host.ignored_signals;
        let interrupt = interrupt.clone();
        Some(Self { hooks, bundle: record.bundle.clone(), state, ignored_signals, interrupt })
    }

    /// The caller gets the error that led here; these have only the log.
    fn run(&self) {
        let run = HookRun {
            point: HookPoint::Poststop,
            hooks: &self.hooks,
            directory: &self.bundle,
            state: &self.state,
            place: HookPlace::Runtime,
            ignored_signals: self.ignored_signals,
            interrupt: &self.interrupt,
        };
        for warning in run.run_all() {
            tracing::warn!("{}", warning.message);
        }
    }
}

/// What exists of a container that is not whole yet; gone with this, unless it was disarmed.
pub(super) struct Undo<'a> {
    state: &'a StateRoot,
    entry: &'a Entry,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) process: Option<Unfinished>,
    pub(super) pid_file: Option<&'a Path>,
    pub(super) poststop: Option<Poststop>,
    /// Goes with its last process.
    pub(super) resctrl: Option<Resctrl>,
    /// They go back to the host, unless they are kept: first of all, since virtual ones end with their namespace.
    #[cfg(feature = "netdevices")]
    pub(super) net_devices: Option<crate::netdevices::Moved>,
    armed: bool,
}

impl<'a> Undo<'a> {
    /// Of a container that has a directory so far.
    pub(super) const fn new(state: &'a StateRoot, entry: &'a Entry) -> Self {
        Self {
            state,
            entry,
            cgroup: None,
            process: None,
            pid_file: None,
            poststop: None,
            resctrl: None,
            #[cfg(feature = "netdevices")]
            net_devices: None,
            armed: true,
        }
    }

    /// The container is whole; its init.
    pub(super) fn disarm(mut self) -> Option<Unfinished> {
        self.armed = false;
        let _ = self.resctrl.take().map(Resctrl::keep);
        #[cfg(feature = "netdevices")]
        let _ = self.net_devices.take().map(crate::netdevices::Moved::keep);
        self.process.take()
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        #[cfg(feature = "netdevices")]
        drop(self.net_devices.take());
        let deadline = Instant::now() + DEFAULT_DEADLINE;
        let mut gone = true;
        if let Some(path) = self.pid_file {
            let _ = std::fs::remove_file(path);
        }
        if let Some(process) = self.process.take() {
            process.kill();
            if wait_killed(process.pidfd.as_fd()) {
                process.wait();
            } else {
                tracing::warn!("init of {} has not ended yet", &**self.entry.id());
                gone = false;
            }
        }
        drop(self.resctrl.take());
        if let Some(cgroup) = self.cgroup.take() {
            // An empty one can be removed where none can be opened any more.
            let killed = cgroup.kill_all();
            let removed = cgroup.remove(deadline).map_err(|error| killed.err().unwrap_or(error));
            if let Err(error) = removed {
                tracing::warn!("the cgroup of {} is left for `delete --force`: {error}", &**self.entry.id());
                gone = false;
            }
        }
        if let Some(poststop) = self.poststop.take() {
            poststop.run();
        }
        if gone && let Err(error) = self.state.remove(self.entry) {
            tracing::warn!("the state of {} is left for `delete --force`: {error}", &**self.entry.id());
        }
    }
}

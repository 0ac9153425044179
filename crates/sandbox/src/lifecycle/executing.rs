//! A process on its way into a container: what its init says is answered, until it has become the program.
//!
//! Runs in the runtime.

use std::os::fd::{AsFd, OwnedFd};

use init::{Report, Step};
use rustix::io::Errno;
use spec::Config;

use super::agent::{Handed, Handover};
use super::caller::write_pid_file;
use super::container::{Container, state_value};
use super::dialogue::{deadline, hear, hear_out, hear_patiently, let_go};
use super::undo::Unfinished;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::hint::program;
use crate::launch::{Conversation, Filtering, INIT_DEADLINE, Message, wait_killed};
use crate::plan::PlannedStep;
use crate::state::has_ended;
use crate::step_error::StepError;
use crate::{ExecRequest, Interrupt};

/// What is said of one whose init has ended.
pub(super) const STOPPED: &str = "cannot exec in a stopped container";

/// A process on its way into the container; killed with this, unless it was taken out.
pub(super) struct Executing<'a> {
    pub(super) request: &'a ExecRequest,
    pub(super) steps: &'a [PlannedStep],
    pub(super) init: &'a OwnedFd,
    pub(super) container: &'a Container,
    pub(super) config: &'a Config,
    pub(super) cgroup: Option<&'a Cgroup>,
    pub(super) conversation: &'a Conversation,
    pub(super) patient: bool,
    /// What ends the wait for its program, which has no deadline then.
    pub(super) interrupt: Option<&'a Interrupt>,
    pub(super) process: Option<Unfinished>,
}

impl Executing<'_> {
    /// Lets it go, and waits until it is the program.
    pub(super) fn follow(&mut self) -> Result<()> {
        if self.steps.iter().any(|planned| matches!(planned.step, Step::AwaitCgroup {})) {
            self.admit()?;
        }
        if self.steps.iter().any(|planned| matches!(planned.step, Step::Fork { .. })) {
            self.follow_fork()?;
        }
        if let (Some(path), Some(process)) = (&self.request.pid_file, &self.process) {
            write_pid_file(path, process.pid)?;
        }
        let followed = self.go().and_then(|()| self.follow_execution());
        followed.inspect_err(|_| self.remove_pid_file())
    }

    pub(super) fn remove_pid_file(&self) {
        let _ = self.request.pid_file.as_ref().map(std::fs::remove_file);
    }

    /// It waits to be moved into its cgroup.
    fn admit(&self) -> Result<()> {
        match (self.receive()?, self.cgroup, &self.process) {
            (Message::Waiting(_), Some(cgroup), Some(process)) => {
                cgroup.admit_by_systemd(process.pid, &self.request.cgroups)?;
                self.go()
            }
            (message, ..) => Err(self.failure(message)),
        }
    }

    /// The first process makes the one that the container's others see.
    fn follow_fork(&mut self) -> Result<()> {
        match self.receive()? {
            Message::Forked { pid, pidfd } => {
                if let Some(first) = self.process.replace(Unfinished { pid, pidfd }) {
                    first.wait();
                }
                self.go()
            }
            message => Err(self.failure(message)),
        }
    }

    /// From the go to the program.
    fn follow_execution(&self) -> Result<()> {
        match (self.hear_out()?, &self.process) {
            (Message::Closed, _) => Ok(()),
            (Message::Filtering(filtering), Some(process)) => {
                let handed = self.hand_over(&filtering, process)?;
                match (handed, self.hear_out()?) {
                    (Handed::Over, Message::Closed) => Ok(()),
                    (_, message) => Err(self.failure(message)),
                }
            }
            (message, _) => Err(self.failure(message)),
        }
    }

    fn hand_over(&self, filtering: &Filtering, process: &Unfinished) -> Result<Handed> {
        let handover = Handover {
            config: self.config,
            bundle: &self.container.bundle,
            pid: process.pid,
            pidfd: process.pidfd.as_fd(),
            conversation: self.conversation.as_fd(),
            state: state_value(self.container, false),
        };
        handover.follow(filtering)
    }

    fn failure(&self, message: Message) -> Error {
        match message {
            Message::Failed(report) => explain(self.step_error(report), self.init),
            _ if has_ended(self.init.as_fd()).unwrap_or(false) => Error::status(STOPPED),
            _ => Error::InitEnded { how: self.process.as_ref().map_or_else(String::new, Unfinished::wait) },
        }
    }

    fn step_error(&self, report: Report) -> Error {
        let planned = self.steps.get(report.step as usize);
        let mut error = StepError::new(planned, report);
        program::explain_inside(&mut error, planned, self.container.pid);
        error.into()
    }

    fn go(&self) -> Result<()> {
        let_go(self.conversation)
    }

    fn hear_out(&self) -> Result<Message> {
        match (&self.process, self.interrupt) {
            (Some(process), Some(interrupt)) if !self.patient => {
                hear_out(self.conversation, process.pid, INIT_DEADLINE, interrupt)
            }
            _ => self.receive(),
        }
    }

    fn receive(&self) -> Result<Message> {
        match self.interrupt.filter(|_| self.patient) {
            Some(interrupt) => hear_patiently(self.conversation, interrupt),
            None => hear(self.conversation, deadline().filter(|_| !self.patient)),
        }
    }
}

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
            if wait_killed(process.pidfd.as_fd()) {
                process.wait();
            }
        }
    }
}

/// What a failed clone or join means here.
pub(super) fn explain(error: Error, init: &OwnedFd) -> Error {
    let joins = matches!(error.step(), Some("join-process" | "fork") | None);
    if joins && has_ended(init.as_fd()).unwrap_or(false) {
        return Error::status(STOPPED);
    }
    let full =
        error.errno() == Some(Errno::AGAIN.raw_os_error()) && matches!(error.step(), Some("fork") | None);
    if full && matches!(error, Error::Step(_) | Error::Host { .. }) {
        return Error::status(
            "clone3: no process can be made: the limit of pids of the container is reached",
        );
    }
    error
}

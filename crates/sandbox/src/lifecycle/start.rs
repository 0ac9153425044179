//! `start`: opens the gate of a created container and follows init until it is the program.
//!
//! Runs in the runtime.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use init::Step;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Signal, pidfd_send_signal};
use spec::Config;
use spec::config::HookPoint;

use super::agent::{Handed, Handover};
use super::container::{Container, Status, state_document, state_value, status};
use super::dialogue::hear_out;
use super::exec::hook_launcher;
use super::prepare::check_process;
use crate::error::{Error, Result};
use crate::hint;
use crate::hooks::{HookPlace, HookRun};
use crate::host::HostFacts;
use crate::launch::{Conversation, Filtering, Message, wait_readable};
use crate::plan::{PlanRequest, PlannedStep, Purpose, plan};
use crate::state::{Entry, Record, StateRoot};
use crate::step_error::StepError;
use crate::{ContainerId, Interrupt, Outcome};

/// How long init may be silent before the kernel has the program to load.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long init may take to end by itself.
const END_DEADLINE: Duration = Duration::from_secs(1);

pub(super) fn start(
    state: &StateRoot,
    id: &ContainerId,
    interrupt: &Interrupt,
    about_to: impl FnOnce(),
) -> Result<Outcome<()>> {
    let _phase = phase!("start");
    let entry = state.lock(id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Created => {}
        Status::Running => return Err(Error::status("cannot start an already running container")),
        Status::Paused => return Err(Error::status("cannot start a container in the paused state")),
        Status::Stopped => return Err(Error::status("cannot start a container that has stopped")),
        Status::Creating => return Err(Error::status("cannot start a container that is being created")),
    }
    let config = RecordedConfig { entry: &entry, parsed: OnceCell::new() };
    if record.start_reads_config {
        check_process(config.get()?)?;
    }
    let init = record.init.ok_or(Error::NotFound)?;
    let pidfd = init.open().map_err(|error| Error::host("look at init", error))?;
    let pidfd = pidfd.ok_or_else(|| Error::status("cannot start a container that has stopped"))?;
    let starting = Starting { entry: &entry, record: &record, config, pidfd, interrupt };
    about_to();
    let conversation = Conversation::new(starting.connect()?);
    if let Err(error) = starting.follow(&conversation) {
        starting.end(conversation);
        return Err(error);
    }
    entry.remove_gate();
    tracing::debug!("started the process");
    Ok(Outcome { value: (), warnings: starting.poststart()? })
}

struct Starting<'a> {
    entry: &'a Entry,
    record: &'a Record,
    config: RecordedConfig<'a>,
    pidfd: OwnedFd,
    interrupt: &'a Interrupt,
}

/// The config as it was at `create`, read where it is needed.
struct RecordedConfig<'a> {
    entry: &'a Entry,
    parsed: OnceCell<Config>,
}

impl RecordedConfig<'_> {
    fn get(&self) -> Result<&Config> {
        if let Some(config) = self.parsed.get() {
            return Ok(config);
        }
        let config = spec::parse_config(self.entry.read_config()?.as_bytes())?.config;
        Ok(self.parsed.get_or_init(|| config))
    }
}

impl Starting<'_> {
    fn connect(&self) -> Result<OwnedFd> {
        let connect_gate = || -> rustix::io::Result<OwnedFd> {
            let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
            connect(&socket, &SocketAddrUnix::new(self.entry.gate_path())?)?;
            Ok(socket)
        };
        connect_gate().map_err(|errno| match errno {
            // Init has left the gate, to become the program or to end.
            Errno::CONNREFUSED => Error::status("cannot start an already running container"),
            errno => Error::file("connect to", self.entry.gate_path(), errno.into()),
        })
    }

    /// The container is not to run: init, told so by the end of the conversation, ends by itself; if it doesn't, it is ended.
    fn end(&self, conversation: Conversation) {
        drop(conversation);
        let ended = |deadline| wait_readable(&[self.pidfd.as_fd()], Instant::now() + deadline).is_ok();
        if !ended(END_DEADLINE) {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            if !ended(START_DEADLINE) {
                tracing::warn!("init of {} has not ended yet", &**self.entry.id());
            }
        }
    }

    fn follow(&self, conversation: &Conversation) -> Result<()> {
        let mut unanswered = false;
        let pid = self.record.init.map_or(0, |init| init.pid);
        loop {
            match hear_out(conversation, pid, START_DEADLINE, self.interrupt)? {
                Message::Closed if unanswered => {
                    return Err(Error::InitEnded {
                        how: "before its seccomp filter had a listener".to_owned(),
                    });
                }
                Message::Closed => return Ok(()),
                Message::Filtering(filtering) => {
                    // A report says why not.
                    unanswered = self.hand_over(&filtering, conversation)? == Handed::NotYet;
                }
                Message::Waiting(_) => {
                    self.start_container_hooks()?;
                    conversation.go().map_err(|error| Error::host("let init go on", error))?;
                }
                Message::Failed(report) => {
                    let planned = self.planned(report.step)?;
                    let mut error = StepError::new(planned.as_ref(), report);
                    hint::program::explain(
                        &mut error,
                        planned.as_ref(),
                        &self.record.rootfs,
                        self.config.get()?,
                    );
                    return Err(error.into());
                }
                Message::Ready
                | Message::Forked { .. }
                | Message::Offered { .. }
                | Message::Seeking { .. } => {}
            }
        }
    }

    /// The step of this index. The plan is made again, of the same config: only the steps that come after the gate can
    /// fail here, and they are counted from its end, where the host has no say.
    fn planned(&self, index: u32) -> Result<Option<PlannedStep>> {
        let host = HostFacts::with_everything();
        let request = PlanRequest::new(self.entry.id(), &self.record.bundle, Purpose::Create);
        let mut steps = plan(self.config.get()?, &host, request)?.steps;
        let gate = steps.iter().position(|planned| matches!(planned.step, Step::AwaitStart { .. }));
        let recorded_gate = self.record.gate_step.unwrap_or_default();
        let position = gate.map(|gate| gate + (index.saturating_sub(recorded_gate)) as usize);
        Ok(position.filter(|position| *position < steps.len()).map(|position| steps.swap_remove(position)))
    }

    fn hand_over(&self, filtering: &Filtering, conversation: &Conversation) -> Result<Handed> {
        let container = Container::with_status(self.entry.id(), self.record, Status::Created, true);
        let handover = Handover {
            config: self.config.get()?,
            bundle: &self.record.bundle,
            pid: container.pid,
            pidfd: self.pidfd.as_fd(),
            conversation: conversation.as_fd(),
            state: state_value(&container, false),
        };
        handover.follow(filtering)
    }

    fn hook_state(&self, status: Status, inside: bool) -> Vec<u8> {
        let container = Container::with_status(self.entry.id(), self.record, status, true);
        state_document(&container, inside)
    }

    fn start_container_hooks(&self) -> Result<()> {
        let config = self.config.get()?;
        let container = Container::with_status(self.entry.id(), self.record, Status::Created, true);
        let launch = hook_launcher(&container, self.record, &self.pidfd, config);
        let run = HookRun {
            point: HookPoint::StartContainer,
            hooks: &config.hooks,
            directory: &self.record.bundle,
            state: &state_document(&container, self.record.own_pids),
            place: HookPlace::Container(&launch),
            ignored_signals: ignored_signals()?,
            interrupt: self.interrupt,
        };
        run.run()
    }

    fn poststart(&self) -> Result<Vec<crate::Warning>> {
        if !self.record.start_reads_config || self.config.get()?.hooks.poststart.is_empty() {
            return Ok(Vec::new());
        }
        let run = HookRun {
            point: HookPoint::Poststart,
            hooks: &self.config.get()?.hooks,
            directory: &self.record.bundle,
            state: &self.hook_state(Status::Running, false),
            place: HookPlace::Runtime,
            ignored_signals: ignored_signals()?,
            interrupt: self.interrupt,
        };
        Ok(run.run_all())
    }
}

/// Signals that this process ignores.
pub(super) fn ignored_signals() -> Result<u64> {
    Ok(HostFacts::probe_self()?.ignored_signals)
}

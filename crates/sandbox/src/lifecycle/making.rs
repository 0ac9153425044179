//! A container in the making: what init asks for is answered, until it is ready or has become the program.
//!
//! Runs in the runtime.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

use init::report::Kind;
use init::wire::Descriptor;
use init::{Call, Report, Step};
use spec::config::HookPoint;

use super::agent::{Handed, Handover};
use super::caller::write_pid_file;
use super::container::{Container, Status, state_document, state_value};
use super::dialogue::{deadline, hear, hear_out, let_go};
use super::exec::hook_launcher;
use super::grants::grant;
use super::id_maps::write_id_maps;
use super::namespace::open_namespace;
use super::prepare::Prepared;
use super::sources::give_source;
use super::undo::Unfinished;
use crate::error::{Error, Result};
use crate::hint;
use crate::hooks::{HookPlace, HookRun, namespace_flags};
use crate::launch::{Conversation, Filtering, INIT_DEADLINE, Inheritance, Launch, Message, carry_out};
use crate::plan::{PlannedStep, Purpose};
use crate::resctrl::Resctrl;
use crate::state::{Entry, Record, has_ended};
use crate::step_error::StepError;
use crate::{CreateRequest, Interrupt};

/// A container that init is at work on.
pub(super) struct Making<'a> {
    pub(super) request: &'a CreateRequest,
    pub(super) prepared: &'a Prepared,
    pub(super) entry: &'a Entry,
    pub(super) record: &'a mut Record,
    pub(super) conversation: &'a Conversation,
    /// Whether the environment was whole, and hooks of it have run.
    pub(super) began_hooks: Cell<bool>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) resctrl: Option<&'a Resctrl>,
    #[cfg(feature = "netdevices")]
    pub(super) net_devices: &'a mut Option<crate::netdevices::Moved>,
    pub(super) wrote_pid_file: bool,
}

impl Making<'_> {
    /// Answers init until it is ready, or has become the program.
    pub(super) fn follow(&mut self, process: &mut Unfinished, purpose: Purpose) -> Result<()> {
        let steps = &self.prepared.plan.steps;
        let waits = |planned: &&crate::plan::PlannedStep| {
            matches!(
                planned.step,
                Step::AwaitIdMaps {}
                    | Step::AwaitSources {}
                    | Step::AwaitNetDevices { .. }
                    | Step::AwaitHooks { .. }
                    | Step::Fork { .. }
                    | Step::OfferTree { .. }
                    | Step::Mount { on_device: true, .. }
            )
        };
        // With nothing to wait for before it, the go can be given now: init finds it when it gets there.
        let before = steps.iter().take_while(|planned| !matches!(planned.step, Step::AwaitGo {}));
        let mut pending = before.filter(waits).count();
        let mut gone = false;
        if purpose == Purpose::Run && pending == 0 {
            self.go_on(process)?;
            gone = true;
        }
        loop {
            let heard = if gone {
                hear_out(self.conversation, process.pid, INIT_DEADLINE, self.interrupt)
            } else {
                self.receive()
            };
            match heard? {
                Message::Waiting(report) => {
                    self.answer(report, process)?;
                    pending = pending.saturating_sub(1);
                    self.go()?;
                }
                Message::Offered { report, offered } => {
                    self.accept(report, &offered)?;
                    pending = pending.saturating_sub(1);
                    self.go()?;
                }
                Message::Seeking { report, root } => {
                    give_source(self.conversation, steps, report, &root)?;
                }
                Message::Forked { pid, pidfd } => {
                    let first = std::mem::replace(process, Unfinished { pid, pidfd });
                    first.wait();
                    if let Some(resctrl) = self.resctrl {
                        resctrl.admit(pid)?;
                    }
                    self.record.init = Some(process.identify()?);
                    pending = pending.saturating_sub(1);
                    self.go()?;
                }
                Message::Ready => {
                    self.go_on(process)?;
                    return self.await_gate(process);
                }
                Message::Filtering(filtering) => match self.hand_over(&filtering, process)? {
                    Handed::Over => {}
                    // A report says why.
                    Handed::NotYet => gone = false,
                },
                Message::Failed(report) => {
                    return Err(self.failed(report).into());
                }
                Message::Closed if gone => return Ok(()),
                Message::Closed => return Err(self.init_ended(process)),
            }
            if purpose == Purpose::Run && pending == 0 && !gone {
                self.go_on(process)?;
                gone = true;
            }
        }
    }

    /// Waits until init holds nothing but its gate and its streams: then it has closed its end of the conversation.
    fn await_gate(&self, process: &Unfinished) -> Result<()> {
        match self.receive()? {
            Message::Closed if has_ended(process.pidfd.as_fd()).unwrap_or(false) => {
                Err(self.init_ended(process))
            }
            Message::Closed => Ok(()),
            Message::Failed(report) => Err(self.failed(report).into()),
            _ => Err(self.init_ended(process)),
        }
    }

    /// Records init and its pid, then lets it go.
    fn go_on(&mut self, process: &Unfinished) -> Result<()> {
        let _phase = phase!("record init");
        self.entry.write(self.record)?;
        if let Some(path) = &self.request.pid_file {
            write_pid_file(path, process.pid)?;
            self.wrote_pid_file = true;
        }
        self.go()
    }

    fn go(&self) -> Result<()> {
        let_go(self.conversation)
    }

    fn receive(&self) -> Result<Message> {
        hear(self.conversation, deadline())
    }

    /// Does what init waits for.
    fn answer(&mut self, report: Report, process: &Unfinished) -> Result<()> {
        match self.prepared.plan.steps.get(report.step as usize).map(|planned| &planned.step) {
            Some(Step::AwaitIdMaps {}) => {
                if let Some(settings) = &self.prepared.config.process {
                    grant(settings, process.pid);
                }
                self.prepared.plan.id_maps.as_ref().map_or(Ok(()), |maps| write_id_maps(maps, process.pid))
            }
            #[cfg(feature = "netdevices")]
            Some(Step::AwaitNetDevices { .. }) => {
                let devices = &self.prepared.plan.net_devices;
                *self.net_devices = Some(crate::netdevices::move_devices(devices, process.pidfd.as_fd())?);
                Ok(())
            }
            Some(Step::AwaitHooks { points }) => {
                self.began_hooks.set(true);
                points.0.iter().try_for_each(|point| self.run_hooks(&point.to_string(), process))
            }
            _ => Ok(()),
        }
    }

    /// Does with a descriptor what init has sent it for.
    fn accept(&self, report: Report, offered: &OwnedFd) -> Result<()> {
        let plan = &self.prepared.plan;
        let planned = plan.steps.get(report.step as usize);
        match planned.map(|planned| &planned.step) {
            Some(Step::OfferTree { tree, .. }) => {
                let tree = plan.trees.get(*tree as usize).ok_or(Error::NotFound)?;
                let join = |index: usize| open_namespace(plan.joins.get(index).ok_or(Error::NotFound)?);
                super::idmap::map_offered(tree, offered.as_fd(), join)
            }
            Some(Step::Mount { on_device: true, .. }) => self.make_instance(planned, report, offered),
            _ => Err(Error::InitEnded { how: "offering what nobody has asked it for".to_owned() }),
        }
    }

    /// Has the instance of a file system made, by a process in our cgroup: the container's need not let it use the device. Not
    /// by ourselves, since a device may not answer.
    fn make_instance(&self, planned: Option<&PlannedStep>, report: Report, context: &OwnedFd) -> Result<()> {
        let steps = [
            Step::ResetSignals { ignored: self.prepared.host.ignored_signals },
            Step::MakeInstance { context: Descriptor::Passed(0) },
            Step::End {},
        ];
        let steps = steps.map(|step| PlannedStep { pointer: "".into(), step });
        let mut inheritance = Inheritance::default();
        inheritance.add(Descriptor::Passed(0), context.as_fd());
        let launch = Launch { namespaces: 0, cgroup: None, first_own_fd: 3, inheritance };
        carry_out(&launch, &steps, "the device of a mount").map_err(|error| match error {
            Error::Step(StepError { step: Some("make-instance"), errno, .. }) => {
                let (call, errno) = (Call::Fsconfig as u32, errno.unsigned_abs());
                StepError::new(planned, Report { kind: Kind::Failed, call, errno, ..report }).into()
            }
            error => error,
        })
    }

    fn hand_over(&self, filtering: &Filtering, process: &Unfinished) -> Result<Handed> {
        let container = Container::with_status(self.entry.id(), self.record, Status::Creating, true);
        let handover = Handover {
            config: &self.prepared.config,
            bundle: &self.prepared.bundle,
            pid: process.pid,
            pidfd: process.pidfd.as_fd(),
            conversation: self.conversation.as_fd(),
            state: state_value(&container, false),
        };
        handover.follow(filtering)
    }

    fn run_hooks(&self, point: &str, process: &Unfinished) -> Result<()> {
        let _phase = phase!("run hooks");
        let points = [
            HookPoint::Prestart,
            HookPoint::CreateRuntime,
            HookPoint::CreateContainer,
            HookPoint::StartContainer,
        ];
        let Some(point) = points.into_iter().find(|known| known.name() == point) else { return Ok(()) };
        let inside = matches!(point, HookPoint::CreateContainer | HookPoint::StartContainer);
        // Callers of prestart hooks have always been told that the container is created.
        let created = matches!(point, HookPoint::Prestart | HookPoint::StartContainer);
        let status = if created { Status::Created } else { Status::Creating };
        let container = Container::with_status(self.entry.id(), self.record, status, true);
        let state = state_document(&container, inside && self.prepared.has_own_pids());
        let launch = hook_launcher(&container, self.record, &process.pidfd, &self.prepared.config);
        let run = HookRun {
            point,
            hooks: &self.prepared.config.hooks,
            directory: if point == HookPoint::CreateContainer {
                &self.record.rootfs
            } else {
                &self.record.bundle
            },
            state: &state,
            place: match point {
                HookPoint::StartContainer => HookPlace::Container(&launch),
                HookPoint::CreateContainer => {
                    HookPlace::Namespaces(process.pidfd.as_fd(), namespace_flags(&self.prepared.config))
                }
                _ => HookPlace::Runtime,
            },
            ignored_signals: self.prepared.host.ignored_signals,
            interrupt: self.interrupt,
        };
        run.run()
    }

    /// What init reports, and what a look at the command's file adds.
    fn failed(&self, report: Report) -> StepError {
        let plan = &self.prepared.plan;
        let planned = plan.steps.get(report.step as usize);
        let mut error = StepError::new(planned, report);
        hint::program::explain(&mut error, planned, &plan.rootfs, &self.prepared.config);
        error
    }

    fn init_ended(&self, process: &Unfinished) -> Error {
        Error::InitEnded { how: process.wait() }
    }
}

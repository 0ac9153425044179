//! `run`

use std::os::fd::AsFd as _;

use sandbox::plan::Purpose;
use sandbox::{Console, CreateRequest, Deletion, Outcome, Prepared, Running, Runtime};

use super::request::{Stay, prepare, request};
use super::{Session, notified};
use crate::args::creation::Run;
use crate::error::{Context as _, Result};
use crate::foreground::{self, Orphans, Signals};
use crate::notify::{ServiceManager, Until};
use crate::terminal::{Relay, newlines};

pub(crate) fn run(session: &Session<'_>, arguments: &Run) -> Result<u8> {
    let manager = notified::manager(session);
    let purpose = if manager.is_some() { Purpose::Create } else { Purpose::Run };
    if arguments.detach {
        let mut request = request(session, &arguments.creation)?;
        unless_notified(&mut request, manager.as_ref());
        let prepared = prepare(&mut request, &arguments.creation, purpose, Stay::Detached)?;
        prepared.check_process()?;
        let runtime = session.runtime()?;
        let running = session.accept(runtime.launch(&request, prepared)?);
        if let Some(manager) = manager {
            start_notifying(session, &runtime, &running, manager, Until::Ready)
                .inspect_err(|_| delete(session, &runtime, &running))?;
        }
        return Ok(0);
    }

    // Before the container exists: from its first moment on every signal reaches it.
    let signals = Signals::block()?;
    let mut request = request(session, &arguments.creation)?;
    unless_notified(&mut request, manager.as_ref());
    let prepared = prepare(&mut request, &arguments.creation, purpose, Stay::Foreground)?;
    prepared.check_process()?;
    let runtime = session.runtime()?;
    let orphans = if arguments.no_subreaper { Orphans::Leave } else { Orphans::adopt()? };
    let end = if arguments.keep { AtEnd::Keep } else { AtEnd::Delete };
    let foreground = Foreground { session, runtime: &runtime, signals: &signals, orphans, end };
    if prepared.terminal() {
        return foreground.run_on_terminal(request, manager);
    }
    let running = session.accept(runtime.launch(&request, prepared)?);
    if let Some(manager) = manager {
        start_notifying(session, &runtime, &running, manager, Until::End)
            .inspect_err(|_| foreground.delete(&running))?;
    }
    foreground.follow(&running, None)
}

/// A container that nobody listens to is made as one of which nobody wants to hear.
fn unless_notified(request: &mut CreateRequest, manager: Option<&ServiceManager>) {
    if manager.is_none() {
        request.notify_directory = None;
    }
}

/// Starts a created container whose process can tell the service manager that it is ready. In the foreground a thread
/// passes on what it says, and we are the process to watch; otherwise we wait for it, and it is its first process.
fn start_notifying(
    session: &Session<'_>,
    runtime: &Runtime,
    running: &Running,
    manager: ServiceManager,
    until: Until,
) -> Result<()> {
    let notify = notified::start(session, runtime, &running.container.id, Ok(manager))?;
    let Some(notify) = notify else { return Ok(()) };
    let pidfd = running.process.pidfd.try_clone().context(|| "duplicate a pidfd".to_owned())?;
    if until == Until::Ready {
        notify
            .forward(pidfd.as_fd(), running.container.pid.cast_unsigned(), until)
            .unwrap_or_else(|error| session.warn_about(error));
        return Ok(());
    }
    // It ends with the container. What it can't pass on concerns the service manager alone.
    let forward = move || notify.forward(pidfd.as_fd(), std::process::id(), until);
    let started = std::thread::Builder::new().spawn(forward);
    started.context(|| "start a thread for what the service manager is told".to_owned()).map(drop)
}

/// What becomes of the container when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    Delete,
    Keep,
}

/// A container that stays in the foreground.
pub(super) struct Foreground<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) runtime: &'a Runtime,
    pub(super) signals: &'a Signals,
    pub(super) orphans: Orphans,
    pub(super) end: AtEnd,
}

impl Foreground<'_> {
    /// Runs a container whose terminal we serve. Created first, and started when its terminal has the size of ours.
    fn run_on_terminal(&self, mut request: CreateRequest, manager: Option<ServiceManager>) -> Result<u8> {
        request.console = Console::Kept;
        request.newlines = newlines();
        let prepared = Prepared::new(&request, Purpose::Create)?;
        let mut running = self.session.accept(self.runtime.launch(&request, prepared)?);
        let relay = running.process.terminal.take().map(Relay::serve).transpose().and_then(|relay| {
            match manager {
                Some(manager) => {
                    start_notifying(self.session, self.runtime, &running, manager, Until::End)?;
                }
                None => self.session.accept(self.runtime.start(&running.container.id)?),
            }
            Ok(relay)
        });
        match relay {
            Ok(relay) => self.follow(&running, relay),
            Err(error) => {
                self.delete(&running);
                Err(error)
            }
        }
    }

    /// Follows it to its end, and deletes it.
    pub(super) fn follow(&self, running: &Running, relay: Option<Relay>) -> Result<u8> {
        let followed = foreground::follow(&running.process, self.signals, relay, self.orphans);
        if self.end == AtEnd::Delete {
            // Where it could not be followed it may be alive.
            match followed {
                Ok(_) => report(self.session, self.runtime.delete_ended(running)),
                Err(_) => self.delete(running),
            }
        }
        followed
    }

    /// Ends it, whatever it does.
    pub(super) fn delete(&self, running: &Running) {
        delete(self.session, self.runtime, running);
    }
}

fn delete(session: &Session<'_>, runtime: &Runtime, running: &Running) {
    report(session, runtime.delete(&running.container.id, Deletion::Force));
}

/// What the caller waits for is the container's status, or why there is none: trouble here is a warning.
fn report(session: &Session<'_>, deleted: sandbox::Result<Outcome<()>>) {
    match deleted {
        Ok(outcome) => session.accept(outcome),
        Err(error) => session.warn_about(error),
    }
}

//! `run`

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use sandbox::plan::Purpose;
use sandbox::{CreateRequest, Deletion, Outcome, Prepared, Running, Runtime};

use super::Session;
use super::request::{Stay, prepare};
use crate::args::creation::Run;
use crate::error::{Context as _, Result};
use crate::foreground::{self, Orphans, Signals};
use crate::notify::{self, Notify, Until};
use crate::terminal::{Relay, newlines};

pub(crate) fn run(session: &Session<'_>, arguments: &Run) -> Result<u8> {
    if arguments.detach {
        let purpose = if notify::wanted().is_some() { Purpose::Create } else { Purpose::Run };
        let (request, prepared) = prepare(session, &arguments.creation, purpose, Stay::Detached)?;
        prepared.check_process()?;
        let runtime = session.runtime()?;
        let running = session.accept(runtime.launch(&request, prepared)?);
        if purpose == Purpose::Create {
            start_notifying(session, &runtime, &running, Until::Ready)
                .inspect_err(|_| delete(session, &runtime, &running))?;
        }
        return Ok(0);
    }

    // Before the container exists: from its first moment on every signal reaches it.
    let signals = Signals::block()?;
    let (request, prepared) = prepare(session, &arguments.creation, Purpose::Run, Stay::Foreground)?;
    prepared.check_process()?;
    let runtime = session.runtime()?;
    let orphans = if arguments.no_subreaper { Orphans::Leave } else { Orphans::adopt()? };
    let end = if arguments.keep { AtEnd::Keep } else { AtEnd::Delete };
    let foreground = Foreground { session, runtime: &runtime, signals: &signals, orphans, end };
    if prepared.terminal() {
        foreground.run_on_terminal(request)
    } else if notify::wanted().is_some() {
        let prepared = Prepared::new(&request, Purpose::Create)?;
        let running = session.accept(runtime.launch(&request, prepared)?);
        match start_notifying(session, &runtime, &running, Until::End) {
            Ok(()) => foreground.follow(&running, None),
            Err(error) => {
                foreground.delete(&running);
                Err(error)
            }
        }
    } else {
        let running = session.accept(runtime.launch(&request, prepared)?);
        foreground.follow(&running, None)
    }
}

/// Starts a created container whose process can tell the service manager that it is ready. In the foreground a thread
/// passes on what it says, and we are the process to watch; otherwise we wait for it, and it is its first process.
fn start_notifying(session: &Session<'_>, runtime: &Runtime, running: &Running, until: Until) -> Result<()> {
    let id = &running.container.id;
    let notify = Notify::bind(&runtime.notify_directory(id))?;
    session.accept(runtime.start(id)?);
    let Some(notify) = notify else { return Ok(()) };
    if until == Until::Ready {
        return notify.forward(running.process.pidfd.as_fd(), running.container.pid.cast_unsigned(), until);
    }
    let pidfd = running.process.pidfd.try_clone().context(|| "duplicate a pidfd".to_owned())?;
    // It ends with the container. What it can't pass on concerns the service manager alone.
    std::thread::spawn(move || notify.forward(pidfd.as_fd(), std::process::id(), until));
    Ok(())
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
    fn run_on_terminal(&self, mut request: CreateRequest) -> Result<u8> {
        let (ours, theirs) = UnixStream::pair().context(|| "socketpair".to_owned())?;
        request.console = Some(theirs.into());
        request.newlines = newlines();
        let prepared = Prepared::new(&request, Purpose::Create)?;
        let running = self.session.accept(self.runtime.launch(&request, prepared)?);
        let relay = Relay::receive(&ours).and_then(|relay| {
            start_notifying(self.session, self.runtime, &running, Until::End)?;
            Ok(relay)
        });
        match relay {
            Ok(relay) => self.follow(&running, Some(relay)),
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

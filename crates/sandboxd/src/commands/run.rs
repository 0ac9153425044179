//! `run`

use std::os::unix::net::UnixStream;

use sandbox::plan::Purpose;
use sandbox::{CreateRequest, Deletion, Prepared, Running, Runtime};

use super::Session;
use super::request::{Stay, prepare};
use crate::args::creation::Run;
use crate::error::{Context as _, Result};
use crate::foreground::{self, Orphans, Signals};
use crate::terminal::Relay;

pub(crate) fn run(session: &Session<'_>, arguments: &Run) -> Result<u8> {
    if arguments.detach {
        let (request, prepared) = prepare(session, &arguments.creation, Purpose::Run, Stay::Detached)?;
        session.accept(session.runtime()?.launch(&request, prepared)?);
        return Ok(0);
    }

    // Before the container exists: from its first moment on every signal reaches it.
    let signals = Signals::block()?;
    let (request, prepared) = prepare(session, &arguments.creation, Purpose::Run, Stay::Foreground)?;
    let runtime = session.runtime()?;
    let orphans = if arguments.no_subreaper { Orphans::Leave } else { Orphans::adopt()? };
    let foreground = Foreground { session, runtime: &runtime, signals: &signals, orphans };
    if prepared.terminal() {
        foreground.run_on_terminal(request, arguments)
    } else {
        let running = session.accept(runtime.launch(&request, prepared)?);
        foreground.follow(&running, None, arguments)
    }
}

/// A container that stays in the foreground.
struct Foreground<'a> {
    session: &'a Session<'a>,
    runtime: &'a Runtime,
    signals: &'a Signals,
    orphans: Orphans,
}

impl Foreground<'_> {
    /// Runs a container whose terminal we serve. Created first, and started when its terminal has the size of ours.
    fn run_on_terminal(&self, mut request: CreateRequest, arguments: &Run) -> Result<u8> {
        let (ours, theirs) = UnixStream::pair().context(|| "socketpair".to_owned())?;
        request.console = Some(theirs.into());
        let prepared = Prepared::new(&request, Purpose::Create)?;
        let running = self.session.accept(self.runtime.launch(&request, prepared)?);
        let relay = Relay::receive(&ours).and_then(|relay| {
            self.session.accept(self.runtime.start(&request.id)?);
            Ok(relay)
        });
        match relay {
            Ok(relay) => self.follow(&running, Some(relay), arguments),
            Err(error) => {
                self.delete(&running);
                Err(error)
            }
        }
    }

    /// Follows it to its end, and deletes it.
    fn follow(&self, running: &Running, relay: Option<Relay>, arguments: &Run) -> Result<u8> {
        let followed = foreground::follow(self.runtime, running, self.signals, relay, self.orphans);
        if !arguments.keep {
            self.delete(running);
        }
        followed
    }

    /// What the caller waits for is the container's status, or why there is none: trouble here is a warning.
    fn delete(&self, running: &Running) {
        match self.runtime.delete(&running.container.id, Deletion::Force) {
            Ok(outcome) => self.session.accept(outcome),
            Err(error) => self.session.warn_about(error),
        }
    }
}

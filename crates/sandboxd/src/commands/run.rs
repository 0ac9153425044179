//! `run`

use std::os::unix::net::UnixStream;

use sandbox::Deletion;
use sandbox::plan::Purpose;

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

    let (mut request, prepared) = prepare(session, &arguments.creation, Purpose::Run, Stay::Foreground)?;
    let runtime = session.runtime()?;
    // Before the container exists: from its first moment on every signal reaches it.
    let signals = Signals::block()?;
    let orphans = if arguments.no_subreaper { Orphans::Leave } else { Orphans::adopt()? };
    let mut console = None;
    if prepared.terminal() {
        let (ours, theirs) = UnixStream::pair().context(|| "socketpair".to_owned())?;
        request.console = Some(theirs.into());
        console = Some(ours);
    }
    let running = session.accept(runtime.launch(&request, prepared)?);

    let followed = console
        .map(|console| Relay::receive(&console))
        .transpose()
        .and_then(|relay| foreground::follow(&runtime, &running, &signals, relay, orphans));
    if !arguments.keep {
        match runtime.delete(&request.id, Deletion::Force) {
            Ok(outcome) => session.accept(outcome),
            // The container's status is what the caller waits for.
            Err(error) => session.warn_about(error),
        }
    }
    followed
}

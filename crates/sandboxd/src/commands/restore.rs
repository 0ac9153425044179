//! `restore`

use sandbox::Console;
use sandbox::criu::RestoreRequest;
use sandbox::plan::Purpose;

use super::Session;
use super::checkpoint::criu_options;
use super::request::{self, Stay, prepare};
use super::run::{AtEnd, Foreground};
use crate::args::checkpoint::Restore;
use crate::args::creation::Creation;
use crate::error::Result;
use crate::foreground::{Orphans, Signals};
use crate::terminal::Relay;

pub(crate) fn restore(session: &Session<'_>, arguments: &Restore) -> Result<u8> {
    let criu = criu_options(session, &arguments.criu)?;
    let signals = if arguments.detach { None } else { Some(Signals::block()?) };
    let stay = if arguments.detach { Stay::Detached } else { Stay::Foreground };
    let creation = creation(arguments);
    let mut create = request::request(session, &creation)?;
    let prepared = prepare(&mut create, &creation, Purpose::Run, stay)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut request = RestoreRequest {
        create,
        criu,
        lsm_profile: given(&arguments.lsm_profile),
        lsm_mount_context: given(&arguments.lsm_mount_context),
    };
    let runtime = session.runtime()?;
    let Some(signals) = &signals else {
        session.accept(runtime.restore(&request, prepared)?);
        return Ok(0);
    };
    let orphans = if arguments.no_subreaper { Orphans::Leave } else { Orphans::adopt()? };
    let foreground = Foreground { session, runtime: &runtime, signals, orphans, end: AtEnd::Delete };
    request.create.console = Console::Kept;
    let mut running = session.accept(runtime.restore(&request, prepared)?);
    match running.process.terminal.take().map(Relay::serve).transpose() {
        Ok(relay) => foreground.follow(&running, relay),
        Err(error) => {
            foreground.delete(&running);
            Err(error)
        }
    }
}

/// What `restore` shares with `create`.
fn creation(arguments: &Restore) -> Creation {
    Creation {
        bundle: arguments.bundle.clone(),
        config: None,
        console_socket: arguments.console_socket.clone(),
        pidfd_socket: None,
        pid_file: arguments.pid_file.clone(),
        no_pivot: arguments.no_pivot,
        no_new_keyring: false,
        preserve_fds: 0,
        id: arguments.id.clone(),
    }
}

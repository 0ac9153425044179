//! `start`

use std::os::fd::AsFd as _;

use sandbox::ContainerId;

use super::{Session, notified};
use crate::args::lifecycle::Start;
use crate::error::Result;
use crate::notify::{ServiceManager, Until};

pub(crate) fn start(session: &Session<'_>, arguments: &Start) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let runtime = session.runtime()?;
    let Some(manager) = ServiceManager::connect() else {
        session.accept(runtime.start(&id)?);
        return Ok(0);
    };
    let init = runtime.open_init(&id)?;
    let pid = runtime.state(&id)?.pid;
    let notify = notified::start(session, &runtime, &id, manager)?;
    if let Some((notify, init)) = notify.zip(init) {
        notify
            .forward(init.as_fd(), pid.cast_unsigned(), Until::Ready)
            .unwrap_or_else(|error| session.warn_about(error));
    }
    Ok(0)
}

//! `start`

use std::os::fd::AsFd as _;

use sandbox::ContainerId;

use super::Session;
use crate::args::lifecycle::Start;
use crate::error::Result;
use crate::notify::{Notify, Until};

pub(crate) fn start(session: &Session<'_>, arguments: &Start) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let runtime = session.runtime()?;
    let Some(notify) = Notify::bind(&runtime.notify_directory(&id))? else {
        session.accept(runtime.start(&id)?);
        return Ok(0);
    };
    let init = runtime.open_init(&id)?;
    let pid = runtime.state(&id)?.pid;
    session.accept(runtime.start(&id)?);
    if let Some(init) = init {
        notify.forward(init.as_fd(), pid.cast_unsigned(), Until::Ready)?;
    }
    Ok(0)
}

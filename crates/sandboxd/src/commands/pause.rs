//! `pause` and `resume`

use sandbox::ContainerId;

use super::Session;
use crate::args::pause::{Pause, Resume};
use crate::error::Result;

pub(crate) fn pause(session: &Session<'_>, arguments: &Pause) -> Result<u8> {
    session.runtime()?.pause(&ContainerId::new(&arguments.id)?)?;
    Ok(0)
}

pub(crate) fn resume(session: &Session<'_>, arguments: &Resume) -> Result<u8> {
    session.runtime()?.resume(&ContainerId::new(&arguments.id)?)?;
    Ok(0)
}

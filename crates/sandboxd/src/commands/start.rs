//! `start`

use sandbox::ContainerId;

use super::Session;
use crate::args::lifecycle::Start;
use crate::error::Result;

pub(crate) fn start(session: &Session<'_>, arguments: &Start) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    session.accept(session.runtime()?.start(&id)?);
    Ok(0)
}

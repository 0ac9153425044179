//! `create`

use super::Session;
use super::request::{Stay, prepare};
use crate::args::creation::Create;
use crate::error::Result;

pub(crate) fn create(session: &Session<'_>, arguments: &Create) -> Result<u8> {
    let prepared = prepare(session, &arguments.creation, Stay::Detached)?;
    session.accept(session.runtime()?.create(&prepared.request)?);
    Ok(0)
}

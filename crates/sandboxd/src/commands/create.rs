//! `create`

use sandbox::plan::Purpose;

use super::Session;
use super::request::{Stay, prepare};
use crate::args::creation::Create;
use crate::error::Result;

pub(crate) fn create(session: &Session<'_>, arguments: &Create) -> Result<u8> {
    let (request, prepared) = prepare(session, &arguments.creation, Purpose::Create, Stay::Detached)?;
    session.accept(session.runtime()?.launch(&request, prepared)?);
    Ok(0)
}

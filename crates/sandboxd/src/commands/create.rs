//! `create`

use sandbox::plan::Purpose;

use super::Session;
use super::request::{Stay, prepare, request};
use crate::args::creation::Create;
use crate::error::Result;

pub(crate) fn create(session: &Session<'_>, arguments: &Create) -> Result<u8> {
    let mut request = request(session, &arguments.creation)?;
    let prepared = prepare(&mut request, &arguments.creation, Purpose::Create, Stay::Detached)?;
    session.accept(session.runtime()?.launch(&request, prepared)?);
    Ok(0)
}

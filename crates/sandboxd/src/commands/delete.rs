//! `delete`

use sandbox::Deletion;

use super::Session;
use super::select::for_each;
use crate::args::lifecycle::Delete;
use crate::error::Result;

pub(crate) fn delete(session: &Session<'_>, arguments: &Delete) -> Result<u8> {
    let deletion = if arguments.force { Deletion::Force } else { Deletion::Stopped };
    let runtime = session.runtime()?;
    for_each(&runtime, &arguments.id, arguments.regex, |id| {
        session.accept(runtime.delete(id, deletion)?);
        Ok(())
    })?;
    Ok(0)
}

//! `mounts`: a document of mounts is read; the library does the rest.

use sandbox::ContainerId;
use spec::ParsedMounts;

use super::Session;
use super::document::read;
use crate::args::mounts::Mounts;
use crate::error::Result;

pub(crate) fn mounts(session: &Session<'_>, arguments: &Mounts) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let bytes = read(&arguments.file)?;
    let invalid = |violations| sandbox::Error::Mounts(Box::new(violations));
    let runtime = session.runtime()?;
    let outcome = if arguments.action == "remove" {
        runtime.remove_mounts(&id, &spec::parse_destinations(&bytes).map_err(invalid)?)?
    } else {
        let ParsedMounts { mounts, warnings } = spec::parse_mounts(&bytes).map_err(invalid)?;
        for spec::Warning { pointer, message } in warnings {
            session.warn(&sandbox::Warning { pointer: Some(pointer), message });
        }
        runtime.add_mounts(&id, &mounts)?
    };
    session.accept(outcome);
    Ok(0)
}

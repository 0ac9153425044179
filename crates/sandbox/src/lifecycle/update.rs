//! `update`: other limits for a container that exists. All of them, or none.
//!
//! Runs in the runtime, under the container's lock. What counts from now on is recorded after it is the case: a runtime
//! killed before leaves values that are old or new, file by file, and the next `update` reads what is the case.

use serde_json::Value;
use spec::config::Resources;

use super::container::{Status, status};
use super::pause::{cgroup, not_running};
use crate::error::{Error, Result};
use crate::state::{Entry, Record, StateRoot};
use crate::{ContainerId, Outcome};

pub(super) fn update(state: &StateRoot, id: &ContainerId, asked: &Resources) -> Result<Outcome<()>> {
    let entry = state.lock(id)?;
    let mut record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Created | Status::Running | Status::Paused => {}
        Status::Creating | Status::Stopped => return Err(not_running()),
    }
    // Made in code, they have not been checked.
    let asked = &checked(asked)?;
    let mut resources = effective_resources(&entry, &record)?;
    let Outcome { value: applied, warnings } = cgroup(&record)?.update(asked, &resources)?;
    resources.merge(asked);
    let document: Result<Value, _> = serde_json::from_str(&resources.to_json());
    record.resources = Some(document.map_err(|error| Error::State { reason: format!("encode: {error}") })?);
    if let Err(error) = entry.write(&record) {
        applied.undo()?;
        return Err(error);
    }
    Ok(Outcome { value: (), warnings })
}

/// Other schemata for the container's class of service; the lines that they replace.
pub(super) fn update_schemata(state: &StateRoot, id: &ContainerId, lines: &[String]) -> Result<Vec<String>> {
    let entry = state.lock(id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Created | Status::Running | Status::Paused => {}
        Status::Creating | Status::Stopped => return Err(not_running()),
    }
    let none = Error::Request("the container has no class of service: its config has no /linux/intelRdt");
    record.resctrl.ok_or(none)?.update(lines)
}

/// Resources by the rules of the specification, which hold for those of a document anyway.
pub(super) fn checked(resources: &Resources) -> Result<Resources> {
    Ok(spec::parse_resources(resources.to_json().as_bytes())?.resources)
}

/// The resources that count: those of the config, as far as no `update` has changed them.
pub(super) fn effective_resources(entry: &Entry, record: &Record) -> Result<Resources> {
    match &record.resources {
        Some(document) => Ok(spec::parse_resources(document.to_string().as_bytes())?.resources),
        None => Ok(spec::parse_config(entry.read_config()?.as_bytes())?.config.linux.resources),
    }
}

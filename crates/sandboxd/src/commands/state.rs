//! `state`: the specification's state document, with runc's additions and in runc's order.

use std::collections::BTreeMap;
use std::path::Path;

use sandbox::{Container, ContainerId};
use serde::Serialize;

use super::{Session, owner};
use crate::args::lifecycle::State;
use crate::error::Result;

pub(crate) fn state(session: &Session<'_>, arguments: &State) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let container = session.runtime()?.state(&id)?;
    let mut text = serde_json::to_string_pretty(&Document::new(&container))?;
    text.push('\n');
    crate::print(&text)
}

/// What `state` and `list --format json` print of a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document<'a> {
    oci_version: &'a str,
    id: &'a str,
    /// 0 when stopped.
    pid: i32,
    status: &'static str,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: String,
}

impl<'a> Document<'a> {
    pub(crate) fn new(container: &'a Container) -> Self {
        Self {
            oci_version: &container.oci_version,
            id: &container.id,
            pid: container.pid,
            status: container.status.name(),
            bundle: &container.bundle,
            rootfs: &container.rootfs,
            created: created(container),
            annotations: &container.annotations,
            owner: owner::name(container.owner_uid),
        }
    }
}

/// RFC 3339, UTC, with nanoseconds.
pub(crate) fn created(container: &Container) -> String {
    humantime::format_rfc3339_nanos(container.created).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use sandbox::Status;

    use super::*;

    #[test]
    fn document_has_runcs_fields_in_runcs_order() {
        let container = Container {
            id: ContainerId::new("web-1").unwrap(),
            status: Status::Running,
            pid: 7,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_767_225_600_000_000_001),
            owner_uid: 4_294_967_294,
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            oci_version: "1.0.2".to_owned(),
        };
        let text = serde_json::to_string(&Document::new(&container)).unwrap();
        let expected = concat!(
            r#"{"ociVersion":"1.0.2","id":"web-1","pid":7,"status":"running","bundle":"/b","rootfs":"/b/rootfs","#,
            r##""created":"2026-01-01T00:00:00.000000001Z","annotations":{"a":"b"},"owner":"#4294967294"}"##
        );
        assert_eq!(text, expected);
    }
}

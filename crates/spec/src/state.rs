//! The `state` document: what hooks read on stdin and `state` prints (runtime-spec, `runtime.md#state`).
//!
//! Runs anywhere; pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` has not ended.
    Creating,
    /// `create` has ended, `start` has not been called.
    Created,
    /// The user's program has been started and has not ended.
    Running,
    /// The container's process has ended.
    Stopped,
}

impl Status {
    /// Its name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The state of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification that this document follows.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// Its process, as seen by the reader: required while created or running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The bundle's directory, absolute.
    pub bundle: String,
    /// The config's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a seccomp agent reads from its socket, with the descriptors (`config-linux.md#the-container-process-state`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState {
    /// The version of the specification that this document follows.
    pub oci_version: String,
    /// The names of the descriptors that are sent, in their order: `seccompFd`.
    pub fds: Vec<String>,
    /// The process, as seen by the runtime.
    pub pid: i32,
    /// `listenerMetadata`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The container.
    pub state: State,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_the_spec_is_read_and_written() {
        let text = r#"{"ociVersion":"0.2.0","id":"oci-container1","status":"running","pid":4422,"bundle":"/containers/redis","annotations":{"myKey":"myValue"}}"#;
        let state: State = serde_json::from_str(text).unwrap();
        assert_eq!(state.status, Status::Running);
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
    }

    #[test]
    fn state_without_pid_and_annotations_is_short() {
        let state = State {
            oci_version: crate::VERSION.into(),
            id: "a".into(),
            status: Status::Stopped,
            pid: None,
            bundle: "/b".into(),
            annotations: BTreeMap::new(),
        };
        let text = r#"{"ociVersion":"1.3.0","id":"a","status":"stopped","bundle":"/b"}"#;
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(serde_json::from_str::<State>(text).unwrap(), state);
    }
}

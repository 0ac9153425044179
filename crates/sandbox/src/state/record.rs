//! `state.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Identity;
use crate::cgroup::CgroupRecord;
use crate::launch::ExecutableId;
use crate::resctrl::ResctrlRecord;

/// The layout's version; a record of a newer one is not touched.
pub const SCHEMA: u32 = 1;

/// How far creation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The intent: what follows may exist, in part.
    Creating,
    /// Init exists. Whether it was started shows in what it executes.
    Created,
}

/// What is recorded of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The config's `ociVersion`.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// How far creation came.
    pub phase: Phase,
    /// The boot during which it was created: on another, nothing of it runs.
    pub boot_id: String,
    /// Bundle, absolute.
    pub bundle: PathBuf,
    /// Root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created: nanoseconds since 1970.
    pub created_ns: u64,
    /// Effective uid of the creator.
    pub owner_uid: u32,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Init.
    pub init: Option<Identity>,
    /// What init is executed from until it is started.
    pub executable: Option<ExecutableId>,
    /// The cgroups that were, or may have been, made.
    pub cgroup: Option<CgroupRecord>,
    /// The resources that count since the last `update`; absent, the config's do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<serde_json::Value>,
    /// Whether there are poststop hooks: the config is read for them at `delete` alone.
    pub poststop: bool,
    /// Whether `start` reads the config whatever happens: there are poststart hooks, or no process. Otherwise it does where
    /// init asks for something.
    #[serde(default = "yes")]
    pub start_reads_config: bool,
    /// Whether it has a pid namespace of its own: the end of init is the end of all.
    pub own_pids: bool,
    /// Whether it stays in the caller's session keyring.
    #[serde(default)]
    pub inherits_keyring: bool,
    /// The pod that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What it has in resctrl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<ResctrlRecord>,
    /// Index of the step at the gate: what fails after it is reported to `start`.
    pub gate_step: Option<u32>,
}

const fn yes() -> bool {
    true
}

impl Record {
    /// When it was created.
    pub fn created(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.created_ns)
    }
}

//! What is stored of a container's cgroups: enough to find, kill and remove them in another process, and no more.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hierarchies::Mode;
use super::systemd::session::Session;

/// Which hierarchy a directory is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hierarchy {
    /// The unified one.
    V2,
    /// One of v1: its controllers, or `name=…`.
    V1(Vec<String>),
}

/// Of cgroups: what the files are called, and what their values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// Where systemd always makes the cgroups of a delegated unit on v1. In `blkio` it does for some properties; the others it
/// leaves alone.
const SYSTEMD_V1: [&str; 6] = ["cpu", "cpuacct", "devices", "memory", "name=systemd", "pids"];

impl Hierarchy {
    pub(super) const fn version(&self) -> Version {
        match self {
            Self::V2 => Version::V2,
            Self::V1(_) => Version::V1,
        }
    }

    /// Whether systemd makes the cgroups of its units in it.
    pub(super) fn is_of_systemd(&self) -> bool {
        match self {
            Self::V2 => true,
            Self::V1(controllers) => controllers.iter().any(|name| SYSTEMD_V1.contains(&&**name)),
        }
    }

    /// Whether it has this v1 controller.
    pub(super) fn is_v1_with(&self, controller: &str) -> bool {
        matches!(self, Self::V1(controllers) if controllers.iter().any(|name| name == controller))
    }
}

/// The container's cgroup in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDirectory {
    /// In which.
    pub hierarchy: Hierarchy,
    /// Where that is mounted.
    pub mount_point: PathBuf,
    /// The container's cgroup, absolute.
    pub path: PathBuf,
    /// Its inode, which no other cgroup of this boot has: one that is made later at the same path is not the container's. 0 as
    /// long as it is not known.
    #[serde(default)]
    pub inode: u64,
    /// Whether this runtime made it. Another's is left in place, empty.
    pub made: bool,
    /// The directories above it that this runtime made, absolute, the lowest first. Removed where they are empty.
    pub made_parents: Vec<PathBuf>,
}

/// The scope of systemd's that the container's cgroup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Whose it is.
    pub session: Session,
    /// Its name.
    pub name: String,
    /// Its description, that of no other unit: by it the unit is known to be the one that was recorded.
    pub description: String,
    /// Whether it was started. If not, a unit of this name may be another's.
    pub started: bool,
}

/// A container's cgroups, as stored in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// How the host did cgroups; absent where it did not, or was not to.
    pub mode: Option<Mode>,
    /// One for each hierarchy.
    pub directories: Vec<RecordedDirectory>,
    /// Where systemd makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRecord>,
}

//! `linux`.

use std::collections::BTreeMap;

use crate::config::{Id, Propagation, Resources, Seccomp};
use crate::{AbsolutePath, Text};

/// The kinds of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum NamespaceKind {
    User,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
    Mount,
}

/// One of `namespaces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `path` of the namespace to join, on the host; a new one where absent.
    pub path: Option<AbsolutePath>,
    /// Where it stands in the list: `/linux/namespaces/INDEX`.
    pub index: usize,
}

/// `namespaces`: at most one of each kind; what is absent is the runtime's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Namespaces {
    pub user: Option<Namespace>,
    pub pid: Option<Namespace>,
    pub network: Option<Namespace>,
    pub ipc: Option<Namespace>,
    pub uts: Option<Namespace>,
    pub cgroup: Option<Namespace>,
    pub time: Option<Namespace>,
    pub mount: Option<Namespace>,
}

impl NamespaceKind {
    /// All, in the order in which they are joined: user first, mount last.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Pid, Self::Network, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time, Self::Mount];

    /// The `type` in `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
            Self::Mount => "mount",
        }
    }

    /// Its name in `/proc/PID/ns` (namespaces(7)).
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
            other => other.name(),
        }
    }
}

impl Namespaces {
    /// The entry of a kind.
    pub fn get(&self, kind: NamespaceKind) -> Option<&Namespace> {
        match kind {
            NamespaceKind::User => self.user.as_ref(),
            NamespaceKind::Pid => self.pid.as_ref(),
            NamespaceKind::Network => self.network.as_ref(),
            NamespaceKind::Ipc => self.ipc.as_ref(),
            NamespaceKind::Uts => self.uts.as_ref(),
            NamespaceKind::Cgroup => self.cgroup.as_ref(),
            NamespaceKind::Time => self.time.as_ref(),
            NamespaceKind::Mount => self.mount.as_ref(),
        }
    }
}

impl Namespaces {
    /// The place of a kind.
    pub(crate) fn get_mut(&mut self, kind: NamespaceKind) -> &mut Option<Namespace> {
        match kind {
            NamespaceKind::User => &mut self.user,
            NamespaceKind::Pid => &mut self.pid,
            NamespaceKind::Network => &mut self.network,
            NamespaceKind::Ipc => &mut self.ipc,
            NamespaceKind::Uts => &mut self.uts,
            NamespaceKind::Cgroup => &mut self.cgroup,
            NamespaceKind::Time => &mut self.time,
            NamespaceKind::Mount => &mut self.mount,
        }
    }
}

/// One line of `uidMappings` or `gidMappings`; sizes are at least 1, ranges do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct IdMapping {
    pub container_id: u32,
    pub host_id: u32,
    pub size: u32,
}

/// An offset of a clock in the time namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TimeOffset {
    pub seconds: i64,
    /// Below 10⁹.
    pub nanoseconds: u32,
}

/// `timeOffsets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TimeOffsets {
    pub monotonic: Option<TimeOffset>,
    pub boottime: Option<TimeOffset>,
}

/// `type` of a device; `u` is `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DeviceKind {
    Character,
    Block,
    Fifo,
}

/// One of `devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `path`, in the container.
    pub path: AbsolutePath,
    /// `type`
    pub kind: DeviceKind,
    /// `major`; 0 for a FIFO.
    pub major: u32,
    /// `minor`; 0 for a FIFO.
    pub minor: u32,
    /// `fileMode`, permission bits; 0666 where absent.
    pub mode: u32,
    /// `uid`; root where absent.
    pub uid: Id,
    /// `gid`; root where absent.
    pub gid: Id,
}

/// One of `netDevices`, by its name on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetDevice {
    /// `name` in the container; the same where absent.
    pub name: Option<Text>,
}

/// `intelRdt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct IntelRdt {
    pub clos_id: Option<Text>,
    pub schemata: Vec<Text>,
    pub l3_cache_schema: Option<Text>,
    pub mem_bw_schema: Option<Text>,
    pub enable_monitoring: bool,
}

/// `memoryPolicy.mode`, with the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum MemoryPolicyMode {
    Default = 0,
    Preferred = 1,
    Bind = 2,
    Interleave = 3,
    Local = 4,
    PreferredMany = 5,
    WeightedInterleave = 6,
}

/// `memoryPolicy`: `set_mempolicy(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `mode`
    pub mode: MemoryPolicyMode,
    /// `nodes`, sorted, each once.
    pub nodes: Vec<u32>,
    /// `flags`: MPOL_F_* bits.
    pub flags: u32,
}

/// `personality.domain`, with the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Personality {
    Linux = 0,
    Linux32 = 8,
}

/// One of `sysctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// As in the config.
    pub key: Text,
    /// Below `/proc/sys`, relative, without `.` or `..`.
    pub path: Text,
    /// What is written.
    pub value: Text,
    /// The kind of namespace that it belongs to; the config has one.
    pub namespace: NamespaceKind,
}

/// `linux`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Linux {
    /// `namespaces`
    pub namespaces: Namespaces,
    /// `uidMappings`
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings`
    pub gid_mappings: Vec<IdMapping>,
    /// `timeOffsets`
    pub time_offsets: TimeOffsets,
    /// `devices`, as listed, without the default ones that every container gets.
    pub devices: Vec<Device>,
    /// `netDevices`
    pub net_devices: BTreeMap<Text, NetDevice>,
    /// `cgroupsPath`, not empty.
    pub cgroups_path: Option<Text>,
    /// `resources`
    pub resources: Resources,
    /// `intelRdt`
    pub intel_rdt: Option<IntelRdt>,
    /// `memoryPolicy`
    pub memory_policy: Option<MemoryPolicy>,
    /// `personality`
    pub personality: Option<Personality>,
    /// `rootfsPropagation`
    pub rootfs_propagation: Option<Propagation>,
    /// `seccomp`
    pub seccomp: Option<Seccomp>,
    /// `sysctl`, sorted by key; only what the container's namespaces own.
    pub sysctl: Vec<Sysctl>,
    /// `maskedPaths`, in the container.
    pub masked_paths: Vec<AbsolutePath>,
    /// `readonlyPaths`, in the container.
    pub readonly_paths: Vec<AbsolutePath>,
    /// `mountLabel`; an empty string is none.
    pub mount_label: Option<Text>,
}

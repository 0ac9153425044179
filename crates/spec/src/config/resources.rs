//! `linux.resources`: limits, each with one meaning on every cgroup version.

use std::collections::BTreeMap;

use crate::Text;

/// A limit that was asked for. Absent (no limit asked: leave what the kernel gives) is `None` around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No limit: −1 in the config, `max` in cgroup v2.
    Max,
    /// This much.
    Value(u64),
}

/// Which devices a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DeviceRuleKind {
    All,
    Character,
    Block,
}

/// `access`: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

/// One of `resources.devices`; later rules override earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// `allow`
    pub allow: bool,
    /// `type`; all where absent.
    pub kind: DeviceRuleKind,
    /// `major`; any where absent or −1.
    pub major: Option<u32>,
    /// `minor`; any where absent or −1.
    pub minor: Option<u32>,
    /// `access`; all three where absent.
    pub access: Access,
}

/// `memory`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `limit`
    pub limit: Option<Limit>,
    /// `reservation`
    pub reservation: Option<Limit>,
    /// `swap`: memory and swap together, as in the config.
    pub swap: Option<Limit>,
    /// `kernel`; gone from the kernel, accepted.
    pub kernel: Option<Limit>,
    /// `kernelTCP`
    pub kernel_tcp: Option<Limit>,
    /// `swappiness`, 0 to 100.
    pub swappiness: Option<u8>,
    /// `disableOOMKiller`
    pub disable_oom_killer: Option<bool>,
    /// `useHierarchy`
    pub use_hierarchy: Option<bool>,
    /// `checkBeforeUpdate`
    pub check_before_update: bool,
}

/// `cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// `shares`, the v1 scale (2 to 262144); 0 was dropped: it asks nothing.
    pub shares: Option<u64>,
    /// `quota` in microseconds of a period.
    pub quota: Option<Limit>,
    /// `burst` in microseconds.
    pub burst: Option<u64>,
    /// `period` in microseconds; 0 was dropped.
    pub period: Option<u64>,
    /// `realtimeRuntime` in microseconds.
    pub realtime_runtime: Option<i64>,
    /// `realtimePeriod` in microseconds.
    pub realtime_period: Option<u64>,
    /// `cpus`, a checked list (`0-3,7`), not empty.
    pub cpus: Option<Text>,
    /// `mems`, likewise.
    pub mems: Option<Text>,
    /// `idle`
    pub idle: Option<bool>,
}

/// A weight of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BlockWeight {
    pub major: u32,
    pub minor: u32,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// A throttle of one device, in bytes or operations per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BlockThrottle {
    pub major: u32,
    pub minor: u32,
    pub rate: u64,
}

/// `blockIO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weight_device: Vec<BlockWeight>,
    pub read_bps: Vec<BlockThrottle>,
    pub write_bps: Vec<BlockThrottle>,
    pub read_iops: Vec<BlockThrottle>,
    pub write_iops: Vec<BlockThrottle>,
}

/// One of `hugepageLimits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugepageLimit {
    /// `pageSize`, as in the file names: `2MB`, `1GB`.
    pub page_size: Text,
    /// `limit` in bytes.
    pub limit_bytes: u64,
}

/// One of `network.priorities`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct InterfacePriority {
    pub name: Text,
    pub priority: u32,
}

/// `network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Network {
    pub class_id: Option<u32>,
    pub priorities: Vec<InterfacePriority>,
}

/// One of `rdma`; at least one of the two is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rdma {
    pub hca_handles: Option<u32>,
    pub hca_objects: Option<u32>,
}

/// `resources`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `devices`, in order.
    pub devices: Vec<DeviceRule>,
    /// `memory`
    pub memory: Memory,
    /// `cpu`
    pub cpu: Cpu,
    /// `pids.limit`: 0 is the limit 0, −1 is max.
    pub pids: Option<Limit>,
    /// `blockIO`
    pub block_io: BlockIo,
    /// `hugepageLimits`
    pub hugepage_limits: Vec<HugepageLimit>,
    /// `network`
    pub network: Network,
    /// `rdma`
    pub rdma: BTreeMap<Text, Rdma>,
    /// `unified`: file name to what is written; names have no `/` and are not `.` or `..`.
    pub unified: BTreeMap<Text, Text>,
}

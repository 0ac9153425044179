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
    pub check_before_update: Option<bool>,
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

impl Resources {
    /// What counts after a change: each value that is asked for takes the place of what counted before.
    pub fn merge(&mut self, asked: &Self) {
        if !asked.devices.is_empty() {
            self.devices.clone_from(&asked.devices);
        }
        self.memory.merge(&asked.memory);
        self.cpu.merge(&asked.cpu);
        replace(&mut self.pids, asked.pids);
        self.block_io.merge(&asked.block_io);
        put_all(&mut self.hugepage_limits, &asked.hugepage_limits, |a, b| a.page_size == b.page_size);
        replace(&mut self.network.class_id, asked.network.class_id);
        put_all(&mut self.network.priorities, &asked.network.priorities, |a, b| a.name == b.name);
        self.rdma.extend(asked.rdma.iter().map(|(name, limits)| (name.clone(), *limits)));
        self.unified.extend(asked.unified.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl Memory {
    fn merge(&mut self, asked: &Self) {
        replace(&mut self.limit, asked.limit);
        replace(&mut self.reservation, asked.reservation);
        replace(&mut self.swap, asked.swap);
        replace(&mut self.kernel, asked.kernel);
        replace(&mut self.kernel_tcp, asked.kernel_tcp);
        replace(&mut self.swappiness, asked.swappiness);
        replace(&mut self.disable_oom_killer, asked.disable_oom_killer);
        replace(&mut self.use_hierarchy, asked.use_hierarchy);
        replace(&mut self.check_before_update, asked.check_before_update);
        // It is of memory and swap together: it can't stay below a memory limit that was raised.
        if let (Some(Limit::Value(limit)), Some(Limit::Value(swap))) = (self.limit, self.swap)
            && swap < limit
        {
            self.swap = self.limit;
        }
    }
}

impl Cpu {
    fn merge(&mut self, asked: &Self) {
        replace(&mut self.shares, asked.shares);
        replace(&mut self.quota, asked.quota);
        replace(&mut self.burst, asked.burst);
        replace(&mut self.period, asked.period);
        replace(&mut self.realtime_runtime, asked.realtime_runtime);
        replace(&mut self.realtime_period, asked.realtime_period);
        replace(&mut self.cpus, asked.cpus.clone());
        replace(&mut self.mems, asked.mems.clone());
        replace(&mut self.idle, asked.idle);
        if let (Some(Limit::Value(quota)), Some(burst)) = (self.quota, &mut self.burst) {
            *burst = (*burst).min(quota);
        }
    }
}

impl BlockIo {
    fn merge(&mut self, asked: &Self) {
        replace(&mut self.weight, asked.weight);
        replace(&mut self.leaf_weight, asked.leaf_weight);
        let same = |a: &BlockWeight, b: &BlockWeight| (a.major, a.minor) == (b.major, b.minor);
        put_all(&mut self.weight_device, &asked.weight_device, same);
        let same = |a: &BlockThrottle, b: &BlockThrottle| (a.major, a.minor) == (b.major, b.minor);
        put_all(&mut self.read_bps, &asked.read_bps, same);
        put_all(&mut self.write_bps, &asked.write_bps, same);
        put_all(&mut self.read_iops, &asked.read_iops, same);
        put_all(&mut self.write_iops, &asked.write_iops, same);
    }
}

fn replace<T>(value: &mut Option<T>, asked: Option<T>) {
    if asked.is_some() {
        *value = asked;
    }
}

/// Each takes the place of the one that is about the same thing, or is new.
fn put_all<T: Clone>(list: &mut Vec<T>, asked: &[T], same: impl Fn(&T, &T) -> bool) {
    for item in asked {
        match list.iter_mut().find(|known| same(known, item)) {
            Some(known) => *known = item.clone(),
            None => list.push(item.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_replaces_what_is_asked_and_keeps_the_rest() {
        let throttle = |minor, rate| BlockThrottle { major: 8, minor, rate };
        let mut resources = Resources::default();
        resources.memory.limit = Some(Limit::Value(100));
        resources.memory.swap = Some(Limit::Value(200));
        resources.cpu.shares = Some(512);
        resources.block_io.read_bps = vec![throttle(0, 1), throttle(1, 2)];
        let mut asked = Resources { pids: Some(Limit::Max), ..Resources::default() };
        asked.memory.limit = Some(Limit::Value(300));
        asked.block_io.read_bps = vec![throttle(1, 5), throttle(2, 6)];
        resources.merge(&asked);
        assert_eq!(resources.memory.limit, Some(Limit::Value(300)));
        assert_eq!(resources.memory.swap, Some(Limit::Value(300)));
        assert_eq!((resources.cpu.shares, resources.pids), (Some(512), Some(Limit::Max)));
        assert_eq!(resources.block_io.read_bps, [throttle(0, 1), throttle(1, 5), throttle(2, 6)]);
        let read = crate::parse_resources(resources.to_json().as_bytes()).unwrap();
        assert_eq!(read.resources, resources);
    }
}

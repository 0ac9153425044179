//! `linux.resources`.

use serde_json::{Map, Value};

use super::{Object, list};
use crate::config::{
    BlockIo, BlockThrottle, BlockWeight, Cpu, DeviceRule, DeviceRuleKind, HugepageLimit, InterfacePriority,
    Limit, Memory, Network, Resources,
};

pub(super) fn write_resources(resources: &Resources) -> Value {
    let pids = Object::default().with_some("limit", resources.pids.map(write_limit));
    let rdma: Map<String, Value> = resources
        .rdma
        .iter()
        .map(|(name, limits)| {
            let limits = Object::default()
                .with_some("hcaHandles", limits.hca_handles)
                .with_some("hcaObjects", limits.hca_objects);
            (name.to_string(), limits.into())
        })
        .collect();
    let unified: Map<String, Value> =
        resources.unified.iter().map(|(name, value)| (name.to_string(), (&**value).into())).collect();
    Object::default()
        .with_filled("devices", list(&resources.devices, write_device_rule))
        .with_filled("memory", write_memory(&resources.memory))
        .with_filled("cpu", write_cpu(&resources.cpu))
        .with_filled("pids", pids)
        .with_filled("blockIO", write_block_io(&resources.block_io))
        .with_filled("hugepageLimits", list(&resources.hugepage_limits, write_hugepage_limit))
        .with_filled("network", write_network(&resources.network))
        .with_filled("rdma", rdma)
        .with_filled("unified", unified)
        .into()
}

fn write_limit(limit: Limit) -> Value {
    match limit {
        Limit::Max => (-1).into(),
        Limit::Value(limit) => limit.into(),
    }
}

fn write_device_rule(rule: &DeviceRule) -> Value {
    let kind = match rule.kind {
        DeviceRuleKind::All => "a",
        DeviceRuleKind::Character => "c",
        DeviceRuleKind::Block => "b",
    };
    let letters = [(rule.access.read, 'r'), (rule.access.write, 'w'), (rule.access.mknod, 'm')];
    let access: String = letters.into_iter().filter(|(has, _)| *has).map(|(_, letter)| letter).collect();
    Object::default()
        .with("allow", rule.allow)
        .with("type", kind)
        .with_some("major", rule.major)
        .with_some("minor", rule.minor)
        .with("access", access)
        .into()
}

fn write_memory(memory: &Memory) -> Object {
    Object::default()
        .with_some("limit", memory.limit.map(write_limit))
        .with_some("reservation", memory.reservation.map(write_limit))
        .with_some("swap", memory.swap.map(write_limit))
        .with_some("kernel", memory.kernel.map(write_limit))
        .with_some("kernelTCP", memory.kernel_tcp.map(write_limit))
        .with_some("swappiness", memory.swappiness)
        .with_some("disableOOMKiller", memory.disable_oom_killer)
        .with_some("useHierarchy", memory.use_hierarchy)
        .with_some("checkBeforeUpdate", memory.check_before_update)
}

fn write_cpu(cpu: &Cpu) -> Object {
    Object::default()
        .with_some("shares", cpu.shares)
        .with_some("quota", cpu.quota.map(write_limit))
        .with_some("burst", cpu.burst)
        .with_some("period", cpu.period)
        .with_some("realtimeRuntime", cpu.realtime_runtime)
        .with_some("realtimePeriod", cpu.realtime_period)
        .with_some("cpus", cpu.cpus.as_deref())
        .with_some("mems", cpu.mems.as_deref())
        .with_some("idle", cpu.idle.map(u8::from))
}

fn write_block_io(block_io: &BlockIo) -> Object {
    Object::default()
        .with_some("weight", block_io.weight)
        .with_some("leafWeight", block_io.leaf_weight)
        .with_filled("weightDevice", list(&block_io.weight_device, write_weight))
        .with_filled("throttleReadBpsDevice", list(&block_io.read_bps, write_throttle))
        .with_filled("throttleWriteBpsDevice", list(&block_io.write_bps, write_throttle))
        .with_filled("throttleReadIOPSDevice", list(&block_io.read_iops, write_throttle))
        .with_filled("throttleWriteIOPSDevice", list(&block_io.write_iops, write_throttle))
}

fn write_weight(device: &BlockWeight) -> Value {
    Object::default()
        .with("major", device.major)
        .with("minor", device.minor)
        .with_some("weight", device.weight)
        .with_some("leafWeight", device.leaf_weight)
        .into()
}

fn write_throttle(device: &BlockThrottle) -> Value {
    Object::default().with("major", device.major).with("minor", device.minor).with("rate", device.rate).into()
}

fn write_hugepage_limit(limit: &HugepageLimit) -> Value {
    Object::default().with("pageSize", &*limit.page_size).with("limit", limit.limit_bytes).into()
}

fn write_network(network: &Network) -> Object {
    let priority = |it: &InterfacePriority| {
        Object::default().with("name", &*it.name).with("priority", it.priority).into()
    };
    Object::default()
        .with_some("classID", network.class_id)
        .with_filled("priorities", list(&network.priorities, priority))
}

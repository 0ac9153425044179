//! Limits whose controller is on a v1 hierarchy (kernel, `cgroup-v1/*.rst`). Pure.

use spec::config::{BlockThrottle, BlockWeight, Resources};

use super::convert::{swap, v1_limit};
use super::error::PlanError;
use super::planner::{Missing, Place, Planner, Write, write};
use crate::Warning;

/// Where each controller's file goes, on v1.
pub(super) fn check_and_add(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    if let Some(Place::V1(index)) = planner.place("memory") {
        memory(planner, index, resources)?;
    }
    if let Some(Place::V1(index)) = planner.place("cpu") {
        cpu(planner, index, resources);
    }
    if let Some(Place::V1(index)) = planner.place("cpuset") {
        let cpu = &resources.cpu;
        for (name, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
            if let Some(list) = list {
                let pointer = format!("/linux/resources/cpu/{name}");
                planner.add_v1(index, write(format!("cpuset.{name}"), &**list, pointer));
            }
        }
    }
    if let (Some(Place::V1(index)), Some(limit)) = (planner.place("pids"), resources.pids) {
        let value = super::convert::v2_limit(limit);
        planner.add_v1(index, write("pids.max", value, "/linux/resources/pids/limit"));
    }
    if let Some(Place::V1(index)) = planner.place("blkio") {
        block_io(planner, index, resources);
    }
    if let Some(Place::V1(index)) = planner.place("hugetlb") {
        for (n, limit) in resources.hugepage_limits.iter().enumerate() {
            for kind in ["", "rsvd."] {
                let file = format!("hugetlb.{}.{kind}limit_in_bytes", limit.page_size);
                let pointer = format!("/linux/resources/hugepageLimits/{n}");
                planner.add_v1(index, write(file, limit.limit_bytes.to_string(), pointer));
            }
        }
    }
    if let (Some(Place::V1(index)), Some(class)) = (planner.place("net_cls"), resources.network.class_id) {
        planner
            .add_v1(index, write("net_cls.classid", class.to_string(), "/linux/resources/network/classID"));
    }
    if let Some(Place::V1(index)) = planner.place("net_prio") {
        for (n, it) in resources.network.priorities.iter().enumerate() {
            let pointer = format!("/linux/resources/network/priorities/{n}");
            planner
                .add_v1(index, write("net_prio.ifpriomap", format!("{} {}", it.name, it.priority), pointer));
        }
    }
    if let Some(Place::V1(index)) = planner.place("rdma") {
        for write in rdma(resources) {
            planner.add_v1(index, write);
        }
    }
    Ok(())
}

fn memory(planner: &mut Planner<'_>, index: usize, resources: &Resources) -> Result<(), PlanError> {
    let memory = &resources.memory;
    let pointer = |name: &str| format!("/linux/resources/memory/{name}");
    // The kernel wants memory ≤ memory and swap at each moment: in a new cgroup both are unlimited, so the lower first.
    if let Some(limit) = memory.limit {
        planner.add_v1(index, write("memory.limit_in_bytes", v1_limit(limit), pointer("limit")));
    }
    if let Some(swap) = swap(memory)? {
        let total = write("memory.memsw.limit_in_bytes", v1_limit(swap.total), pointer("swap"));
        let unlimited = swap.total == spec::config::Limit::Max;
        let missing = if unlimited { Missing::Ignore } else { Missing::Error };
        planner.add_v1(index, Write { missing, ..total });
    }
    if let Some(limit) = memory.reservation {
        planner.add_v1(index, write("memory.soft_limit_in_bytes", v1_limit(limit), pointer("reservation")));
    }
    if let Some(limit) = memory.kernel_tcp {
        planner.add_v1(index, write("memory.kmem.tcp.limit_in_bytes", v1_limit(limit), pointer("kernelTCP")));
    }
    if matches!(memory.kernel, Some(spec::config::Limit::Value(_))) {
        planner.warnings.push(kernel_memory_warning());
    }
    if let Some(swappiness) = memory.swappiness {
        planner.add_v1(index, write("memory.swappiness", swappiness.to_string(), pointer("swappiness")));
    }
    let is_change = planner.is_change;
    if let Some(disable) = memory.disable_oom_killer.filter(|disable| *disable || is_change) {
        let value = if disable { "1" } else { "0" };
        planner.add_v1(index, write("memory.oom_control", value, pointer("disableOOMKiller")));
    }
    // Always hierarchical since Linux 5.11: writing 1 changes nothing, 0 is refused.
    if memory.use_hierarchy == Some(false) {
        planner.add_v1(index, write("memory.use_hierarchy", "0", pointer("useHierarchy")));
    }
    Ok(())
}

/// A limit of kernel memory was removed in Linux 5.16; the file takes any value and does nothing.
pub(super) fn kernel_memory_warning() -> Warning {
    Warning {
        pointer: Some("/linux/resources/memory/kernel".to_owned()),
        message: "ignored: kernel memory has no limit of its own in this kernel".to_owned(),
    }
}

fn cpu(planner: &mut Planner<'_>, index: usize, resources: &Resources) {
    let cpu = &resources.cpu;
    let mut add = |file: &str, value: Option<String>, name: &str| {
        if let Some(value) = value {
            planner.add_v1(index, write(file, value, format!("/linux/resources/cpu/{name}")));
        }
    };
    // An idle cgroup takes no shares, and one that becomes idle loses what it had (kernel, `sched_group_set_idle`).
    add("cpu.idle", cpu.idle.map(|it| u8::from(it).to_string()), "idle");
    add("cpu.shares", cpu.shares.filter(|_| cpu.idle != Some(true)).map(|it| it.to_string()), "shares");
    // A new cgroup has no quota, so any period is taken; a burst must not be above the quota.
    add("cpu.cfs_period_us", cpu.period.map(|it| it.to_string()), "period");
    add("cpu.cfs_quota_us", cpu.quota.map(v1_limit), "quota");
    add("cpu.cfs_burst_us", cpu.burst.map(|it| it.to_string()), "burst");
    add("cpu.rt_period_us", cpu.realtime_period.map(|it| it.to_string()), "realtimePeriod");
    add("cpu.rt_runtime_us", cpu.realtime_runtime.map(|it| it.to_string()), "realtimeRuntime");
}

fn block_io(planner: &mut Planner<'_>, index: usize, resources: &Resources) {
    let io = &resources.block_io;
    // The weight belongs to the I/O scheduler: CFQ once, BFQ now.
    let bfq = |file: &str, value: String, pointer: String| {
        let missing = Missing::Instead { file: file.replace("blkio.", "blkio.bfq."), value: value.clone() };
        Write { missing, ..write(file, value, pointer) }
    };
    let pointer = |name: &str| format!("/linux/resources/blockIO/{name}");
    if let Some(weight) = io.weight {
        planner.add_v1(index, bfq("blkio.weight", weight.to_string(), pointer("weight")));
    }
    if let Some(weight) = io.leaf_weight {
        planner.add_v1(index, write("blkio.leaf_weight", weight.to_string(), pointer("leafWeight")));
    }
    for (n, BlockWeight { major, minor, weight, leaf_weight }) in io.weight_device.iter().enumerate() {
        let pointer = pointer(&format!("weightDevice/{n}"));
        if let Some(weight) = weight {
            let value = format!("{major}:{minor} {weight}");
            planner.add_v1(index, bfq("blkio.weight_device", value, pointer.clone()));
        }
        if let Some(weight) = leaf_weight {
            let value = format!("{major}:{minor} {weight}");
            planner.add_v1(index, write("blkio.leaf_weight_device", value, pointer));
        }
    }
    for (list, file, name) in [
        (&io.read_bps, "read_bps", "throttleReadBpsDevice"),
        (&io.write_bps, "write_bps", "throttleWriteBpsDevice"),
        (&io.read_iops, "read_iops", "throttleReadIOPSDevice"),
        (&io.write_iops, "write_iops", "throttleWriteIOPSDevice"),
    ] {
        for (n, BlockThrottle { major, minor, rate }) in list.iter().enumerate() {
            let file = format!("blkio.throttle.{file}_device");
            let pointer = pointer(&format!("{name}/{n}"));
            planner.add_v1(index, write(file, format!("{major}:{minor} {rate}"), pointer));
        }
    }
}

/// The same on v1 and v2 (kernel, `cgroup-v1/rdma.rst`).
pub(super) fn rdma(resources: &Resources) -> Vec<Write> {
    let one = |(name, it): (&spec::Text, &spec::config::Rdma)| {
        let mut value = name.to_string();
        for (key, limit) in [("hca_handle", it.hca_handles), ("hca_object", it.hca_objects)] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        // RFC 6901, section 3.
        let key = name.replace('~', "~0").replace('/', "~1");
        write("rdma.max", value, format!("/linux/resources/rdma/{key}"))
    };
    resources.rdma.iter().map(one).collect()
}

//! Limits whose controller is on the v2 hierarchy, converted where the config speaks v1; limits whose controller is
//! nowhere; and `unified` (kernel, `cgroup-v2.rst`). Pure.
//!
//! runtime-spec, config-linux.md, Unified: what can't be converted is an error.

use spec::config::{BlockThrottle, Limit, Resources};

use super::convert::{io_weight, shares_to_weight, swap, v2_limit};
use super::error::PlanError;
use super::limits_v1::{kernel_memory_warning, rdma};
use super::planner::{Missing, Place, Planner, Write, controller_error, write};

/// Where each controller's file goes, on v2; errors for controllers that are on none.
pub(super) fn check_and_add(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    for (controller, pointer) in needed(resources) {
        // Together with v1 a v2 host calls this one "io".
        let v2_name = if controller == "blkio" { "io" } else { controller };
        if planner.place(controller).is_none() && !planner.has_v2_controller(v2_name) {
            let name = if planner.is_unified() { v2_name } else { controller };
            return Err(controller_error(name, &pointer));
        }
    }
    if planner.place("memory") == Some(Place::V2) {
        memory(planner, resources)?;
    }
    if planner.place("cpu") == Some(Place::V2) {
        cpu(planner, resources)?;
    }
    if planner.place("cpuset") == Some(Place::V2) {
        for (name, list) in [("cpus", &resources.cpu.cpus), ("mems", &resources.cpu.mems)] {
            if let Some(list) = list {
                let pointer = format!("/linux/resources/cpu/{name}");
                planner.add_v2(Some("cpuset"), write(format!("cpuset.{name}"), &**list, pointer));
            }
        }
    }
    if let (Some(Place::V2), Some(limit)) = (planner.place("pids"), resources.pids) {
        planner.add_v2(Some("pids"), write("pids.max", v2_limit(limit), "/linux/resources/pids/limit"));
    }
    if planner.place("blkio").is_none() {
        block_io(planner, resources)?;
    }
    if planner.place("hugetlb") == Some(Place::V2) {
        for (n, limit) in resources.hugepage_limits.iter().enumerate() {
            for kind in ["max", "rsvd.max"] {
                let file = format!("hugetlb.{}.{kind}", limit.page_size);
                let pointer = format!("/linux/resources/hugepageLimits/{n}");
                planner.add_v2(Some("hugetlb"), write(file, limit.limit_bytes.to_string(), pointer));
            }
        }
    }
    if planner.place("rdma") == Some(Place::V2) {
        for write in rdma(resources) {
            planner.add_v2(Some("rdma"), write);
        }
    }
    unified(planner, resources)
}

/// The controllers that the limits need, with the first field that needs each.
fn needed(resources: &Resources) -> Vec<(&'static str, String)> {
    let mut needed: Vec<(&'static str, String)> = Vec::new();
    let mut need = |controller, wanted: bool, field: &str| {
        if wanted {
            needed.push((controller, format!("/linux/resources/{field}")));
        }
    };
    let memory = &resources.memory;
    // An unlimited value asks for nothing that a host without the controller would not give.
    let limited = |limit: Option<Limit>| matches!(limit, Some(Limit::Value(_)));
    need("memory", limited(memory.limit), "memory/limit");
    need("memory", limited(memory.reservation), "memory/reservation");
    need("memory", limited(memory.swap), "memory/swap");
    need("memory", limited(memory.kernel_tcp), "memory/kernelTCP");
    need("memory", memory.swappiness.is_some(), "memory/swappiness");
    need("memory", memory.disable_oom_killer == Some(true), "memory/disableOOMKiller");
    let cpu = &resources.cpu;
    need("cpu", cpu.shares.is_some(), "cpu/shares");
    need("cpu", limited(cpu.quota), "cpu/quota");
    need("cpu", cpu.burst.is_some_and(|it| it > 0), "cpu/burst");
    need("cpu", cpu.idle == Some(true), "cpu/idle");
    need("cpu", cpu.realtime_runtime.is_some_and(|it| it != 0), "cpu/realtimeRuntime");
    need("cpu", cpu.realtime_period.is_some_and(|it| it != 0), "cpu/realtimePeriod");
    need("cpuset", cpu.cpus.is_some(), "cpu/cpus");
    need("cpuset", cpu.mems.is_some(), "cpu/mems");
    need("pids", limited(resources.pids), "pids/limit");
    let io = &resources.block_io;
    need("blkio", io.weight.is_some(), "blockIO/weight");
    need("blkio", io.leaf_weight.is_some(), "blockIO/leafWeight");
    need("blkio", !io.weight_device.is_empty(), "blockIO/weightDevice");
    need("blkio", !io.read_bps.is_empty(), "blockIO/throttleReadBpsDevice");
    need("blkio", !io.write_bps.is_empty(), "blockIO/throttleWriteBpsDevice");
    need("blkio", !io.read_iops.is_empty(), "blockIO/throttleReadIOPSDevice");
    need("blkio", !io.write_iops.is_empty(), "blockIO/throttleWriteIOPSDevice");
    need("hugetlb", !resources.hugepage_limits.is_empty(), "hugepageLimits");
    need("net_cls", resources.network.class_id.is_some_and(|it| it != 0), "network/classID");
    need("net_prio", !resources.network.priorities.is_empty(), "network/priorities");
    need("rdma", !resources.rdma.is_empty(), "rdma");
    needed
}

fn no_equivalent(name: &str) -> PlanError {
    PlanError::Value {
        pointer: format!("/linux/resources/{name}"),
        rule: "cgroup v2 has nothing like it".to_owned(),
    }
}

fn memory(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    let memory = &resources.memory;
    let pointer = |name: &str| format!("/linux/resources/memory/{name}");
    for (name, wanted) in [
        ("kernelTCP", matches!(memory.kernel_tcp, Some(Limit::Value(_)))),
        ("swappiness", memory.swappiness.is_some()),
        ("disableOOMKiller", memory.disable_oom_killer == Some(true)),
        ("useHierarchy", memory.use_hierarchy == Some(false)),
    ] {
        if wanted {
            return Err(no_equivalent(&format!("memory/{name}")));
        }
    }
    if matches!(memory.kernel, Some(Limit::Value(_))) {
        planner.warnings.push(kernel_memory_warning());
    }
    if let Some(limit) = memory.limit {
        planner.add_v2(Some("memory"), write("memory.max", v2_limit(limit), pointer("limit")));
    }
    if let Some(swap) = swap(memory)? {
        let name = if memory.swap.is_some() { "swap" } else { "limit" };
        let write = write("memory.swap.max", v2_limit(swap.alone), pointer(name));
        // Without the file the kernel has no swap: then none is used, and none is all there is.
        let trivial = matches!(swap.alone, Limit::Max | Limit::Value(0));
        let missing = if trivial { Missing::Ignore } else { Missing::Error };
        planner.add_v2(Some("memory"), Write { missing, ..write });
    }
    if let Some(limit) = memory.reservation {
        planner.add_v2(Some("memory"), write("memory.low", v2_limit(limit), pointer("reservation")));
    }
    Ok(())
}

fn cpu(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    let cpu = &resources.cpu;
    if cpu.realtime_runtime.is_some_and(|it| it != 0) {
        return Err(no_equivalent("cpu/realtimeRuntime"));
    }
    if cpu.realtime_period.is_some_and(|it| it != 0) {
        return Err(no_equivalent("cpu/realtimePeriod"));
    }
    let mut add = |file: &str, value: Option<String>, name: &str| {
        if let Some(value) = value {
            planner.add_v2(Some("cpu"), write(file, value, format!("/linux/resources/cpu/{name}")));
        }
    };
    // An idle cgroup takes no weight, and one that becomes idle loses what it had (kernel, `sched_group_set_idle`).
    add("cpu.idle", cpu.idle.map(|it| u8::from(it).to_string()), "idle");
    let shares = cpu.shares.filter(|_| cpu.idle != Some(true));
    add("cpu.weight", shares.map(|it| shares_to_weight(it).to_string()), "shares");
    // A burst must not be above the quota.
    let (bandwidth, name) = match (cpu.quota, cpu.period) {
        (None, None) => (None, "quota"),
        (Some(quota), None) => (Some(v2_limit(quota)), "quota"),
        (Some(quota), Some(period)) => (Some(format!("{} {period}", v2_limit(quota))), "quota"),
        (None, Some(period)) => (Some(format!("max {period}")), "period"),
    };
    add("cpu.max", bandwidth, name);
    add("cpu.max.burst", cpu.burst.map(|it| it.to_string()), "burst");
    Ok(())
}

fn block_io(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    let io = &resources.block_io;
    let pointer = |name: &str| format!("/linux/resources/blockIO/{name}");
    if io.leaf_weight.is_some() {
        return Err(no_equivalent("blockIO/leafWeight"));
    }
    // BFQ has the v1 scale; without it the cost model's weight, converted.
    let weight = |device: &str, weight: u16, pointer: String| {
        let missing = Missing::Instead {
            file: "io.weight".to_owned(),
            value: format!("{device}{}", io_weight(weight)),
        };
        Write { missing, ..write("io.bfq.weight", format!("{device}{weight}"), pointer) }
    };
    if let Some(it) = io.weight {
        planner.add_v2(Some("io"), weight("", it, pointer("weight")));
    }
    for (n, device) in io.weight_device.iter().enumerate() {
        if device.leaf_weight.is_some() {
            return Err(no_equivalent(&format!("blockIO/weightDevice/{n}/leafWeight")));
        }
        if let Some(it) = device.weight {
            let name = format!("{}:{} ", device.major, device.minor);
            planner.add_v2(Some("io"), weight(&name, it, pointer(&format!("weightDevice/{n}"))));
        }
    }
    for (list, key, name) in [
        (&io.read_bps, "rbps", "throttleReadBpsDevice"),
        (&io.write_bps, "wbps", "throttleWriteBpsDevice"),
        (&io.read_iops, "riops", "throttleReadIOPSDevice"),
        (&io.write_iops, "wiops", "throttleWriteIOPSDevice"),
    ] {
        for (n, BlockThrottle { major, minor, rate }) in list.iter().enumerate() {
            // v1: 0 is no limit. v2 refuses a 0.
            let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
            let value = format!("{major}:{minor} {key}={rate}");
            planner.add_v2(Some("io"), write("io.max", value, pointer(&format!("{name}/{n}"))));
        }
    }
    Ok(())
}

/// `unified`: file by file, line by line (io.max takes one line a write). Unknown files are written as well
/// (config-linux.md: MUST).
fn unified(planner: &mut Planner<'_>, resources: &Resources) -> Result<(), PlanError> {
    for (file, value) in &resources.unified {
        let key = file.replace('~', "~0").replace('/', "~1");
        let pointer = format!("/linux/resources/unified/{key}");
        let error = |rule: &str| Err(PlanError::Value { pointer: pointer.clone(), rule: rule.to_owned() });
        if !planner.is_unified() {
            return error("unified needs a host with cgroup v2 alone");
        }
        // These are no configuration: they move processes, end or stop them.
        if matches!(&**file, "cgroup.procs" | "cgroup.threads" | "cgroup.kill" | "cgroup.freeze") {
            return error("it is no setting: it acts on processes");
        }
        if file.contains('/') {
            return error("it is not the name of a file in the cgroup");
        }
        let controller = match file.split_once('.') {
            Some(("cgroup", _)) => None,
            Some((controller, _)) => Some(controller),
            None => return error("it is not of the form CONTROLLER.NAME"),
        };
        if let Some(controller) = controller
            && !planner.has_v2_controller(controller)
        {
            return Err(controller_error(controller, &pointer));
        }
        for line in value.lines().filter(|line| !line.is_empty()) {
            planner.add_v2(controller, write(&**file, line, pointer.clone()));
        }
    }
    Ok(())
}

//! Statistics of v1 (kernel, `cgroup-v1/*.rst`).

use super::{BlockIoStats, HugetlbStats, MemoryUsage, Reader, Stats, parse};
use crate::cgroup::CgroupError;

/// `cpuacct.stat` counts in ticks, of which a second has a hundred on every architecture that we know (proc_stat(5)).
const NS_PER_TICK: u64 = 10_000_000;

pub(super) fn read(
    reader: &Reader<'_>,
    controllers: &[String],
    stats: &mut Stats,
) -> Result<(), CgroupError> {
    for controller in controllers {
        match &**controller {
            "cpu" => cpu(reader, stats)?,
            "cpuacct" => cpuacct(reader, stats)?,
            "cpuset" => cpuset(reader, stats)?,
            "memory" => memory(reader, stats)?,
            "pids" => pids(reader, stats)?,
            "blkio" => stats.block_io = block_io(reader)?,
            "hugetlb" => hugetlb(reader, stats)?,
            _ => {}
        }
    }
    Ok(())
}

fn cpu(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    let table = reader.table("cpu.stat")?;
    let of = |key: &str| table.get(key).copied().unwrap_or(0);
    stats.cpu.periods = of("nr_periods");
    stats.cpu.throttled_periods = of("nr_throttled");
    stats.cpu.throttled_ns = of("throttled_time");
    Ok(())
}

fn cpuacct(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    let table = reader.table("cpuacct.stat")?;
    let of = |key: &str| table.get(key).copied().unwrap_or(0) * NS_PER_TICK;
    stats.cpu.user_ns = of("user");
    stats.cpu.kernel_ns = of("system");
    stats.cpu.total_ns = reader.number("cpuacct.usage")?.unwrap_or(0);
    stats.cpu.per_cpu_ns = parse::numbers(&reader.text("cpuacct.usage_percpu")?.unwrap_or_default());
    // A heading, then a line a CPU: its number, user, system.
    for line in reader.text("cpuacct.usage_all")?.unwrap_or_default().lines().skip(1) {
        if let [_, user, kernel] = parse::numbers(line)[..] {
            stats.cpu.per_cpu_user_ns.push(user);
            stats.cpu.per_cpu_kernel_ns.push(kernel);
        }
    }
    Ok(())
}

fn cpuset(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    let cpuset = &mut stats.cpuset;
    cpuset.cpus = parse::list(&reader.text("cpuset.cpus")?.unwrap_or_default());
    cpuset.mems = parse::list(&reader.text("cpuset.mems")?.unwrap_or_default());
    for (name, value) in [
        ("cpuset.cpu_exclusive", &mut cpuset.cpu_exclusive),
        ("cpuset.mem_hardwall", &mut cpuset.mem_hardwall),
        ("cpuset.mem_exclusive", &mut cpuset.mem_exclusive),
        ("cpuset.memory_migrate", &mut cpuset.memory_migrate),
        ("cpuset.memory_spread_page", &mut cpuset.memory_spread_page),
        ("cpuset.memory_spread_slab", &mut cpuset.memory_spread_slab),
        ("cpuset.memory_pressure", &mut cpuset.memory_pressure),
        ("cpuset.sched_load_balance", &mut cpuset.sched_load_balance),
    ] {
        *value = reader.number(name)?.unwrap_or(0);
    }
    let level = reader.text("cpuset.sched_relax_domain_level")?;
    cpuset.sched_relax_domain_level = level.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(())
}

fn memory(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    stats.memory.raw = reader.table("memory.stat")?;
    stats.memory.cache_bytes = stats.memory.raw.get("cache").copied().unwrap_or(0);
    stats.memory.oom_kills = reader.table("memory.oom_control")?.get("oom_kill").copied();
    stats.memory.usage = usage(reader, "memory")?;
    stats.memory.swap = usage(reader, "memory.memsw")?;
    stats.memory.kernel = usage(reader, "memory.kmem")?;
    stats.memory.kernel_tcp = usage(reader, "memory.kmem.tcp")?;
    Ok(())
}

fn usage(reader: &Reader<'_>, module: &str) -> Result<MemoryUsage, CgroupError> {
    let number = |name: &str| Ok(reader.number(&format!("{module}.{name}"))?.unwrap_or(0));
    Ok(MemoryUsage {
        usage_bytes: number("usage_in_bytes")?,
        max_usage_bytes: number("max_usage_in_bytes")?,
        limit_bytes: number("limit_in_bytes")?,
        failures: number("failcnt")?,
    })
}

fn pids(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    stats.pids.current = reader.number("pids.current")?.unwrap_or(0);
    stats.pids.limit = reader.number("pids.max")?.filter(|limit| *limit != u64::MAX);
    Ok(())
}

/// The I/O scheduler's counters where they count; those of throttling otherwise.
fn block_io(reader: &Reader<'_>) -> Result<BlockIoStats, CgroupError> {
    let read = |name: &str| -> Result<_, CgroupError> {
        Ok(parse::block_io(&reader.text(&format!("blkio.{name}"))?.unwrap_or_default()))
    };
    let mut stats = BlockIoStats::default();
    for scheduler in ["bfq.", ""] {
        for (name, list) in [
            ("sectors_recursive", &mut stats.sectors),
            ("io_service_time_recursive", &mut stats.service_time_ns),
            ("io_wait_time_recursive", &mut stats.wait_time_ns),
            ("io_merged_recursive", &mut stats.merged),
            ("io_queued_recursive", &mut stats.queued),
            ("time_recursive", &mut stats.time_ms),
            ("io_serviced_recursive", &mut stats.serviced),
            ("io_service_bytes_recursive", &mut stats.service_bytes),
        ] {
            *list = read(&format!("{scheduler}{name}"))?;
        }
        if !stats.serviced.is_empty() {
            return Ok(stats);
        }
    }
    for suffix in ["_recursive", ""] {
        stats.serviced = read(&format!("throttle.io_serviced{suffix}"))?;
        stats.service_bytes = read(&format!("throttle.io_service_bytes{suffix}"))?;
        if !stats.serviced.is_empty() {
            break;
        }
    }
    Ok(stats)
}

fn hugetlb(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    for size in reader.hugepage_sizes(".usage_in_bytes") {
        let number = |name: &str| Ok(reader.number(&format!("hugetlb.{size}.{name}"))?.unwrap_or(0));
        let one = HugetlbStats {
            usage_bytes: number("usage_in_bytes")?,
            max_usage_bytes: number("max_usage_in_bytes")?,
            failures: number("failcnt")?,
        };
        stats.hugetlb.insert(size, one);
    }
    Ok(())
}

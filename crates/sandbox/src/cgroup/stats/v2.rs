//! Statistics of v2 (kernel, `cgroup-v2.rst`), in the terms of v1 where they have an equivalent there.

use super::{BlockIoEntry, HugetlbStats, MemoryUsage, Reader, Stats};
use crate::cgroup::CgroupError;

const NS_PER_US: u64 = 1000;

/// `unified`: there is no v1 hierarchy that counts the same already.
pub(super) fn read(reader: &Reader<'_>, unified: bool, stats: &mut Stats) -> Result<(), CgroupError> {
    hugetlb(reader, stats)?;
    if unified {
        cpu(reader, stats)?;
        memory(reader, stats)?;
        io(reader, stats)?;
        stats.pids.current = match reader.number("pids.current")? {
            Some(current) => current,
            None => reader.process_count(),
        };
        stats.pids.limit = reader.number("pids.max")?.filter(|limit| *limit != u64::MAX);
    }
    Ok(())
}

fn cpu(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    let table = reader.table("cpu.stat")?;
    let of = |key: &str| table.get(key).copied().unwrap_or(0);
    stats.cpu.total_ns = of("usage_usec") * NS_PER_US;
    stats.cpu.user_ns = of("user_usec") * NS_PER_US;
    stats.cpu.kernel_ns = of("system_usec") * NS_PER_US;
    stats.cpu.periods = of("nr_periods");
    stats.cpu.throttled_periods = of("nr_throttled");
    stats.cpu.throttled_ns = of("throttled_usec") * NS_PER_US;
    stats.cpu.pressure = reader.pressure("cpu.pressure")?;
    Ok(())
}

fn memory(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    let memory = &mut stats.memory;
    memory.pressure = reader.pressure("memory.pressure")?;
    memory.raw = reader.table("memory.stat")?;
    memory.cache_bytes = memory.raw.get("file").copied().unwrap_or(0);
    memory.oom_kills = reader.table("memory.events")?.get("oom_kill").copied();
    memory.usage = usage(reader, "memory")?;
    let swap = usage(reader, "memory.swap")?;
    memory.swap = MemoryUsage {
        usage_bytes: swap.usage_bytes + memory.usage.usage_bytes,
        limit_bytes: swap.limit_bytes.saturating_add(memory.usage.limit_bytes),
        // The maxima were at different moments: they have no sum.
        max_usage_bytes: 0,
        failures: 0,
    };
    Ok(())
}

fn usage(reader: &Reader<'_>, module: &str) -> Result<MemoryUsage, CgroupError> {
    let number = |name: &str| Ok(reader.number(&format!("{module}.{name}"))?.unwrap_or(0));
    Ok(MemoryUsage {
        usage_bytes: number("current")?,
        max_usage_bytes: number("peak")?,
        limit_bytes: number("max")?,
        failures: 0,
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn io(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    stats.block_io.pressure = reader.pressure("io.pressure")?;
    let text = reader.text("io.stat")?.unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let numbers = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = numbers.map(|(a, b)| (a.parse(), b.parse())) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, operation) = match key {
                "rbytes" => (&mut stats.block_io.service_bytes, "Read"),
                "wbytes" => (&mut stats.block_io.service_bytes, "Write"),
                "rios" => (&mut stats.block_io.serviced, "Read"),
                "wios" => (&mut stats.block_io.serviced, "Write"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                list.push(BlockIoEntry { major, minor, operation: operation.to_owned(), value });
            }
        }
    }
    Ok(())
}

fn hugetlb(reader: &Reader<'_>, stats: &mut Stats) -> Result<(), CgroupError> {
    for size in reader.hugepage_sizes(".current") {
        let events = reader.table(&format!("hugetlb.{size}.events"))?;
        let one = HugetlbStats {
            usage_bytes: reader.number(&format!("hugetlb.{size}.current"))?.unwrap_or(0),
            max_usage_bytes: 0,
            failures: events.get("max").copied().unwrap_or(0),
        };
        stats.hugetlb.insert(size, one);
    }
    Ok(())
}

//! What a container uses, as runc's `events` prints it: its keys, in its order, what is 0 left out where it leaves it out.

use std::collections::BTreeMap;

use sandbox::cgroup::{
    BlockIoEntry, BlockIoStats, CpuStats, CpusetStats, HugetlbStats, MemoryStats, MemoryUsage, PidsStats,
    Pressure, PressureLine, Stats,
};
use sandbox::resctrl::{DomainStats, ResctrlStats};
use serde::Serialize;

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// `data` of an event of type `stats`.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    cpu: Cpu<'a>,
    cpuset: Cpuset<'a>,
    memory: Memory<'a>,
    pids: Pids,
    blkio: BlockIo<'a>,
    hugetlb: BTreeMap<&'a str, Hugetlb>,
    intel_rdt: IntelRdt<'a>,
    /// runc counts those that it makes itself, which are none.
    network_interfaces: Option<()>,
}

/// Empty without `linux.intelRdt`.
#[derive(Debug, Default, Serialize)]
struct IntelRdt<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mbm_stats: Vec<Traffic>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmt_stats: Vec<Occupancy>,
}

#[derive(Debug, Serialize)]
struct Traffic {
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_local_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Occupancy {
    #[serde(skip_serializing_if = "Option::is_none")]
    llc_occupancy: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Cpu<'a> {
    usage: CpuUsage<'a>,
    throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct CpuUsage<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    percpu: &'a [u64],
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    percpu_kernel: &'a [u64],
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    percpu_user: &'a [u64],
    kernel: u64,
    user: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    throttled_time: u64,
}

#[derive(Debug, Serialize)]
struct Cpuset<'a> {
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    cpus: &'a [u16],
    cpu_exclusive: u64,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    mems: &'a [u16],
    mem_hardwall: u64,
    mem_exclusive: u64,
    memory_migrate: u64,
    memory_spread_page: u64,
    memory_spread_slab: u64,
    memory_pressure: u64,
    sched_load_balance: u64,
    sched_relax_domain_level: i64,
}

#[derive(Debug, Serialize)]
struct Memory<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    cache: u64,
    usage: MemoryEntry,
    swap: MemoryEntry,
    kernel: MemoryEntry,
    #[serde(rename = "kernelTCP")]
    kernel_tcp: MemoryEntry,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    raw: &'a BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct MemoryEntry {
    limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockIo<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_bytes_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_serviced_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_queue_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_time_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_wait_time_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_merged_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_time_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sectors_recursive: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    minor: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    op: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    value: u64,
}

#[derive(Debug, Serialize)]
struct Hugetlb {
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, Serialize)]
struct Psi {
    some: PsiLine,
    full: PsiLine,
}

#[derive(Debug, Serialize)]
struct PsiLine {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total: u64,
}

impl<'a> Document<'a> {
    pub(crate) fn new(stats: &'a Stats) -> Self {
        let PidsStats { current, limit } = stats.pids;
        let hugetlb = |it: &HugetlbStats| Hugetlb {
            usage: it.usage_bytes,
            max: it.max_usage_bytes,
            failcnt: it.failures,
        };
        Self {
            cpu: cpu(&stats.cpu),
            cpuset: cpuset(&stats.cpuset),
            memory: memory(&stats.memory),
            pids: Pids { current, limit: limit.unwrap_or(0) },
            blkio: block_io(&stats.block_io),
            hugetlb: stats.hugetlb.iter().map(|(size, it)| (&**size, hugetlb(it))).collect(),
            intel_rdt: stats.resctrl.as_ref().map(intel_rdt).unwrap_or_default(),
            network_interfaces: None,
        }
    }
}

fn cpu(cpu: &CpuStats) -> Cpu<'_> {
    Cpu {
        usage: CpuUsage {
            total: cpu.total_ns,
            percpu: &cpu.per_cpu_ns,
            percpu_kernel: &cpu.per_cpu_kernel_ns,
            percpu_user: &cpu.per_cpu_user_ns,
            kernel: cpu.kernel_ns,
            user: cpu.user_ns,
        },
        throttling: Throttling {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
        psi: cpu.pressure.map(psi),
    }
}

fn intel_rdt(resctrl: &ResctrlStats) -> IntelRdt<'_> {
    let traffic = |it: &DomainStats| Traffic {
        mbm_total_bytes: it.mbm_total_bytes,
        mbm_local_bytes: it.mbm_local_bytes,
    };
    let counts = |it: &&DomainStats| it.mbm_total_bytes.is_some() || it.mbm_local_bytes.is_some();
    let occupied = resctrl.domains.iter().filter(|it| it.llc_occupancy_bytes.is_some());
    IntelRdt {
        l3_cache_schema: resctrl.l3_cache_schema.as_deref(),
        mem_bw_schema: resctrl.mem_bw_schema.as_deref(),
        mbm_stats: resctrl.domains.iter().filter(counts).map(traffic).collect(),
        cmt_stats: occupied.map(|it| Occupancy { llc_occupancy: it.llc_occupancy_bytes }).collect(),
    }
}

fn cpuset(cpuset: &CpusetStats) -> Cpuset<'_> {
    Cpuset {
        cpus: &cpuset.cpus,
        cpu_exclusive: cpuset.cpu_exclusive,
        mems: &cpuset.mems,
        mem_hardwall: cpuset.mem_hardwall,
        mem_exclusive: cpuset.mem_exclusive,
        memory_migrate: cpuset.memory_migrate,
        memory_spread_page: cpuset.memory_spread_page,
        memory_spread_slab: cpuset.memory_spread_slab,
        memory_pressure: cpuset.memory_pressure,
        sched_load_balance: cpuset.sched_load_balance,
        sched_relax_domain_level: cpuset.sched_relax_domain_level,
    }
}

fn memory(memory: &MemoryStats) -> Memory<'_> {
    let entry = |it: &MemoryUsage| MemoryEntry {
        limit: it.limit_bytes,
        usage: it.usage_bytes,
        max: it.max_usage_bytes,
        failcnt: it.failures,
    };
    Memory {
        cache: memory.cache_bytes,
        usage: entry(&memory.usage),
        swap: entry(&memory.swap),
        kernel: entry(&memory.kernel),
        kernel_tcp: entry(&memory.kernel_tcp),
        raw: &memory.raw,
        psi: memory.pressure.map(psi),
    }
}

fn block_io(io: &BlockIoStats) -> BlockIo<'_> {
    BlockIo {
        io_service_bytes_recursive: entries(&io.service_bytes),
        io_serviced_recursive: entries(&io.serviced),
        io_queue_recursive: entries(&io.queued),
        io_service_time_recursive: entries(&io.service_time_ns),
        io_wait_time_recursive: entries(&io.wait_time_ns),
        io_merged_recursive: entries(&io.merged),
        io_time_recursive: entries(&io.time_ms),
        sectors_recursive: entries(&io.sectors),
        psi: io.pressure.map(psi),
    }
}

fn entries(entries: &[BlockIoEntry]) -> Vec<Entry<'_>> {
    entries
        .iter()
        .map(|it| Entry { major: it.major, minor: it.minor, op: &it.operation, value: it.value })
        .collect()
}

fn psi(pressure: Pressure) -> Psi {
    let line = |it: PressureLine| PsiLine {
        avg10: it.avg10_percent,
        avg60: it.avg60_percent,
        avg300: it.avg300_percent,
        total: it.total_us,
    };
    Psi { some: line(pressure.some), full: line(pressure.full) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_of_a_class_has_runcs_keys() {
        let domain =
            DomainStats { llc_occupancy_bytes: Some(5), mbm_total_bytes: Some(6), ..DomainStats::default() };
        let resctrl = ResctrlStats {
            l3_cache_schema: Some("L3:0=f".to_owned()),
            mem_bw_schema: None,
            domains: vec![domain, DomainStats::default()],
        };
        let stats = Stats { resctrl: Some(resctrl), ..Stats::default() };
        let text = serde_json::to_string(&Document::new(&stats)).unwrap();
        let expected = r#""intel_rdt":{"l3_cache_schema":"L3:0=f","mbm_stats":[{"mbm_total_bytes":6}],"cmt_stats":[{"llc_occupancy":5}]}"#;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn document_of_nothing_has_runcs_keys_in_runcs_order() {
        let text = serde_json::to_string(&Document::new(&Stats::default())).unwrap();
        let expected = concat!(
            r#"{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"#,
            r#""mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"#,
            r#""memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"#,
            r#""memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"#,
            r#""kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"#,
            r#""pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}"#
        );
        assert_eq!(text, expected);
    }
}

//! What a container uses: counters of its cgroups, one meaning on every cgroup version, units in the names.
//!
//! Runs in the runtime; reads only. A counter whose controller or file the host does not have is absent, or 0.

mod parse;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::CgroupError;
use super::file::{self, is_errno, is_gone};
use super::handle::{Cgroup, open_cgroup, read_processes};
use super::record::{Hierarchy, RecordedDirectory};
use crate::resctrl::ResctrlStats;

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// Which CPUs and memory nodes: v1.
    pub cpuset: CpusetStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes.
    pub pids: PidsStats,
    /// Block I/O.
    pub block_io: BlockIoStats,
    /// Huge pages, by size as in the file names: `2MB`.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// Intel RDT, of a container with `linux.intelRdt`. Not a cgroup's, but asked for together.
    pub resctrl: Option<ResctrlStats>,
}

/// CPU time since the container was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuStats {
    /// All of it.
    pub total_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// On each CPU: v1.
    pub per_cpu_ns: Vec<u64>,
    /// On each CPU in the kernel: v1.
    pub per_cpu_kernel_ns: Vec<u64>,
    /// On each CPU in user mode: v1.
    pub per_cpu_user_ns: Vec<u64>,
    /// How many periods of bandwidth control there were.
    pub periods: u64,
    /// In how many of them it was held back.
    pub throttled_periods: u64,
    /// For how long.
    pub throttled_ns: u64,
    /// Pressure: v2.
    pub pressure: Option<Pressure>,
}

/// `cpuset.*` of v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CpusetStats {
    pub cpus: Vec<u16>,
    pub mems: Vec<u16>,
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// One kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Now.
    pub usage_bytes: u64,
    /// At most so far; 0 where the kernel does not keep it.
    pub max_usage_bytes: u64,
    /// Without a limit [`u64::MAX`] on v2, the largest number of whole pages on v1.
    pub limit_bytes: u64,
    /// How often the limit was hit: v1.
    pub failures: u64,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStats {
    /// Pages of files.
    pub cache_bytes: u64,
    /// Memory.
    pub usage: MemoryUsage,
    /// Memory and swap together, as v1 counts; v2's swap is added to its memory.
    pub swap: MemoryUsage,
    /// Of the kernel: v1.
    pub kernel: MemoryUsage,
    /// Of TCP buffers: v1.
    pub kernel_tcp: MemoryUsage,
    /// Processes that the kernel has ended since memory was short; `None` where it does not count them.
    pub oom_kills: Option<u64>,
    /// `memory.stat`, as it is.
    pub raw: BTreeMap<String, u64>,
    /// Pressure: v2.
    pub pressure: Option<Pressure>,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// `None` where there is none.
    pub limit: Option<u64>,
}

/// A counter of a block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIoEntry {
    /// Of the device.
    pub major: u64,
    /// Of the device.
    pub minor: u64,
    /// `Read`, `Write`, …; empty where all are counted together.
    pub operation: String,
    /// How many: of what, says the list that it is in.
    pub value: u64,
}

/// Block I/O.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIoStats {
    /// Bytes.
    pub service_bytes: Vec<BlockIoEntry>,
    /// Operations.
    pub serviced: Vec<BlockIoEntry>,
    /// Operations that wait: v1 with BFQ's debugging counters, like those that follow.
    pub queued: Vec<BlockIoEntry>,
    /// Nanoseconds at the device.
    pub service_time_ns: Vec<BlockIoEntry>,
    /// Nanoseconds in the queue.
    pub wait_time_ns: Vec<BlockIoEntry>,
    /// Operations that were merged into others.
    pub merged: Vec<BlockIoEntry>,
    /// Milliseconds of the device's time.
    pub time_ms: Vec<BlockIoEntry>,
    /// Sectors.
    pub sectors: Vec<BlockIoEntry>,
    /// Pressure: v2.
    pub pressure: Option<Pressure>,
}

/// Huge pages of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HugetlbStats {
    /// Now.
    pub usage_bytes: u64,
    /// At most so far: v1.
    pub max_usage_bytes: u64,
    /// How often the limit was hit.
    pub failures: u64,
}

/// A line of pressure stall information (kernel, `accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PressureLine {
    /// Share of the last 10 seconds, in percent.
    pub avg10_percent: f64,
    /// Of the last minute.
    pub avg60_percent: f64,
    /// Of the last five minutes.
    pub avg300_percent: f64,
    /// Altogether, in microseconds.
    pub total_us: u64,
}

/// Time lost by waiting for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some processes waited.
    pub some: PressureLine,
    /// All of them did.
    pub full: PressureLine,
}

impl Cgroup {
    /// What the container uses now.
    ///
    /// # Errors
    /// A file that is there can't be read.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        for directory in &self.record.directories {
            let Some(open) = open_cgroup(directory)? else { continue };
            let reader = Reader { directory, cgroup: open.as_fd() };
            match &directory.hierarchy {
                Hierarchy::V1(controllers) => v1::read(&reader, controllers, &mut stats)?,
                Hierarchy::V2 => v2::read(&reader, self.record.directories.len() == 1, &mut stats)?,
            }
        }
        if stats.pids.current == 0 {
            // Without the controller.
            stats.pids.current = self.processes()?.len() as u64;
        }
        Ok(stats)
    }
}

/// Reads files of one cgroup.
struct Reader<'a> {
    directory: &'a RecordedDirectory,
    cgroup: BorrowedFd<'a>,
}

impl Reader<'_> {
    /// A file's text; `None` where there is no such file, or not in this kernel.
    fn text(&self, name: &str) -> Result<Option<String>, CgroupError> {
        let read = file::open_read(self.cgroup, name, rustix::fs::OFlags::RDONLY).and_then(file::read_list);
        match read {
            Ok(text) => Ok(Some(text)),
            // Pressure that is not counted (psi=0) is not supported when it is read.
            Err(error) if is_gone(&error) || is_errno(&error, rustix::io::Errno::OPNOTSUPP) => Ok(None),
            Err(source) => {
                Err(CgroupError::Call { call: "read", path: self.directory.path.join(name), source })
            }
        }
    }

    /// A file with one number; `max` is the largest.
    fn number(&self, name: &str) -> Result<Option<u64>, CgroupError> {
        Ok(self.text(name)?.and_then(|text| parse::number(&text)))
    }

    /// A file of lines `KEY NUMBER`.
    fn table(&self, name: &str) -> Result<BTreeMap<String, u64>, CgroupError> {
        Ok(self.text(name)?.map(|text| parse::table(&text)).unwrap_or_default())
    }

    fn pressure(&self, name: &str) -> Result<Option<Pressure>, CgroupError> {
        Ok(self.text(name)?.map(|text| parse::pressure(&text)))
    }

    /// The sizes of huge pages, from the names of the files that end so.
    fn hugepage_sizes(&self, suffix: &str) -> Vec<String> {
        let names = file::read_names(self.cgroup).unwrap_or_default();
        let size = |name: &String| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
            (!size.contains('.')).then(|| size.to_owned())
        };
        names.iter().filter_map(size).collect()
    }

    fn process_count(&self) -> u64 {
        read_processes(self.cgroup).map_or(0, |pids| pids.len() as u64)
    }
}

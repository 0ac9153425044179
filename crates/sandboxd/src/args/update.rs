//! `update`.

use std::path::PathBuf;

/// Change the resource limits of a container
///
/// Only the values that are given change. All of them take effect, or none: when one is refused, the others are taken
/// back. The limits of a stopped container can't be changed.
///
/// With --resources all other flags are ignored, but for those of Intel RDT. The file is the object linux.resources of the runtime specification,
/// with any of its members: memory, cpu, pids, blockIO, hugepageLimits, network, rdma, unified; and devices, whose rules
/// replace those of the container.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Update {
    /// File with the limits as JSON; - is stdin
    #[arg(long, short, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) blkio_weight: Option<String>,
    /// CPU period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_period: Option<String>,
    /// CPU time in a period, in microseconds; -1 is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,
    /// CPU time that may be saved up, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_burst: Option<String>,
    /// Relative CPU weight, 2 to 262144
    #[arg(long, value_name = "SHARES")]
    pub(crate) cpu_share: Option<String>,
    /// Realtime period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_rt_period: Option<String>,
    /// Realtime in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub(crate) cpu_rt_runtime: Option<String>,
    /// CPUs to use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Whether the cgroup is scheduled as idle
    #[arg(long, value_name = "0|1")]
    pub(crate) cpu_idle: Option<String>,
    /// Memory limit, with a unit (k, m, g) or in bytes; -1 is none
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory: Option<String>,
    /// Soft memory limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<String>,
    /// Limit of memory and swap together; -1 is none
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// Limit of the number of processes; -1 is none
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<String>,
    /// Intel RDT: L3 cache schema
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Intel RDT: memory bandwidth schema
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
    /// Accepted: Linux has no such limit any more
    #[arg(long, value_name = "BYTES", hide = true, allow_hyphen_values = true)]
    pub(crate) kernel_memory: Option<String>,
    /// Accepted: Linux has no such limit any more
    #[arg(long, value_name = "BYTES", hide = true, allow_hyphen_values = true)]
    pub(crate) kernel_memory_tcp: Option<String>,
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

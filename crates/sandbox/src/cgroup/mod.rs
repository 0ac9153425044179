//! Cgroups: one handle for v2 (unified), v1 and hybrid, through the cgroup file system or systemd.
//!
//! Runs in the runtime. The data goes one way:
//!
//! * [`probe_hierarchies`]: what the host has, as plain data;
//! * [`plan_cgroup`]: pure; which directories are made and what is written into which file, each write with the JSON
//!   pointer that it comes from; prints as text;
//! * [`CgroupPlan::probe_claim`], [`Cgroup::create`]: what will be made (to be stored as the intent), then the making.
//!   The limits are in place before the first process exists; where a step does not succeed, nothing is left.
//!
//! Always: only directories strictly below a hierarchy's mount point; only what the [`CgroupRecord`] says this runtime
//! made is removed; every wait has a deadline and ends on the kernel's notice, where it gives one.
//!
//! ```no_run
//! # use std::time::Instant;
//! # use sandbox::{CgroupManager, ContainerId};
//! # use sandbox::cgroup::{Cgroup, CgroupPath, DEFAULT_DEADLINE, plan_cgroup, probe_hierarchies};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (id, linux) = (ContainerId::new("web-1")?, spec::config::Linux::default());
//! let path = CgroupPath::new(linux.cgroups_path.as_ref(), &id)?;
//! let hierarchies = probe_hierarchies(path.own_paths())?;
//! let plan = plan_cgroup(CgroupManager::Cgroupfs, &linux.resources, &path, &hierarchies)?.value;
//! print!("{plan}");
//! let claim = plan.probe_claim()?;
//! let intent = serde_json::to_vec(claim.record())?; // stored before anything is made
//! let cgroup = Cgroup::create(claim)?.value;
//! // clone3(CLONE_INTO_CGROUP) with cgroup.v2_fd(); init writes "0" into each of cgroup.procs_fds()
//!
//! // In another process, later:
//! let cgroup = Cgroup::open(serde_json::from_slice(&intent)?)?;
//! cgroup.kill_all()?;
//! cgroup.remove(Instant::now() + DEFAULT_DEADLINE)?; // waits until it is empty
//! # Ok(())
//! # }
//! ```
//!
//! Sources: cgroups(7), the kernel's `cgroup-v2.rst` and `cgroup-v1/*.rst`, runtime-spec `config-linux.md` (Control
//! groups).

mod bpf;
mod change;
mod configure;
mod convert;
mod create;
mod current;
mod device;
mod device_plan;
mod enter;
mod error;
mod file;
mod filter;
mod freeze;
mod handle;
mod hierarchies;
mod kill;
mod limits_v1;
mod limits_v2;
mod oom;
mod owner;
mod path;
mod permission;
mod plan;
mod planner;
mod previous;
mod record;
mod remove;
mod scope;
mod stats;
mod subtree;
mod sys;
mod systemd;
mod threaded;
mod told;
mod update;

use std::time::Duration;

pub use bpf::{Instruction, device_program};
pub use change::{ChangePlan, CurrentLimits, plan_change};
pub use convert::{io_weight, shares_to_weight};
pub use create::Claim;
pub use device::default_device_rules;
pub use device_plan::{DeviceFilter, DevicePlan};
pub use enter::{Entrance, SubCgroup};
pub use error::{CgroupError, PlanError};
pub use handle::Cgroup;
pub(crate) use hierarchies::unescape;
pub use hierarchies::{Hierarchies, Mode, OwnPaths, V1Hierarchy, V2Hierarchy, probe_hierarchies};
pub use oom::OomWatch;
pub use owner::{OwnerPlan, plan_owner};
pub use path::CgroupPath;
pub use permission::Refusal;
pub use plan::{CgroupPlan, DirectoryPlan, plan_cgroup};
pub use planner::{Missing, Write};
pub use record::{CgroupRecord, Hierarchy, RecordedDirectory, UnitRecord};
pub use stats::{
    BlockIoEntry, BlockIoStats, CpuStats, CpusetStats, HugetlbStats, MemoryStats, MemoryUsage, PidsStats,
    Pressure, PressureLine, Stats,
};
pub(crate) use systemd::SYSTEMD_ANNOTATIONS;
pub use systemd::session::Session;
pub use systemd::unit::UnitPlan;
pub use systemd::{Property, Value, plan_systemd};
pub(crate) use threaded::make_threaded;
pub use update::Applied;

/// How long to wait for a cgroup to become empty, where the caller has no other wish.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

//! The plan: everything the kernel will be asked for a container, in order, as data.
//!
//! Pure: a [`Config`], [`HostFacts`] and a [`PlanRequest`] in, a [`Plan`] out. Nothing here does I/O; nothing after
//! here reads the config again. Each step carries its origin, the JSON pointer it comes from.

mod attach;
mod cgroup_mount;
mod confined;
mod credentials;
mod describe;
mod devices;
mod exec;
pub(crate) mod filesystem;
mod filled;
mod filter;
mod groups;
mod id_maps;
mod idmap;
mod landlock;
mod mounts;
mod namespace_plan;
mod namespaces;
mod net_devices;
mod paths;
mod process;
mod render;
mod resctrl;
mod rootfs;
mod settings;
mod slots;
mod streams;

use std::borrow::Cow;
use std::path::PathBuf;

use init::Step;
use spec::Config;

use crate::cgroup::CgroupPlan;
use crate::host::HostFacts;
use crate::outcome::Warning;
use crate::{ContainerId, Newlines, RootSwitch, SessionKeyring};

pub use attach::{AttachPlan, plan_attach, plan_detach};
pub use describe::{describe, syscall_text};
pub use exec::{ExecPlan, ExecPlanRequest, plan_exec};
pub(crate) use groups::KEEP_GROUPS;
pub use id_maps::{IdMaps, MapWriter};
pub use idmap::{MappedTree, TreeIds};
pub(crate) use landlock::{PREFIX as LANDLOCK_PREFIX, is_asked as landlock_is_asked};
pub use namespace_plan::Join;
pub(crate) use namespace_plan::clone_flag;
pub use net_devices::NetDeviceMove;
pub use resctrl::ResctrlPlan;

/// What follows the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Wait for `start`.
    Create,
    /// Go on at once.
    Run,
    /// Go on at once, in a container that is there already.
    Exec,
}

/// What the caller asks for, as far as the plan depends on it.
#[derive(Clone, Debug)]
pub struct PlanRequest<'a> {
    /// The container's id.
    pub id: &'a ContainerId,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// What follows the set-up.
    pub purpose: Purpose,
    /// How the root is switched.
    pub root_switch: RootSwitch,
    /// Session keyring.
    pub session_keyring: SessionKeyring,
    /// How a terminal is set up.
    pub newlines: Newlines,
    /// How many descriptors from 3 on stay open in the container.
    pub preserve_fds: u32,
    /// How many of them are sockets that the process is told of (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// Bit n: stream n is not the runtime's.
    pub own_streams: u32,
    /// How many of the descriptors from 3 on, the first, are given, and not the runtime's by number.
    pub own_descriptors: u32,
    /// Some before this one are closed, and are to stay so; 0 where all are open.
    pub closed_below: u32,
    /// The cgroup, planned before.
    pub cgroup: Option<CgroupPlan>,
}

impl<'a> PlanRequest<'a> {
    /// Of a container without anything out of the ordinary, and without a cgroup.
    pub fn new(id: &'a ContainerId, bundle: impl Into<PathBuf>, purpose: Purpose) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            purpose,
            root_switch: RootSwitch::default(),
            session_keyring: SessionKeyring::default(),
            newlines: Newlines::default(),
            preserve_fds: 0,
            listen_fds: 0,
            own_streams: 0,
            own_descriptors: 0,
            closed_below: 0,
            cgroup: None,
        }
    }
}

/// One step and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// JSON pointer into the config; empty where no field is concerned.
    pub pointer: Cow<'static, str>,
    /// What init does.
    pub step: Step,
}

/// What will be asked of the kernel for a container.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The container's root file system on the host, absolute.
    pub rootfs: PathBuf,
    /// `CLONE_NEW*` of the clone that makes init.
    pub clone_flags: u64,
    /// A child of the runtime makes the network namespace meanwhile; init joins it at `JoinNetwork`.
    pub network_beside: bool,
    /// Namespaces that are joined: each path is opened by the runtime.
    pub joins: Vec<Join>,
    /// The id maps that the runtime writes, where a user namespace is new.
    pub id_maps: Option<IdMaps>,
    /// Mounts that the runtime clones and id-maps: only who owns a file system may.
    pub trees: Vec<MappedTree>,
    /// Its class of service of Intel RDT.
    pub resctrl: Option<ResctrlPlan>,
    /// Network devices that the runtime moves while init waits.
    pub net_devices: Vec<NetDeviceMove>,
    /// The cgroup.
    pub cgroup: Option<CgroupPlan>,
    /// The first descriptor that is not the container's.
    pub first_own_fd: u32,
    /// What init does.
    pub steps: Vec<PlannedStep>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// A configuration that can't become a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (from {pointer})")]
pub struct PlanError {
    /// JSON pointer into the config.
    pub pointer: Cow<'static, str>,
    /// What can't be done and why.
    pub message: String,
}

/// A plan under construction.
#[derive(Debug, Default)]
struct Steps {
    steps: Vec<PlannedStep>,
    warnings: Vec<Warning>,
}

impl Steps {
    fn push(&mut self, pointer: impl Into<Cow<'static, str>>, step: Step) {
        self.steps.push(PlannedStep { pointer: pointer.into(), step });
    }

    fn append(&mut self, mut other: Self) {
        self.steps.append(&mut other.steps);
        self.warnings.append(&mut other.warnings);
    }

    fn warn(&mut self, pointer: &str, message: impl Into<String>) {
        self.warnings.push(Warning { pointer: Some(pointer.to_owned()), message: message.into() });
    }
}

/// Plans a container.
///
/// # Errors
/// [`PlanError`] where the config asks for what this host or this runtime can't do.
pub fn plan(config: &Config, host: &HostFacts, request: PlanRequest<'_>) -> Result<Plan, PlanError> {
    confined::check_namespaces(config, host)?;
    settings::check_sysctl(config, host)?;
    let resctrl = resctrl::plan_resctrl(config, host, request.id)?;
    let mut steps = Steps::default();
    let rootfs = rootfs::absolute_root(config, &request);
    let plain = rootfs::with_plain_destinations(config, &rootfs);
    let config = plain.as_ref().unwrap_or(config);
    let namespaces = namespaces::plan_namespaces(&mut steps, config, host, &request, &rootfs);
    if namespaces.new_network && !namespaces.network_beside {
        steps.push("/linux/namespaces", Step::LoopbackUp {});
    }
    let first = steps.steps.len();
    rootfs::plan_root(&mut steps, config, &namespaces, &rootfs);
    let trees = idmap::plan_trees(config, &request, &namespaces, &rootfs)?;
    if namespaces.own_mounts {
        mounts::plan_mounts(&mut steps, config, host, &request, &namespaces, &rootfs)?;
        devices::plan_devices(&mut steps, config, host, &namespaces);
    } else {
        warn_without_mount_namespace(&mut steps, config);
    }
    streams::plan_terminal(&mut steps, config, request.newlines, &namespaces);
    if namespaces.own_mounts {
        filled::plan_readonly_filled(&mut steps, config, host);
    }
    if namespaces.network_beside {
        namespaces::plan_network(&mut steps, first);
    }
    let net_devices = net_devices::plan_net_devices(&mut steps, config)?;
    process::plan_hooks(&mut steps, config);
    settings::plan_kernel_settings(&mut steps, config, host);
    rootfs::plan_switch(&mut steps, config, host, &request, &namespaces, &rootfs);
    streams::plan_null_streams(&mut steps, config, host, &namespaces);
    process::plan_process(&mut steps, config, host, &request, &namespaces)?;
    Ok(Plan {
        rootfs,
        clone_flags: namespaces.clone_flags,
        network_beside: namespaces.network_beside,
        joins: namespaces.joins,
        id_maps: namespaces.id_maps,
        trees,
        resctrl,
        net_devices,
        cgroup: request.cgroup,
        first_own_fd: request.preserve_fds.saturating_add(3),
        steps: steps.steps,
        warnings: steps.warnings,
    })
}

/// Without a mount namespace of its own a container must not mount anything: it would be the host's.
fn warn_without_mount_namespace(steps: &mut Steps, config: &Config) {
    let ignored = [
        ("/linux/devices", !config.linux.devices.is_empty()),
        ("/linux/maskedPaths", !config.linux.masked_paths.is_empty()),
        ("/linux/readonlyPaths", !config.linux.readonly_paths.is_empty()),
    ];
    for (pointer, present) in ignored {
        if present {
            steps.warn(pointer, "ignored: the container has no mount namespace of its own");
        }
    }
}

/// The v1 directories of a cgroup plan, in its order.
pub(super) fn v1_directories(cgroup: &CgroupPlan) -> impl Iterator<Item = PathBuf> {
    use crate::cgroup::Hierarchy;
    let v1 = cgroup.directories.iter().filter(|directory| directory.hierarchy != Hierarchy::V2);
    v1.map(crate::cgroup::DirectoryPlan::path)
}

/// How many cgroups init enters by writing: all but the one that it is cloned into.
fn entered_by_writing(cgroup: &CgroupPlan) -> usize {
    use crate::cgroup::Hierarchy;
    if cgroup.unit.is_some() {
        return 0;
    }
    let written = |directory: &&crate::cgroup::DirectoryPlan| {
        directory.hierarchy != Hierarchy::V2 || !directory.clone_into
    };
    cgroup.directories.iter().filter(written).count()
}

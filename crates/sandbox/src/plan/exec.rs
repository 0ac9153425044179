//! A process that joins a container.
//!
//! Pure. The order is what keeps the host out of the container's sight: everything of the host is done with and closed,
//! the container's mounts are entered, and only then a process is made where the container's others can see it.

use std::fmt;

use init::Step;
use init::sys::flag;
use init::wire::{Descriptor, Descriptors, NamespaceFlags, Str, Words};
use spec::Config;
use spec::config::NamespaceKind;

use super::groups::plan_leaving_groups;
use super::namespace_plan::NamespacePlan;
use super::process::plan_process;
use super::settings::{plan_labels, plan_oom_score, plan_settings_before_joining};
use super::streams::plan_streams;
use super::{PlanError, PlanRequest, PlannedStep, Purpose, Steps, clone_flag, id_maps};
use crate::host::HostFacts;
use crate::outcome::Warning;
use crate::{ContainerId, Newlines, RootSwitch, SessionKeyring};

/// What the caller asks for, as far as the plan depends on it.
#[derive(Clone, Copy, Debug)]
pub struct ExecPlanRequest<'a> {
    /// The container's id.
    pub id: &'a ContainerId,
    /// Init's pid in the runtime's pid namespace.
    pub init: i32,
    /// Session keyring, as at `create`.
    pub session_keyring: SessionKeyring,
    /// How a terminal is set up.
    pub newlines: Newlines,
    /// How many descriptors from 3 on stay open in the process.
    pub preserve_fds: u32,
    /// How many of them are sockets that the process is told of (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// Bit n: stream n is not the runtime's.
    pub own_streams: u32,
    /// How many of the descriptors from 3 on, the first, are given, and not the runtime's by number.
    pub own_descriptors: u32,
    /// Some before this one are closed, and are to stay so; 0 where all are open.
    pub closed_below: u32,
    /// How many cgroups are entered by writing.
    pub cgroups: u16,
    /// Whether the runtime has the process moved into its cgroup.
    pub awaits_cgroup: bool,
}

/// What will be asked of the kernel for the process.
#[derive(Clone, Debug)]
pub struct ExecPlan {
    /// The first descriptor that is not the process's.
    pub first_own_fd: u32,
    /// What init does.
    pub steps: Vec<PlannedStep>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

impl ExecPlan {
    /// Makes it a hook's: the program is at a path of its own, whatever its first argument says, and the environment is
    /// exactly the one that the hook names.
    pub(crate) fn execute_hook(&mut self, path: &str) {
        self.steps.retain(|planned| !matches!(planned.step, Step::FindHome { .. }));
        let wait = self.steps.iter().rposition(|planned| matches!(planned.step, Step::AwaitGo {}));
        let step = Step::FindProgram { name: path.into(), path: Str::default() };
        self.steps.insert(wait.unwrap_or_default(), PlannedStep { pointer: "".into(), step });
    }
}

impl fmt::Display for ExecPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// Plans a process in a container: the config is the container's, with this process in place of its own.
///
/// # Errors
/// [`PlanError`] where the config asks for what this host or this runtime can't do.
pub fn plan_exec(
    config: &Config,
    host: &HostFacts,
    request: &ExecPlanRequest<'_>,
) -> Result<ExecPlan, PlanError> {
    let mut steps = Steps::default();
    let namespaces = &config.linux.namespaces;
    let Some(process) = &config.process else {
        return Err(PlanError { pointer: "/process".into(), message: "there is nothing to execute".into() });
    };
    steps.push("", Step::ResetSignals { ignored: host.ignored_signals });
    plan_streams(&mut steps, request.own_streams, request.own_descriptors, request.closed_below);
    if request.awaits_cgroup {
        steps.push("/linux/cgroupsPath", Step::AwaitCgroup {});
    }
    plan_affinity(
        &mut steps,
        "/process/execCPUAffinity/initial",
        process.exec_cpu_affinity.initial.as_deref(),
    );
    if request.cgroups > 0 {
        let procs = Descriptors((0..request.cgroups).map(Descriptor::CgroupProcs).collect());
        steps.push("/linux/cgroupsPath", Step::JoinCgroups { procs });
    }
    if process.exec_cpu_affinity.final_.is_none() {
        steps.push("/linux/resources/cpu/cpus", Step::ResetAffinity {});
    }
    plan_affinity(&mut steps, "/process/execCPUAffinity/final", process.exec_cpu_affinity.final_.as_deref());
    // Through a procfs of the host: the container's may hide what is written here. Children keep it.
    if namespaces.user.is_some() {
        plan_settings_before_joining(&mut steps, process, host);
        plan_leaving_groups(&mut steps, config, host);
    } else {
        plan_oom_score(&mut steps, process, host);
    }
    plan_labels(&mut steps, process, host);
    plan_join(&mut steps, config, host, request.init);

    let namespaces = NamespacePlan {
        in_user_namespace: namespaces.user.is_some(),
        own_mounts: namespaces.mount.is_some(),
        ..NamespacePlan::default()
    };
    if let Some(terminal) = process.terminal {
        let step = Step::OpenTerminal {
            console: Descriptor::Console,
            rows: terminal.size.map_or(0, |size| size.height.into()),
            columns: terminal.size.map_or(0, |size| size.width.into()),
            uid: process.user.uid.get(),
            bind: false,
            host_dev: false,
            translate: request.newlines == Newlines::Translated,
        };
        steps.push("/process/terminal", step);
    }
    let plan_request = PlanRequest {
        id: request.id,
        bundle: "/".into(),
        purpose: Purpose::Exec,
        root_switch: RootSwitch::default(),
        session_keyring: request.session_keyring,
        newlines: request.newlines,
        preserve_fds: request.preserve_fds,
        listen_fds: request.listen_fds,
        own_streams: request.own_streams,
        own_descriptors: request.own_descriptors,
        closed_below: request.closed_below,
        cgroup: None,
    };
    plan_process(&mut steps, config, host, &plan_request, &namespaces)?;
    Ok(ExecPlan {
        first_own_fd: request.preserve_fds.saturating_add(3),
        steps: steps.steps,
        warnings: steps.warnings,
    })
}

fn plan_affinity(steps: &mut Steps, pointer: &'static str, processors: Option<&[u32]>) {
    let Some(last) = processors.and_then(<[u32]>::last) else { return };
    // Whole words of the kernel's: 64 bits.
    let mut mask = vec![0_u32; (*last as usize / 64 + 1) * 2];
    for processor in processors.unwrap_or_default() {
        mask[*processor as usize / 32] |= 1 << (processor % 32);
    }
    steps.push(pointer, Step::SetAffinity { processors: Words(mask) });
}

/// From the host into the container. The kernel joins all namespaces at once or none, with the host's rights, the user
/// namespace's among them.
fn plan_join(steps: &mut Steps, config: &Config, host: &HostFacts, init: i32) {
    let namespaces = &config.linux.namespaces;
    let named = NamespaceKind::ALL.into_iter().filter(|kind| namespaces.get(*kind).is_some());
    let flags = named.fold(0, |flags, kind| flags | clone_flag(kind));
    // Where init was left in a directory of a mount namespace that has more, that directory is the root. Joining finds
    // init alive: then this was init's. Without a namespace of its own it is still asked for one, which it shares.
    let new_mount = namespaces.mount.as_ref().is_some_and(|namespace| namespace.path.is_none());
    if !new_mount {
        let path = format!("/proc/{init}/root");
        steps.push("/root/path", Step::OpenRootDirectory { path: path.as_str().into() });
    }
    let joined = NamespaceFlags(if flags == 0 { flag::CLONE_NEWUTS } else { flags });
    steps.push("", Step::NotDumpable {});
    steps.push("/linux/namespaces", Step::JoinProcess { process: Descriptor::Process, namespaces: joined });
    if !new_mount {
        steps.push("/root/path", Step::ChangeRoot {});
    }
    if namespaces.user.is_some() && id_maps::becomes_root(config, host) {
        steps.push("/linux/namespaces", Step::BecomeRoot {});
    }
    let terminal = config.process.as_ref().is_some_and(|process| process.terminal.is_some());
    let kept = if terminal { Descriptor::Console } else { Descriptor::Absent };
    steps.push("", Step::CloseOthers { kept });
    if namespaces.pid.is_some() {
        steps.push("/linux/namespaces", Step::Fork { namespaces: NamespaceFlags(0) });
    }
    steps.push("", Step::NewSession {});
}

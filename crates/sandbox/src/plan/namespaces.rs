//! Namespaces: which come with the clone, which are joined, which init makes itself.
//!
//! Pure.

use std::ffi::CStr;
use std::path::Path;

use init::Step;
use init::sys::flag;
use init::wire::{Descriptor, Descriptors, NamespaceFlags};
use spec::Config;
use spec::config::{MountKind, NamespaceKind, TimeOffset, TimeOffsets};

use super::id_maps::{becomes_root, plan_id_maps};
use super::namespace_plan::{Join, NamespacePlan, clone_flag};
use super::slots::{FIRST_BIND_SLOT, bind_mounts};
use super::{PlanRequest, PlannedStep, Steps, groups, paths, settings, streams};
use crate::host::HostFacts;

pub(super) fn plan_namespaces(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    rootfs: &Path,
) -> NamespacePlan {
    let namespaces = &config.linux.namespaces;
    let new = |kind| namespaces.get(kind).is_some_and(|namespace| namespace.path.is_none());
    let joins: Vec<Join> = NamespaceKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let namespace = namespaces.get(kind)?;
            let path = namespace.path.as_ref()?.to_string();
            Some(Join { kind, path, index: namespace.index })
        })
        .collect();
    let joined = |kind| joins.iter().any(|join| join.kind == kind);

    // The cgroup namespace's root is the maker's cgroup: it can't come with the clone, which is made by the runtime.
    // The time namespace can't be given together with CLONE_VM.
    let new_flags = NamespaceKind::ALL
        .into_iter()
        .filter(|kind| new(*kind) && !matches!(kind, NamespaceKind::Cgroup | NamespaceKind::Time))
        .fold(0, |flags, kind| flags | clone_flag(kind));
    // A joined pid namespace holds only later children. Namespaces that a joined user namespace shall own can be made only
    // from inside it, and others are joined with the rights that a new one takes.
    let joins_user = joined(NamespaceKind::User);
    let after_joins = joins_user || new(NamespaceKind::User) && !joins.is_empty();
    let fork = joined(NamespaceKind::Pid) || after_joins && new(NamespaceKind::Pid);

    steps.push("", Step::ResetSignals { ignored: host.ignored_signals });
    // Before init opens anything, which may get their numbers.
    streams::plan_streams(steps, request.own_streams, request.own_descriptors, request.closed_below);
    if let Some(cgroup) = &request.cgroup {
        if cgroup.unit.is_some() {
            steps.push("/linux/cgroupsPath", Step::AwaitCgroup {});
        }
        let count = super::entered_by_writing(cgroup);
        if count > 0 {
            let procs = Descriptors((0..count as u16).map(Descriptor::CgroupProcs).collect());
            steps.push("/linux/cgroupsPath", Step::JoinCgroups { procs });
        }
    }
    // The processors are the cgroup's: not those that the caller was left with.
    steps.push("/linux/resources/cpu/cpus", Step::ResetAffinity {});
    if let Some(process) = config.process.as_ref().filter(|_| joins_user) {
        settings::plan_settings_before_joining(steps, process, host);
        groups::plan_leaving_groups(steps, config, host);
    }
    plan_joins(steps, &joins);
    let namespaces_after = NamespaceFlags(new_flags);
    if fork {
        steps.push("/linux/namespaces", Step::Fork { namespaces: namespaces_after });
    } else if after_joins && new_flags != 0 {
        steps.push("/linux/namespaces", Step::Unshare { namespaces: namespaces_after });
    }
    steps.push("", Step::NewSession {});

    // A new network namespace costs more than all else of the clone. Where the user namespace is the runtime's own, another
    // process can make it meanwhile, and init has mounts to make before it needs it.
    let beside =
        new(NamespaceKind::Network) && new(NamespaceKind::Mount) && namespaces.user.is_none() && !fork;
    let clone_flags = if beside { new_flags & !flag::CLONE_NEWNET } else { new_flags };
    let plan = NamespacePlan {
        clone_flags: if fork || after_joins { 0 } else { clone_flags },
        network_beside: beside,
        id_maps: new(NamespaceKind::User).then(|| plan_id_maps(config, host)),
        in_user_namespace: namespaces.user.is_some(),
        new_user: new(NamespaceKind::User),
        new_network: new(NamespaceKind::Network),
        new_pid: new(NamespaceKind::Pid),
        new: NamespaceKind::ALL.into_iter().filter(|kind| new(*kind)).collect(),
        cgroup_namespace: namespaces.cgroup.is_some(),
        own_mounts: namespaces.mount.is_some(),
        new_mount: new(NamespaceKind::Mount),
        joins,
    };
    if plan.in_user_namespace {
        plan_user_namespace(steps, config, host, request, &plan, rootfs);
    }
    if new(NamespaceKind::Cgroup) {
        let namespaces = NamespaceFlags(flag::CLONE_NEWCGROUP);
        steps.push(pointer(namespaces_index(config, NamespaceKind::Cgroup)), Step::Unshare { namespaces });
    }
    if new(NamespaceKind::Time) {
        let offsets = time_offsets(&config.linux.time_offsets);
        steps.push("/linux/timeOffsets", Step::NewTimeNamespace { offsets: offsets.as_str().into() });
    }
    plan
}

/// File systems of which an instance is the same whatever network namespace it is made in.
const SAME_IN_EVERY_NETWORK: [&CStr; 6] = [c"proc", c"tmpfs", c"devpts", c"mqueue", c"cgroup", c"cgroup2"];

/// The namespace that is made beside is joined before the first of the steps from `first` on that could depend on it, or in
/// which init waits for something else.
pub(super) fn plan_network(steps: &mut Steps, first: usize) {
    let is_free = |planned: &PlannedStep| match &planned.step {
        Step::Mount { fstype, on_device: false, .. } => SAME_IN_EVERY_NETWORK.contains(&fstype.0.as_c_str()),
        Step::SetPropagation { .. }
        | Step::OpenRoot { .. }
        | Step::TakeTree { .. }
        | Step::OpenInside { .. }
        | Step::Bind { .. }
        | Step::SetAttributes { .. }
        | Step::SetMountPropagation { .. }
        | Step::MakeLinkAt { .. } => true,
        _ => false,
    };
    let free = steps.steps[first..].iter().take_while(|planned| is_free(planned)).count();
    let step = Step::JoinNetwork {};
    steps.steps.insert(first + free, PlannedStep { pointer: "/linux/namespaces".into(), step });
}

fn namespaces_index(config: &Config, kind: NamespaceKind) -> usize {
    config.linux.namespaces.get(kind).map_or(0, |namespace| namespace.index)
}

fn pointer(index: usize) -> String {
    format!("/linux/namespaces/{index}")
}

fn plan_joins(steps: &mut Steps, joins: &[Join]) {
    let descriptor = |kind| {
        let index = joins.iter().find(|join| join.kind == kind).map(|join| join.index as u16);
        index.map(Descriptor::Namespace)
    };
    let others = joins
        .iter()
        .filter(|join| !matches!(join.kind, NamespaceKind::User | NamespaceKind::Mount))
        .map(|join| Descriptor::Namespace(join.index as u16))
        .collect();
    if !joins.is_empty() {
        steps.push(
            "/linux/namespaces",
            Step::JoinNamespaces {
                namespaces: Descriptors(others),
                user: descriptor(NamespaceKind::User).unwrap_or(Descriptor::Absent),
                mount: descriptor(NamespaceKind::Mount).unwrap_or(Descriptor::Absent),
            },
        );
    }
}

/// Host paths are opened with the runtime's identity, then the maps are awaited, then root of the namespace is who
/// makes the rest.
fn plan_user_namespace(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    plan: &NamespacePlan,
    rootfs: &Path,
) {
    if plan.own_mounts {
        // Root of the host may reach any source, and the user namespace takes the right to. In a mount namespace that others
        // are in already, what a path leads to is theirs to say: there it goes by the namespace's rights.
        let host_rights = host.confinement.is_none() && plan.new_mount;
        let source = rootfs.to_string_lossy();
        let open = Step::OpenSource { slot: 0, source: (&*source).into(), recursive: true, host_rights };
        steps.push("/root/path", open);
        for (slot, (index, mount)) in bind_mounts(config).enumerate() {
            let MountKind::Bind { source, recursive } = &mount.kind else { continue };
            if mount.id_map.is_some() || paths::inside(&request.bundle, rootfs, source).is_some() {
                continue;
            }
            let source = paths::absolute(&request.bundle, source);
            let step = Step::OpenSource {
                slot: slot as u32 + FIRST_BIND_SLOT,
                source: (&*source.to_string_lossy()).into(),
                recursive: *recursive,
                host_rights,
            };
            steps.push(format!("/mounts/{index}"), step);
        }
        if host_rights && !plan.new_user {
            steps.push("/linux/namespaces", Step::AwaitSources {});
        }
    }
    if plan.new_user {
        steps.push("/linux/uidMappings", Step::AwaitIdMaps {});
    }
    if becomes_root(config, host) {
        steps.push("/linux/namespaces", Step::BecomeRoot {});
    }
}

fn time_offsets(offsets: &TimeOffsets) -> String {
    let line = |clock: &str, offset: Option<TimeOffset>| {
        offset
            .map_or_else(String::new, |offset| format!("{clock} {} {}\n", offset.seconds, offset.nanoseconds))
    };
    line("monotonic", offsets.monotonic) + &line("boottime", offsets.boottime)
}

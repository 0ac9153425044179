//! Mounts that a running container gets, or loses.
//!
//! Pure. Sources are the host's: they are opened, and file systems made, before the container's mount namespace is joined.
//! In a user namespace that happens with its rights, in a copy of the host's mount namespace that it owns: so the flags
//! that the host has set on a mount are locked there, as they are for mounts of creation (mount_namespaces(7)).

use std::fmt;
use std::path::Path;

use init::Step;
use init::sys::flag;
use init::wire::{Descriptor, MountAttributes, NamespaceFlags};
use spec::config::{Mount, MountKind, attribute};
use spec::{AbsolutePath, Config};

use super::filesystem::filesystem_options;
use super::idmap::MappedTree;
use super::mounts::{check_destination, drop_unmapped_groups, implied_clear, propagations};
use super::namespace_plan::NamespacePlan;
use super::paths::{absolute, clean};
use super::slots::FIRST_BIND_SLOT;
use super::{PlanError, PlannedStep, Steps, id_maps, idmap};
use crate::host::HostFacts;
use crate::outcome::Warning;

/// What will be asked of the kernel for mounts of a running container.
#[derive(Clone, Debug)]
pub struct AttachPlan {
    /// Mounts that the runtime clones and id-maps beforehand.
    pub trees: Vec<MappedTree>,
    /// What a process does that joins the mount namespace; it ends by itself.
    pub steps: Vec<PlannedStep>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for AttachPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trees.iter().try_for_each(|tree| writeln!(f, "{tree}"))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// Plans mounts for a container of this config: pointers are into the list of mounts.
///
/// # Errors
/// [`PlanError`] where a mount is none that a running container can get.
pub fn plan_attach(
    config: &Config,
    host: &HostFacts,
    bundle: &Path,
    mounts: &[Mount],
) -> Result<AttachPlan, PlanError> {
    check_own_mounts(config)?;
    let namespaces = &config.linux.namespaces;
    let new_user = namespaces.user.as_ref().is_some_and(|namespace| namespace.path.is_none());
    let plan = NamespacePlan {
        in_user_namespace: namespaces.user.is_some(),
        new_user,
        own_mounts: true,
        ..NamespacePlan::default()
    };
    let mut trees = Vec::new();
    let (mut steps, mut made, mut attached) = (Steps::default(), Steps::default(), Steps::default());
    begin(&mut steps, host);
    if plan.in_user_namespace {
        // With the rights of the container's user namespace, and the host's identity, which reaches more of its paths.
        steps.push("/linux/namespaces", join(flag::CLONE_NEWUSER));
        steps.push("/linux/namespaces", Step::Unshare { namespaces: NamespaceFlags(flag::CLONE_NEWNS) });
    }
    for (index, mount) in mounts.iter().enumerate() {
        let (slot, pointer) = (FIRST_BIND_SLOT + index as u32, format!("/{index}"));
        check_destination(mount, &pointer)?;
        check_kind(mount, &pointer)?;
        match &mount.kind {
            MountKind::Bind { source, recursive } => {
                if mount.id_map.is_some() {
                    let tree = Descriptor::Tree(trees.len() as u16);
                    trees.push(idmap::plan_live_tree(bundle, plan.in_user_namespace, &pointer, mount)?);
                    made.push(pointer.clone(), Step::TakeTree { slot, tree });
                } else {
                    let source = absolute(bundle, source);
                    let source = (&*source.to_string_lossy()).into();
                    let recursive = *recursive;
                    let host_rights = plan.in_user_namespace && host.confinement.is_none();
                    if plan.in_user_namespace {
                        // What only the container's root may reach.
                        let source = Clone::clone(&source);
                        let open = Step::OpenSource { slot, source, recursive, host_rights: false };
                        made.push(pointer.clone(), open);
                    }
                    steps.push(pointer.clone(), Step::OpenSource { slot, source, recursive, host_rights });
                }
                attached.push(pointer, attach(mount, slot, false));
            }
            MountKind::Filesystem { fstype, source } => {
                let mut mount = mount.clone();
                drop_unmapped_groups(&mut made, &pointer, &mut mount, config, host, &plan);
                let step = Step::MakeMount {
                    slot,
                    fstype: (&**fstype).into(),
                    source: source.as_deref().unwrap_or("").into(),
                    attributes: MountAttributes(mount.attributes.set),
                    options: filesystem_options(fstype, &mount, &mount.data),
                };
                made.push(pointer.clone(), step);
                let keep_mode =
                    &**fstype == "tmpfs" && mount.data.iter().all(|option| &*option.key != "mode");
                attached.push(pointer, attach(&mount, slot, keep_mode));
            }
            MountKind::Remount { .. } | MountKind::Cgroup => {}
        }
    }
    if plan.in_user_namespace && id_maps::becomes_root(config, host) {
        steps.push("/linux/namespaces", Step::BecomeRoot {});
    }
    steps.append(made);
    enter(&mut steps);
    steps.append(attached);
    Ok(end(steps, trees))
}

/// Plans the end of mounts, the last one first.
///
/// # Errors
/// [`PlanError`] where the container has no mount namespace of its own.
pub fn plan_detach(
    config: &Config,
    host: &HostFacts,
    destinations: &[AbsolutePath],
) -> Result<AttachPlan, PlanError> {
    check_own_mounts(config)?;
    let mut steps = Steps::default();
    begin(&mut steps, host);
    if config.linux.namespaces.user.is_some() {
        steps.push("/linux/namespaces", join(flag::CLONE_NEWUSER));
        if id_maps::becomes_root(config, host) {
            steps.push("/linux/namespaces", Step::BecomeRoot {});
        }
    }
    enter(&mut steps);
    // All of them are looked for before the first goes, but one below another is found only from the other's place.
    let numbered = || {
        let slots = (FIRST_BIND_SLOT..).step_by(2);
        destinations
            .iter()
            .enumerate()
            .zip(slots)
            .map(|((index, path), slot)| (format!("/{index}"), path, slot))
    };
    for (pointer, path, slot) in numbered() {
        if clean(path) == "/" {
            let message = "the destination is the root itself".to_owned();
            return Err(PlanError { pointer: format!("{pointer}/destination").into(), message });
        }
        steps.push(pointer, Step::FindMount { slot, target: (&***path).into() });
    }
    let mut detached: Vec<_> = numbered().collect();
    detached.reverse();
    for (pointer, path, slot) in detached {
        steps.push(pointer, Step::Detach { slot, target: (&***path).into() });
    }
    Ok(end(steps, Vec::new()))
}

fn check_own_mounts(config: &Config) -> Result<(), PlanError> {
    match &config.linux.namespaces.mount {
        Some(namespace) if namespace.path.is_none() => Ok(()),
        _ => Err(PlanError {
            pointer: "/linux/namespaces".into(),
            message: "the container has no mount namespace of its own: its mounts are others' too".to_owned(),
        }),
    }
}

/// What depends on the namespaces of who mounts it, or on what is there, is for creation.
fn check_kind(mount: &Mount, pointer: &str) -> Result<(), PlanError> {
    let refuse = |field: &str, message: String| {
        Err(PlanError { pointer: format!("{pointer}/{field}").into(), message })
    };
    match &mount.kind {
        MountKind::Remount { .. } => {
            refuse("options", "remount changes a mount that is there: none is added".into())
        }
        MountKind::Cgroup => refuse("type", "a view of the cgroups is made at creation only".into()),
        MountKind::Filesystem { fstype, .. } if matches!(&**fstype, "proc" | "sysfs" | "mqueue") => refuse(
            "type",
            format!("{fstype} belongs to the namespaces of who mounts it: it is made at creation only"),
        ),
        _ if mount.copy_up => refuse(
            "options",
            "tmpcopyup is for creation only: processes of the container may change the directory meanwhile"
                .into(),
        ),
        _ => Ok(()),
    }
}

/// The host's `/proc` is opened while it is there; nobody may look into the process.
fn begin(steps: &mut Steps, host: &HostFacts) {
    steps.push("", Step::ResetSignals { ignored: host.ignored_signals });
    steps.push("", Step::OpenProcfs {});
    steps.push("", Step::NotDumpable {});
}

const fn join(namespaces: u64) -> Step {
    Step::JoinProcess { process: Descriptor::Process, namespaces: NamespaceFlags(namespaces) }
}

/// Into the mount namespace, and no other: the process stays unseen.
fn enter(steps: &mut Steps) {
    steps.push("/linux/namespaces", join(flag::CLONE_NEWNS));
    steps.push("", Step::OpenRootDirectory { path: "/".into() });
}

fn attach(mount: &Mount, slot: u32, keep_mode: bool) -> Step {
    let destination = clean(&mount.destination);
    let bind = matches!(mount.kind, MountKind::Bind { .. });
    let own = if bind { mount.attributes } else { spec::config::Attributes::default() };
    Step::Attach {
        slot,
        target: (&**mount.destination).into(),
        set: MountAttributes(own.set),
        clear: MountAttributes(own.clear),
        implied_clear: MountAttributes(implied_clear(own)),
        all_set: MountAttributes(mount.recursive_attributes.set),
        all_clear: MountAttributes(mount.recursive_attributes.clear),
        propagation: propagations(mount),
        keep_mode: keep_mode && mount.attributes.set & attribute::RDONLY == 0,
        in_proc: destination == "/proc" || destination.starts_with("/proc/"),
    }
}

fn end(mut steps: Steps, trees: Vec<MappedTree>) -> AttachPlan {
    steps.push("", Step::End {});
    AttachPlan { trees, steps: steps.steps, warnings: steps.warnings }
}

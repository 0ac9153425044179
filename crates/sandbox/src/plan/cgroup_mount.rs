//! The container's view of its cgroups (mounts of type `cgroup`), on whatever set-up the host has.
//!
//! Pure. On v2 one file system. On v1 a tmpfs with a directory for each hierarchy, on which the container's own cgroup is
//! bound. A mount of the hierarchy, seen from the container's cgroup namespace, would show the same; but the kernel visits
//! every cgroup of the host for each such mount (`cgroup_lock_and_drain_offline()`), and keeps a superblock of it.

use std::path::PathBuf;

use init::Step;
use init::wire::{MountAttributes, Propagations, Str, Strs};
use spec::Config;
use spec::config::{Mount, NamespaceKind, attribute};

use super::filesystem::{options, own_label};
use super::filled::is_filled_later;
use super::namespace_plan::NamespacePlan;
use super::{PlanRequest, Steps, confined, v1_directories};
use crate::cgroup::{DirectoryPlan, Hierarchy, V1Hierarchy};
use crate::host::HostFacts;

pub(super) fn plan_cgroup_mount(
    steps: &mut Steps,
    config: &Config,
    index: usize,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
) {
    let (mount, pointer) = (&config.mounts[index], format!("/mounts/{index}"));
    let Some(hierarchies) = &host.cgroups else {
        steps.warn(&pointer, "ignored: the host has no cgroup file system");
        return;
    };
    let target = &**mount.destination;
    let attributes = mount.attributes.set;
    if hierarchies.v1.is_empty() {
        // Without a cgroup namespace a mount of the file system would show the whole host.
        if let Some(own) = own_unified(request).filter(|_| !namespaces.cgroup_namespace) {
            steps.push(pointer, bind_own(&own.to_string_lossy(), target, attributes));
            return;
        }
        // In a user namespace the file system can be mounted only with a cgroup namespace of its own; and a mount made in
        // the host's would set the options of the hierarchy anew, `nsdelegate` among them.
        if let Some(v2) = hierarchies.v2.as_ref().filter(|_| !namespaces.cgroup_namespace) {
            let source = v2.mount_point.to_string_lossy();
            steps.push(pointer, confined::bind_tree(&source, target, attributes, false));
            return;
        }
        steps.push(pointer, new_filesystem("cgroup2", "cgroup", target, attributes, Strs::default()));
        return;
    }
    let writable = attributes & !attribute::RDONLY;
    let mut options = Strs(vec![Str::from("mode"), Str::from("755")]);
    options.0.extend(own_label(config, host).into_iter().flatten());
    steps.push(pointer.clone(), new_filesystem("tmpfs", "tmpfs", target, writable, options));
    for hierarchy in &hierarchies.v1 {
        let name = directory_name(hierarchy);
        let place = format!("{target}/{name}");
        let own = own_directory(request, hierarchy).filter(|_| !namespaces.joined(NamespaceKind::Cgroup));
        let step = match own {
            Some(own) => bind_own(&own.to_string_lossy(), &place, attributes),
            // What the namespace shows is not the container's own cgroup.
            None if namespaces.cgroup_namespace => {
                new_filesystem("cgroup", "cgroup", &place, attributes, hierarchy_options(hierarchy, mount))
            }
            None => bind_own(&hierarchy.mount_point.to_string_lossy(), &place, attributes),
        };
        steps.push(pointer.clone(), step);
        // cpu and cpuacct for cpu,cpuacct
        for controller in hierarchy.controllers.iter().filter(|controller| **controller != name) {
            let path = format!("{target}/{controller}");
            let step = Step::MakeLinkAt { path: path.as_str().into(), target: name.as_str().into() };
            steps.push(pointer.clone(), step);
        }
    }
    if attributes & attribute::RDONLY != 0 && !is_filled_later(config, host, index) {
        let step = Step::SetAttributes {
            target: target.into(),
            recursive: false,
            set: MountAttributes(attribute::RDONLY),
            clear: MountAttributes(0),
        };
        steps.push(pointer, step);
    }
}

/// The container's v2 cgroup.
fn own_unified(request: &PlanRequest<'_>) -> Option<PathBuf> {
    let directories = &request.cgroup.as_ref()?.directories;
    directories.iter().find(|directory| directory.hierarchy == Hierarchy::V2).map(DirectoryPlan::path)
}

/// As the host names it.
fn directory_name(hierarchy: &V1Hierarchy) -> String {
    hierarchy
        .mount_point
        .file_name()
        .map_or_else(|| hierarchy.controllers.join(","), |name| name.to_string_lossy().into_owned())
}

/// The options that select the hierarchy.
fn hierarchy_options(hierarchy: &V1Hierarchy, mount: &Mount) -> Strs {
    let mut selected = options(&mount.data);
    for controller in &hierarchy.controllers {
        selected.0.extend([Str::from(controller.as_str()), Str::default()]);
    }
    if let Some(name) = &hierarchy.name {
        selected.0.extend([Str::from("none"), Str::default(), Str::from("name"), Str::from(name.as_str())]);
    }
    selected
}

/// The container's cgroup in a hierarchy.
fn own_directory(request: &PlanRequest<'_>, hierarchy: &V1Hierarchy) -> Option<PathBuf> {
    v1_directories(request.cgroup.as_ref()?).find(|directory| directory.starts_with(&hierarchy.mount_point))
}

fn new_filesystem(fstype: &str, source: &str, target: &str, attributes: u64, options: Strs) -> Step {
    Step::Mount {
        fstype: fstype.into(),
        source: source.into(),
        target: target.into(),
        attributes: MountAttributes(attributes),
        options,
        copy_up: false,
        keep_mode: false,
        on_device: false,
        propagation: Propagations::default(),
    }
}

fn bind_own(source: &str, target: &str, attributes: u64) -> Step {
    Step::Bind {
        source: source.into(),
        target: target.into(),
        recursive: false,
        set: MountAttributes(attributes),
        clear: MountAttributes(0),
        implied_clear: MountAttributes(0),
        all_set: MountAttributes(0),
        all_clear: MountAttributes(0),
        propagation: Propagations::default(),
        slot: 0,
        in_proc: false,
    }
}

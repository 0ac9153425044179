//! `mounts`, one step each; the cgroup mounts, several.
//!
//! Pure.

use std::path::Path;

use init::Step;
use init::wire::{Descriptor, MountAttributes, Propagations, Str};
use spec::Config;
use spec::config::{Attributes, Mount, MountKind, MountOption, attribute};

use super::filesystem::{filesystem_options, is_of_the_kernel, options};
use super::filled::is_filled_later;
use super::namespace_plan::NamespacePlan;
use super::paths::{self, clean};
use super::slots::{FIRST_BIND_SLOT, bind_mounts};
use super::{PlanError, PlanRequest, Steps, cgroup_mount, confined, idmap, rootfs};
use crate::host::HostFacts;

/// What may be mounted over below `/proc`: files that show the machine's size, as lxcfs gives them.
const ALLOWED_IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

pub(super) fn plan_mounts(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
    rootfs: &Path,
) -> Result<(), PlanError> {
    for (index, mount) in config.mounts.iter().enumerate() {
        let pointer = format!("/mounts/{index}");
        check_destination(mount, &pointer)?;
        match &mount.kind {
            MountKind::Filesystem { fstype, source } => {
                if let Some(step) = confined::bind_instead(steps, &pointer, mount, fstype, host, namespaces) {
                    steps.push(pointer, step);
                    continue;
                }
                let mut mount = mount.clone();
                drop_unmapped_groups(steps, &pointer, &mut mount, config, host, namespaces);
                if is_filled_later(config, host, index) {
                    mount.attributes.set &= !attribute::RDONLY;
                }
                let mount = &mount;
                let source = source.as_deref().unwrap_or("");
                // In a user namespace there is no file system of a device, and in a mount namespace that is joined its path may
                // lead to another.
                let on_device = host.device_mounts.contains(&index)
                    && !is_of_the_kernel(fstype)
                    && namespaces.new_mount
                    && !confined::in_user_namespace(host, namespaces);
                let mut step = filesystem(steps, &pointer, mount, fstype, source, on_device);
                if let (Step::Mount { options, .. }, Some(label)) =
                    (&mut step, label_of(config, host, namespaces, mount, fstype))
                {
                    options.0.extend([Str::from("context"), Str::from(label)]);
                }
                steps.push(pointer, step);
                if let (Some(label), true, "mqueue") = (&config.linux.mount_label, host.selinux, &**fstype) {
                    // The kernel has mounted it before, for itself: it takes a label, and no option.
                    let step =
                        Step::SetLabel { target: (&**mount.destination).into(), label: (&**label).into() };
                    steps.push("/linux/mountLabel", step);
                }
                if !mount.recursive_attributes.is_empty() {
                    plan_recursive_attributes(steps, index, mount);
                }
            }
            MountKind::Bind { source, recursive } => {
                let slot = bind_mounts(config).position(|(other, _)| other == index).unwrap_or(0) as u32;
                let inside = paths::inside(&request.bundle, rootfs, source);
                let held = namespaces.in_user_namespace || mount.id_map.is_some() || inside.is_some();
                let slot = if held { slot + FIRST_BIND_SLOT } else { 0 };
                let tree = idmap::tree_of(config, index);
                match (inside, tree) {
                    (Some(inside), tree) => {
                        let source = Str::from(&*inside);
                        let recursive = *recursive;
                        steps.push(pointer.clone(), Step::OpenInside { slot, source, recursive });
                        if let Some(tree) = tree {
                            steps.push(pointer.clone(), Step::OfferTree { slot, tree: tree.into() });
                        }
                    }
                    (None, Some(tree)) => {
                        steps.push(pointer.clone(), Step::TakeTree { slot, tree: Descriptor::Tree(tree) });
                    }
                    (None, None) => {}
                }
                let source = paths::absolute(&request.bundle, source);
                steps.push(pointer, bind(mount, &source.to_string_lossy(), *recursive, slot));
            }
            MountKind::Remount { bind } => plan_remount(steps, index, mount, *bind),
            MountKind::Cgroup => {
                cgroup_mount::plan_cgroup_mount(steps, config, index, host, request, namespaces);
            }
        }
    }
    Ok(())
}

/// File systems whose files the policy labels, whatever is asked.
const LABELLED_BY_POLICY: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

/// File systems that take a label for all of their files in a user namespace too (`selinux_set_mnt_opts`).
const LABELLED_IN_USER_NAMESPACE: [&str; 4] = ["tmpfs", "ramfs", "devpts", "overlay"];

/// `/linux/mountLabel`, where a new file system takes it as an option and its own options have none.
fn label_of<'c>(
    config: &'c Config,
    host: &HostFacts,
    namespaces: &NamespacePlan,
    mount: &Mount,
    fstype: &str,
) -> Option<&'c str> {
    let label = config.linux.mount_label.as_ref().filter(|_| host.selinux)?;
    let inside = confined::in_user_namespace(host, namespaces);
    let takes = if inside {
        LABELLED_IN_USER_NAMESPACE.contains(&fstype)
    } else {
        !LABELLED_BY_POLICY.contains(&fstype)
    };
    let has_one = mount.data.iter().any(|option| &*option.key == "context");
    (takes && !has_one).then_some(&**label)
}

/// The root itself is no place to mount, and `/proc` may only be covered by itself.
pub(super) fn check_destination(mount: &Mount, pointer: &str) -> Result<(), PlanError> {
    let destination = clean(&mount.destination);
    let refuse =
        |message: String| Err(PlanError { pointer: format!("{pointer}/destination").into(), message });
    if destination == "/" && !matches!(mount.kind, MountKind::Remount { .. }) {
        return refuse("the destination is the root itself".to_owned());
    }
    if !destination.starts_with("/proc") {
        return Ok(());
    }
    let below = destination.starts_with("/proc/");
    match &mount.kind {
        MountKind::Bind { .. } if destination == "/proc" => Ok(()),
        MountKind::Filesystem { fstype, .. } if destination == "/proc" => {
            if &**fstype == "proc" {
                Ok(())
            } else {
                refuse(format!("{destination} can only be a proc file system"))
            }
        }
        MountKind::Remount { .. } => Ok(()),
        _ if !below || ALLOWED_IN_PROC.contains(&&*destination) => Ok(()),
        _ => refuse(format!("{destination} is inside the proc file system: nothing may be mounted there")),
    }
}

/// Propagation types in the order listed.
pub(super) fn propagations(mount: &Mount) -> Propagations {
    Propagations(mount.propagation.iter().copied().map(rootfs::propagation_flags).collect())
}

fn filesystem(
    steps: &mut Steps,
    pointer: &str,
    mount: &Mount,
    fstype: &str,
    source: &str,
    on_device: bool,
) -> Step {
    // mount(2) takes the flag for any file system; by fsconfig(2) one that has no choice refuses the option.
    let is_acl = |option: &&MountOption| fstype == "tmpfs" && matches!(&*option.key, "acl" | "noacl");
    let (ignored, data): (Vec<&MountOption>, Vec<&MountOption>) = mount.data.iter().partition(is_acl);
    for option in ignored {
        steps.warn(&format!("{pointer}/options"), format!("{} is ignored: tmpfs has no choice", option.key));
    }
    Step::Mount {
        fstype: fstype.into(),
        source: source.into(),
        target: (&**mount.destination).into(),
        attributes: MountAttributes(mount.attributes.set),
        options: filesystem_options(fstype, mount, data),
        copy_up: mount.copy_up,
        // Where nothing is said of it, as other runtimes do.
        keep_mode: fstype == "tmpfs" && mount.data.iter().all(|option| &*option.key != "mode"),
        on_device,
        propagation: propagations(mount),
    }
}

/// In a user namespace a group must be mapped to be named.
pub(super) fn drop_unmapped_groups(
    steps: &mut Steps,
    pointer: &str,
    mount: &mut Mount,
    config: &Config,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) {
    mount.data.retain(|option| {
        let unmapped = confined::is_unmapped_group(option, config, host, namespaces);
        if unmapped {
            let value = option.value.as_deref().unwrap_or_default();
            let message = format!("gid={value} is ignored: the group is not mapped in the user namespace");
            steps.warn(&format!("{pointer}/options"), message);
        }
        !unmapped
    });
}

fn bind(mount: &Mount, source: &str, recursive: bool, slot: u32) -> Step {
    let destination = clean(&mount.destination);
    Step::Bind {
        source: source.into(),
        target: (&**mount.destination).into(),
        recursive,
        set: MountAttributes(mount.attributes.set),
        clear: MountAttributes(mount.attributes.clear),
        implied_clear: MountAttributes(implied_clear(mount.attributes)),
        all_set: MountAttributes(mount.recursive_attributes.set),
        all_clear: MountAttributes(mount.recursive_attributes.clear),
        propagation: propagations(mount),
        slot,
        in_proc: destination == "/proc" || destination.starts_with("/proc/"),
    }
}

/// What a bind with options does not keep of its source: the flags that none of its options names, as runc has it since 1.2.
/// Without any option, and as far as times of access go, it keeps all.
pub(super) const fn implied_clear(own: Attributes) -> u64 {
    if own.is_empty() {
        return 0;
    }
    let flags =
        attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC | attribute::NOSYMFOLLOW;
    flags & !(own.set | own.clear)
}

fn plan_recursive_attributes(steps: &mut Steps, index: usize, mount: &Mount) {
    let step = Step::SetAttributes {
        target: (&**mount.destination).into(),
        recursive: true,
        set: MountAttributes(mount.recursive_attributes.set),
        clear: MountAttributes(mount.recursive_attributes.clear),
    };
    steps.push(format!("/mounts/{index}/options"), step);
}

/// `remount`: attributes of the mount, and without `bind` the superblock's options too.
fn plan_remount(steps: &mut Steps, index: usize, mount: &Mount, bind: bool) {
    let target = || Str::from(&**mount.destination);
    let pointer = format!("/mounts/{index}");
    if !bind {
        let mut data = options(&mount.data);
        let flag =
            match (mount.attributes.set & attribute::RDONLY, mount.attributes.clear & attribute::RDONLY) {
                (0, 0) => None,
                (0, _) => Some("rw"),
                _ => Some("ro"),
            };
        if let Some(flag) = flag {
            data.0.extend([Str::from(flag), Str::default()]);
        }
        if !data.0.is_empty() {
            steps.push(pointer.clone(), Step::Reconfigure { target: target(), options: data });
        }
    }
    if !mount.attributes.is_empty() {
        let step = Step::SetAttributes {
            target: target(),
            recursive: false,
            set: MountAttributes(mount.attributes.set),
            clear: MountAttributes(mount.attributes.clear),
        };
        steps.push(pointer.clone(), step);
    }
    if !mount.recursive_attributes.is_empty() {
        plan_recursive_attributes(steps, index, mount);
    }
    for propagation in &mount.propagation {
        let propagation = rootfs::propagation_flags(*propagation);
        steps.push(pointer.clone(), Step::SetMountPropagation { target: target(), propagation });
    }
}

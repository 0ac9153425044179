//! The root: where it is, how it is entered, how it becomes `/`.
//!
//! Pure.

use std::path::{Path, PathBuf};

use init::Step;
use init::sys::flag;
use init::wire::{MountAttributes, PropagationFlags, Str, Strs};
use spec::config::{Mount, Propagation, PropagationKind, attribute};
use spec::{AbsolutePath, Config, Text};

use super::filesystem::own_label;
use super::namespace_plan::NamespacePlan;
use super::paths::{absolute, clean};
use super::{PlanRequest, Steps};
use crate::RootSwitch;
use crate::host::HostFacts;

/// The config with each destination below the root's place on the host taken for one of the root, as runc does;
/// `None` where there is none.
pub(super) fn with_plain_destinations(config: &Config, rootfs: &Path) -> Option<Config> {
    let stripped = |mount: &Mount| -> Option<AbsolutePath> {
        let below = Path::new(&**mount.destination).strip_prefix(rootfs).ok()?;
        AbsolutePath::new(Text::new(format!("/{}", below.to_string_lossy()))?)
    };
    if rootfs == Path::new("/") || !config.mounts.iter().any(|mount| stripped(mount).is_some()) {
        return None;
    }
    let mut config = config.clone();
    for mount in &mut config.mounts {
        if let Some(destination) = stripped(mount) {
            mount.destination = destination;
        }
    }
    Some(config)
}

pub(super) fn absolute_root(config: &Config, request: &PlanRequest<'_>) -> PathBuf {
    absolute(&request.bundle, &config.root.path)
}

/// What a mount says of its own propagation holds, although the root's reached all mounts below it.
fn plan_own_propagation(steps: &mut Steps, config: &Config, root: PropagationKind) {
    use PropagationKind::{Private, Slave, Unbindable};
    // A private mount has no master to be the slave of: it stays as it is.
    let changed =
        |own: &Propagation| own.kind != root && !(root == Slave && matches!(own.kind, Private | Unbindable));
    if !config.mounts.iter().any(|mount| mount.propagation.last().is_some_and(changed)) {
        return;
    }
    for (index, mount) in config.mounts.iter().enumerate() {
        for own in &mount.propagation {
            let step = Step::SetMountPropagation {
                target: (&**mount.destination).into(),
                propagation: propagation_flags(*own),
            };
            steps.push(format!("/mounts/{index}/options"), step);
        }
    }
}

/// The kernel's flags of a propagation type.
pub(super) const fn propagation_flags(propagation: Propagation) -> PropagationFlags {
    let kind = match propagation.kind {
        PropagationKind::Unbindable => 1 << 17,
        PropagationKind::Private => 1 << 18,
        PropagationKind::Slave => 1 << 19,
        PropagationKind::Shared => 1 << 20,
    };
    PropagationFlags(if propagation.recursive { kind | flag::MS_REC } else { kind })
}

pub(super) fn plan_root(steps: &mut Steps, config: &Config, namespaces: &NamespacePlan, rootfs: &Path) {
    let path = &*rootfs.to_string_lossy();
    if !namespaces.own_mounts {
        steps.push("/root/path", Step::OpenRootDirectory { path: path.into() });
        return;
    }
    if namespaces.new_mount {
        // Nothing done here may reach the host, unless it is asked for. What the host mounts later reaches the container,
        // unless it asked for privacy: engines rely on it for volumes.
        let propagation = match config.linux.rootfs_propagation {
            Some(shared) if is_shared(config) => propagation_flags(shared),
            Some(Propagation { kind: PropagationKind::Private, .. }) => {
                propagation_flags(Propagation { kind: PropagationKind::Private, recursive: true })
            }
            _ => propagation_flags(Propagation { kind: PropagationKind::Slave, recursive: true }),
        };
        steps.push("/linux/rootfsPropagation", Step::SetPropagation { propagation });
    }
    let shared = namespaces.new_mount && is_shared(config);
    let step = Step::OpenRoot { path: path.into(), opened: namespaces.in_user_namespace, shared };
    steps.push("/root/path", step);
}

/// Whether mounts of the container shall reach the host.
fn is_shared(config: &Config) -> bool {
    config.linux.rootfs_propagation.is_some_and(|propagation| propagation.kind == PropagationKind::Shared)
}

pub(super) fn plan_switch(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
    rootfs: &Path,
) {
    if namespaces.own_mounts {
        let options = Strs(own_label(config, host).into_iter().flatten().collect());
        for (index, path) in config.linux.masked_paths.iter().enumerate() {
            // Once is enough, and a second mount would only hide the first.
            if config.linux.masked_paths[..index].contains(path) {
                continue;
            }
            let step = Step::Mask { path: (&***path).into(), options: options.clone() };
            steps.push(format!("/linux/maskedPaths/{index}"), step);
        }
        let others = |(_, path): &(usize, &AbsolutePath)| clean(path) != "/";
        for (index, path) in config.linux.readonly_paths.iter().enumerate().filter(others) {
            steps.push(format!("/linux/readonlyPaths/{index}"), Step::Readonly { path: (&***path).into() });
        }
    }
    if let Some(process) = &config.process
        && namespaces.own_mounts
        && &**process.cwd.as_text() != "/"
    {
        steps.push("/process/cwd", Step::MakeDirectory { path: (&**process.cwd).into() });
    }
    let switch = match (namespaces.new_mount, request.root_switch) {
        (true, RootSwitch::Pivot) => Step::PivotRoot { shared: is_shared(config) },
        (true, RootSwitch::Move) => {
            let outside = |path: &&String| !Path::new(path).starts_with(rootfs);
            Step::MoveRoot {
                kernel_views: Strs(
                    host.kernel_views.iter().filter(outside).map(|path| Str::from(&**path)).collect(),
                ),
            }
        }
        // In a namespace that others live in, their root must stay.
        (false, _) => Step::ChangeRoot {},
    };
    steps.push("/root/path", switch);
    if !namespaces.own_mounts {
        return;
    }
    if let Some(root) = config.linux.rootfs_propagation {
        let propagation = propagation_flags(root);
        steps.push("/linux/rootfsPropagation", Step::SetRootPropagation { propagation });
        if root.recursive {
            plan_own_propagation(steps, config, root.kind);
        }
    }
    if config.root.readonly {
        steps.push("/root/readonly", Step::ReadonlyRoot {});
    }
    // What is bound onto the root itself would lie above the one that is switched to; and whatever else was to be made, or
    // written to `/proc`, is by now.
    if let Some(index) = config.linux.readonly_paths.iter().position(|path| clean(path) == "/") {
        let step = Step::SetAttributes {
            target: "/".into(),
            recursive: true,
            set: MountAttributes(attribute::RDONLY),
            clear: MountAttributes(0),
        };
        steps.push(format!("/linux/readonlyPaths/{index}"), step);
    }
}

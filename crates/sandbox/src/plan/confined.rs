//! What is planned otherwise where the runtime has no rights on the host, or the container's user namespace has none.
//!
//! Pure. The kernel lets a user namespace mount a file system that shows a namespace (sysfs the network's, proc the
//! pids', mqueue the IPC's) only to who owns that namespace (user_namespaces(7)): the host's is bound instead, as users
//! of other runtimes know it. What can't be had at all is an error, or left out with a warning.

use init::Step;
use init::wire::{MountAttributes, Propagations};
use spec::Config;
use spec::config::{Mount, MountOption, NamespaceKind};

use super::id_maps::{has_own_maps, maps_root};
use super::namespace_plan::NamespacePlan;
use super::{PlanError, Steps};
use crate::host::HostFacts;

/// An ordinary user can make other namespaces only inside a user namespace.
pub(super) fn check_namespaces(config: &Config, host: &HostFacts) -> Result<(), PlanError> {
    let ordinary = host.confinement.as_ref().is_some_and(|confinement| !confinement.in_user_namespace);
    if ordinary && config.linux.namespaces.user.is_none() {
        let message = "rootless container requires user namespaces: add {\"type\": \"user\"} with uidMappings and \
                       gidMappings, as `spec --rootless` writes them";
        return Err(PlanError { pointer: "/linux/namespaces".into(), message: message.to_owned() });
    }
    if host.confinement.is_none() && has_own_maps(config) {
        let maps = [("uid", &config.linux.uid_mappings), ("gid", &config.linux.gid_mappings)];
        if let Some((kind, _)) = maps.into_iter().find(|(_, mappings)| !maps_root(mappings)) {
            let pointer = format!("/linux/{kind}Mappings");
            let message = "the container's id 0 is not mapped: its root makes the mounts".to_owned();
            return Err(PlanError { pointer: pointer.into(), message });
        }
    }
    Ok(())
}

/// Whether the container's processes, or the runtime's, are in a user namespace that is not the host's.
pub(super) fn in_user_namespace(host: &HostFacts, namespaces: &NamespacePlan) -> bool {
    namespaces.in_user_namespace || is_inside(host)
}

fn is_inside(host: &HostFacts) -> bool {
    host.confinement.as_ref().is_some_and(|confinement| confinement.in_user_namespace)
}

/// The host's directory that is bound in place of a file system that can't be mounted.
fn bound_instead(
    fstype: &str,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) -> Option<(&'static str, &'static str)> {
    // Root of the host can make the namespace: there the kernel's refusal says that it is missing.
    if host.confinement.is_none() || !in_user_namespace(host, namespaces) {
        return None;
    }
    let (kind, source) = match fstype {
        "sysfs" => (NamespaceKind::Network, "/sys"),
        "proc" => (NamespaceKind::Pid, "/proc"),
        "mqueue" => (NamespaceKind::Ipc, "/dev/mqueue"),
        _ => return None,
    };
    // A joined one is taken to belong to the user namespace that the process is in: nothing says so before it is tried.
    let owned = namespaces.is_new(kind) || namespaces.joined(kind) && !namespaces.new_user;
    (!owned).then_some((kind.name(), source))
}

/// The step of a file system that can't be mounted in the container's user namespace.
pub(super) fn bind_instead(
    steps: &mut Steps,
    pointer: &str,
    mount: &Mount,
    fstype: &str,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) -> Option<Step> {
    let (kind, source) = bound_instead(fstype, host, namespaces)?;
    let message = format!(
        "{source} of the host is bound instead of a new {fstype}: the {kind} namespace is not the container's own"
    );
    steps.warn(pointer, message);
    let attributes = mount.attributes.set | mount.recursive_attributes.set;
    Some(bind_tree(source, &mount.destination, attributes, fstype == "proc"))
}

/// A directory of the host with all that is mounted in it. Attributes are added only: those that the host's mounts have
/// are locked (mount_namespaces(7)).
pub(super) fn bind_tree(source: &str, target: &str, attributes: u64, in_proc: bool) -> Step {
    Step::Bind {
        source: source.into(),
        target: target.into(),
        recursive: true,
        set: MountAttributes(0),
        clear: MountAttributes(0),
        implied_clear: MountAttributes(0),
        all_set: MountAttributes(attributes),
        all_clear: MountAttributes(0),
        propagation: Propagations::default(),
        slot: 0,
        in_proc,
    }
}

/// Whether a mount option names a group that does not exist in the user namespace: the kernel refuses it (`gid=5` of
/// devpts, which every template has).
pub(super) fn is_unmapped_group(
    option: &MountOption,
    config: &Config,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) -> bool {
    let value = option.value.as_deref().and_then(|value| value.parse::<u32>().ok());
    let (Some(gid), "gid") = (value, &*option.key) else { return false };
    let contains = |first: u32, size: u32| gid.checked_sub(first).is_some_and(|offset| offset < size);
    if namespaces.new_user {
        return !config.linux.gid_mappings.iter().any(|it| contains(it.container_id, it.size));
    }
    let inside = host.confinement.as_ref().filter(|it| it.in_user_namespace && !namespaces.in_user_namespace);
    inside.is_some_and(|confinement| !confinement.gids.iter().any(|it| contains(it.first, it.size)))
}

/// The score that can be had: without CAP_SYS_RESOURCE on the host it can't be lowered (proc_pid_oom_score_adj(5)).
pub(super) fn oom_score_adj(steps: &mut Steps, asked: i32, host: &HostFacts) -> i32 {
    match host.confinement.as_ref().and_then(|confinement| confinement.oom_score_adj) {
        Some(own) if own > asked => {
            let message = format!("{own} instead of {asked}: only root of the host can lower it");
            steps.warn("/process/oomScoreAdj", message);
            own
        }
        _ => asked,
    }
}

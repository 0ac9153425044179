//! Rules over several parts of a configuration.
//!
//! Runs anywhere; pure. Most are about namespaces: what is set in none of the container's own would be set on the host.

use super::below;
use crate::Text;
use crate::config::{Id, IdMapping, Linux, Mount, Namespace, Process, Root};
use crate::report::{Pointer, Report, quote};

const NAMESPACES: &str = "config-linux.md#namespaces";
const MAPPINGS: &str = "config-linux.md#user-namespace-mappings";
const TIME: &str = "config-linux.md#offset-for-time-namespace";

/// The parts that are right, each for itself, or absent.
pub(super) struct Parts<'a> {
    pub(super) root: Option<&'a Root>,
    pub(super) process: Option<&'a Process>,
    pub(super) hostname: Option<&'a Text>,
    pub(super) domainname: Option<&'a Text>,
    pub(super) mounts: Option<&'a [Mount]>,
    pub(super) linux: Option<&'a Linux>,
}

pub(super) fn check_together(parts: &Parts<'_>, report: &mut Report) {
    let Some(linux) = parts.linux else { return };
    let root = Pointer::Root;
    let at = below(&root, "linux");
    check_host(parts, linux, report);
    check_time(linux, &at, report);
    check_user(linux, &at, report);
    check_id_maps(parts.mounts.unwrap_or_default(), linux, report);
    check_names(parts, linux, &at, report);
    if let Some(process) = parts.process {
        check_process_ids(process, linux, report);
    }
}

/// What would be changed on the host without a namespace of its own.
fn check_host(parts: &Parts<'_>, linux: &Linux, report: &mut Report) {
    let root = Pointer::Root;
    let (root_at, linux_at) = (below(&root, "root"), below(&root, "linux"));
    let mut needs = |asked: bool, namespace: &Option<Namespace>, at: Pointer<'_>, kind: &str| {
        if asked && namespace.is_none() {
            let rule =
                format!("needs an entry of type {kind} in /linux/namespaces, or it would change the host");
            report.violate(at, "none", rule, NAMESPACES);
        }
    };
    let (mount, uts) = (&linux.namespaces.mount, &linux.namespaces.uts);
    needs(parts.hostname.is_some(), uts, below(&root, "hostname"), "uts");
    needs(parts.domainname.is_some(), uts, below(&root, "domainname"), "uts");
    needs(parts.root.is_some_and(|root| root.readonly), mount, below(&root_at, "readonly"), "mount");
    needs(!linux.masked_paths.is_empty(), mount, below(&linux_at, "maskedPaths"), "mount");
    needs(!linux.readonly_paths.is_empty(), mount, below(&linux_at, "readonlyPaths"), "mount");
    needs(linux.rootfs_propagation.is_some(), mount, below(&linux_at, "rootfsPropagation"), "mount");
    let network = &linux.namespaces.network;
    needs(!linux.net_devices.is_empty(), network, below(&linux_at, "netDevices"), "network");
    if linux.namespaces.mount.is_none() && parts.mounts.is_some_and(|mounts| !mounts.is_empty()) {
        report.warn(
            below(&root, "mounts"),
            "ignored: there is no entry of type mount in /linux/namespaces, and they would change the host",
        );
    }
}

fn check_time(linux: &Linux, linux_at: &Pointer<'_>, report: &mut Report) {
    if linux.time_offsets.monotonic.is_none() && linux.time_offsets.boottime.is_none() {
        return;
    }
    let at = below(linux_at, "timeOffsets");
    match &linux.namespaces.time {
        None => report.violate(at, "none", "needs an entry of type time in /linux/namespaces", TIME),
        Some(Namespace { path: Some(path), .. }) => {
            report.violate(at, quote(path), "must be absent where the time namespace is joined", TIME);
        }
        Some(_) => {}
    }
}

fn check_user(linux: &Linux, linux_at: &Pointer<'_>, report: &mut Report) {
    for (key, mappings) in [("uidMappings", &linux.uid_mappings), ("gidMappings", &linux.gid_mappings)] {
        let at = below(linux_at, key);
        match (&linux.namespaces.user, mappings.is_empty()) {
            (None, false) => {
                report.violate(at, "none", "needs an entry of type user in /linux/namespaces", MAPPINGS);
            }
            (Some(Namespace { path: None, .. }), true) => {
                report.violate(at, "nothing", "is required by a new user namespace", MAPPINGS);
            }
            (Some(Namespace { path: Some(_), .. }), false) => {
                report
                    .warn(at, "the user namespace is joined: its own mappings count, these must be the same");
            }
            _ => {}
        }
    }
}

/// An id-mapped mount without mappings takes those of the container's user namespace.
fn check_id_maps(mounts: &[Mount], linux: &Linux, report: &mut Report) {
    if linux.namespaces.user.is_some() {
        return;
    }
    let root = Pointer::Root;
    let mounts_at = below(&root, "mounts");
    for (index, mount) in mounts.iter().enumerate() {
        let id_map = mount.id_map.as_ref();
        if id_map.is_some_and(|it| it.uid_mappings.is_empty() && it.gid_mappings.is_empty()) {
            let at = Pointer::Index(&mounts_at, index);
            let rule = "needs uidMappings and gidMappings for idmap in a container without a user namespace";
            report.violate(below(&at, "options"), "none", rule, "config.md#linux-mount-options");
        }
    }
}

/// The same name said twice.
fn check_names(parts: &Parts<'_>, linux: &Linux, linux_at: &Pointer<'_>, report: &mut Report) {
    let sysctl_at = below(linux_at, "sysctl");
    for (key, name) in [("hostname", parts.hostname), ("domainname", parts.domainname)] {
        let path = format!("kernel/{key}");
        let sysctl = linux.sysctl.iter().find(|sysctl| *sysctl.path == path);
        if let (Some(sysctl), Some(name)) = (sysctl, name)
            && sysctl.value != *name
        {
            let at = below(&sysctl_at, &sysctl.key);
            let rule = format!("must be absent, or the same, where /{key} is set");
            report.violate(at, quote(&sysctl.value), rule, "config-linux.md#sysctl");
        }
    }
}

/// The ids of the process have to exist in a user namespace whose mappings are known.
fn check_process_ids(process: &Process, linux: &Linux, report: &mut Report) {
    if !matches!(&linux.namespaces.user, Some(Namespace { path: None, .. })) {
        return;
    }
    let root = Pointer::Root;
    let process_at = below(&root, "process");
    let user = below(&process_at, "user");
    let gids = below(&user, "additionalGids");
    let mut needs = |id: Id, mappings: &[IdMapping], at: Pointer<'_>, key: &str| {
        let id = id.get();
        let maps = |it: &IdMapping| id >= it.container_id && id - it.container_id < it.size;
        if !mappings.is_empty() && !mappings.iter().any(maps) {
            report.violate(at, id, format!("must be mapped by /linux/{key}"), MAPPINGS);
        }
    };
    needs(process.user.uid, &linux.uid_mappings, below(&user, "uid"), "uidMappings");
    needs(process.user.gid, &linux.gid_mappings, below(&user, "gid"), "gidMappings");
    for (index, gid) in process.user.additional_gids.iter().enumerate() {
        needs(*gid, &linux.gid_mappings, Pointer::Index(&gids, index), "gidMappings");
    }
}

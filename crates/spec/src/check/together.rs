//! Rules over several parts of a configuration.
//!
//! Runs anywhere; pure. Most are about namespaces: what is set in none of the container's own would be set on the host.

use super::below;
use crate::config::{Config, Id, IdMapping, Namespace};
use crate::field::Object;
use crate::report::{Pointer, Report};

const NAMESPACES: &str = "config-linux.md#namespaces";
const MAPPINGS: &str = "config-linux.md#user-namespace-mappings";

/// Checks a configuration whose parts are right.
pub(super) fn check_together(document: &Object<'_, '_>, config: &Config, report: &mut Report) {
    let namespaces = &config.linux.namespaces;
    let root = Pointer::Root;
    let linux = below(&root, "linux");
    let mut needs = |asked: bool, has: bool, at: Pointer<'_>, kind: &str| {
        if asked && !has {
            let rule = format!("must be absent without an entry of type {kind} in /linux/namespaces");
            report.violate(at, "it, which would change the host", rule, NAMESPACES);
        }
    };
    let (mount, uts) = (namespaces.mount.is_some(), namespaces.uts.is_some());
    needs(config.hostname.is_some(), uts, below(&root, "hostname"), "uts");
    needs(config.domainname.is_some(), uts, below(&root, "domainname"), "uts");
    needs(!config.mounts.is_empty(), mount, below(&root, "mounts"), "mount");
    needs(config.root.readonly, mount, below(&below(&root, "root"), "readonly"), "mount");
    needs(!config.linux.masked_paths.is_empty(), mount, below(&linux, "maskedPaths"), "mount");
    needs(!config.linux.readonly_paths.is_empty(), mount, below(&linux, "readonlyPaths"), "mount");
    needs(config.linux.rootfs_propagation.is_some(), mount, below(&linux, "rootfsPropagation"), "mount");
    needs(
        !config.linux.net_devices.is_empty(),
        namespaces.network.is_some(),
        below(&linux, "netDevices"),
        "network",
    );
    check_time(config, &linux, report);
    check_user(config, &linux, report);
    check_id_maps(config, report);
    for (key, hostname) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        let path = format!("kernel/{key}");
        if let Some(sysctl) = config.linux.sysctl.iter().find(|sysctl| *sysctl.path == path)
            && hostname.is_some()
        {
            let at = below(&linux, "sysctl");
            let rule = format!("must be absent where /{key} is set");
            report.violate(below(&at, &sysctl.key), "it too", rule, "config-linux.md#sysctl");
        }
    }
    if config.process.is_some() && document.field("process").is_present() {
        check_process_ids(config, report);
    }
}

fn check_time(config: &Config, linux: &Pointer<'_>, report: &mut Report) {
    const CLAUSE: &str = "config-linux.md#offset-for-time-namespace";
    let offsets = config.linux.time_offsets;
    if offsets.monotonic.is_none() && offsets.boottime.is_none() {
        return;
    }
    let at = below(linux, "timeOffsets");
    match &config.linux.namespaces.time {
        None => report.violate(
            at,
            "it",
            "must be absent without an entry of type time in /linux/namespaces",
            CLAUSE,
        ),
        Some(Namespace { path: Some(path), .. }) => {
            report.violate(
                at,
                format!("it, and {path}"),
                "must be absent where the time namespace is joined",
                CLAUSE,
            );
        }
        Some(_) => {}
    }
}

fn check_user(config: &Config, linux: &Pointer<'_>, report: &mut Report) {
    let (uids, gids) = (&config.linux.uid_mappings, &config.linux.gid_mappings);
    for (key, mappings) in [("uidMappings", uids), ("gidMappings", gids)] {
        let at = below(linux, key);
        match (&config.linux.namespaces.user, mappings.is_empty()) {
            (None, false) => {
                let rule = "must be absent without an entry of type user in /linux/namespaces";
                report.violate(at, "it", rule, MAPPINGS);
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
fn check_id_maps(config: &Config, report: &mut Report) {
    if config.linux.namespaces.user.is_some() {
        return;
    }
    let root = Pointer::Root;
    let mounts = below(&root, "mounts");
    for (index, mount) in config.mounts.iter().enumerate() {
        if mount.id_map.as_ref().is_some_and(|id_map| id_map.uid_mappings.is_empty()) {
            let at = Pointer::Index(&mounts, index);
            let rule =
                "must have uidMappings and gidMappings for idmap in a container without a user namespace";
            report.violate(below(&at, "options"), "neither", rule, "config.md#linux-mount-options");
        }
    }
}

/// The ids of the process have to exist in a user namespace whose mappings are known.
fn check_process_ids(config: &Config, report: &mut Report) {
    if !matches!(&config.linux.namespaces.user, Some(Namespace { path: None, .. })) {
        return;
    }
    let Some(process) = &config.process else { return };
    let root = Pointer::Root;
    let process_at = below(&root, "process");
    let user = below(&process_at, "user");
    let gids = below(&user, "additionalGids");
    let mut needs = |id: Id, mappings: &[IdMapping], at: Pointer<'_>, key: &str| {
        let id = id.get();
        if !mappings.is_empty()
            && !mappings.iter().any(|it| id >= it.container_id && id - it.container_id < it.size)
        {
            report.violate(at, id, format!("must be mapped by /linux/{key}"), MAPPINGS);
        }
    };
    needs(process.user.uid, &config.linux.uid_mappings, below(&user, "uid"), "uidMappings");
    needs(process.user.gid, &config.linux.gid_mappings, below(&user, "gid"), "gidMappings");
    for (index, gid) in process.user.additional_gids.iter().enumerate() {
        needs(*gid, &config.linux.gid_mappings, Pointer::Index(&gids, index), "gidMappings");
    }
}

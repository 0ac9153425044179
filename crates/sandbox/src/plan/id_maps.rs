//! The id maps of a new user namespace: what they say, who writes them, and what follows from them.
//!
//! Pure.

use spec::Config;
use spec::config::IdMapping;

use crate::confinement::{Confinement, has};
use crate::host::HostFacts;

/// `uid_map` and `gid_map`, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// Lines of `container host size`.
    pub uid: String,
    /// Likewise.
    pub gid: String,
    /// Who writes the first.
    pub uid_writer: MapWriter,
    /// Who writes the other.
    pub gid_writer: MapWriter,
}

/// Who writes a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// The runtime, which has the right to.
    Runtime,
    /// The runtime, which maps its own id and nothing else; for groups `setgroups(2)` is given up before.
    OwnId,
    /// `newuidmap(1)`, `newgidmap(1)`.
    Helper,
}

/// Who writes a new user namespace's maps: whoever has the right to (user_namespaces(7), "Defining user and group ID
/// mappings").
pub(super) fn plan_id_maps(config: &Config, host: &HostFacts) -> IdMaps {
    let (uids, gids) = (&config.linux.uid_mappings, &config.linux.gid_mappings);
    let writer = |mappings: &[IdMapping], own: fn(&Confinement) -> u32, capability| match &host.confinement {
        Some(confinement) if !has(host.bounding, capability) => {
            let only_own = matches!(mappings, [one] if one.size == 1 && one.host_id == own(confinement));
            if only_own { MapWriter::OwnId } else { MapWriter::Helper }
        }
        _ => MapWriter::Runtime,
    };
    IdMaps {
        uid: id_map(uids),
        gid: id_map(gids),
        uid_writer: writer(uids, |confinement| confinement.uid, "CAP_SETUID"),
        gid_writer: writer(gids, |confinement| confinement.gid, "CAP_SETGID"),
    }
}

pub(super) fn id_map(mappings: &[IdMapping]) -> String {
    mappings.iter().map(|line| format!("{} {} {}\n", line.container_id, line.host_id, line.size)).collect()
}

pub(super) fn maps_root(mappings: &[IdMapping]) -> bool {
    mappings.iter().any(|mapping| mapping.container_id == 0)
}

/// Whether init becomes root of its user namespace. An ordinary user may map the own id to another than root's, and
/// stays that one.
pub(super) fn becomes_root(config: &Config, host: &HostFacts) -> bool {
    let maps_root = maps_root(&config.linux.uid_mappings) && maps_root(&config.linux.gid_mappings);
    host.confinement.is_none() || !has_own_maps(config) || maps_root
}

/// Whether the user namespace is made for the container. Asked of the config: a process that joins has it from there too.
pub(super) fn has_own_maps(config: &Config) -> bool {
    config.linux.namespaces.user.as_ref().is_some_and(|namespace| namespace.path.is_none())
}

/// Whether the user namespace is there already.
pub(super) fn joins_user_namespace(config: &Config) -> bool {
    config.linux.namespaces.user.as_ref().is_some_and(|namespace| namespace.path.is_some())
}

/// Whether the kernel is known to deny `setgroups(2)` to the process, for good: a namespace that is made below another has
/// that from it, and only those can be joined. What a joined one adds nothing tells before it is tried.
pub(super) fn is_setgroups_denied(config: &Config, host: &HostFacts) -> bool {
    let inherited = host.confinement.as_ref().is_some_and(|confinement| confinement.setgroups_denied);
    inherited || has_own_maps(config) && plan_id_maps(config, host).gid_writer == MapWriter::OwnId
}

//! Id-mapped mounts: `idmap`, `ridmap`, `uidMappings`, `gidMappings` of a mount.
//!
//! Pure. Only who owns a file system may map the ids of its mounts, which init, in a user namespace of its own, doesn't:
//! the runtime clones and maps them before init exists, and init inherits them (mount_setattr(2), "ID-mapped mounts").

use std::path::PathBuf;

use init::wire::Descriptor;
use spec::Config;
use spec::config::{Mount, MountKind, NamespaceKind};

use super::namespaces::NamespacePlan;
use super::{IdMaps, MapWriter, PlanError, PlanRequest, confined, rootfs};

/// A mount that is cloned and mapped by the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedTree {
    /// Index in `/mounts`.
    pub index: usize,
    /// The host's path, absolute.
    pub source: PathBuf,
    /// The mounts below are cloned too.
    pub recursive: bool,
    /// The mounts below are mapped too.
    pub map_recursive: bool,
    /// How ids are mapped.
    pub ids: TreeIds,
}

/// Whose ids a mapped mount has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeIds {
    /// Of a user namespace with these maps.
    Maps(IdMaps),
    /// Of the user namespace that the container joins: its place in [`super::Plan::joins`].
    Joined(usize),
}

/// The trees, in the order of their mounts.
pub(super) fn plan_trees(
    config: &Config,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
) -> Result<Vec<MappedTree>, PlanError> {
    if !namespaces.own_mounts {
        return Ok(Vec::new());
    }
    mapped(config).map(|(index, mount)| plan_tree(config, request, namespaces, index, mount)).collect()
}

fn plan_tree(
    config: &Config,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
    index: usize,
    mount: &Mount,
) -> Result<MappedTree, PlanError> {
    let refuse = |message: &str| {
        Err(PlanError { pointer: format!("/mounts/{index}").into(), message: message.to_owned() })
    };
    let MountKind::Bind { source, recursive } = &mount.kind else {
        return refuse(
            "only bind mounts can be id-mapped: a new file system belongs to its user namespace already",
        );
    };
    let Some(map) = &mount.id_map else { return refuse("it has no mapping") };
    let maps = |uids, gids| IdMaps {
        uid: confined::id_map(uids),
        gid: confined::id_map(gids),
        uid_writer: MapWriter::Runtime,
        gid_writer: MapWriter::Runtime,
    };
    let joined = namespaces.joins.iter().position(|join| join.kind == NamespaceKind::User);
    let ids = match joined {
        _ if !map.uid_mappings.is_empty() => TreeIds::Maps(maps(&map.uid_mappings, &map.gid_mappings)),
        Some(join) => TreeIds::Joined(join),
        None if namespaces.new_user => {
            TreeIds::Maps(maps(&config.linux.uid_mappings, &config.linux.gid_mappings))
        }
        None => {
            return refuse(
                "idmap without uidMappings and gidMappings needs a user namespace, whose maps it takes",
            );
        }
    };
    Ok(MappedTree {
        index,
        source: rootfs::absolute(&request.bundle, source),
        recursive: *recursive,
        map_recursive: map.recursive,
        ids,
    })
}

/// The tree of the mount at an index, where it has one.
pub(super) fn tree_of(config: &Config, index: usize) -> Option<Descriptor> {
    mapped(config).position(|(other, _)| other == index).map(|position| Descriptor::Tree(position as u16))
}

fn mapped(config: &Config) -> impl Iterator<Item = (usize, &Mount)> {
    config.mounts.iter().enumerate().filter(|(_, mount)| mount.id_map.is_some())
}

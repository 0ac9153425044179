//! Id-mapped mounts: `idmap`, `ridmap`, `uidMappings`, `gidMappings` of a mount.
//!
//! Pure. Only who owns a file system may map the ids of its mounts, which init, in a user namespace of its own, doesn't:
//! the runtime clones and maps them before init exists, and init inherits them (mount_setattr(2), "ID-mapped mounts"). A
//! source in the root may be a mount that is made there before: init clones it when its turn comes, and offers it to the
//! runtime, which maps it meanwhile.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use spec::Config;
use spec::config::{IdMapping, Mount, MountKind, NamespaceKind};

use super::id_maps::{IdMaps, MapWriter, id_map};
use super::namespace_plan::NamespacePlan;
use super::paths::{absolute, inside};
use super::{PlanError, PlanRequest};

/// A mount that is cloned and mapped by the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedTree {
    /// JSON pointer of the mount.
    pub pointer: Cow<'static, str>,
    /// The host's path, absolute.
    pub source: PathBuf,
    /// It lies in the root: init clones it when its turn comes, and the runtime maps it then.
    pub inside: bool,
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
    rootfs: &Path,
) -> Result<Vec<MappedTree>, PlanError> {
    if !namespaces.own_mounts {
        return Ok(Vec::new());
    }
    let joined = namespaces.joins.iter().position(|join| join.kind == NamespaceKind::User);
    let container = match joined {
        Some(join) => Some(TreeIds::Joined(join)),
        None if namespaces.new_user => {
            Some(TreeIds::Maps(maps(&config.linux.uid_mappings, &config.linux.gid_mappings)))
        }
        None => None,
    };
    let plan = |(index, mount): (usize, &Mount)| {
        let mut tree = plan_tree(&request.bundle, container.clone(), format!("/mounts/{index}"), mount)?;
        if let MountKind::Bind { source, .. } = &mount.kind {
            tree.inside = inside(&request.bundle, rootfs, source).is_some();
        }
        Ok(tree)
    };
    mapped(config).map(plan).collect()
}

/// The tree of a mount for a running container, whose user namespace is the only one that is joined.
pub(super) fn plan_live_tree(
    bundle: &Path,
    in_user_namespace: bool,
    pointer: &str,
    mount: &Mount,
) -> Result<MappedTree, PlanError> {
    plan_tree(bundle, in_user_namespace.then_some(TreeIds::Joined(0)), pointer.to_owned(), mount)
}

fn maps(uids: &[IdMapping], gids: &[IdMapping]) -> IdMaps {
    IdMaps {
        uid: id_map(uids),
        gid: id_map(gids),
        uid_writer: MapWriter::Runtime,
        gid_writer: MapWriter::Runtime,
    }
}

/// `container` is whose ids a mount without maps of its own has.
fn plan_tree(
    bundle: &Path,
    container: Option<TreeIds>,
    pointer: String,
    mount: &Mount,
) -> Result<MappedTree, PlanError> {
    let refuse =
        |message: &str| Err(PlanError { pointer: pointer.clone().into(), message: message.to_owned() });
    let MountKind::Bind { source, recursive } = &mount.kind else {
        return refuse(
            "only bind mounts can be id-mapped: a new file system belongs to its user namespace already",
        );
    };
    let Some(map) = &mount.id_map else { return refuse("it has no mapping") };
    let ids = match container {
        _ if !map.uid_mappings.is_empty() => TreeIds::Maps(maps(&map.uid_mappings, &map.gid_mappings)),
        Some(ids) => ids,
        None => {
            return refuse(
                "idmap without uidMappings and gidMappings needs a user namespace, whose maps it takes",
            );
        }
    };
    Ok(MappedTree {
        source: absolute(bundle, source),
        inside: false,
        recursive: *recursive,
        map_recursive: map.recursive,
        ids,
        pointer: pointer.into(),
    })
}

/// Which of the trees is that of the mount at an index, where it has one.
pub(super) fn tree_of(config: &Config, index: usize) -> Option<u16> {
    mapped(config).position(|(other, _)| other == index).map(|position| position as u16)
}

fn mapped(config: &Config) -> impl Iterator<Item = (usize, &Mount)> {
    config.mounts.iter().enumerate().filter(|(_, mount)| mount.id_map.is_some())
}

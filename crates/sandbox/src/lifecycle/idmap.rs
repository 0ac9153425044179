//! Id-mapped mounts, made before init exists: the host's path is cloned and mapped to a user namespace, init inherits it.
//! Those of paths in the root are cloned by init, and mapped here when it offers them.
//!
//! Runs in the runtime. A mapping is always that of a user namespace (mount_setattr(2)): where the config gives the maps,
//! a process holds one for as long as it takes to open it. Mounts with the same maps have one.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use init::Step;
use init::sys::flag;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::id_maps::write_id_maps;
use super::undo::Unfinished;
use crate::error::{Error, Result};
use crate::launch::{Inheritance, Launch, Message};
use crate::plan::{IdMaps, MappedTree, PlannedStep, TreeIds};

/// How long the process that holds a namespace may take to be there.
const DEADLINE: Duration = Duration::from_secs(10);

/// The mounts of host paths, each with its place in the order given. `joined` are the namespaces that the container joins.
///
/// # Errors
/// [`Error::Tree`]
pub(super) fn open_trees(planned: &[MappedTree], joined: &[OwnedFd]) -> Result<Vec<(u16, OwnedFd)>> {
    let mut made: Vec<(&IdMaps, OwnedFd)> = Vec::new();
    let mut trees = Vec::with_capacity(planned.len());
    for (index, tree) in planned.iter().enumerate().filter(|(_, tree)| !tree.inside) {
        let mount = clone_source(tree)?;
        let namespace = match &tree.ids {
            TreeIds::Joined(index) => joined.get(*index).ok_or(Error::NotFound)?.as_fd(),
            TreeIds::Maps(maps) => {
                let known = made.iter().position(|(other, _)| *other == maps);
                let known = match known {
                    Some(known) => known,
                    None => {
                        made.push((maps, make_namespace(tree, maps)?));
                        made.len() - 1
                    }
                };
                made[known].1.as_fd()
            }
        };
        map_ids(tree, mount.as_fd(), namespace)?;
        trees.push((index as u16, mount));
    }
    Ok(trees)
}

/// Maps a mount that init has cloned inside the root. `join` opens a namespace that the container joins.
///
/// # Errors
/// [`Error::Tree`]
pub(super) fn map_offered(
    tree: &MappedTree,
    mount: BorrowedFd<'_>,
    join: impl FnOnce(usize) -> Result<OwnedFd>,
) -> Result<()> {
    let namespace = match &tree.ids {
        TreeIds::Joined(index) => join(*index)?,
        TreeIds::Maps(maps) => make_namespace(tree, maps)?,
    };
    map_ids(tree, mount, namespace.as_fd())
}

fn error(tree: &MappedTree, action: &'static str, source: std::io::Error) -> Error {
    Error::Tree { pointer: tree.pointer.clone(), path: tree.source.clone(), action, source }
}

/// `open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC[ | AT_RECURSIVE])`
fn clone_source(tree: &MappedTree) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if tree.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, &tree.source, flags).map_err(|errno| error(tree, "open_tree", errno.into()))
}

fn map_ids(tree: &MappedTree, mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<()> {
    init::sys::map_ids(mount.as_raw_fd(), tree.map_recursive, namespace.as_raw_fd()).map_err(|failure| {
        error(
            tree,
            "mount_setattr(MOUNT_ATTR_IDMAP)",
            std::io::Error::from_raw_os_error(failure.errno as i32),
        )
    })
}

/// A user namespace with these maps, held by its descriptor alone.
fn make_namespace(tree: &MappedTree, maps: &IdMaps) -> Result<OwnedFd> {
    let steps = [PlannedStep { pointer: tree.pointer.clone(), step: Step::AwaitIdMaps {} }];
    let launch = Launch {
        namespaces: flag::CLONE_NEWUSER,
        cgroup: None,
        first_own_fd: 3,
        inheritance: Inheritance::default(),
    };
    let launched = launch.spawn(&steps)?;
    let process = Unfinished { pid: launched.pid, pidfd: launched.pidfd };
    let namespace = launched
        .conversation
        .receive(Some(Instant::now() + DEADLINE))
        .map_err(|source| error(tree, "make a user namespace", source))
        .and_then(|message| match message {
            Message::Waiting(_) => open_namespace(tree, maps, process.pid),
            _ => Err(Error::InitEnded {
                how: "while it held a user namespace for an id-mapped mount".to_owned(),
            }),
        });
    process.kill();
    process.wait();
    namespace
}

fn open_namespace(tree: &MappedTree, maps: &IdMaps, pid: i32) -> Result<OwnedFd> {
    write_id_maps(maps, pid).map_err(|failure| match failure {
        Error::IdMap { action, reason, .. } => {
            error(tree, "write the maps", std::io::Error::other(format!("{action}: {reason}")))
        }
        other => other,
    })?;
    let path = format!("/proc/{pid}/ns/user");
    File::open(path).map(Into::into).map_err(|source| error(tree, "open the user namespace", source))
}

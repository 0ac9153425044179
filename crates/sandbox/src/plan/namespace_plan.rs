//! What other planners need to know of the namespaces.
//!
//! Pure.

use init::sys::flag;
use spec::config::NamespaceKind;

use super::id_maps::IdMaps;

/// A namespace that is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its kind, which the file must have.
    pub kind: NamespaceKind,
    /// Its file on the host.
    pub path: String,
    /// Where it stands in `/linux/namespaces`.
    pub index: usize,
}

/// What the other planners need to know of the namespaces.
#[derive(Debug, Default)]
pub(super) struct NamespacePlan {
    pub(super) clone_flags: u64,
    pub(super) joins: Vec<Join>,
    pub(super) id_maps: Option<IdMaps>,
    /// In a user namespace of its own: no device nodes; host paths are opened before the identity changes.
    pub(super) in_user_namespace: bool,
    pub(super) new_user: bool,
    pub(super) new_network: bool,
    /// The runtime makes the network namespace while init is at work.
    pub(super) network_beside: bool,
    pub(super) new_pid: bool,
    /// All the new ones, those too that init makes.
    pub(super) new: Vec<NamespaceKind>,
    pub(super) cgroup_namespace: bool,
    /// A mount namespace of its own, new or joined: mounts may be made.
    pub(super) own_mounts: bool,
    pub(super) new_mount: bool,
}

impl NamespacePlan {
    /// Whether a namespace of this kind is made for the container.
    pub(super) fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether the container joins one of this kind.
    pub(super) fn joined(&self, kind: NamespaceKind) -> bool {
        self.joins.iter().any(|join| join.kind == kind)
    }
}

/// The flag of a kind.
pub(crate) const fn clone_flag(kind: NamespaceKind) -> u64 {
    match kind {
        NamespaceKind::User => flag::CLONE_NEWUSER,
        NamespaceKind::Pid => flag::CLONE_NEWPID,
        NamespaceKind::Network => flag::CLONE_NEWNET,
        NamespaceKind::Ipc => flag::CLONE_NEWIPC,
        NamespaceKind::Uts => flag::CLONE_NEWUTS,
        NamespaceKind::Cgroup => flag::CLONE_NEWCGROUP,
        NamespaceKind::Time => flag::CLONE_NEWTIME,
        NamespaceKind::Mount => flag::CLONE_NEWNS,
    }
}

//! The verbs of a container's life.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{ContainerId, CreateRequest, Outcome, Result};

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

/// What is known of a container, as of the moment of asking.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Where it is in its life.
    pub status: Status,
    /// Process id of init in the runtime's pid namespace; 0 when stopped.
    pub pid: i32,
    /// Bundle, absolute.
    pub bundle: PathBuf,
    /// Root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created.
    pub created: SystemTime,
    /// Effective uid of whoever created it.
    pub owner_uid: u32,
    /// The config's annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// The config's `ociVersion`.
    pub oci_version: String,
}

/// Whether `delete` may kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Only a stopped container.
    Stopped,
    /// Kill first; a container that does not exist is a success.
    Force,
}

/// Whom `kill` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KillScope {
    Init,
    All,
}

/// A started container's init, held by pidfd.
#[derive(Debug)]
pub struct Running {
    /// The container.
    pub container: Container,
    /// Becomes readable when init ends.
    pub pidfd: OwnedFd,
}

/// The containers below one state root.
#[derive(Debug)]
pub struct Runtime {}

#[allow(unused_variables, clippy::todo)]
impl Runtime {
    /// Opens (makes, 0700, where it is missing) the directory of the containers' state.
    ///
    /// # Errors
    /// Where it is not owned by the effective user, or open to others.
    pub fn open(root: &Path) -> Result<Self> {
        todo!()
    }

    /// Everything but the start of the process.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn create(&self, request: &CreateRequest) -> Result<Outcome<Container>> {
        todo!()
    }

    /// Starts the process of a created container.
    ///
    /// # Errors
    /// The container is not created, or its command can't be executed.
    pub fn start(&self, id: &ContainerId) -> Result<Outcome<()>> {
        todo!()
    }

    /// `create` and `start` as one. The caller is the parent of init: it can wait for it with waitid on the pidfd.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn run(&self, request: &CreateRequest) -> Result<Outcome<Running>> {
        todo!()
    }

    /// What is known of a container.
    ///
    /// # Errors
    /// It does not exist, or its state can't be read.
    pub fn state(&self, id: &ContainerId) -> Result<Container> {
        todo!()
    }

    /// All containers, by id; for each whose state can't be read the error.
    ///
    /// # Errors
    /// The state root can't be read.
    pub fn list(&self) -> Result<Vec<(String, Result<Container>)>> {
        todo!()
    }

    /// Sends a signal by number.
    ///
    /// # Errors
    /// The container is neither created nor running (nor paused).
    pub fn kill(&self, id: &ContainerId, signal: i32, scope: KillScope) -> Result<()> {
        todo!()
    }

    /// Removes a container: cgroup, state, and with [`Deletion::Force`] its processes.
    ///
    /// # Errors
    /// It is not stopped, or something of it can't be removed.
    pub fn delete(&self, id: &ContainerId, deletion: Deletion) -> Result<Outcome<()>> {
        todo!()
    }

    /// The processes in the container's cgroup, by pid in the runtime's namespace.
    ///
    /// # Errors
    /// It does not exist.
    pub fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        todo!()
    }
}

//! What the caller asks for: the options of `checkpoint` and `restore`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::{ContainerId, CreateRequest};

/// How CRIU treats cgroups (`--manage-cgroups-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManageCgroups {
    /// CRIU's own choice, which is soft.
    #[default]
    Default,
    /// Properties are restored only for cgroups that CRIU makes.
    Soft,
    /// All are restored.
    Full,
    /// Cgroups that exist already are an error.
    Strict,
    /// Not at all.
    Ignore,
}

/// How connections are kept from the outside meanwhile (`--network-lock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkLock {
    /// With iptables.
    Iptables,
    /// With nftables.
    Nftables,
    /// Not at all.
    Skip,
}

/// What both have.
#[derive(Clone, Debug, Default)]
pub struct CriuOptions {
    /// The executable: a path, or a name to be found in `PATH`; `criu` where absent.
    pub program: Option<PathBuf>,
    /// Directory of the images.
    pub image_path: PathBuf,
    /// Directory of logs and work files; that of the images where absent.
    pub work_path: Option<PathBuf>,
    /// Established TCP connections are kept.
    pub tcp_established: bool,
    /// Established TCP connections are closed.
    pub tcp_close: bool,
    /// TCP connections that are being made are skipped.
    pub tcp_skip_in_flight: bool,
    /// Unlinked files are linked again where possible.
    pub link_remap: bool,
    /// Unix sockets may be connected outside the container.
    pub ext_unix_sk: bool,
    /// The session may be the caller's.
    pub shell_job: bool,
    /// File locks are kept.
    pub file_locks: bool,
    /// How cgroups are treated.
    pub manage_cgroups: ManageCgroups,
    /// Memory that later images hold too is punched out of earlier ones.
    pub auto_dedup: bool,
    /// Memory is fetched when it is used.
    pub lazy_pages: bool,
    /// How the network is locked.
    pub network_lock: Option<NetworkLock>,
}

/// What becomes of the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterCheckpoint {
    /// It ends, and is deleted.
    #[default]
    End,
    /// It goes on.
    GoOn,
}

/// How much is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All.
    #[default]
    Whole,
    /// The memory alone, as the parent of a later image; the container goes on.
    PreDump,
}

/// A container to save.
#[derive(Debug)]
pub struct CheckpointRequest {
    /// Which.
    pub id: ContainerId,
    /// How.
    pub criu: CriuOptions,
    /// The images on which these build, relative to `image_path`.
    pub parent_path: Option<PathBuf>,
    /// What becomes of it.
    pub after: AfterCheckpoint,
    /// How much.
    pub extent: Extent,
    /// Where the memory goes, or with lazy pages where it can be fetched: address and port.
    pub page_server: Option<(String, u16)>,
    /// Gets a zero byte, and is closed, when memory can be fetched.
    pub status_fd: Option<OwnedFd>,
}

/// A container to restore.
#[derive(Debug)]
pub struct RestoreRequest {
    /// As for `create`.
    pub create: CreateRequest,
    /// How.
    pub criu: CriuOptions,
    /// `TYPE:NAME` of another LSM profile.
    pub lsm_profile: Option<String>,
    /// Another SELinux context for the mounts.
    pub lsm_mount_context: Option<String>,
}

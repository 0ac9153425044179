//! `checkpoint` and `restore`.
//!
//! Callers probe them: `checkpoint --help` must succeed, `restore --lsm-mount-context` must miss its value.

use std::path::PathBuf;

/// What `checkpoint` and `restore` have in common.
#[derive(Clone, Debug, clap::Args)]
#[command(about = None, long_about = None)]
pub(crate) struct Criu {
    /// Directory of the image files [default: ./checkpoint]
    #[arg(long, value_name = "DIR")]
    pub(crate) image_path: Option<PathBuf>,
    /// Directory of work files and logs [default: that of the image files]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_path: Option<PathBuf>,
    /// Allow established TCP connections
    #[arg(long)]
    pub(crate) tcp_established: bool,
    /// Close established TCP connections
    #[arg(long)]
    pub(crate) tcp_close: bool,
    /// Skip TCP connections that are being made
    #[arg(long)]
    pub(crate) tcp_skip_in_flight: bool,
    /// Link files again that were unlinked and are open, where possible
    #[arg(long)]
    pub(crate) link_remap: bool,
    /// Allow unix sockets connected outside the container
    #[arg(long)]
    pub(crate) ext_unix_sk: bool,
    /// Allow a terminal that belongs to the caller
    #[arg(long)]
    pub(crate) shell_job: bool,
    /// Allow file locks
    #[arg(long)]
    pub(crate) file_locks: bool,
    /// How cgroups are treated: soft, full, strict or ignore
    #[arg(long, value_name = "MODE")]
    pub(crate) manage_cgroups_mode: Option<String>,
    /// Accepted: network; the network namespace is always restored without its devices
    #[arg(long, value_name = "KIND")]
    pub(crate) empty_ns: Vec<String>,
    /// Store identical pages once
    #[arg(long)]
    pub(crate) auto_dedup: bool,
    /// Fetch pages when they are needed
    #[arg(long)]
    pub(crate) lazy_pages: bool,
    /// How the network is locked: iptables, nftables or skip
    #[arg(long, value_name = "METHOD")]
    pub(crate) network_lock: Option<String>,
}

/// Save a running container to disk
///
/// CRIU writes the state of all its processes to image files, from which `restore` goes on. The container ends and is
/// deleted then, unless it is to be left running.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    pub(crate) criu: Criu,
    /// Directory of the previous images, relative to that of these: only what changed since is saved
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_path: Option<PathBuf>,
    /// Leave the container running
    #[arg(long)]
    pub(crate) leave_running: bool,
    /// Address and port of the page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) page_server: Option<String>,
    /// Only save the memory, and leave the container running
    #[arg(long)]
    pub(crate) pre_dump: bool,
    /// Descriptor on which readiness of the lazy server is reported
    #[arg(long, value_name = "FD")]
    pub(crate) status_fd: Option<i32>,
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

/// Restore a container from disk
///
/// The container is made of its bundle again, and CRIU fills it with the processes of the image files, which go on
/// where they were. Without --detach it stays in the foreground, as with `run`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) criu: Criu,
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,
    /// Return as soon as the container runs
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// File to which the process id is written
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Unix socket to which the descriptor of the terminal's master is sent
    #[arg(long, value_name = "PATH")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Don't adopt and reap orphaned processes of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
    /// Accepted: CRIU switches the root
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// LSM profile to restore with
    #[arg(long, value_name = "TYPE:NAME")]
    pub(crate) lsm_profile: Option<String>,
    /// LSM context of the mounts
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) lsm_mount_context: Option<String>,
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

//! Commands whose flags are read and whose work is still to come.
//!
//! Callers probe some of them: `checkpoint --help` must succeed, `restore --lsm-mount-context` must miss its value.

#![allow(dead_code, reason = "checked, and not used yet")]

use std::ffi::OsString;
use std::path::PathBuf;

/// Execute a command in a running container (not supported yet)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Exec {
    /// Unix socket to which the descriptor of the terminal's master is sent
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// Unix socket to which a pidfd of the process is sent
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Environment variable; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<OsString>,
    /// Give the process a terminal
    #[arg(long, short)]
    tty: bool,
    /// User, and group
    #[arg(long, short, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Additional group; may be repeated
    #[arg(long, short = 'g', value_name = "GID")]
    additional_gids: Vec<u32>,
    /// File with the process section to use
    #[arg(long, short, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Return as soon as the process runs
    #[arg(long, short)]
    detach: bool,
    /// File to which the process id is written
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Set no_new_privs
    #[arg(long)]
    no_new_privs: bool,
    /// Capability to add; may be repeated
    #[arg(long, short, value_name = "NAME")]
    cap: Vec<String>,
    /// How many descriptors after stdin, stdout and stderr stay open
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Sub-cgroup to run in
    #[arg(long, value_name = "[CONTROLLER,…:]PATH")]
    cgroup: Vec<String>,
    /// Execute in a paused container too
    #[arg(long)]
    ignore_paused: bool,
    /// Container
    #[arg(value_name = "ID", required = true)]
    id: String,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What `checkpoint` and `restore` have in common.
#[derive(Clone, Debug, clap::Args)]
#[command(about = None, long_about = None)]
pub(crate) struct Criu {
    /// Directory of the image files
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Directory of work files and logs
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Allow established TCP connections
    #[arg(long)]
    tcp_established: bool,
    /// Close established TCP connections
    #[arg(long)]
    tcp_close: bool,
    /// Allow unix sockets connected outside the container
    #[arg(long)]
    ext_unix_sk: bool,
    /// Allow a terminal that belongs to the caller
    #[arg(long)]
    shell_job: bool,
    /// Allow file locks
    #[arg(long)]
    file_locks: bool,
    /// How cgroups are treated: soft, full, strict or ignore
    #[arg(long, value_name = "MODE")]
    manage_cgroups_mode: Option<String>,
    /// Kinds of namespaces that are made anew, empty
    #[arg(long, value_name = "KINDS")]
    empty_ns: Vec<String>,
    /// Store identical pages once
    #[arg(long)]
    auto_dedup: bool,
    /// Fetch pages when they are needed
    #[arg(long)]
    lazy_pages: bool,
    /// How the network is locked: iptables, nftables or skip
    #[arg(long, value_name = "METHOD")]
    network_lock: Option<String>,
}

/// Save a running container to disk (not supported yet)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    criu: Criu,
    /// Directory of the previous image, for an incremental one
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,
    /// Leave the container running
    #[arg(long)]
    leave_running: bool,
    /// Address and port of the page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// Only save the memory, and leave the container running
    #[arg(long)]
    pre_dump: bool,
    /// Descriptor on which readiness of the lazy server is reported
    #[arg(long, value_name = "FD")]
    status_fd: Option<i32>,
    /// Container
    #[arg(value_name = "ID", required = true)]
    id: String,
}

/// Restore a container from disk (not supported yet)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    criu: Criu,
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Return as soon as the container runs
    #[arg(long, short)]
    detach: bool,
    /// File to which the process id is written
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Unix socket to which the descriptor of the terminal's master is sent
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// Don't adopt and reap orphaned processes of the container
    #[arg(long)]
    no_subreaper: bool,
    /// Move the root mount and chroot instead of pivot_root
    #[arg(long)]
    no_pivot: bool,
    /// LSM profile to restore with
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// LSM context of the mounts
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// Container
    #[arg(value_name = "ID", required = true)]
    id: String,
}

/// Add mounts to a running container or remove them (not supported yet)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Mounts {
    /// add or remove
    #[arg(value_name = "ACTION", required = true)]
    action: String,
    /// Container
    #[arg(value_name = "ID", required = true)]
    id: String,
    /// File with the mounts as JSON
    #[arg(value_name = "FILE", required = true)]
    file: PathBuf,
}

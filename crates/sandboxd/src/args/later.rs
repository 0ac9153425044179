//! Commands whose flags are read and whose work is still to come.

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

//! `exec`.

use std::ffi::OsString;
use std::path::PathBuf;

/// Execute a command in a container
///
/// The command runs in the container's namespaces and cgroup, as its own process would: with the same user, environment,
/// working directory, rights and seccomp filter, but for what the flags change, or as --process says. In the foreground
/// signals are forwarded to it and its exit status becomes the command's (128 + n where signal n ended it, 255 where it
/// could not be executed). What follows ID belongs to the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Exec {
    /// Unix socket to which the descriptor of the terminal's master is sent
    #[arg(long, value_name = "PATH")]
    pub(crate) console_socket: Option<PathBuf>,

    /// Unix socket to which a pidfd of the process is sent
    #[arg(long, value_name = "PATH")]
    pub(crate) pidfd_socket: Option<PathBuf>,

    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,

    /// Environment variable to add; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// Give the process a terminal
    #[arg(long, short)]
    pub(crate) tty: bool,

    /// User, and group, as numbers
    #[arg(long, short, value_name = "UID[:GID]")]
    pub(crate) user: Option<String>,

    /// Additional group, as a number; may be repeated
    #[arg(long, short = 'g', value_name = "GID")]
    pub(crate) additional_gids: Vec<String>,

    /// File with the process to execute, as in the configuration, in place of a command and the flags about it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,

    /// Return as soon as the process runs
    #[arg(long, short)]
    pub(crate) detach: bool,

    /// File to which the process id is written
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,

    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    pub(crate) process_label: Option<String>,

    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,

    /// Set no_new_privs, or don't although the container has it: --no-new-privs=false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(crate) no_new_privs: Option<bool>,

    /// Capability to add; may be repeated
    #[arg(long, short, value_name = "NAME")]
    pub(crate) cap: Vec<String>,

    /// How many descriptors after stdin, stdout, stderr and those of $LISTEN_FDS stay open in the process
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,

    /// Existing cgroup below the container's to run in, with v1 controllers only in theirs; may be repeated
    #[arg(long, value_name = "[CONTROLLER,…:]PATH")]
    pub(crate) cgroup: Vec<String>,

    /// Execute in a paused container too: the process goes on when the container is resumed
    #[arg(long)]
    pub(crate) ignore_paused: bool,

    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,

    /// Command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

//! `create` and `run`.

use std::path::PathBuf;

/// Create a container from a bundle
///
/// Everything is made ready, the namespaces, the cgroup, the mounts, but the container's command is not started:
/// `start` does that. The bundle is a directory with config.json and the root file system that it names.
/// The configuration is read once, here; later changes of config.json don't concern this container.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) creation: Creation,

    /// Accepted: `create` always detaches
    #[arg(long, short, hide = true)]
    pub(crate) detach: bool,
}

/// Create a container and start it
///
/// Without --detach it stays in the foreground: signals are forwarded to the container, its exit status becomes the
/// command's (128 + n where signal n ended it), and the container is deleted at its end.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) creation: Creation,

    /// Return as soon as the container runs
    #[arg(long, short)]
    pub(crate) detach: bool,

    /// Don't delete the container when it ends
    #[arg(long)]
    pub(crate) keep: bool,

    /// Don't adopt and reap orphaned processes of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}

/// What both have.
#[derive(Clone, Debug, clap::Args)]
#[command(about = None, long_about = None)]
pub(crate) struct Creation {
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,

    /// Configuration file [default: config.json in the bundle]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Unix socket to which the descriptor of the terminal's master is sent
    #[arg(long, value_name = "PATH")]
    pub(crate) console_socket: Option<PathBuf>,

    /// Unix socket to which a pidfd of the container's first process is sent
    #[arg(long, value_name = "PATH")]
    pub(crate) pidfd_socket: Option<PathBuf>,

    /// File to which the process id is written
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,

    /// Move the root mount and chroot instead of pivot_root: for a root file system on a ramdisk
    #[arg(long)]
    pub(crate) no_pivot: bool,

    /// Leave the container in the caller's session keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,

    /// How many descriptors after stdin, stdout, stderr and those of $LISTEN_FDS stay open in the container
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,

    /// Name of the container: [A-Za-z0-9_+.-], unique below --root
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

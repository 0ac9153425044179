//! What the caller asks for besides the bundle.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::ContainerId;

/// How the container's root becomes `/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootSwitch {
    /// `pivot_root(2)`.
    #[default]
    Pivot,
    /// Move the mount and `chroot(2)` (`--no-pivot`): for a root on a ramdisk.
    Move,
}

/// Whether the container gets a session keyring of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionKeyring {
    /// A new one.
    #[default]
    New,
    /// The caller's (`--no-new-keyring`).
    Inherit,
}

/// Who makes the cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// sandboxd, in the cgroup file system.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// Whether cgroups that this runtime may not make are done without, where no limit needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// Where the runtime is not root of the host.
    #[default]
    Auto,
    /// They are.
    Yes,
    /// They are not: it is an error.
    No,
}

/// A container to create from a bundle.
#[derive(Debug)]
pub struct CreateRequest {
    /// Its id.
    pub id: ContainerId,
    /// Directory of the bundle.
    pub bundle: PathBuf,
    /// Configuration file; `config.json` of the bundle where absent.
    pub config: Option<PathBuf>,
    /// A connected `AF_UNIX` socket to which the terminal's master is sent; needed where the config asks for a terminal.
    pub console: Option<OwnedFd>,
    /// A file to which the process id is written, atomically, without a newline.
    pub pid_file: Option<PathBuf>,
    /// A connected `AF_UNIX` socket to which the pidfd of init is sent.
    pub pidfd_socket: Option<OwnedFd>,
    /// The container gets the directory [`crate::Runtime::notify_directory`] at `/run/notify` and
    /// `NOTIFY_SOCKET=/run/notify/notify.sock`: whoever binds a socket there hears what it says (`sd_notify(3)`).
    pub notify_directory: Option<PathBuf>,
    /// How the root is switched.
    pub root_switch: RootSwitch,
    /// Session keyring.
    pub session_keyring: SessionKeyring,
    /// Who makes the cgroup.
    pub cgroup_manager: CgroupManager,
    /// What to do where the cgroup can't be had.
    pub rootless: Rootless,
    /// How many descriptors from 3 on stay open in the container.
    pub preserve_fds: u32,
    /// How many of these, the first, the process is told of (`LISTEN_FDS`, `LISTEN_PID`).
    pub listen_fds: u32,
}

impl CreateRequest {
    /// A request with defaults.
    pub fn new(id: ContainerId, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            config: None,
            console: None,
            pid_file: None,
            pidfd_socket: None,
            notify_directory: None,
            root_switch: RootSwitch::default(),
            session_keyring: SessionKeyring::default(),
            cgroup_manager: CgroupManager::default(),
            rootless: Rootless::default(),
            preserve_fds: 0,
            listen_fds: 0,
        }
    }
}

//! What the caller asks for besides the bundle.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use spec::config::{CapabilitySet, ConsoleSize, Id};
use spec::{AbsolutePath, Config, Text, Violations};

use crate::ContainerId;
use crate::cgroup::SubCgroup;
use crate::{Console, Pod, Streams};

/// How the container's root becomes `/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootSwitch {
    /// `pivot_root(2)`.
    #[default]
    Pivot,
    /// Move the mount and `chroot(2)` (`--no-pivot`): for a root on a ramdisk.
    Move,
}

/// Whether the container gets a session keyring of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKeyring {
    /// A new one.
    #[default]
    New,
    /// The caller's (`--no-new-keyring`).
    Inherit,
}

/// Who makes the cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupManager {
    /// sandboxd, in the cgroup file system.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// What a newline that is written to a new terminal becomes, until somebody changes the terminal's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Newlines {
    /// Carriage return and newline: as the kernel sets a new terminal up (`ONLCR`, see `termios(3)`).
    #[default]
    Translated,
    /// A newline: for a caller that does not pass the output on to a terminal.
    AsWritten,
}

/// Whether cgroups that this runtime may not make are done without, where no limit needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rootless {
    /// Where the runtime is not root of the host.
    #[default]
    Auto,
    /// They are.
    Yes,
    /// They are not: it is an error.
    No,
}

/// Where a container's configuration is taken from.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// `config.json` of the bundle.
    #[default]
    Bundle,
    /// This file.
    File(PathBuf),
    /// The text of a `config.json`.
    Document(Vec<u8>),
    /// A configuration made in code.
    Config(Box<Config>),
}

impl From<Config> for ConfigSource {
    fn from(config: Config) -> Self {
        Self::Config(Box::new(config))
    }
}

/// A specification of the crate `oci-spec`. It is read as a `config.json` is.
///
/// # Errors
/// It has a value that JSON has not.
#[cfg(feature = "oci-spec")]
impl TryFrom<&oci_spec::runtime::Spec> for ConfigSource {
    type Error = serde_json::Error;

    fn try_from(spec: &oci_spec::runtime::Spec) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(spec).map(Self::Document)
    }
}

/// A container to create.
#[derive(Debug)]
#[non_exhaustive]
pub struct CreateRequest {
    /// Its id.
    pub id: ContainerId,
    /// Directory of the bundle: paths of the configuration that are not absolute begin there.
    pub bundle: PathBuf,
    /// Where the configuration is taken from.
    pub config: ConfigSource,
    /// Its standard input, output and error.
    pub streams: Streams,
    /// The pod that it is one of: then it has the pod's namespaces and host name in place of the config's, and its cgroup is
    /// below the pod's.
    pub pod: Option<Pod>,
    /// Who gets the master of its terminal; needed where the config asks for one.
    pub console: Console,
    /// How the terminal is set up.
    pub newlines: Newlines,
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
    /// Open files that the process gets, from 3 on in this order. They stay the request's.
    pub descriptors: Vec<OwnedFd>,
    /// How many descriptors from 3 on stay open in the container: the first are those of `descriptors`, the rest the
    /// caller's own of the same number, where they are open.
    pub preserve_fds: u32,
    /// How many of all these, the first, the process is told of (`LISTEN_FDS`, `LISTEN_PID`).
    pub listen_fds: u32,
}

impl CreateRequest {
    /// A container of a bundle, with defaults.
    pub fn new(id: ContainerId, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id,
            bundle: bundle.into(),
            config: ConfigSource::Bundle,
            streams: Streams::default(),
            pod: None,
            console: Console::None,
            newlines: Newlines::default(),
            pid_file: None,
            pidfd_socket: None,
            notify_directory: None,
            root_switch: RootSwitch::default(),
            session_keyring: SessionKeyring::default(),
            cgroup_manager: CgroupManager::default(),
            rootless: Rootless::default(),
            descriptors: Vec::new(),
            preserve_fds: 0,
            listen_fds: 0,
        }
    }

    /// A container without a bundle, of a configuration made in code (its root is an absolute path), with defaults.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sandbox::spec::Config;
    /// use sandbox::{ContainerId, CreateRequest, Streams};
    ///
    /// let config = Config::of_command("/srv/rootfs", ["uname", "-a"])?;
    /// let mut request = CreateRequest::of_config(ContainerId::new("web")?, config);
    /// request.streams = Streams::captured();
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_config(id: ContainerId, config: impl Into<ConfigSource>) -> Self {
        Self { config: config.into(), ..Self::new(id, "/") }
    }
}

/// What is executed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExecProcess {
    /// A `process` of the specification, as JSON. Where it says nothing of resource limits, labels, the scheduler, I/O
    /// priority, the OOM score or CPU affinity, the container's process counts.
    Document(Vec<u8>),
    /// The container's own process with changes.
    Changed(ProcessChanges),
}

impl From<ProcessChanges> for ExecProcess {
    fn from(changes: ProcessChanges) -> Self {
        Self::Changed(changes)
    }
}

impl From<&spec::config::Process> for ExecProcess {
    /// A process made in code: as the document that it would be.
    fn from(process: &spec::config::Process) -> Self {
        Self::Document(process.to_json().into_bytes())
    }
}

/// What is different from the container's own process.
#[derive(Clone, Debug, Default)]
pub struct ProcessChanges {
    /// The command and its arguments.
    pub args: Vec<Text>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Working directory, in the container.
    pub cwd: Option<AbsolutePath>,
    /// Added to the environment.
    pub env: Vec<Text>,
    /// User.
    pub uid: Option<Id>,
    /// Group.
    pub gid: Option<Id>,
    /// Added to the additional groups.
    pub additional_gids: Vec<Id>,
    /// Added to the bounding, effective and permitted sets; to the ambient set, as far as the process's inheritable set
    /// has them.
    pub capabilities: CapabilitySet,
    /// `no_new_privs`.
    pub no_new_privileges: Option<bool>,
    /// SELinux label.
    pub selinux_label: Option<Text>,
    /// AppArmor profile.
    pub apparmor_profile: Option<Text>,
}

/// What happens to a process that is to be executed in a paused container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfPaused {
    /// It is refused.
    #[default]
    Refuse,
    /// It is made, stands still with the container, and goes on with it: `exec` returns then.
    Wait,
}

/// A process to execute in a container.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExecRequest {
    /// The container's id.
    pub id: ContainerId,
    /// What is executed.
    pub process: ExecProcess,
    /// Its standard input, output and error.
    pub streams: Streams,
    /// The size of a terminal for which the process has none.
    pub console_size: Option<ConsoleSize>,
    /// Who gets the master of its terminal; needed where the process has one.
    pub console: Console,
    /// How the terminal is set up.
    pub newlines: Newlines,
    /// A file to which the process id is written, atomically, without a newline.
    pub pid_file: Option<PathBuf>,
    /// A connected `AF_UNIX` socket to which the pidfd of the process is sent.
    pub pidfd_socket: Option<OwnedFd>,
    /// Open files that the process gets, from 3 on in this order. They stay the request's.
    pub descriptors: Vec<OwnedFd>,
    /// How many descriptors from 3 on stay open in the process: the first are those of `descriptors`, the rest the caller's
    /// own of the same number, where they are open.
    pub preserve_fds: u32,
    /// How many of all these, the first, the process is told of (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// Cgroups below the container's that it runs in. They must exist.
    pub cgroups: Vec<SubCgroup>,
    /// What happens if the container is paused.
    pub if_paused: IfPaused,
}

impl ExecRequest {
    /// A command with its arguments, executed as the container's own process is; with defaults.
    ///
    /// # Errors
    /// There is no command; or a word has a NUL, or is not UTF-8.
    pub fn of_command<W: AsRef<OsStr>>(
        id: ContainerId,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, Violations> {
        let changes = ProcessChanges { args: spec::command(words)?, ..ProcessChanges::default() };
        Ok(Self::new(id, ExecProcess::Changed(changes)))
    }

    /// A request with defaults.
    pub fn new(id: ContainerId, process: ExecProcess) -> Self {
        Self {
            id,
            process,
            streams: Streams::default(),
            console_size: None,
            console: Console::None,
            newlines: Newlines::Translated,
            pid_file: None,
            pidfd_socket: None,
            descriptors: Vec::new(),
            preserve_fds: 0,
            listen_fds: 0,
            cgroups: Vec::new(),
            if_paused: IfPaused::Refuse,
        }
    }
}

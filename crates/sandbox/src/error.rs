//! What can go wrong, and whose it is.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use init::Call;
use spec::config::HookPoint;

use crate::cgroup::{CgroupError, PlanError as CgroupPlanError};
use crate::id::InvalidContainerId;
use crate::plan::PlanError;

pub(crate) use crate::errno::reason;
pub use crate::step_error::StepError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that did not succeed. The text is one line: what, where in the config, which call, why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's: the id is not one.
    #[error(transparent)]
    InvalidId(#[from] InvalidContainerId),

    /// The caller's: the id is taken.
    #[error("container with given ID already exists")]
    Exists,

    /// The caller's: there is no such container.
    #[error("container does not exist")]
    NotFound,

    /// The caller's: the container is not where the operation needs it in its life. One of the contract's sentences.
    #[error("{0}")]
    Status(Cow<'static, str>),

    /// The caller's: another operation on the container does not end.
    #[error("container is busy: another operation holds its lock")]
    Busy,

    /// The caller's: it is a hook's, and what waits for the hook holds the lock.
    #[error("container is busy: what holds its lock waits for this command, which a hook of its own called")]
    CalledByHook,

    /// The caller's: what was asked for does not fit the config.
    #[error("{0}")]
    Request(&'static str),

    /// The caller's: a descriptor that the process is to get.
    #[error("descriptor {number} is not open, of {count} from 3 on that the process is told of (LISTEN_FDS)")]
    NotOpen {
        /// The first that isn't.
        number: u32,
        /// How many it is to get.
        count: u32,
    },

    /// The config's: what it violates.
    #[error("invalid configuration: {}{}", context_of(.0), .0.one_line())]
    Config(#[from] spec::Violations),

    /// The caller's: what the process that is to be executed violates, by pointers into its document.
    #[error("invalid configuration of the process: {}", .0.one_line())]
    Process(Box<spec::Violations>),

    /// The caller's: what a list of mounts violates, by pointers into it.
    #[error("invalid mounts: {}", .0.one_line())]
    Mounts(Box<spec::Violations>),

    /// The config's, on this host.
    #[error("{0}")]
    Plan(#[from] PlanError),

    /// The config's, on this host: a limit that can't be had.
    #[error("invalid configuration for this host: {0}")]
    CgroupPlan(#[from] CgroupPlanError),

    /// The host's: the cgroup.
    #[error("cgroup: {0}")]
    Cgroup(#[from] CgroupError),

    /// The host's, or the caller's: a file.
    #[error("{action} {path}: {reason}", path = .path.display(), reason = reason(.source))]
    File {
        /// `open`, `write` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// The host's: a call of the runtime.
    #[error("{action}: {reason}", reason = reason(.source))]
    Host {
        /// What was done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A namespace that can't be joined.
    #[error("join the {kind} namespace {path} (from /linux/namespaces/{index}): {reason}")]
    Namespace {
        /// `type` in the config.
        kind: &'static str,
        /// Its file.
        path: String,
        /// Where it stands.
        index: usize,
        /// Why not.
        reason: String,
    },

    /// The id map of a new user namespace.
    #[error("map ids (from {pointer}): {action}: {reason}")]
    IdMap {
        /// The map, as JSON pointer.
        pointer: &'static str,
        /// What was done: a helper's name, or `write` and the file.
        action: String,
        /// Why not.
        reason: String,
    },

    /// A mount whose ids are mapped.
    #[error("map the ids of {source_path} (from {pointer}): {action}: {reason}", source_path = .path.display(), reason = reason(.source))]
    Tree {
        /// The mount, as JSON pointer.
        pointer: Cow<'static, str>,
        /// Its source.
        path: PathBuf,
        /// The call.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// Networking that the caller asked for, of `sandbox::net`.
    #[error("{action}: {reason}", reason = reason(.source))]
    Network {
        /// What was done.
        action: String,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A network device that can't be moved into the container.
    #[error("move the network device {device} into the container (from {pointer}): {action}: {reason}", reason = reason(.source))]
    NetDevice {
        /// Where it stands in the config.
        pointer: String,
        /// Its name on the host.
        device: String,
        /// What was done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// The agent that is to answer the calls of which a seccomp filter notifies.
    #[error("{action} {agent} (from /linux/seccomp/listenerPath): {reason}", reason = reason(.source))]
    Listener {
        /// What was done.
        action: &'static str,
        /// Its socket.
        agent: String,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// The container's class of service.
    #[error("Intel RDT (from /linux/intelRdt): {action} {path}: {reason}", path = .path.display())]
    Resctrl {
        /// What was done.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },

    /// A step of init.
    #[error(transparent)]
    Step(#[from] StepError),

    /// Init was ended before it was done.
    #[error("init ended while it prepared the container: {how}")]
    InitEnded {
        /// `killed by signal 9`, `exit status 1`, and what is known of the reason.
        how: String,
    },

    /// A hook.
    #[error("error running {point} hook #{index}: {path} (from /hooks/{point}/{index}): {reason}", point = .point.name())]
    Hook {
        /// When it runs.
        point: HookPoint,
        /// Which of them.
        index: usize,
        /// Its executable.
        path: String,
        /// Why it failed.
        reason: String,
    },

    /// CRIU's, or its absence.
    #[cfg(feature = "criu")]
    #[error(transparent)]
    Criu(Box<crate::criu::CriuError>),

    /// Something did not happen in time.
    #[error("{0}: no answer in time")]
    Deadline(&'static str),

    /// The caller's: it has ended the wait ([`crate::Interrupt`]).
    #[error("interrupted before the program was executed")]
    Interrupted,

    /// A process that was killed and does not end: the kernel waits in it for something, and can't be interrupted.
    #[error("init (pid {pid}) was killed and does not end: it is in state {state}, in the kernel's {place}")]
    Stuck {
        /// The process, in the runtime's pid namespace.
        pid: i32,
        /// `State` of proc_pid_status(5): a letter and a word.
        state: String,
        /// Where in the kernel it sleeps (`/proc/PID/wchan`).
        place: String,
    },

    /// Ours, or somebody changed it: the recorded state.
    #[error("read the state of the container: {reason}")]
    State {
        /// What is wrong with it.
        reason: String,
    },

    /// The caller's: another runtime, or another version of this one, has recorded the container. Nothing of it is touched.
    #[error("read the state of the container: {reason}")]
    ForeignState {
        /// By what it is known.
        reason: String,
    },

    /// The directory of the containers' state is not safe to use.
    #[error("state root {root}: {reason}", root = .root.display())]
    StateRoot {
        /// The directory.
        root: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

#[cfg(feature = "criu")]
impl From<crate::criu::CriuError> for Error {
    fn from(error: crate::criu::CriuError) -> Self {
        Self::Criu(Box::new(error))
    }
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::File { action, path: path.as_ref().to_owned(), source }
    }

    pub(crate) const fn host(action: &'static str, source: io::Error) -> Self {
        Self::Host { action, source }
    }

    pub(crate) const fn launch(action: &'static str, source: io::Error) -> Self {
        Self::Host { action, source }
    }

    pub(crate) fn status(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Status(text.into())
    }

    /// The field of the config that is concerned, as a JSON pointer.
    pub fn pointer(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Config(violations) => {
                Some(Cow::Borrowed(&*violations.first().pointer)).filter(|pointer| !pointer.is_empty())
            }
            Self::Process(violations) | Self::Mounts(violations) => {
                Some(Cow::Borrowed(&*violations.first().pointer)).filter(|pointer| !pointer.is_empty())
            }
            Self::CgroupPlan(error) => error.pointer().map(Cow::Borrowed),
            Self::Step(error) => Some(Cow::Borrowed(&*error.pointer)).filter(|pointer| !pointer.is_empty()),
            Self::Plan(error) => Some(Cow::Borrowed(&*error.pointer)),
            Self::Cgroup(error) => error.pointer().map(Cow::Borrowed),
            Self::IdMap { pointer, .. } => Some(Cow::Borrowed(*pointer)),
            Self::Tree { pointer, .. } => Some(Cow::Borrowed(&**pointer)),
            Self::Resctrl { .. } => Some(Cow::Borrowed("/linux/intelRdt")),
            Self::NetDevice { pointer, .. } => Some(Cow::Borrowed(&**pointer)),
            Self::Listener { .. } => Some(Cow::Borrowed("/linux/seccomp/listenerPath")),
            Self::Namespace { index, .. } => Some(format!("/linux/namespaces/{index}").into()),
            Self::Hook { point, index, .. } => Some(format!("/hooks/{}/{index}", point.name()).into()),
            _ => None,
        }
    }

    /// The step of the plan that failed.
    pub fn step(&self) -> Option<&'static str> {
        if let Self::Step(error) = self { error.step } else { None }
    }

    /// The system call that failed.
    pub fn syscall(&self) -> Option<&'static str> {
        match self {
            Self::Step(error) => error.call.map(Call::name),
            Self::Cgroup(error) => error.syscall(),
            _ => None,
        }
    }

    /// The errno.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Step(error) => Some(error.errno),
            Self::File { source, .. }
            | Self::Host { source, .. }
            | Self::Network { source, .. }
            | Self::Tree { source, .. }
            | Self::NetDevice { source, .. }
            | Self::Listener { source, .. } => source.raw_os_error(),
            Self::Cgroup(error) => error.errno(),
            _ => None,
        }
    }
}

/// What runc says before its reason, where its callers' tests look for it.
fn context_of(violations: &spec::Violations) -> &'static str {
    let first = &violations.first().pointer;
    match first.strip_prefix("/linux/memoryPolicy/") {
        Some("mode") => "invalid memory policy mode: ",
        Some("nodes") => "invalid memory policy node: ",
        Some(rest) if rest.starts_with("flags") => "invalid memory policy flag: ",
        _ => "",
    }
}

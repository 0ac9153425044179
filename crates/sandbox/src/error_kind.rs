//! What a program does about an error: whose it is, in few words to match on.
//!
//! Pure.

use rustix::io::Errno;

use crate::error::Error;

/// What an [`Error`] is about, for who goes on by that. The error itself says which, where and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or the configuration is wrong by itself, wherever it is tried.
    Invalid,
    /// This host, or this runtime's rights on it, can't give what the configuration asks for.
    Unsupported,
    /// There is no such container or pod.
    NotFound,
    /// The id is taken.
    Exists,
    /// The container is not where the operation needs it in its life.
    Status,
    /// Another operation on the container is at work: later it may do.
    Busy,
    /// The program is not there.
    ProgramNotFound,
    /// The program is there, and can't be executed.
    ProgramNotExecutable,
    /// A hook has failed.
    Hook,
    /// The caller has ended the wait.
    Interrupted,
    /// Something did not happen in time.
    Deadline,
    /// What is recorded of the container is damaged, another's, or in a place that is not safe.
    State,
    /// A call to the kernel, a file, another program: the host's.
    Host,
}

impl Error {
    /// What it is about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidId(_)
            | Self::Request(_)
            | Self::NotOpen { .. }
            | Self::Config(_)
            | Self::Process(_)
            | Self::Mounts(_) => ErrorKind::Invalid,
            Self::Plan(_) | Self::CgroupPlan(_) => ErrorKind::Unsupported,
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Exists,
            Self::Status(_) => ErrorKind::Status,
            Self::Busy | Self::CalledByHook => ErrorKind::Busy,
            Self::Step(error) if matches!(error.step, Some("find-program" | "execute")) => {
                if error.errno == Errno::NOENT.raw_os_error() {
                    ErrorKind::ProgramNotFound
                } else {
                    ErrorKind::ProgramNotExecutable
                }
            }
            Self::Hook { .. } => ErrorKind::Hook,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Deadline(_) | Self::Stuck { .. } => ErrorKind::Deadline,
            Self::State { .. } | Self::ForeignState { .. } | Self::StateRoot { .. } => ErrorKind::State,
            _ => ErrorKind::Host,
        }
    }
}

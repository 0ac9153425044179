//! What can go wrong with cgroups: in the plan (the config's fault, or the host lacks something), or on the host.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::errno::reason;

/// The cgroup can't be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// systemd can't make the cgroup here.
    #[error("the systemd cgroup manager {0}")]
    Systemd(&'static str),
    /// `cgroupsPath` is not a path strictly below a cgroup.
    #[error("cgroup path {path:?} (/linux/cgroupsPath, or the container id): {rule}")]
    Path {
        /// As in the config.
        path: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// The path is relative to the runtime's own cgroup, which was not probed or is not known.
    #[error("cgroup path {path:?} is relative to the runtime's own cgroup, which is not known")]
    OwnPath {
        /// As in the config.
        path: String,
    },
    /// A limit needs a controller that the host does not have (or has not enabled for us).
    #[error("cgroup controller {controller} is not available on this host, needed for {pointer}")]
    Controller {
        /// Its name.
        controller: String,
        /// The limit, as JSON pointer.
        pointer: String,
    },
    /// The value makes no sense, or has no equivalent in the host's cgroup version (runtime-spec, config-linux.md,
    /// Unified: "If the conversion is not possible the runtime MUST generate an error").
    #[error("{pointer}: {rule}")]
    Value {
        /// Where, as JSON pointer.
        pointer: String,
        /// Why.
        rule: String,
    },
}

impl PlanError {
    /// The field of the config that is concerned, as JSON pointer.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Path { .. } | Self::OwnPath { .. } => Some("/linux/cgroupsPath"),
            Self::Controller { pointer, .. } | Self::Value { pointer, .. } => Some(pointer),
            Self::Systemd(_) => None,
        }
    }
}

/// A cgroup operation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// A call on a cgroup file or directory.
    #[error("{call} {}: {}", path.display(), reason(source))]
    Call {
        /// What was done: `mkdir`, `open`, `read`, …
        call: &'static str,
        /// Where.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A value that the kernel does not take.
    #[error("write {value:?} to {} (from {pointer}): {}", path.display(), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// Where it comes from.
        pointer: String,
        /// The errno.
        source: io::Error,
    },
    /// The device filter is not taken.
    #[error("{call} device filter on {} (from /linux/resources/devices): {}", path.display(), reason(source))]
    DeviceFilter {
        /// `load` or `attach`.
        call: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A controller that a limit needs can't be enabled.
    #[error("cgroup controller {controller} can't be enabled in {} (for {pointer}): {}", path.display(), Reason(source))]
    Controller {
        /// Its name.
        controller: String,
        /// The parent in which.
        path: PathBuf,
        /// The limit.
        pointer: String,
        /// The errno; absent where the parent does not have the controller.
        source: Option<io::Error>,
    },
    /// A limit needs a cgroup, and this runtime may not make one.
    #[error("{pointer} needs a cgroup, and {} can't be written: {} (rootless needs no limits and no cgroupsPath where no cgroup is delegated to the user)", path.display(), reason(source))]
    NotDelegated {
        /// What can't be written.
        path: PathBuf,
        /// The limit, as JSON pointer.
        pointer: String,
        /// The errno.
        source: io::Error,
    },
    /// systemd, or the way to it.
    #[error("systemd: {call} {unit}: {reason}")]
    Systemd {
        /// The method.
        call: &'static str,
        /// The unit.
        unit: String,
        /// What was said.
        reason: String,
    },
    /// The container's cgroup is there already, and in use.
    #[error("container's cgroup is not empty: {} has {}", path.display(), Pids(pids))]
    Occupied {
        /// The cgroup.
        path: PathBuf,
        /// Who is in it.
        pids: Vec<i32>,
    },
    /// A sub-cgroup that is none of the container's.
    #[error("bad sub cgroup path: {}: {reason}", path.display())]
    SubCgroup {
        /// As asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A cgroup that a process is to enter can't be opened.
    #[error("adding pid of the process to cgroups: open {}: {}", path.display(), reason(source))]
    Enter {
        /// Its directory.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// The container's cgroup is there already, and frozen: a process that enters it would never run.
    #[error("container's cgroup unexpectedly frozen: {}", path.display())]
    Frozen {
        /// The cgroup.
        path: PathBuf,
    },
    /// The container's cgroup is there already, and its owner could change its limits and processes.
    #[error("cgroup {} exists and belongs to uid {uid}", path.display())]
    Foreign {
        /// The cgroup.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Processes are still in it at the deadline.
    #[error("cgroup {} still has processes at the deadline: {}", path.display(), Pids(pids))]
    StillPopulated {
        /// The cgroup.
        path: PathBuf,
        /// Which.
        pids: Vec<i32>,
    },
    /// It does not stop at the deadline; it was thawed again.
    #[error("cgroup {} can't be frozen: processes still run at the deadline", path.display())]
    NotFrozen {
        /// The cgroup.
        path: PathBuf,
    },
    /// A change of limits was refused, and taking back what had been changed was too.
    #[error("{cause}; and what had been changed is not restored: {kept}")]
    NotRestored {
        /// Why the change is not made.
        cause: Box<Self>,
        /// What keeps its new value, and why.
        kept: Box<Self>,
    },
    /// There is no freezer.
    #[error("this host has no cgroup freezer")]
    NoFreezer,
    /// What is recorded is not a path below a cgroup mount point.
    #[error("recorded cgroup {} is not strictly below {}", path.display(), mount_point.display())]
    Record {
        /// The directory.
        path: PathBuf,
        /// What it should be below.
        mount_point: PathBuf,
    },
}

impl CgroupError {
    /// The errno of the call, where there was one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. }
            | Self::Write { source, .. }
            | Self::DeviceFilter { source, .. }
            | Self::Enter { source, .. }
            | Self::NotDelegated { source, .. } => source.raw_os_error(),
            Self::Controller { source, .. } => source.as_ref().and_then(io::Error::raw_os_error),
            Self::NotRestored { cause, .. } => cause.errno(),
            _ => None,
        }
    }

    /// The call that failed.
    pub fn syscall(&self) -> Option<&'static str> {
        match self {
            Self::Call { call, .. } => Some(call),
            Self::Enter { .. } => Some("open"),
            Self::Write { .. } => Some("write"),
            Self::DeviceFilter { .. } => Some("bpf"),
            _ => None,
        }
    }

    /// The field of the config that is concerned, as JSON pointer.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Write { pointer, .. }
            | Self::Controller { pointer, .. }
            | Self::NotDelegated { pointer, .. } => Some(pointer),
            Self::DeviceFilter { .. } => Some("/linux/resources/devices"),
            Self::NotRestored { cause, .. } => cause.pointer(),
            _ => None,
        }
    }
}

struct Reason<'a>(&'a Option<io::Error>);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // cgroups(7), "no internal processes" rule.
            Some(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                f.write_str("it has processes of its own (device or resource busy)")
            }
            Some(error) => f.write_str(&reason(error)),
            None => f.write_str("it is not enabled there by its parent"),
        }
    }
}

struct Pids<'a>(&'a [i32]);

impl fmt::Display for Pids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none that can be seen from here");
        }
        const SHOWN: usize = 10;
        f.write_str("pid ")?;
        for (n, pid) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{pid}", if n == 0 { "" } else { ", " })?;
        }
        if self.0.len() > SHOWN { write!(f, " and {} more", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_one_line_lower_case() {
        let error = CgroupError::Write {
            path: "/sys/fs/cgroup/a/memory.max".into(),
            value: "x".into(),
            pointer: "/linux/resources/memory/limit".into(),
            source: io::Error::from_raw_os_error(22),
        };
        assert_eq!(
            error.to_string(),
            "write \"x\" to /sys/fs/cgroup/a/memory.max (from /linux/resources/memory/limit): invalid argument"
        );
        assert_eq!((error.errno(), error.pointer()), (Some(22), Some("/linux/resources/memory/limit")));
    }

    #[test]
    fn error_many_pids_shortened() {
        let error = CgroupError::Occupied { path: "/c".into(), pids: (1..=12).collect() };
        assert_eq!(
            error.to_string(),
            "container's cgroup is not empty: /c has pid 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }
}

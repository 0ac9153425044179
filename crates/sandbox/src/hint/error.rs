//! What to do about an error, by what it is.
//!
//! Pure.

use std::borrow::Cow;
use std::io;

use rustix::io::Errno;
use spec::config::NamespaceKind;

use super::{Hint, suggest};
use crate::cgroup::{CgroupError, PlanError};
use crate::error::Error;

impl Error {
    /// What to do about it, in a clause, where that is known. Not part of the text.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
        Self::InvalidId(_) => {
            Some("an id is 1 to 1024 of the characters A-Z a-z 0-9 _ + . - and does not begin with -".into())
        }
        Self::Exists => Some("choose another id, or delete the old container first".into()),
        Self::NotFound => {
            Some("`list` shows the containers; each --root has its own, and so has each user".into())
        }
        Self::Status(text) => of_status(text),
        Self::Busy => Some("another command works on the container: try again when it is done".into()),
        Self::CalledByHook => {
            Some("a hook that wants the container gone ends with an error: then it is removed".into())
        }
        Self::Config(violations) => suggest::of_violation(violations.first()),
        Self::CgroupPlan(error) => of_cgroup_plan(error),
        Self::Cgroup(error) => of_cgroup(error),
        Self::File { action, path, source } => of_file(action, path, source),
        Self::Host { action, source } => of_host(action, source),
        Self::Namespace { kind, reason, .. } => of_namespace(kind, reason),
        Self::Step(error) => error.hint.clone(),
        Self::NetDevice { source, .. } => of_net_device(source),
        Self::Listener { action, source, .. } => of_listener(action, source),
        Self::IdMap { action, .. } if action.starts_with("new") => Some(
            "the ranges of /etc/subuid and /etc/subgid for this user must hold every id that is mapped; \
             `usermod --add-subuids` adds one"
                .into(),
        ),
        Self::IdMap { .. } => Some(
            "an ordinary user maps his own id and the ranges of /etc/subuid and /etc/subgid; the ids must exist in \
             the caller's user namespace"
                .into(),
        ),
        Self::InitEnded { how } if how.contains("signal 9") => {
            Some("if /linux/resources/memory has a limit, raise it: a start needs about 1 MiB".into())
        }
        Self::Stuck { .. } => Some(
            "it waits for a device or a file system (FUSE, NFS) that does not answer, or for the freezer of another's cgroup: \
             mend, unmount or thaw that, and delete again"
                .into(),
        ),
        Self::Hook { point, reason, .. } => of_hook(point.name(), reason),
        Self::State { .. } => Some(
            "the recorded state is damaged: `delete --force` removes the container, as far as it is known"
                .into(),
        ),
        Self::ForeignState { .. } => Some(
            "another runtime, or another version of sandboxd, has made the container: delete it with that one".into(),
        ),
        Self::StateRoot { .. } => {
            Some("name a directory of your own with --root, or call as the user that it belongs to".into())
        }
        _ => None,
    }
    }
}

fn of_net_device(source: &io::Error) -> Option<Hint> {
    Some(match Errno::from_io_error(source)? {
        Errno::NODEV => {
            "a device is looked for in the network namespace that the runtime is called in".into()
        }
        Errno::EXIST => "give it another name: `name`, of which %d stands for a free number".into(),
        Errno::PERM => "only root of the host (CAP_NET_ADMIN, CAP_SYS_ADMIN) can move its devices".into(),
        Errno::INVAL => {
            "devices such as lo, bridges' and tunnels' own stay in their network namespace".into()
        }
        _ => return None,
    })
}

fn of_listener(action: &str, source: &io::Error) -> Option<Hint> {
    if action.contains("pidfd_getfd") && source.raw_os_error() == Some(Errno::PERM.raw_os_error()) {
        return Some(
            "the runtime takes the listener out of the process as a debugger would: it needs CAP_SYS_PTRACE in the \
             user namespace from which the process was started"
                .into(),
        );
    }
    Some("an agent must listen there, on a stream socket, before the container is created".into())
}

fn of_status(text: &str) -> Option<Hint> {
    let hint = if text.starts_with("cannot delete container") {
        "end it first (`kill`), or delete it with --force"
    } else if text == "cannot start an already running container" {
        "a container is started once; `exec` runs another process in it"
    } else if text == "cannot start a container that has stopped" {
        "delete it and create it anew: a container is started once"
    } else if text == "container not paused" {
        "there is nothing to resume: `state` shows its status"
    } else if text == "container not running" {
        "it has ended, or does not run yet: `state` shows its status"
    } else if text == "cannot exec in a stopped container" {
        "delete it and create it anew: nothing can be executed in a container that has ended"
    } else if text.contains("paused") {
        "`resume` lets it go on"
    } else {
        return None;
    };
    Some(hint.into())
}

fn of_cgroup_plan(error: &PlanError) -> Option<Hint> {
    Some(match error {
        PlanError::Path { rule, .. } if rule.contains("slice:prefix:name") => {
            "name it as in system.slice:sandboxd:web-1, or leave it out; without --systemd-cgroup it is a path".into()
        }
        PlanError::Path { .. } => "name a path below a cgroup, such as /sandboxd/web-1, or leave it out".into(),
        PlanError::Controller { controller, .. } => format!(
            "remove the limit, or boot a kernel with the controller {controller} and enable it for this cgroup; \
             `info` shows what there is"
        )
        .into(),
        PlanError::Value { rule, .. } if rule.starts_with("rejecting memory limit") => {
            "raise the limit above the usage, or leave checkBeforeUpdate out: the kernel makes room then, or ends processes"
                .into()
        }
        PlanError::Value { pointer, .. } if pointer.starts_with("/linux/resources/unified") => {
            "use the fields of /linux/resources, which mean the same on both versions".into()
        }
        _ => return None,
    })
}

fn of_cgroup(error: &CgroupError) -> Option<Hint> {
    let errno = error.errno().map(Errno::from_raw_os_error);
    Some(match error {
        CgroupError::Occupied { .. } => "it is another container's: choose another cgroupsPath".into(),
        CgroupError::Frozen { .. } => "thaw it, or choose another cgroupsPath".into(),
        CgroupError::Foreign { .. } => "remove it, or choose another cgroupsPath".into(),
        CgroupError::Write { pointer, .. } => return of_cgroup_write(pointer, errno?),
        CgroupError::Controller { controller, .. } => {
            format!("write +{controller} to the cgroup.subtree_control of the cgroups above").into()
        }
        CgroupError::Enter { .. } if errno == Some(Errno::NOENT) => {
            "nobody has made that cgroup: --cgroup of `exec` names an existing one below the container's"
                .into()
        }
        CgroupError::Call { .. } if matches!(errno, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS)) => {
            "the caller may not make cgroups there: call as root, have a cgroup delegated, or give \
             --cgroup-manager disabled"
                .into()
        }
        _ => return None,
    })
}

fn of_cgroup_write(pointer: &str, errno: Errno) -> Option<Hint> {
    let cpuset = pointer.ends_with("/cpus") || pointer.ends_with("/mems");
    Some(match errno {
        Errno::INVAL | Errno::RANGE | Errno::ACCESS if cpuset => {
            "what can be used is in the file cpuset.effective_cpus, or .mems, of the cgroup above".into()
        }
        Errno::BUSY => "the limit is below what is in use".into(),
        Errno::INVAL | Errno::RANGE => {
            "the kernel refuses this value, alone or beside those of the cgroup above".into()
        }
        Errno::NOENT => "this kernel has no such limit".into(),
        _ => return None,
    })
}

fn of_file(action: &str, path: &std::path::Path, source: &io::Error) -> Option<Hint> {
    let errno = source.raw_os_error().map(Errno::from_raw_os_error)?;
    Some(match (action, errno) {
        ("read the process", Errno::NOENT) => {
            "--process names a file with the process to execute, in the form of /process in config.json"
                .into()
        }
        // Named by --config.
        ("read", Errno::NOENT) if path.file_name().is_none_or(|name| name != "config.json") => return None,
        ("read", Errno::NOENT) if path.parent().is_some_and(std::path::Path::is_dir) => {
            "`spec` writes one to begin with; --config names another file".into()
        }
        ("read", Errno::NOENT) => "--bundle names the directory that holds config.json".into(),
        ("write the pid file", Errno::NOENT) => "make its directory first".into(),
        _ => return None,
    })
}

fn of_host(action: &str, source: &io::Error) -> Option<Hint> {
    let errno = source.raw_os_error().map(Errno::from_raw_os_error)?;
    Some(match errno {
        Errno::NOMEM if action == "execveat" => "the host, or the cgroup's memory limit, has no memory left".into(),
        _ if !matches!(action, "clone3" | "unshare") => return None,
        Errno::PERM => {
            "call as root, or add a user namespace to /linux/namespaces (`spec --rootless` shows how); the host may \
             also forbid user namespaces: see `info`"
                .into()
        }
        Errno::NOSPC | Errno::USERS => {
            "a limit of namespaces is reached: raise the sysctl user.max_…_namespaces".into()
        }
        Errno::AGAIN => "a limit of processes is reached: pids.max of a cgroup, or RLIMIT_NPROC".into(),
        Errno::INVAL => "the kernel lacks one of the namespaces asked for: see `info`".into(),
        Errno::NOMEM => "the host, or the cgroup's memory limit, has no memory left".into(),
        _ => return None,
    })
}

fn of_namespace(kind: &str, reason: &str) -> Option<Hint> {
    Some(if reason.contains("no such file") && kind == "network" {
        "make it first: `ip netns add NAME` makes /run/netns/NAME".into()
    } else if reason.contains("no such file") {
        "the process that it belongs to may have ended; hold a namespace by a bind mount of its file".into()
    } else if reason.starts_with("it is") {
        format!("name a file such as /proc/PID/ns/{}", file_name(kind)).into()
    } else {
        return None;
    })
}

/// The name of a namespace in `/proc/PID/ns`.
fn file_name(kind: &str) -> &str {
    let known = NamespaceKind::ALL.into_iter().find(|it| it.name() == kind);
    known.map_or(kind, |it| it.file_name())
}

fn of_hook(point: &str, reason: &str) -> Option<Hint> {
    Some(if reason.contains("longer than its timeout") {
        format!("raise the timeout of the hook in /hooks/{point}, in seconds, or leave it out").into()
    } else if reason.contains("no such file") && point == "startContainer" {
        "the path is one of the container".into()
    } else if reason.contains("no such file") {
        "the path is one of the host, absolute".into()
    } else {
        return None;
    })
}

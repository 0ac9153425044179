//! What to do about a step of init that failed: by the step, the call and the errno.
//!
//! Pure.

use init::wire::{Str, Strs};
use init::{Call, Step};
use rustix::io::Errno;
use spec::config::SchedulerPolicy;

use super::Hint;
use crate::plan::PlannedStep;
use crate::plan::filesystem::LONGEST_VALUE;

const SCHED_FIFO: u32 = SchedulerPolicy::Fifo as u32;
const SCHED_RR: u32 = SchedulerPolicy::RoundRobin as u32;
const SCHED_DEADLINE: u32 = SchedulerPolicy::Deadline as u32;

/// Of a label that SELinux refuses.
const UNKNOWN_LABEL: &str =
    "the host's policy knows no such label: `seinfo --type --role --user` lists what labels are made of";

/// What to do about it, where that is known.
pub(crate) fn of_step(planned: &PlannedStep, call: Option<Call>, errno: i32) -> Option<Hint> {
    let errno = Errno::from_raw_os_error(errno);
    match &planned.step {
        Step::OpenRoot { .. } | Step::OpenRootDirectory { .. } => of_root(errno),
        Step::Bind { .. } | Step::OpenSource { .. } | Step::Attach { .. } => of_bind(call?, errno),
        Step::MakeMount { fstype, source, options, .. } => {
            of_mount(fstype, source, options, &planned.pointer, call?, errno)
        }
        Step::Mount { options, .. }
            if (call, errno) == (Some(Call::Fsconfig), Errno::INVAL) && has_label(options) =>
        {
            let pointer = &planned.pointer;
            Some(
                format!(
                    "SELinux takes the option context once, and only with a label of the host's policy: see \
                     /linux/mountLabel and {pointer}/options"
                )
                .into(),
            )
        }
        Step::SetLabel { .. } if errno == Errno::INVAL => Some(UNKNOWN_LABEL.into()),
        Step::Mask { options, .. }
            if (call, errno) == (Some(Call::Fsconfig), Errno::INVAL) && has_label(options) =>
        {
            Some(UNKNOWN_LABEL.into())
        }
        Step::Detach { .. } if errno == Errno::INVAL => Some(
            "what the container had at its creation may be locked in a user namespace, see mount_namespaces(7)".into(),
        ),
        Step::Mount { fstype, source, options, .. } => {
            of_mount(fstype, source, options, &planned.pointer, call?, errno)
        }
        Step::Reconfigure { .. } if errno == Errno::INVAL => {
            Some("the file system refuses one of the options, or can't change it any more".into())
        }
        Step::MakeNode { .. } | Step::BindNode { .. } | Step::EnterDirectory { .. } => of_device(call?, errno),
        Step::MakeDirectory { .. } => Some(
            "the directory is missing and can't be made there: make it in the root file system, or name another"
                .into(),
        ),
        Step::TryDirectory { .. } | Step::ChangeDirectory { .. } => of_working_directory(errno),
        Step::SetRlimit { .. } if errno == Errno::PERM => Some(
            "it is above the runtime's own hard limit, which needs CAP_SYS_RESOURCE: raise that one for whoever calls \
             the runtime (ulimit -H, or Limit… of its service)"
                .into(),
        ),
        Step::WriteProc { path, .. } => of_proc_file(&path.to_string(), errno),
        Step::Fork { .. } if errno == Errno::AGAIN => {
            Some("raise /linux/resources/pids/limit, or RLIMIT_NPROC of the user".into())
        }
        Step::Unshare { .. } | Step::NewTimeNamespace { .. } | Step::Fork { .. } => of_namespaces(errno),
        Step::JoinNamespaces { .. } if errno == Errno::PERM => {
            Some("joining needs CAP_SYS_ADMIN in the user namespace that each of them belongs to".into())
        }
        Step::SetUid { .. } | Step::SetGid { .. } | Step::SetGroups { .. } => of_ids(errno),
        Step::SetAmbient { .. } => {
            Some("ambient capabilities must also be permitted and inheritable".into())
        }
        Step::Mask { .. } if errno == Errno::NOENT => {
            Some("files are masked with the host's /dev/null: the runtime needs one".into())
        }
        Step::PivotRoot { .. } if errno == Errno::INVAL => {
            Some("where the host's root is a ramdisk (initramfs), give --no-pivot".into())
        }
        Step::SetScheduler { policy: SCHED_DEADLINE, .. } if errno == Errno::PERM => Some(
            "the process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE needs all processors \
             (/linux/resources/cpu/cpus, the runtime's own affinity), and CAP_SYS_NICE in the host's user namespace"
                .into(),
        ),
        Step::SetScheduler { policy: SCHED_FIFO | SCHED_RR, .. } if errno == Errno::PERM => Some(
            "a real-time policy needs CAP_SYS_NICE in the host's user namespace, and where the kernel gives cgroups a share \
             of such time, one for this (/linux/resources/cpu/realtimeRuntime)"
                .into(),
        ),
        Step::SetScheduler { .. } | Step::SetIoPriority { .. } if errno == Errno::PERM => {
            Some("this priority needs CAP_SYS_NICE in the host's user namespace".into())
        }
        Step::FindProgram { .. } if errno == Errno::NOENT => {
            Some("it was looked for in the root file system, in each directory of PATH in /process/env".into())
        }
        Step::AllowPath { .. } => {
            Some("each path must be there, in the container; leave it out, or make it in the root file system".into())
        }
        _ => None,
    }
}

fn of_root(errno: Errno) -> Option<Hint> {
    Some(match errno {
        Errno::NOENT => {
            "put a root file system there, or name another directory in /root/path (relative to the bundle)"
                .into()
        }
        Errno::NOTDIR => {
            "an image file can't be a root: unpack it, and name the directory in /root/path".into()
        }
        Errno::ACCESS => {
            "the caller, or who he is mapped to, must be able to enter each directory of the path".into()
        }
        _ => return None,
    })
}

fn of_bind(call: Call, errno: Errno) -> Option<Hint> {
    match (call, errno) {
        (Call::OpenTree, Errno::NOENT) => Some(
            "make the source on the host, or name another: it is a path of the host (relative: to the bundle)".into(),
        ),
        (Call::OpenTree, Errno::ACCESS) => Some("the caller must be able to reach the source on the host".into()),
        (Call::MoveMount, Errno::NOTDIR | Errno::INVAL) => {
            Some("a file can be bound on a file only, a directory on a directory only".into())
        }
        (Call::MountSetattr, Errno::INVAL) => {
            Some("this kernel or the source's file system lacks one of the attributes, see docs/kernel-features.md".into())
        }
        (Call::MountSetattr, Errno::PERM) => {
            Some("in a user namespace the flags that the host has set on a mount can't be cleared".into())
        }
        (call, errno) => of_destination(call, errno),
    }
}

/// Whether the options, pairs, have a label for SELinux.
fn has_label(options: &Strs) -> bool {
    options.0.chunks(2).any(|pair| pair.first().is_some_and(|key| key.to_string() == "context"))
}

/// The names of the options that a file system was given; of a value it is not known that everybody may read it.
fn names(options: &Strs) -> Vec<String> {
    options.0.chunks(2).filter_map(|pair| pair.first()).map(Str::to_string).collect()
}

/// The name of the first option whose value is longer than fsconfig(2) takes it.
fn too_long(options: &Strs) -> Option<String> {
    let long = |pair: &&[Str]| pair.get(1).is_some_and(|value| value.to_string().len() > LONGEST_VALUE);
    options.0.chunks(2).find(long).and_then(|pair| pair.first()).map(Str::to_string)
}

fn of_mount(
    fstype: &Str,
    source: &Str,
    options: &Strs,
    pointer: &str,
    call: Call,
    errno: Errno,
) -> Option<Hint> {
    let fstype = fstype.to_string();
    let is_layer = |name: &String| matches!(&**name, "lowerdir+" | "datadir+");
    match (call, errno, &*fstype) {
        (Call::Fsopen, Errno::NODEV, _) => Some(
            "the kernel has no such file system (see /proc/filesystems); a path of the host is mounted with type bind"
                .into(),
        ),
        (Call::Fsopen | Call::Fsconfig | Call::Fsmount, Errno::PERM, "sysfs") => Some(
            "in a user namespace sysfs needs a new network namespace: add one to /linux/namespaces, or bind /sys".into(),
        ),
        (Call::Fsopen | Call::Fsconfig | Call::Fsmount, Errno::PERM, "proc") => Some(
            "in a user namespace proc needs a new pid namespace: add one to /linux/namespaces, or bind /proc; and \
             nothing may hide parts of the host's own /proc"
                .into(),
        ),
        (Call::Fsopen | Call::Fsconfig | Call::Fsmount, Errno::PERM, "mqueue") => {
            Some("in a user namespace mqueue needs a new ipc namespace".into())
        }
        (Call::Fsconfig, Errno::PERM, _) if source.to_string().starts_with('/') => Some(
            "a file system of a device can't be mounted in a user namespace, or the device rules that hold for the runtime \
             deny it the device"
                .into(),
        ),
        (Call::Fsopen | Call::Fsconfig | Call::Fsmount, Errno::PERM, _) => {
            Some("this file system can't be mounted in a user namespace, or by this caller".into())
        }
        (Call::Fsconfig, Errno::INVAL, _) => {
            if let Some(option) = too_long(options) {
                let message = format!(
                    "the kernel takes at most {LONGEST_VALUE} bytes of a value, see fsconfig(2), and that of {option} is \
                     longer: see {pointer}/options"
                );
                return Some(message.into());
            }
            let options = names(options);
            Some(match options.as_slice() {
                [] => return None,
                all if all.iter().any(is_layer) => format!(
                    "a lowerdir of more than {LONGEST_VALUE} bytes needs Linux 6.7; or {fstype} refuses one of the \
                     options: see {pointer}/options"
                ),
                [option] => format!("{fstype} has no option {option}, or refuses its value: see {pointer}/options"),
                several => format!(
                    "{fstype} has no option, or refuses the value, of one of {}: see {pointer}/options",
                    several.join(", ")
                ),
            }.into())
        }
        (call, errno, _) => of_destination(call, errno),
    }
}

/// What concerns the place in the root at which something is mounted.
fn of_destination(call: Call, errno: Errno) -> Option<Hint> {
    Some(match (call, errno) {
        (Call::Mkdirat | Call::Openat2 | Call::Openat | Call::Mknodat, Errno::ROFS) => {
            "the destination can't be made, since what it is in is read-only: make it in the source of that mount"
                .into()
        }
        (Call::Openat2 | Call::Mkdirat, Errno::NOTDIR) => "a part of the destination is a file".into(),
        (Call::Openat2 | Call::Mkdirat, Errno::ACCESS) => {
            "in a user namespace the user that root is mapped to must be able to enter the root file system, and to \
             make destinations that are missing: change its owner or its mode"
                .into()
        }
        (Call::CheckProc | Call::CheckRoot, _) => "mount it at another place".into(),
        (Call::Openat2, Errno::LOOP) => "a file system of this kind must be mounted on ordinary directory: in the root file system it is a link".into(),
        _ => return None,
    })
}

fn of_device(call: Call, errno: Errno) -> Option<Hint> {
    match (call, errno) {
        (Call::Mknodat, Errno::PERM) => Some(
            "device nodes need CAP_MKNOD in the host's user namespace; add a user namespace, in which the host's are \
             bound instead"
                .into(),
        ),
        (Call::Mknodat | Call::Openat2 | Call::Mkdirat, Errno::NOTDIR) => {
            Some("a part of the device's path is a file".into())
        }
        (call, errno) => of_destination(call, errno),
    }
}

fn of_working_directory(errno: Errno) -> Option<Hint> {
    Some(match errno {
        Errno::NOTDIR => "name a directory in /process/cwd".into(),
        Errno::ACCESS => "the user of /process/user must be able to enter it".into(),
        Errno::NOENT => "make it in the root file system, or name another in /process/cwd".into(),
        _ => return None,
    })
}

fn of_proc_file(path: &str, errno: Errno) -> Option<Hint> {
    Some(match (path.split('/').next()?, path, errno) {
        (_, "self/oom_score_adj", Errno::ACCESS) => {
            "a value below the caller's own needs CAP_SYS_RESOURCE: leave it out, or raise it".into()
        }
        (_, "self/attr/exec" | "self/attr/keycreate", Errno::INVAL) => UNKNOWN_LABEL.into(),
        (_, "self/attr/apparmor/exec", Errno::NOENT) => "load the profile first, with apparmor_parser".into(),
        ("sys", _, Errno::NOENT) => {
            "this kernel has no such parameter; a module that is not loaded may bring it".into()
        }
        ("sys", _, Errno::INVAL | Errno::RANGE) => "the parameter does not take this value".into(),
        ("sys", _, Errno::ACCESS | Errno::PERM) => {
            "the parameter is the host's, or belongs to a namespace that this container shares".into()
        }
        _ => return None,
    })
}

fn of_namespaces(errno: Errno) -> Option<Hint> {
    Some(match errno {
        Errno::INVAL => "the kernel lacks this kind of namespace: see `info`".into(),
        Errno::NOSPC | Errno::USERS => {
            "a limit of namespaces is reached: raise the sysctl user.max_…_namespaces".into()
        }
        _ => return None,
    })
}

fn of_ids(errno: Errno) -> Option<Hint> {
    Some(match errno {
        Errno::INVAL => "the id is not mapped in the user namespace that the container is in".into(),
        Errno::PERM => {
            "in this user namespace setgroups is denied, or the caller lacks CAP_SETUID and CAP_SETGID".into()
        }
        _ => return None,
    })
}

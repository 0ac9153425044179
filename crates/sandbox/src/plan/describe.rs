//! What a step does, in a sentence, for errors; and how its calls read.
//!
//! Pure.

use init::{Call, Step};
use spec::config::RlimitResource;

/// The step in words: `bind mount /data on /srv`.
pub fn describe(step: &Step) -> String {
    match step {
        Step::ResetSignals { .. } => "reset the signals".into(),
        Step::JoinCgroups { .. } => "join the cgroup".into(),
        Step::NewSession {} => "make a session".into(),
        Step::JoinNamespaces { .. } | Step::JoinProcess { .. } => "join the namespaces".into(),
        Step::Unshare { .. } => "make a namespace".into(),
        Step::Fork { .. } => "make a process in the namespaces".into(),
        Step::NewTimeNamespace { .. } => "make the time namespace".into(),
        Step::AwaitCgroup {} => "wait for the cgroup".into(),
        Step::AwaitNetDevices { .. } => "wait for the network devices".into(),
        Step::AwaitSources {} => "wait for the sources of mounts".into(),
        Step::AwaitIdMaps {} => "wait for the id maps".into(),
        Step::BecomeRoot {} => "become root of the user namespace".into(),
        Step::OpenSource { source, .. } => format!("open {source}"),
        Step::OpenInside { source, .. } => format!("open {source} of the root"),
        Step::MakeInstance { .. } => "make a file system of a device".into(),
        Step::OfferTree { .. } => "have the ids of a mount mapped".into(),
        Step::TakeTree { .. } => "take an id-mapped mount".into(),
        Step::SetPropagation { .. } => "set the propagation of the mount namespace".into(),
        Step::OpenRoot { path, .. } | Step::OpenRootDirectory { path } => {
            format!("open the root file system {path}")
        }
        Step::Mount { fstype, target, .. } => format!("mount {fstype} on {target}"),
        Step::Bind { source, target, .. } => format!("bind mount {source} on {target}"),
        Step::OpenProcfs {} => "open /proc of the host".into(),
        Step::MakeMount { fstype, .. } => format!("make a file system of type {fstype}"),
        Step::Attach { target, .. } => format!("mount on {target}"),
        Step::FindMount { target, .. } => format!("find the mount {target}"),
        Step::Detach { target, .. } => format!("unmount {target}"),
        Step::SetAttributes { target, .. } => format!("set the mount attributes of {target}"),
        Step::SetMountPropagation { target, .. } => format!("set the propagation of {target}"),
        Step::Reconfigure { target, .. } => format!("remount {target}"),
        Step::SetLabel { target, label } => format!("give {target} the label {label}"),
        Step::EnterDirectory { path } | Step::MakeDirectory { path } => format!("make the directory {path}"),
        Step::MakeNode { name, .. } | Step::BindNode { name, .. } => format!("make the device {name}"),
        Step::MakeLink { name, target } => format!("link {name} to {target}"),
        Step::MakeLinkAt { path, target } => format!("link {path} to {target}"),
        Step::OpenTerminal { .. } => "open the terminal".into(),
        Step::AwaitHooks { points } => {
            let points: Vec<_> = points.0.iter().map(ToString::to_string).collect();
            format!("run the hooks {}", points.join(", "))
        }
        Step::PivotRoot { .. } | Step::MoveRoot { .. } | Step::ChangeRoot {} => "switch the root".into(),
        Step::SetRootPropagation { .. } => "set the propagation of the root".into(),
        Step::ReadonlyRoot {} => "make the root read-only".into(),
        Step::Mask { path, .. } => format!("mask {path}"),
        Step::Readonly { path } => format!("make {path} read-only"),
        Step::SetHostname { name } => format!("set the hostname {name}"),
        Step::SetDomainname { name } => format!("set the domain name {name}"),
        Step::WriteProc { path, value } => {
            format!("write {value:?} to /proc/{path}", value = value.to_string())
        }
        Step::NewKeyring { .. } => "make a session keyring".into(),
        Step::RaiseLimit { .. } => "raise a hard limit".into(),
        Step::SetRlimit { resource, soft, hard } => {
            let name =
                RlimitResource::from_number(*resource).map_or("of an unknown number", RlimitResource::name);
            format!("set resource limit {name} to {} (soft), {} (hard)", limit(*soft), limit(*hard))
        }
        Step::DropBounding { .. } => "drop capabilities from the bounding set".into(),
        Step::SetGroups { .. } => "set the additional groups".into(),
        Step::SetGid { gid } => format!("change to group {gid}"),
        Step::SetUid { uid } => format!("change to user {uid}"),
        Step::SetCapabilities { .. } => "set the capabilities".into(),
        Step::SetAmbient { .. } => "set the ambient capabilities".into(),
        Step::NoNewPrivileges {} => "give up new privileges".into(),
        Step::SetUmask { mask } => format!("set the umask {mask:04o}"),
        Step::TryDirectory { path } | Step::ChangeDirectory { path } => {
            format!("change to the working directory {path}")
        }
        Step::FindProgram { name, .. } => format!("find the command {name}"),
        Step::AwaitStart { .. } => "wait for start".into(),
        Step::AwaitGo {} => "wait for the runtime".into(),
        Step::NewRuleset { .. } => "make a Landlock ruleset".into(),
        Step::AllowPath { path, .. } => format!("allow {path} by Landlock"),
        Step::RestrictPaths {} => "restrict the process by Landlock".into(),
        Step::InstallFilter { .. } => "install the seccomp filter".into(),
        Step::Execute { args, .. } => {
            format!("execute {}", args.0.first().map(ToString::to_string).unwrap_or_default())
        }
        Step::ExecuteOpened { path, .. } => format!("execute {path}"),
        Step::SetScheduler { .. } => "set the scheduler".into(),
        Step::SetIoPriority { .. } => "set the I/O priority".into(),
        Step::SetMemoryPolicy { .. } => "set the memory policy".into(),
        Step::SetPersonality { .. } => "set the personality".into(),
        Step::CloseOnExec { .. } => "mark the descriptors".into(),
        Step::FindHome { .. } => "find the home directory".into(),
        Step::SetStreams { .. } => "set the streams".into(),
        Step::SetDescriptor { number, .. } => format!("pass descriptor {number}"),
        Step::ReopenNull { .. } => "open the null device of the root".into(),
        Step::GivePipes { .. } => "give the pipes of the streams to the user".into(),
        Step::End {} => "end".into(),
        Step::SetAffinity { .. } => "set the processors to run on".into(),
        Step::ResetAffinity {} => "run on all processors of the cpuset".into(),
        Step::NotDumpable {} => "become undumpable".into(),
        Step::CloseOthers { .. } => "close the descriptors".into(),
        Step::JoinNetwork {} => "join the network namespace made for the container".into(),
        Step::TakeDescriptors { .. } => "take the numbers of closed descriptors".into(),
        Step::LoopbackUp {} => "bring up the loopback device".into(),
    }
}

/// A resource limit in words.
fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}

/// The call as it was made, as far as the step tells: `open_tree(AT_FDCWD, "/data", CLONE)`.
pub fn syscall_text(step: &Step, call: Call) -> String {
    match (step, call) {
        (
            Step::Bind { source, recursive, .. } | Step::OpenSource { source, recursive, .. },
            Call::OpenTree,
        ) => {
            let flags = if *recursive { "CLONE|RECURSIVE" } else { "CLONE" };
            format!("open_tree(AT_FDCWD, \"{source}\", {flags})")
        }
        (Step::OpenRoot { path, .. }, Call::OpenTree) => {
            format!("open_tree(AT_FDCWD, \"{path}\", CLONE|RECURSIVE)")
        }
        (Step::Mount { fstype, .. } | Step::MakeMount { fstype, .. }, Call::Fsopen) => {
            format!("fsopen(\"{fstype}\")")
        }
        (
            Step::Mount { target, .. }
            | Step::Bind { target, .. }
            | Step::Attach { target, .. }
            | Step::FindMount { target, .. }
            | Step::OpenInside { source: target, .. }
            | Step::SetAttributes { target, .. }
            | Step::SetMountPropagation { target, .. }
            | Step::SetLabel { target, .. }
            | Step::Reconfigure { target, .. },
            Call::Openat2,
        ) => format!("openat2(root, \"{target}\", IN_ROOT)"),
        (
            Step::Mask { path, .. } | Step::Readonly { path } | Step::EnterDirectory { path },
            Call::Openat2,
        ) => {
            format!("openat2(root, \"{path}\", IN_ROOT)")
        }
        (Step::WriteProc { path, .. }, Call::Openat2) => format!("openat2(proc, \"{path}\", BENEATH)"),
        (Step::AllowPath { path, .. }, Call::Openat2) => format!("openat2(\"{path}\", PATH)"),
        (Step::MakeNode { name, .. }, Call::Mknodat) => format!("mknodat(\"{name}\")"),
        (Step::TryDirectory { path } | Step::ChangeDirectory { path }, Call::Chdir) => {
            format!("chdir(\"{path}\")")
        }
        (Step::SetGid { gid }, Call::Setresgid) => format!("setresgid({gid})"),
        (Step::SetUid { uid }, Call::Setresuid) => format!("setresuid({uid})"),
        _ => call.name().to_owned(),
    }
}

//! The process: terminal, hooks, limits, identity, rights, and the program.
//!
//! Pure. The order is the one that the kernel's rules force: what needs a right comes before the right is given up, and
//! the seccomp filter is the last of all, so that it sees only the program.

use std::collections::BTreeSet;

use init::Step;
use init::wire::{Bytes, CapabilityMask, Descriptor, Str, Strs, Words};
use spec::config::{
    Action, Architecture, Capabilities, Capability, CapabilitySet, Process, Seccomp, SyscallRule,
};
use spec::{Config, Text};

use super::groups::plan_groups;
use super::namespace_plan::NamespacePlan;
use super::{PlanError, PlanRequest, Purpose, Steps, confined, devices, landlock};
use crate::host::{HostFacts, StreamKind};
use crate::{Newlines, SessionKeyring};

/// What this machine executes.
const NATIVE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

/// Where a command is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Streams that the caller gives take the place of the runtime's.
pub(super) fn plan_streams(steps: &mut Steps, own_streams: u32) {
    for number in (0..3).filter(|number| own_streams & 1 << number != 0) {
        steps.push("", Step::SetDescriptor { descriptor: Descriptor::Stream(number as u16), number });
    }
}

pub(super) fn plan_terminal(
    steps: &mut Steps,
    config: &Config,
    newlines: Newlines,
    namespaces: &NamespacePlan,
) {
    let Some(process) = &config.process else { return };
    let Some(terminal) = process.terminal else { return };
    let host_dev = devices::host_dev(config);
    let step = Step::OpenTerminal {
        console: Descriptor::Console,
        rows: terminal.size.map_or(0, |size| size.height.into()),
        columns: terminal.size.map_or(0, |size| size.width.into()),
        uid: process.user.uid.get(),
        bind: namespaces.own_mounts && (!host_dev || namespaces.new_mount && !devices::shares_dev(config)),
        host_dev,
        translate: newlines == Newlines::Translated,
    };
    steps.push("/process/terminal", step);
}

/// A null device that the runtime was given is the host's: it becomes the root's, or the container could not be
/// checkpointed. A terminal replaces the streams anyway.
pub(super) fn plan_null_streams(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) {
    let terminal = config.process.as_ref().is_some_and(|process| process.terminal.is_some());
    let streams = host.streams_that(|kind| kind == StreamKind::Null);
    if streams != 0 && namespaces.own_mounts && !terminal {
        steps.push("/process", Step::ReopenNull { streams });
    }
}

/// Pipes become the user's: `/dev/stdout` and its like are opened anew, which their owner alone may.
fn plan_pipes(steps: &mut Steps, process: &Process, host: &HostFacts, namespaces: &NamespacePlan) {
    let uid = process.user.uid.get();
    // How an owner is called in a user namespace of the container's own, the runtime doesn't see.
    let is_foreign = |owner| namespaces.in_user_namespace || owner != uid;
    let streams = host.streams_that(|kind| matches!(kind, StreamKind::Pipe { owner } if is_foreign(owner)));
    if streams != 0 && process.terminal.is_none() {
        steps.push("/process/user/uid", Step::GivePipes { streams, uid });
    }
}

/// The runtime runs them; init waits.
pub(super) fn plan_hooks(steps: &mut Steps, config: &Config) {
    let hooks = &config.hooks;
    if !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty()) {
        let points = Strs(vec!["prestart".into(), "createRuntime".into()]);
        steps.push("/hooks", Step::AwaitHooks { points });
    }
    if !hooks.create_container.is_empty() {
        steps.push(
            "/hooks/createContainer",
            Step::AwaitHooks { points: Strs(vec!["createContainer".into()]) },
        );
    }
}

/// A parameter of a namespace that is joined by path is the container's only where that one is not the host's.
pub(super) fn check_sysctl(config: &Config, host: &HostFacts) -> Result<(), PlanError> {
    let of_host = config.linux.sysctl.iter().find(|it| host.host_namespaces.contains(&it.namespace));
    of_host.map_or(Ok(()), |sysctl| {
        let namespace = config.linux.namespaces.get(sysctl.namespace);
        let path = namespace.and_then(|it| it.path.as_deref()).map_or("", |path| &**path);
        let kind = sysctl.namespace.name();
        let message =
            format!("{} would be set on the host: {path} is the host's {kind} namespace", sysctl.key);
        Err(PlanError { pointer: sysctl_pointer(&sysctl.key).into(), message })
    })
}

fn sysctl_pointer(key: &str) -> String {
    format!("/linux/sysctl/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What is set by name or through a procfs of our own, while there are rights to.
pub(super) fn plan_kernel_settings(steps: &mut Steps, config: &Config, host: &HostFacts) {
    if let Some(name) = &config.hostname {
        steps.push("/hostname", Step::SetHostname { name: (&**name).into() });
    }
    if let Some(name) = &config.domainname {
        steps.push("/domainname", Step::SetDomainname { name: (&**name).into() });
    }
    for sysctl in &config.linux.sysctl {
        let path = format!("sys/{}", sysctl.path);
        let step = Step::WriteProc { path: path.as_str().into(), value: (&*sysctl.value).into() };
        steps.push(sysctl_pointer(&sysctl.key), step);
    }
    if config.linux.mount_label.is_some() && !host.selinux {
        steps.warn("/linux/mountLabel", "ignored: the host's kernel has no SELinux");
    }
    if let Some(process) = &config.process {
        plan_process_settings(steps, process, host);
    }
}

/// What only root of the host may set, before it joins a user namespace.
pub(super) fn plan_privileged_settings(steps: &mut Steps, process: &Process, host: &HostFacts) {
    if host.confinement.is_some() {
        return;
    }
    plan_oom_score(steps, process, host);
    for (index, limit) in process.rlimits.iter().enumerate() {
        let step = Step::RaiseLimit { resource: limit.resource.number(), hard: limit.hard };
        steps.push(format!("/process/rlimits/{index}"), step);
    }
}

fn plan_oom_score(steps: &mut Steps, process: &Process, host: &HostFacts) {
    let Some(adjustment) = process.oom_score_adj else { return };
    let value = confined::oom_score_adj(steps, adjustment.into(), host).to_string();
    let step = Step::WriteProc { path: "self/oom_score_adj".into(), value: value.as_str().into() };
    steps.push("/process/oomScoreAdj", step);
}

/// What of it is the process's own.
pub(super) fn plan_process_settings(steps: &mut Steps, process: &Process, host: &HostFacts) {
    plan_oom_score(steps, process, host);
    plan_labels(steps, process, host);
}

fn plan_labels(steps: &mut Steps, process: &Process, host: &HostFacts) {
    if let Some(profile) = &process.apparmor_profile {
        if host.apparmor {
            let value = format!("exec {profile}");
            let step =
                Step::WriteProc { path: "self/attr/apparmor/exec".into(), value: value.as_str().into() };
            steps.push("/process/apparmorProfile", step);
        } else {
            steps.warn("/process/apparmorProfile", "ignored: the host's kernel has no AppArmor");
        }
    }
    if let Some(label) = &process.selinux_label {
        if host.selinux {
            // The second is for the session keyring; execve takes both back.
            for path in ["self/attr/exec", "self/attr/keycreate"] {
                let step = Step::WriteProc { path: path.into(), value: (&**label).into() };
                steps.push("/process/selinuxLabel", step);
            }
        } else {
            steps.warn("/process/selinuxLabel", "ignored: the host's kernel has no SELinux");
        }
    }
}

pub(super) fn plan_process(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    request: &PlanRequest<'_>,
    namespaces: &NamespacePlan,
) -> Result<(), PlanError> {
    if request.session_keyring == SessionKeyring::New {
        let name = format!("_ses.{}", request.id);
        steps.push("", Step::NewKeyring { name: name.as_str().into() });
    }
    if let Some(personality) = config.linux.personality {
        let step = Step::SetPersonality { domain: personality as u32 };
        steps.push("/linux/personality", step);
    }
    plan_memory_policy(steps, config);
    let Some(process) = &config.process else {
        plan_wait(steps, config, request);
        return Ok(());
    };
    plan_scheduling(steps, process);
    // Before the limits: it opens paths.
    let restricted = landlock::plan_ruleset(steps, config, host)?;
    for (index, limit) in process.rlimits.iter().enumerate() {
        let step = Step::SetRlimit { resource: limit.resource.number(), soft: limit.soft, hard: limit.hard };
        steps.push(format!("/process/rlimits/{index}"), step);
    }
    let filter = compile_filter(steps, config)?;
    let needs_admin = (filter.is_some() || restricted) && !process.no_new_privileges;
    // The switch of the root left it in "/".
    let directory = Some(&**process.cwd).filter(|_| &**process.cwd.as_text() != "/");
    if let Some(path) = directory {
        steps.push("/process/cwd", Step::TryDirectory { path: path.into() });
    }
    plan_credentials(steps, config, process, host, namespaces, needs_admin)?;
    steps.push("/process/user/umask", Step::SetUmask { mask: process.user.umask });
    if process.no_new_privileges {
        steps.push("/process/noNewPrivileges", Step::NoNewPrivileges {});
    }
    if let Some(path) = directory {
        steps.push("/process/cwd", Step::ChangeDirectory { path: path.into() });
    }
    plan_program(steps, process, request.purpose);
    let env = environment(process);
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        steps.push("/process/env", Step::FindHome { uid: process.user.uid.get() });
    }
    if restricted {
        steps.push("/annotations", Step::RestrictPaths {});
    }
    plan_wait(steps, config, request);
    if let Some((flags, program)) = filter {
        steps.push("/linux/seccomp", Step::InstallFilter { flags, program });
    }
    let mut env = texts(env);
    if request.listen_fds > 0 {
        // sd_listen_fds(3): they are for the process of this pid, which is known where it is the first.
        let pid = namespaces.new_pid.then(|| "LISTEN_PID=1".to_owned());
        let entries = [format!("LISTEN_FDS={}", request.listen_fds)].into_iter().chain(pid);
        env.0.extend(entries.map(|entry| Str::from(entry.as_str())));
    }
    steps.push("/process/args", Step::Execute { args: texts(&process.args), env });
    Ok(())
}

/// The environment, with the last entry of each name alone: what `getenv(3)` finds of several depends on the C library. An
/// empty `HOME` is none, as for runc.
fn environment(process: &Process) -> Vec<&Text> {
    let name = |entry: &Text| entry.split('=').next().unwrap_or_default().to_owned();
    let mut names = BTreeSet::new();
    let mut entries: Vec<&Text> =
        process.env.iter().rev().filter(|entry| names.insert(name(entry)) && &***entry != "HOME=").collect();
    entries.reverse();
    entries
}

fn texts<'a>(list: impl IntoIterator<Item = &'a Text>) -> Strs {
    Strs(list.into_iter().map(|text| Str::from(&**text)).collect())
}

fn plan_memory_policy(steps: &mut Steps, config: &Config) {
    let Some(policy) = &config.linux.memory_policy else { return };
    let words = policy.nodes.last().map_or(0, |last| *last as usize / 64 + 1);
    let mut nodes = vec![0_u64; words];
    for node in &policy.nodes {
        nodes[*node as usize / 64] |= 1 << (node % 64);
    }
    let nodes = nodes.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect();
    let mode = policy.mode as u32 | policy.flags;
    steps.push("/linux/memoryPolicy", Step::SetMemoryPolicy { mode, nodes: Words(nodes) });
}

fn plan_scheduling(steps: &mut Steps, process: &Process) {
    if let Some(scheduler) = process.scheduler {
        let step = Step::SetScheduler {
            policy: scheduler.policy as u32,
            flags: scheduler.flags,
            nice: scheduler.nice,
            priority: scheduler.priority,
            runtime_ns: scheduler.runtime_ns,
            deadline_ns: scheduler.deadline_ns,
            period_ns: scheduler.period_ns,
        };
        steps.push("/process/scheduler", step);
    }
    if let Some(priority) = process.io_priority {
        let step = Step::SetIoPriority { class: priority.class as u32, priority: priority.priority.into() };
        steps.push("/process/ioPriority", step);
    }
}

/// The seccomp program, with the bits of seccomp(2).
fn compile_filter(steps: &mut Steps, config: &Config) -> Result<Option<(u32, Bytes)>, PlanError> {
    let Some(profile) = &config.linux.seccomp else { return Ok(None) };
    let pointer = "/linux/seccomp";
    if config.process.is_some() && denies_execve(profile) {
        let message = "the filter denies execve, by which the command is started: allow it".to_owned();
        return Err(PlanError { pointer: pointer.into(), message });
    }
    let compiled = crate::seccomp::compile(profile, NATIVE)
        .map_err(|error| PlanError { pointer: error.pointer().into(), message: error.to_string() })?;
    steps.warnings.extend(compiled.warnings);
    let filter = compiled.value;
    Ok(Some((filter.flags(), Bytes(filter.as_bytes().to_vec()))))
}

/// Whether no command can be started under this filter. Where a rule has conditions, the kernel is asked.
fn denies_execve(profile: &Seccomp) -> bool {
    let denies =
        |action: Action| !matches!(action, Action::Allow | Action::Log | Action::Notify | Action::Trace(_));
    let rules = || {
        let names = |rule: &&SyscallRule| rule.names.iter().any(|name| &**name == "execve");
        profile.syscalls.iter().filter(names)
    };
    if rules().next().is_none() {
        return denies(profile.default_action);
    }
    rules().all(|rule| rule.args.is_empty() && denies(rule.action))
}

/// keyring → bounding set → groups → gid → uid → capability sets → ambient set.
fn plan_credentials(
    steps: &mut Steps,
    config: &Config,
    process: &Process,
    host: &HostFacts,
    namespaces: &NamespacePlan,
    needs_admin: bool,
) -> Result<(), PlanError> {
    let all = CapabilitySet::from_bits(u64::MAX);
    // A user namespace's first processes have every capability in it.
    let available = if namespaces.in_user_namespace { all } else { host.bounding };
    let capabilities = grantable(steps, &process.capabilities, available);
    let dropped = available.bits() & !capabilities.bounding.bits() | host.unnamed_capabilities;
    if dropped != 0 {
        let step = Step::DropBounding { dropped: CapabilityMask(dropped) };
        steps.push("/process/capabilities/bounding", step);
    }
    let user = &process.user;
    plan_groups(steps, config, user, host)?;
    plan_pipes(steps, process, host, namespaces);
    steps.push("/process/user/gid", Step::SetGid { gid: user.gid.get() });
    steps.push("/process/user/uid", Step::SetUid { uid: user.uid.get() });
    // Without noNewPrivileges only CAP_SYS_ADMIN may install a filter, or restrict by Landlock. It is kept until then; execve computes the
    // program's sets anew from the inheritable, ambient and bounding sets, so that it never gets there.
    let kept = match Capability::from_name("CAP_SYS_ADMIN") {
        Some(admin) if needs_admin => 1_u64 << admin.number(),
        _ => 0,
    };
    let step = Step::SetCapabilities {
        effective: CapabilityMask(capabilities.effective.bits() | kept),
        permitted: CapabilityMask(capabilities.permitted.bits() | kept),
        inheritable: CapabilityMask(capabilities.inheritable.bits()),
    };
    steps.push("/process/capabilities", step);
    // What is not inheritable leaves the ambient set by itself (capabilities(7)).
    if capabilities.inheritable.bits() != 0 {
        let ambient = CapabilityMask(capabilities.ambient.bits());
        steps.push("/process/capabilities/ambient", Step::SetAmbient { ambient });
    }
    Ok(())
}

/// What can be had of what is asked; a warning for the rest.
fn grantable(steps: &mut Steps, asked: &Capabilities, available: CapabilitySet) -> Capabilities {
    let mut trim = |name: &str, set: CapabilitySet| {
        let granted = set.intersection(available);
        if granted != set {
            let missing: Vec<_> =
                set.iter().filter(|one| !granted.contains(*one)).map(Capability::name).collect();
            let message = format!(
                "ignoring unknown or unavailable capabilities: [{}]: the runtime itself has not got them",
                missing.join(" ")
            );
            steps.warn(&format!("/process/capabilities/{name}"), message);
        }
        granted
    };
    Capabilities {
        effective: trim("effective", asked.effective),
        bounding: trim("bounding", asked.bounding),
        inheritable: trim("inheritable", asked.inheritable),
        permitted: trim("permitted", asked.permitted),
        ambient: trim("ambient", asked.ambient),
    }
}

fn plan_program(steps: &mut Steps, process: &Process, purpose: Purpose) {
    let Some(name) = process.args.first() else { return };
    // A path is checked by execve itself, where that comes at once.
    if purpose != Purpose::Create && name.contains('/') {
        return;
    }
    let search =
        process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    steps.push("/process/args/0", Step::FindProgram { name: (&**name).into(), path: search.into() });
}

fn plan_wait(steps: &mut Steps, config: &Config, request: &PlanRequest<'_>) {
    match request.purpose {
        Purpose::Create => steps.push("", Step::AwaitStart { gate: Descriptor::Gate }),
        Purpose::Run => steps.push("", Step::AwaitGo {}),
        // The container's hooks have run.
        Purpose::Exec => return steps.push("", Step::AwaitGo {}),
    }
    if !config.hooks.start_container.is_empty() {
        steps.push("/hooks/startContainer", Step::AwaitHooks { points: Strs(vec!["startContainer".into()]) });
    }
}

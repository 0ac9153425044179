//! The process: hooks, limits, identity, rights, and the program.
//!
//! Pure. The order is the one that the kernel's rules force: what needs a right comes before the right is given up, and
//! the seccomp filter is the last of all, so that it sees only the program.

use std::collections::BTreeSet;

use init::Step;
use init::wire::{Descriptor, Str, Strs, Words};
use spec::config::Process;
use spec::{Config, Text};

use super::credentials::plan_credentials;
use super::filter::compile_filter;
use super::namespace_plan::NamespacePlan;
use super::{PlanError, PlanRequest, Purpose, Steps, landlock};
use crate::SessionKeyring;
use crate::host::HostFacts;

/// Where a command is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

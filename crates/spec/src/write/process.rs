//! `process`.

use serde_json::Value;

use super::{Object, list, strings};
use crate::check::list::format_list;
use crate::config::names::{SCHEDULER_FLAGS, flag_names};
use crate::config::{
    Capabilities, Capability, CapabilitySet, ExecCpuAffinity, Process, Rlimit, Scheduler, User,
};

pub(super) fn write_process(process: &Process) -> Value {
    let size = process.terminal.and_then(|terminal| terminal.size);
    let size = size.map(|size| Object::default().with("height", size.height).with("width", size.width));
    let io_priority = process.io_priority.map(|priority| {
        Object::default().with("class", priority.class.name()).with("priority", priority.priority)
    });
    Object::default()
        .with("terminal", process.terminal.is_some())
        .with_some("consoleSize", size)
        .with("user", write_user(&process.user))
        .with("args", strings(&process.args))
        .with_filled("env", strings(&process.env))
        .with("cwd", &**process.cwd)
        .with("capabilities", write_capabilities(&process.capabilities))
        .with_filled("rlimits", list(&process.rlimits, write_rlimit))
        .with("noNewPrivileges", process.no_new_privileges)
        .with_some("oomScoreAdj", process.oom_score_adj)
        .with_some("apparmorProfile", process.apparmor_profile.as_deref())
        .with_some("selinuxLabel", process.selinux_label.as_deref())
        .with_some("scheduler", process.scheduler.as_ref().map(write_scheduler))
        .with_some("ioPriority", io_priority)
        .with_filled("execCPUAffinity", write_affinity(&process.exec_cpu_affinity))
        .into()
}

fn write_user(user: &User) -> Object {
    let gids: Vec<u32> = user.additional_gids.iter().map(|gid| gid.get()).collect();
    Object::default()
        .with("uid", user.uid.get())
        .with("gid", user.gid.get())
        .with("umask", user.umask)
        .with_filled("additionalGids", gids)
}

fn write_capabilities(capabilities: &Capabilities) -> Object {
    let names = |set: CapabilitySet| -> Value { set.iter().map(Capability::name).collect() };
    Object::default()
        .with("effective", names(capabilities.effective))
        .with("bounding", names(capabilities.bounding))
        .with("inheritable", names(capabilities.inheritable))
        .with("permitted", names(capabilities.permitted))
        .with("ambient", names(capabilities.ambient))
}

fn write_rlimit(rlimit: &Rlimit) -> Value {
    Object::default()
        .with("type", rlimit.resource.name())
        .with("soft", rlimit.soft)
        .with("hard", rlimit.hard)
        .into()
}

fn write_scheduler(scheduler: &Scheduler) -> Object {
    Object::default()
        .with("policy", scheduler.policy.name())
        .with("nice", scheduler.nice)
        .with("priority", scheduler.priority)
        .with_filled("flags", flag_names(SCHEDULER_FLAGS, scheduler.flags))
        .with("runtime", scheduler.runtime_ns)
        .with("deadline", scheduler.deadline_ns)
        .with("period", scheduler.period_ns)
}

fn write_affinity(affinity: &ExecCpuAffinity) -> Object {
    Object::default()
        .with_some("initial", affinity.initial.as_deref().map(format_list))
        .with_some("final", affinity.final_.as_deref().map(format_list))
}

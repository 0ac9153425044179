//! `process`.

use super::list;
use super::scheduler::{check_io_priority, check_scheduler};
use crate::config::{
    Capabilities, Capability, CapabilitySet, ConsoleSize, ExecCpuAffinity, Id, Process, Rlimit,
    RlimitResource, Terminal, User,
};
use crate::field::{Field, Object};
use crate::report::{Report, quote};

pub(super) const CLAUSE: &str = "config.md#process";
const POSIX: &str = "config.md#posix-process";
pub(super) const LINUX: &str = "config.md#linux-process";
const USER: &str = "config.md#posix-platform-user";

/// The mask of a process whose config has none: a fixed one, not whatever the caller of the runtime has.
const UMASK: u32 = 0o022;

/// Checks a `process`; absent is `None` too.
pub(crate) fn check_process(field: Field<'_, '_>, report: &mut Report) -> Option<Process> {
    let known = &[
        "terminal",
        "consoleSize",
        "user",
        "args",
        "commandLine",
        "env",
        "cwd",
        "capabilities",
        "rlimits",
        "noNewPrivileges",
        "apparmorProfile",
        "oomScoreAdj",
        "scheduler",
        "selinuxLabel",
        "ioPriority",
        "execCPUAffinity",
    ];
    let process = field.object(report, CLAUSE, known)?;
    let terminal = check_terminal(&process, report);
    let user = check_user(process.field("user").of(USER), report);
    let args_field = process.field("args");
    let args = args_field.texts(report);
    if !args_field.is_present() || args_field.is_empty_array() {
        args_field.violate(report, "must have at least one entry");
    }
    let env_field = process.field("env");
    let env = env_field.texts(report);
    for (index, entry) in env.iter().enumerate().filter(|(_, entry)| !entry.contains('=')) {
        let at = crate::report::Pointer::Index(&env_field.at, index);
        report.warn(at, format!("{} has no '=': passed on as it is", quote(entry)));
    }
    let cwd = process.field("cwd").required(report).absolute_path(report);
    let is_root = user.as_ref().is_some_and(|user| user.uid == Id::ROOT);
    let capabilities = check_capabilities(process.field("capabilities").of(LINUX), is_root, report);
    let rlimits = check_rlimits(process.field("rlimits").of(POSIX), report);
    let no_new_privileges = process.field("noNewPrivileges").of(LINUX).bool(report).unwrap_or(false);
    let oom_score_adj = process.field("oomScoreAdj").of(LINUX).within(report, -1000, 1000);
    let apparmor_profile = process.field("apparmorProfile").of(LINUX).text_if_set(report);
    let selinux_label = process.field("selinuxLabel").of(LINUX).text_if_set(report);
    let scheduler = check_scheduler(process.field("scheduler").of(LINUX), report);
    let io_priority = check_io_priority(process.field("ioPriority").of(LINUX), report);
    let exec_cpu_affinity = check_affinity(process.field("execCPUAffinity").of(LINUX), report);
    Some(Process {
        terminal,
        user: user?,
        args,
        env,
        cwd: cwd?,
        capabilities,
        rlimits,
        no_new_privileges,
        oom_score_adj: oom_score_adj.map(|score| score as i16),
        apparmor_profile,
        selinux_label,
        scheduler,
        io_priority,
        exec_cpu_affinity,
    })
}

/// The size counts only with a terminal.
fn check_terminal(process: &Object<'_, '_>, report: &mut Report) -> Option<Terminal> {
    if !process.field("terminal").bool(report).unwrap_or(false) {
        return None;
    }
    let Some(size) = process.field("consoleSize").object(report, CLAUSE, &["height", "width"]) else {
        return Some(Terminal { size: None });
    };
    let height = size.field("height").required(report).within(report, 0, u16::MAX.into());
    let width = size.field("width").required(report).within(report, 0, u16::MAX.into());
    Some(Terminal { size: Some(ConsoleSize { height: height? as u16, width: width? as u16 }) })
}

fn check_user(field: Field<'_, '_>, report: &mut Report) -> Option<User> {
    if !field.is_present() {
        return Some(User {
            uid: Default::default(),
            gid: Default::default(),
            umask: UMASK,
            additional_gids: vec![],
        });
    }
    let user = field.object(report, USER, &["uid", "gid", "umask", "additionalGids", "username"])?;
    let uid = user.field("uid").required(report).id(report);
    let gid_field = user.field("gid");
    if !gid_field.is_present() {
        // Required; every runtime takes it as 0, and configs written by hand rely on it.
        report.warn(gid_field.at, "is required, and absent: taken as 0");
    }
    let gid = if gid_field.is_present() { gid_field.id(report) } else { Some(Id::ROOT) };
    let umask = user.field("umask").within(report, 0, 0o777).map_or(UMASK, |umask| umask as u32);
    let additional_gids =
        user.field("additionalGids").items(report).filter_map(|item| item.id(report)).collect();
    Some(User { uid: uid?, gid: gid?, umask, additional_gids })
}

/// Absent is none. What the kernel would refuse is dropped with a warning: the spec wants a container that asks for too
/// much to run.
fn check_capabilities(field: Field<'_, '_>, is_root: bool, report: &mut Report) -> Capabilities {
    let known = &["effective", "bounding", "inheritable", "permitted", "ambient"];
    let Some(sets) = field.object(report, LINUX, known) else { return Capabilities::default() };
    let bounding = check_set(sets.field("bounding"), report);
    let permitted = check_set(sets.field("permitted"), report);
    let inheritable = check_set(sets.field("inheritable"), report);
    let effective = check_set(sets.field("effective"), report);
    let ambient = check_set(sets.field("ambient"), report);

    let inheritable = trim(sets.field("inheritable"), inheritable, bounding, "bounding", report);
    let effective = trim(sets.field("effective"), effective, permitted, "permitted", report);
    let both = permitted.intersection(inheritable);
    // At execve root gets what is bounding (capabilities(7)), which ambient would add for others.
    let had_by_root = if is_root { permitted.intersection(bounding) } else { CapabilitySet::EMPTY };
    let granted = CapabilitySet::from_bits(both.bits() | had_by_root.bits());
    if let Some(names) = exceeding(ambient, granted) {
        let message = format!("can't raise ambient capability {names}: not in permitted and inheritable");
        report.warn(sets.field("ambient").at, message);
    }
    let ambient = ambient.intersection(both);
    Capabilities { effective, bounding, inheritable, permitted, ambient }
}

fn check_set(field: Field<'_, '_>, report: &mut Report) -> CapabilitySet {
    let mut set = CapabilitySet::EMPTY;
    for item in field.items(report) {
        let Some(name) = item.str(report) else { continue };
        match Capability::from_name(name) {
            Some(capability) => set.insert(capability),
            None => report.warn(item.at, format!("ignoring unknown or unavailable capabilities: [{name}]")),
        }
    }
    set
}

fn trim(
    field: Field<'_, '_>,
    set: CapabilitySet,
    limit: CapabilitySet,
    limit_name: &str,
    report: &mut Report,
) -> CapabilitySet {
    if let Some(names) = exceeding(set, limit) {
        report.warn(field.at, format!("{names} dropped: not in {limit_name}"));
    }
    set.intersection(limit)
}

/// The names of what is in a set beyond its limit.
fn exceeding(set: CapabilitySet, limit: CapabilitySet) -> Option<String> {
    let beyond = CapabilitySet::from_bits(set.bits() & !limit.bits());
    let names: Vec<&str> = beyond.iter().map(Capability::name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn check_rlimits(field: Field<'_, '_>, report: &mut Report) -> Vec<Rlimit> {
    let mut rlimits: Vec<Rlimit> = Vec::new();
    for item in field.items(report) {
        let Some(rlimit) = item.object(report, POSIX, &["type", "soft", "hard"]) else { continue };
        let type_field = rlimit.field("type").required(report);
        let (soft_field, hard_field) =
            (rlimit.field("soft").required(report), rlimit.field("hard").required(report));
        let (soft, hard) = (soft_field.u64(report), hard_field.u64(report));
        if let (Some(soft), Some(hard)) = (soft, hard)
            && soft > hard
        {
            soft_field.violate(report, format!("must be at most the hard limit {hard}"));
        }
        let Some(name) = type_field.str(report) else { continue };
        let Some(resource) = RlimitResource::from_name(name) else {
            type_field.violate(report, "must be a resource of getrlimit(2), such as RLIMIT_NOFILE");
            continue;
        };
        if rlimits.iter().any(|earlier| earlier.resource == resource) {
            type_field.violate(report, "must be there once");
            continue;
        }
        if let (Some(soft), Some(hard)) = (soft, hard) {
            rlimits.push(Rlimit { resource, soft, hard });
        }
    }
    rlimits
}

fn check_affinity(field: Field<'_, '_>, report: &mut Report) -> ExecCpuAffinity {
    let Some(affinity) = field.object(report, LINUX, &["initial", "final"]) else {
        return ExecCpuAffinity::default();
    };
    let initial = check_list(affinity.field("initial"), report);
    let final_ = check_list(affinity.field("final"), report);
    ExecCpuAffinity { initial, final_ }
}

/// A list of processors or nodes; the empty string is none.
pub(super) fn check_list(field: Field<'_, '_>, report: &mut Report) -> Option<Vec<u32>> {
    let numbers = list::parse_list(field.str_if_set(report)?);
    if numbers.is_none() {
        field.violate(report, list::RULE);
    }
    numbers
}

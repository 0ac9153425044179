//! `linux.seccomp`.

use crate::config::{
    Action, Architecture, ArgumentCondition, Comparison, FilterFlags, Listener, Seccomp, SyscallRule,
};
use crate::field::{Field, Object};
use crate::report::Report;

const CLAUSE: &str = "config-linux.md#seccomp";
const EPERM: u16 = 1;
/// The kernel returns no greater errno from a filter (`MAX_ERRNO`).
const MAX_ERRNO: i64 = 4095;

/// Absent is `None` too.
pub(super) fn check_seccomp(field: Field<'_, '_>, report: &mut Report) -> Option<Seccomp> {
    let known = &[
        "defaultAction",
        "defaultErrnoRet",
        "architectures",
        "flags",
        "listenerPath",
        "listenerMetadata",
        "syscalls",
    ];
    let seccomp = field.object(report, CLAUSE, known)?;
    let default_field = seccomp.field("defaultAction").required(report);
    let default_action = check_action(default_field, seccomp.field("defaultErrnoRet"), report);
    if default_action == Some(Action::Notify) {
        default_field.violate(report, "must not notify: the process could not even hand over its descriptor");
    }
    let mut architectures: Vec<Architecture> = Vec::new();
    for item in seccomp.field("architectures").items(report) {
        if let Some(architecture) = item.name(report)
            && !architectures.contains(&architecture)
        {
            architectures.push(architecture);
        }
    }
    let flags_field = seccomp.field("flags");
    // As with runc, without a word the filter does not slow the process down: kernels before 5.16 would turn on mitigations
    // of speculation with it. An empty list leaves them on.
    let mut flags = FilterFlags { spec_allow: !flags_field.is_present(), ..FilterFlags::default() };
    for item in flags_field.items(report) {
        match item.str(report) {
            Some("SECCOMP_FILTER_FLAG_TSYNC") => flags.tsync = true,
            Some("SECCOMP_FILTER_FLAG_LOG") => flags.log = true,
            Some("SECCOMP_FILTER_FLAG_SPEC_ALLOW") => flags.spec_allow = true,
            Some("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") => flags.wait_killable_recv = true,
            Some(_) => {
                let rule = format!("must be one of {}", FilterFlags::NAMES.join(", "));
                item.violate(report, rule);
            }
            None => {}
        }
    }
    let rules_field = seccomp.field("syscalls");
    let rules = rules_field.checked(report, check_rule);
    let notifies = rules.as_ref().is_some_and(|rules| rules.iter().any(|rule| rule.action == Action::Notify));
    let listener = check_listener(&seccomp, notifies, report);
    if flags.wait_killable_recv && !notifies {
        // The kernel refuses the flag without a listener.
        report.warn(flags_field.at, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is ignored: no rule notifies");
        flags.wait_killable_recv = false;
    }
    Some(Seccomp { default_action: default_action?, architectures, flags, listener, syscalls: rules? })
}

fn check_listener(seccomp: &Object<'_, '_>, notifies: bool, report: &mut Report) -> Option<Listener> {
    let (path_field, metadata_field) = (seccomp.field("listenerPath"), seccomp.field("listenerMetadata"));
    let path = path_field.text_if_set(report);
    let metadata = metadata_field.str_if_set(report);
    if path.is_none() && metadata.is_some() {
        metadata_field.violate(report, "must not be set without listenerPath");
    }
    if path.is_none() && notifies {
        path_field.violate(report, "is required by the action SCMP_ACT_NOTIFY");
    }
    Some(Listener { path: path.filter(|_| notifies)?, metadata: metadata.unwrap_or_default().to_owned() })
}

fn check_action(field: Field<'_, '_>, errno_field: Field<'_, '_>, report: &mut Report) -> Option<Action> {
    let action = Action::from_name(field.str(report)?);
    match action {
        None => field.violate(report, format!("must be one of {}", Action::NAMES.join(", "))),
        Some(Action::Errno(_)) => {
            let errno = errno_field.within(report, 0, MAX_ERRNO);
            return Some(Action::Errno(errno.map_or(EPERM, |errno| errno as u16)));
        }
        Some(Action::Trace(_)) => {
            let data = errno_field.within(report, 0, u16::MAX.into());
            return Some(Action::Trace(data.map_or(EPERM, |data| data as u16)));
        }
        Some(action) if errno_field.is_present() => {
            errno_field.violate(report, format!("must be absent: {} takes no errno", action.name()));
        }
        Some(_) => {}
    }
    action
}

fn check_rule(field: Field<'_, '_>, report: &mut Report) -> Option<SyscallRule> {
    let rule = field.object(report, CLAUSE, &["names", "action", "errnoRet", "args"])?;
    let names_field = rule.field("names").required(report);
    if names_field.is_empty_array() {
        names_field.violate(report, "must have at least one entry");
    }
    let names = names_field.items(report).filter_map(|item| item.filled_text(report)).collect();
    let action = check_action(rule.field("action").required(report), rule.field("errnoRet"), report);
    let args_field = rule.field("args");
    let args = args_field.checked(report, check_argument);
    Some(SyscallRule { names, action: action?, args: args? })
}

fn check_argument(field: Field<'_, '_>, report: &mut Report) -> Option<ArgumentCondition> {
    let condition = field.object(report, CLAUSE, &["index", "value", "valueTwo", "op"])?;
    let index = condition.field("index").required(report).within(report, 0, 5);
    let value = condition.field("value").required(report).u64(report);
    let value_two = condition.field("valueTwo").u64(report).unwrap_or(0);
    let op_field = condition.field("op").required(report);
    let op = op_field.str(report);
    let (index, value) = (index? as u8, value?);
    let (comparison, value) = match op? {
        "SCMP_CMP_NE" => (Comparison::NotEqual, value),
        "SCMP_CMP_LT" => (Comparison::Less, value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, value),
        "SCMP_CMP_EQ" => (Comparison::Equal, value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, value),
        "SCMP_CMP_GT" => (Comparison::Greater, value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual { mask: value }, value_two),
        _ => {
            op_field.violate(report, format!("must be one of {}", Comparison::NAMES.join(", ")));
            return None;
        }
    };
    Some(ArgumentCondition { index, comparison, value })
}

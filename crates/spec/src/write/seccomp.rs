//! `linux.seccomp`.

use serde_json::Value;

use super::{Object, list, strings};
use crate::config::{Action, Architecture, ArgumentCondition, Comparison, FilterFlags, Seccomp, SyscallRule};

pub(super) fn write_seccomp(seccomp: &Seccomp) -> Object {
    let architectures: Value = seccomp.architectures.iter().copied().map(Architecture::name).collect();
    let listener = seccomp.listener.as_ref();
    let metadata = listener.map(|listener| &*listener.metadata).filter(|metadata| !metadata.is_empty());
    Object::default()
        .with("defaultAction", seccomp.default_action.name())
        .with_some("defaultErrnoRet", number(seccomp.default_action))
        .with_filled("architectures", architectures)
        .with("flags", flags(seccomp.flags))
        .with_some("listenerPath", listener.map(|listener| &*listener.path))
        .with_some("listenerMetadata", metadata)
        .with_filled("syscalls", list(&seccomp.syscalls, write_rule))
}

/// The number of an action that takes one.
fn number(action: Action) -> Option<u16> {
    match action {
        Action::Errno(number) | Action::Trace(number) => Some(number),
        _ => None,
    }
}

fn flags(flags: FilterFlags) -> Vec<&'static str> {
    let set = [flags.tsync, flags.log, flags.spec_allow, flags.wait_killable_recv];
    FilterFlags::NAMES.into_iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name).collect()
}

fn write_rule(rule: &SyscallRule) -> Value {
    Object::default()
        .with("names", strings(&rule.names))
        .with("action", rule.action.name())
        .with_some("errnoRet", number(rule.action))
        .with_filled("args", list(&rule.args, write_condition))
        .into()
}

fn write_condition(condition: &ArgumentCondition) -> Value {
    let (value, value_two) = match condition.comparison {
        Comparison::MaskedEqual { mask } => (mask, Some(condition.value)),
        _ => (condition.value, None),
    };
    Object::default()
        .with("index", condition.index)
        .with("value", value)
        .with_some("valueTwo", value_two)
        .with("op", condition.comparison.name())
        .into()
}

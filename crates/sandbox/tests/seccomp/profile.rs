//! Profiles for the tests: from JSON in the form of `linux.seccomp`, and short rules.

use serde_json::Value;
use spec::Text;
use spec::config::{Action, Architecture, ArgumentCondition, Comparison, FilterFlags, Seccomp, SyscallRule};

/// A profile as engines write it for a container with their default capabilities.
pub(crate) fn engine_default() -> Seccomp {
    parse(include_str!("default-profile.json"))
}

pub(crate) fn seccomp(
    default_action: Action,
    architectures: &[Architecture],
    syscalls: Vec<SyscallRule>,
) -> Seccomp {
    Seccomp {
        default_action,
        architectures: architectures.to_vec(),
        flags: FilterFlags::default(),
        listener: None,
        syscalls,
    }
}

pub(crate) fn rule(names: &[&str], action: Action, args: &[ArgumentCondition]) -> SyscallRule {
    let names = names.iter().map(|name| Text::new(*name).unwrap()).collect();
    SyscallRule { names, action, args: args.to_vec() }
}

pub(crate) fn when(index: u8, comparison: Comparison, value: u64) -> ArgumentCondition {
    ArgumentCondition { index, comparison, value }
}

fn parse(json: &str) -> Seccomp {
    let json: Value = serde_json::from_str(json).unwrap();
    let action = |value: &Value, errno: &Value| match value.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.as_u64().unwrap_or(1) as u16),
        other => panic!("{other}"),
    };
    let condition = |value: &Value| {
        let (one, two) = (value["value"].as_u64().unwrap(), value["valueTwo"].as_u64().unwrap_or(0));
        let (comparison, value_) = match value["op"].as_str().unwrap() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, one),
            "SCMP_CMP_EQ" => (Comparison::Equal, one),
            "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual { mask: one }, two),
            other => panic!("{other}"),
        };
        when(value["index"].as_u64().unwrap() as u8, comparison, value_)
    };
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let architectures = array(&json["architectures"]).into_iter().map(|name| match name.as_str().unwrap() {
        "SCMP_ARCH_X86_64" => Architecture::X86_64,
        "SCMP_ARCH_X86" => Architecture::X86,
        "SCMP_ARCH_X32" => Architecture::X32,
        other => panic!("{other}"),
    });
    let rules = array(&json["syscalls"])
        .iter()
        .map(|value| SyscallRule {
            names: array(&value["names"])
                .iter()
                .map(|name| Text::new(name.as_str().unwrap()).unwrap())
                .collect(),
            action: action(&value["action"], &value["errnoRet"]),
            args: array(&value["args"]).iter().map(condition).collect(),
        })
        .collect();
    seccomp(
        action(&json["defaultAction"], &json["defaultErrnoRet"]),
        &architectures.collect::<Vec<_>>(),
        rules,
    )
}

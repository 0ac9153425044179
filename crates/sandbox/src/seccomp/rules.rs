//! What the rules of a configuration say of each system call of one architecture.
//!
//! As runc asks libseccomp for it: rules in their order; a rule whose action is the default is none; a name that the
//! architecture does not have is no rule there; a rule with two conditions on one argument is one rule for each of its
//! conditions. A call that the architecture also carries in `socketcall` or `ipc` has its rule there too.
//! Pure; runs in the runtime.

use spec::config::{Action, Architecture, ArgumentCondition, Comparison, Seccomp, SyscallRule};

use super::architecture::{Facts, Width};
use super::conditions::{Alternatives, Case};
use super::syscalls::Syscall;
use super::{Error, return_value};
use crate::outcome::Warning;

/// What happens to a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Whatever the arguments.
    Return(u32),
    /// The first of the cases that holds, else the default action.
    Cases(Vec<Case>),
}

/// A name of a rule, and the call it is.
pub(super) struct Name<'a> {
    name: &'a str,
    syscall: Syscall,
    rule: usize,
}

/// All names of all rules, in order. Warns of those that no architecture has.
pub(super) fn resolve<'a>(seccomp: &'a Seccomp, warnings: &mut Vec<Warning>) -> Vec<Name<'a>> {
    let mut names = Vec::with_capacity(seccomp.syscalls.iter().map(|rule| rule.names.len()).sum());
    for (rule, of_rule) in seccomp.syscalls.iter().enumerate() {
        for (index, name) in of_rule.names.iter().enumerate() {
            match Syscall::by_name(name) {
                Some(syscall) => names.push(Name { name, syscall, rule }),
                None => warnings.push(Warning {
                    pointer: Some(format!("/linux/seccomp/syscalls/{rule}/names/{index}")),
                    message: format!("unknown system call {:?} is ignored", &**name),
                }),
            }
        }
    }
    names
}

/// The calls of one architecture that rules speak of.
pub(super) struct Calls {
    /// By number, ascending, each once.
    pub(super) verdicts: Vec<(u32, Verdict)>,
    /// The highest number that the profile names, also where the rule says nothing new. ARM's private numbers, far
    /// above all others, don't count.
    pub(super) highest: Option<u32>,
}

/// A rule for a number.
struct Entry<'a> {
    number: u32,
    name: &'a Name<'a>,
    /// In `socketcall` or `ipc`: the first argument that stands for the call.
    multiplexed: Option<u32>,
}

/// Gathers the rules for `architecture`.
pub(super) fn calls(
    seccomp: &Seccomp,
    names: &[Name<'_>],
    architecture: Architecture,
    warnings: &mut Vec<Warning>,
) -> Result<Calls, Error> {
    const ARM_PRIVATE_BASE: u32 = 0x0f_0000;

    let facts = Facts::of(architecture);
    let mut entries = Vec::with_capacity(names.len());
    let mut highest = None;
    for name in names {
        let number = facts.number(name.syscall);
        highest = highest
            .max(number.filter(|number| !(ARM_PRIVATE_BASE..ARM_PRIVATE_BASE + 0x100).contains(number)));
        if seccomp.syscalls[name.rule].action == seccomp.default_action {
            continue;
        }
        if let Some((multiplexer, first)) = facts.multiplexer(name.name)
            && let Some(number) = Syscall::by_name(multiplexer).and_then(|syscall| facts.number(syscall))
        {
            entries.push(Entry { number, name, multiplexed: Some(first) });
        }
        if let Some(number) = number {
            entries.push(Entry { number, name, multiplexed: None });
        }
    }
    // Stable: the rules of one number stay in order.
    entries.sort_by_key(|entry| entry.number);
    let verdicts = entries
        .chunk_by(|a, b| a.number == b.number)
        .map(|of_number| Ok((of_number[0].number, verdict(seccomp, of_number, architecture, warnings)?)))
        .collect::<Result<_, Error>>()?;
    Ok(Calls { verdicts, highest })
}

/// What the rules of one number come to. An unconditional one wins, the first of them.
fn verdict(
    seccomp: &Seccomp,
    entries: &[Entry<'_>],
    architecture: Architecture,
    warnings: &mut Vec<Warning>,
) -> Result<Verdict, Error> {
    let width = Facts::of(architecture).width;
    let mut alternatives = Alternatives::default();
    for entry in entries {
        let rule = &seccomp.syscalls[entry.name.rule];
        if rule.args.is_empty() && entry.multiplexed.is_none() {
            return Ok(Verdict::Return(return_value(rule.action)));
        }
        for conditions in condition_sets(rule, entry) {
            let conditions = normalize(conditions, width);
            if conditions.is_empty() {
                return Ok(Verdict::Return(return_value(rule.action)));
            }
            let case = Case { conditions, width, value: return_value(rule.action), rule: entry.name.rule };
            alternatives.add(case).map_err(|other| Error::Conflict {
                name: entry.name.name.to_owned(),
                rule: entry.name.rule,
                other,
            })?;
        }
    }
    for entry in entries.iter().filter(|entry| entry.multiplexed.is_some()) {
        if !seccomp.syscalls[entry.name.rule].args.is_empty() {
            warnings.push(hidden_arguments(&seccomp.syscalls[entry.name.rule], entry, architecture));
        }
    }
    Ok(Verdict::Cases(alternatives.into_cases()))
}

fn hidden_arguments(rule: &SyscallRule, entry: &Entry<'_>, architecture: Architecture) -> Warning {
    let Name { name, rule: index, .. } = entry.name;
    let effect = match rule.action {
        Action::Allow | Action::Log | Action::Trace(_) => "lets the call through",
        _ => "holds",
    };
    Warning {
        pointer: Some(format!("/linux/seccomp/syscalls/{index}/args")),
        message: format!(
            "the arguments of {name} cannot be seen where {architecture:?} programs use its multiplexer: there the \
             rule {effect} whatever the first of them is"
        ),
    }
}

/// The condition sets that a rule stands for, see the module's text. The multiplexer's first argument takes the place
/// of the call's.
fn condition_sets(rule: &SyscallRule, entry: &Entry<'_>) -> Vec<Vec<ArgumentCondition>> {
    let repeated =
        rule.args.iter().enumerate().any(|(i, a)| rule.args[..i].iter().any(|b| a.index == b.index));
    let mut sets = match repeated {
        true => rule.args.iter().map(|condition| vec![*condition]).collect(),
        false => vec![rule.args.clone()],
    };
    if let Some(first) = entry.multiplexed {
        for set in &mut sets {
            set.retain(|condition| condition.index != 0);
            set.push(ArgumentCondition { index: 0, comparison: Comparison::Equal, value: u64::from(first) });
        }
    }
    sets
}

/// The conditions by index of argument, cut to the width of the architecture, without those that always hold.
fn normalize(mut conditions: Vec<ArgumentCondition>, width: Width) -> Vec<ArgumentCondition> {
    let all = match width {
        Width::Bits32 => u64::from(u32::MAX),
        Width::Bits64 => u64::MAX,
    };
    for condition in &mut conditions {
        condition.value &= all;
        if let Comparison::MaskedEqual { mask } = &mut condition.comparison {
            *mask &= all;
            condition.value &= *mask;
        }
    }
    conditions.retain(|condition| condition.comparison != Comparison::MaskedEqual { mask: 0 });
    conditions.sort_by_key(|condition| condition.index);
    conditions
}

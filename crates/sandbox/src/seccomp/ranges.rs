//! The numbers of an architecture, all 2³², cut into ranges with one verdict each.
//!
//! Pure; runs in the runtime.

use spec::config::{Architecture, Seccomp};

use super::architecture::{Group, X32_BIT};
use super::conditions::Case;
use super::rules::{self, Name, Verdict};
use super::{Error, RETURN_ERRNO, RETURN_KILL_THREAD, newer_than_profile, return_value};
use crate::outcome::Warning;

/// What happens to the calls of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// The filter returns this.
    Return(u32),
    /// The arguments decide: an index into [`Ranges::chains`].
    Chain(usize),
}

/// The verdicts for all numbers of a token.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Where each range begins, and what it gets. The first begins at 0; neighbours differ.
    pub(super) ranges: Vec<(u32, Leaf)>,
    /// The cases of calls whose arguments count, each list once.
    pub(super) chains: Vec<Vec<Case>>,
    /// What is returned where no case of a chain holds.
    pub(super) default: u32,
}

/// Cuts the numbers of the architectures of `group`.
pub(super) fn of(
    seccomp: &Seccomp,
    names: &[Name<'_>],
    group: &Group,
    warnings: &mut Vec<Warning>,
) -> Result<Ranges, Error> {
    let default = return_value(seccomp.default_action);
    let mut builder = Builder { ranges: Ranges { ranges: Vec::new(), chains: Vec::new(), default } };
    match group.plain {
        Some(architecture) => {
            let mut calls = rules::calls(seccomp, names, architecture, warnings)?;
            if matches!(architecture, Architecture::S390 | Architecture::S390x) {
                answer_setup(&mut calls, seccomp);
            }
            builder.add(0, calls, seccomp);
        }
        // x32 without x86_64.
        None => builder.push(0, Leaf::Return(RETURN_KILL_THREAD)),
    }
    match (group.plain, group.x32) {
        (_, Some(architecture)) => {
            let calls = rules::calls(seccomp, names, architecture, warnings)?;
            builder.add(X32_BIT, calls, seccomp);
        }
        (Some(Architecture::X86_64), None) => {
            builder.push(X32_BIT, Leaf::Return(RETURN_KILL_THREAD));
            // A tracer that has a call skipped makes its number −1; the filter runs once more then (seccomp(2)).
            builder.push(u32::MAX, Leaf::Return(default));
        }
        _ => {}
    }
    Ok(builder.ranges)
}

/// s390 has one instruction for system calls with 8 bits for the number; for higher numbers the kernel leaves 0 there,
/// and so too for those it doesn't know. 0 was setup(2), which nobody calls: so they get what a new call gets.
fn answer_setup(calls: &mut rules::Calls, seccomp: &Seccomp) {
    if calls.highest.is_some() && calls.verdicts.first().is_none_or(|(number, _)| *number != 0) {
        let value = newer_than_profile(seccomp.default_action);
        if value & 0xffff_0000 == RETURN_ERRNO {
            calls.verdicts.insert(0, (0, Verdict::Return(value)));
        }
    }
}

struct Builder {
    ranges: Ranges,
}

impl Builder {
    /// Adds the calls of an architecture whose numbers begin at `begin`.
    fn add(&mut self, begin: u32, calls: rules::Calls, seccomp: &Seccomp) {
        let default = Leaf::Return(self.ranges.default);
        let newer = Leaf::Return(newer_than_profile(seccomp.default_action));
        let highest = calls.highest;
        let unnamed =
            |number: u32| if highest.is_some_and(|highest| number > highest) { newer } else { default };
        self.push(begin, default);
        let mut beyond = false;
        for (number, verdict) in calls.verdicts {
            if highest.is_some_and(|highest| number > highest) && !beyond {
                beyond = true;
                self.push_after(highest, newer);
            }
            let leaf = self.leaf(verdict);
            self.push(number, leaf);
            // No number is u32::MAX.
            self.push(number + 1, unnamed(number + 1));
        }
        if !beyond {
            self.push_after(highest, newer);
        }
    }

    fn push_after(&mut self, highest: Option<u32>, leaf: Leaf) {
        if let Some(highest) = highest {
            self.push(highest + 1, leaf);
        }
    }

    fn leaf(&mut self, verdict: Verdict) -> Leaf {
        let cases = match verdict {
            Verdict::Return(value) => return Leaf::Return(value),
            Verdict::Cases(cases) => cases,
        };
        let chains = &mut self.ranges.chains;
        Leaf::Chain(chains.iter().position(|chain| *chain == cases).unwrap_or_else(|| {
            chains.push(cases);
            chains.len() - 1
        }))
    }

    /// From `begin` on, `leaf`. `begin` is never below the last range's.
    fn push(&mut self, begin: u32, leaf: Leaf) {
        let ranges = &mut self.ranges.ranges;
        if ranges.last().is_some_and(|(last, _)| *last == begin) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|(_, last)| *last != leaf) {
            ranges.push((begin, leaf));
        }
    }
}

//! The rules of one call that look at arguments: which one holds where several could.
//!
//! The order is libseccomp's, not the profile's. A condition on a lower argument is looked at before the rule's others;
//! between rules, the higher argument comes first, then equalities before `<` and `<=` before `>` and `>=`, then the
//! narrower bound, then the profile's order. Arguments of 64 bits count as two halves, the upper one first. Rules that
//! begin with the same conditions form one branch, which is left for the next only where none of it holds. Of two rules
//! where one has all conditions of the other and more, the shorter decides alone if it came first; if it comes second,
//! with another action, it is an error, as for two rules with equal conditions.
//! Pure; runs in the runtime.

use std::cmp::Ordering;

use seccompiler::{BpfProgram, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use spec::config::{ArgumentCondition, Comparison};

use super::architecture::Width;
use super::program::LOAD;
use super::{Error, Instruction};

/// A return value, and when.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// All must hold. At least one, by index of argument, each index once.
    pub(super) conditions: Vec<ArgumentCondition>,
    /// Of the arguments.
    pub(super) width: Width,
    /// What the filter returns.
    pub(super) value: u32,
    /// The index of the rule in the configuration.
    pub(super) rule: usize,
}

/// Equal where the program is.
impl PartialEq for Case {
    fn eq(&self, other: &Self) -> bool {
        (&self.conditions, self.width, self.value) == (&other.conditions, other.width, other.value)
    }
}

impl Eq for Case {}

impl Case {
    /// The case as instructions: the comparisons, and the return where all of them hold. Where one doesn't, the
    /// program goes on after them.
    ///
    /// # Errors
    ///
    /// A condition on an argument that no call has.
    pub(super) fn lower(&self, little_endian: bool) -> Result<Vec<Instruction>, Error> {
        let length = match self.width {
            Width::Bits32 => SeccompCmpArgLen::Dword,
            Width::Bits64 => SeccompCmpArgLen::Qword,
        };
        let conditions = self.conditions.iter().map(|condition| {
            let operator = match condition.comparison {
                Comparison::NotEqual => SeccompCmpOp::Ne,
                Comparison::Less => SeccompCmpOp::Lt,
                Comparison::LessOrEqual => SeccompCmpOp::Le,
                Comparison::Equal => SeccompCmpOp::Eq,
                Comparison::GreaterOrEqual => SeccompCmpOp::Ge,
                Comparison::Greater => SeccompCmpOp::Gt,
                Comparison::MaskedEqual { mask } => SeccompCmpOp::MaskedEq(mask),
            };
            SeccompCondition::new(condition.index, length.clone(), operator, condition.value)
        });
        let rule = conditions
            .collect::<Result<_, _>>()
            .and_then(SeccompRule::new)
            .map_err(|_| Error::NoSuchArgument { rule: self.rule })?;
        // A rule begins with a jump over a jump to the next rule, by which seccompiler's own chains leave early.
        let mut instructions: Vec<_> = BpfProgram::from(rule)
            .into_iter()
            .skip(2)
            .map(|filter| Instruction { code: filter.code, jt: filter.jt, jf: filter.jf, k: filter.k })
            .collect();
        if !little_endian {
            // The loads are of halves of arguments, little-endian: the other half is the one that is meant.
            for load in instructions.iter_mut().filter(|instruction| instruction.code == LOAD) {
                load.k ^= 4;
            }
        }
        instructions.push(Instruction::return_value(self.value));
        Ok(instructions)
    }
}

/// How two conditions are told apart before their values are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Greater,
    GreaterOrEqual,
    /// The upper half of both.
    UpperOfGreater,
    Less,
    LessOrEqual,
    /// The upper half of both.
    UpperOfLess,
    Equal,
    NotEqual,
    MaskedEqual,
}

impl Kind {
    const fn priority(self) -> u8 {
        match self {
            Self::Greater | Self::GreaterOrEqual | Self::UpperOfGreater => 1,
            Self::Less | Self::LessOrEqual | Self::UpperOfLess => 2,
            Self::Equal | Self::NotEqual | Self::MaskedEqual => 3,
        }
    }
}

/// What is compared at once: an argument, or half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    argument: u8,
    upper: bool,
    kind: Kind,
    value: u32,
    mask: u32,
}

impl Step {
    /// Whether a new step goes before this one.
    fn yields_to(&self, new: &Self) -> bool {
        let key = |step: &Self| (step.argument, step.upper, step.kind.priority());
        let values = match self.kind.priority() {
            2 => new.value.cmp(&self.value),
            _ => self.value.cmp(&new.value),
        };
        key(self).cmp(&key(new)).then(values) == Ordering::Less
    }
}

fn steps(case: &Case) -> Vec<Step> {
    let mut steps = Vec::with_capacity(2 * case.conditions.len());
    for condition in &case.conditions {
        let (lower, upper) = match condition.comparison {
            Comparison::Greater => (Kind::Greater, Kind::UpperOfGreater),
            Comparison::GreaterOrEqual => (Kind::GreaterOrEqual, Kind::UpperOfGreater),
            Comparison::Less => (Kind::Less, Kind::UpperOfLess),
            Comparison::LessOrEqual => (Kind::LessOrEqual, Kind::UpperOfLess),
            Comparison::Equal => (Kind::Equal, Kind::Equal),
            Comparison::NotEqual => (Kind::NotEqual, Kind::NotEqual),
            Comparison::MaskedEqual { .. } => (Kind::MaskedEqual, Kind::MaskedEqual),
        };
        let mask = match condition.comparison {
            Comparison::MaskedEqual { mask } => mask,
            _ => u64::MAX,
        };
        let half = |upper, kind, shift: u32| Step {
            argument: condition.index,
            upper,
            kind,
            value: (condition.value >> shift) as u32,
            mask: (mask >> shift) as u32,
        };
        if case.width == Width::Bits64 {
            steps.push(half(true, upper, 32));
        }
        steps.push(half(false, lower, 0));
    }
    steps
}

/// The cases of one call, in the order in which they are looked at.
#[derive(Debug, Default)]
pub(super) struct Alternatives {
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    step: Step,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Decided(Case),
    Branches(Vec<Branch>),
}

impl Alternatives {
    /// Adds a case where it belongs.
    ///
    /// # Errors
    ///
    /// The rule of a case that contradicts it.
    pub(super) fn add(&mut self, case: Case) -> Result<(), usize> {
        add(&mut self.branches, &steps(&case), case)
    }

    /// All cases in order.
    pub(super) fn into_cases(self) -> Vec<Case> {
        let mut cases = Vec::new();
        flatten(self.branches, &mut cases);
        cases
    }
}

fn flatten(branches: Vec<Branch>, cases: &mut Vec<Case>) {
    for branch in branches {
        match branch.next {
            Next::Decided(case) => cases.push(case),
            Next::Branches(branches) => flatten(branches, cases),
        }
    }
}

fn add(branches: &mut Vec<Branch>, steps: &[Step], case: Case) -> Result<(), usize> {
    let Some((first, rest)) = steps.split_first() else { return Ok(()) };
    let mut position = branches.len();
    for (index, branch) in branches.iter_mut().enumerate() {
        if branch.step == *first {
            return match &mut branch.next {
                Next::Decided(other) if rest.is_empty() && other.value != case.value => Err(other.rule),
                Next::Decided(_) => Ok(()),
                Next::Branches(branches) if rest.is_empty() => {
                    if let Some(other) = contradiction(branches, case.value) {
                        return Err(other);
                    }
                    branch.next = Next::Decided(case);
                    Ok(())
                }
                Next::Branches(branches) => add(branches, rest, case),
            };
        }
        if branch.step.yields_to(first) {
            position = index;
            break;
        }
    }
    let next = match rest {
        [] => Next::Decided(case),
        _ => {
            let mut branches = Vec::new();
            add(&mut branches, rest, case)?;
            Next::Branches(branches)
        }
    };
    branches.insert(position, Branch { step: *first, next });
    Ok(())
}

/// The rule of a case that returns something else than `value`.
fn contradiction(branches: &[Branch], value: u32) -> Option<usize> {
    branches.iter().find_map(|branch| match &branch.next {
        Next::Decided(case) => (case.value != value).then_some(case.rule),
        Next::Branches(branches) => contradiction(branches, value),
    })
}

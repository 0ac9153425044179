//! The rules of one call that look at arguments: which one holds where several could.
//!
//! The order is libseccomp's, not the profile's. A condition on a lower argument is looked at before the rule's others;
//! between rules, the higher argument comes first, then equalities before `<` and `<=` before `>` and `>=`, then the
//! narrower bound, then the profile's order. Arguments of 64 bits count as two halves, the upper one first. Rules that
//! begin with the same conditions form one branch, which is left for the next only where none of it holds. Of two rules
//! where one has all conditions of the other and more, the shorter decides alone if it came first; if it comes second,
//! with another action, it is an error, as for two rules with equal conditions. Of two rules with the same action where
//! the conditions of one are the last of the other's, the longer is none.
//! Pure; runs in the runtime.

use std::cmp::Ordering;

use seccompiler::{BpfProgram, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use spec::config::{ArgumentCondition, Comparison};

use super::architecture::Width;
use super::{Error, Instruction, JUMP, LOAD};

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
        let mut instructions: Vec<_> = BpfProgram::from(rule)
            .into_iter()
            .map(|filter| Instruction { code: filter.code, jt: filter.jt, jf: filter.jf, k: filter.k })
            .collect();
        // A rule begins with a jump over a jump to the next rule's own, by which seccompiler's chains leave early.
        if let [Instruction { code: JUMP, k: 1, .. }, Instruction { code: JUMP, .. }, ..] = instructions[..] {
            instructions.drain(..2);
        }
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

/// How two numbers of 32 bits are compared; the other comparisons are these, negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Greater,
    GreaterOrEqual,
    Equal,
    MaskedEqual,
}

/// What is compared at once: an argument, or half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    argument: u8,
    upper: bool,
    operator: Operator,
    value: u32,
    mask: u32,
    /// Whether the comparison must not hold. An upper half alone decides neither: it is the same for both.
    negated: bool,
}

impl Step {
    /// Whether both compare the same, so that at most one of them can be the case.
    fn compares_as(&self, other: &Self) -> bool {
        Self { negated: other.negated, ..*self } == *other
    }

    fn yields_to(&self, new: &Self, class: Class, new_class: Class) -> bool {
        let values = match class {
            Class::Below => new.value.cmp(&self.value),
            Class::Above | Class::Equal => self.value.cmp(&new.value),
        };
        let key = |step: &Self, class| (step.argument, step.upper, class);
        key(self, class).cmp(&key(new, new_class)).then(values) == Ordering::Less
    }
}

/// The kinds of conditions, the last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Above,
    Below,
    Equal,
}

/// The steps to look at for a case, each with the class of the condition that it is of.
fn steps(case: &Case) -> Vec<(Step, Class)> {
    let mut steps = Vec::with_capacity(2 * case.conditions.len());
    for condition in &case.conditions {
        let (operator, negated, class) = match condition.comparison {
            Comparison::Greater => (Operator::Greater, false, Class::Above),
            Comparison::GreaterOrEqual => (Operator::GreaterOrEqual, false, Class::Above),
            Comparison::Less => (Operator::GreaterOrEqual, true, Class::Below),
            Comparison::LessOrEqual => (Operator::Greater, true, Class::Below),
            Comparison::Equal => (Operator::Equal, false, Class::Equal),
            Comparison::NotEqual => (Operator::Equal, true, Class::Equal),
            Comparison::MaskedEqual { .. } => (Operator::MaskedEqual, false, Class::Equal),
        };
        let mask = match condition.comparison {
            Comparison::MaskedEqual { mask } => mask,
            _ => u64::MAX,
        };
        let (argument, value) = (condition.index, condition.value);
        if case.width == Width::Bits64 {
            let operator = if class == Class::Equal { operator } else { Operator::Greater };
            let (value, mask) = ((value >> 32) as u32, (mask >> 32) as u32);
            steps.push((Step { argument, upper: true, operator, value, mask, negated: false }, class));
        }
        let (value, mask) = (value as u32, mask as u32);
        steps.push((Step { argument, upper: false, operator, value, mask, negated }, class));
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
    class: Class,
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
        if settle(&mut self.branches, &case) {
            return Ok(());
        }
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

/// Removes the cases of the same value that end in the conditions of the new one, and says whether the new one itself
/// ends in those of one there is.
fn settle(branches: &mut Vec<Branch>, new: &Case) -> bool {
    let mut settled = false;
    branches.retain_mut(|branch| match &mut branch.next {
        Next::Decided(case) if case.value == new.value => {
            settled |= new.conditions.ends_with(&case.conditions);
            settled || !case.conditions.ends_with(&new.conditions)
        }
        Next::Decided(_) => true,
        Next::Branches(branches) => {
            settled |= settle(branches, new);
            !branches.is_empty()
        }
    });
    settled
}

fn add(branches: &mut Vec<Branch>, steps: &[(Step, Class)], case: Case) -> Result<(), usize> {
    let Some((&(step, class), rest)) = steps.split_first() else { return Ok(()) };
    let mut position = branches.len();
    for (index, branch) in branches.iter_mut().enumerate() {
        if branch.step == step {
            return extend(branch, rest, case);
        }
        if branch.step.compares_as(&step) {
            // The opposite: beside it, on whichever side.
            position = index + 1;
        } else if branch.step.yields_to(&step, branch.class, class) {
            position = position.min(index);
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
    branches.insert(position, Branch { step, class, next });
    Ok(())
}

/// Adds a case to a branch that begins as the case does.
fn extend(branch: &mut Branch, rest: &[(Step, Class)], case: Case) -> Result<(), usize> {
    match &mut branch.next {
        Next::Decided(other) if rest.is_empty() && other.value != case.value => Err(other.rule),
        Next::Decided(_) => Ok(()),
        Next::Branches(branches) if rest.is_empty() => match contradiction(branches, case.value) {
            Some(other) => Err(other),
            None => {
                branch.next = Next::Decided(case);
                Ok(())
            }
        },
        Next::Branches(branches) => add(branches, rest, case),
    }
}

/// The rule of a case that returns something else than `value`.
fn contradiction(branches: &[Branch], value: u32) -> Option<usize> {
    branches.iter().find_map(|branch| match &branch.next {
        Next::Decided(case) => (case.value != value).then_some(case.rule),
        Next::Branches(branches) => contradiction(branches, value),
    })
}

//! Ranges to instructions.
//!
//! The program is written from its end: a jump only goes forward, so its target is always there already, and with it
//! the distance. What lies too far for the 8 bits of a comparison gets a copy of the return, or a jump of 32 bits, right
//! behind the comparison.
//!
//! ```text
//!     load arch; if it is A goto a; if it is B goto b; return bad architecture
//!  a: load number; tree over the ranges of A, its leaves returns or jumps to
//!     the chains of A: case, case, return default
//!  b: …
//! ```
//!
//! The kernel runs the program once for each number at its installation, to learn which calls are always allowed
//! (Linux 5.11): short paths make it quick there too, and calls without conditions are then free.
//! Pure; runs in the runtime.

use super::conditions::Case;
use super::ranges::{Leaf, Ranges};
use super::{Error, Instruction, JUMP, LOAD};

/// `BPF_JMP | BPF_JEQ | BPF_K`
const IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`
const IF_AT_LEAST: u16 = 0x35;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;

/// `offsetof(struct seccomp_data, nr)` and `arch`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

impl Instruction {
    const fn new(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// Ends the program.
    pub(super) const fn return_value(value: u32) -> Self {
        Self::new(RETURN, value)
    }
}

/// Where a comparison leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// Some return of that value.
    Return(u32),
    /// The instruction of that index, counted from the program's end.
    At(usize),
}

/// A program in the making, last instruction first.
pub(super) struct Program {
    reversed: Vec<Instruction>,
    /// The latest return of each value.
    returns: Vec<(u32, usize)>,
    /// Tokens, and where their trees begin.
    architectures: Vec<(u32, Target)>,
    little_endian: bool,
}

impl Program {
    /// An empty program.
    pub(super) fn new(little_endian: bool) -> Self {
        Self {
            reversed: Vec::with_capacity(1024),
            returns: Vec::new(),
            architectures: Vec::new(),
            little_endian,
        }
    }

    /// Adds an architecture. The last one added is the first compared, and nearest to it.
    ///
    /// # Errors
    ///
    /// A condition on an argument that no call has.
    pub(super) fn add(&mut self, token: u32, ranges: &Ranges) -> Result<(), Error> {
        let chains = ranges
            .chains
            .iter()
            .map(|chain| self.chain(chain, ranges.default))
            .collect::<Result<Vec<_>, _>>()?;
        let begin = match self.tree(&ranges.ranges, &chains) {
            // One verdict for all: the number is not needed.
            begin @ Target::Return(_) => begin,
            begin @ Target::At(index) => {
                if index + 1 != self.reversed.len() {
                    self.near(begin, 0);
                }
                Target::At(self.push(Instruction::new(LOAD, NUMBER)))
            }
        };
        self.architectures.push((token, begin));
        Ok(())
    }

    /// The whole program, first instruction first. `other` is for the architectures that were not added.
    pub(super) fn finish(mut self, other: u32) -> Vec<Instruction> {
        let mut next = Target::Return(other);
        for (token, begin) in std::mem::take(&mut self.architectures) {
            next = self.branch(IF_EQUAL, token, begin, next);
        }
        if let Target::Return(_) = next {
            self.near(next, 0);
        }
        self.push(Instruction::new(LOAD, ARCHITECTURE));
        self.reversed.reverse();
        self.reversed
    }

    /// The tree that finds the range of the loaded number.
    fn tree(&mut self, ranges: &[(u32, Leaf)], chains: &[Target]) -> Target {
        if let Some(singles) = singles(ranges) {
            let mut rest = target(ranges[0].1, chains);
            for &(number, leaf) in singles.rev() {
                rest = self.branch(IF_EQUAL, number, target(leaf, chains), rest);
            }
            return rest;
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let at_least = self.tree(upper, chains);
        let less = self.tree(lower, chains);
        self.branch(IF_AT_LEAST, upper[0].0, at_least, less)
    }

    /// The cases of a call, one after the other, and what happens where none holds.
    fn chain(&mut self, cases: &[Case], default: u32) -> Result<Target, Error> {
        let end = Instruction::return_value(default);
        if self.reversed.last() != Some(&end) {
            self.push(end);
        }
        for case in cases.iter().rev() {
            for instruction in case.lower(self.little_endian)?.into_iter().rev() {
                self.push(instruction);
            }
        }
        Ok(Target::At(self.reversed.len() - 1))
    }

    fn branch(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        // What is written to come near to `yes` moves `no` away by one.
        let no = self.near(no, 1);
        let yes = self.near(yes, 0);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        Target::At(self.push(Instruction { code, jt, jf, k }))
    }

    /// An instruction that is, or leads to, `target`, and that a comparison reaches, even from `margin` further away.
    fn near(&mut self, target: Target, margin: usize) -> usize {
        let known = match target {
            Target::Return(value) => {
                self.returns.iter().find(|(of, _)| *of == value).map(|(_, index)| *index)
            }
            Target::At(index) => Some(index),
        };
        match (known, target) {
            (Some(index), _) if self.distance(index) + margin <= usize::from(u8::MAX) => index,
            (_, Target::Return(value)) => self.push(Instruction::return_value(value)),
            (_, Target::At(index)) => self.push(Instruction::new(JUMP, self.distance(index) as u32)),
        }
    }

    /// How many instructions the next one would have to skip to go on at `index`.
    fn distance(&self, index: usize) -> usize {
        self.reversed.len() - index - 1
    }

    fn push(&mut self, instruction: Instruction) -> usize {
        let index = self.reversed.len();
        if instruction.code == RETURN {
            match self.returns.iter_mut().find(|(value, _)| *value == instruction.k) {
                Some((_, latest)) => *latest = index,
                None => self.returns.push((instruction.k, index)),
            }
        }
        self.reversed.push(instruction);
        index
    }
}

fn target(leaf: Leaf, chains: &[Target]) -> Target {
    match leaf {
        Leaf::Return(value) => Target::Return(value),
        Leaf::Chain(index) => chains[index],
    }
}

/// The ranges of one number each, where all others are alike and comparing for these is not longer than a tree.
fn singles(ranges: &[(u32, Leaf)]) -> Option<impl DoubleEndedIterator<Item = &(u32, Leaf)>> {
    const MOST: usize = 3;
    let alike = ranges.iter().step_by(2).all(|(_, leaf)| *leaf == ranges[0].1);
    let single = ranges.windows(2).skip(1).step_by(2).all(|pair| pair[1].0 - pair[0].0 == 1);
    (ranges.len() % 2 == 1 && ranges.len() / 2 <= MOST && alike && single)
        .then(|| ranges.iter().skip(1).step_by(2))
}

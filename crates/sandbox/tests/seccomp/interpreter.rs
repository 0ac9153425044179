//! The kernel's checks and evaluation of a seccomp program (`kernel/seccomp.c`, `net/core/filter.c`).

use sandbox::seccomp::{Filter, Instruction};

/// What a filter sees of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) token: u32,
    pub(crate) arguments: [u64; 6],
}

impl Call {
    /// The word at `offset` of `struct seccomp_data`.
    fn word(&self, offset: u32, little_endian: bool) -> u32 {
        match offset {
            0 => self.number,
            4 => self.token,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                let upper = offset.is_multiple_of(8) != little_endian;
                if upper { (argument >> 32) as u32 } else { argument as u32 }
            }
            _ => panic!("load of offset {offset}"),
        }
    }
}

/// A program that has passed the checks.
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    little_endian: bool,
}

impl Program {
    pub(crate) fn of(filter: &Filter) -> Self {
        Self::check(filter.instructions().collect(), true)
    }

    pub(crate) fn check(instructions: Vec<Instruction>, little_endian: bool) -> Self {
        let length = instructions.len();
        assert!((1..=4096).contains(&length), "{length} instructions");
        for (at, Instruction { code, jt, jf, k }) in instructions.iter().copied().enumerate() {
            match code {
                0x20 => assert!(k < 64 && k.is_multiple_of(4)),
                0x54 | 0x06 => {}
                0x05 => assert!(at + 1 + (k as usize) < length, "jump out of the program at {at}"),
                0x15 | 0x25 | 0x35 | 0x45 => {
                    assert!(at + 1 + usize::from(jt.max(jf)) < length, "jump out of the program at {at}");
                }
                _ => panic!("code {code:#x} at {at}"),
            }
        }
        assert_eq!(instructions[length - 1].code, 0x06, "the program must end in a return");
        Self { instructions, little_endian }
    }

    pub(crate) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// What the program returns, and how many instructions it took.
    pub(crate) fn run(&self, call: &Call) -> (u32, usize) {
        let (mut accumulator, mut at, mut steps) = (0, 0, 0);
        loop {
            let Instruction { code, jt, jf, k } = self.instructions[at];
            at += 1;
            steps += 1;
            let holds = match code {
                0x20 => {
                    accumulator = call.word(k, self.little_endian);
                    continue;
                }
                0x54 => {
                    accumulator &= k;
                    continue;
                }
                0x05 => {
                    at += k as usize;
                    continue;
                }
                0x06 => return (k, steps),
                0x15 => accumulator == k,
                0x25 => accumulator > k,
                0x35 => accumulator >= k,
                0x45 => accumulator & k != 0,
                _ => unreachable!(),
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }
}

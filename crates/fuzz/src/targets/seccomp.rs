//! Profiles made of the bytes, compiled, run in an interpreter that has the kernel's checks, and compared with what the
//! rules say. No two rules are about one call: what then counts is libseccomp's order, and the oracle's test.

#[path = "../../../sandbox/tests/seccomp/interpreter.rs"]
#[allow(dead_code, reason = "the tests ask for more")]
mod interpreter;

use interpreter::{Call, Program};
use sandbox::seccomp::compile;
use spec::Text;
use spec::config::{Action, Architecture, ArgumentCondition, Comparison, FilterFlags, Seccomp, SyscallRule};

const X86_64: u32 = 0xc000_003e;
const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0000 | 38;

/// Calls and their numbers on x86_64.
const CALLS: [(&str, u32); 12] = [
    ("read", 0),
    ("write", 1),
    ("open", 2),
    ("mmap", 9),
    ("clone", 56),
    ("mkdir", 83),
    ("personality", 135),
    ("futex", 202),
    ("openat", 257),
    ("bpf", 321),
    ("openat2", 437),
    ("mount_setattr", 442),
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        (0..8).map(|seed: u8| (0..120).map(|at| seed.wrapping_mul(31) ^ at).collect()).collect();
    seeds.push(vec![0; 64]);
    seeds
}

/// Decisions from the bytes; zeros where they end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Mostly at the edges of halves, where comparisons of words go wrong.
    fn value(&mut self) -> u64 {
        let edges =
            [0, 1, 2, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 0xffff_ffff_0000_0000, u64::MAX];
        match self.byte() % 4 {
            0 => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            1 => self.of(&edges).wrapping_add(u64::from(self.byte() % 3)).wrapping_sub(1),
            _ => self.of(&edges),
        }
    }

    fn action(&mut self) -> Action {
        self.of(&[
            Action::Allow,
            Action::Errno(1),
            Action::Errno(38),
            Action::KillProcess,
            Action::KillThread,
            Action::Trap,
            Action::Log,
            Action::Trace(3),
        ])
    }

    fn condition(&mut self, index: u8) -> ArgumentCondition {
        let comparison = match self.byte() % 7 {
            0 => Comparison::NotEqual,
            1 => Comparison::Less,
            2 => Comparison::LessOrEqual,
            3 => Comparison::Equal,
            4 => Comparison::GreaterOrEqual,
            5 => Comparison::Greater,
            _ => Comparison::MaskedEqual { mask: self.value() },
        };
        let value = self.value();
        let value = if let Comparison::MaskedEqual { mask } = comparison { value & mask } else { value };
        ArgumentCondition { index, comparison, value }
    }
}

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let default_action = choices.action();
    let mut syscalls = Vec::new();
    for (name, _) in CALLS {
        if choices.byte() % 3 != 0 {
            let first = choices.byte() % 6;
            let count = choices.byte() % 4;
            let args = (0..count).map(|offset| choices.condition((first + offset) % 6)).collect();
            let names = vec![Text::new(name).expect("a name")];
            syscalls.push(SyscallRule { names, action: choices.action(), args });
        }
    }
    let seccomp = Seccomp {
        default_action,
        architectures: Vec::new(),
        flags: FilterFlags::default(),
        listener: None,
        syscalls,
    };
    let filter = match compile(&seccomp, Architecture::X86_64) {
        Ok(outcome) => outcome.value,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let program = Program::of(&filter);
    let highest = seccomp.syscalls.iter().filter_map(number).max();
    for _ in 0..16 {
        let number = match choices.byte() % 4 {
            0 => u32::from(choices.byte()) << 1,
            1 => CALLS[usize::from(choices.byte()) % CALLS.len()].1 + 1,
            _ => CALLS[usize::from(choices.byte()) % CALLS.len()].1,
        };
        let call = Call { number, token: X86_64, arguments: std::array::from_fn(|_| choices.value()) };
        let (decided, steps) = program.run(&call);
        assert!(steps <= 4096);
        assert_eq!(decided, expected(&seccomp, highest, &call), "{call:x?} of {seccomp:?}");
        let foreign = Call { token: 0x4000_0028, ..call };
        assert_eq!(program.run(&foreign).0, KILL_THREAD);
    }
}

fn number(rule: &SyscallRule) -> Option<u32> {
    CALLS.iter().find(|(name, _)| **name == *rule.names[0]).map(|(_, number)| *number)
}

/// What the rules say.
fn expected(seccomp: &Seccomp, highest: Option<u32>, call: &Call) -> u32 {
    let rule = seccomp.syscalls.iter().find(|rule| number(rule) == Some(call.number));
    let Some(rule) = rule else {
        let lets_through = matches!(seccomp.default_action, Action::Allow | Action::Log | Action::Trace(_));
        // A profile that names nothing is of no age.
        let is_newer = highest.is_some_and(|highest| call.number > highest);
        return if is_newer && !lets_through { ENOSYS } else { value(seccomp.default_action) };
    };
    let holds = rule.args.iter().all(|condition| {
        let argument = call.arguments[usize::from(condition.index)];
        match condition.comparison {
            Comparison::NotEqual => argument != condition.value,
            Comparison::Less => argument < condition.value,
            Comparison::LessOrEqual => argument <= condition.value,
            Comparison::Equal => argument == condition.value,
            Comparison::GreaterOrEqual => argument >= condition.value,
            Comparison::Greater => argument > condition.value,
            Comparison::MaskedEqual { mask } => argument & mask == condition.value,
        }
    });
    value(if holds { rule.action } else { seccomp.default_action })
}

fn value(action: Action) -> u32 {
    match action {
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Notify => 0x7fc0_0000,
        Action::Trace(message) => 0x7ff0_0000 | u32::from(message),
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

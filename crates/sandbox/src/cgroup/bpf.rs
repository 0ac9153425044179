//! The device filter of cgroup v2: rules compiled to a `BPF_PROG_TYPE_CGROUP_DEVICE` program. Pure.
//!
//! The kernel asks the program for each open and mknod of a device, with `struct bpf_cgroup_dev_ctx` (linux/bpf.h): the
//! kind of device and the wanted access in one word, major, minor. It answers 1 or 0. The rules are tried from the last
//! to the first: a rule about the device takes the accesses that it allows off those wanted; nothing left wanted is a
//! yes; a rule that denies one that is still wanted is a no; so is the end.

use spec::config::{DeviceRule, DeviceRuleKind};

use super::device::{access_bits, is_about_all};

/// One instruction (`struct bpf_insn`, linux/bpf.h), little-endian fields as on both architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Class, size or operation, source.
    pub code: u8,
    /// Destination register in the low half, source register in the high one.
    pub registers: u8,
    /// Offset of a load or a jump.
    pub offset: i16,
    /// Constant.
    pub immediate: i32,
}

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const LOAD_CONSTANT: u8 = 0x18; // BPF_LD | BPF_IMM | BPF_DW, two instructions long
const MOVE: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const XOR: u8 = 0xa4; // BPF_ALU | BPF_XOR | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const SHIFT_LEFT_64: u8 = 0x67; // BPF_ALU64 | BPF_LSH | BPF_K
const OR_REGISTER_64: u8 = 0x4f; // BPF_ALU64 | BPF_OR | BPF_X
const XOR_REGISTER_64: u8 = 0xaf; // BPF_ALU64 | BPF_XOR | BPF_X
const JUMP_NOT_ZERO: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const JUMP_ZERO: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const DEVICE: u8 = 0; // major << 32 | minor; at the end the answer
const CONTEXT: u8 = 1; // after the loads: scratch
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const BLOCK: i32 = 1; // BPF_DEVCG_DEV_BLOCK
#[cfg(test)]
const CHARACTER: i32 = 2; // BPF_DEVCG_DEV_CHAR
const EVERY_ACCESS: u8 = 7;

const fn with(code: u8, destination: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: destination, offset: 0, immediate }
}

const fn between(code: u8, destination: u8, source: u8, offset: i16) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate: 0 }
}

/// The program for a list of rules, at most `MAX_RULES`; `None` where they allow everything, so that none is needed.
///
/// Its form spares the verifier, who takes most of the time of loading: a comparison by exclusive-or in a scratch
/// register teaches it nothing about the device, so that all ways lead to one state at each rule (60 µs for the default
/// rules; 300 with comparisons in place, and growing with the square of the rules).
pub fn device_program(rules: &[DeviceRule]) -> Option<Vec<Instruction>> {
    // What stands before a rule about everything is never reached, and the verifier refuses unreachable code.
    let start = rules.iter().rposition(is_about_everything).unwrap_or(0);
    let rules = &rules[start..];
    if rules.first().is_some_and(|rule| is_about_everything(rule) && rule.allow)
        && rules.iter().all(|rule| rule.allow)
    {
        return None;
    }
    let mut program = vec![
        between(LOAD_WORD, KIND, CONTEXT, 0),
        between(MOVE_REGISTER, WANTED, KIND, 0),
        with(AND, KIND, 0xffff),
        with(SHIFT_RIGHT, WANTED, 16),
        between(LOAD_WORD, MAJOR, CONTEXT, 4),
        between(LOAD_WORD, MINOR, CONTEXT, 8),
        between(MOVE_REGISTER, DEVICE, MAJOR, 0),
        with(SHIFT_LEFT_64, DEVICE, 32),
        between(OR_REGISTER_64, DEVICE, MINOR, 0),
    ];
    let about = |kind: DeviceRuleKind| {
        let mut section = Section::default();
        section.compile(rules.iter().filter(|rule| rule.kind == DeviceRuleKind::All || rule.kind == kind));
        section.code
    };
    let (blocks, characters) = (about(DeviceRuleKind::Block), about(DeviceRuleKind::Character));
    program.push(with(XOR, KIND, BLOCK));
    program.push(Instruction { offset: blocks.len() as i16, ..with(JUMP_NOT_ZERO, KIND, 0) });
    program.extend(blocks);
    program.extend(characters);
    Some(program)
}

/// So many rules at most, that a jump's 16 bits reach over all of them.
pub(super) const MAX_RULES: usize = 3000;

fn is_about_everything(rule: &DeviceRule) -> bool {
    is_about_all(rule) && access_bits(rule.access) == EVERY_ACCESS
}

/// The rules for one kind of device, the last first, and the two answers.
#[derive(Default)]
struct Section {
    code: Vec<Instruction>,
    /// Jumps that lead to an answer.
    to_allow: Vec<usize>,
    to_deny: Vec<usize>,
}

impl Section {
    fn compile<'a>(&mut self, rules: impl DoubleEndedIterator<Item = &'a DeviceRule>) {
        let mut end = false;
        for rule in rules.rev() {
            // About every device of this kind and every access: the verifier refuses what would stand behind it.
            if rule.major.is_none() && rule.minor.is_none() && access_bits(rule.access) == EVERY_ACCESS {
                end = rule.allow;
                break;
            }
            self.rule(rule);
        }
        self.answer(end);
        let jumps = if end { &self.to_deny } else { &self.to_allow };
        if !jumps.is_empty() {
            self.answer(!end);
        }
    }

    fn rule(&mut self, rule: &DeviceRule) {
        let compared = self.compare(rule);
        let access = access_bits(rule.access);
        let answers = if rule.allow { &mut self.to_allow } else { &mut self.to_deny };
        if access == EVERY_ACCESS {
            answers.push(self.code.len());
            self.code.push(with(JUMP_ZERO, SCRATCH, 0));
            return;
        }
        let over = compared.then(|| {
            self.code.push(with(JUMP_NOT_ZERO, SCRATCH, 0));
            self.code.len()
        });
        if rule.allow {
            self.code.push(with(AND, WANTED, i32::from(EVERY_ACCESS & !access)));
            answers.push(self.code.len());
            self.code.push(with(JUMP_ZERO, WANTED, 0));
        } else {
            self.code.push(between(MOVE_REGISTER, SCRATCH, WANTED, 0));
            self.code.push(with(AND, SCRATCH, i32::from(access)));
            answers.push(self.code.len());
            self.code.push(with(JUMP_NOT_ZERO, SCRATCH, 0));
        }
        if let Some(from) = over {
            self.code[from - 1].offset = (self.code.len() - from) as i16;
        }
    }

    /// Leaves 0 in the scratch register where the device is the rule's; `false` where the rule is about all.
    fn compare(&mut self, rule: &DeviceRule) -> bool {
        let one = |register, number: u32| {
            [between(MOVE_REGISTER, SCRATCH, register, 0), with(XOR, SCRATCH, number.cast_signed())]
        };
        match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => self.code.extend([
                with(LOAD_CONSTANT, SCRATCH, minor.cast_signed()),
                with(0, 0, major.cast_signed()),
                between(XOR_REGISTER_64, SCRATCH, DEVICE, 0),
            ]),
            (Some(major), None) => self.code.extend(one(MAJOR, major)),
            (None, Some(minor)) => self.code.extend(one(MINOR, minor)),
            // About all devices of this kind.
            (None, None) if access_bits(rule.access) == EVERY_ACCESS => {
                self.code.push(with(MOVE, SCRATCH, 0))
            }
            (None, None) => return false,
        }
        true
    }

    /// Puts an answer here and leads its jumps to it.
    fn answer(&mut self, allow: bool) {
        let here = self.code.len();
        for &jump in if allow { &self.to_allow } else { &self.to_deny } {
            self.code[jump].offset = (here - jump - 1) as i16;
        }
        self.code.push(with(MOVE, DEVICE, i32::from(allow)));
        self.code.push(with(EXIT, 0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::default_device_rules;
    use super::super::device::tests::{allowed, rule};
    use super::*;

    fn bytes(program: &[Instruction]) -> Vec<u8> {
        let encode = |it: &Instruction| {
            let [o0, o1] = it.offset.to_le_bytes();
            let [i0, i1, i2, i3] = it.immediate.to_le_bytes();
            [it.code, it.registers, o0, o1, i0, i1, i2, i3]
        };
        program.iter().flat_map(encode).collect()
    }

    /// Runs the program over every device and access that the rules can tell apart, and compares.
    fn check(rules: &[DeviceRule]) {
        let program = device_program(rules).map(|program| bytes(&program));
        let machine = program.as_deref().map(|program| rbpf::EbpfVmRaw::new(Some(program)).unwrap());
        let numbers = |of: fn(&DeviceRule) -> Option<u32>| {
            let mut numbers: Vec<u32> = rules.iter().filter_map(of).collect();
            numbers.extend([0, 77, u32::MAX]);
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        for (kind, code) in [(DeviceRuleKind::Block, BLOCK), (DeviceRuleKind::Character, CHARACTER)] {
            for major in numbers(|rule| rule.major) {
                for minor in numbers(|rule| rule.minor) {
                    for bits in 1..=EVERY_ACCESS {
                        let word = u32::from(bits) << 16 | code.cast_unsigned();
                        let mut context: Vec<u8> =
                            [word, major, minor].iter().flat_map(|it| it.to_le_bytes()).collect();
                        let answer =
                            machine.as_ref().map_or(1, |it| it.execute_program(&mut context).unwrap());
                        let expected = allowed(rules, kind, major, minor, bits);
                        assert_eq!(answer == 1, expected, "{kind:?} {major}:{minor} {bits:03b} {rules:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn program_of_table_agrees_with_meaning() {
        for rules in [
            &["deny a *:* rwm"][..],
            &["allow a *:* rwm"],
            &[],
            &["allow a *:* rwm", "deny c 1:3 w"],
            &["deny a *:* rwm", "allow c 1:* rw", "deny c 1:3 w", "allow b 8:0 r"],
            &["allow a *:* rw", "deny a *:* m"],
            &["allow a *:* r", "allow a *:* wm"],
            &["allow b *:* rwm", "deny a 8:* m", "allow b 8:4294967295 m"],
        ] {
            let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
            check(&rules);
            let with_defaults: Vec<_> = rules.into_iter().chain(default_device_rules()).collect();
            check(&with_defaults);
        }
    }

    /// A random list of at most `longest` rules, about few devices, so that they overlap.
    fn random_rules(state: &mut u64, longest: u64) -> Vec<DeviceRule> {
        let mut random = |below: u64| {
            // xorshift64*
            *state ^= *state >> 12;
            *state ^= *state << 25;
            *state ^= *state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
        };
        (0..random(longest + 1))
            .map(|_| {
                let mut number = || [None, Some(1), Some(3), Some(8), Some(u32::MAX)][random(5) as usize];
                let (major, minor) = (number(), number());
                let access = 1 + random(7);
                DeviceRule {
                    allow: random(2) == 0,
                    kind: [DeviceRuleKind::All, DeviceRuleKind::Block, DeviceRuleKind::Character]
                        [random(3) as usize],
                    major,
                    minor,
                    access: spec::config::Access {
                        mknod: access & 1 != 0,
                        read: access & 2 != 0,
                        write: access & 4 != 0,
                    },
                }
            })
            .collect()
    }

    #[test]
    fn program_of_random_rules_agrees_with_meaning() {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..500 {
            check(&random_rules(&mut state, 8));
        }
    }

    #[test]
    fn program_of_random_rules_taken_by_the_kernel() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: loading needs root");
            return;
        }
        let mut state = 0x2545_f491_4f6c_dd1d;
        for _ in 0..300 {
            let rules = random_rules(&mut state, 12);
            if let Some(program) = device_program(&rules) {
                super::super::sys::load_device_filter(&program)
                    .unwrap_or_else(|error| panic!("{error}: {rules:?}"));
            }
        }
        let many: Vec<DeviceRule> = (0..super::MAX_RULES as u32)
            .map(|number| DeviceRule { major: Some(number), minor: Some(number), ..rule("allow a *:* rwm") })
            .collect();
        super::super::sys::load_device_filter(&device_program(&many).unwrap()).unwrap();
        check(&many[2990..]);
    }

    #[test]
    fn program_of_everything_allowed_none() {
        assert_eq!(device_program(&[rule("deny c 1:3 r"), rule("allow a *:* rwm")]), None);
        let privileged: Vec<_> =
            [rule("allow a *:* rwm")].into_iter().chain(default_device_rules()).collect();
        assert_eq!(device_program(&privileged), None);
    }

    #[test]
    fn program_size_a_dozen_a_rule_at_most() {
        let rules = default_device_rules();
        let program = device_program(&rules).unwrap();
        assert!(program.len() <= 20 + 6 * rules.len(), "{}", program.len());
    }
}

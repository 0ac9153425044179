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
const MOVE: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JUMP_NOT_EQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_EQUAL: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const RESULT: u8 = 0;
const CONTEXT: u8 = 1; // after the loads: scratch
const KIND: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const BLOCK: i32 = 1; // BPF_DEVCG_DEV_BLOCK
const CHARACTER: i32 = 2; // BPF_DEVCG_DEV_CHAR
const EVERY_ACCESS: u8 = 7;

const fn with(code: u8, destination: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: destination, offset: 0, immediate }
}

const fn between(code: u8, destination: u8, source: u8, offset: i16) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate: 0 }
}

/// The program for a list of rules; `None` where they allow everything, so that no program is needed.
pub fn device_program(rules: &[DeviceRule]) -> Option<Vec<Instruction>> {
    let everything = |rule: &DeviceRule| is_about_all(rule) && access_bits(rule.access) == EVERY_ACCESS;
    // What stands before a rule about everything is never reached, and the verifier refuses unreachable code.
    let start = rules.iter().rposition(everything).unwrap_or(0);
    let rules = &rules[start..];
    if rules.first().is_some_and(|rule| everything(rule) && rule.allow) && rules.iter().all(|rule| rule.allow)
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
    ];
    for rule in rules.iter().rev() {
        append(&mut program, rule);
    }
    if !rules.first().is_some_and(everything) {
        answer(&mut program, false);
    }
    Some(program)
}

fn append(program: &mut Vec<Instruction>, rule: &DeviceRule) {
    let start = program.len();
    match rule.kind {
        DeviceRuleKind::All => {}
        DeviceRuleKind::Block => program.push(with(JUMP_NOT_EQUAL, KIND, BLOCK)),
        DeviceRuleKind::Character => program.push(with(JUMP_NOT_EQUAL, KIND, CHARACTER)),
    }
    if let Some(major) = rule.major {
        program.push(with(JUMP_NOT_EQUAL, MAJOR, major.cast_signed()));
    }
    if let Some(minor) = rule.minor {
        program.push(with(JUMP_NOT_EQUAL, MINOR, minor.cast_signed()));
    }
    let access = access_bits(rule.access);
    if access != EVERY_ACCESS && rule.allow {
        program.push(with(AND, WANTED, i32::from(EVERY_ACCESS & !access)));
        program.push(with(JUMP_NOT_EQUAL, WANTED, 0));
    } else if access != EVERY_ACCESS {
        program.push(between(MOVE_REGISTER, CONTEXT, WANTED, 0));
        program.push(with(AND, CONTEXT, i32::from(access)));
        program.push(with(JUMP_EQUAL, CONTEXT, 0));
    }
    answer(program, rule.allow);
    // All jumps lead behind the rule's last instruction.
    let end = program.len();
    for (index, instruction) in program.iter_mut().enumerate().skip(start) {
        if matches!(instruction.code, JUMP_NOT_EQUAL | JUMP_EQUAL) {
            // A rule has at most nine instructions.
            instruction.offset = (end - index - 1) as i16;
        }
    }
}

fn answer(program: &mut Vec<Instruction>, allow: bool) {
    program.push(with(MOVE, RESULT, i32::from(allow)));
    program.push(with(EXIT, 0, 0));
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

    #[test]
    fn program_of_random_rules_agrees_with_meaning() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            // xorshift64*
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
        };
        for _ in 0..1500 {
            let rules: Vec<DeviceRule> = (0..random(9))
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
                .collect();
            check(&rules);
        }
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
        assert!(program.len() <= 8 + 7 * rules.len(), "{}", program.len());
    }
}

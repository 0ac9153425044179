//! What a program decides, call by call.

use std::time::Instant;

use sandbox::seccomp::{self, Error, compile};
use spec::config::Comparison::{
    self, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual,
};
use spec::config::{Action, Architecture, Seccomp, SyscallRule};

use crate::interpreter::{Call, Program};
use crate::profile::{engine_default, rule, seccomp, when};

pub(crate) const X86_64: u32 = 0xc000_003e;
pub(crate) const X86: u32 = 0x4000_0003;
pub(crate) const AARCH64: u32 = 0xc000_00b7;
pub(crate) const ARM: u32 = 0x4000_0028;

pub(crate) const ALLOW: u32 = 0x7fff_0000;
pub(crate) const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = errno(38);

pub(crate) const fn errno(value: u32) -> u32 {
    0x0005_0000 | value
}

fn program(seccomp: &Seccomp, native: Architecture) -> Program {
    Program::of(&compile(seccomp, native).unwrap().value)
}

fn native(default: Action, rules: Vec<SyscallRule>) -> Program {
    program(&seccomp(default, &[], rules), Architecture::X86_64)
}

fn run(program: &Program, token: u32, number: u32, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    program.run(&Call { number, token, arguments: all }).0
}

const MKDIR: u32 = 83;

#[test]
fn actions_all_have_their_values() {
    for (action, value) in [
        (Action::KillProcess, 0x8000_0000),
        (Action::KillThread, 0),
        (Action::Trap, 0x0003_0000),
        (Action::Errno(13), 0x0005_000d),
        (Action::Errno(u16::MAX), 0x0005_ffff),
        (Action::Trace(7), 0x7ff0_0007),
        (Action::Log, 0x7ffc_0000),
        (Action::Notify, 0x7fc0_0000),
    ] {
        let program = native(Action::Allow, vec![rule(&["mkdir"], action, &[])]);
        assert_eq!(run(&program, X86_64, MKDIR, &[]), value, "{action:?}");
        assert_eq!(run(&program, X86_64, MKDIR - 1, &[]), ALLOW);
        assert_eq!(run(&program, X86_64, MKDIR + 1, &[]), ALLOW);
    }
}

#[test]
fn other_architectures_are_killed() {
    let program = native(Action::Allow, vec![rule(&["mkdir"], Action::Errno(1), &[])]);
    for token in [X86, AARCH64, 0, u32::MAX] {
        assert_eq!(run(&program, token, 0, &[]), KILL_THREAD, "{token:#x}");
    }
}

#[test]
fn x32_not_listed_is_killed_but_skipped_calls_are_not() {
    let program = native(Action::Allow, vec![rule(&["mkdir"], Action::Errno(1), &[])]);
    assert_eq!(run(&program, X86_64, 0x3fff_ffff, &[]), ALLOW);
    for number in [0x4000_0000, 0x4000_0053, 0x7fff_ffff, 0xffff_fffe] {
        assert_eq!(run(&program, X86_64, number, &[]), KILL_THREAD, "{number:#x}");
    }
    assert_eq!(run(&program, X86_64, u32::MAX, &[]), ALLOW);
}

#[test]
fn x32_listed_has_its_own_numbers() {
    let rules = vec![rule(&["mkdir", "execve"], Action::Allow, &[])];
    let program = program(&seccomp(Action::Errno(1), &[Architecture::X32], rules), Architecture::X86_64);
    assert_eq!(run(&program, X86_64, 59, &[]), ALLOW);
    assert_eq!(run(&program, X86_64, 0x4000_0000 + 83, &[]), ALLOW);
    assert_eq!(run(&program, X86_64, 0x4000_0000 + 520, &[]), ALLOW);
    assert_eq!(run(&program, X86_64, 0x4000_0000 + 59, &[]), errno(1));
    assert_eq!(run(&program, X86_64, 0x4000_0000 + 521, &[]), ENOSYS);
    assert_eq!(run(&program, X86_64, 84, &[]), ENOSYS);
}

#[test]
fn newer_calls_than_the_profile_knows_fail_with_enosys() {
    for default in [Action::Errno(1), Action::KillProcess, Action::KillThread, Action::Trap] {
        let program = native(default, vec![rule(&["read", "mkdir"], Action::Allow, &[])]);
        assert_ne!(run(&program, X86_64, MKDIR - 1, &[]), ENOSYS);
        assert_eq!(run(&program, X86_64, MKDIR, &[]), ALLOW);
        assert_eq!(run(&program, X86_64, MKDIR + 1, &[]), ENOSYS, "{default:?}");
        assert_eq!(run(&program, X86_64, 0x3fff_ffff, &[]), ENOSYS, "{default:?}");
    }
    for (default, value) in
        [(Action::Log, 0x7ffc_0000), (Action::Trace(1), 0x7ff0_0001), (Action::Allow, ALLOW)]
    {
        let program = native(default, vec![rule(&["mkdir"], Action::Errno(2), &[])]);
        assert_eq!(run(&program, X86_64, MKDIR + 1, &[]), value);
    }
}

#[test]
fn names_of_redundant_rules_are_known_too() {
    let rules = vec![rule(&["mkdir"], Action::Allow, &[]), rule(&["statx"], Action::Errno(1), &[])];
    let program = native(Action::Errno(1), rules);
    assert_eq!(run(&program, X86_64, 332, &[]), errno(1));
    assert_eq!(run(&program, X86_64, 333, &[]), ENOSYS);
}

#[test]
fn arm_private_calls_do_not_hide_newer_ones() {
    let rules = vec![rule(&["statx", "set_tls"], Action::Allow, &[])];
    let program = program(&seccomp(Action::Errno(1), &[Architecture::Arm], rules), Architecture::Aarch64);
    assert_eq!(run(&program, ARM, 397, &[]), ALLOW);
    assert_eq!(run(&program, ARM, 398, &[]), ENOSYS);
    assert_eq!(run(&program, ARM, 0x0f_0005, &[]), ALLOW);
    assert_eq!(run(&program, ARM, 0x0f_0006, &[]), ENOSYS);
    assert_eq!(run(&program, AARCH64, 291, &[]), ALLOW);
}

#[test]
fn s390_number_0_is_a_newer_call() {
    let rules = vec![rule(&["read"], Action::Allow, &[])];
    let filter = compile(&seccomp(Action::Errno(1), &[], rules), Architecture::S390x).unwrap().value;
    let program = Program::check(filter.instructions().collect(), false);
    assert_eq!(run(&program, 0x8000_0016, 0, &[]), ENOSYS);
    assert_eq!(run(&program, 0x8000_0016, 1, &[]), errno(1));
    assert_eq!(run(&program, 0x8000_0016, 3, &[]), ALLOW);
}

/// Whether a condition holds for an argument, a value and a mask.
type Holds = fn(u64, u64, u64) -> bool;

fn comparisons(mask: u64) -> [(Comparison, Holds); 7] {
    [
        (Equal, |a, b, _| a == b),
        (NotEqual, |a, b, _| a != b),
        (Less, |a, b, _| a < b),
        (LessOrEqual, |a, b, _| a <= b),
        (Greater, |a, b, _| a > b),
        (GreaterOrEqual, |a, b, _| a >= b),
        (MaskedEqual { mask }, |a, b, mask| a & mask == b & mask),
    ]
}

const VALUES: [u64; 11] = [
    0,
    1,
    5,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0x5_0000_0005,
    0x8000_0000_0000_0000,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn comparisons_hold_on_64_bits() {
    for index in 0..6 {
        for value in VALUES {
            for mask in VALUES.into_iter().skip(1) {
                for (comparison, expected) in comparisons(mask) {
                    let rules = vec![rule(&["mkdir"], Action::Errno(9), &[when(index, comparison, value)])];
                    let program = native(Action::Allow, rules);
                    for argument in VALUES {
                        let mut arguments = [0x1234_5678_9abc_def0; 6];
                        arguments[usize::from(index)] = argument;
                        let expected = if expected(argument, value, mask) { errno(9) } else { ALLOW };
                        let found = run(&program, X86_64, MKDIR, &arguments);
                        assert_eq!(found, expected, "{argument:#x} {comparison:x?} {value:#x}");
                    }
                }
            }
        }
    }
}

#[test]
fn comparisons_hold_on_big_endian_64_bits() {
    for value in VALUES {
        for (comparison, expected) in comparisons(0xff_0000_00ff) {
            let rules = vec![rule(&["mkdir"], Action::Errno(9), &[when(2, comparison, value)])];
            let filter = compile(&seccomp(Action::Allow, &[], rules), Architecture::Ppc64).unwrap().value;
            let program = Program::check(filter.instructions().collect(), false);
            for argument in VALUES {
                let expected = if expected(argument, value, 0xff_0000_00ff) { errno(9) } else { ALLOW };
                assert_eq!(run(&program, 0x8000_0015, 39, &[0, 0, argument]), expected);
            }
        }
    }
}

#[test]
fn comparisons_on_32_bit_architectures_look_at_32_bits() {
    let rules = vec![rule(&["mkdir"], Action::Errno(9), &[when(1, Equal, 0x7_0000_0005)])];
    let program = program(
        &seccomp(Action::Allow, &[Architecture::X86, Architecture::X32], rules),
        Architecture::X86_64,
    );
    assert_eq!(run(&program, X86, 39, &[0, 5]), errno(9));
    assert_eq!(run(&program, X86, 39, &[0, 0x8_0000_0005]), errno(9));
    assert_eq!(run(&program, X86_64, 0x4000_0000 + MKDIR, &[0, 5]), errno(9));
    assert_eq!(run(&program, X86_64, MKDIR, &[0, 5]), ALLOW);
    assert_eq!(run(&program, X86_64, MKDIR, &[0, 0x7_0000_0005]), errno(9));
}

#[test]
fn conditions_of_a_rule_must_all_hold() {
    let args = [when(0, Equal, 1), when(5, Greater, 7), when(3, MaskedEqual { mask: 4 }, 4)];
    let program = native(Action::Allow, vec![rule(&["mkdir"], Action::Errno(9), &args)]);
    assert_eq!(run(&program, X86_64, MKDIR, &[1, 0, 0, 6, 0, 8]), errno(9));
    assert_eq!(run(&program, X86_64, MKDIR, &[2, 0, 0, 6, 0, 8]), ALLOW);
    assert_eq!(run(&program, X86_64, MKDIR, &[1, 0, 0, 3, 0, 8]), ALLOW);
    assert_eq!(run(&program, X86_64, MKDIR, &[1, 0, 0, 6, 0, 7]), ALLOW);
}

#[test]
fn two_conditions_on_one_argument_are_two_rules() {
    let args = [when(0, Equal, 1), when(0, Equal, 2), when(1, Equal, 3)];
    let program = native(Action::Allow, vec![rule(&["mkdir"], Action::Errno(9), &args)]);
    for (arguments, expected) in [([1, 0], errno(9)), ([2, 0], errno(9)), ([0, 3], errno(9)), ([0, 0], ALLOW)]
    {
        assert_eq!(run(&program, X86_64, MKDIR, &arguments), expected, "{arguments:?}");
    }
}

#[test]
fn unconditional_rules_win_the_first_of_them() {
    let conditional = || rule(&["mkdir"], Action::Errno(1), &[when(0, Equal, 1)]);
    let unconditional = |value| rule(&["mkdir"], Action::Errno(value), &[]);
    for rules in [
        vec![conditional(), unconditional(2)],
        vec![unconditional(2), conditional()],
        vec![unconditional(2), unconditional(3)],
        vec![conditional(), unconditional(2), conditional(), unconditional(3)],
    ] {
        let program = native(Action::Allow, rules);
        assert_eq!(run(&program, X86_64, MKDIR, &[1]), errno(2));
        assert_eq!(run(&program, X86_64, MKDIR, &[0]), errno(2));
    }
}

#[test]
fn conditions_that_always_hold_are_none() {
    let program = native(
        Action::Allow,
        vec![rule(&["mkdir"], Action::Errno(1), &[when(0, MaskedEqual { mask: 0 }, 5)])],
    );
    assert_eq!(run(&program, X86_64, MKDIR, &[7]), errno(1));
}

#[test]
fn equal_conditions_with_another_action_are_refused() {
    let rules = vec![
        rule(&["mkdir"], Action::Errno(1), &[when(0, Equal, 1)]),
        rule(&["rmdir", "mkdir"], Action::Errno(2), &[when(0, Equal, 1)]),
    ];
    let error = compile(&seccomp(Action::Allow, &[], rules), Architecture::X86_64).unwrap_err();
    assert_eq!(error, Error::Conflict { name: "mkdir".into(), rule: 1, other: 0 });
    assert_eq!(error.pointer(), "/linux/seccomp/syscalls/1");
}

#[test]
fn rules_with_the_default_action_are_none() {
    let rules =
        vec![rule(&["mkdir"], Action::Allow, &[]), rule(&["mkdir"], Action::Errno(1), &[when(0, Equal, 1)])];
    let program = native(Action::Allow, rules);
    assert_eq!(run(&program, X86_64, MKDIR, &[1]), errno(1));
}

#[test]
fn unknown_names_are_warned_about() {
    let rules = vec![
        rule(&["mkdir", "mkdirr"], Action::Errno(1), &[]),
        rule(&["riscv_hwprobe"], Action::Errno(1), &[]),
    ];
    let outcome = compile(&seccomp(Action::Allow, &[], rules), Architecture::X86_64).unwrap();
    assert_eq!(outcome.warnings.len(), 1);
    assert_eq!(outcome.warnings[0].pointer.as_deref(), Some("/linux/seccomp/syscalls/0/names/1"));
    assert_eq!(outcome.warnings[0].message, r#"unknown system call "mkdirr" is ignored"#);
}

#[test]
fn multiplexed_calls_have_their_rule_there_too() {
    let rules = vec![rule(&["socket", "shmget"], Action::Errno(9), &[])];
    let program = program(&seccomp(Action::Allow, &[Architecture::X86], rules), Architecture::X86_64);
    assert_eq!(run(&program, X86, 359, &[]), errno(9));
    assert_eq!(run(&program, X86, 102, &[1]), errno(9));
    assert_eq!(run(&program, X86, 102, &[2]), ALLOW);
    assert_eq!(run(&program, X86, 117, &[23]), errno(9));
    assert_eq!(run(&program, X86, 395, &[]), errno(9));
    assert_eq!(run(&program, X86_64, 41, &[]), errno(9));
}

#[test]
fn arguments_hidden_in_a_multiplexer_are_warned_about() {
    let socket = || rule(&["socket"], Action::Allow, &[when(0, NotEqual, 40)]);
    let of = |rules| seccomp(Action::Errno(1), &[Architecture::X86], rules);
    let outcome = compile(&of(vec![socket()]), Architecture::X86_64).unwrap();
    assert_eq!(outcome.warnings[0].pointer.as_deref(), Some("/linux/seccomp/syscalls/0/args"));
    assert_eq!(run(&Program::of(&outcome.value), X86, 102, &[1]), ALLOW);
    // Nothing is lost where the multiplexer has a rule of its own.
    let outcome =
        compile(&of(vec![socket(), rule(&["socketcall"], Action::Allow, &[])]), Architecture::X86_64);
    assert_eq!(outcome.unwrap().warnings, []);
}

#[test]
fn architectures_of_the_other_byte_order_are_refused() {
    let error =
        compile(&seccomp(Action::Allow, &[Architecture::S390x], vec![]), Architecture::X86_64).unwrap_err();
    assert_eq!(error, Error::ByteOrder { architecture: Architecture::S390x, native: Architecture::X86_64 });
}

#[test]
fn notify_by_default_is_refused_and_by_rule_needs_a_listener() {
    let error = compile(&seccomp(Action::Notify, &[], vec![]), Architecture::X86_64).unwrap_err();
    assert_eq!(error, Error::NotifyByDefault);
    let mut config = seccomp(Action::Allow, &[], vec![rule(&["mkdir"], Action::Notify, &[])]);
    config.flags.wait_killable_recv = true;
    config.flags.log = true;
    let outcome = compile(&config, Architecture::X86_64).unwrap();
    assert!(outcome.value.needs_listener());
    assert_eq!(outcome.warnings, []);
    assert_eq!(
        outcome.value.flags(),
        seccomp::FLAG_NEW_LISTENER | seccomp::FLAG_WAIT_KILLABLE_RECV | seccomp::FLAG_LOG
    );
    config.syscalls.clear();
    let outcome = compile(&config, Architecture::X86_64).unwrap();
    assert_eq!((outcome.value.flags(), outcome.warnings.len()), (seccomp::FLAG_LOG, 1));
}

#[test]
fn arguments_above_5_are_refused() {
    let rules = vec![rule(&["mkdir"], Action::Errno(1), &[when(6, Equal, 1)])];
    let error = compile(&seccomp(Action::Allow, &[], rules), Architecture::X86_64).unwrap_err();
    assert_eq!(error, Error::NoSuchArgument { rule: 0 });
}

#[test]
fn too_long_programs_are_refused() {
    let rules = (0..2000).map(|value| rule(&["mkdir"], Action::Errno(1), &[when(0, Equal, value)])).collect();
    let error = compile(&seccomp(Action::Allow, &[], rules), Architecture::X86_64).unwrap_err();
    assert!(matches!(error, Error::TooLong { instructions } if instructions > 4096), "{error}");
}

#[test]
fn empty_profiles_return_the_default() {
    let program = native(Action::Errno(1), vec![]);
    assert_eq!(run(&program, X86_64, 0, &[]), errno(1));
    assert_eq!(run(&program, X86_64, 1000, &[]), errno(1));
    assert_eq!(run(&program, X86, 0, &[]), KILL_THREAD);
    let program = self::program(&seccomp(Action::Allow, &[], vec![]), Architecture::Aarch64);
    assert_eq!(run(&program, AARCH64, 5000, &[]), ALLOW);
}

#[test]
fn every_architecture_has_its_program() {
    use Architecture::*;
    let little =
        [X86, X86_64, X32, Arm, Aarch64, Mipsel, Mipsel64, Mipsel64N32, Ppc64Le, Riscv64, Loongarch64, Sh];
    let big = [Mips, Mips64, Mips64N32, Ppc, Ppc64, S390, S390x, Parisc, Parisc64, M68k, Sheb];
    for (all, little_endian) in [(&little[..], true), (&big[..], false)] {
        for native in all {
            let config = seccomp(Action::Errno(1), all, engine_default().syscalls);
            let filter = compile(&config, *native).unwrap().value;
            let program = Program::check(filter.instructions().collect(), little_endian);
            assert_eq!(run(&program, 0, 0, &[]), KILL_THREAD, "{native:?}");
        }
    }
}

#[test]
fn engine_profile_is_small_and_its_paths_short() {
    let config = engine_default();
    let begin = Instant::now();
    let outcome = compile(&config, Architecture::X86_64).unwrap();
    let first = begin.elapsed();
    assert_eq!(outcome.warnings, []);
    let program = Program::of(&outcome.value);
    assert!(program.len() < 1000, "{} instructions", program.len());
    let (mut longest, mut sum) = (0, 0);
    for number in 0..470 {
        let (_, steps) = program.run(&Call { number, token: X86_64, arguments: [0; 6] });
        longest = longest.max(steps);
        sum += steps;
    }
    let timed = (0..20).map(|_| {
        let begin = Instant::now();
        drop(compile(&config, Architecture::X86_64));
        begin.elapsed()
    });
    println!("compiled in {:?} at first, {:?} at best", first, timed.min().unwrap());
    println!("{} instructions; a path takes {} at most, {} on average", program.len(), longest, sum / 470);
    // mkdir, clone with and without CLONE_NEWUSER, clone3, mount, personality, a call of the future.
    for (number, argument, expected) in [
        (83, 0, ALLOW),
        (56, 0x1100, ALLOW),
        (56, 0x1000_0000, errno(1)),
        (435, 0, errno(38)),
        (165, 0, errno(1)),
        (135, 0x20008, ALLOW),
        (135, 0x40000, errno(1)),
        (600, 0, ENOSYS),
    ] {
        assert_eq!(run(&program, X86_64, number, &[argument]), expected, "{number} {argument:#x}");
    }
}

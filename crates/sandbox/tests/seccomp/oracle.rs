//! Random profiles against libseccomp, asked as runc asks it. The machine's libseccomp is loaded where there is one.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sandbox::seccomp::compile;
use spec::config::Comparison::{
    self, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual,
};
use spec::config::{Action, Architecture, ArgumentCondition, Seccomp, SyscallRule};

use crate::interpreter::{Call, Program};
use crate::profile::{engine_default, rule, seccomp, when};
use crate::semantics::{AARCH64, ARM, X86, X86_64, errno};
use crate::sys::{self, Library};

/// An architecture as the kernel and libseccomp have it.
#[derive(Clone, Copy)]
struct Abi {
    architecture: Architecture,
    kernel: u32,
    library: u32,
}

const fn abi(architecture: Architecture, kernel: u32, library: u32) -> Abi {
    Abi { architecture, kernel, library }
}

const NATIVE: Abi = abi(Architecture::X86_64, X86_64, X86_64);
const OTHERS: [Abi; 8] = [
    abi(Architecture::X86, X86, X86),
    abi(Architecture::X32, X86_64, 0x4000_003e),
    abi(Architecture::Aarch64, AARCH64, AARCH64),
    abi(Architecture::Arm, ARM, ARM),
    abi(Architecture::Ppc64Le, 0xc000_0015, 0xc000_0015),
    abi(Architecture::Mipsel, 0x4000_0008, 0x4000_0008),
    abi(Architecture::Mipsel64N32, 0xe000_0008, 0xe000_0008),
    abi(Architecture::Riscv64, 0xc000_00f3, 0xc000_00f3),
];

fn value(action: Action) -> u32 {
    match action {
        Action::Allow => 0x7fff_0000,
        Action::Errno(value) => errno(u32::from(value)),
        Action::Log => 0x7ffc_0000,
        Action::Trap => 0x0003_0000,
        Action::KillProcess => 0x8000_0000,
        other => panic!("{other:?}"),
    }
}

fn comparison(condition: &ArgumentCondition) -> sys::Comparison {
    let (operator, datum) = match condition.comparison {
        NotEqual => (1, [condition.value, 0]),
        Less => (2, [condition.value, 0]),
        LessOrEqual => (3, [condition.value, 0]),
        Equal => (4, [condition.value, 0]),
        GreaterOrEqual => (5, [condition.value, 0]),
        Greater => (6, [condition.value, 0]),
        MaskedEqual { mask } => (7, [mask, condition.value]),
    };
    sys::Comparison { argument: u32::from(condition.index), operator, datum }
}

/// What runc has libseccomp make of the profile, and its answer to calls newer than the profile.
struct Expected {
    program: Program,
    highest: Vec<(u32, u32)>,
    permissive: bool,
}

impl Expected {
    fn of(library: &Library, config: &Seccomp, abis: &[Abi]) -> Result<Self, i32> {
        let mut filter = library.filter(value(config.default_action));
        for abi in &abis[1..] {
            filter.add_architecture(abi.library);
        }
        for of_config in config.syscalls.iter().filter(|rule| rule.action != config.default_action) {
            for number in of_config.names.iter().filter_map(|name| library.native_number(name)) {
                let comparisons: Vec<_> = of_config.args.iter().map(comparison).collect();
                let indices: BTreeSet<_> = of_config.args.iter().map(|condition| condition.index).collect();
                if indices.len() == comparisons.len() {
                    filter.add_rule(value(of_config.action), number, &comparisons)?;
                } else {
                    for comparison in &comparisons {
                        filter.add_rule(value(of_config.action), number, &[*comparison])?;
                    }
                }
            }
        }
        let highest = abis.iter().map(|abi| {
            let names = config.syscalls.iter().flat_map(|rule| &rule.names);
            let numbers =
                names.filter_map(|name| library.number(abi.library, name)).filter(|number| *number >= 0);
            (abi.library, numbers.max().unwrap_or(0) as u32)
        });
        let permissive = matches!(config.default_action, Action::Allow | Action::Log);
        Ok(Self {
            highest: highest.collect(),
            program: Program::check(filter.instructions(), true),
            permissive,
        })
    }

    fn run(&self, call: &Call, abis: &[Abi]) -> u32 {
        let x32 = call.token == X86_64 && call.number & 0x4000_0000 != 0;
        let abi = abis
            .iter()
            .find(|abi| abi.kernel == call.token && (abi.architecture == Architecture::X32) == x32);
        let highest = abi.and_then(|abi| self.highest.iter().find(|(token, _)| *token == abi.library));
        match highest {
            Some((_, highest)) if !self.permissive && *highest > 0 && call.number > *highest => errno(38),
            _ => self.program.run(call).0,
        }
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

const VALUES: [u64; 9] = [0, 1, 2, 5, 8, 0x10, 0xff, 0x7fff_ffff, 0xffff_ffff];
const ACTIONS: [Action; 5] = [Action::Allow, Action::Errno(1), Action::Errno(2), Action::Log, Action::Trap];
/// A few calls that rules are heaped on, some of them multiplexed.
const HOT: [&str; 8] = ["socket", "mkdir", "clone", "shmget", "accept", "ioctl", "personality", "fcntl64"];

fn condition(random: &mut Random) -> ArgumentCondition {
    let mask = random.of(&[0, 1, 0xff, 0xf0, 0xffff_ffff, u64::MAX]);
    let comparisons: [Comparison; 7] =
        [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, MaskedEqual { mask }];
    when(random.below(3) as u8, random.of(&comparisons), random.of(&VALUES))
}

/// What the profiles of a test are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Rules of one condition, arguments of 32 bits: libseccomp's order has to be ours.
    Single,
    /// Rules of many, and 64 bits. Here libseccomp's order depends on how its nodes happen to be shared: so what we
    /// answer must be what a rule says, and differences are counted.
    Any,
}

fn rules(random: &mut Random, names: &[&str], lane: Lane) -> Vec<SyscallRule> {
    // The highest that is known to all: so that the highest is a number of its own everywhere.
    let mut rules = vec![rule(&["faccessat2"], random.of(&ACTIONS), &[])];
    for _ in 0..random.below(12) {
        let action = random.of(&ACTIONS);
        match random.below(4) {
            0 => {
                let names: Vec<_> = (0..random.below(150)).map(|_| random.of(names)).collect();
                rules.push(rule(&names, action, &[]));
            }
            _ => {
                let conditions = match lane {
                    Lane::Single => random.below(2),
                    Lane::Any => random.below(4),
                };
                let args: Vec<_> = (0..conditions).map(|_| condition(random)).collect();
                rules.push(rule(&[random.of(&HOT), random.of(names)], action, &args));
            }
        }
    }
    rules.retain(|rule| !rule.names.is_empty());
    rules
}

fn arguments(random: &mut Random, lane: Lane) -> [u64; 6] {
    std::array::from_fn(|_| match random.below(8) {
        0 if lane == Lane::Any => random.of(&VALUES) << 32 | random.of(&VALUES),
        1 => random.of(&VALUES).wrapping_sub(1) & 0xffff_ffff,
        2 => (random.of(&VALUES) + 1) & 0xffff_ffff,
        _ => random.of(&VALUES),
    })
}

/// Whether a condition holds; arguments and values have 32 bits where the architecture has.
fn holds(condition: &ArgumentCondition, abi: &Abi, arguments: &[u64; 6]) -> bool {
    let wide = abi.library & 0x8000_0000 != 0 && abi.architecture != Architecture::Mipsel64N32;
    let cut = |value: u64| if wide { value } else { u64::from(value as u32) };
    let (argument, value) = (cut(arguments[usize::from(condition.index)]), cut(condition.value));
    match condition.comparison {
        Equal => argument == value,
        NotEqual => argument != value,
        Less => argument < value,
        LessOrEqual => argument <= value,
        Greater => argument > value,
        GreaterOrEqual => argument >= value,
        MaskedEqual { mask } => argument & cut(mask) == value & cut(mask),
    }
}

/// The number of its own that a call has. libseccomp tells only the multiplexed one where there are both.
fn own_number(library: &Library, abi: &Abi, name: &str) -> Option<u32> {
    match (abi.architecture, name) {
        (Architecture::X86, "socket") => Some(359),
        (Architecture::X86 | Architecture::Ppc64Le, "shmget") => Some(395),
        (Architecture::Ppc64Le, "socket") => Some(326),
        (Architecture::Ppc64Le, "accept") => Some(330),
        (Architecture::Mipsel, "socket") => Some(4183),
        (Architecture::Mipsel, "shmget") => Some(4395),
        (Architecture::Mipsel, "accept") => Some(4168),
        _ => library.number(abi.library, name).and_then(|number| number.try_into().ok()),
    }
}

/// What the rules say of a call, in any order: that of the first rule without conditions, else of any that holds.
fn possible(library: &Library, config: &Seccomp, abi: &Abi, call: &Call) -> Vec<u32> {
    let multiplexer = ["socketcall", "ipc"].into_iter().find(|name| {
        let multiplexed =
            matches!(abi.architecture, Architecture::X86 | Architecture::Ppc64Le | Architecture::Mipsel);
        multiplexed && library.number(abi.library, name) == Some(call.number as i32)
    });
    let mut values = Vec::new();
    for rule in config.syscalls.iter().filter(|rule| rule.action != config.default_action) {
        let repeated =
            (1..rule.args.len()).any(|i| rule.args[..i].iter().any(|a| a.index == rule.args[i].index));
        for name in &rule.names {
            let pseudo = library.number(abi.library, name).filter(|number| *number < 0);
            let carried = match multiplexer {
                Some("socketcall") => {
                    pseudo.filter(|number| (-120..-100).contains(number)).map(|number| -number - 100)
                }
                Some("ipc") => {
                    pseudo.filter(|number| (-224..-200).contains(number)).map(|number| -number - 200)
                }
                _ => None,
            };
            let args: Vec<_> = match carried {
                Some(first) if call.arguments[0] as u32 != first as u32 => continue,
                Some(_) => rule.args.iter().filter(|condition| condition.index != 0).collect(),
                None if own_number(library, abi, name) != Some(call.number) => continue,
                None => rule.args.iter().collect(),
            };
            let mut each = args.iter().map(|condition| holds(condition, abi, &call.arguments));
            let always = |condition: &&ArgumentCondition| {
                let wide = abi.library & 0x8000_0000 != 0 && abi.architecture != Architecture::Mipsel64N32;
                matches!(condition.comparison, MaskedEqual { mask } if if wide { mask } else { mask & 0xffff_ffff } == 0)
            };
            let unconditional = match repeated {
                true => args.iter().any(always),
                false => args.iter().all(always),
            };
            if carried.is_none() && unconditional {
                return vec![value(rule.action)];
            }
            if if repeated { each.any(|holds| holds) } else { each.all(|holds| holds) } {
                values.push(value(rule.action));
            }
        }
    }
    if values.is_empty() {
        values.push(value(config.default_action));
    }
    values
}

/// The rules that speak of a number, for the message of a failure.
fn relevant(library: &Library, config: &Seccomp, abi: &Abi, number: u32) -> String {
    let mut text = format!("{number} on {:?}: default {:?}\n", abi.architecture, config.default_action);
    for (index, rule) in config.syscalls.iter().enumerate() {
        for name in &rule.names {
            let pseudo = library.number(abi.library, name).is_some_and(|number| number < 0);
            if own_number(library, abi, name) == Some(number)
                || pseudo && [102, 117, 4102, 4117].contains(&number)
            {
                let args: String = rule.args.iter().map(|a| format!(" {a:x?}")).collect();
                text += &format!("{index} {name} {:?}{args}\n", rule.action);
            }
        }
    }
    text
}

fn library() -> Option<Library> {
    Library::load().inspect_err(|reason| println!("skipped: {reason}")).ok()
}

#[test]
fn random_rules_of_one_condition_decide_as_libseccomp_does() {
    in_time(|| compare(Lane::Single));
}

#[test]
fn random_rules_decide_as_written_and_mostly_as_libseccomp_does() {
    in_time(|| compare(Lane::Any));
}

/// libseccomp (2.5.4) never comes to an end with one random profile in some thousands: not with those of this seed.
fn in_time(body: fn()) {
    let (done, end) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done;
        body();
    });
    match end.recv_timeout(Duration::from_secs(240)) {
        Err(RecvTimeoutError::Timeout) => println!("skipped: libseccomp does not come to an end"),
        _ => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

/// Compares random profiles. `SECCOMP_PROFILES` and `SECCOMP_SEED` in the environment ask for more and for others.
fn compare(lane: Lane) {
    let Some(library) = library() else { return };
    let engine = engine_default();
    let names = engine.syscalls[0].names.iter().map(|name| &**name);
    // Names that this libseccomp, maybe older, knows.
    let names: Vec<&str> = names.filter(|name| library.native_number(name).is_some()).collect();
    let profiles = std::env::var("SECCOMP_PROFILES").map_or(400, |count| count.parse().unwrap());
    let seed = std::env::var("SECCOMP_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut counts = Counts::default();
    for profile in 0..profiles {
        let mut random = Random((seed << 32 | profile) * 2 + 1);
        // The first numbers of near seeds are alike.
        (0..20).for_each(|_| _ = random.below(2));
        let mut abis = vec![NATIVE];
        abis.extend(OTHERS.iter().filter(|_| random.below(3) == 0));
        let architectures: Vec<_> = abis.iter().map(|abi| abi.architecture).collect();
        let config = seccomp(random.of(&ACTIONS), &architectures, rules(&mut random, &names, lane));
        compare_profile(&library, &config, &abis, lane, &mut random, &mut counts)
            .unwrap_or_else(|message| panic!("profile {profile} of seed {seed}: {message}"));
    }
    println!("{profiles} profiles: {counts:?}");
    assert!((counts.other_order + counts.libseccomp_wrong) * 1000 < counts.calls, "{counts:?}");
}

#[derive(Debug, Default)]
struct Counts {
    refused_by_both: u32,
    refused_by_libseccomp: u32,
    calls: u64,
    /// libseccomp takes another rule that holds too.
    other_order: u64,
    /// libseccomp answers what no rule says: it compares another argument than it means to (found with 2.5.4).
    libseccomp_wrong: u64,
}

fn compare_profile(
    library: &Library,
    config: &Seccomp,
    abis: &[Abi],
    lane: Lane,
    random: &mut Random,
    counts: &mut Counts,
) -> Result<(), String> {
    let ours = compile(config, NATIVE.architecture);
    let expected = match (Expected::of(library, config, abis), &ours) {
        (Err(_), Err(_)) => {
            counts.refused_by_both += 1;
            return Ok(());
        }
        (Err(_), Ok(_)) => {
            counts.refused_by_libseccomp += 1;
            return Ok(());
        }
        (Ok(_), Err(error)) => return Err(format!("{error} ({}), not with libseccomp", error.pointer())),
        (Ok(expected), Ok(_)) => expected,
    };
    let program = Program::of(&ours.unwrap().value);
    for abi in abis {
        let multiplexers = [102, 117, 4102, 4117];
        let mut numbers: BTreeSet<u32> = (0..40).map(|_| random.below(500) as u32).collect();
        let names = config.syscalls.iter().flat_map(|rule| &rule.names);
        numbers.extend(names.filter_map(|name| own_number(library, abi, name)));
        numbers.extend([0x3fff_ffff, 0x4000_0000, 0x4000_0000 + 41, 0x7fff_ffff, u32::MAX]);
        numbers.extend(multiplexers);
        for number in numbers {
            let hot = HOT.iter().any(|name| own_number(library, abi, name) == Some(number));
            for _ in 0..if hot || multiplexers.contains(&number) { 60 } else { 2 } {
                let call = Call { number, token: abi.kernel, arguments: arguments(random, lane) };
                let (ours, theirs) = (program.run(&call).0, expected.run(&call, abis));
                counts.calls += 1;
                if ours == theirs {
                    continue;
                }
                let possible = possible(library, config, abi, &call);
                let both_possible = possible.contains(&ours) && possible.contains(&theirs);
                if !possible.contains(&ours) || both_possible && lane == Lane::Single {
                    let (abi_name, rules) = (abi.architecture, relevant(library, config, abi, number));
                    return Err(format!(
                        "{call:x?} on {abi_name:?}: {ours:x}, libseccomp {theirs:x}\n{rules}"
                    ));
                }
                if both_possible {
                    counts.other_order += 1;
                } else {
                    counts.libseccomp_wrong += 1;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_engine_profile_decides_as_libseccomp_does() {
    let Some(library) = library() else { return };
    let mut config = engine_default();
    for rule in &mut config.syscalls {
        rule.names.retain(|name| library.native_number(name).is_some());
    }
    let abis = [NATIVE, OTHERS[0], OTHERS[1]];
    let expected = Expected::of(&library, &config, &abis).unwrap();
    let program = Program::of(&compile(&config, NATIVE.architecture).unwrap().value);
    let mut random = Random(1);
    for abi in abis {
        // An older libseccomp lacks later numbers on x32.
        for number in (0..451).chain(0x4000_0000..0x4000_0000 + 451) {
            for _ in 0..20 {
                let call = Call { number, token: abi.kernel, arguments: arguments(&mut random, Lane::Any) };
                assert_eq!(program.run(&call).0, expected.run(&call, &abis), "{call:x?}");
            }
        }
    }
    println!("{} instructions; libseccomp: {}", program.len(), expected.program.len());
}

//! The table of numbers against the headers of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;

use sandbox::seccomp::compile;
use spec::config::{Action, Architecture};

use crate::interpreter::{Call, Program};
use crate::profile::{rule, seccomp};
use crate::semantics::{AARCH64, X86, X86_64, errno};

/// `#define __NR_name 1` and `#define __NR_name (__X32_SYSCALL_BIT + 1)`.
fn numbers(path: &str) -> Option<BTreeMap<String, u32>> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) =
            line.strip_prefix("#define __NR_").and_then(|rest| rest.split_once([' ', '\t']))
        else {
            continue;
        };
        let (value, bit) = match value.trim().strip_prefix("(__X32_SYSCALL_BIT + ") {
            Some(value) => (value.trim_end_matches(')'), 0x4000_0000),
            None => (value.trim(), 0),
        };
        // `syscalls` is their count, `arch_specific_syscall` a place for 16 that aarch64 has not, and
        // `sync_file_range2` another name on some architectures.
        if let Ok(number) = value.parse::<u32>()
            && !["syscalls", "arch_specific_syscall", "sync_file_range2"].contains(&name)
        {
            numbers.insert(name.to_owned(), number | bit);
        }
    }
    Some(numbers)
}

/// Every name of the header but `others`, denied with an error of its own, is denied at its number, and no other number is.
fn check(
    path: &str,
    token: u32,
    native: Architecture,
    architectures: &[Architecture],
    others: RangeInclusive<u32>,
) {
    let Some(mut numbers) = numbers(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    numbers.retain(|_, number| !others.contains(number));
    assert!(numbers.len() > 200, "{path}: {} names", numbers.len());
    for part in numbers.iter().collect::<Vec<_>>().chunks(100) {
        let rules =
            part.iter().enumerate().map(|(i, (name, _))| rule(&[name], Action::Errno(i as u16 + 1), &[]));
        let outcome = compile(&seccomp(Action::Allow, architectures, rules.collect()), native).unwrap();
        assert_eq!(outcome.warnings, [], "{path}");
        let program = Program::of(&outcome.value);
        for (i, (name, number)) in part.iter().enumerate() {
            let (value, _) = program.run(&Call { number: **number, token, arguments: [0; 6] });
            assert_eq!(value, errno(i as u32 + 1), "{path}: {name} {number:#x}");
        }
    }
}

const NONE: RangeInclusive<u32> = u32::MAX..=u32::MAX;

#[test]
fn x86_numbers_are_the_headers() {
    let asm = "/usr/include/x86_64-linux-gnu/asm";
    let both = [Architecture::X86, Architecture::X32];
    check(&format!("{asm}/unistd_64.h"), X86_64, Architecture::X86_64, &both, NONE);
    check(&format!("{asm}/unistd_32.h"), X86, Architecture::X86_64, &both, NONE);
    check(&format!("{asm}/unistd_x32.h"), X86_64, Architecture::X86_64, &both, NONE);
}

#[test]
fn aarch64_numbers_are_the_generic_headers() {
    // Times of 64 bits for architectures of 32.
    let others = 403..=423;
    check("/usr/include/asm-generic/unistd.h", AARCH64, Architecture::Aarch64, &[], others);
}

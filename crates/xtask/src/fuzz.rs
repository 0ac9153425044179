//! `fuzz [TARGET]... [--seconds N]`: the fuzz targets (`crates/fuzz`), each for a while.
//!
//! Built apart, with the compiler's coverage counters: the flags are the stable compiler's. What reached something new
//! stays in `target/fuzz`, and the next run goes on from there; `--keep` writes a reduced corpus into the repository. With `--sanitizer` also under AddressSanitizer,
//! which the stable compiler has but does not promise: `RUSTC_BOOTSTRAP=1`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;

use crate::error::{Context, Failure, Result};
use crate::process::{output_of, rendered, run};
use crate::project;

/// LLVM's SanitizerCoverage, as cargo-fuzz asks for it, without what only libFuzzer reads.
const COVERAGE: [&str; 3] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
];

/// What the command line says.
#[derive(Debug)]
struct Request {
    targets: Vec<String>,
    seconds: u64,
    seed: u64,
    keep: bool,
    sanitizer: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut request = Request { targets: Vec::new(), seconds: 60, seed: 1, keep: false, sanitizer: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => request.seconds = parser.value()?.parse()?,
            Long("seed") => request.seed = parser.value()?.parse()?,
            Long("keep") => request.keep = true,
            Long("sanitizer") => request.sanitizer = true,
            Value(target) => request.targets.push(target.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

/// Entry of the task.
pub(crate) fn main(parser: lexopt::Parser) -> Result<ExitCode> {
    let request = parse(parser)?;
    let program = build(request.sanitizer)?;
    let known = output_of(Command::new(&program).arg("--list"))?;
    let known: Vec<&str> = known.split_whitespace().collect();
    let mut targets: Vec<&str> = request.targets.iter().map(String::as_str).collect();
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        return Err(Failure::new(format!("no target {unknown:?}: one of {}", known.join(" "))));
    }
    if targets.is_empty() {
        targets = known;
    }
    let mut failed = Vec::new();
    for target in targets {
        if !run_target(&program, target, &request)? {
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("findings of {} are in {}", failed.join(", "), findings().display());
    Ok(ExitCode::FAILURE)
}

fn directory() -> PathBuf {
    project::target().join("fuzz")
}

fn findings() -> PathBuf {
    directory().join("findings")
}

/// Whether nothing was found.
fn run_target(program: &Path, target: &str, request: &Request) -> Result<bool> {
    let kept = project::root().join("crates/fuzz/corpus").join(target);
    let grown = directory().join("corpus").join(target);
    let mut command = Command::new(program);
    command.arg(target).args([
        "--seconds",
        &request.seconds.to_string(),
        "--seed",
        &request.seed.to_string(),
    ]);
    command.arg("--seeds").arg(&kept).arg("--seeds").arg(&grown);
    command.arg("--findings").arg(findings()).arg("--grown").arg(&grown);
    if request.keep {
        command.arg("--keep").arg(&kept);
    }
    let status = command.status().context(rendered(&command))?;
    // An end that the runner does not survive (an abort, a stack overflow) leaves the input at work.
    let current = findings().join(format!("{target}-current"));
    if status.code().is_none_or(|code| code > 1) && current.exists() {
        let found = findings().join(format!("{target}-ended"));
        let bytes = std::fs::read(&current).context(current.display())?;
        // Its length in eight bytes, then itself.
        let (length, input) = bytes.split_at_checked(8).unwrap_or((&[0; 8], &[]));
        let length = length.try_into().map_or(0, u64::from_le_bytes) as usize;
        std::fs::write(&found, &input[..input.len().min(length)]).context(found.display())?;
        println!("finding: the process ended, {status}\n  input: {}", found.display());
    }
    Ok(status.success())
}

/// Builds the fuzzing program, for an explicit target: build scripts and macros get no counters.
fn build(sanitizer: bool) -> Result<PathBuf> {
    let host = project::host_triple()?;
    let mut flags = COVERAGE.to_vec();
    // Overflows are findings.
    flags.extend(["-Cdebug-assertions=on", "-Coverflow-checks=on", "-Cpanic=unwind"]);
    let mut command = project::cargo();
    let mut built_in = directory().join("build");
    if sanitizer {
        flags.push("-Zsanitizer=address");
        command.env("RUSTC_BOOTSTRAP", "1");
        built_in = directory().join("build-address");
    }
    command.args(["build", "--quiet", "--package", "fuzz", "--profile", "fuzz", "--target", &host]);
    command.arg("--target-dir").arg(&built_in);
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    run(&mut command)?;
    Ok(built_in.join(host).join("fuzz/fuzz"))
}

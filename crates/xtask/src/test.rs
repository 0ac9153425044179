//! `test`: every test, on every cgroup set-up that this machine can show.
//!
//! First the crates' own tests, then the black-box suite (`runtime-tests`) with the static binary, once per lane; in the
//! virtual machine the part of it that needs what only that has: it is about eight times slower. The last line is the sum
//! of all: `N passed, N failed, N skipped`.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::{find_program, rendered};
use crate::vm::{self, Image, Job, Suite, Unavailable};
use crate::{build, project};

/// Programs that some tests drive, and where Debian has them.
const PROGRAMS: [(&str, &str); 14] = [
    ("busybox", "busybox-static"),
    ("buildah", "buildah"),
    ("conmon", "conmon"),
    ("containerd", "containerd"),
    ("crun", "crun"),
    ("dockerd", "docker.io"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("keyctl", "keyutils"),
    ("newuidmap", "uidmap"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
];

/// What is run in the virtual machine: the cases of which one of these is the beginning of the name.
const VM_CASES: [&str; 13] = [
    "apparmor::",
    "cgroup::cpu",
    "cgroup::limits_",
    "cgroup::memory_",
    "cgroup::pids_",
    "cgroup::unified_",
    "podman::create_start_stop",
    "podman::run_bridge_network",
    "podman::run_detached",
    "podman::run_in_a_user_namespace",
    "podman::run_memory_limit",
    "podman::runc_run_memory_limit",
    "systemd::",
];

/// Where the black-box suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here(Lane),
    VirtualMachine,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "vm" {
            return Ok(Self::VirtualMachine);
        }
        name.parse().map(Self::Here).map_err(|_: String| "a lane is hybrid, v1, v2 or vm".into())
    }
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut lanes = Vec::new();
    let mut rest = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("lane") => lanes.push(parser.value()?.parse()?),
            Value(value) => rest.push(value),
            other => return Err(other.unexpected().into()),
        }
    }
    announce_missing();
    let mut total = Counts::default();
    let mut all_ended_well = true;
    let mut run = |title: &str, command: &mut Command| -> Result<()> {
        println!("== {title}: {}", rendered(command));
        let (counts, ended_well) = run_counted(command)?;
        total.add(counts);
        all_ended_well &= ended_well;
        Ok(())
    };
    let mut crates = project::cargo();
    run(
        "crates",
        crates.args([
            "test",
            "--no-fail-fast",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "runtime-tests",
        ]),
    )?;
    let runtime = build::build_static()?;
    let places = selected(&lanes)?;
    for place in &places {
        let Place::Here(lane) = place else { continue };
        let mut suite = project::cargo();
        suite.args(["test", "--package", "runtime-tests", "--"]).args(&rest);
        suite.env("RUNTIME", &runtime).env("CGROUP", lane.to_string());
        run(&format!("runtime-tests, cgroup {lane}"), &mut suite)?;
    }
    if places.contains(&Place::VirtualMachine) {
        let (counts, ended_well) = run_in_vm(&runtime, &rest)?;
        total.add(counts);
        all_ended_well &= ended_well;
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if all_ended_well && total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lanes asked for; without any, all that this machine can show.
fn selected(asked: &[Place]) -> Result<Vec<Place>> {
    let current = lane::read_current()?;
    let reachable = lane::reachable(current);
    for place in asked {
        if let Place::Here(lane) = place
            && !reachable.contains(lane)
        {
            return Err(Failure::new(format!("this machine has cgroup {current}: it can't show {lane}")));
        }
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    for lane in Lane::ALL.iter().filter(|lane| !reachable.contains(lane)) {
        println!("== runtime-tests, cgroup {lane}: not here, this machine has {current}");
    }
    Ok(reachable.into_iter().map(Place::Here).chain([Place::VirtualMachine]).collect())
}

/// Runs what needs the virtual machine there. Where there can be none, that is one skip, with its reason.
fn run_in_vm(runtime: &Path, rest: &[OsString]) -> Result<(Counts, bool)> {
    let start = Instant::now();
    let image = match Image::get(Suite::default(), false) {
        Ok(image) => image,
        Err(Unavailable::Here(reason)) => {
            println!("== runtime-tests, virtual machine: skipped: {reason}");
            return Ok((Counts { skipped: 1, ..Counts::default() }, true));
        }
        Err(Unavailable::Failed(failure)) => return Err(failure),
    };
    let mut words = vec![OsString::from("runtime-tests")];
    words.extend(rest.iter().cloned());
    let line = format!(
        "CASES={} RUNTIME=/job/bin/sandboxd CGROUP=v2 {}",
        VM_CASES.join(","),
        vm::shell_line(&words)?
    );
    println!("== runtime-tests, virtual machine ({}): {line}", image.suite);
    let mut job = Job::new(line)?;
    job.limit = Duration::from_secs(900);
    job.copy(runtime, "bin/sandboxd")?;
    job.copy(&vm::test_program(&image)?, "bin/runtime-tests")?;
    let mut counts = Counts::default();
    let status = vm::boot(&image, &job, &mut |line| {
        counts.add(parse_result(line).unwrap_or_default());
        println!("{line}");
    })?;
    println!("== virtual machine took {} s", start.elapsed().as_secs());
    Ok((counts, status == 0))
}

fn announce_missing() {
    let missing = PROGRAMS.iter().filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        println!("not installed, so what needs them is skipped: {}", packages.join(" "));
    }
    if !nix::unistd::geteuid().is_root() {
        println!("not root, so what makes containers is skipped");
    }
}

/// Runs a test command, shows its output, and adds up its result lines. Whether it ended well besides.
fn run_counted(command: &mut Command) -> Result<(Counts, bool)> {
    let mut child = command.stdout(Stdio::piped()).spawn().context(rendered(command))?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context(rendered(command))?;
            let line = String::from_utf8_lossy(&line);
            counts.add(parse_result(&line).unwrap_or_default());
            println!("{line}");
        }
    }
    let status = child.wait().context(rendered(command))?;
    Ok((counts, status.success()))
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
fn parse_result(line: &str) -> Option<Counts> {
    let (_, result) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let item = result.split("; ").find_map(|item| item.strip_suffix(word))?;
        item.trim().parse::<u32>().ok()
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_line_counted() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(parse_result(line), Some(Counts { passed: 5, failed: 2, skipped: 1 }));
        assert_eq!(parse_result("test lifecycle::created_state ... ok"), None);
    }
}

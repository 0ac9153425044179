//! `test`: every test, on every cgroup set-up that this machine can show.
//!
//! First the crates' own tests, then the black-box suite (`runtime-tests`) with the static binary, once per lane; in the
//! virtual machine the part of it that needs what only that has: it is about eight times slower. At the end is once more
//! what the failed tests said, and those that passed at the second attempt only; then the tables: the lanes with their
//! counts, each of them by user (root or not) and by who makes the cgroups, the skips with their reasons, the tests that
//! no lane has run, and for a whole run the scenarios and faults of `docs/security.md` with how many of their tests have
//! passed on which lane. The last line is the sum of all: `N passed, N failed, N skipped, N at the second attempt`.
//!
//! In continuous integration (`CI` is set) a lane also fails that skips more than `runtime-tests/skips.txt` says, and a
//! row of `docs/spec-conformance.md` of which no test has passed, and a test that `docs/security.md` names which has not.

mod conformance;
mod matrix;
mod outcome;
mod security;
mod skips;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use outcome::{Counts, Outcome};

use crate::debian::Unavailable;
use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::{find_program, rendered};
use crate::vm::{self, Image, Job, Lsm, Suite};
use crate::{build, engines, project};

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

/// Of the crates' tests, how many may fail at first and pass then.
const REPEATED_AT_MOST: usize = 3;

/// What is run in the virtual machine: the cases of which one of these is the beginning of the name. Of podman's, which take
/// most of the time, each thing that people do with it once: where it is a matter of cgroups, over systemd. CONTRIBUTING.md has
/// the call for all of them.
const VM_CASES: &[&str] = &[
    "apparmor::",
    "cgroup::blkio",
    "cgroup::cpu",
    "cgroup::limits_",
    "cgroup::memory_",
    "cgroup::pids_",
    "cgroup::unified_",
    "cgroup::v1_limits_",
    "checkpoint::lazy_pages",
    "checkpoint::pre_dump",
    "checkpoint::tcp_connection",
    "events::oom",
    "events::stats_show",
    "namespaces::user_limits",
    "podman::attach_to",
    "podman::create_start_stop",
    "podman::healthcheck",
    "podman::kill_sends",
    "podman::run_detached_and_logs",
    "podman::run_in_a_user_namespace",
    "podman::run_published_port",
    "podman::run_volume",
    "podman_systemd::checkpoint_and_restore",
    "podman_systemd::exec_status",
    "podman_systemd::pause_and_unpause",
    "podman_systemd::pod_containers",
    "podman_systemd::run_memory_limit",
    "podman_systemd::update_memory",
    "rootless::limit_in_a_delegated",
    "rootless_podman_session::limits",
    "rootless_podman_session::pause",
    "rootless_podman_session::pod",
    "rootless_podman_session::run_keep_id",
    "rootless_podman_session::run_published",
    "rootless_session::",
    "systemd::",
    "update::block_io",
    "update::cpu",
    "update::memory",
    "update::paused",
    "update::pids",
    "update::refused_value",
];

/// What is run in it once more, booted with systemd's hybrid hierarchies: what is different there.
const VM_HYBRID_CASES: &[&str] = &[
    "cgroup::network_class",
    "systemd::devices_stay",
    "systemd::limits_are_set",
    "systemd::pause",
    "systemd::scope_is_in_every",
    "systemd::update_holds",
];

/// What is run in it once more with cgroups that systemd makes: what a cgroup is changed and left by.
const VM_SYSTEMD_CASES: &[&str] =
    &["cgroup::", "exec::joined", "exec::sub_cgroup", "lifecycle::", "pause::", "update::"];

/// A lane of the newest engines, and the cases that are run over them. That the tests are right is shown with this machine's
/// own: those of runc are left out.
const ENGINES_LANES: [(&str, Lane, &str); 2] = [
    ("engines", Lane::Hybrid, "containerd::,cri::,docker::,!::runc_"),
    ("engines-v2", Lane::V2, "buildah::,conmon::,podman::,!::runc_"),
];

/// A virtual machine of its own, and what is run in it.
struct VmLane {
    name: &'static str,
    cgroup: Lane,
    lsm: Lsm,
    /// Who makes the cgroups of all cases.
    manager: &'static str,
    cases: &'static [&'static str],
}

impl VmLane {
    /// A lane of the hierarchies, whose cases say themselves who makes their cgroups.
    const fn of(name: &'static str, cgroup: Lane, cases: &'static [&'static str]) -> Self {
        Self { name, cgroup, lsm: Lsm::AppArmor, manager: "cgroupfs", cases }
    }
}

const VM_LANES: [VmLane; 4] = [
    VmLane::of("vm-v2", Lane::V2, VM_CASES),
    VmLane { manager: "systemd", ..VmLane::of("vm-systemd", Lane::V2, VM_SYSTEMD_CASES) },
    VmLane::of("vm-hybrid", Lane::Hybrid, VM_HYBRID_CASES),
    VmLane { lsm: Lsm::Selinux, ..VmLane::of("vm-selinux", Lane::V2, &["selinux::"]) },
];

/// Where the black-box suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here(Lane),
    /// Here, with the engines of Debian's next release.
    Engines,
    VirtualMachine,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "engines" => Ok(Self::Engines),
            "vm" => Ok(Self::VirtualMachine),
            _ => name
                .parse()
                .map(Self::Here)
                .map_err(|_: String| "a lane is hybrid, v1, v2, engines or vm".into()),
        }
    }
}

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut lanes = Vec::new();
    let mut rest = Vec::new();
    let mut update_skips = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("lane") => lanes.push(parser.value()?.parse()?),
            Long("update-skips") => update_skips = true,
            Value(value) => rest.push(value),
            other => return Err(other.unexpected().into()),
        }
    }
    announce_missing();
    let mut outcomes = vec![test_crates()?];
    let runtime = build::build_static()?;
    let places = selected(&lanes)?;
    for place in &places {
        let Place::Here(lane) = place else { continue };
        let mut suite = project::cargo();
        suite.args(["test", "--package", "runtime-tests", "--"]).args(&rest);
        suite.env("RUNTIME", &runtime).env("CGROUP", lane.to_string());
        outcomes.push(run_counted(&lane.to_string(), &mut suite)?);
    }
    if places.contains(&Place::Engines) {
        outcomes.extend(run_with_engines(&runtime, &rest)?);
    }
    if places.contains(&Place::VirtualMachine) {
        for lane in &VM_LANES {
            outcomes.push(run_in_vm(&runtime, lane, &rest)?);
        }
    }
    let said = |outcome: &Outcome| [outcome.repeated.clone(), outcome.failures.clone()].concat();
    outcomes.iter().flat_map(said).for_each(|line| println!("{line}"));
    println!("\n{}\n{}", matrix::lanes(&outcomes), matrix::set_ups(&outcomes));
    println!("{}", matrix::skips(&outcomes));
    if lanes.is_empty() {
        println!("{}", matrix::nowhere(&outcomes));
    }
    let whole = rest.is_empty() && std::env::var_os("CASES").is_none() && nix::unistd::geteuid().is_root();
    if whole {
        println!("{}", security::print(&outcomes)?);
    }
    let held = if whole { hold(&outcomes, lanes.is_empty())? } else { true };
    if update_skips && whole {
        skips::update(&outcomes)?;
    }
    let mut total = Counts::default();
    outcomes.iter().for_each(|outcome| total.add(outcome.counts));
    println!(
        "{} passed, {} failed, {} skipped, {} at the second attempt",
        total.passed, total.failed, total.skipped, total.repeated
    );
    let all_ended_well = outcomes.iter().all(|outcome| outcome.ended_well);
    Ok(if all_ended_well && held && total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says where more is skipped than may be, or the document of conformance has nothing to show. That decides only in
/// continuous integration: elsewhere a machine may lack this or that.
fn hold(outcomes: &[Outcome], all_lanes: bool) -> Result<bool> {
    let mut lines = skips::excess(outcomes)?;
    if all_lanes {
        lines.extend(conformance::unproved(outcomes)?);
        lines.extend(security::unproved(outcomes)?);
    }
    lines.iter().for_each(|line| println!("{line}"));
    Ok(lines.is_empty() || std::env::var_os("CI").is_none())
}

/// The crates' own tests. Up to [`REPEATED_AT_MOST`] that fail are run once more, one at a time: a machine with other
/// work to do makes a deadline pass.
fn test_crates() -> Result<Outcome> {
    let crates = |arguments: &[&str]| {
        let mut command = project::cargo();
        command.args([
            "test",
            "--no-fail-fast",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "runtime-tests",
        ]);
        command.args(arguments);
        command
    };
    let mut outcome = run_counted("crates", &mut crates(&[]))?;
    if !(1..=REPEATED_AT_MOST).contains(&outcome.failed.len()) {
        return Ok(outcome);
    }
    let mut arguments = vec!["--", "--test-threads", "1", "--exact"];
    arguments.extend(outcome.failed.iter().map(String::as_str));
    let again = run_counted("crates, what failed once more", &mut crates(&arguments))?;
    if again.ended_well && again.counts.passed as usize >= outcome.failed.len() {
        outcome.passed_again();
    }
    Ok(outcome)
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
    Ok(reachable.into_iter().map(Place::Here).chain([Place::Engines, Place::VirtualMachine]).collect())
}

/// Runs the tests of clients with the newest engines, on the set-ups that this machine can show. Where those can't be had,
/// that is one skip, with its reason.
fn run_with_engines(runtime: &Path, rest: &[OsString]) -> Result<Vec<Outcome>> {
    let reachable = lane::reachable(lane::read_current()?);
    let lanes = ENGINES_LANES.iter().filter(|(_, lane, _)| reachable.contains(lane));
    match engines::tree(false) {
        Ok(_) => {}
        Err(Unavailable::Here(reason)) => {
            return Ok(lanes.map(|(name, ..)| Outcome::not_here(name, &reason)).collect());
        }
        Err(Unavailable::Failed(failure)) => return Err(failure),
    }
    let suite = vm::suite_executable()?;
    let xtask = std::env::current_exe().context("find xtask")?;
    lanes
        .map(|(name, lane, cases)| {
            let mut command = Command::new(&xtask);
            command.arg("engines").arg(lane.to_string()).arg(&suite).args(rest);
            command.env("RUNTIME", runtime).env("CGROUP", lane.to_string());
            if std::env::var_os("CASES").is_none() {
                command.env("CASES", cases);
            }
            run_counted(name, &mut command)
        })
        .collect()
}

/// Runs what needs the virtual machine there. Where there can be none, that is one skip, with its reason.
fn run_in_vm(runtime: &Path, lane: &VmLane, rest: &[OsString]) -> Result<Outcome> {
    let start = Instant::now();
    let VmLane { cgroup, lsm, manager, .. } = *lane;
    let mut outcome = Outcome::new(lane.name);
    outcome.manager = manager;
    let image = match Image::get(Suite::default(), false) {
        Ok(image) => image,
        Err(Unavailable::Here(reason)) => return Ok(Outcome::not_here(lane.name, &reason)),
        Err(Unavailable::Failed(failure)) => return Err(failure),
    };
    let mut words = vec![OsString::from("runtime-tests")];
    // It has two processors, and slow ones.
    words.extend(["--test-threads", "2"].map(OsString::from));
    words.extend(rest.iter().cloned());
    let line = format!(
        "SLOWNESS=3 SESSION_USER=tester CGROUP={cgroup} CGROUP_MANAGER={manager} CASES={} \
         RUNTIME=/job/bin/sandboxd {}",
        lane.cases.join(","),
        vm::shell_line(&words)?
    );
    println!("== runtime-tests, virtual machine ({}, {}): {line}", image.suite, lane.name);
    let mut job = Job::new(line)?;
    job.limit = Duration::from_secs(900);
    (job.cgroup, job.lsm) = (cgroup, lsm);
    job.copy(runtime, "bin/sandboxd")?;
    job.copy(&vm::test_program(&image)?, "bin/runtime-tests")?;
    let status = vm::boot(&image, &job, &mut |line| {
        if line == vm::ONCE_MORE {
            outcome = Outcome::new(lane.name);
            outcome.manager = manager;
        }
        outcome.read(line);
        println!("{line}");
    })?;
    outcome.seconds = start.elapsed().as_secs();
    println!("== {} took {} s", outcome.lane, outcome.seconds);
    outcome.ended_well = status == 0;
    Ok(outcome)
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

/// Runs a test command and shows its output.
fn run_counted(title: &str, command: &mut Command) -> Result<Outcome> {
    println!("== {title}: {}", rendered(command));
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().context(rendered(command))?;
    let mut outcome = Outcome::new(title);
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context(rendered(command))?;
            let line = String::from_utf8_lossy(&line);
            outcome.read(&line);
            println!("{line}");
        }
    }
    outcome.ended_well = child.wait().context(rendered(command))?.success();
    outcome.seconds = start.elapsed().as_secs();
    println!("== {title} took {} s", outcome.seconds);
    Ok(outcome)
}

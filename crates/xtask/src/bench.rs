//! `bench`: what a container costs to start, against the floor and against the runtimes that are installed.
//!
//! The floor (`crates/xtask/floor`) asks the kernel for the same container and nothing else. All run the same bundle,
//! interleaved, each as a process spawned here, timed on the monotonic clock from the spawn to its end.

mod contestant;
mod inspect;
mod measure;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;
use serde_json::{Value, json};

use self::contestant::{Arena, Contestant};
use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::run;
use crate::{build, bundle, project};

/// What `--check` demands under cgroup v2.
const MOST_RATIO: f64 = 1.5;
const MOST_SYSCALLS: u64 = 200;
const MOST_INIT_BYTES: u64 = 64 * 1024;

/// What the command line says.
#[derive(Debug)]
struct Request {
    rounds: usize,
    lanes: Vec<Lane>,
    json: Option<PathBuf>,
    check: bool,
    /// Runtimes besides those of the distribution.
    also: Vec<String>,
    /// Set in the process that is in its lane already.
    here: Option<Lane>,
}

fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut request =
        Request { rounds: 50, lanes: Vec::new(), json: None, check: false, also: Vec::new(), here: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') => request.rounds = parser.value()?.parse::<usize>()?.max(1),
            Long("lane") => request.lanes.push(parser.value()?.parse()?),
            Long("json") => request.json = Some(parser.value()?.into()),
            Long("check") => request.check = true,
            Long("also") => request.also.push(parser.value()?.string()?),
            Long("here") => request.here = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

/// Entry of the task.
pub(crate) fn main(parser: lexopt::Parser) -> Result<ExitCode> {
    let request = parse(parser)?;
    project::check_root()?;
    if let (Some(lane), Some(output)) = (request.here, &request.json) {
        let measured = measure_lane(lane, request.rounds, &request.also)?;
        std::fs::write(output, measured.to_string()).context(output.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    build::build_static()?;
    let current = lane::read_current()?;
    let mut lanes = request.lanes;
    if lanes.is_empty() {
        lanes =
            lane::reachable(current).into_iter().filter(|lane| [Lane::V2, current].contains(lane)).collect();
    }
    let mut documents = Vec::new();
    for lane in lanes {
        let document = measure_in_lane(lane, request.rounds, &request.also)?;
        print(&document);
        documents.push(document);
    }
    let problems: Vec<String> = documents.iter().flat_map(check).collect();
    if let Some(file) = request.json {
        let text = serde_json::to_string_pretty(&documents).context("encode")?;
        std::fs::write(&file, text + "\n").context(file.display())?;
    }
    if request.check && !problems.is_empty() {
        return Err(Failure::new(problems.join("; ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures in another process, which enters the lane: this one can't leave it again.
fn measure_in_lane(lane: Lane, rounds: usize, also: &[String]) -> Result<Value> {
    let own = std::env::current_exe().context("current_exe")?;
    let output = bundle::scratch("bench")?.join(format!("{lane}.json"));
    let mut arguments: Vec<OsString> = vec!["lane".into(), lane.to_string().into(), own.clone().into()];
    arguments
        .extend(["bench", "--here", &lane.to_string(), "-n", &rounds.to_string(), "--json"].map(Into::into));
    let also = also.iter().flat_map(|runtime| ["--also", runtime.as_str()]);
    run(Command::new(own).args(arguments).arg(&output).args(also))?;
    let text = std::fs::read(&output).context(output.display())?;
    serde_json::from_slice(&text).context(output.display())
}

fn measure_lane(lane: Lane, rounds: usize, also: &[String]) -> Result<Value> {
    let arena = Arena::prepare(lane)?;
    let (contestants, absent) = contestant::enter_all(&arena, also);
    let runs = measure::interleaved(&contestants, rounds, Contestant::run)?;
    let runtimes: Vec<&Contestant> = contestants.iter().filter(|contestant| !contestant.is_floor()).collect();
    let cycles = measure::interleaved(&runtimes, rounds.div_ceil(2), |runtime| runtime.cycle())?;
    let floor = contestants.iter().position(Contestant::is_floor).map(|index| runs[index].median_us());
    let rows = contestants.iter().zip(&runs).map(|(contestant, sample)| {
        let cycle = runtimes.iter().position(|runtime| runtime.name() == contestant.name());
        let mut row = inspect::inspect(contestant);
        row["name"] = contestant.name().into();
        row["version"] = contestant.version().into();
        row["run"] = sample.to_json();
        row["run_to_floor"] = floor.map(|floor| sample.median_us() / floor).into();
        row["cycle"] = cycle.map(|index| cycles[index].to_json()).into();
        row
    });
    let rows: Vec<Value> = rows.collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    arena.remove()?;
    Ok(json!({
        "cgroup": lane.to_string(), "kernel": kernel.trim(), "rounds": rounds, "results": rows, "absent": absent,
    }))
}

fn print(document: &Value) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, digits: usize| {
        value.as_f64().map_or("-".into(), |number| format!("{number:.digits$}"))
    };
    println!(
        "cgroup {}, kernel {}, {} rounds, medians (least) in ms",
        word(&document["cgroup"]),
        word(&document["kernel"]),
        document["rounds"]
    );
    println!(
        "{:20}{:>16}{:>8}{:>24}{:>10}{:>9}",
        "", "run", "/floor", "create+start+delete -f", "syscalls", "PSS KiB"
    );
    for row in document["results"].as_array().into_iter().flatten() {
        let times = |sample: &Value| match sample.is_null() {
            true => "-".to_owned(),
            false => format!("{} ({})", number(&sample["median_ms"], 2), number(&sample["least_ms"], 2)),
        };
        println!(
            "{:20}{:>16}{:>8}{:>24}{:>10}{:>9}",
            format!("{} {}", word(&row["name"]), word(&row["version"])),
            times(&row["run"]),
            number(&row["run_to_floor"], 2),
            times(&row["cycle"]),
            number(&row["syscalls"], 0),
            number(&row["created_pss_kib"], 0),
        );
        if let Some(bytes) = row["init_bytes"].as_u64() {
            println!("{:20}init: {bytes} bytes", "");
        }
        if let Some(reason) = row["no_syscalls_because"].as_str() {
            println!("{:20}no count of system calls: {reason}", "");
        }
    }
    for absent in document["absent"].as_array().into_iter().flatten() {
        println!("absent: {}", word(absent));
    }
}

/// What of ours misses its mark, under cgroup v2.
fn check(document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let results = document["results"].as_array();
    let ours = results.into_iter().flatten().find(|row| row["name"] == "sandboxd");
    let Some(ours) = ours else {
        return vec![format!("sandboxd was not measured on cgroup {}", document["cgroup"])];
    };
    if document["cgroup"] != "v2" {
        return problems;
    }
    if ours["run_to_floor"].as_f64().is_none_or(|ratio| ratio > MOST_RATIO) {
        problems.push(format!("run is {} times the floor, not at most {MOST_RATIO}", ours["run_to_floor"]));
    }
    if ours["syscalls"].as_u64().is_some_and(|count| count > MOST_SYSCALLS) {
        problems.push(format!("run makes {} system calls, not at most {MOST_SYSCALLS}", ours["syscalls"]));
    }
    if ours["init_bytes"].as_u64().is_none_or(|bytes| bytes > MOST_INIT_BYTES) {
        problems.push(format!("init has {} bytes, not at most {MOST_INIT_BYTES}", ours["init_bytes"]));
    }
    problems
}

/// Compiles the floor.
fn compile_floor(output: &Path) -> Result<()> {
    let source = project::root().join("crates/xtask/floor");
    if !bundle::is_older(output, &source) {
        return Ok(());
    }
    let host = project::host_triple()?;
    let options =
        ["panic=abort", "opt-level=3", "codegen-units=1", "strip=symbols", "relocation-model=static"];
    let linking =
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(|argument| format!("link-arg={argument}"));
    let mut command = project::rustc();
    command.args(["--edition", "2024", "--crate-name", "floor", "--target", &host]);
    command.args(options.iter().flat_map(|option| ["-C", option]));
    command.args(linking.iter().flat_map(|option| ["-C", option.as_str()]));
    command.args(["-C", "force-unwind-tables=no"]).arg("-o").arg(output).arg(source.join("main.rs"));
    run(&mut command)
}

//! `bench`: what containers cost, against the floor and against the runtimes that are installed.
//!
//! The floor (`crates/xtask/floor`) asks the kernel for the same container and nothing else. All run the same bundles,
//! in turns, each as a process spawned here, timed on the monotonic clock from the spawn to its end. The targets are a
//! table of code (`targets`). Each lane is measured in a process of its own, which enters it.

mod arena;
mod config;
mod contestant;
mod docs;
mod document;
mod groups;
mod machine;
mod measure;
mod plot;
mod streams;
mod table;
mod targets;
mod virtual_machine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;

use self::arena::Arena;
use self::contestant::Peer;
use self::document::{Document, LaneDocument};
use self::groups::{Bench, GROUPS};
use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::run;
use crate::{build, bundle, project};

/// What the command line says.
#[derive(Debug)]
struct Request {
    /// Its words, for the processes that enter lanes.
    words: Vec<OsString>,
    rounds: usize,
    lanes: Vec<Lane>,
    /// Groups; all where empty.
    only: Vec<String>,
    json: Option<PathBuf>,
    /// A document of an earlier run, instead of measuring.
    from: Option<PathBuf>,
    docs: bool,
    check: bool,
    with_vm: bool,
    /// Ours, instead of the static release binary.
    runtime: Option<PathBuf>,
    peers: Vec<Peer>,
    /// Set in the process that is in its lane already: where its document goes.
    here: Option<(Lane, PathBuf)>,
}

fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut request = Request {
        words: parser.try_raw_args().map(|words| words.as_slice().to_vec()).unwrap_or_default(),
        rounds: 50,
        lanes: Vec::new(),
        only: Vec::new(),
        json: None,
        from: None,
        docs: false,
        check: false,
        with_vm: false,
        runtime: None,
        peers: Vec::new(),
        here: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') => request.rounds = parser.value()?.parse::<usize>()?.max(1),
            Long("lane") => request.lanes.push(parser.value()?.parse()?),
            Long("only") => {
                request.only.extend(parser.value()?.string()?.split(',').map(str::to_owned));
            }
            Long("json") => request.json = Some(parser.value()?.into()),
            Long("from") => request.from = Some(parser.value()?.into()),
            Long("docs") => request.docs = true,
            Long("check") => request.check = true,
            Long("vm") => request.with_vm = true,
            Long("runtime") => request.runtime = Some(parser.value()?.into()),
            Long("peers") => request.peers.push(parser.value()?.parse()?),
            Long("here") => {
                let lane = parser.value()?.parse()?;
                request.here = Some((lane, parser.value()?.into()));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    groups::check_names(&request.only)?;
    Ok(request)
}

/// Entry of the task.
pub(crate) fn main(parser: lexopt::Parser) -> Result<ExitCode> {
    let request = parse(parser)?;
    if let Some((lane, output)) = &request.here {
        let measured = measure_lane(*lane, &request)?;
        let text = serde_json::to_string(&measured).context("encode")?;
        std::fs::write(output, text).context(output.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let document = match &request.from {
        Some(file) => {
            let text = std::fs::read(file).context(file.display())?;
            serde_json::from_slice(&text).context(file.display())?
        }
        None => measure_all(&request)?,
    };
    let verdicts = targets::judge(&document);
    if !verdicts.is_empty() {
        println!(
            "targets (times with a margin of {})\n{}",
            targets::MARGIN,
            table::verdicts(&verdicts).to_text()
        );
    }
    if let Some(file) = &request.json {
        let text = serde_json::to_string_pretty(&document).context("encode")?;
        std::fs::write(file, text + "\n").context(file.display())?;
    }
    if request.docs {
        docs::write(&document, &project::root().join("docs"))?;
    }
    let missed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.met).collect();
    if request.check && !missed.is_empty() {
        let sentences = missed.iter().map(|verdict| format!("cgroup {}: {}", verdict.lane, verdict.sentence));
        return Err(Failure::new(format!("missed: {}", sentences.collect::<Vec<_>>().join("; "))));
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_all(request: &Request) -> Result<Document> {
    project::check_root()?;
    if request.runtime.is_none() {
        build::build_static()?;
    }
    let current = lane::read_current()?;
    let mut lanes = request.lanes.clone();
    if lanes.is_empty() {
        let shown = [Lane::V2, current];
        lanes = lane::reachable(current).into_iter().filter(|lane| shown.contains(lane)).collect();
    }
    let mut document = Document { machine: machine::read()?, lanes: Vec::new() };
    for lane in lanes {
        document.lanes.push(measure_in_lane(lane, request)?);
    }
    if request.with_vm
        && let Some(lane) = document.lanes.first_mut()
    {
        let measured = virtual_machine::measure(lane);
        println!("{}", table::series_text(&measured));
        lane.measured.push(measured);
    }
    Ok(document)
}

/// Measures in another process, which enters the lane: this one can't leave it again.
fn measure_in_lane(lane: Lane, request: &Request) -> Result<LaneDocument> {
    let own = std::env::current_exe().context("current_exe")?;
    let output = bundle::scratch("bench")?.join(format!("{lane}.json"));
    let mut arguments: Vec<OsString> = vec!["lane".into(), lane.to_string().into(), own.clone().into()];
    arguments.push("bench".into());
    arguments.extend(request.words.iter().cloned());
    arguments.extend(["--here".into(), lane.to_string().into(), output.clone().into()]);
    run(Command::new(own).args(arguments))?;
    let text = std::fs::read(&output).context(output.display())?;
    serde_json::from_slice(&text).context(output.display())
}

fn measure_lane(lane: Lane, request: &Request) -> Result<LaneDocument> {
    let arena = Arena::prepare(lane)?;
    let runtime = contestant::own_program(request.runtime.as_ref())?;
    let measured = measure_in_arena(&arena, &runtime, request);
    arena.remove()?;
    measured
}

fn measure_in_arena(arena: &Arena, runtime: &Path, request: &Request) -> Result<LaneDocument> {
    let (contestants, absent) = contestant::enter_all(arena, runtime, &request.peers);
    let mut document = LaneDocument {
        cgroup: arena.lane.to_string(),
        rounds: request.rounds,
        contestants: contestants.iter().map(contestant::Contestant::entrant).collect(),
        absent,
        measured: Vec::new(),
    };
    let is_wanted = |name: &str| request.only.is_empty() || request.only.iter().any(|only| only == name);
    let wanted: Vec<_> = GROUPS.iter().filter(|group| is_wanted(group.name)).collect();
    let progress = ProgressBar::new(wanted.len() as u64);
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg}");
    progress.set_style(style.context("progress bar")?);
    progress.suspend(|| println!("{}", table::contestants_text(&document)));
    let bench = Bench { arena, contestants: &contestants, rounds: request.rounds, progress: &progress };
    for group in wanted {
        progress.set_message(group.name);
        for measured in (group.measure)(&bench)? {
            progress.suspend(|| println!("{}", table::series_text(&measured)));
            document.measured.push(measured);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(document)
}

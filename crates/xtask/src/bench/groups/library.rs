//! Launches by the library, from one process: by its threads and by its resident size.
//!
//! The process is `crates/sandbox/benches/launch.rs`. A large one and a small one take turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::arena::Load;
use super::super::contestant::Contestant;
use super::super::document::Measured;
use super::Bench;
use crate::error::{Context, Failure, Result};
use crate::process::{output_of, rendered};
use crate::project;

/// What the rows are called.
pub(in super::super) const LIBRARY: &str = "sandbox";

/// Threads that launch.
const THREADS: [usize; 4] = [1, 2, 8, 64];

/// The resident size of a large program.
const LARGE_GIB: u64 = 4;

/// Its variant.
pub(in super::super) const LARGE: &str = "4 GiB";

/// The variant of a program that has nothing but the library.
pub(in super::super) const SMALL: &str = "small";

pub(super) fn library(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut rate = Measured::new("library-rate");
    let mut launch = Measured::new("library-launch");
    let Some(ours) = bench.runtimes().find(|contestant| contestant.is_ours()) else {
        return Ok(Vec::new());
    };
    let program = build()?;
    let bundle = ours.bundle(Load::True)?;
    let run = |threads: usize, count: usize, resident: u64| {
        let root = ours.state().with_extension("library");
        launches(&program, ours, &root, &bundle, threads, count, resident)
    };
    for threads in THREADS {
        let count = 4 * bench.rounds.max(threads);
        let rounds = bench.rounds.div_ceil(20);
        bench.interleave(
            &mut rate,
            &threads.to_string(),
            &[threads],
            rounds,
            |_| LIBRARY,
            |threads| Ok(count as f64 / run(*threads, count, 0)?.seconds),
        );
    }
    let large = LARGE_GIB << 30;
    let mut small_times = super::super::measure::Sample::default();
    let mut large_times = super::super::measure::Sample::default();
    let result = (0..3).try_for_each(|turn| -> Result<()> {
        bench.say(&launch, "", turn + 1, 3);
        for (resident, sample) in [(0, &mut small_times), (large, &mut large_times)] {
            run(1, 2 * bench.rounds, resident)?.launches_us.iter().for_each(|us| sample.push(us / 1e3));
        }
        Ok(())
    });
    if let Err(failure) = result {
        bench.note(&mut launch, LIBRARY, "", &failure);
    } else {
        launch.add_sample(LIBRARY, SMALL, &small_times);
        launch.add_sample(LIBRARY, LARGE, &large_times);
    }
    Ok(vec![rate, launch])
}

/// What the process says.
struct Launches {
    seconds: f64,
    launches_us: Vec<f64>,
}

fn launches(
    program: &Path,
    ours: &Contestant<'_>,
    root: &Path,
    bundle: &str,
    threads: usize,
    count: usize,
    resident: u64,
) -> Result<Launches> {
    let mut command = Command::new(program);
    command.arg("--root").arg(root).arg("--bundle").arg(bundle).arg("--prefix").arg(ours.id(0));
    command.args(["--threads", &threads.to_string(), "--count", &count.to_string()]);
    command.args(["--resident", &resident.to_string()]);
    // Not the terminal's or a file: they become the containers'.
    let output = command.stdin(Stdio::piped()).output().context(rendered(&command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(said.lines().next().unwrap_or("no message").to_owned()));
    }
    let document: Value = serde_json::from_slice(&output.stdout).context("the library's benchmark")?;
    let figures = document["launches_us"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    let seconds = document["seconds"].as_f64().ok_or_else(|| Failure::new("no seconds"))?;
    Ok(Launches { seconds, launches_us: figures.collect() })
}

/// Builds it as the binary is built.
fn build() -> Result<PathBuf> {
    let mut cargo = project::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "sandbox", "--bench", "launch"]);
    let messages = output_of(cargo.args(["--message-format", "json"]))?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "launch").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables
        .next_back()
        .ok_or_else(|| Failure::new("cargo names no executable of the library's benchmark"))
}

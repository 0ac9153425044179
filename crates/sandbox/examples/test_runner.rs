//! Runs scripts as tests, each in a container of its own, several at a time.
//!
//!     cargo run --example test_runner -- ROOTFS JOBS SCRIPT...
//!
//! A script is a file of the host, given to `sh` in the container on its standard input. What it writes to its root is gone
//! with it: the root file system is read-only, `/tmp` is its own.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sandbox::spec::Config;
use sandbox::spec::config::Mount;
use sandbox::{ContainerId, CreateRequest, Runtime, Stdio, Streams};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: test_runner ROOTFS JOBS SCRIPT...";
    let rootfs = std::fs::canonicalize(arguments.next().ok_or(usage)?)?;
    let jobs: usize = arguments.next().ok_or(usage)?.parse()?;
    let scripts: Vec<PathBuf> = arguments.map(PathBuf::from).collect();

    let runtime = Runtime::open("/run/sandbox-examples")?;
    let config = config(&rootfs)?;
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    // The library is used from all threads at once: it has no state of its own but what is in the state directory.
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let result = run(&runtime, config.clone(), script);
                    let (passed, details) = judge(result);
                    report(script, passed, begin.elapsed(), &details);
                    if !passed && let Ok(mut failed) = failed.lock() {
                        failed.push(script.clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    println!("{} passed, {} failed", scripts.len() - failed.len(), failed.len());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `sh` on a read-only root, with a `/tmp` of its own.
fn config(rootfs: &Path) -> Result<Config> {
    let mut config = Config::of_command(rootfs, ["sh", "-e"])?;
    config.root.readonly = true;
    config.mounts.push(Mount::filesystem("tmpfs", "/tmp")?);
    Ok(config)
}

fn run(runtime: &Runtime, config: Config, script: &Path) -> Result<Output> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = ContainerId::new(&format!("test-{}-{count}", std::process::id()))?;
    let mut request = CreateRequest::of_config(id, config);
    request.streams = Streams { stdin: Stdio::from(File::open(script)?), ..Streams::captured() };
    let mut running = runtime.run(&request)?.value;
    let output = running.process.wait_with_output();
    runtime.end(&running)?;
    Ok(output?)
}

fn judge(result: Result<Output>) -> (bool, String) {
    match result {
        Ok(output) if output.status.success() => (true, String::new()),
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (false, format!("{}\n{}", output.status, String::from_utf8_lossy(&text)))
        }
        Err(error) => (false, format!("could not be run: {error}")),
    }
}

fn report(script: &Path, passed: bool, time: Duration, details: &str) {
    let word = if passed { "ok" } else { "FAILED" };
    println!("{}: {word} ({} ms) {details}", script.display(), time.as_millis());
}

//! Launches by libcontainer in a program whose other threads allocate, log, change the environment and fork: the harness that
//! `sandbox` is tested with (`crates/sandbox/tests/threads`).
//!
//! Each sample is a process of its own, in a pid namespace that ends with it, and has a deadline: of one that hangs nothing
//! can be learned but that it does.

#[path = "../../sandbox/tests/threads/busy.rs"]
mod busy;

use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Request, Result, create, load};

/// How much longer than it launches a sample may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any sample lives.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the samples, one after the other, and says what became of them.
pub(crate) fn run(request: &Request) -> Result<()> {
    let (mut ended, mut hung, mut died) = (0, 0, 0);
    for _ in 0..request.samples {
        match run_sample(request)? {
            Some(status) if status.success() => ended += 1,
            Some(_) => died += 1,
            None => hung += 1,
        }
        remove_all(request);
    }
    println!("{} samples of {} s: {ended} ended, {died} died, {hung} hung", request.samples, request.seconds);
    Ok(())
}

/// Nothing where it did not end in time.
fn run_sample(request: &Request) -> Result<Option<ExitStatus>> {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(std::env::current_exe()?);
    command.arg("--root").arg(&request.root).arg("--bundle").arg(&request.bundle);
    command.args(["--seconds", &request.seconds.to_string(), "threads-sample"]);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + Duration::from_secs(request.seconds) + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// What a sample has left.
fn remove_all(request: &Request) {
    for entry in std::fs::read_dir(&request.root).into_iter().flatten().flatten() {
        let removed = load(&request.root, &entry.file_name().to_string_lossy())
            .and_then(|mut container| Ok(container.delete(true)?));
        if removed.is_err() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// One sample.
pub(crate) fn sample(request: &Request) -> Result<()> {
    let of_thread = Request {
        root: request.root.clone(),
        bundle: request.bundle.clone(),
        pid_file: None,
        words: Vec::new(),
        ..*request
    };
    let launch = move |name: &str| {
        launch(&of_thread, &format!("threads-{}-{name}", std::process::id()))
            .map_err(|error| format!("{name}: {error}"))
    };
    let log = std::fs::File::options().write(true).open("/dev/null")?;
    let time = Duration::from_secs(request.seconds);
    let launched = busy::beside(log, time, FOREVER, launch).ok_or("a launch hangs")?;
    println!("{launched}");
    let mut reasons = launched.failures;
    reasons.sort();
    reasons
        .dedup_by_key(|reason| reason.split_once(": ").map_or_else(String::new, |(_, why)| why.to_owned()));
    reasons.iter().take(5).for_each(|reason| println!("  {reason}"));
    Ok(())
}

/// A container's whole life.
fn launch(request: &Request, id: &str) -> Result<()> {
    let mut container = create(request, id, true)?;
    let pid = container.pid().ok_or("no process")?;
    container.start()?;
    container.delete(true)?;
    nix::sys::wait::waitpid(pid, None)?;
    Ok(())
}

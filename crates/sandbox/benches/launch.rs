//! Launches by the library from one program: how long each takes, with so many threads and so much memory resident.
//!
//! `launch --root DIR --bundle DIR [--threads N] [--count N] [--resident BYTES] [--prefix ID]`, as root; the bundle's
//! command ends by itself. Prints one JSON document. `cargo xtask bench` runs it; `cargo bench` without a bundle does
//! nothing.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use sandbox::{ContainerId, CreateRequest, Runtime};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What the command line says.
#[derive(Debug)]
struct Request {
    root: PathBuf,
    bundle: PathBuf,
    prefix: String,
    threads: usize,
    count: usize,
    resident: usize,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Request>> {
    let (mut root, mut bundle) = (None, None);
    let mut request = Request {
        root: PathBuf::new(),
        bundle: PathBuf::new(),
        prefix: "launch".to_owned(),
        threads: 1,
        count: 100,
        resident: 0,
    };
    while let Some(word) = words.next() {
        // What `cargo bench` adds.
        if word == "--bench" {
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--root" => root = Some(PathBuf::from(value)),
            "--bundle" => bundle = Some(PathBuf::from(value)),
            "--prefix" => request.prefix = value,
            "--threads" => request.threads = value.parse()?,
            "--count" => request.count = value.parse()?,
            "--resident" => request.resident = value.parse()?,
            _ => return Err(format!("unknown: {word}").into()),
        }
    }
    let (Some(root), Some(bundle)) = (root, bundle) else { return Ok(None) };
    Ok(Some(Request { root, bundle, ..request }))
}

fn main() -> Result<()> {
    let Some(request) = parse(std::env::args().skip(1))? else {
        println!("needs --root and --bundle: nothing was measured");
        return Ok(());
    };
    // Each page written, so that it is resident.
    let mut ballast = vec![0_u8; request.resident];
    ballast.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let runtime = Runtime::open(&request.root)?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<f64>> {
        let mut launches = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= request.count {
                return Ok(launches);
            }
            let begin = Instant::now();
            launch(&runtime, &request, number)?;
            launches.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    };
    let begin = Instant::now();
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..request.threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let mut launches = Vec::new();
    for result in results {
        launches.extend(result.map_err(|_| "a thread panicked")??);
    }
    std::hint::black_box(&ballast);
    println!("{}", serde_json::json!({ "seconds": seconds, "launches_us": launches }));
    Ok(())
}

/// A container from nothing to nothing.
fn launch(runtime: &Runtime, request: &Request, number: usize) -> Result<()> {
    let id = ContainerId::new(&format!("{}-{number}", request.prefix))?;
    let running = runtime.run(&CreateRequest::new(id, &request.bundle))?.value;
    waitid(WaitId::PidFd(running.process.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    runtime.delete_ended(&running)?;
    Ok(())
}

//! The library in a program with many threads, which do what makes other runtimes hang: they allocate, log, change the
//! environment and fork all the time, and some of what they fork lives on with copies of every descriptor.
//!
//! `THREADS_SECONDS` says how long (10 by default). One test in this file: it looks at the whole process.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod sys;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::spec::config::Hook;
use sandbox::spec::{AbsolutePath, Text};
use sandbox::{CreateRequest, ExecRequest, Runtime, Streams};
use support::Place;
use sys::{end, fork_idler, reap, remove_variable, set_variable};

const BUSY: usize = 64;
const LAUNCHING: usize = 8;
/// A launch that takes longer waits for something that does not come.
const MOST_SECONDS: u64 = 30;

/// What belongs to the process as a whole, and must be the same afterwards.
#[derive(Debug, PartialEq, Eq)]
struct ProcessState {
    directory: String,
    root: String,
    /// Umask, signal dispositions and masks, ids, capabilities, seccomp.
    status: BTreeMap<String, String>,
    limits: String,
    namespaces: Vec<String>,
    variables: Vec<(String, String)>,
    descriptors: Vec<(String, String)>,
    children: String,
}

impl ProcessState {
    fn read() -> Self {
        let link = |name: &str| fs::read_link(format!("/proc/self/{name}")).unwrap().display().to_string();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let kept =
            ["Umask", "Uid", "Gid", "Groups", "Sig", "Shd", "Cap", "NoNewPrivs", "Seccomp", "TracerPid"];
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields = fields.filter(|(name, _)| {
            // What is pending, and how many, is not ours to keep.
            kept.iter().any(|kept| name.starts_with(kept)) && !matches!(*name, "SigQ" | "SigPnd" | "ShdPnd")
        });
        let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut descriptors: Vec<_> = entries
            .filter_map(|entry| {
                Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?))
            })
            .map(|(number, target)| (number, target.display().to_string()))
            .filter(|(_, target)| !target.starts_with("/proc/"))
            .collect();
        descriptors.sort();
        let namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts", "pid_for_children"];
        Self {
            directory: link("cwd"),
            root: link("root"),
            status: fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(),
            limits: fs::read_to_string("/proc/self/limits").unwrap(),
            namespaces: namespaces.iter().map(|name| link(&format!("ns/{name}"))).collect(),
            variables: std::env::vars().filter(|(name, _)| !name.starts_with("BUSY_")).collect(),
            descriptors,
            children: fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap(),
        }
    }
}

/// What a program's other threads do.
fn busy(number: usize, stop: &AtomicBool, log: &Mutex<fs::File>, forks: &AtomicU64) {
    // It outlives every launch, and with it copies of whatever descriptors were open when it was made.
    let mut long = Vec::new();
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let garbage: Vec<Vec<u8>> = (0..32).map(|size| vec![round as u8; size * 517 + 1]).collect();
        writeln!(log.lock().unwrap(), "thread {number} round {round} {}", garbage.len()).unwrap();
        let name = format!("BUSY_{number}");
        set_variable(&name, &round.to_string());
        assert_eq!(std::env::var(&name).unwrap(), round.to_string());
        if round % 8 == number as u64 % 8 {
            forks.fetch_add(1, Ordering::Relaxed);
            if long.len() < 3 && round > 20 * (long.len() as u64 + 1) {
                long.push(fork_idler(3_600_000));
            } else {
                reap(fork_idler(round % 3 * 7));
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
    remove_variable(&format!("BUSY_{number}"));
    for pid in long {
        end(pid);
        reap(pid);
    }
}

/// Ends when it has read all of its input: whoever else holds the other end of that must not make it wait.
fn reading_hook() -> Hook {
    let text = |text: &str| Text::new(text).unwrap();
    let args = ["sh", "-c", "exec cat >/dev/null"].map(text).to_vec();
    let path = AbsolutePath::new(text("/bin/sh")).unwrap();
    Hook { path, args, env: vec![text("PATH=/usr/bin:/bin")], timeout_s: Some(MOST_SECONDS) }
}

/// A container's whole life, with a hook and a process executed in it.
fn launch(place: &Place, runtime: &Runtime, name: &str) -> Result<(), String> {
    let text = |error: sandbox::Error| format!("{name}: {error}");
    let mut config = place.config(["sleep", "1000"]);
    config.hooks.create_runtime.push(reading_hook());
    let request = CreateRequest::of_config(place.id(name), config);
    let created = runtime.create(&request).map_err(text)?.value;
    let id = created.container.id.clone();
    runtime.start(&id).map_err(text)?;
    let mut request = ExecRequest::of_command(id.clone(), ["echo", name]).unwrap();
    request.streams = Streams::captured();
    let mut process = runtime.exec(&request).map_err(text)?.value;
    let output = process.wait_with_output().map_err(text)?;
    if !output.status.success() || output.stdout != format!("{name}\n").as_bytes() {
        return Err(format!("{name}: {output:?}"));
    }
    runtime.delete(&id, sandbox::Deletion::Force).map_err(text)?;
    created.process.wait().map_err(text)?;
    Ok(())
}

#[test]
fn many_threads_that_fork_beside_launches() {
    let Some(place) = Place::new("threads") else { return };
    let seconds = std::env::var("THREADS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let place = Arc::new(place);
    let runtime = Arc::new(place.runtime());
    launch(&place, &runtime, "first").unwrap();
    let log = Arc::new(Mutex::new(fs::File::create(place.path().join("log")).unwrap()));
    let before = ProcessState::read();

    let stop = Arc::new(AtomicBool::new(false));
    let forks = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for number in 0..BUSY {
        let (stop, log, forks) = (Arc::clone(&stop), Arc::clone(&log), Arc::clone(&forks));
        threads.push(thread::spawn(move || busy(number, &stop, &log, &forks)));
    }
    let (sender, receiver) = mpsc::channel::<Result<(usize, Duration), String>>();
    let end = Instant::now() + Duration::from_secs(seconds);
    for number in 0..LAUNCHING {
        let (place, runtime, sender) = (Arc::clone(&place), Arc::clone(&runtime), sender.clone());
        threads.push(thread::spawn(move || {
            let (mut count, mut slowest) = (0, Duration::ZERO);
            let mut result = Ok(());
            while result.is_ok() && Instant::now() < end {
                let begin = Instant::now();
                result = launch(&place, &runtime, &format!("c{number}-{count}"));
                slowest = slowest.max(begin.elapsed());
                count += 1;
            }
            sender.send(result.map(|()| (count, slowest))).unwrap();
        }));
    }
    let (mut count, mut slowest) = (0, Duration::ZERO);
    for _ in 0..LAUNCHING {
        let left = end.saturating_duration_since(Instant::now()) + Duration::from_secs(2 * MOST_SECONDS);
        let (launched, longest) = receiver.recv_timeout(left).expect("a launch hangs").unwrap();
        count += launched;
        slowest = slowest.max(longest);
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    println!(
        "{count} containers in {seconds} s beside {} forks; the slowest took {slowest:?}",
        forks.load(Ordering::Relaxed)
    );
    assert!(count >= LAUNCHING, "each thread launches something");
    assert!(slowest < Duration::from_secs(MOST_SECONDS), "the slowest took {slowest:?}");
    assert_eq!(ProcessState::read(), before);
    place.assert_empty();
}

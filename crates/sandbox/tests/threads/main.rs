//! The library in a program with many threads, which do what makes other runtimes hang: they allocate, log, change the
//! environment and fork all the time, and some of what they fork lives on with copies of every descriptor.
//!
//! `THREADS_SECONDS` says how long (10 by default). One test in this file: it looks at the whole process.
#![allow(clippy::unwrap_used)]

mod busy;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sandbox::spec::config::Hook;
use sandbox::spec::{AbsolutePath, Text};
use sandbox::{CreateRequest, ExecRequest, Runtime, Streams};
use support::Place;

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
    let before = ProcessState::read();
    let log = fs::File::create(place.path().join("log")).unwrap();
    let launched = {
        let (place, runtime) = (Arc::clone(&place), Arc::clone(&runtime));
        let most = Duration::from_secs(seconds + 2 * MOST_SECONDS);
        busy::beside(log, Duration::from_secs(seconds), most, move |name| launch(&place, &runtime, name))
    };
    let launched = launched.expect("a launch hangs");

    println!("{launched} in {seconds} s");
    assert_eq!(launched.failures, Vec::<String>::new());
    assert!(launched.count >= busy::LAUNCHING, "each thread launches something");
    assert!(launched.slowest < Duration::from_secs(MOST_SECONDS), "the slowest took {:?}", launched.slowest);
    assert_eq!(ProcessState::read(), before);
    place.assert_empty();
}

//! What a test must not leave behind: mounts, cgroups, processes, state, a changed canary.
//!
//! Tests run side by side, so each looks only for its own token, which is in every id, path and environment that
//! it made.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use crate::cgroup::{Hierarchies, processes};
use crate::procfs::{all_pids, namespace_of, own_namespace, parse_mountinfo};
use crate::test::{TOKEN_VARIABLE, Test};
use crate::wait::{self, DEADLINE, Process, exited_children};

const EBUSY: i32 = 16;

/// Deletes the test's containers, as a caller would, and waits for the ends of their processes. What the runtime says where
/// it does not delete one: of use where something is left then.
pub fn delete_containers(test: &Test) -> Vec<String> {
    let mut said = Vec::new();
    for id in test.ids().iter().rev() {
        let output = test.call(&["delete", "--force", id]).output();
        if !output.status.success() {
            said.push(output.to_string());
        }
    }
    let _ = processes_of(test).iter().all(|process| process.wait_exit(DEADLINE));
    reap_orphans(test);
    said
}

/// Waits for the ends of the test's processes, and reaps those that became this process's children.
pub fn settle(test: &Test, deadline: Duration) {
    let end = Instant::now() + deadline;
    reap_orphans(test);
    for process in processes_of(test) {
        let _ = process.wait_exit(end.saturating_duration_since(Instant::now()));
    }
    reap_orphans(test);
}

/// Reaps exited children that no test waits for: those of [`wait::reap_orphans`], and those that are still in a cgroup of
/// the test, as v2 shows them.
pub fn reap_orphans(test: &Test) {
    for pid in exited_children() {
        if has_token(pid, "cgroup", &test.token) {
            let _ = Process::open(pid).map(|process| process.reap());
        }
    }
    wait::reap_orphans();
}

/// What is left of a test, one line each; empty when nothing is.
#[must_use]
pub fn find(test: &Test) -> Vec<String> {
    let mut left = Vec::new();
    for (whose, file) in [("our", "/proc/self/mountinfo"), ("the machine's", "/proc/1/mountinfo")] {
        let text = fs::read_to_string(file).unwrap_or_default();
        for mount in parse_mountinfo(&text) {
            if mount.point.contains(&test.token) {
                left.push(format!("mount in {whose} mount namespace: {}", mount.point));
            }
        }
    }
    for directory in Hierarchies::mounted().directories_named(&test.token) {
        left.push(format!("cgroup: {}, with the processes {:?}", directory.display(), processes(&directory)));
    }
    for process in processes_of(test) {
        let file =
            |name: &str| fs::read_to_string(format!("/proc/{}/{name}", process.pid)).unwrap_or_default();
        let state =
            file("status").lines().find(|line| line.starts_with("State")).unwrap_or_default().to_owned();
        let line = file("cmdline").replace('\0', " ");
        left.push(format!(
            "process {} ({}, {state}, in {}): {line}",
            process.pid,
            file("comm").trim(),
            file("wchan")
        ));
    }
    for path in files_below(&test.root()) {
        left.push(format!("state: {}", path.display()));
    }
    let canary = fs::read_to_string(test.canary().join("secret")).unwrap_or_default();
    if canary != test.token || files_below(&test.canary()).len() != 1 {
        left.push(format!("the canary has changed: {:?}", files_below(&test.canary())));
    }
    left
}

/// Removes by force what is left, so that the machine is as before.
pub fn scrub(test: &Test) {
    for directory in Hierarchies::mounted().directories_named(&test.token) {
        let _ = fs::write(directory.join("freezer.state"), "THAWED");
        let _ = fs::write(directory.join("cgroup.freeze"), "0");
    }
    for process in processes_of(test) {
        process.signal(Signal::KILL);
        let _ = process.wait_exit(DEADLINE);
        let _ = process.reap();
    }
    for directory in Hierarchies::mounted().directories_named(&test.token) {
        let members: Vec<_> =
            processes(&directory).into_iter().filter_map(|pid| Process::open(pid).ok()).collect();
        for process in &members {
            process.signal(Signal::KILL);
        }
        let _ = members.iter().all(|process| process.wait_exit(DEADLINE));
        remove_cgroup(&directory);
    }
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in parse_mountinfo(&text).iter().rev().filter(|mount| mount.point.contains(&test.token)) {
        let _ = unmount(mount.point.as_str(), UnmountFlags::DETACH);
    }
    let _ = fs::remove_dir_all(&test.dir);
}

/// A process has ended before it has left its cgroup: then the kernel says EBUSY, and nothing when that has passed.
fn remove_cgroup(directory: &Path) {
    let end = Instant::now() + DEADLINE;
    while fs::remove_dir(directory).is_err_and(|error| error.raw_os_error() == Some(EBUSY)) {
        if Instant::now() >= end {
            eprintln!("left: {}", directory.display());
            return;
        }
        std::thread::yield_now();
    }
}

/// Pids of live processes that are the test's.
#[must_use]
pub fn pids(test: &Test) -> Vec<i32> {
    processes_of(test).iter().map(|process| process.pid).collect()
}

/// Live processes that carry the token: in their environment, their cgroup's path, or a mount of a mount namespace
/// that is not ours. Exited ones that nobody has reaped yet don't count.
fn processes_of(test: &Test) -> Vec<Process> {
    let ours = own_namespace("mnt");
    let marker = format!("{TOKEN_VARIABLE}={}", test.token);
    let is_of_test = |pid: i32| {
        has_token(pid, "cgroup", &test.token)
            || has_token(pid, "environ", &marker)
            || (fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|link| link.to_string_lossy() != ours)
                && has_token(pid, "mountinfo", &test.token))
    };
    let alive = |process: &Process| !process.has_exited();
    let own = std::process::id().cast_signed();
    debug_assert_eq!(namespace_of(own, "mnt"), ours);
    all_pids()
        .into_iter()
        .filter(|&pid| pid != own && is_of_test(pid))
        .filter_map(|pid| Process::open(pid).ok())
        .filter(alive)
        .collect()
}

/// Whether a `/proc` file of the process has the token in it.
fn has_token(pid: i32, file: &str, token: &str) -> bool {
    let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    content.windows(token.len()).any(|window| window == token.as_bytes())
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        }
    }
    found
}

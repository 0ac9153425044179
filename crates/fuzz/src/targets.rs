//! What is fuzzed: functions of bytes that panic where something is wrong.

mod config;
mod host;
mod netlink;
mod plan;
mod process;
mod seccomp;
mod state;
mod text;

/// One of them.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
    /// Inputs to begin with, made here.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 9] = [
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "systemd", run: config::run_systemd, seeds: config::systemd_seeds },
    Target { name: "process", run: process::run, seeds: process::seeds },
    Target { name: "state", run: state::run, seeds: state::seeds },
    Target { name: "plan", run: plan::run, seeds: plan::seeds },
    Target { name: "seccomp", run: seccomp::run, seeds: seccomp::seeds },
    Target { name: "text", run: text::run, seeds: text::seeds },
    Target { name: "host", run: host::run, seeds: host::seeds },
    Target { name: "netlink", run: netlink::run, seeds: netlink::seeds },
];

pub(crate) fn by_name(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

pub(crate) fn names() -> String {
    TARGETS.map(|target| target.name).join(" ")
}

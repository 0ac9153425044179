//! Every suite: `RUNTIME=/path cargo test -p runtime-tests [NAME]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apparmor;
mod bundles;
mod cgroup;
mod checkpoint;
mod claims;
mod cli;
mod clients;
mod config;
mod conformance;
mod contract;
mod devices;
mod differential;
mod errors;
mod events;
mod exec;
mod faults;
mod fields;
mod file_systems;
mod hooks;
mod landlock;
mod lifecycle;
mod live_mounts;
mod load;
mod mounts;
mod namespaces;
mod net_devices;
mod pause;
mod process;
mod rootless;
mod rootless_session;
mod seccomp;
mod seccomp_notify;
mod security;
mod selinux;
mod service;
mod systemd;
mod tty;
mod update;

use std::process::ExitCode;

fn main() -> ExitCode {
    let suites = [
        bundles::cases(),
        config::cases(),
        landlock::cases(),
        lifecycle::cases(),
        process::cases(),
        claims::cases(),
        fields::cases(),
        mounts::cases(),
        file_systems::cases(),
        live_mounts::cases(),
        namespaces::cases(),
        net_devices::cases(),
        pause::cases(),
        cgroup::cases(),
        devices::cases(),
        differential::cases(),
        hooks::cases(),
        seccomp::cases(),
        seccomp_notify::cases(),
        service::cases(),
        tty::cases(),
        update::cases(),
        checkpoint::cases(),
        exec::cases(),
        cli::cases(),
        contract::cases(),
        errors::cases(),
        apparmor::cases(),
        selinux::cases(),
        clients::cases(),
        rootless::cases(),
        rootless_session::cases(),
        events::cases(),
        systemd::cases(),
        faults::cases(),
        load::cases(),
        security::cases(),
    ];
    let mut all: Vec<_> = suites.into_iter().flatten().collect();
    all.push(claims::case(&all));
    all.push(conformance::case(&all));
    all.push(security::document(&all));
    runtime_tests::suite::main(all)
}

//! Every suite: `RUNTIME=/path cargo test -p runtime-tests [NAME]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cgroup;
mod cli;
mod devices;
mod faults;
mod hooks;
mod lifecycle;
mod mounts;
mod namespaces;
mod podman;
mod process;
mod seccomp;
mod tty;

use std::process::ExitCode;

fn main() -> ExitCode {
    let suites = [
        lifecycle::cases(),
        process::cases(),
        mounts::cases(),
        namespaces::cases(),
        cgroup::cases(),
        devices::cases(),
        hooks::cases(),
        seccomp::cases(),
        tty::cases(),
        cli::cases(),
        podman::cases(),
        faults::cases(),
    ];
    runtime_tests::suite::main(suites.into_iter().flatten().collect())
}

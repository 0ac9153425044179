//! `miri`: the interpreter that finds undefined behaviour, over what reads bytes of others, as far as nothing is asked of
//! the kernel: the parser and its checks, the plan's encoding and init's decoder, records and their checksum, the
//! kernel's files (mountinfo, cgroups), seccomp profiles.
//!
//! It takes a nightly compiler with the components `miri` and `rust-src`, and some minutes: tests whose point is an amount
//! are left out (`cfg(miri)`), and so is what other crates read (D-Bus, netlink).

use std::process::{Command, ExitCode};

use crate::error::{Failure, Result};
use crate::process::{rendered, run};
use crate::project;

/// Packages, what of them is tested, and which tests by parts of their names (all without any).
const TESTED: [(&str, &[&str], &[&str]); 3] = [
    // The fuzz targets, each over its shortest inputs: configs to plans to what init reads, profiles in an interpreter.
    ("fuzz", &[], &["kept_corpus_passes"]),
    ("sandbox-spec", &["--lib", "--test", "parts"], &[]),
    (
        "sandbox",
        &["--lib"],
        &[
            "cgroup::convert",
            "cgroup::device",
            "cgroup::filter",
            "cgroup::hierarchies",
            "cgroup::path",
            "cgroup::stats",
            "cgroup::systemd",
            "checksum",
            "confinement",
            "criu::external",
            "criu::log",
            "hint::suggest",
            "host",
            "id::",
            "plan::",
        ],
    ),
];

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let mut look = Command::new("cargo");
    look.args(["+nightly", "miri", "--version"]);
    if !look.output().is_ok_and(|output| output.status.success()) {
        let needed = "rustup toolchain install nightly --component miri --component rust-src";
        return Err(Failure::new(format!("{} does not work: {needed}", rendered(&look))));
    }
    for (package, tested, names) in TESTED {
        let mut command = Command::new("cargo");
        command.current_dir(project::root()).args(["+nightly", "miri", "test", "--package", package]);
        command.args(tested).arg("--").args(names);
        // Files and the clock are read as they are.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
        println!("{}", rendered(&command));
        run(&mut command)?;
    }
    Ok(ExitCode::SUCCESS)
}

//! `bundle NAME [--run]`: the root file system of an example bundle, and running it.
//!
//! The root file system holds `world` (our own static program, `crates/xtask/world`) and, where the distribution has a
//! static busybox, its applets.

mod pod;
mod rootfs;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;

use crate::error::{Context, Failure, Result};
use crate::{build, project};

pub(crate) use rootfs::{is_older, populate};

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut name = None;
    let mut run = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("run") => run = true,
            Value(value) if name.is_none() => name = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let known = names()?;
    let name = name.filter(|name| known.contains(name));
    let name = name.ok_or_else(|| Failure::new(format!("bundle: one of {}", known.join(", "))))?;
    let bundle = project::root().join("bundles").join(&name);
    if run {
        project::check_root()?;
        check_host(&name)?;
    }
    populate(&bundle.join("rootfs"))?;
    if !run {
        println!("{}", bundle.display());
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = build::build_static()?;
    match name.as_str() {
        "pod" => pod::run(&runtime, &bundle),
        _ => run_foreground(&runtime, &bundle, &format!("{name}-{}", std::process::id())),
    }
}

/// The directories of `bundles/`.
fn names() -> Result<Vec<String>> {
    let bundles = project::root().join("bundles");
    let entries = std::fs::read_dir(&bundles).context(bundles.display())?.flatten();
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// What a bundle needs of the host besides root.
fn check_host(name: &str) -> Result<()> {
    match name {
        "network" if !Path::new("/run/netns/sandboxd-net").exists() => Err(Failure::new(
            "the network namespace sandboxd-net does not exist: make it as bundles/network/README.md shows",
        )),
        "shell" if !std::io::stdin().is_terminal() => {
            Err(Failure::new("shell: standard input is no terminal"))
        }
        _ => Ok(()),
    }
}

/// `sandboxd run` in the foreground: the container's status is ours.
fn run_foreground(runtime: &Path, bundle: &Path, id: &str) -> Result<ExitCode> {
    let mut command = Command::new(runtime);
    command.arg("run").arg("--bundle").arg(bundle).arg(id);
    let status = command.status().context(runtime.display())?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// A directory for files of the tasks, in cargo's target directory.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let path = project::target().join("xtask").join(name);
    std::fs::create_dir_all(&path).context(path.display())?;
    Ok(path)
}

//! `build`: the static release binary.
//!
//! An explicit `--target` keeps `+crt-static` away from build scripts and procedural macros, which are loaded
//! dynamically.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use crate::error::{Context, Result};
use crate::process::{find_program, run, wait_until};
use crate::project;

/// How long rustup may take to add a target.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let binary = build_static()?;
    println!("{}", binary.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the static binary and puts it at `./sandboxd`.
pub(crate) fn build_static() -> Result<PathBuf> {
    add_musl()?;
    let target = project::static_triple()?;
    let mut command = project::cargo();
    command.args(["build", "--quiet", "--release", "--package", "sandboxd", "--target", &target]);
    add_static(&mut command, &target, &[]);
    run(&mut command)?;
    let built = project::target().join(&target).join("release/sandboxd");
    let binary = project::binary();
    // A new file by rename: the old one may be running.
    let fresh = binary.with_extension("new");
    std::fs::copy(&built, &fresh).context(format_args!("copy {}", built.display()))?;
    std::fs::rename(&fresh, &binary).context(format_args!("rename to {}", binary.display()))?;
    Ok(binary)
}

/// Has rustup install musl's standard library, where it can; where it can't, the binary is a static one of glibc's.
fn add_musl() -> Result<()> {
    let musl = project::host_triple()?.replace("-gnu", "-musl");
    if project::is_installed(&musl)? || find_program("rustup").is_none() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(project::root()).args(["target", "add", &musl]);
    rustup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let status = wait_until(&mut rustup.spawn().context("rustup")?, RUSTUP_LIMIT)?;
    if !status.is_some_and(|status| status.success()) {
        eprintln!(
            "xtask: rustup can't add {musl}: the binary is one of glibc's, which takes longer to start"
        );
    }
    Ok(())
}

/// Adds `+crt-static`, at a fixed address, and more flags for the target. RUSTFLAGS in the environment would hide the
/// target's: it moves there.
pub(crate) fn add_static(command: &mut Command, host: &str, more: &[String]) {
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", host.to_uppercase().replace('-', "_"));
    let mut flags = String::new();
    for name in [variable.as_str(), "RUSTFLAGS"] {
        if let Ok(given) = std::env::var(name) {
            flags.push_str(&given);
            flags.push(' ');
        }
    }
    // At a fixed address there is nothing to relocate at start: a third of the time until `main`, and a fifth of the page
    // faults. Stack, heap and mappings are still placed at random.
    flags.push_str("-C target-feature=+crt-static -C relocation-model=static");
    more.iter().for_each(|flag| flags.push_str(&format!(" {flag}")));
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env(variable, flags);
}

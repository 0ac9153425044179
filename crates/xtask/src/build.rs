//! `build`: the static release binary.
//!
//! An explicit `--target` keeps `+crt-static` away from build scripts and procedural macros, which are loaded
//! dynamically.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::error::{Context, Result};
use crate::process::run;
use crate::project;

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
    let host = project::host_triple()?;
    let mut command = project::cargo();
    command.args(["build", "--quiet", "--release", "--package", "sandboxd", "--target", &host]);
    add_static(&mut command, &host, &[]);
    run(&mut command)?;
    let built = project::target().join(&host).join("release/sandboxd");
    let binary = project::binary();
    // A new file by rename: the old one may be running.
    let fresh = binary.with_extension("new");
    std::fs::copy(&built, &fresh).context(format_args!("copy {}", built.display()))?;
    std::fs::rename(&fresh, &binary).context(format_args!("rename to {}", binary.display()))?;
    Ok(binary)
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

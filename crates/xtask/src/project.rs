//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Failure, Result};
use crate::process::output_of;

/// The root of the work tree.
pub(crate) fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// The static binary that `cargo xtask build` makes.
pub(crate) fn binary() -> PathBuf {
    root().join("sandboxd")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A command of cargo in the root of the work tree.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// A command of rustc.
pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The target triple of this machine.
pub(crate) fn host_triple() -> Result<String> {
    let version = output_of(rustc().arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

/// The target triple of the static binary: that of musl, whose programs start sooner than glibc's (it does not ask the
/// processor what it is), where its standard library is installed; else the machine's own.
pub(crate) fn static_triple() -> Result<String> {
    let host = host_triple()?;
    let musl = host.replace("-gnu", "-musl");
    Ok(if is_installed(&musl)? { musl } else { host })
}

/// Whether rustc has the standard library of a target.
pub(crate) fn is_installed(triple: &str) -> Result<bool> {
    let directory = output_of(rustc().args(["--print", "target-libdir", "--target", triple]))?;
    Ok(std::fs::read_dir(directory.trim()).is_ok_and(|mut files| files.next().is_some()))
}

/// Stops where the effective user is not root.
pub(crate) fn check_root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new("needs root: run it as root, or with `sudo -E env PATH=$PATH …`"))
}

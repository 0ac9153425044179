//! Trees of other Debian suites, made with mmdebstrap; made once and kept.
//!
//! Needs root, since systems are installed into directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Failure, Result};
use crate::lane::mounts_below;
use crate::process::find_program;

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// This machine lacks something.
    Here(String),
    /// The making went wrong.
    Failed(Failure),
}

impl Unavailable {
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Here(reason) => Failure::new(format!("not to be had here: {reason}")),
            Self::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for Unavailable {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A directory below `$XDG_CACHE_HOME/sandboxd`, by default `~/.cache/sandboxd`.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    let named =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let cache = cache.ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))?;
    let directory = cache.join("sandboxd").join(name);
    fs::create_dir_all(&directory).context(directory.display())?;
    Ok(directory)
}

/// The command that makes a tree of a suite with these packages (separated by commas); what it says goes to the log.
pub(crate) fn bootstrap(
    suite: &str,
    variant: &str,
    packages: &str,
    into: &Path,
    log: &Path,
) -> Result<Command> {
    let log_file = fs::File::create(log).context(log.display())?;
    let mut command = Command::new("mmdebstrap");
    command.args(["--mode=root", "--variant", variant, "--include", packages]);
    // Mirrors keep sid's index files longer than they say they are good for.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command.arg("--aptopt=APT::Install-Recommends \"false\"");
    command.arg("--aptopt=Acquire::Retries \"3\"");
    command.arg(suite).arg(into);
    command.stdin(Stdio::null()).stdout(log_file.try_clone().context(log.display())?).stderr(log_file);
    Ok(command)
}

/// A mirror that can't be reached is this machine's; anything else is wrong with the recipe.
pub(crate) fn bootstrap_failure(log: &Path) -> Unavailable {
    let text = fs::read_to_string(log).unwrap_or_default();
    const UNREACHABLE: [&str; 6] = [
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Connection failed",
        "Connection timed out",
        "Failed to fetch",
    ];
    if let Some(line) = text.lines().find(|line| UNREACHABLE.iter().any(|sign| line.contains(sign))) {
        return Unavailable::Here(format!("the distribution's mirror can't be reached: {}", line.trim()));
    }
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Unavailable::Failed(Failure::new(format!(
        "mmdebstrap: {} (whole log: {})",
        last.join(" | "),
        log.display()
    )))
}

/// Whether this machine can make one: who we are, and programs with the packages that have them.
pub(crate) fn check_machine(programs: &[(&str, &str)]) -> Result<(), Unavailable> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Unavailable::Here("needs root".into()));
    }
    let missing = programs.iter().filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        Ok(())
    } else {
        Err(Unavailable::Here(format!("not installed: {}", packages.join(" "))))
    }
}

/// Makes what the directory is to hold, where it was not made by this recipe.
pub(crate) fn make_once(
    directory: &Path,
    recipe: &str,
    again: bool,
    make: impl FnOnce() -> Result<(), Unavailable>,
) -> Result<(), Unavailable> {
    let stamp = directory.join("recipe");
    let current = fs::read_to_string(&stamp).is_ok_and(|made| made == recipe);
    if !current || again {
        let _ = fs::remove_file(&stamp);
        make()?;
        fs::write(&stamp, recipe).context(stamp.display())?;
    }
    Ok(())
}

/// Removes a tree in which nothing is mounted.
pub(crate) fn remove_tree(tree: &Path) -> Result<()> {
    if let Some(mount) = mounts_below(tree)?.first() {
        return Err(Failure::new(format!("{} is a mount point: it is left alone", mount.display())));
    }
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.context(tree.display()),
    }
}

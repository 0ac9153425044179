//! What all commands share: the state root, the log, and what a message is about.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use sandbox::probe::in_user_namespace;
use sandbox::{Interrupt, Outcome, Runtime, Warning};

use crate::args::Global;
use crate::error::{Context as _, Error, OneLine, Result};
use crate::foreground::interrupting_signals;
use crate::log::Log;

/// Where state is kept by default.
const ROOT: &str = "/run/sandboxd";

/// One call of the program.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) global: &'a Global,
    log: &'a Log,
    command: Option<&'static str>,
    subject: Option<&'a OsStr>,
}

impl<'a> Session<'a> {
    /// One call: its global flags, its log, the command and its container.
    pub(crate) fn new(
        global: &'a Global,
        log: &'a Log,
        command: Option<&'static str>,
        subject: Option<&'a OsStr>,
    ) -> Self {
        Self { global, log, command, subject }
    }

    /// The containers below the state root. Ctrl-C, or another signal by which a user ends a command, ends a hook that is waited
    /// for.
    ///
    /// # Errors
    /// The directory can't be used, or an ordinary user has none.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        let root = self.global.root.clone().map_or_else(default_root, Ok)?;
        Ok(Runtime::open(&root)?.interrupted_by(Interrupt::new(interrupting_signals)))
    }

    /// That a state directory which was named is there: a list of nothing would hide that the name is wrong.
    pub(crate) fn check_root(&self) -> Result<()> {
        match &self.global.root {
            Some(root) => fs::symlink_metadata(root).map(drop).context(|| format!("open {}", root.display())),
            None => Ok(()),
        }
    }

    /// The value of an outcome, after its warnings were logged.
    pub(crate) fn accept<T>(&self, outcome: Outcome<T>) -> T {
        for warning in &outcome.warnings {
            self.warn(warning);
        }
        outcome.value
    }

    /// Logs a warning.
    pub(crate) fn warn(&self, warning: &Warning) {
        let mut about = self.command.unwrap_or_default().to_owned();
        if let Some(subject) = self.subject {
            about.push(' ');
            about.push_str(&OneLine(&subject.to_string_lossy()).to_string());
        }
        self.log.warning(&about, warning);
    }

    /// Logs a warning that concerns no field of the configuration.
    pub(crate) fn warn_about(&self, message: impl ToString) {
        self.warn(&Warning { pointer: None, message: message.to_string() });
    }
}

/// runc's rule: `$XDG_RUNTIME_DIR` for whoever is not root, and for a root that is one only in a user namespace and
/// is not called so.
fn default_root() -> Result<PathBuf> {
    let xdg = env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    match xdg {
        Some(xdg) if !rustix::process::geteuid().is_root() || is_root_by_namespace_only() => {
            Ok(PathBuf::from(xdg).join("sandboxd"))
        }
        None if !rustix::process::geteuid().is_root() => Err(Error::NoRuntimeDirectory),
        _ => Ok(ROOT.into()),
    }
}

fn is_root_by_namespace_only() -> bool {
    // Engines that made the namespace pass no USER at all.
    let named_otherwise = env::var_os("USER").is_none_or(|user| user != "root");
    named_otherwise && in_user_namespace().unwrap_or(false)
}

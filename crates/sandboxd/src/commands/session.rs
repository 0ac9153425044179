//! What all commands share: the state root, the log, and what a message is about.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use sandbox::{Outcome, Runtime, Warning};

use crate::args::Global;
use crate::error::{OneLine, Result};
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

    /// The containers below the state root.
    ///
    /// # Errors
    /// The directory can't be used.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        let root = self.global.root.clone().unwrap_or_else(default_root);
        Ok(Runtime::open(&root)?)
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
/// is still called otherwise.
fn default_root() -> PathBuf {
    let xdg = env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    match xdg {
        Some(xdg) if !rustix::process::geteuid().is_root() || is_root_by_namespace_only() => {
            PathBuf::from(xdg).join("sandboxd")
        }
        _ => ROOT.into(),
    }
}

fn is_root_by_namespace_only() -> bool {
    let named_otherwise = env::var_os("USER").is_some_and(|user| !user.is_empty() && user != "root");
    named_otherwise && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_initial_uid_map(&map))
}

/// Whether this is the map of the initial user namespace.
fn is_initial_uid_map(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_map_of_initial_namespace_is_recognised() {
        assert!(is_initial_uid_map("         0          0 4294967295\n"));
        assert!(!is_initial_uid_map("         0       1000          1\n"));
        assert!(!is_initial_uid_map("0 0 1\n1 1 4294967294\n"));
    }
}

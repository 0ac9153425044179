//! What can go wrong with CRIU.

use std::path::PathBuf;

use super::version::Version;

/// Where a distribution has it.
const ADVICE: &str = "checkpoint and restore need it (package criu)";

/// Why CRIU did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CriuError {
    /// It can't be executed.
    #[error("criu: {reason}: {ADVICE}, of version {} or later", Version::LEAST)]
    Missing {
        /// Why.
        reason: String,
    },
    /// It ended without an answer.
    #[error("criu ended without an answer: {how}")]
    Ended {
        /// How, and what it printed.
        how: String,
    },
    /// It can't do this yet.
    #[error("criu is of version {found}: {purpose} needs {needed} or later")]
    TooOld {
        /// What is installed.
        found: Version,
        /// What is needed.
        needed: Version,
        /// For what.
        purpose: &'static str,
    },
    /// CRIU could, the kernel can't.
    #[error("criu on this kernel lacks {0}")]
    Lacks(&'static str),
    /// It tried.
    #[error("criu failed: type {kind} errno {errno}{}: log file {}", reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default(), log.display())]
    Failed {
        /// What was asked for.
        kind: &'static str,
        /// As it says.
        errno: i32,
        /// The first errors in its log.
        reason: Option<String>,
        /// Its log.
        log: PathBuf,
    },
    /// The conversation broke.
    #[error("speak with criu: {0}")]
    Conversation(String),
    /// The container has what CRIU does not know.
    #[error("{what} can't be checkpointed (from {pointer})")]
    Unsupported {
        /// What.
        what: &'static str,
        /// Where it is asked for.
        pointer: String,
    },
}

/// Whether CRIU's version is recent enough for this.
///
/// # Errors
/// [`CriuError::TooOld`]
pub(crate) fn check_recent(found: Version, needed: Version, purpose: &'static str) -> Result<(), CriuError> {
    if found >= needed { Ok(()) } else { Err(CriuError::TooOld { found, needed, purpose }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_too_old_names_both() {
        let found = Version { major: 3, minor: 11, sublevel: 2 };
        let error = check_recent(found, Version::LEAST, "checkpoint").unwrap_err();
        assert_eq!(error.to_string(), "criu is of version 3.11.2: checkpoint needs 3.15 or later");
        assert!(check_recent(Version::LEAST, Version::LEAST, "checkpoint").is_ok());
    }
}

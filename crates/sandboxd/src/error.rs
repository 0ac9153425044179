//! What can go wrong in the binary itself, and the sentence that is made of it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::args::Misuse;
pub(crate) use sandbox::reason;

/// A result of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not succeed. One line, without the command and the id: [`Failure`] has them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line can't be understood.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The library's.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// An id that is none.
    #[error(transparent)]
    Id(#[from] sandbox::id::InvalidContainerId),
    /// A terminal was asked for, and nobody takes it.
    #[error(
        "cannot allocate tty if runc will detach without setting console socket (needs --console-socket)"
    )]
    TerminalWithoutSocket,
    /// Somebody waits for a terminal that will not come.
    #[error("cannot use console socket if runc will not detach or allocate tty")]
    SocketWithoutTerminal,
    /// No such signal.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    /// Not a regular expression.
    #[error("regular expression {pattern:?}: {source}")]
    Regex {
        /// As typed.
        pattern: String,
        /// Why.
        source: regex_lite::Error,
    },
    /// Nowhere to keep the state of an ordinary user's containers.
    #[error(
        "XDG_RUNTIME_DIR is not set: set it to a directory of your own (logind makes /run/user/UID), or give --root DIR"
    )]
    NoRuntimeDirectory,
    /// Some of several containers.
    #[error("{}", Several(.0))]
    Several(Vec<(String, Error)>),
    /// `spec` does not overwrite.
    #[error("file {} exists, remove it first", .0.display())]
    FileExists(PathBuf),
    /// A flag's value is none of its kind.
    #[error("invalid value for {flag}: {value:?}")]
    InvalidValue {
        /// Without dashes.
        flag: &'static str,
        /// As typed.
        value: String,
    },
    /// In runc's words.
    #[error("duration interval must be greater than 0")]
    InvalidInterval,
    /// What the host can't do.
    #[error("{what} is not enabled: {reason}")]
    NotEnabled {
        /// In runc's words.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The host's `ps`.
    #[error("ps: {0}")]
    Ps(String),
    /// A value of a flag of checkpoint or restore.
    #[cfg(feature = "criu")]
    #[error("{0}")]
    Criu(String),
    /// Built without the feature.
    #[cfg(not(feature = "criu"))]
    #[error("this sandboxd was built without CRIU (feature criu)")]
    WithoutCriu,
    /// A system call of the binary itself.
    #[error("{what}: {}", reason(.source))]
    Io {
        /// The call and its object.
        what: String,
        /// The errno.
        source: io::Error,
    },
    /// Output that can't be made JSON, or a file that is none.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Says which call it was.
pub(crate) trait Context<T> {
    /// Adds the call and its object.
    ///
    /// # Errors
    /// The error, with them.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io { what: what(), source: error.into() })
    }
}

impl Error {
    /// What a program may want to know: the log has these as keys of their own.
    pub(crate) fn more(&self) -> Vec<(&'static str, Value)> {
        let mut more = Vec::new();
        match self {
            Self::Sandbox(error) => {
                more.extend(error.pointer().map(|pointer| ("pointer", pointer.into())));
                more.extend(error.step().map(|step| ("step", step.into())));
                more.extend(error.syscall().map(|call| ("syscall", call.into())));
                more.extend(error.errno().map(|errno| ("errno", errno.into())));
            }
            Self::Io { source, .. } => {
                more.extend(source.raw_os_error().map(|errno| ("errno", errno.into())))
            }
            _ => {}
        }
        more.extend(self.hint().map(|hint| ("hint", hint.into())));
        more
    }

    /// What to do about it, in a clause, where that is known.
    pub(crate) fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Sandbox(error) => return error.hint(),
            Self::Misuse(misuse) => return misuse.hint().map(Cow::Owned),
            Self::Id(_) => {
                "an id is 1 to 1024 of the characters A-Z a-z 0-9 _ + . - and does not begin with -".into()
            }
            Self::TerminalWithoutSocket => {
                "give the socket; or stay in the foreground (`run` or `exec`, without --detach); or do without a terminal \
                 (--tty of `exec`, /process/terminal)"
                    .into()
            }
            Self::SocketWithoutTerminal => {
                "a terminal comes with /process/terminal, or --tty of `exec`, and is sent to the socket of a command that \
                 detaches: ask for it, or leave --console-socket out"
                    .into()
            }
            Self::InvalidValue { flag: "interval", .. } => "give a number with its unit: 500ms, 5s, 1m30s".into(),
            Self::InvalidValue { flag, .. } if flag.starts_with("memory") || flag.starts_with("kernel") => {
                "give bytes, with or without a unit (k, m, g): 64m; -1 is no limit".into()
            }
            Self::UnknownSignal(_) => "`kill -l` of a shell lists the names; numbers do as well".into(),
            Self::Io { what, source } if is_about_a_socket_of_the_callers(what) => match source.kind() {
                io::ErrorKind::NotFound => "whoever wants the descriptor makes the socket first".into(),
                io::ErrorKind::ConnectionRefused => {
                    "nobody listens there: the path must be a unix socket that somebody has bound and listens on".into()
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// A socket that a flag names, for a descriptor.
fn is_about_a_socket_of_the_callers(what: &str) -> bool {
    ["connect to console socket ", "connect to pidfd socket "].iter().any(|call| what.starts_with(call))
}

struct Several<'a>(&'a [(String, Error)]);

impl fmt::Display for Several<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (id, error)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{id}: {error}")?;
        }
        Ok(())
    }
}

/// An error with the command and the container that it is about: what is printed and logged.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The command.
    pub(crate) command: Option<&'static str>,
    /// The container's id, as typed.
    pub(crate) subject: Option<OsString>,
    /// What went wrong.
    pub(crate) error: Error,
}

impl Failure {
    /// runc's exit codes: 1, and 255 for `exec`, whose other codes are the process's.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.command == Some("exec") { 255 } else { 1 }
    }
}

impl Failure {
    /// The whole line: the error, and what to do about it.
    pub(crate) fn line(&self) -> String {
        match self.error.hint() {
            Some(hint) => format!("{self}; hint: {}", OneLine(&hint)),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(command) = self.command {
            f.write_str(command)?;
            if let Some(subject) = &self.subject {
                write!(f, " {}", OneLine(&subject.to_string_lossy()))?;
            }
            f.write_str(": ")?;
            if command == "exec" && !matches!(self.error, Error::Misuse(_)) {
                // runc's words.
                f.write_str("exec failed: ")?;
            }
        }
        // Several violations of a config are lines.
        let error = self.error.to_string().trim_end().replace('\n', "; ");
        write!(f, "{}", OneLine(&error))
    }
}

/// Text in which control characters are escaped: whatever an id or a path contains, it stays one line.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(char::is_control) {
            match piece.chars().next_back().filter(|last| last.is_control()) {
                Some(control) => {
                    f.write_str(&piece[..piece.len() - control.len_utf8()])?;
                    write!(f, "{}", control.escape_default())?;
                }
                None => f.write_str(piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_with_control_characters_stays_one_line() {
        let failure = Failure {
            command: Some("state"),
            subject: Some("a\nb\u{1b}[1m".into()),
            error: Error::UnknownSignal("x\ty".to_owned()),
        };
        assert_eq!(failure.to_string(), r#"state a\nb\u{1b}[1m: unknown signal "x\ty""#);
    }

    #[test]
    fn failure_of_exec_exits_255() {
        let failure = |command| Failure { command, subject: None, error: Error::InvalidInterval };
        assert_eq!(failure(Some("exec")).exit_code(), 255);
        assert_eq!(failure(Some("run")).exit_code(), 1);
        assert_eq!(failure(None).exit_code(), 1);
    }
}

//! What can be wrong with a command line, in runc's words where callers look for them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The command line can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misuse {
    /// The last word is a flag that needs a value.
    #[error("flag needs an argument: {flag}")]
    MissingValue {
        /// As typed.
        flag: String,
    },
    /// A flag that is on or off was given something else.
    #[error("invalid boolean value {value:?} for {flag}")]
    NotABoolean {
        /// As typed.
        flag: String,
        /// As typed.
        value: OsString,
    },
    /// No such flag.
    #[error("flag provided but not defined: {flag}{}", did_you_mean(.close))]
    UnknownFlag {
        /// With two dashes.
        flag: String,
        /// One that it may have been meant for.
        close: Option<String>,
    },
    /// `exec -it ID sh`, as engines take it.
    #[error("flag provided but not defined: {flag}")]
    InteractiveFlag {
        /// As typed.
        flag: String,
        /// How a terminal is asked for.
        terminal: &'static str,
    },
    /// `kill -9 ID`, as the shell's kill takes it.
    #[error("flag provided but not defined: -{signal}")]
    SignalAsFlag {
        /// As typed, without the dash.
        signal: String,
    },
    /// No such command: runc's words, which callers look for, then the reason.
    #[error("No help topic for '{name}': no such command{}", did_you_mean(.close))]
    UnknownCommand {
        /// As typed.
        name: String,
        /// One that it may have been meant for.
        close: Option<String>,
    },
    /// Too few or too many operands.
    #[error("requires {} argument(s)", .0.text())]
    Operands(Operands),
    /// A flag's value is not one of its kind, two flags exclude each other, …
    #[error("{0}")]
    Other(String),
}

/// How many operands a command takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operands {
    /// At least.
    pub(crate) min: usize,
    /// At most.
    pub(crate) max: usize,
    /// How many were given.
    pub(crate) given: usize,
    /// How the command is called.
    pub(crate) usage: String,
}

impl Operands {
    fn text(&self) -> String {
        if self.min == self.max {
            format!("exactly {}", self.min)
        } else if self.given < self.min {
            format!("a minimum of {}", self.min)
        } else {
            format!("a maximum of {}", self.max)
        }
    }
}

impl Misuse {
    /// With an unknown flag as it was typed: the canonical form has two dashes always.
    pub(crate) fn typed_in(self, words: &[OsString]) -> Self {
        match self {
            Self::UnknownFlag { flag, close } => {
                let typed = |word: &OsString| word.as_bytes().starts_with(flag.as_bytes());
                let flag = if words.iter().any(typed) { flag } else { flag[1..].to_owned() };
                Self::UnknownFlag { flag, close }
            }
            other => other,
        }
    }

    /// Of this command: its own words for a flag that the engines have.
    pub(crate) fn of(self, command: &str) -> Self {
        let terminal = match command {
            "exec" => "-t gives a terminal",
            "run" => "/process/terminal gives a terminal",
            _ => return self,
        };
        match self {
            Self::UnknownFlag { flag, .. } if matches!(&*flag, "-i" | "-it" | "-ti" | "--interactive") => {
                Self::InteractiveFlag { flag, terminal }
            }
            other => other,
        }
    }

    /// What to do about it, in a clause, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Operands(operands) => Some(format!("call it as `{}`", operands.usage)),
            Self::InteractiveFlag { terminal, .. } => {
                Some(format!("standard input is passed on always; {terminal}"))
            }
            Self::SignalAsFlag { signal } => Some(format!("a signal follows the id: `kill ID {signal}`")),
            Self::UnknownFlag { close: None, .. } => {
                Some("`--help` after a command lists its flags".to_owned())
            }
            _ => None,
        }
    }
}

fn did_you_mean(close: &Option<String>) -> String {
    close.as_ref().map(|close| format!("; did you mean {close}?")).unwrap_or_default()
}

impl From<clap::Error> for Misuse {
    fn from(error: clap::Error) -> Self {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        match (error.kind(), text(ContextKind::InvalidArg)) {
            (ErrorKind::UnknownArgument, Some(flag)) => {
                // To a letter or two everything is close.
                let is_word = flag.trim_start_matches('-').chars().count() > 2;
                Self::UnknownFlag { flag, close: text(ContextKind::SuggestedArg).filter(|_| is_word) }
            }
            _ => Self::Other(one_line(&error.to_string())),
        }
    }
}

/// clap's rendering in one line: without the word `error:`, the usage and the hint at `--help`.
fn one_line(rendered: &str) -> String {
    let rendered = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| rendered.find(mark))
        .min()
        .unwrap_or(rendered.len());
    rendered[..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Where errors and warnings go: stderr, and the file of `--log`.
//!
//! | | no `--log` | `--log FILE` |
//! |---|---|---|
//! | error | stderr: `sandboxd: error: …`, or the line as JSON where `--log-format json` is given | a line in the file, and `sandboxd: error: …` on stderr |
//! | warning | stderr | a line in the file, except in a JSON log without `--debug` or `--log-level` |
//! | steps (`--debug`) | stderr, as lines | lines in the file |
//!
//! The exception: podman reads a whole JSON log as one object when a command fails, over several commands, so without
//! an explicit level an error must be the only line in it. Who wants the warnings there asks with a level
//! (containerd does, with `--debug`).

mod line;
mod steps;
mod trace;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::args::Global;
use crate::args::PROGRAM;
use crate::args::global::{LogFormat, LogLevel};
use crate::error::{Context as _, Failure, OneLine, Result, reason};
use line::Line;
pub(crate) use trace::Trace;

/// Where errors and warnings go.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
    /// What was asked for; `warning` otherwise.
    level: Option<LogLevel>,
    /// The file of `--trace`.
    trace_file: Option<PathBuf>,
}

impl Log {
    /// As the global flags say.
    pub(crate) fn new(global: &Global) -> Self {
        let level = if global.debug { Some(LogLevel::Debug).max(global.log_level) } else { global.log_level };
        let file = global.log.clone().filter(|path| !path.as_os_str().is_empty());
        let trace_file =
            global.trace.clone().or_else(|| std::env::var_os("SANDBOXD_TRACE").map(PathBuf::from));
        let trace_file = trace_file.filter(|path| !path.as_os_str().is_empty());
        Self { file, format: global.log_format.unwrap_or_default(), level, trace_file }
    }

    /// Makes the file where it is missing: callers read it whether something went wrong or not. Where that is
    /// impossible, it is said with the first line that would be in it.
    pub(crate) fn prepare(&self) {
        let _ = self.file.as_deref().map(open);
    }

    /// From here on what the library reports on its way is logged too, if the level asks for it; and traced, where that was
    /// asked for.
    ///
    /// # Errors
    /// The file of the trace can't be written.
    pub(crate) fn follow_steps(&self, command: &str) -> Result<Option<Trace>> {
        let level = self.level.unwrap_or(LogLevel::Warning);
        if let Some(file) = &self.trace_file {
            let file = trace::file_of(file, command);
            // Now: later it would be said of a command that has been carried out. It is not held, since the numbers of
            // descriptors mean something to `--preserve-fds`.
            open(&file).context(|| format!("open the trace {}", file.display()))?;
            return Ok(Some(Trace::follow(file, steps::lines(self.clone(), level))));
        }
        if level > LogLevel::Warning || self.takes_warnings() {
            steps::follow(self.clone(), level);
        }
        Ok(None)
    }

    /// Why a command did not succeed.
    pub(crate) fn failure(&self, failure: &Failure) {
        let message = failure.line();
        let more = failure.error.more();
        let line = Line { level: "error", message: &message, time: SystemTime::now(), more: &more };
        if self.file.is_some() || self.format == LogFormat::Json {
            self.write(&line);
        }
        if self.file.is_some() || self.format == LogFormat::Text {
            print_error(&format!("{PROGRAM}: error: {message}\n"));
        }
    }

    /// What the caller should know although the command went on. `about` is the command and the container.
    pub(crate) fn warning(&self, about: &str, warning: &sandbox::Warning) {
        if !self.takes_warnings() {
            return;
        }
        let message = format!("{about}: {}", OneLine(&warning.message));
        if self.file.is_none() && self.format == LogFormat::Text {
            // What is an error elsewhere names it itself.
            let unsaid =
                warning.pointer.as_ref().filter(|pointer| !warning.message.contains(pointer.as_str()));
            let origin = unsaid.map(|pointer| format!(" (from {})", OneLine(pointer)));
            print_error(&format!("{PROGRAM}: warning: {message}{}\n", origin.unwrap_or_default()));
        } else {
            let more: Vec<_> =
                warning.pointer.iter().map(|pointer| ("pointer", pointer.as_str().into())).collect();
            self.write(&Line { level: "warning", message: &message, time: SystemTime::now(), more: &more });
        }
    }

    fn takes_warnings(&self) -> bool {
        match self.level {
            Some(level) => level >= LogLevel::Warning,
            None => self.file.is_none() || self.format == LogFormat::Text,
        }
    }

    /// Writes a line with one call, so that lines of several commands don't mix.
    fn write(&self, line: &Line<'_>) {
        let text = line.render(self.format);
        let Some(path) = &self.file else { return print_error(&text) };
        let result = open(path).and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = result {
            print_error(&format!("{PROGRAM}: error: log {}: {}\n", path.display(), reason(&error)));
        }
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    // A FIFO that nobody reads is an error, and one that is full, not a wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(path)
}

/// Prints to stderr. Where that is impossible nothing is left to be told.
fn print_error(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

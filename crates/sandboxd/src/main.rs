//! `sandboxd`: runc's command line over the library `sandbox`.
//!
//! Thin: [`args`] says what the user said, [`commands`] what it means; the work is the library's. What goes wrong is
//! one line on stderr and, where asked for, one in the log ([`log`]).

// The test harness brings a main of its own; with another beside it no test would run.
#![cfg_attr(not(test), no_main)]

mod args;
mod commands;
mod error;
mod foreground;
mod log;
mod notify;
mod sys;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write as _};

use args::{CommandLine, Request};
use error::{Context as _, Failure, Result};
use log::Log;

#[cfg(not(test))]
#[global_allocator]
static MEMORY: sys::Memory = sys::Memory::new();

#[cfg(test)]
fn main() {
    run(&[]);
}

/// What the command line says; the exit code.
fn run(words: &[OsString]) -> u8 {
    let CommandLine { global, name, subject, request } = args::parse(words);
    let log = Log::new(&global);
    let result = match request {
        Ok(Request::Help(text)) => print(&text),
        Ok(Request::Version) => print(&version()),
        Ok(Request::Verb(verb)) => {
            log.prepare();
            let session = commands::Session::new(&global, &log, name, subject.as_deref());
            log.follow_steps(name.unwrap_or_default()).and_then(|trace| execute(*verb, &session, trace))
        }
        Err(misuse) => Err(misuse.into()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let failure = Failure { command: name, subject, error };
            log.failure(&failure);
            failure.exit_code()
        }
    }
}

/// A command, traced where that is asked for. Its result is its own: it has done what it was called for, whether that could
/// be written down or not.
fn execute(verb: args::Verb, session: &commands::Session<'_>, trace: Option<log::Trace>) -> Result<u8> {
    let phase = tracing::trace_span!(target: "sandbox::trace", "command").entered();
    let result = commands::execute(verb, session);
    drop(phase);
    if let Some(Err(error)) = trace.map(|trace| trace.write()) {
        session.warn_about(error);
    }
    result
}

/// In the form of `runc --version`, which callers parse by line.
fn version() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("SANDBOXD_COMMIT"));
    format!("sandboxd version {version}\ncommit: {commit}\nspec: {}\n", spec::VERSION)
}

/// Prints to stdout, with the exit code of success.
fn print(text: &str) -> Result<u8> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context(|| "write stdout".to_owned())?;
    Ok(0)
}

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
            let trace = log.follow_steps();
            log.prepare();
            let phase = tracing::trace_span!(target: "sandbox::trace", "command").entered();
            let result =
                commands::execute(*verb, &commands::Session::new(&global, &log, name, subject.as_deref()));
            drop(phase);
            match trace.map(|trace| trace.write().context(|| "write the trace".to_owned())) {
                Some(Err(error)) if result.is_ok() => Err(error),
                _ => result,
            }
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

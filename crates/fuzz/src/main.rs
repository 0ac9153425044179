//! `fuzz TARGET --seconds N`: bytes of all kinds for what reads bytes of others. `cargo xtask fuzz` builds and runs it.
//!
//! A target is a function of bytes that panics where something is wrong. The runner mutates what it knows, keeps what
//! reaches code that nothing has reached before (where it was built with coverage: see `coverage`), and writes what
//! panics or takes too long to the findings. As a test it replays the kept corpus.

mod coverage;
mod keep;
mod mutate;
mod runner;
mod sys;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: &'static targets::Target,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    /// Directories of inputs to begin with.
    pub(crate) seeds: Vec<PathBuf>,
    /// Where inputs go that panic.
    pub(crate) findings: PathBuf,
    /// Where every input goes that reached something new: what the next run begins with.
    pub(crate) grown: Option<PathBuf>,
    /// Where a small corpus that reaches nearly all that was reached goes.
    pub(crate) keep: Option<PathBuf>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Request, String> {
    let name = words.next().ok_or_else(|| format!("fuzz: which target? {}", targets::names()))?;
    let target =
        targets::by_name(&name).ok_or_else(|| format!("no target {name:?}: {}", targets::names()))?;
    let mut request = Request {
        target,
        time: Duration::from_secs(60),
        seed: 1,
        seeds: Vec::new(),
        findings: "findings".into(),
        grown: None,
        keep: None,
    };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{word}: {error}"));
        match word.as_str() {
            "--seconds" => request.time = Duration::from_secs(number()?),
            "--seed" => request.seed = number()?,
            "--seeds" => request.seeds.push(value.into()),
            "--findings" => request.findings = value.into(),
            "--grown" => request.grown = Some(value.into()),
            "--keep" => request.keep = Some(value.into()),
            _ => return Err(format!("unknown: {word}")),
        }
    }
    Ok(request)
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.peek().is_some_and(|word| word == "--list") {
        println!("{}", targets::names());
        return ExitCode::SUCCESS;
    }
    match parse(words).and_then(|request| runner::run(&request).map_err(|error| error.to_string())) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

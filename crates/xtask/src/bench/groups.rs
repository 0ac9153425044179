//! What is measured: groups of series, each chosen by its name (`--only`).

mod created;
mod launches;
mod library;
mod program;

pub(super) use created::FEW;
use indicatif::ProgressBar;
pub(super) use launches::uncached;
pub(super) use library::{LARGE, LIBRARY, SMALL};

use super::contestant::Contestant;
use super::document::Measured;
use super::measure::{Sample, interleaved};
use crate::error::{Failure, Result};

/// One lane's measurement under way.
pub(super) struct Bench<'a> {
    pub(super) arena: &'a super::arena::Arena,
    pub(super) contestants: &'a [Contestant<'a>],
    /// `-n`: how often what takes milliseconds is done; the rest is derived from it.
    pub(super) rounds: usize,
    pub(super) progress: &'a ProgressBar,
}

/// A group of series.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) measure: fn(&Bench<'_>) -> Result<Vec<Measured>>,
}

/// All of them, in the order in which they are measured.
pub(super) const GROUPS: [Group; 13] = [
    Group { name: "size", measure: program::size },
    Group { name: "version", measure: program::version },
    Group { name: "syscalls", measure: program::syscalls },
    Group { name: "run", measure: launches::run },
    Group { name: "cycle", measure: launches::cycle },
    Group { name: "exec", measure: launches::exec },
    Group { name: "seccomp", measure: launches::seccomp },
    Group { name: "mounts", measure: launches::mounts },
    Group { name: "throughput", measure: launches::throughput },
    Group { name: "delete", measure: launches::delete },
    Group { name: "limit", measure: created::limit },
    Group { name: "created", measure: created::created },
    Group { name: "library", measure: library::library },
];

/// The names of `--only`, checked.
pub(super) fn check_names(names: &[String]) -> Result<()> {
    let known: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!("no measurement {name:?}: one of {}", known.join(", ")))),
    }
}

impl Bench<'_> {
    /// All but the floor.
    fn runtimes(&self) -> impl Iterator<Item = &Contestant<'_>> {
        self.contestants.iter().filter(|contestant| !contestant.is_floor())
    }

    /// Takes a figure of each subject in turns; who fails leaves a note.
    fn interleave<T>(
        &self,
        measured: &mut Measured,
        variant: &str,
        subjects: &[T],
        rounds: usize,
        name: impl Fn(&T) -> &str,
        mut figure: impl FnMut(&T) -> Result<f64>,
    ) {
        let mut taken = 0;
        let total = rounds * subjects.len();
        let samples = interleaved(subjects, rounds, |subject| {
            taken += 1;
            self.say(measured, variant, taken, total);
            figure(subject)
        });
        for (subject, sample) in subjects.iter().zip(samples) {
            match sample {
                Ok(sample) => measured.add_sample(name(subject), variant, &sample),
                Err(failure) => self.note(measured, name(subject), variant, &failure),
            }
        }
    }

    /// What is at work now.
    fn say(&self, measured: &Measured, variant: &str, taken: usize, total: usize) {
        self.progress.set_message(format!("{} {variant} {taken}/{total}", measured.series));
    }

    /// What could not be measured, and why.
    fn note(&self, measured: &mut Measured, name: &str, variant: &str, failure: &Failure) {
        let of = if variant.is_empty() { String::new() } else { format!(", {variant}") };
        measured.notes.push(format!("{name}{of}: {failure}"));
    }

    fn add(&self, measured: &mut Measured, name: &str, variant: &str, figure: Result<Sample>) {
        match figure {
            Ok(sample) => measured.add_sample(name, variant, &sample),
            Err(failure) => self.note(measured, name, variant, &failure),
        }
    }
}

//! The descriptors that a process gets after its streams.
//!
//! Runs in the runtime.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::outcome::Warning;
use crate::probe;

/// How many there are, and which of them are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How many, those between them that are closed included.
    pub(crate) count: u32,
    /// Where some of them are closed, their end; 0 where all are open.
    pub(crate) closed_below: u32,
    /// The last that was asked for, where it and those before it are closed.
    missing: Option<u32>,
}

impl Passed {
    /// Of a request: `own` are given to the process, the others, up to `count`, are the caller's own by number, those of them
    /// that are open, and stay so at execve: what this program has opened itself does not. It is told of the first `listening`.
    ///
    /// # Errors
    /// [`Error::NotOpen`] where it is told of one that is closed; more are given than a process may have; it is told of more
    /// than it may get.
    pub(crate) fn of(own: &[OwnedFd], count: u32, listening: u32) -> Result<Self> {
        let given =
            u16::try_from(own.len().saturating_add(3)).map_err(|_| Error::Request("too many descriptors"))?;
        let given = u32::from(given);
        let asked = count.saturating_add(3).max(given);
        let told = listening.saturating_add(3);
        if told > asked {
            return Err(Error::Request("listen_fds counts more descriptors than the process gets"));
        }
        let open = if asked > given { inherited(given..asked)? } else { BTreeSet::new() };
        if let Some(number) = (given..told).find(|number| !open.contains(number)) {
            return Err(Error::NotOpen { number, count: listening });
        }
        let end = open.last().map_or(given, |last| last + 1);
        let has_gaps = open.len() < (end - given) as usize;
        Ok(Self {
            count: end - 3,
            closed_below: if has_gaps { end } else { 0 },
            missing: (end < asked).then(|| asked - 1),
        })
    }

    /// What the caller should know.
    pub(crate) fn warning(self) -> Option<Warning> {
        let first = self.count + 3;
        let message = match self.missing? {
            last if last == first => format!("descriptor {first} is not open: the process does not get it"),
            last => format!("descriptors {first} to {last} are not open: the process does not get them"),
        };
        Some(Warning { pointer: None, message: message + " (--preserve-fds)" })
    }
}

/// That a process gets as many as its plan was made for: the request may be another by now.
pub(crate) fn check_passed(first_own_fd: u32, own: &[OwnedFd], count: u32) -> Result<()> {
    let own = own.len() as u32;
    if (own..=count.max(own)).contains(&first_own_fd.saturating_sub(3)) {
        return Ok(());
    }
    Err(Error::Request("the plan was made for another number of descriptors: prepare it again"))
}

/// Which of these descriptors are open, and not closed by execve (proc_pid_fdinfo(5)).
fn inherited(range: Range<u32>) -> Result<BTreeSet<u32>> {
    const DIRECTORY: &str = "/proc/self/fd";
    let error = |error| Error::file("read the directory", DIRECTORY, error);
    let mut open = BTreeSet::new();
    for entry in fs::read_dir(DIRECTORY).map_err(error)? {
        let number = entry.map_err(error)?.file_name().to_str().and_then(|name| name.parse().ok());
        open.extend(number.filter(|number| range.contains(number) && is_inherited(*number)));
    }
    Ok(open)
}

fn is_inherited(number: u32) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let info = probe::read_small_file(&format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
}

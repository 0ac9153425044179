//! For the reader: the same command in a fresh virtual machine.

use std::time::{Duration, Instant};

use super::contestant::OURS;
use super::document::{LaneDocument, Measured};
use crate::error::{Failure, Result};
use crate::vm::{Image, Job, Suite, boot};

/// From the start of the machine to its end, once, beside what `run` takes.
pub(super) fn measure(lane: &LaneDocument) -> Measured {
    let mut measured = Measured::new("vm");
    if let Some(row) = lane.row("run", OURS, "") {
        measured.add("container", "", row.median);
    }
    match boot_once() {
        Ok(took) => {
            measured.add("virtual machine", "", took.as_secs_f64() * 1e3);
            measured.notes.push("the virtual machine is emulated, with systemd as its first process".into());
        }
        Err(failure) => measured.notes.push(failure.to_string()),
    }
    measured
}

fn boot_once() -> Result<Duration> {
    let image = Image::get(Suite::default(), false).map_err(crate::debian::Unavailable::into_failure)?;
    let job = Job::new("/bin/true".into())?;
    let begin = Instant::now();
    match boot(&image, &job, &mut |_| {})? {
        0 => Ok(begin.elapsed()),
        status => Err(Failure::new(format!("/bin/true ended with {status} in the virtual machine"))),
    }
}

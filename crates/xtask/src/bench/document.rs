//! What was measured, as data: written as JSON, printed, drawn, checked.

use serde::{Deserialize, Serialize};

use super::measure::Sample;

/// All of one call of the task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) machine: Machine,
    pub(super) lanes: Vec<LaneDocument>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) kernel: String,
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) memory_mib: u64,
}

/// What was measured with one view of the cgroup hierarchies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LaneDocument {
    pub(super) cgroup: String,
    /// `-n`.
    pub(super) rounds: usize,
    pub(super) contestants: Vec<Entrant>,
    /// A sentence for each that could not be measured.
    pub(super) absent: Vec<String>,
    pub(super) measured: Vec<Measured>,
}

/// One that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entrant {
    pub(super) name: String,
    pub(super) version: String,
    /// What it was given otherwise than the others.
    pub(super) note: Option<String>,
}

/// One series of figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Of a [`Series`].
    pub(super) series: String,
    pub(super) rows: Vec<Row>,
    /// What is missing and why.
    pub(super) notes: Vec<String>,
}

/// The figure of one contestant for one variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) contestant: String,
    /// How many at a time, how many mounts; empty where there is one figure only.
    pub(super) variant: String,
    pub(super) median: f64,
    /// The least time, the highest rate.
    pub(super) best: f64,
    /// How many times it was taken.
    pub(super) count: usize,
}

/// What the figures of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    PerSecond,
    Kibibytes,
    Calls,
}

impl Unit {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::PerSecond => "per second",
            Self::Kibibytes => "KiB",
            Self::Calls => "calls",
        }
    }

    /// Whether chance decides about the figure, so that a target needs a margin.
    pub(super) const fn is_timed(self) -> bool {
        matches!(self, Self::Milliseconds | Self::PerSecond)
    }
}

/// A series that can be measured.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What the variants are; empty where there are none.
    pub(super) variants: &'static str,
    pub(super) unit: Unit,
}

const fn series(name: &'static str, title: &'static str, variants: &'static str, unit: Unit) -> Series {
    Series { name, title, variants, unit }
}

/// All series, in the order of the documents.
pub(super) const SERIES: [Series; 18] = [
    series("run", "`run` of `/bin/true`, default spec", "", Unit::Milliseconds),
    series("cycle", "`create`, `start` and `delete --force`", "", Unit::Milliseconds),
    series("exec", "`exec` of `/bin/true` in a running container", "", Unit::Milliseconds),
    series("seccomp", "`run` with podman's config and seccomp profile", "", Unit::Milliseconds),
    series("throughput", "Containers per second", "at a time", Unit::PerSecond),
    series("mounts", "`run` with bind mounts, in the host's network", "mounts", Unit::Milliseconds),
    series("delete", "`delete --force` with processes inside", "processes", Unit::Milliseconds),
    series("created-time", "`create` beside other created containers", "created", Unit::Milliseconds),
    series("created-pss", "PSS of a created container's process", "created", Unit::Kibibytes),
    series("created-memory", "All memory that a created container takes", "created", Unit::Kibibytes),
    series("limit", "Smallest memory limit that `/bin/true` starts with", "", Unit::Kibibytes),
    series("syscalls", "System calls of one `run`, the container's process included", "", Unit::Calls),
    series("version", "Start-up: `--version`", "", Unit::Milliseconds),
    series("size", "Size of the binary", "", Unit::Kibibytes),
    series("init-size", "Size of the program that the container starts as", "", Unit::Kibibytes),
    series("library-rate", "Launches per second in one process, by the library", "threads", Unit::PerSecond),
    series("library-launch", "One launch by the library", "resident", Unit::Milliseconds),
    series("vm", "The same command in a fresh virtual machine", "", Unit::Milliseconds),
];

impl Series {
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        SERIES.iter().find(|series| series.name == name)
    }
}

impl LaneDocument {
    pub(super) fn series(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.series == name)
    }

    /// The figure of a contestant.
    pub(super) fn row(&self, series: &str, contestant: &str, variant: &str) -> Option<&Row> {
        self.series(series)?.row(contestant, variant)
    }
}

impl Measured {
    pub(super) fn new(series: &str) -> Self {
        Self { series: series.to_owned(), rows: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn row(&self, contestant: &str, variant: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contestant == contestant && row.variant == variant)
    }

    /// The variants, in the order in which they were measured.
    pub(super) fn variants(&self) -> Vec<&str> {
        distinct(self.rows.iter().map(|row| row.variant.as_str()))
    }

    /// The contestants, in the order in which they were measured.
    pub(super) fn contestants(&self) -> Vec<&str> {
        distinct(self.rows.iter().map(|row| row.contestant.as_str()))
    }

    /// Adds a figure that is taken once.
    pub(super) fn add(&mut self, contestant: &str, variant: &str, figure: f64) {
        self.add_sample(contestant, variant, &Sample::of(vec![figure]));
    }

    /// Adds figures that were taken several times.
    pub(super) fn add_sample(&mut self, contestant: &str, variant: &str, sample: &Sample) {
        if sample.is_empty() {
            return;
        }
        let is_rate = Series::of(&self.series).is_some_and(|series| series.unit == Unit::PerSecond);
        self.rows.push(Row {
            contestant: contestant.to_owned(),
            variant: variant.to_owned(),
            median: sample.median(),
            best: if is_rate { sample.most() } else { sample.least() },
            count: sample.len(),
        });
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

//! What the output of a test run says: how many ended how, and what the failed ones said.

use std::collections::{BTreeMap, BTreeSet};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
    /// Of those that passed, how many did at the second attempt.
    pub(super) repeated: u32,
}

impl Counts {
    pub(super) const fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.repeated += other.repeated;
    }

    /// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
    fn parse(line: &str) -> Option<Self> {
        let (_, result) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |word: &str| {
            let item = result.split("; ").find_map(|item| item.strip_suffix(word))?;
            item.trim().parse::<u32>().ok()
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped: number("ignored")?,
            repeated: 0,
        })
    }
}

/// `test NAME ... ok`, `… FAILED`, `… ignored`, with the reason as `, REASON` or ` (REASON)`.
fn parse_result(line: &str) -> Option<(&str, &str)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let known = matches!(result, "ok" | "FAILED") || result.starts_with("ignored");
    known.then_some((name.trim(), result))
}

/// Of one run, read line by line.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) counts: Counts,
    /// Whether the command itself ended well.
    pub(super) ended_well: bool,
    /// What the failed tests said, below the title of the run; empty when none failed.
    pub(super) failures: Vec<String>,
    /// The names of the failed tests.
    pub(super) failed: Vec<String>,
    /// What the tests said that passed at the second attempt only, a line each.
    pub(super) repeated: Vec<String>,
    /// The names of the tests that passed.
    pub(super) names: BTreeSet<String>,
    /// How many were skipped for which reason.
    pub(super) skips: BTreeMap<String, u32>,
    /// The names of those that were, each with its reason.
    pub(super) skipped: BTreeMap<String, String>,
    pub(super) seconds: u64,
    /// `crates`, or the lane.
    pub(super) lane: String,
    /// Who makes the cgroups of the lane's containers, where the suite doesn't say.
    pub(super) manager: &'static str,
    in_failures: bool,
}

impl Outcome {
    pub(super) fn new(lane: &str) -> Self {
        Self {
            counts: Counts::default(),
            ended_well: false,
            failures: Vec::new(),
            failed: Vec::new(),
            repeated: Vec::new(),
            names: BTreeSet::new(),
            skips: BTreeMap::new(),
            skipped: BTreeMap::new(),
            seconds: 0,
            lane: lane.to_owned(),
            manager: "cgroupfs",
            in_failures: false,
        }
    }

    /// Of a lane that can't be shown here: one skip.
    pub(super) fn not_here(lane: &str, reason: &str) -> Self {
        println!("== {lane}: skipped: {reason}");
        let mut outcome = Self::new(lane);
        outcome.counts.skipped = 1;
        outcome.skips.insert(reason.to_owned(), 1);
        outcome.ended_well = true;
        outcome
    }

    /// Whether a test was found there: a lane that this machine can't show has one skip, of no test.
    pub(super) fn has_run(&self) -> bool {
        !(self.names.is_empty() && self.failed.is_empty() && self.skipped.is_empty())
    }

    /// Takes in that each failed test has passed when it was run once more.
    pub(super) fn passed_again(&mut self) {
        let count = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        self.counts.failed -= count;
        self.counts.passed += count;
        self.counts.repeated += count;
        self.ended_well = true;
        self.names.extend(self.failed.drain(..));
        let title = &self.lane;
        let said =
            self.failures.drain(..).map(|line| format!("{title}: passed at the second attempt: {line}"));
        self.repeated.extend(said);
    }

    fn add(&mut self, name: &str, result: &str) {
        match result {
            "ok" => drop(self.names.insert(name.to_owned())),
            "FAILED" => self.failed.push(name.to_owned()),
            _ => {
                let reason = result.trim_start_matches("ignored").trim_start_matches(", ").trim();
                let reason = reason.strip_prefix('(').and_then(|it| it.strip_suffix(')')).unwrap_or(reason);
                let reason = if reason.is_empty() { "without a reason" } else { reason };
                *self.skips.entry(reason.to_owned()).or_default() += 1;
                self.skipped.insert(name.to_owned(), reason.to_owned());
            }
        }
    }

    /// Takes the next line of the output. Between the first `failures:` and the second, which heads a list of names, is
    /// what the failed tests said.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = Counts::parse(line) {
            self.counts.add(counts);
            self.in_failures = false;
        } else if let Some((name, result)) = parse_result(line) {
            self.add(name, result);
        } else if line.starts_with("passed at the second attempt: ") {
            self.counts.repeated += 1;
            self.repeated.push(format!("{}: {line}", self.lane));
        } else if line == "failures:" {
            self.in_failures = !self.in_failures;
        } else if self.in_failures && !line.is_empty() {
            if self.failures.is_empty() {
                self.failures.push(format!("== failed, {}:", self.lane));
            }
            self.failures.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_line_counted() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(Counts::parse(line), Some(Counts { passed: 5, failed: 2, skipped: 1, repeated: 0 }));
        assert_eq!(Counts::parse("test lifecycle::created_state ... ok"), None);
    }

    #[test]
    fn names_and_reasons_are_kept() {
        let mut outcome = Outcome::new("v1");
        let output = "test a::b   ... ok\ntest c ... ignored (no room)\ntest d ... ignored, no room\ntest e ... ignored\n\
                      test result: ok. 1 passed; 0 failed; 3 ignored\ntest f ... is none";
        output.lines().for_each(|line| outcome.read(line));
        assert_eq!(outcome.names.iter().collect::<Vec<_>>(), ["a::b"]);
        let skips: Vec<(&str, u32)> =
            outcome.skips.iter().map(|(reason, count)| (&**reason, *count)).collect();
        assert_eq!(skips, [("no room", 2), ("without a reason", 1)]);
    }

    #[test]
    fn what_failed_is_kept() {
        let mut outcome = Outcome::new("cgroup v1");
        let output = "test a ... FAILED\n\nfailures:\n\n---- a ----\n1 is not 2\n\n\nfailures:\n    a\n\n\
                      test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\nlater\n\
                      passed at the second attempt: b: 2 is not 3";
        output.lines().for_each(|line| outcome.read(line));
        assert_eq!(outcome.counts.failed, 1);
        assert_eq!(outcome.failures, ["== failed, cgroup v1:", "---- a ----", "1 is not 2"]);
        assert_eq!(outcome.counts.repeated, 1);
        assert_eq!(outcome.repeated, ["cgroup v1: passed at the second attempt: b: 2 is not 3"]);
        assert_eq!(outcome.failed, ["a"]);
        outcome.passed_again();
        assert_eq!(outcome.counts, Counts { passed: 1, failed: 0, skipped: 0, repeated: 2 });
        assert!(outcome.ended_well && outcome.failures.is_empty());
    }
}

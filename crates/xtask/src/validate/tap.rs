//! What a test of the suite says: its exit, its TAP lines.

use std::process::ExitStatus;

/// The outcome of one test.
#[derive(Debug)]
pub(super) struct Verdict {
    /// How it ended; none when it was killed at the deadline.
    pub(super) status: Option<ExitStatus>,
    /// Whether it printed a plan.
    pub(super) has_plan: bool,
    /// Descriptions of what is `not ok`.
    pub(super) not_ok: Vec<String>,
    /// What it wrote to standard error.
    pub(super) stderr: String,
}

impl Verdict {
    /// Reads a test's output.
    pub(super) fn parse(status: Option<ExitStatus>, stdout: &str, stderr: String) -> Self {
        let is_plan = |line: &str| {
            let numbers = line.split_once("..").map(|(first, last)| (first.trim(), last.trim()));
            numbers.is_some_and(|(first, last)| first == "1" && last.parse::<u32>().is_ok())
        };
        let not_ok = stdout.lines().filter_map(|line| {
            // Also indented: the output of the program inside, shown as a diagnostic of the test outside.
            let (_, description) = line.split_once("not ok")?;
            Some(
                description
                    .trim_start_matches(|letter: char| letter.is_ascii_digit() || " -".contains(letter))
                    .into(),
            )
        });
        Self { status, has_plan: stdout.lines().any(is_plan), not_ok: not_ok.collect(), stderr }
    }

    /// Exit status 0, a plan and no `not ok`.
    pub(super) fn passed(&self) -> bool {
        self.status.is_some_and(|status| status.success()) && self.has_plan && self.not_ok.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn parse(status: i32, stdout: &str) -> Verdict {
        Verdict::parse(Some(ExitStatus::from_raw(status << 8)), stdout, String::new())
    }

    #[test]
    fn output_with_plan_passes() {
        assert!(parse(0, "TAP version 13\nok 1 - a\n1..1\n").passed());
        assert!(parse(0, "TAP version 13\n1..0\n").passed());
    }

    #[test]
    fn output_without_plan_or_with_failure_does_not_pass() {
        assert!(!parse(0, "TAP version 13\nok 1 - a\n").passed());
        assert!(!parse(1, "ok 1 - a\n1..1\n").passed());
        assert!(!Verdict::parse(None, "1..0\n", String::new()).passed());
        let failed = parse(0, "ok 1 - a\nnot ok 2 - b is set\n1..2\n");
        assert!(!failed.passed());
        assert_eq!(failed.not_ok, ["b is set"]);
    }
}

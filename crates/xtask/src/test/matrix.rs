//! What is printed at the end: the lanes with their counts, the skips by their reasons, the tests that no lane has run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::outcome::{Counts, Outcome};

/// A line of a table; the first cell is as wide as the widest, the others are numbers.
fn row(first: usize, cells: &[String]) -> String {
    let mut line = format!("{:first$}", cells[0]);
    for cell in &cells[1..] {
        let _ = write!(line, "  {cell:>9}");
    }
    line
}

/// A table with a line below its head, and one above the last row if that is a sum.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let cells = || rows.iter().chain([&head]);
    let first = cells().map(|row| row[0].chars().count()).max().unwrap_or_default();
    let lines: Vec<String> = std::iter::once(&head).chain(rows).map(|cells| row(first, cells)).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let mut text = format!("{}\n{}\n", lines[0], "-".repeat(width));
    lines[1..].iter().for_each(|line| {
        text.push_str(line);
        text.push('\n');
    });
    text
}

fn counts_row(name: &str, counts: Counts, seconds: u64) -> Vec<String> {
    let numbers = [counts.passed, counts.failed, counts.skipped, counts.repeated].map(|it| it.to_string());
    [name.to_owned()].into_iter().chain(numbers).chain([seconds.to_string()]).collect()
}

/// Lane by lane.
pub(super) fn lanes(outcomes: &[Outcome]) -> String {
    let mut rows: Vec<Vec<String>> =
        outcomes.iter().map(|it| counts_row(&it.lane, it.counts, it.seconds)).collect();
    let mut total = Counts::default();
    outcomes.iter().for_each(|outcome| total.add(outcome.counts));
    rows.push(counts_row("all", total, outcomes.iter().map(|outcome| outcome.seconds).sum()));
    table(&["lane", "passed", "failed", "skipped", "2nd try", "seconds"], &rows)
}

/// Who makes the containers of a test, and who their cgroups: the suite's name says it, or the lane.
fn set_up(test: &str, manager_of_lane: &'static str) -> (&'static str, &'static str) {
    let suite = test.split("::").next().unwrap_or_default();
    let user = if suite.starts_with("rootless") { "rootless" } else { "root" };
    // A session is one of a user's systemd.
    let by_systemd = suite.contains("systemd") || suite.ends_with("_session");
    (user, if by_systemd { "systemd" } else { manager_of_lane })
}

/// The black-box suite by lane, by who makes the containers, and by who makes their cgroups.
pub(super) fn set_ups(outcomes: &[Outcome]) -> String {
    let mut rows = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.lane.starts_with("crates")) {
        let mut counts: BTreeMap<(&str, &str), [u32; 3]> = BTreeMap::new();
        let ended = [
            outcome.names.iter().collect::<Vec<_>>(),
            outcome.failed.iter().collect(),
            outcome.skipped.keys().collect(),
        ];
        for (place, names) in ended.iter().enumerate() {
            names
                .iter()
                .for_each(|name| counts.entry(set_up(name, outcome.manager)).or_default()[place] += 1);
        }
        rows.extend(counts.into_iter().map(|((user, manager), numbers)| {
            let title = format!("{}, {user}, {manager}", outcome.lane);
            [title].into_iter().chain(numbers.map(|number| number.to_string())).collect()
        }));
    }
    table(&["lane, user, cgroups by", "passed", "failed", "skipped"], &rows)
}

/// Reason by reason, the most frequent first; a column for each lane.
pub(super) fn skips(outcomes: &[Outcome]) -> String {
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for (reason, count) in outcomes.iter().flat_map(|outcome| &outcome.skips) {
        *reasons.entry(reason).or_default() += count;
    }
    let mut order: Vec<(&str, u32)> = reasons.into_iter().collect();
    order.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    let head: Vec<&str> =
        ["skipped because"].into_iter().chain(outcomes.iter().map(|it| it.lane.as_str())).collect();
    let cell = |outcome: &Outcome, reason: &str| {
        outcome.skips.get(reason).map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let rows: Vec<Vec<String>> = order
        .iter()
        .map(|(reason, _)| {
            let lanes = outcomes.iter().map(|outcome| cell(outcome, reason));
            [(*reason).to_owned()].into_iter().chain(lanes).collect()
        })
        .collect();
    if rows.is_empty() { "nothing was skipped\n".to_owned() } else { table(&head, &rows) }
}

/// The tests that were skipped wherever they were selected, with the reason on the last of those lanes: they show nothing.
pub(super) fn nowhere(outcomes: &[Outcome]) -> String {
    let ran =
        |outcome: &Outcome, name: &String| outcome.names.contains(name) || outcome.failed.contains(name);
    let skipped: BTreeMap<&String, &String> = outcomes.iter().flat_map(|outcome| &outcome.skipped).collect();
    let tests: BTreeSet<_> =
        skipped.into_iter().filter(|(name, _)| !outcomes.iter().any(|it| ran(it, name))).collect();
    let mut text = format!("{} tests ran on no lane\n", tests.len());
    for (name, reason) in tests {
        let _ = writeln!(text, "    {name}: {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lane: &str, output: &str) -> Outcome {
        let mut outcome = Outcome::new(lane);
        output.lines().for_each(|line| outcome.read(line));
        outcome.seconds = 7;
        outcome
    }

    #[test]
    fn tests_that_no_lane_has_run_are_named() {
        let outcomes = [
            outcome("v1", "test a ... ignored (no room)\ntest b ... ignored (no time)\ntest c ... ok"),
            outcome("v2", "test a ... ok\ntest b ... ignored (no wish)\ntest c ... ignored (no room)"),
        ];
        assert_eq!(nowhere(&outcomes), "1 tests ran on no lane\n    b: no wish\n");
        assert_eq!(nowhere(&outcomes[1..]), "2 tests ran on no lane\n    b: no wish\n    c: no room\n");
    }

    #[test]
    fn set_ups_are_told_apart() {
        let output = "test exec::a ... ok\ntest exec::b ... ignored (no room)\ntest rootless::a ... ok\n\
                      test podman_systemd::a ... FAILED\ntest rootless_podman_session::a ... ok";
        let text = set_ups(&[outcome("crates", "test a ... ok"), outcome("vm-v2", output)]);
        let rows: Vec<Vec<&str>> =
            text.lines().skip(2).map(|line| line.split("  ").filter(|it| !it.is_empty()).collect()).collect();
        let words = |row: &Vec<&str>| row.iter().map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            rows.iter().map(words).collect::<Vec<_>>(),
            [
                ["vm-v2, root, cgroupfs", "1", "0", "1"],
                ["vm-v2, root, systemd", "0", "1", "0"],
                ["vm-v2, rootless, cgroupfs", "1", "0", "0"],
                ["vm-v2, rootless, systemd", "1", "0", "0"],
            ]
        );
    }

    #[test]
    fn tables_have_a_column_for_each_lane() {
        let outcomes = [
            outcome("v1", "test a ... ignored (no room)\ntest result: ok. 5 passed; 0 failed; 1 ignored"),
            outcome("v2", "test result: ok. 6 passed; 0 failed; 0 ignored"),
        ];
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            lines(lanes(&outcomes)),
            [
                "lane     passed     failed    skipped    2nd try    seconds".to_owned(),
                "-".repeat(59),
                "v1            5          0          1          0          7".to_owned(),
                "v2            6          0          0          0          7".to_owned(),
                "all          11          0          1          0         14".to_owned(),
            ]
        );
        assert_eq!(
            lines(skips(&outcomes)),
            [
                "skipped because         v1         v2".to_owned(),
                "-".repeat(37),
                "no room                  1          -".to_owned(),
            ]
        );
    }
}

//! `docs/security.md` against what has run: how many of the tests that a row names have passed on which lane, as a table,
//! and which have on none.
//!
//! That the named tests exist is a matter of `cargo xtask tidy`.

use super::matrix::table;
use super::outcome::Outcome;
use crate::error::{Context, Result};
use crate::markdown::{cells, quoted};
use crate::project;

/// A scenario or a fault, by the beginning of its row.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    /// The section that it is in.
    section: &'a str,
    what: &'a str,
    tests: Vec<&'a str>,
}

/// Longer than this is what a row is about cut.
const MOST_LETTERS: usize = 48;

/// The rows of the sections whose last column names tests.
fn rows(text: &str) -> Vec<Row<'_>> {
    let (mut section, mut rows) = ("", Vec::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let cells = cells(line);
        let (Some(what), Some(last)) = (cells.first(), cells.last()) else { continue };
        if line.starts_with("| ") && matches!(section, "Scenarios" | "Faults") {
            let tests: Vec<&str> = quoted(last).filter(|name| name.contains("::")).collect();
            if !tests.is_empty() {
                rows.push(Row { section, what, tests });
            }
        }
    }
    rows
}

/// A test of a crate's file (`FILE::TEST`) is printed without the file.
fn has_passed(outcome: &Outcome, test: &str) -> bool {
    let function = test.rsplit("::").next().unwrap_or(test);
    outcome.names.contains(test) || outcome.names.contains(function)
}

fn shortened(what: &str) -> String {
    let mut short: String = what.chars().take(MOST_LETTERS).collect();
    if short.len() < what.len() {
        short.push('…');
    }
    short
}

fn render(rows: &[Row<'_>], outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for section in ["Scenarios", "Faults"] {
        let of_section = || rows.iter().filter(|row| row.section == section);
        let lanes = outcomes.iter().map(|outcome| outcome.lane.as_str());
        let title = format!("docs/security.md, {section}");
        let head: Vec<&str> = [title.as_str(), "tests"].into_iter().chain(lanes).collect();
        let mut cells: Vec<Vec<String>> = of_section()
            .map(|row| {
                let passed = outcomes.iter().map(|outcome| {
                    let count = row.tests.iter().filter(|test| has_passed(outcome, test)).count();
                    if count == 0 { "-".to_owned() } else { count.to_string() }
                });
                [shortened(row.what), row.tests.len().to_string()].into_iter().chain(passed).collect()
            })
            .collect();
        let tests = |row: &Row<'_>| row.tests.len();
        let passed = |outcome: &Outcome| {
            let tests = of_section().flat_map(|row| &row.tests);
            tests.filter(|test| has_passed(outcome, test)).count().to_string()
        };
        let all = of_section().map(tests).sum::<usize>().to_string();
        let sum = format!("all of {} rows", of_section().count());
        cells.push([sum, all].into_iter().chain(outcomes.iter().map(passed)).collect());
        text.push_str(&table(&head, &cells));
        text.push('\n');
    }
    text
}

fn find(rows: &[Row<'_>], outcomes: &[Outcome]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        for test in &row.tests {
            if !outcomes.iter().any(|outcome| has_passed(outcome, test)) {
                found
                    .push(format!("docs/security.md, {}: {test} has passed on no lane", shortened(row.what)));
            }
        }
    }
    found
}

fn read() -> Result<String> {
    std::fs::read_to_string(project::root().join("docs/security.md")).context("read security.md")
}

/// The table, with a column for each lane.
pub(super) fn print(outcomes: &[Outcome]) -> Result<String> {
    Ok(render(&rows(&read()?), outcomes))
}

/// Tests that rows name and that have passed on no lane, one line each.
pub(super) fn unproved(outcomes: &[Outcome]) -> Result<Vec<String>> {
    Ok(find(&rows(&read()?), outcomes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "## Rules\n| a | `other::test` |\n## Scenarios\n| class | like | rule | test |\n|---|---|---|---|\n\
        | overwritten through `/proc` | CVE-1 | own | `s::t01`, `s::t02` |\n## Faults\n| fault | test |\n|---|---|\n\
        | killed | `f::f01`, `threads::many` |\n";

    fn outcome(lane: &str, passed: &[&str]) -> Outcome {
        let mut outcome = Outcome::new(lane);
        passed.iter().for_each(|name| outcome.read(&format!("test {name} ... ok")));
        outcome
    }

    #[test]
    fn each_named_test_has_to_pass_somewhere() {
        let rows = rows(TEXT);
        assert_eq!(rows.iter().map(|row| row.tests.len()).collect::<Vec<_>>(), [2, 2]);
        let outcomes = [outcome("v1", &["s::t01", "f::f01"]), outcome("crates", &["many"])];
        assert_eq!(
            find(&rows, &outcomes),
            ["docs/security.md, overwritten through `/proc`: s::t02 has passed on no lane"]
        );
        assert_eq!(find(&rows, &[]).len(), 4);
    }

    #[test]
    fn table_counts_what_has_passed() {
        let text = render(&rows(TEXT), &[outcome("v1", &["s::t01", "f::f01"]), outcome("v2", &[])]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["overwritten", "through", "`/proc`", "2", "1", "-"]);
        assert_eq!(lines[3], ["all", "of", "1", "rows", "2", "1", "0"]);
        assert_eq!(lines[8], ["all", "of", "1", "rows", "2", "1", "0"]);
    }
}

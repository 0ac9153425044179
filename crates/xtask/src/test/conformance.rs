//! `docs/spec-conformance.md` against what has run: each of its rows names a test that has passed on some lane.
//!
//! That the named tests exist is a test of the suite (`conformance::every_named_test_exists`).

use std::collections::BTreeSet;

use super::outcome::Outcome;
use crate::error::{Context, Result};
use crate::markdown::{cells, quoted};
use crate::project;

/// The test that runs every case of `crates/spec/tests/rules`.
const RULES: &str = "rules_are_as_written";

/// Rows of which no named test has passed, one line each.
pub(super) fn unproved(outcomes: &[Outcome]) -> Result<Vec<String>> {
    let path = project::root().join("docs/spec-conformance.md");
    let text = std::fs::read_to_string(path).context("read spec-conformance.md")?;
    Ok(find(&text, &outcomes.iter().flat_map(|outcome| &outcome.names).map(String::as_str).collect()))
}

fn find(text: &str, passed: &BTreeSet<&str>) -> Vec<String> {
    // A crate's test is printed with its own modules in front, which the document shortens.
    let functions: BTreeSet<&str> =
        passed.iter().map(|name| name.rsplit_once("::").map_or(*name, |(_, function)| function)).collect();
    let has_passed = |name: &str| match name.rsplit_once("::") {
        Some((_, function)) => passed.contains(name) || functions.contains(function),
        None => name.contains(".rules: ") && passed.contains(RULES),
    };
    let mut heading = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        }
        let cells = cells(line);
        let of_lines = heading.ends_with(".md")
            && cells.len() == 4
            && cells[0].starts_with(|c: char| c.is_ascii_digit());
        let of_fields = heading == "Fields" && cells.len() == 2 && cells[0].starts_with('`');
        let Some(tests) = cells.last().filter(|_| line.starts_with("| ") && (of_lines || of_fields)) else {
            continue;
        };
        if !quoted(tests).any(has_passed) {
            found.push(format!("{heading} {}: none of {tests} has passed on any lane", cells[0]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_needs_one_test_that_passed() {
        let text = "## a.md\n| lines | asks | how | shown by |\n|---|---|---|---|\n\
                    | 1 | x | `m.rs` | `s::one`, `s::two` |\n| 2–3 | y | `m.rs` | `a.rules: title` |\n\
                    | 4 | z | `m.rs` | `module::three` |\n## Fields\n| field | shown by |\n|---|---|\n\
                    | `a`, `b[].c` | `s::one` (`x`), `s::two` |\n## Deviations\n| 1 | what | why | `no` |\n";
        let passed = |names: &[&'static str]| find(text, &names.iter().copied().collect()).len();
        assert_eq!(passed(&["s::two", "rules_are_as_written", "deep::module::tests::three"]), 0);
        assert_eq!(passed(&["s::two"]), 2);
        assert_eq!(passed(&[]), 4);
    }
}

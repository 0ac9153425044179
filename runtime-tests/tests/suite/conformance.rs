//! `docs/spec-conformance.md` names, for each test of the validation suite, tests of ours: they must exist.

use std::collections::BTreeSet;
use std::path::Path;

use runtime_tests::Case;

/// Tests of the opencontainers validation suite.
const SUITE_TESTS: usize = 58;

/// A case that checks the document against the other cases' names.
pub(crate) fn case(others: &[Case]) -> Case {
    let names: BTreeSet<String> = others.iter().map(|case| case.name.clone()).collect();
    Case::new("conformance::every_named_test_exists", move |_| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec-conformance.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect();
        let suite: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(suite.len(), SUITE_TESTS, "tests of the validation suite in the table");
        for row in &rows {
            let named: Vec<&str> =
                row.last().unwrap().split('`').filter(|part| part.contains("::")).collect();
            assert!(!named.is_empty(), "{} names no test of ours", row[0]);
            for name in named {
                assert!(names.contains(name), "{}: there is no test {name}", row[0]);
            }
        }
        Ok(())
    })
}

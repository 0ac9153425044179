//! Hostile images, neighbours and containers: one test for each scenario of `docs/security.md`.
//!
//! Each passes when the runtime refuses with a word, or when what it did shows no redirection; in both cases the machine is
//! as before.

mod caller;
mod config;
mod host;
mod image;
mod process;
mod races;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use runtime_tests::{Bundle, Case, Container, Output, Skip, Test};

pub(crate) use caller::assert_without_groups;

pub(crate) fn cases() -> Vec<Case> {
    [image::cases(), caller::cases(), config::cases(), host::cases(), process::cases(), races::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// A case that checks `docs/security.md` against the other cases' names: each that it names exists, and it names each
/// scenario and each fault.
pub(crate) fn document(others: &[Case]) -> Case {
    let names: BTreeSet<String> = others.iter().map(|case| case.name.clone()).collect();
    Case::new("security::document_names_every_scenario", move |_| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        let text =
            fs::read_to_string(path).map_err(|_| Skip::new("the program runs apart from its sources"))?;
        let named: BTreeSet<&str> = text.split('`').filter(|part| part.contains("::")).collect();
        for name in
            named.iter().filter(|name| ["security::", "faults::"].iter().any(|it| name.starts_with(it)))
        {
            assert!(names.contains(*name), "there is no test {name}");
        }
        for name in
            names.iter().filter(|name| ["security::t", "faults::"].iter().any(|it| name.starts_with(it)))
        {
            assert!(named.contains(&**name), "{name} is not in the document");
        }
        Ok(())
    })
}

/// What came of a hostile configuration.
enum Made<'t> {
    /// It was refused, in a word.
    Refused,
    /// It was created.
    Created(Container<'t>),
}

/// Creates; a refusal must be one, and leave no container.
#[track_caller]
fn try_create<'t>(t: &'t Test, b: &Bundle, flags: &[&str]) -> Made<'t> {
    let (call, id) = t.bundle_call("create", b, flags);
    let output = call.output();
    if output.status.success() {
        return Made::Created(Container::open(t, &id));
    }
    let _ = refused(output);
    t.assert_missing(&id);
    Made::Refused
}

/// A refusal: an exit status of its own, and one line that says why.
#[track_caller]
pub(crate) fn refused(output: Output) -> Output {
    let output = output.fails();
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.contains("warning: ")).collect();
    assert_eq!(lines.len(), 1, "more than one line: {output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    output
}

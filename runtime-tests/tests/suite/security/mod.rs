//! Hostile images, neighbours and containers: one test for each scenario of `docs/security.md`.
//!
//! Each passes when the runtime refuses with a word, or when what it did shows no redirection; in both cases the machine is
//! as before.

mod image;

use runtime_tests::{Bundle, Case, Container, Output, Test};

pub(crate) fn cases() -> Vec<Case> {
    image::cases()
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
fn refused(output: Output) -> Output {
    let output = output.fails();
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.contains("warning: ")).collect();
    assert_eq!(lines.len(), 1, "more than one line: {output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    output
}

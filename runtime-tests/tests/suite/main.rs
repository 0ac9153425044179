//! Every suite: `RUNTIME=/path cargo test -p runtime-tests [NAME]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lifecycle;

use std::process::ExitCode;

fn main() -> ExitCode {
    let suites = [lifecycle::cases()];
    runtime_tests::suite::main(suites.into_iter().flatten().collect())
}

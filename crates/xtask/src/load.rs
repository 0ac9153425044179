//! `load`: many containers at a time and one after the other, and what they leave of the machine.
//!
//! The cases `load::` of the black-box suite with the static binary, on the hybrid lane; they print what they have measured.

use std::process::ExitCode;

use lexopt::prelude::*;

use crate::error::Result;
use crate::process::run;
use crate::{build, project};

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let (mut containers, mut cycles) = (1_000_u32, 10_000_u32);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("containers") => containers = parser.value()?.parse()?,
            Long("cycles") => cycles = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut suite = project::cargo();
    suite.args(["test", "--quiet", "--package", "runtime-tests", "--", "load::"]);
    suite.env("RUNTIME", build::build_static()?).env("CGROUP", "hybrid").env("ATTEMPTS", "1");
    suite.env("LOAD_CONTAINERS", containers.to_string()).env("LOAD_CYCLES", cycles.to_string());
    run(&mut suite)?;
    Ok(ExitCode::SUCCESS)
}

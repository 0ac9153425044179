//! `man`: the manual pages, one for the program and one for each command, from the definition of the command line.

use std::process::ExitCode;

use crate::error::Result;
use crate::process::run;
use crate::project;

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let directory = project::target().join("man");
    let mut command = project::cargo();
    command.args(["run", "--quiet", "--package", "sandboxd", "--example", "man", "--"]).arg(&directory);
    run(&mut command)?;
    println!("{}", directory.display());
    Ok(ExitCode::SUCCESS)
}

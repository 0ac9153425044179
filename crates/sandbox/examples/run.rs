//! Runs a command in a container and shows what it printed.
//!
//!     cargo run --example run -- ROOTFS COMMAND [ARG...]

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use sandbox::spec::Config;
use sandbox::{ContainerId, CreateRequest, Runtime, Streams};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rootfs = arguments.next().ok_or("usage: run ROOTFS COMMAND [ARG...]")?;
    let rootfs = std::fs::canonicalize(rootfs)?;
    let config = Config::of_command(rootfs, arguments)?;

    let runtime = Runtime::open("/run/sandbox-examples")?;
    let id = ContainerId::new(&format!("run-{}", std::process::id()))?;
    let mut request = CreateRequest::of_config(id, config);
    request.streams = Streams::captured();

    let outcome = runtime.run(&request)?;
    for warning in &outcome.warnings {
        eprintln!("warning: {}", warning.message);
    }
    let mut running = outcome.value;
    let output = running.process.wait_with_output()?;
    runtime.delete_ended(&running)?;

    std::io::stdout().write_all(&output.stdout)?;
    std::io::stderr().write_all(&output.stderr)?;
    println!("it ended with {}", output.status);
    Ok(output.status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

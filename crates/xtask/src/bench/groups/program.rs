//! What is counted of a program: its size, its start-up, its system calls.

use std::path::PathBuf;
use std::process::Command;

use super::super::arena::Load;
use super::super::contestant::Contestant;
use super::super::document::Measured;
use super::super::measure::{Sample, time_ms};
use super::Bench;
use crate::bundle::scratch;
use crate::error::{Context, Failure, Result};
use crate::process::{capture, find_program};

/// The file; shared libraries are counted by nobody.
pub(super) fn size(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("size");
    let mut init = Measured::new("init-size");
    for contestant in bench.runtimes() {
        let bytes = std::fs::metadata(&contestant.program).context(contestant.program.display())?.len();
        measured.add(&contestant.name, "", bytes as f64 / 1024.0);
    }
    if let Some(ours) = bench.runtimes().find(|contestant| contestant.is_ours()) {
        // A created container is still the program that runs the plan.
        let bundle = ours.bundle(Load::True)?;
        let id = ours.id(0);
        ours.create(&bundle, &id)?;
        let size = ours.state_pid(&id).and_then(|pid| {
            std::fs::metadata(format!("/proc/{pid}/exe")).context("exe of a created container")
        });
        ours.delete(&id)?;
        init.add(&ours.name, "", size?.len() as f64 / 1024.0);
    }
    Ok(vec![measured, init])
}

pub(super) fn version(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("version");
    let subjects: Vec<&Contestant<'_>> = bench.runtimes().collect();
    bench.interleave(
        &mut measured,
        "",
        &subjects,
        2 * bench.rounds,
        |it| &it.name,
        |it| time_ms(|| it.act(Command::new(&it.program).arg("--version"))),
    );
    Ok(vec![measured])
}

/// System calls of one `run`, of the runtime and all that it starts, the container's process included.
pub(super) fn syscalls(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("syscalls");
    let Some(strace) = find_program("strace") else {
        measured.notes.push("strace is not installed".into());
        return Ok(vec![measured]);
    };
    for contestant in bench.contestants {
        let count = count(&strace, contestant).map(|count| Sample::of(vec![count]));
        bench.add(&mut measured, &contestant.name, "", count);
    }
    Ok(vec![measured])
}

fn count(strace: &PathBuf, contestant: &Contestant<'_>) -> Result<f64> {
    let output = scratch("bench")?.join("strace");
    let bundle = contestant.bundle(Load::True)?;
    let id = contestant.id(0);
    let run = contestant.run_command(&bundle, &id)?;
    let mut command = Command::new(strace);
    command.args(["-f", "-c", "-o"]).arg(&output).arg(run.get_program()).args(run.get_args());
    let ended = capture(&mut command)?;
    if !ended.status.success() {
        contestant.remove(&id);
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(Failure::new(format!("under strace: {}", said.lines().next().unwrap_or_default())));
    }
    let table = std::fs::read_to_string(&output).context(output.display())?;
    parse_total(&table).ok_or_else(|| Failure::new("strace printed no total"))
}

/// The calls in the last line of strace's table: `100.00 0.001234 12 103 5 total`.
fn parse_total(table: &str) -> Option<f64> {
    let line = table.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_parsed() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000000           0       115         7 total\n";
        assert_eq!(parse_total(table), Some(115.0));
        assert_eq!(parse_total(""), None);
    }
}

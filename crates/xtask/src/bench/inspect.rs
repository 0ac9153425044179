//! What is counted rather than timed: system calls of a run, memory of a created container's process.

use std::process::Command;

use serde_json::{Value, json};

use super::contestant::Contestant;
use crate::bundle::scratch;
use crate::error::{Context, Failure, Result};
use crate::process::{capture, find_program};

/// Counts for one contestant; what can't be counted is null.
pub(super) fn inspect(contestant: &Contestant) -> Value {
    let mut row = json!({});
    match count_syscalls(contestant) {
        Ok(count) => row["syscalls"] = count.into(),
        Err(failure) => row["no_syscalls_because"] = failure.to_string().into(),
    }
    if !contestant.is_floor() {
        match inspect_created(contestant) {
            Ok((pss, init)) => {
                row["created_pss_kib"] = pss.into();
                // Only ours is a program of its own, in a memfd: of the others it would be the runtime's binary.
                row["init_bytes"] = (contestant.name() == "sandboxd").then_some(init).into();
            }
            Err(failure) => eprintln!("{}: {failure}", contestant.name()),
        }
    }
    row
}

/// System calls of one `run`, of the runtime and all that it starts, the container's process included.
fn count_syscalls(contestant: &Contestant) -> Result<u64> {
    let strace = find_program("strace").ok_or_else(|| Failure::new("strace is not installed"))?;
    let output = scratch("bench")?.join("strace");
    let run = contestant.run_command();
    let mut command = Command::new(strace);
    command.args(["-f", "-c", "-o"]).arg(&output).arg(run.get_program()).args(run.get_args());
    let ended = capture(&mut command)?;
    if !ended.status.success() {
        return Err(Failure::new(format!("strace: {}", String::from_utf8_lossy(&ended.stderr).trim())));
    }
    let table = std::fs::read_to_string(&output).context(output.display())?;
    parse_total(&table).ok_or_else(|| Failure::new("strace printed no total"))
}

/// The calls in the last line of strace's table: `100.00 0.001234 12 103 5 total`.
fn parse_total(table: &str) -> Option<u64> {
    let line = table.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// PSS in KiB of a created container's process, and the size of the program that it is.
fn inspect_created(contestant: &Contestant) -> Result<(u64, u64)> {
    contestant.create()?;
    let inspected = contestant.state_pid().and_then(|pid| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("smaps_rollup")?;
        let pss = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok());
        let program = std::fs::metadata(format!("/proc/{pid}/exe")).context("exe")?;
        Ok((pss.ok_or_else(|| Failure::new("smaps_rollup has no Pss"))?, program.len()))
    });
    contestant.delete()?;
    inspected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_parsed() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000000           0       115         7 total\n";
        assert_eq!(parse_total(table), Some(115));
        assert_eq!(parse_total(""), None);
    }
}

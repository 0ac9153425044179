//! Where it is measured.

use std::process::Command;

use super::document::Machine;
use crate::error::{Context, Result};
use crate::process::output_of;
use crate::project;

pub(super) fn read() -> Result<Machine> {
    let text = |file: &str| std::fs::read_to_string(file).context(file);
    let git = |arguments: &[&str]| {
        let answer = output_of(Command::new("git").current_dir(project::root()).args(arguments));
        answer.map_or_else(|_| "unknown".into(), |answer| answer.trim().to_owned())
    };
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_owned()
    };
    let memory = value(&text("/proc/meminfo")?, "MemTotal");
    let kib: u64 = memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Ok(Machine {
        date: output_of(Command::new("date").args(["-u", "+%Y-%m-%d"]))?.trim().to_owned(),
        commit: git(&["rev-parse", "--short=12", "HEAD"]),
        kernel: text("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        processor: value(&text("/proc/cpuinfo")?, "model name"),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: kib / 1024,
    })
}

//! Containers that were created and wait: their time, their memory, and the least limit that lets one start.

use std::path::PathBuf;
use std::time::Duration;

use super::super::arena::Load;
use super::super::contestant::Contestant;
use super::super::document::Measured;
use super::super::measure::{Sample, time_ms};
use super::Bench;
use crate::error::{Context, Failure, Result};
use crate::lane::Lane;

/// As many are measured first; the growth is over them.
pub(in super::super) const FEW: usize = 10;

/// The memory of so many is looked at, first and last: what the controller counts ahead for a processor, up to 64 pages, is
/// in some of them and not in others.
const MEMORY_FEW: usize = 100;

/// The variant of as many as are measured last.
const ALL: &str = "all";

/// For each of `-n`, so many containers of ours; others, whose cost each is many times larger, get one.
const MANY: usize = 20;

/// The memory limits between which the least is looked for, in KiB.
const LIMITS: std::ops::RangeInclusive<u64> = 64..=128 * 1024;

/// A start under a limit that is too small may never end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The figures of one contestant, of the first ones and of the last.
#[derive(Default)]
struct Figures {
    times: [Sample; 2],
    pss: [Sample; 2],
    memory: [Sample; 2],
}

pub(super) fn created(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut all = ["created-time", "created-pss", "created-memory"].map(Measured::new);
    for contestant in bench.runtimes() {
        let most = (if contestant.is_ours() { MANY * bench.rounds } else { bench.rounds }).max(2 * FEW);
        let ids: Vec<String> = (0..most).map(|number| contestant.id(number)).collect();
        let taken = create_all(bench, &all[0], contestant, &ids);
        match taken {
            Ok(taken) => {
                let (few, memory_few) = (FEW.to_string(), MEMORY_FEW.to_string());
                let figures = [(taken.times, &few), (taken.pss, &few), (taken.memory, &memory_few)];
                for (measured, ([first, last], few)) in all.iter_mut().zip(figures) {
                    measured.add_sample(&contestant.name, few, &first);
                    measured.add_sample(&contestant.name, ALL, &last);
                }
                all[0].notes.push(format!("{}: all are {most}", contestant.name));
            }
            Err(failure) => bench.note(&mut all[0], &contestant.name, "", &failure),
        }
        for id in &ids {
            contestant.remove(id);
        }
    }
    Ok(all.into())
}

/// Creates all, and measures when there are few and when there are all of them: the time is that of the last ones.
fn create_all(
    bench: &Bench<'_>,
    measured: &Measured,
    contestant: &Contestant<'_>,
    ids: &[String],
) -> Result<Figures> {
    let bundle = contestant.bundle(Load::True)?;
    // The first one finds caches cold.
    contestant.create(&bundle, &ids[0])?;
    contestant.delete(&ids[0])?;
    let before = available_kib()?;
    let mut times = Vec::new();
    let mut figures = Figures::default();
    for (index, id) in ids.iter().enumerate() {
        bench.say(measured, &contestant.name, index + 1, ids.len());
        times.push(time_ms(|| contestant.create(&bundle, id))?);
        if index + 1 == FEW {
            figures.times[0] = Sample::of(times.clone());
            figures.pss[0] = pss(contestant, &ids[..FEW])?;
        }
        if index + 1 == MEMORY_FEW {
            figures.memory[0] = memory(bench, contestant, &ids[..MEMORY_FEW])?;
        }
    }
    figures.times[1] = Sample::of(times.split_off(times.len() - times.len() / 10));
    figures.pss[1] = pss(contestant, &ids[ids.len() - FEW..])?;
    figures.memory[1] = memory(bench, contestant, &ids[ids.len().saturating_sub(MEMORY_FEW)..])?;
    // Without the controller: what the whole machine has less, which other work of it blurs.
    if figures.memory[1].is_empty() {
        figures.memory[1].push((before - available_kib()?) / ids.len() as f64);
    }
    Ok(figures)
}

fn pss(contestant: &Contestant<'_>, ids: &[String]) -> Result<Sample> {
    ids.iter().map(|id| pss_kib(contestant.state_pid(id)?)).collect::<Result<_>>().map(Sample::of)
}

/// Empty without the controller.
fn memory(bench: &Bench<'_>, contestant: &Contestant<'_>, ids: &[String]) -> Result<Sample> {
    let mut memory = Sample::default();
    for id in ids {
        if let Some(kib) = cgroup_kib(bench, contestant.state_pid(id)?)? {
            memory.push(kib);
        }
    }
    Ok(memory)
}

fn pss_kib(pid: i64) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let rollup = std::fs::read_to_string(&file).context(&file)?;
    let pss =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok());
    pss.ok_or_else(|| Failure::new(format!("{file} has no Pss")))
}

/// What the memory controller counts for the container of a process, kernel memory included.
fn cgroup_kib(bench: &Bench<'_>, pid: i64) -> Result<Option<f64>> {
    if !bench.arena.controllers.memory {
        return Ok(None);
    }
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context("cgroups of a container")?;
    let (key, root, file) = match bench.arena.lane {
        Lane::V2 => ("0::", "/sys/fs/cgroup", "memory.current"),
        Lane::V1 | Lane::Hybrid => (":memory:", "/sys/fs/cgroup/memory", "memory.usage_in_bytes"),
    };
    let path = cgroups.lines().find_map(|line| line.split_once(key).map(|(_, path)| path));
    let path = path.ok_or_else(|| Failure::new("a container has no memory cgroup"))?;
    let file = PathBuf::from(root).join(path.trim_start_matches('/')).join(file);
    let text = std::fs::read_to_string(&file).context(file.display())?;
    let bytes: f64 = text.trim().parse().context(file.display())?;
    Ok(Some(bytes / 1024.0))
}

fn available_kib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure::new("/proc/meminfo has no MemAvailable"))
}

/// The smallest limit with which a container starts three times in a row, to a sixteenth.
pub(super) fn limit(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("limit");
    if !bench.arena.controllers.memory {
        measured.notes.push("this cgroup hierarchy has no memory controller".into());
        return Ok(vec![measured]);
    }
    for contestant in bench.runtimes() {
        bench.progress.set_message(format!("limit {}", contestant.name));
        let found = least_limit(|kib| starts_under(contestant, kib));
        bench.add(&mut measured, &contestant.name, "", found.map(|kib| Sample::of(vec![kib as f64])));
    }
    Ok(vec![measured])
}

fn starts_under(contestant: &Contestant<'_>, kib: u64) -> Result<bool> {
    let bundle = contestant.bundle(Load::Limited(kib))?;
    let started = (0..3).map(|number| contestant.can_run(&bundle, &contestant.id(number), PATIENCE));
    let started = started.take_while(|result| !matches!(result, Ok(false))).collect::<Result<Vec<_>>>()?;
    let directory = PathBuf::from(&bundle);
    std::fs::remove_dir_all(&directory).context(directory.display())?;
    Ok(started.len() == 3)
}

/// Doubles until it starts, then halves the distance.
fn least_limit(mut starts: impl FnMut(u64) -> Result<bool>) -> Result<u64> {
    let (mut too_small, mut enough) = (0, *LIMITS.start());
    while !starts(enough)? {
        too_small = enough;
        enough *= 2;
        if enough > *LIMITS.end() {
            return Err(Failure::new(format!("it does not start with {} KiB", LIMITS.end())));
        }
    }
    while enough - too_small > (enough / 16).max(16) {
        let middle = u64::midpoint(too_small, enough);
        if starts(middle)? {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    Ok(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_limit_found() {
        for least in [64, 300, 1000, 50_000] {
            let found = least_limit(|kib| Ok(kib >= least)).unwrap();
            assert!((least..=least + (least / 14).max(16)).contains(&found), "{found} for {least}");
        }
        assert!(least_limit(|_| Ok(false)).is_err());
    }
}

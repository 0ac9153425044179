//! `runtime-tests/skips.txt`: how many tests a lane may skip, with the reasons. More than that, and continuous integration
//! fails: a test that is skipped everywhere shows nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::outcome::Outcome;
use crate::error::{Context, Failure, Result};
use crate::project;

/// So many more are a difference between machines (a program that is not there, a kernel without a feature).
const ROOM: u32 = 20;

/// How many more than its lines a lane may skip. The virtual machine is the same everywhere: none there.
fn room(lane: &str) -> u32 {
    if is_virtual(lane) { 0 } else { ROOM }
}

fn is_virtual(lane: &str) -> bool {
    lane.starts_with("vm-")
}

const HEAD: &str = "\
# How many tests are skipped, by lane and reason. `cargo xtask test --update-skips` writes this file, for the lanes that
# it has run. In continuous integration a lane fails that skips more than the sum of its lines, and a few: see that the
# new skips have to be, then write it anew. A lane of the virtual machine, whose name begins with vm-, may skip no more
# than its lines say: without a line, nothing.
#
# lane      number  reason
";

/// By lane and reason.
type Skips = BTreeMap<String, BTreeMap<String, u32>>;

fn path() -> PathBuf {
    project::root().join("runtime-tests/skips.txt")
}

fn parse(text: &str) -> Result<Skips> {
    let mut skips = Skips::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = || Failure::new(format!("skips.txt: {line:?} is not: lane number reason"));
        let (lane, rest) = line.split_once(' ').ok_or_else(bad)?;
        let (number, reason) = rest.trim_start().split_once(' ').ok_or_else(bad)?;
        let number = number.parse().map_err(|_| bad())?;
        skips.entry(lane.to_owned()).or_default().insert(reason.trim_start().to_owned(), number);
    }
    Ok(skips)
}

fn render(skips: &Skips) -> String {
    let mut text = HEAD.to_owned();
    for (lane, reasons) in skips {
        let mut order: Vec<_> = reasons.iter().collect();
        order.sort_by_key(|(reason, number)| (std::cmp::Reverse(**number), *reason));
        for (reason, number) in order {
            text.push_str(&format!("{lane:10}  {number:6}  {reason}\n"));
        }
    }
    text
}

/// What of the outcomes is more than the file says, one line each.
fn compare(known: &Skips, outcomes: &[Outcome]) -> Vec<String> {
    let mut excess = Vec::new();
    for outcome in outcomes {
        let none = BTreeMap::new();
        let reasons = match known.get(&outcome.lane) {
            Some(reasons) => reasons,
            None if is_virtual(&outcome.lane) && outcome.has_run() => &none,
            None => continue,
        };
        let most: u32 = reasons.values().sum::<u32>() + room(&outcome.lane);
        if outcome.counts.skipped <= most {
            continue;
        }
        excess.push(format!(
            "{}: {} tests are skipped, at most {most} may be",
            outcome.lane, outcome.counts.skipped
        ));
        for (reason, count) in &outcome.skips {
            let before = reasons.get(reason).copied().unwrap_or_default();
            if *count > before {
                excess.push(format!("  {reason}: {count}, not {before}"));
            }
        }
    }
    excess
}

/// Where more is skipped than may be, one line each. Of lanes of this machine, one that the file does not know is not
/// looked at.
pub(super) fn excess(outcomes: &[Outcome]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path()).context("read skips.txt")?;
    Ok(compare(&parse(&text)?, outcomes))
}

/// Writes the file for the lanes that have run.
pub(super) fn update(outcomes: &[Outcome]) -> Result<()> {
    let mut skips = parse(&std::fs::read_to_string(path()).unwrap_or_default())?;
    for outcome in outcomes.iter().filter(|outcome| outcome.has_run()) {
        skips.insert(outcome.lane.clone(), outcome.skips.clone());
    }
    std::fs::write(path(), render(&skips)).context("write skips.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lane: &str, skipped: u32) -> Outcome {
        let mut outcome = Outcome::new(lane);
        outcome.read("test t ... ok");
        (0..skipped).for_each(|number| outcome.read(&format!("test t{number} ... ignored (no room)")));
        outcome.read(&format!("test result: ok. 5 passed; 0 failed; {skipped} ignored"));
        outcome
    }

    #[test]
    fn file_is_read_as_it_is_written() {
        let text = format!("{HEAD}hybrid           3  a reason\nv1               2  no room, for two\n");
        assert_eq!(render(&parse(&text).unwrap()), text);
        assert!(parse("v1 many reasons").is_err());
    }

    #[test]
    fn growth_beyond_the_room_is_said() {
        let known = parse("v1 2 no room").unwrap();
        assert_eq!(compare(&known, &[outcome("v1", 2 + ROOM)]), [] as [&str; 0]);
        let excess = compare(&known, &[outcome("v1", 3 + ROOM)]);
        assert_eq!(excess.len(), 2, "{excess:?}");
        assert_eq!(compare(&Skips::new(), &[outcome("v1", 100)]), [] as [&str; 0]);
    }

    #[test]
    fn virtual_machine_has_no_room() {
        let known = parse("vm-v2 2 no room").unwrap();
        assert_eq!(compare(&known, &[outcome("vm-v2", 2), outcome("vm-hybrid", 0)]), [] as [&str; 0]);
        assert_eq!(compare(&known, &[outcome("vm-v2", 3)]).len(), 2);
        assert_eq!(compare(&known, &[outcome("vm-hybrid", 1)]).len(), 2);
        // A machine that has none says so in one skip, of no test.
        let mut absent = Outcome::new("vm-hybrid");
        absent.counts.skipped = 1;
        absent.skips.insert("no emulator".to_owned(), 1);
        assert_eq!(compare(&known, &[absent]), [] as [&str; 0]);
    }
}

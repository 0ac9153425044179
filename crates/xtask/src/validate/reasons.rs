//! `docs/validation-reasons.json`: why a test of the suite can't pass, each with a proof that is checked on every run.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::tap::Verdict;
use crate::error::{Context, Result};
use crate::lane::Lane;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fault {
    /// No runtime that follows the specification can pass.
    Suite,
    /// This machine's kernel lacks something.
    Machine,
}

/// A text that a file of the suite has, or lacks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    file: String,
    text: Option<String>,
    lacks: Option<String>,
}

/// A cgroup file that takes a value and forgets it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inert {
    hierarchy: String,
    file: String,
    value: String,
}

/// One reason, for some lanes (all of them where none is named).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    test: String,
    #[serde(default)]
    lanes: Vec<String>,
    fault: Fault,
    reason: String,
    /// In the suite's source.
    #[serde(default)]
    source: Vec<Source>,
    /// Files that this machine lacks; where it has one of them the reason doesn't apply.
    #[serde(default)]
    missing: Vec<String>,
    /// Files that this machine has; where it lacks one of them the reason doesn't apply.
    #[serde(default)]
    present: Vec<String>,
    /// A capability outside the bounding set, as its number; where it is inside the reason doesn't apply.
    lacks_capability: Option<u32>,
    /// A cgroup file without effect; where it has one the reason doesn't apply.
    inert: Option<Inert>,
    /// Whether it is a race that the test may also win.
    #[serde(default)]
    race: bool,
    /// The only descriptions that may be `not ok`.
    #[serde(default)]
    not_ok: Vec<String>,
    /// What standard error says.
    stderr: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Reasons(Vec<Reason>);

impl Reasons {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).context(file.display())?;
        serde_json::from_slice(&text).map(Self).context(file.display())
    }

    /// The files of the suite in which the proofs are, each once.
    pub(super) fn files(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|reason| &reason.source).map(|source| &*source.file).collect()
    }

    /// Whether a test may lose a race of its own making.
    pub(super) fn has_race(&self, test: &str) -> bool {
        self.0.iter().any(|reason| reason.test == test && reason.race)
    }

    /// Why a test doesn't pass; nothing for one that does.
    ///
    /// # Errors
    /// No reason, a reason that doesn't hold, or a reason for a test that passes.
    pub(super) fn explain(
        &self,
        suite: &Path,
        lane: Lane,
        test: &str,
        verdict: &Verdict,
    ) -> Result<&str, String> {
        let applies = |reason: &&Reason| reason.test == test && reason.applies(lane);
        match (self.0.iter().find(applies), verdict.passed()) {
            (None, true) => Ok(""),
            (None, false) => Err(format!("doesn't pass, and no reason is given: {}", summary(verdict))),
            (Some(reason), true) if reason.race => Ok(""),
            (Some(_), true) => Err("passes, and a reason is given why it can't".into()),
            (Some(reason), false) => {
                reason
                    .check(suite, verdict)
                    .map_err(|why| format!("the reason given doesn't hold: {why}"))?;
                Ok(&reason.reason)
            }
        }
    }
}

impl Reason {
    /// Whether it is about this lane and this machine.
    fn applies(&self, lane: Lane) -> bool {
        let in_lane = self.lanes.is_empty() || self.lanes.contains(&lane.to_string());
        let all_missing = self.missing.iter().all(|file| !Path::new(file).exists());
        let all_present = self.present.iter().all(|file| Path::new(file).exists());
        let is_inert = self.inert.as_ref().is_none_or(Inert::holds);
        let files_match = all_missing && all_present;
        in_lane && files_match && is_inert && self.lacks_capability.is_none_or(|number| !is_bounding(number))
    }

    /// Checks the proof against the suite's source and what the test said.
    fn check(&self, suite: &Path, verdict: &Verdict) -> Result<(), String> {
        for Source { file, text, lacks } in &self.source {
            let source =
                std::fs::read_to_string(suite.join(file)).map_err(|error| format!("{file}: {error}"))?;
            if let Some(text) = text.as_ref().filter(|text| !source.contains(text.as_str())) {
                return Err(format!("{file} doesn't say {text:?}"));
            }
            if let Some(text) = lacks.as_ref().filter(|text| source.contains(text.as_str())) {
                return Err(format!("{file} says {text:?}"));
            }
        }
        if let Some(other) = verdict.not_ok.iter().find(|description| !self.not_ok.contains(description)) {
            return Err(format!("not ok: {other}"));
        }
        if let Some(expected) = self.stderr.as_ref().filter(|text| !verdict.stderr.contains(text.as_str())) {
            return Err(format!("standard error doesn't say {expected:?}: {}", summary(verdict)));
        }
        let of_machine = !self.missing.is_empty() || self.lacks_capability.is_some() || self.inert.is_some();
        let has_proof = match self.fault {
            Fault::Suite => !self.source.is_empty(),
            Fault::Machine => of_machine,
        };
        if has_proof { Ok(()) } else { Err("no proof".into()) }
    }
}

impl Inert {
    /// Tries it, in a cgroup of its own.
    fn holds(&self) -> bool {
        let name = format!("/sys/fs/cgroup/{}/xtask-probe-{}", self.hierarchy, std::process::id());
        let cgroup = Path::new(&name);
        if std::fs::create_dir(cgroup).is_err() {
            return false;
        }
        let file = cgroup.join(&self.file);
        // Whether the kernel refuses the value or ignores it, it doesn't read back.
        let _ = std::fs::write(&file, &self.value);
        let read = std::fs::read_to_string(&file).unwrap_or_default();
        let removed = std::fs::remove_dir(cgroup);
        removed.is_ok() && read.trim() != self.value
    }
}

/// Whether a capability is in this process's bounding set, capabilities(7).
fn is_bounding(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(u64::MAX);
    bits >> number & 1 == 1
}

/// How a test ended, in a line.
fn summary(verdict: &Verdict) -> String {
    let status = verdict.status.map_or("killed at the deadline".into(), |status| status.to_string());
    let plan = if verdict.has_plan { "" } else { ", no plan" };
    let not_ok = verdict.not_ok.iter().map(|description| format!(", not ok: {description}"));
    let stderr = verdict.stderr.trim().replace('\n', " | ");
    format!(
        "{status}{plan}{}{}",
        not_ok.collect::<String>(),
        if stderr.is_empty() { stderr } else { format!(", {stderr}") }
    )
}

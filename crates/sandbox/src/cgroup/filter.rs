//! Replacing the filter of devices of a container that exists.
//!
//! v2: the new program takes the old one's place in one call, so no moment is without a filter; the old one is held, to
//! take its place again. v1: what is allowed in addition is written first, then what is no longer allowed is taken away,
//! so that what both filters allow is never denied; only a change between a list of what is allowed and a list of what is
//! denied has to start from nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use spec::config::{Access, DeviceRule, DeviceRuleKind};

use super::bpf::device_program;
use super::configure::write_all;
use super::device::{Line, access_bits, access_of};
use super::device_plan::{DeviceFilter, DevicePlan};
use super::error::CgroupError;
use super::file;
use super::handle::{Cgroup, open_cgroup};
use super::planner::{Missing, Write};
use super::record::{Hierarchy, RecordedDirectory};
use super::sys;

/// A change of the filter, ready to be made.
#[derive(Debug)]
pub(super) enum FilterChange {
    /// v2: programs; absent is no filter at all.
    Program { cgroup: OwnedFd, path: PathBuf, old: Option<OwnedFd>, new: Option<OwnedFd>, attached: bool },
    /// v1: what is written, and what takes it back.
    Files { cgroup: OwnedFd, path: PathBuf, writes: Vec<Write>, undo: Vec<Write> },
}

impl FilterChange {
    /// Looks at the filter that there is, and loads the new one. `None` where nothing changes.
    pub(super) fn prepare(
        owner: &Cgroup,
        wanted: &DeviceFilter,
        effective: &DeviceFilter,
    ) -> Result<Option<Self>, CgroupError> {
        let is_place = |it: &&RecordedDirectory| match wanted {
            DeviceFilter::Program(_) => it.hierarchy == Hierarchy::V2,
            DeviceFilter::Files { .. } => it.hierarchy.is_v1_with("devices"),
        };
        let Some(directory) = owner.record.directories.iter().find(is_place) else { return Ok(None) };
        let Some(cgroup) = open_cgroup(directory)? else { return Ok(None) };
        let path = directory.path.clone();
        match wanted {
            DeviceFilter::Program(plans) => {
                let error = |call| {
                    let path = path.clone();
                    move |source| CgroupError::DeviceFilter { call, path, source }
                };
                let old = sys::find_device_filter(cgroup.as_fd()).map_err(error("find the"))?;
                let rules: Vec<DeviceRule> = plans.iter().map(|plan| plan.rule).collect();
                let new = device_program(&rules)
                    .map(|program| sys::load_device_filter(&program))
                    .transpose()
                    .map_err(error("load"))?;
                Ok(Some(Self::Program { cgroup, path, old, new, attached: false }))
            }
            DeviceFilter::Files { allow, exceptions } => {
                let list = file::read_file(&cgroup, "devices.list").map_err(|source| CgroupError::Call {
                    call: "read",
                    path: path.join("devices.list"),
                    source,
                })?;
                let old = current_filter(&list, effective);
                let new = Listed { allow: *allow, rules: exceptions.iter().map(|it| it.rule).collect() };
                let (writes, undo) = (transition(&old, &new), transition(&new, &old));
                let changes = !writes.is_empty();
                Ok(changes.then_some(Self::Files { cgroup, path, writes, undo }))
            }
        }
    }

    pub(super) fn apply(&mut self) -> Result<(), CgroupError> {
        match self {
            Self::Program { cgroup, path, old, new, attached } => {
                replace(cgroup, path, old.as_ref(), new.as_ref())?;
                *attached = true;
                Ok(())
            }
            Self::Files { cgroup, path, writes, .. } => write_all(cgroup, path, writes),
        }
    }

    /// Takes the change back, also one that was made in part.
    pub(super) fn undo(&self) -> Result<(), CgroupError> {
        match self {
            Self::Program { attached: false, .. } => Ok(()),
            Self::Program { cgroup, path, old, new, .. } => replace(cgroup, path, new.as_ref(), old.as_ref()),
            Self::Files { cgroup, path, undo, .. } => write_all(cgroup, path, undo),
        }
    }
}

fn replace(
    cgroup: &OwnedFd,
    path: &std::path::Path,
    old: Option<&OwnedFd>,
    new: Option<&OwnedFd>,
) -> Result<(), CgroupError> {
    let error = |call, source| CgroupError::DeviceFilter { call, path: path.into(), source };
    match (old, new) {
        (_, Some(new)) => sys::attach_device_filter(cgroup.as_fd(), new.as_fd(), old.map(AsFd::as_fd))
            .map_err(|source| error("attach", source)),
        (Some(old), None) => {
            sys::detach_device_filter(cgroup.as_fd(), old.as_fd()).map_err(|source| error("detach", source))
        }
        (None, None) => Ok(()),
    }
}

/// What the v1 controller holds.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    allow: bool,
    rules: Vec<DeviceRule>,
}

/// What is the case: the list, but one that allows everything does not show its exceptions; then what was recorded.
fn current_filter(list: &str, effective: &DeviceFilter) -> Listed {
    let recorded = match effective {
        DeviceFilter::Program(_) => None,
        DeviceFilter::Files { allow, exceptions } => Some((allow, exceptions)),
    };
    if list.lines().any(|line| line.starts_with("a ")) {
        let rules = match recorded {
            Some((true, exceptions)) => exceptions.iter().map(|it: &DevicePlan| it.rule).collect(),
            _ => Vec::new(),
        };
        return Listed { allow: true, rules };
    }
    Listed { allow: false, rules: list.lines().filter_map(parse_line).collect() }
}

/// `c 1:3 rwm`.
fn parse_line(line: &str) -> Option<DeviceRule> {
    let mut words = line.split_whitespace();
    let kind = match words.next()? {
        "c" => DeviceRuleKind::Character,
        "b" => DeviceRuleKind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
    let letters = words.next()?;
    let access =
        Access { read: letters.contains('r'), write: letters.contains('w'), mknod: letters.contains('m') };
    Some(DeviceRule { allow: true, kind, major: number(major)?, minor: number(minor)?, access })
}

fn transition(from: &Listed, to: &Listed) -> Vec<Write> {
    if from.allow != to.allow {
        let exceptions = to.rules.iter().map(|rule| write(!to.allow, rule));
        return std::iter::once(everything(to.allow)).chain(exceptions).collect();
    }
    // What the rules of a list have for these very devices: the controller's exceptions are told apart so.
    let bits = |list: &Listed, rule: &DeviceRule| {
        list.rules
            .iter()
            .filter(|it| it.kind == rule.kind && it.major == rule.major && it.minor == rule.minor)
            .fold(0, |bits, it| bits | access_bits(it.access))
    };
    let missing = |these: &Listed, those: &Listed, word: bool| -> Vec<Write> {
        let of = |rule: &DeviceRule| {
            let left = access_bits(rule.access) & !bits(those, rule);
            (left != 0).then(|| write(word, &DeviceRule { access: access_of(left), ..*rule }))
        };
        these.rules.iter().filter_map(of).collect()
    };
    // Exceptions of a list of what is allowed are allowed things; of one of what is denied, denied ones.
    let mut added = missing(to, from, !to.allow);
    let mut removed = missing(from, to, to.allow);
    if to.allow {
        removed.append(&mut added);
        return removed;
    }
    added.append(&mut removed);
    added
}

fn everything(allow: bool) -> Write {
    Write {
        value: "a".to_owned(),
        ..write(
            allow,
            &DeviceRule {
                allow,
                kind: DeviceRuleKind::All,
                major: None,
                minor: None,
                access: Access { read: true, write: true, mknod: true },
            },
        )
    }
}

fn write(allow: bool, rule: &DeviceRule) -> Write {
    Write {
        file: if allow { "devices.allow" } else { "devices.deny" }.to_owned(),
        value: Line(rule).to_string(),
        pointer: "/linux/resources/devices".to_owned(),
        missing: Missing::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(allow: bool, lines: &[&str]) -> Listed {
        Listed { allow, rules: lines.iter().map(|line| parse_line(line).unwrap()).collect() }
    }

    fn texts(writes: &[Write]) -> Vec<String> {
        writes.iter().map(|write| format!("{} {}", write.file, write.value)).collect()
    }

    #[test]
    fn transition_between_lists_of_what_is_allowed_only_differences() {
        let old = listed(false, &["c 1:3 rwm", "c 1:5 rw", "b *:* m"]);
        let new = listed(false, &["c 1:3 r", "b *:* m", "c 10:200 rwm"]);
        assert_eq!(
            texts(&transition(&old, &new)),
            ["devices.allow c 10:200 rwm", "devices.deny c 1:3 wm", "devices.deny c 1:5 rw"]
        );
        assert_eq!(
            texts(&transition(&new, &old)),
            ["devices.allow c 1:3 wm", "devices.allow c 1:5 rw", "devices.deny c 10:200 rwm"]
        );
        assert!(transition(&old, &old).is_empty());
    }

    #[test]
    fn transition_to_the_other_kind_of_list_from_nothing() {
        let deny = listed(false, &["c 1:3 rwm"]);
        let allow = listed(true, &["c 1:8 r"]);
        assert_eq!(texts(&transition(&deny, &allow)), ["devices.allow a", "devices.deny c 1:8 r"]);
        assert_eq!(texts(&transition(&allow, &deny)), ["devices.deny a", "devices.allow c 1:3 rwm"]);
    }

    #[test]
    fn transition_between_lists_of_what_is_denied_frees_first() {
        let old = listed(true, &["c 1:3 rw"]);
        let new = listed(true, &["c 1:5 r"]);
        assert_eq!(texts(&transition(&old, &new)), ["devices.allow c 1:3 rw", "devices.deny c 1:5 r"]);
    }

    #[test]
    fn list_of_the_kernel_parsed() {
        let effective = DeviceFilter::Files { allow: false, exceptions: Vec::new() };
        let filter = current_filter("c 1:3 rwm\nb *:* m\nc 136:* rwm\n", &effective);
        assert_eq!(filter, listed(false, &["c 1:3 rwm", "b *:* m", "c 136:* rwm"]));
        assert_eq!(current_filter("a *:* rwm\n", &effective), listed(true, &[]));
    }
}

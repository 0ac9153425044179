//! Cgroups that systemd makes: the container's is that of a transient scope, in a slice.
//!
//! Pure but for [`bus`], which speaks with systemd, and [`Session::probe`]. A scope is made around a process that exists:
//! init waits at its first step until it has been moved into the scope and the limits are in place.
//!
//! On v1 and hybrid systemd makes the scope's cgroups in the hierarchies of `cpu cpuacct devices memory pids`, its own,
//! and v2; in the others (`blkio cpuset freezer hugetlb …`) they are made here, at the same path, as runc does. A user's
//! systemd has no controllers there.
//!
//! systemd is told every limit that it has a property for, since it would set its own value again at the next
//! `daemon-reload`; then the files are written as without it: they take the exact values, and those that it knows nothing
//! of. On v2 the device filter is our own program beside systemd's: a reload does not touch it. On v1 there is one list of
//! devices for both: systemd is told it.
//!
//! Sources: systemd's `org.freedesktop.systemd1(5)`, `systemd.resource-control(5)`, `CGROUP_DELEGATION.md`.

mod annotation;
mod bus;
mod name;
mod property;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use spec::Text;
use spec::config::Resources;

pub(crate) use annotation::PREFIX as SYSTEMD_ANNOTATIONS;
pub(super) use bus::{attach, is_foreign, set_properties, start, stop};
pub use property::{Property, Value};
pub(super) use property::{V1_BANDWIDTH, of_devices, of_writes};

use super::error::PlanError;
use super::hierarchies::{Hierarchies, Mode};
use super::path::CgroupPath;
use super::plan::{CgroupPlan, plan_cgroup};
use crate::{CgroupManager, ContainerId, Outcome};
use name::{Scope, expand_slice};

/// How long systemd may take for an answer: it gives none while it is reloaded, which takes a busy host seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Slices that systemd itself has.
pub(super) const OWN_SLICES: [&str; 6] =
    ["system.slice", "user.slice", "machine.slice", "app.slice", "session.slice", "background.slice"];

/// Which systemd makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// The system's.
    System,
    /// That of the user with this uid (in the initial user namespace).
    User(u32),
}

impl Session {
    /// The system's for root, the user's for others, and for a root that is one in a user namespace only.
    pub fn probe() -> Self {
        let uid = geteuid().as_raw();
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        match outer_uid(&map, uid) {
            0 => Self::System,
            uid => Self::User(uid),
        }
    }

    /// Where its cgroups begin, below the mount point.
    fn root(self) -> Vec<String> {
        match self {
            Self::System => Vec::new(),
            Self::User(uid) => {
                vec!["user.slice".into(), format!("user-{uid}.slice"), format!("user@{uid}.service")]
            }
        }
    }

    const fn default_slice(self) -> &'static str {
        match self {
            Self::System => "system.slice",
            Self::User(_) => "user.slice",
        }
    }
}

/// What a uid is outside of the user namespace whose map this is (`/proc/PID/uid_map`, user_namespaces(7)).
fn outer_uid(map: &str, uid: u32) -> u32 {
    let mapped = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = uid.checked_sub(inside)?;
        (offset < size).then(|| outside.checked_add(offset))?
    });
    mapped.unwrap_or(uid)
}

/// A transient scope to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitPlan {
    /// By which systemd.
    pub session: Session,
    /// Its name, with `.scope`.
    pub unit: String,
    /// The slice that it is in.
    pub slice: String,
    /// The slices above it and itself, outermost first.
    pub slices: Vec<String>,
    /// Limits and what the annotations ask for.
    pub properties: Vec<Property>,
}

impl fmt::Display for UnitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "systemd start {} in {}", self.unit, self.slice)?;
        for Property { name, value, pointer } in &self.properties {
            write!(f, "systemd set {name} {value:?}")?;
            if pointer.is_empty() { writeln!(f, " by default")? } else { writeln!(f, " from {pointer}")? }
        }
        Ok(())
    }
}

/// Plans a container's cgroup as a scope of systemd's.
///
/// `cgroups_path` is `SLICE:PREFIX:NAME`, by default `system.slice:sandboxd:ID`; annotations `org.systemd.property.NAME`
/// have values in GVariant's text format.
///
/// # Errors
/// [`PlanError`]: the host has no cgroups, or for a user's session not v2 alone; or the names make no unit.
pub fn plan_systemd(
    resources: &Resources,
    cgroups_path: Option<&Text>,
    id: &ContainerId,
    annotations: &BTreeMap<String, String>,
    session: Session,
    hierarchies: &Hierarchies,
) -> Result<Outcome<CgroupPlan>, PlanError> {
    match (hierarchies.mode(), session) {
        (None, _) => return Err(PlanError::Systemd("needs a host with cgroups")),
        (Some(Mode::Unified), _) | (_, Session::System) => {}
        (_, Session::User(_)) => {
            return Err(PlanError::Systemd("of a user needs a host with cgroup v2 alone: use cgroupfs here"));
        }
    }
    let Scope { slice, unit } = Scope::parse(cgroups_path.map(|path| &**path), id, session.default_slice())?;
    let slices = expand_slice(&slice).ok_or_else(|| {
        name::error(&slice, "it is not the name of a slice (NAME.slice, dashes between the parts)")
    })?;
    let mut components = session.root();
    components.extend(slices.iter().cloned());
    components.push(unit.clone());
    let path = CgroupPath::Absolute(components);
    let mut outcome = plan_cgroup(CgroupManager::Cgroupfs, resources, &path, hierarchies)?;
    let plan = &mut outcome.value;
    let mut properties = Vec::new();
    for directory in &mut plan.directories {
        let version = directory.hierarchy.version();
        properties.extend(property::of_writes(directory.writes.iter().map(|write| (version, write))));
        if let Some(devices) = &directory.devices {
            // Of v1 alone.
            let (devices, warning) = property::of_devices(devices);
            properties.extend(devices);
            outcome.warnings.extend(warning);
        }
        directory.clone_into = false;
    }
    if !properties.iter().any(|property| property.name == property::TASKS_MAX) {
        // Else systemd's default applies, 15 % of the host's.
        properties.push(Property::new(property::TASKS_MAX, Value::U64(u64::MAX), ""));
    }
    // Last: what is said in systemd's own words holds.
    for property in annotation::properties(annotations)? {
        properties.retain(|other| other.name != property.name);
        properties.push(property);
    }
    plan.unit = Some(UnitPlan { session, unit, slice, slices, properties });
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_uid_follows_the_map() {
        let initial = "         0          0 4294967295\n";
        let user = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!((outer_uid(initial, 0), outer_uid(initial, 1000)), (0, 1000));
        assert_eq!((outer_uid(user, 0), outer_uid(user, 2)), (1000, 100_001));
        assert_eq!(outer_uid("", 7), 7);
    }
}

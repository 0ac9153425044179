//! Cgroups that systemd makes: the container's is that of a transient scope, in a slice.
//!
//! Pure but for [`bus`], which speaks with systemd, and [`session::Session::probe`]. A scope is made around a process that exists:
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
pub(super) mod session;
pub(super) mod unit;

use std::collections::BTreeMap;
use std::time::Duration;

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
use session::Session;
use unit::UnitPlan;

/// How long systemd may take for an answer: it gives none while it is reloaded, which takes a busy host seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Slices that systemd itself has.
pub(super) const OWN_SLICES: [&str; 6] =
    ["system.slice", "user.slice", "machine.slice", "app.slice", "session.slice", "background.slice"];

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
    properties.extend(property::of_oom_group(resources));
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

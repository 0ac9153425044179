//! The plan of a change of limits: what is written into which cgroup of a container that exists. Pure.
//!
//! What is not asked for stays as it is. Two files hold more than one value; what is not asked for of these is taken
//! from what is the case now ([`CurrentLimits`]).

use std::collections::BTreeMap;

use spec::config::{Limit, Resources};

use super::device_plan::{DeviceFilter, device_rules, v1_filter};
use super::error::PlanError;
use super::hierarchies::Hierarchies;
use super::planner::{Place, Planner, Write};
use super::{limits_v1, limits_v2};
use crate::Outcome;

/// What the kernel says now, of values that are written together with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurrentLimits {
    /// Memory: a limit of memory and swap together is converted by it.
    pub memory: Option<Limit>,
    /// CPU quota in microseconds: v2 has it in one file with the period, systemd knows only what both make.
    pub quota: Option<Limit>,
    /// The period of the CPU quota in microseconds.
    pub period: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_usage_bytes: u64,
}

/// A change of limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePlan {
    /// For each v1 hierarchy, in their order, what is written.
    pub v1: Vec<Vec<Write>>,
    /// What is written on v2.
    pub v2: Vec<Write>,
    /// v2: the controllers that the writes need, with the first field that needs each.
    pub required_controllers: BTreeMap<String, String>,
    /// The new filter of devices; absent where it stays.
    pub devices: Option<DeviceFilter>,
}

/// Plans a change.
///
/// # Errors
/// [`PlanError`]: a limit's controller is missing, or its value makes no sense on this host, or now.
pub fn plan_change(
    asked: &Resources,
    current: CurrentLimits,
    hierarchies: &Hierarchies,
) -> Result<Outcome<ChangePlan>, PlanError> {
    let mut wanted = asked.clone();
    let mut planner = Planner::of_change(hierarchies);
    let (memory_place, cpu_place) = (planner.place("memory"), planner.place("cpu"));
    if memory_place.is_some() && matches!(wanted.memory.swap, Some(Limit::Value(_))) {
        wanted.memory.limit = wanted.memory.limit.or(current.memory);
    }
    if cpu_place == Some(Place::V2) && (wanted.cpu.quota.is_some() || wanted.cpu.period.is_some()) {
        wanted.cpu.quota = wanted.cpu.quota.or(current.quota);
        wanted.cpu.period = wanted.cpu.period.or(current.period);
    }
    // Engines write 0 for what they don't ask.
    wanted.cpu.realtime_period = wanted.cpu.realtime_period.filter(|period| *period != 0);
    wanted.cpu.realtime_runtime = wanted.cpu.realtime_runtime.filter(|runtime| *runtime != 0);
    wanted.pids = wanted.pids.filter(|limit| *limit != Limit::Value(0));
    if wanted.memory.check_before_update == Some(true) {
        check_usage(&wanted, current.memory_usage_bytes)?;
    }
    limits_v1::check_and_add(&mut planner, &wanted)?;
    limits_v2::check_and_add(&mut planner, &wanted)?;
    let value = ChangePlan {
        v1: planner.v1,
        v2: planner.v2,
        required_controllers: planner.required,
        devices: plan_devices(&wanted, hierarchies)?,
    };
    Ok(Outcome { value, warnings: planner.warnings })
}

/// `memory.checkBeforeUpdate`.
fn check_usage(wanted: &Resources, usage_bytes: u64) -> Result<(), PlanError> {
    let memory = &wanted.memory;
    for (name, what, limit) in
        [("swap", "memory+swap limit", memory.swap), ("limit", "memory limit", memory.limit)]
    {
        if let Some(Limit::Value(limit)) = limit
            && limit <= usage_bytes
        {
            return Err(PlanError::Value {
                pointer: format!("/linux/resources/memory/{name}"),
                rule: format!("rejecting {what} {limit} <= usage {usage_bytes}"),
            });
        }
    }
    Ok(())
}

/// The filter that the rules make, as it would be made for a new container.
fn plan_devices(asked: &Resources, hierarchies: &Hierarchies) -> Result<Option<DeviceFilter>, PlanError> {
    if asked.devices.is_empty() { Ok(None) } else { plan_filter(asked, hierarchies).map(Some) }
}

/// The filter of a container with these resources.
pub(super) fn plan_filter(
    resources: &Resources,
    hierarchies: &Hierarchies,
) -> Result<DeviceFilter, PlanError> {
    let rules = device_rules(resources)?;
    match Planner::of_change(hierarchies).place("devices") {
        Some(Place::V1(_)) => v1_filter(&rules),
        _ => Ok(DeviceFilter::Program(rules)),
    }
}

//! What systemd is told of a change: else it sets its own values again when it is reloaded.
//!
//! Runs in the runtime.

use std::path::PathBuf;
use std::time::Instant;

use super::change::ChangePlan;
use super::configure::apply_device_filter;
use super::device_plan::DeviceFilter;
use super::error::{CgroupError, PlanError};
use super::file::{self, is_gone};
use super::handle::{Cgroup, open_cgroup};
use super::planner::{Write, write};
use super::record::{RecordedDirectory, UnitRecord, Version};
use super::systemd::{self, Property};
use crate::Warning;
use crate::error::Result;

/// What systemd is told of a scope.
#[derive(Debug)]
pub(super) struct Told {
    unit: UnitRecord,
    properties: Vec<Property>,
    /// What takes it back.
    previous: Vec<Property>,
    /// v1: the filter of devices is one with systemd's, which empties it first.
    devices: Option<V1Devices>,
}

#[derive(Debug)]
struct V1Devices {
    directory: RecordedDirectory,
    wanted: DeviceFilter,
    previous: DeviceFilter,
}

/// Files of which systemd makes values of its own: it rounds a quota up, knows no limit of no process, and sets whether all
/// go when memory is out by its `OOMPolicy`.
const REWRITTEN: [&str; 5] =
    ["cpu.max", "memory.oom.group", "pids.max", systemd::V1_BANDWIDTH[0], systemd::V1_BANDWIDTH[1]];

/// A value that is to stay.
#[derive(Debug)]
struct Other {
    path: PathBuf,
    value: String,
}

impl Other {
    /// Writes it again, where it is another by now.
    fn write_back(&self) -> Result<(), CgroupError> {
        match file::read_path(&self.path) {
            Ok(now) if now.trim_end() == self.value => return Ok(()),
            Ok(_) => {}
            // The container has ended.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(source) => {
                return Err(CgroupError::Call { call: "read", path: self.path.clone(), source });
            }
        }
        let written =
            file::open_write_path(&self.path).and_then(|open| file::write_descriptor(&open, &self.value));
        written.map_err(|source| CgroupError::Call { call: "write", path: self.path.clone(), source })
    }
}

impl Told {
    /// `taking_back` are the writes that take the change back.
    pub(super) fn prepare(
        cgroup: &Cgroup,
        unit: &UnitRecord,
        plan: &ChangePlan,
        taking_back: &[(Version, Write)],
        previous_devices: impl FnOnce() -> Result<DeviceFilter, PlanError>,
    ) -> Result<(Self, Option<Warning>)> {
        let v1 = plan.v1.iter().flatten().map(|write| (Version::V1, write));
        let asked = v1.chain(plan.v2.iter().map(|write| (Version::V2, write)));
        let taking_back = taking_back.iter().map(|(version, write)| (*version, write));
        // The one of the two that stays.
        let bandwidth = cgroup.read_v1_bandwidth(plan)?;
        let bandwidth = bandwidth.iter().map(|write| (Version::V1, write));
        let mut told = Self {
            unit: unit.clone(),
            properties: systemd::of_writes(bandwidth.clone().chain(asked)),
            previous: systemd::of_writes(bandwidth.chain(taking_back)),
            devices: None,
        };
        let mut warning = None;
        let directory = cgroup.record.directories.iter().find(|it| it.hierarchy.is_v1_with("devices"));
        if let (Some(wanted), Some(directory)) = (&plan.devices, directory) {
            let previous = previous_devices()?;
            let (devices, unsayable) = systemd::of_devices(wanted);
            told.properties.extend(devices);
            told.previous.extend(systemd::of_devices(&previous).0);
            told.devices = Some(V1Devices { directory: directory.clone(), wanted: wanted.clone(), previous });
            warning = unsayable;
        }
        Ok((told, warning))
    }

    /// Tells it. systemd writes what it is told at once, some of it rounded, so `again` writes the change once more.
    ///
    /// Itself, where systemd was told: then that is to be taken back, too.
    pub(super) fn tell(
        self,
        cgroup: &Cgroup,
        again: impl FnOnce() -> Result<(), CgroupError>,
    ) -> (Option<Self>, Result<(), CgroupError>) {
        // While systemd fills the list of devices anew, nobody is to be refused one that is allowed before and after. Who
        // can't be stopped may be, for that moment.
        let runs = if self.devices.is_some() { cgroup.is_frozen().map(|frozen| !frozen) } else { Ok(false) };
        let (others, stops) = match (cgroup.read_rewritten(), runs) {
            (Ok(others), Ok(stops)) => (others, stops),
            (Err(error), _) | (_, Err(error)) => return (None, Err(error)),
        };
        let stopped = stops && cgroup.freeze(None, Instant::now() + super::DEFAULT_DEADLINE).is_ok();
        let mut result =
            systemd::set_properties(&self.unit, &self.properties, Instant::now() + systemd::DEADLINE);
        let is_told = result.is_ok();
        if is_told {
            let devices =
                self.devices.as_ref().map_or(Ok(()), |it| write_v1_devices(&it.directory, &it.wanted));
            result = devices.and(again()).and(others.iter().try_for_each(Other::write_back));
        }
        if stopped {
            result = result.and(cgroup.thaw());
        }
        (is_told.then_some(self), result)
    }

    /// Tells systemd what counted before.
    pub(super) fn take_back(&self) -> Result<(), CgroupError> {
        systemd::set_properties(&self.unit, &self.previous, Instant::now() + systemd::DEADLINE)?;
        self.devices.as_ref().map_or(Ok(()), |it| write_v1_devices(&it.directory, &it.previous))
    }
}

impl Cgroup {
    /// v1 has quota and period in files of their own, systemd only both as one value.
    fn read_v1_bandwidth(&self, plan: &ChangePlan) -> Result<Vec<Write>, CgroupError> {
        let asked = |write: &Write| systemd::V1_BANDWIDTH.contains(&&*write.file);
        if !plan.v1.iter().flatten().any(asked) {
            return Ok(Vec::new());
        }
        let mut writes = Vec::new();
        for file in systemd::V1_BANDWIDTH {
            let value = self.read_first("cpu", &[file])?;
            writes.extend(value.map(|value| write(file, value.trim(), "/linux/resources/cpu")));
        }
        Ok(writes)
    }

    /// What systemd writes whenever it is told of anything, and not quite as it is.
    fn read_rewritten(&self) -> Result<Vec<Other>, CgroupError> {
        let mut others = Vec::new();
        for directory in &self.record.directories {
            let Some(open) = open_cgroup(directory)? else { continue };
            for file in REWRITTEN {
                if let Ok(text) = file::read_file(&open, file) {
                    others.push(Other { path: directory.path.join(file), value: text.trim_end().to_owned() });
                }
            }
        }
        Ok(others)
    }
}

/// The whole of a filter, from nothing on.
fn write_v1_devices(directory: &RecordedDirectory, filter: &DeviceFilter) -> Result<(), CgroupError> {
    match open_cgroup(directory)? {
        Some(open) => apply_device_filter(&open, &directory.path, filter),
        None => Ok(()),
    }
}

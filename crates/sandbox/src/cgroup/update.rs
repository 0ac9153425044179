//! Changing the limits of a container that exists: all of them, or none.
//!
//! Runs in the runtime, under the container's lock. Each file is read before anything is written; what was written is
//! written back, the last first, when something is refused. Killed half way, each file has its old value or its new one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::io::Errno;
use spec::config::{Limit, Resources};

use super::change::{ChangePlan, CurrentLimits, plan_change, plan_filter};
use super::configure::{apply_device_filter, write_in_rounds};
use super::device_plan::DeviceFilter;
use super::error::{CgroupError, PlanError};
use super::file::{self, is_errno, is_gone};
use super::filter::FilterChange;
use super::handle::{Cgroup, open_cgroup};
use super::hierarchies::{Hierarchies, V1Hierarchy, V2Hierarchy};
use super::plan::DirectoryPlan;
use super::planner::{Missing, Write};
use super::previous::previous_value;
use super::record::{Hierarchy, RecordedDirectory, UnitRecord, Version};
use super::subtree::enable_controllers;
use super::systemd::{self, Property};
use crate::error::Result;
use crate::{Outcome, Warning};

/// What was changed; [`Applied::undo`] takes it back.
#[derive(Debug)]
pub struct Applied {
    written: Vec<Pending>,
    filter: Option<FilterChange>,
    /// What systemd was told.
    told: Option<Told>,
}

/// What systemd is told of a scope: else it sets its own values again when it is reloaded.
#[derive(Debug)]
struct Told {
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

/// One value for one file, and what takes it back.
#[derive(Debug)]
struct Pending {
    file: OwnedFd,
    path: PathBuf,
    version: Version,
    value: String,
    pointer: String,
    previous: Option<String>,
    /// It has that value already.
    unchanged: bool,
}

impl Pending {
    /// The write that takes it back.
    fn taking_back(&self) -> Option<Write> {
        let file = self.path.file_name()?.to_str()?.to_owned();
        let (value, pointer) = (self.previous.clone()?, self.pointer.clone());
        Some(Write { file, value, pointer, missing: Missing::Error })
    }

    fn write(&self, value: &str) -> Result<(), CgroupError> {
        file::write_descriptor(&self.file, value).map_err(|source| CgroupError::Write {
            path: self.path.clone(),
            value: value.to_owned(),
            pointer: self.pointer.clone(),
            source,
        })
    }
}

impl Cgroup {
    /// Changes what is asked for; the rest stays. `effective` are the resources that count so far: a change of the device
    /// rules is taken back to theirs.
    ///
    /// # Errors
    /// A value that makes no sense or is refused; then nothing has changed. [`CgroupError::NotRestored`] where taking back
    /// was refused too.
    pub fn update(&self, asked: &Resources, effective: &Resources) -> Result<Outcome<Applied>> {
        let hierarchies = self.probe_own_hierarchies()?;
        let mut asked = asked.clone();
        if asked.memory.check_before_update.is_none() {
            asked.memory.check_before_update = effective.memory.check_before_update;
        }
        if asked.devices == effective.devices {
            // Engines send all that they know, again: what a hook has allowed since (a GPU) stays.
            asked.devices.clear();
        }
        let current = self.read_current(&asked)?;
        let Outcome { value: plan, warnings } = plan_change(&asked, current, &hierarchies)?;
        let mut warnings = warnings;
        let mut pending = Vec::new();
        let mut v1 = plan.v1.iter();
        for directory in &self.record.directories {
            let writes = match directory.hierarchy {
                Hierarchy::V2 => {
                    warnings.extend(self.enable_required(directory, &plan)?);
                    Some(&plan.v2)
                }
                Hierarchy::V1(_) => v1.next(),
            };
            for write in writes.into_iter().flatten() {
                pending.extend(prepare(directory, write)?);
            }
        }
        let filter = match &plan.devices {
            Some(wanted) => FilterChange::prepare(self, wanted, &plan_filter(effective, &hierarchies)?)?,
            None => None,
        };
        if self.record.unit.is_none() {
            drop_unchanged(&mut pending);
        }
        let mut applied = apply(pending, filter)?;
        if let Some(unit) = &self.record.unit {
            let previous = || plan_filter(effective, &hierarchies);
            let (told, warning) = self.prepare_told(unit, &plan, &applied, previous)?;
            warnings.extend(warning);
            applied = self.inform_systemd(applied, told)?;
        }
        Ok(Outcome { value: applied, warnings })
    }

    fn prepare_told(
        &self,
        unit: &UnitRecord,
        plan: &ChangePlan,
        applied: &Applied,
        previous_devices: impl FnOnce() -> Result<DeviceFilter, PlanError>,
    ) -> Result<(Told, Option<Warning>)> {
        let v1 = plan.v1.iter().flatten().map(|write| (Version::V1, write));
        let asked = v1.chain(plan.v2.iter().map(|write| (Version::V2, write)));
        let taking_back: Vec<_> =
            applied.written.iter().filter_map(|one| Some((one.version, one.taking_back()?))).collect();
        let taking_back = taking_back.iter().map(|(version, write)| (*version, write));
        // The one of the two that stays.
        let bandwidth = self.read_v1_bandwidth(plan)?;
        let bandwidth = bandwidth.iter().map(|write| (Version::V1, write));
        let mut told = Told {
            unit: unit.clone(),
            properties: systemd::of_writes(bandwidth.clone().chain(asked)),
            previous: systemd::of_writes(bandwidth.chain(taking_back)),
            devices: None,
        };
        let mut warning = None;
        let directory = self.record.directories.iter().find(|it| it.hierarchy.is_v1_with("devices"));
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

    /// v1 has quota and period in files of their own, systemd only both as one value.
    fn read_v1_bandwidth(&self, plan: &ChangePlan) -> Result<Vec<Write>, CgroupError> {
        let asked = |write: &Write| systemd::V1_BANDWIDTH.contains(&&*write.file);
        if !plan.v1.iter().flatten().any(asked) {
            return Ok(Vec::new());
        }
        let mut writes = Vec::new();
        for file in systemd::V1_BANDWIDTH {
            let value = self.read_first("cpu", &[file])?;
            writes
                .extend(value.map(|value| super::planner::write(file, value.trim(), "/linux/resources/cpu")));
        }
        Ok(writes)
    }

    /// Tells systemd what was written. It writes what it is told at once, some of it rounded, so it is written once more.
    fn inform_systemd(&self, mut applied: Applied, told: Told) -> Result<Applied> {
        let others = self.read_rewritten()?;
        // While systemd fills the list of devices anew, nobody is to be refused one that is allowed before and after. Who
        // can't be stopped may be, for that moment.
        let stopped = told.devices.is_some()
            && !self.is_frozen()?
            && self.freeze(None, Instant::now() + super::DEFAULT_DEADLINE).is_ok();
        let mut result =
            systemd::set_properties(&told.unit, &told.properties, Instant::now() + systemd::DEADLINE);
        if result.is_ok() {
            let devices =
                told.devices.as_ref().map_or(Ok(()), |it| write_v1_devices(&it.directory, &it.wanted));
            let values = applied.written.iter().try_for_each(|one| one.write(&one.value));
            applied.told = Some(told);
            result = devices.and(values).and(others.iter().try_for_each(Other::write_back));
        }
        if stopped {
            result = result.and(self.thaw());
        }
        match result {
            Ok(()) => Ok(applied),
            Err(error) => Err(applied.undo_because_of(error).into()),
        }
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

    /// The hierarchies of the record, and what controllers v2 has on this host.
    fn probe_own_hierarchies(&self) -> Result<Hierarchies, CgroupError> {
        let mut hierarchies = Hierarchies::default();
        for directory in &self.record.directories {
            let mount_point = directory.mount_point.clone();
            match &directory.hierarchy {
                Hierarchy::V1(controllers) => hierarchies.v1.push(V1Hierarchy {
                    mount_point,
                    own_path: None,
                    controllers: controllers.clone(),
                    name: None,
                }),
                Hierarchy::V2 => {
                    let path = mount_point.join("cgroup.controllers");
                    let text = file::read_path(&path).map_err(|source| CgroupError::Call {
                        call: "read",
                        path: path.clone(),
                        source,
                    })?;
                    let controllers = text.split_whitespace().map(str::to_owned).collect();
                    hierarchies.v2 = Some(V2Hierarchy { mount_point, own_path: None, controllers });
                }
            }
        }
        Ok(hierarchies)
    }

    /// Reads only what the change needs.
    fn read_current(&self, asked: &Resources) -> Result<CurrentLimits, CgroupError> {
        let mut current = CurrentLimits::default();
        let check = asked.memory.check_before_update == Some(true);
        if asked.memory.swap.is_some() || (check && asked.memory.limit.is_some()) {
            let limit = self.read_first("memory", &["memory.max", "memory.limit_in_bytes"])?;
            current.memory = limit.map(|text| parse_limit(&text));
            let usage = self.read_first("memory", &["memory.current", "memory.usage_in_bytes"])?;
            current.memory_usage_bytes = usage.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        }
        if asked.cpu.period.is_some() != asked.cpu.quota.is_some() {
            let bandwidth = self.read_first("cpu", &["cpu.max"])?.unwrap_or_default();
            let mut words = bandwidth.split_whitespace();
            current.quota = words.next().map(parse_limit);
            current.period = words.next().and_then(|period| period.parse().ok());
        }
        Ok(current)
    }

    /// The text of the first of these files that is in the controller's cgroup.
    fn read_first(&self, controller: &str, names: &[&str]) -> Result<Option<String>, CgroupError> {
        let v1 = self.record.directories.iter().find(|it| it.hierarchy.is_v1_with(controller));
        let v2 = self.record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2);
        let Some(directory) = v1.or(v2) else { return Ok(None) };
        let Some(open) = open_cgroup(directory)? else { return Ok(None) };
        for name in names {
            match file::read_file(&open, name) {
                Ok(text) => return Ok(Some(text)),
                Err(error) if is_gone(&error) => {}
                Err(source) => {
                    return Err(CgroupError::Call { call: "read", path: directory.path.join(name), source });
                }
            }
        }
        Ok(None)
    }

    /// A controller that no limit needed so far may not be enabled for the container's cgroup.
    fn enable_required(
        &self,
        directory: &RecordedDirectory,
        plan: &ChangePlan,
    ) -> Result<Vec<crate::Warning>, CgroupError> {
        let below = directory.path.strip_prefix(&directory.mount_point).unwrap_or(&directory.path);
        let plan = DirectoryPlan {
            hierarchy: Hierarchy::V2,
            mount_point: directory.mount_point.clone(),
            components: below.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
            required_controllers: plan.required_controllers.clone(),
            offered_controllers: Vec::new(),
            inherit_cpuset: false,
            writes: Vec::new(),
            devices: None,
            clone_into: false,
        };
        // What was made for it is as any other by now: it has been given controllers.
        let existing = RecordedDirectory { made: false, made_parents: Vec::new(), ..directory.clone() };
        enable_controllers(&plan, &existing)
    }
}

/// v2 says `max`; v1 a number of pages that no machine has.
fn parse_limit(text: &str) -> Limit {
    const NO_LIMIT: u64 = 1 << 62;
    match text.trim().parse::<u64>() {
        Ok(limit) if limit < NO_LIMIT => Limit::Value(limit),
        _ => Limit::Max,
    }
}

/// Opens the file and reads what is in it; `None` where there is nothing to be done.
fn prepare(directory: &RecordedDirectory, write: &Write) -> Result<Option<Pending>, CgroupError> {
    let open_error = |source| CgroupError::Call { call: "open", path: directory.path.clone(), source };
    let open = open_cgroup(directory)?.ok_or_else(|| open_error(Errno::NOENT.into()))?;
    let (mut name, mut value) = (&*write.file, &*write.value);
    let mut opened = file::open_write(&open, name);
    if let Err(error) = &opened
        && is_errno(error, Errno::NOENT)
    {
        match &write.missing {
            Missing::Error => {}
            Missing::Ignore => return Ok(None),
            Missing::Instead { file: other, value: converted } => {
                (name, value) = (other, converted);
                opened = file::open_write(&open, name);
            }
        }
    }
    let path = directory.path.join(name);
    let error = |source| CgroupError::Write {
        path: path.clone(),
        value: value.to_owned(),
        pointer: write.pointer.clone(),
        source,
    };
    let opened = opened.map_err(error)?;
    // Some files only take values (memory.reclaim): there is nothing to go back to.
    let old = file::open_read(open.as_fd(), name, OFlags::RDONLY).and_then(file::read_list).ok();
    let unchanged = old.as_deref().is_some_and(|old| old.trim_end() == value);
    let previous = old.as_deref().and_then(|old| previous_value(name, old, value));
    let (value, pointer) = (value.to_owned(), write.pointer.clone());
    let version = directory.hierarchy.version();
    Ok(Some(Pending { file: opened, path, version, value, pointer, previous, unchanged }))
}

/// What is written already need not be. Of several values for one file, the one before the last isn't what stays.
fn drop_unchanged(pending: &mut Vec<Pending>) {
    let paths: Vec<PathBuf> = pending.iter().map(|one| one.path.clone()).collect();
    let is_alone = |path: &PathBuf| paths.iter().filter(|other| *other == path).count() == 1;
    pending.retain(|one| !(one.unchanged && is_alone(&one.path)));
}

fn apply(pending: Vec<Pending>, filter: Option<FilterChange>) -> Result<Applied> {
    let mut applied = Applied { written: Vec::with_capacity(pending.len()), filter: None, told: None };
    let result = write_in_rounds(pending, &mut applied.written, |pending| pending.write(&pending.value));
    let result = result.and_then(|()| match filter {
        Some(filter) => {
            // Also a filter that took a part of its rules is taken back.
            let filter = applied.filter.insert(filter);
            filter.apply()
        }
        None => Ok(()),
    });
    match result {
        Ok(()) => Ok(applied),
        Err(error) => Err(applied.undo_because_of(error).into()),
    }
}

/// The whole of a filter, from nothing on.
fn write_v1_devices(directory: &RecordedDirectory, filter: &DeviceFilter) -> Result<(), CgroupError> {
    match open_cgroup(directory)? {
        Some(open) => apply_device_filter(&open, &directory.path, filter),
        None => Ok(()),
    }
}

impl Applied {
    /// Takes the change back; the error, or that not all could be.
    fn undo_because_of(self, error: CgroupError) -> CgroupError {
        match self.undo() {
            Ok(()) => error,
            Err(kept) => CgroupError::NotRestored { cause: Box::new(error), kept: Box::new(kept) },
        }
    }

    /// Takes the change back.
    ///
    /// # Errors
    /// A value can't be; the others are.
    pub fn undo(mut self) -> Result<(), CgroupError> {
        let filter = self.filter.take().map_or(Ok(()), |filter| filter.undo());
        self.written.retain(|one| one.previous.is_some());
        self.written.reverse();
        if let Some(Told { unit, previous, devices, .. }) = &self.told {
            systemd::set_properties(unit, previous, Instant::now() + systemd::DEADLINE)?;
            devices.as_ref().map_or(Ok(()), |it| write_v1_devices(&it.directory, &it.previous))?;
        }
        let mut restored = Vec::new();
        let values = write_in_rounds(self.written, &mut restored, |one| {
            one.previous.as_deref().map_or(Ok(()), |previous| one.write(previous))
        });
        filter.and(values)
    }
}

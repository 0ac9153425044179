//! Changing the limits of a container that exists: all of them, or none.
//!
//! Runs in the runtime, under the container's lock. Each file is read before anything is written; what was written is
//! written back, the last first, when something is refused. Killed half way, each file has its old value or its new one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;
use spec::config::Resources;

use super::change::{ChangePlan, plan_change, plan_filter};
use super::configure::write_in_rounds;
use super::error::CgroupError;
use super::file::{self, is_errno};
use super::filter::FilterChange;
use super::handle::{Cgroup, open_cgroup};
use super::plan::DirectoryPlan;
use super::planner::{Missing, Write};
use super::previous::previous_value;
use super::record::{Hierarchy, RecordedDirectory, Version};
use super::subtree::enable_controllers;
use super::told::Told;
use crate::Outcome;
use crate::error::Result;

/// What was changed; [`Applied::undo`] takes it back.
#[derive(Debug)]
pub struct Applied {
    written: Vec<Pending>,
    filter: Option<FilterChange>,
    /// What systemd was told.
    told: Option<Told>,
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
            let taking_back =
                applied.written.iter().filter_map(|one| Some((one.version, one.taking_back()?)));
            let taking_back: Vec<_> = taking_back.collect();
            let (told, warning) = Told::prepare(self, unit, &plan, &taking_back, previous)?;
            warnings.extend(warning);
            let again = || applied.written.iter().try_for_each(|one| one.write(&one.value));
            let (told, result) = told.tell(self, again);
            applied.told = told;
            if let Err(error) = result {
                return Err(applied.undo_because_of(error).into());
            }
        }
        Ok(Outcome { value: applied, warnings })
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
        if let Some(told) = &self.told {
            told.take_back()?;
        }
        let mut restored = Vec::new();
        let values = write_in_rounds(self.written, &mut restored, |one| {
            one.previous.as_deref().map_or(Ok(()), |previous| one.write(previous))
        });
        filter.and(values)
    }
}

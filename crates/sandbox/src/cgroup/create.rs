//! Making a container's cgroups: claim, directories, controllers, limits, device filter, descriptors to enter by.
//!
//! Runs in the runtime, before init exists. Where a step does not succeed, what was made is removed again.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use spec::config::DeviceRule;

use super::bpf::device_program;
use super::device::Line;
use super::error::CgroupError;
use super::file::{self, is_errno};
use super::handle::{Cgroup, read_processes, shows_frozen};
use super::owner::{OwnerPlan, change_owner};
use super::plan::{CgroupPlan, DeviceFilter, DirectoryPlan, Missing, Write};
use super::record::{CgroupRecord, Hierarchy, RecordedDirectory};
use super::scope;
use super::subtree::{enable_controllers, fill_cpuset};
use super::sys;
use crate::{Outcome, Warning};

/// A plan whose directories are free: missing, or there but with nobody in them. Nothing is made yet; the record says
/// what will be, and is to be stored before.
#[derive(Debug)]
pub struct Claim<'p> {
    plan: &'p CgroupPlan,
    record: CgroupRecord,
}

impl Claim<'_> {
    /// What [`Cgroup::create`] is going to make: the intent.
    pub const fn record(&self) -> &CgroupRecord {
        &self.record
    }
}

impl CgroupPlan {
    /// Looks which of the directories are missing.
    ///
    /// # Errors
    /// [`CgroupError::Occupied`], [`CgroupError::Frozen`] or [`CgroupError::Foreign`] where the container's cgroup is another's; or the host can't
    /// be read.
    pub fn probe_claim(&self) -> Result<Claim<'_>, CgroupError> {
        let mut directories = self.directories.iter().map(probe_directory).collect::<Result<Vec<_>, _>>()?;
        let unit = self.unit.as_ref().map(scope::record_unit);
        if unit.is_some() {
            // Slices are systemd's, and may have limits of their own: they go as it decides.
            let of_systemd = directories.iter_mut().filter(|directory| directory.hierarchy.is_of_systemd());
            of_systemd.for_each(|directory| directory.made_parents.clear());
        }
        Ok(Claim { plan: self, record: CgroupRecord { mode: self.mode, directories, unit } })
    }
}

fn probe_directory(plan: &DirectoryPlan) -> Result<RecordedDirectory, CgroupError> {
    let exists = |path: &Path| {
        file::exists(path).map_err(|source| CgroupError::Call { call: "access", path: path.into(), source })
    };
    let path = plan.path();
    let made = !exists(&path)?;
    let mut made_parents = Vec::new();
    if made {
        for depth in (1..plan.components.len()).rev() {
            let parent = plan.path_at(depth);
            if exists(&parent)? {
                break;
            }
            made_parents.push(parent);
        }
    } else {
        check_vacant(plan, &path)?;
    }
    let (hierarchy, mount_point) = (plan.hierarchy.clone(), plan.mount_point.clone());
    Ok(RecordedDirectory { hierarchy, mount_point, path, inode: 0, made, made_parents })
}

/// A cgroup that is there already may be used when nobody is in it and nothing would stop init in it.
fn check_vacant(plan: &DirectoryPlan, path: &Path) -> Result<(), CgroupError> {
    let call = |call, source| CgroupError::Call { call, path: path.into(), source };
    let directory = file::open_directory(path).map_err(|source| call("open", source))?;
    let uid = file::owner(directory.as_fd()).map_err(|source| call("stat", source))?;
    if uid != rustix::process::geteuid().as_raw() {
        return Err(CgroupError::Foreign { path: path.into(), uid });
    }
    let pids = read_processes(directory.as_fd()).map_err(|source| call("read", source))?;
    if !pids.is_empty() {
        return Err(CgroupError::Occupied { path: path.into(), pids });
    }
    if shows_frozen(&plan.hierarchy, directory.as_fd()).map_err(|source| call("read", source))? {
        return Err(CgroupError::Frozen { path: path.into() });
    }
    Ok(())
}

impl Cgroup {
    /// Makes what was claimed, with its limits in place; what systemd makes only when init is there: see
    /// [`Cgroup::admit`]. On v2 the filter of devices is not yet: see
    /// [`Cgroup::restrict_devices`].
    ///
    /// # Errors
    /// [`CgroupError`]; nothing is left behind.
    pub fn create(claim: Claim<'_>) -> Result<Outcome<Self>, CgroupError> {
        let Claim { plan, record } = claim;
        let mut making = Making { made: Vec::new() };
        let mut warnings = Vec::new();
        let mut cgroup = Self { record, v2: None, procs: Vec::new(), unattached: None, unstarted: None };
        if plan.unit.is_some() {
            // There is no scope without a process: see `Cgroup::admit`.
            cgroup.unstarted = Some(plan.clone());
            return Ok(Outcome::new(cgroup));
        }
        let owner = plan.owner.as_ref();
        for (plan, record) in plan.directories.iter().zip(&mut cgroup.record.directories) {
            making.make_directories(record)?;
            note_inode(record)?;
            let entrance = configure(plan, record, &mut warnings)?;
            delegate(owner, record)?;
            match entrance {
                Entrance::Clone(directory) => {
                    cgroup.v2 = Some(directory);
                    cgroup.unattached = plan.devices.clone();
                }
                Entrance::Write(procs) => cgroup.procs.push(procs),
            }
        }
        making.made.clear();
        Ok(Outcome { value: cgroup, warnings })
    }

    /// Attaches the filter of devices on v2, to be done before the container's program runs. It takes the kernel a while
    /// to check the program: init can be at work meanwhile.
    ///
    /// # Errors
    /// [`CgroupError::DeviceFilter`]
    pub fn restrict_devices(&mut self) -> Result<(), CgroupError> {
        let (Some(filter), Some(directory)) = (self.unattached.take(), &self.v2) else { return Ok(()) };
        let path =
            self.record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2).map(|it| &*it.path);
        apply_device_filter(directory, path.unwrap_or(Path::new("")), &filter)
    }
}

/// The directories made so far; what is still in the list when it goes is removed.
struct Making {
    made: Vec<PathBuf>,
}

impl Making {
    fn make_directories(&mut self, record: &mut RecordedDirectory) -> Result<(), CgroupError> {
        let mut foreign = None;
        for (index, parent) in record.made_parents.iter().enumerate().rev() {
            match file::make_directory(parent) {
                Ok(()) => self.made.push(parent.clone()),
                // Another was faster: then it is another's.
                Err(error) if is_errno(&error, Errno::EXIST) => foreign = Some(index),
                Err(source) => return Err(CgroupError::Call { call: "mkdir", path: parent.clone(), source }),
            }
        }
        if let Some(index) = foreign {
            record.made_parents.truncate(index);
        }
        if record.made {
            let path = record.path.clone();
            file::make_directory(&path).map_err(|source| CgroupError::Call {
                call: "mkdir",
                path: path.clone(),
                source,
            })?;
            self.made.push(path);
        }
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // The error that led here is what the caller gets; a directory that someone uses meanwhile stays.
            let _ = file::remove_directory_path(path);
        }
    }
}

/// Notes by what a directory that exists now is known from here on.
pub(super) fn note_inode(record: &mut RecordedDirectory) -> Result<(), CgroupError> {
    let path = &record.path;
    let error = |source| CgroupError::Call { call: "stat", path: path.clone(), source };
    record.inode = file::inode(path).map_err(error)?;
    Ok(())
}

pub(super) enum Entrance {
    Clone(OwnedFd),
    Write(OwnedFd),
}

pub(super) fn configure(
    plan: &DirectoryPlan,
    record: &RecordedDirectory,
    warnings: &mut Vec<Warning>,
) -> Result<Entrance, CgroupError> {
    let path = &record.path;
    let call = |call, path: PathBuf, source| CgroupError::Call { call, path, source };
    if plan.hierarchy == Hierarchy::V2 {
        warnings.extend(enable_controllers(plan, record)?);
    }
    if plan.inherit_cpuset {
        fill_cpuset(plan, record)?;
    }
    let procs = path.join("cgroup.procs");
    let bare = plan.writes.is_empty() && plan.devices.is_none() && !plan.clone_into;
    if !bare {
        let directory = file::open_directory(path).map_err(|source| call("open", path.clone(), source))?;
        write_all(&directory, path, &plan.writes)?;
        if plan.clone_into {
            return Ok(Entrance::Clone(directory));
        }
        if let Some(filter) = &plan.devices {
            apply_device_filter(&directory, path, filter)?;
        }
    }
    file::open_write_path(&procs).map(Entrance::Write).map_err(|source| call("open", procs, source))
}

/// Gives a v2 directory to the container's user, once its limits are written. One that was there before stays whose it is.
pub(super) fn delegate(owner: Option<&OwnerPlan>, record: &RecordedDirectory) -> Result<(), CgroupError> {
    let Some(owner) = owner.filter(|_| record.made && record.hierarchy == Hierarchy::V2) else {
        return Ok(());
    };
    let path = &record.path;
    let call = |source| CgroupError::Call { call: "open", path: path.clone(), source };
    let directory = file::open_directory(path).map_err(call)?;
    change_owner(directory.as_fd(), path, owner)
}

/// Writes values in their order; successive ones of one file through one descriptor.
pub(super) fn write_all(directory: &OwnedFd, path: &Path, writes: &[Write]) -> Result<(), CgroupError> {
    let mut open: Option<(&str, OwnedFd)> = None;
    for write in writes {
        let mut value = &write.value;
        let mut name = &*write.file;
        if open.as_ref().is_none_or(|(file, _)| *file != name) {
            let mut opened = file::open_write(directory, name);
            if let Err(error) = &opened
                && is_errno(error, Errno::NOENT)
            {
                match &write.missing {
                    Missing::Error => {}
                    Missing::Ignore => continue,
                    Missing::Instead { file, value: other } => {
                        (name, value) = (file, other);
                        opened = file::open_write(directory, name);
                    }
                }
            }
            open = Some((name, opened.map_err(|source| write_error(path, name, value, write, source))?));
        }
        if let Some((_, file)) = &open {
            file::write_descriptor(file, value)
                .map_err(|source| write_error(path, name, value, write, source))?;
        }
    }
    Ok(())
}

fn write_error(path: &Path, name: &str, value: &str, write: &Write, source: std::io::Error) -> CgroupError {
    CgroupError::Write {
        path: path.join(name),
        value: value.to_owned(),
        pointer: write.pointer.clone(),
        source,
    }
}

/// v1: the two files; v2: a program.
pub(super) fn apply_device_filter(
    directory: &OwnedFd,
    path: &Path,
    filter: &DeviceFilter,
) -> Result<(), CgroupError> {
    match filter {
        DeviceFilter::Program(plans) => {
            let rules: Vec<DeviceRule> = plans.iter().map(|plan| plan.rule).collect();
            let Some(program) = device_program(&rules) else { return Ok(()) };
            let error = |call, source| CgroupError::DeviceFilter { call, path: path.into(), source };
            let program = sys::load_device_filter(&program).map_err(|source| error("load", source))?;
            sys::attach_device_filter(directory.as_fd(), program.as_fd(), None)
                .map_err(|source| error("attach", source))
        }
        DeviceFilter::Files { allow, exceptions } => {
            let file = |allow| if allow { "devices.allow" } else { "devices.deny" };
            let default = Write {
                file: file(*allow).to_owned(),
                value: "a".to_owned(),
                pointer: "/linux/resources/devices".to_owned(),
                missing: Missing::Error,
            };
            let exceptions = exceptions.iter().map(|plan| Write {
                file: file(plan.rule.allow).to_owned(),
                value: Line(&plan.rule).to_string(),
                pointer: plan.pointer.clone().unwrap_or_else(|| "the default device rules".to_owned()),
                missing: Missing::Error,
            });
            let writes: Vec<Write> = std::iter::once(default).chain(exceptions).collect();
            write_all(directory, path, &writes)
        }
    }
}

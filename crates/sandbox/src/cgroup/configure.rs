//! What is done to a cgroup that was made, before a process is in it: controllers, limits, the device filter, its owner.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use spec::config::DeviceRule;

use super::bpf::device_program;
use super::device::Line;
use super::device_plan::DeviceFilter;
use super::error::CgroupError;
use super::file::{self, is_errno};
use super::owner::{OwnerPlan, change_owner};
use super::plan::DirectoryPlan;
use super::planner::{Missing, Write};
use super::record::{Hierarchy, RecordedDirectory};
use super::subtree::{enable_controllers, fill_cpuset};
use super::sys;
use crate::Warning;

/// Notes by what a directory that exists now is known from here on.
pub(super) fn note_inode(record: &mut RecordedDirectory) -> Result<(), CgroupError> {
    let path = &record.path;
    let error = |source| CgroupError::Call { call: "stat", path: path.clone(), source };
    record.inode = file::inode(path).map_err(error)?;
    Ok(())
}

/// How a process gets into it.
pub(super) enum Entrance {
    Clone(OwnedFd),
    Write(OwnedFd),
}

/// Writes the limits, and on v1 the filter, of a directory that is there.
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
        if record.made {
            write_all(&directory, path, &plan.writes)?;
        } else {
            write_in_rounds(plan.writes.iter().collect(), &mut Vec::new(), |write| {
                write_all(&directory, path, std::slice::from_ref(*write))
            })?;
        }
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

/// Writes in order. Into a cgroup that has limits, some values fit only after others: memory is at most memory and swap, a
/// burst at most the quota, a cpuset not empty. What is refused is tried again after the rest, for as long as one of a
/// round is taken.
pub(super) fn write_in_rounds<T>(
    mut pending: Vec<T>,
    written: &mut Vec<T>,
    write: impl Fn(&T) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    loop {
        let (mut refused, mut first) = (Vec::new(), None);
        let count = pending.len();
        for one in pending {
            match write(&one) {
                Ok(()) => written.push(one),
                Err(error) => {
                    first.get_or_insert(error);
                    refused.push(one);
                }
            }
        }
        match first {
            None => return Ok(()),
            Some(error) if refused.len() == count => return Err(error),
            Some(_) => pending = refused,
        }
    }
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

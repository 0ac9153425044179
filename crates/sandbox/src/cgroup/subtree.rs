//! What a v2 cgroup's children get from above: controllers, enabled top-down in `cgroup.subtree_control`; and what a v1
//! cpuset gets: the parent's CPUs and memory nodes.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

use super::error::CgroupError;
use super::file::{self, is_errno};
use super::plan::DirectoryPlan;
use super::record::RecordedDirectory;
use crate::Warning;

type Names = BTreeSet<String>;

/// Enables the plan's controllers for the container's cgroup everywhere above it: those that limits need, and the others where
/// that can be, so that what the container uses is counted. Reads no more than it must: usually the parent has them all.
pub(super) fn enable_controllers(
    plan: &DirectoryPlan,
    record: &RecordedDirectory,
) -> Result<Vec<Warning>, CgroupError> {
    let required: Names = plan.required_controllers.keys().cloned().collect();
    let mut wanted = required.clone();
    wanted.extend(plan.offered_controllers.iter().cloned());
    let mut enabling = Enabling { plan, record, required, warnings: Vec::new() };
    if wanted.is_empty() {
        return Ok(enabling.warnings);
    }
    let parent = plan.components.len() - 1;
    let enabled = enabling.enable(parent, &wanted)?;
    match enabling.required.difference(&enabled).next() {
        Some(controller) => Err(enabling.error(controller, parent, None)),
        None => Ok(enabling.warnings),
    }
}

impl super::Cgroup {
    /// Enables every controller of the v2 cgroup for those below it: for one that has none of the processes itself.
    pub(crate) fn offer_controllers(&self) -> Vec<Warning> {
        let v2 = self.record.directories.iter().find(|it| it.hierarchy == super::Hierarchy::V2);
        let Some(directory) = v2 else { return Vec::new() };
        let available = file::read_path(&directory.path.join("cgroup.controllers")).unwrap_or_default();
        let control = directory.path.join("cgroup.subtree_control");
        let enable = |controller: &str| {
            let file = file::open_write_path(&control)?;
            file::write_descriptor(file, &format!("+{controller}"))
        };
        let warn = |controller: &str, error: &io::Error| Warning {
            pointer: None,
            message: format!(
                "controller {controller} is not enabled in {}: {}",
                control.display(),
                crate::error::reason(error)
            ),
        };
        let names = available.split_whitespace();
        names.filter_map(|name| enable(name).err().map(|error| warn(name, &error))).collect()
    }
}

struct Enabling<'a> {
    plan: &'a DirectoryPlan,
    record: &'a RecordedDirectory,
    required: Names,
    warnings: Vec<Warning>,
}

impl Enabling<'_> {
    /// Enables in the ancestor at a depth; returns which of those wanted are enabled there.
    fn enable(&mut self, depth: usize, wanted: &Names) -> Result<Names, CgroupError> {
        let path = self.plan.path_at(depth).join("cgroup.subtree_control");
        let made = is_made(self.plan, self.record, depth);
        let call = |call, source| CgroupError::Call { call, path: path.clone(), source };
        let (file, mut enabled) = if made {
            (file::open_write_path(&path), Names::new())
        } else {
            let (file, read) = match file::open_read(CWD, &path.to_string_lossy(), OFlags::RDWR) {
                Ok(file) => {
                    let read = file::read_descriptor(&file);
                    (Ok(file), read)
                }
                Err(error) => (Err(error), file::read_path(&path)),
            };
            let text = read.map_err(|source| call("read", source))?;
            (file, text.split_whitespace().map(str::to_owned).collect())
        };
        let mut missing: Names = wanted.difference(&enabled).cloned().collect();
        // What can't be passed on here need not be asked for above.
        if file.is_err() && depth > 0 {
            missing = missing.intersection(&self.required).cloned().collect();
        }
        if !missing.is_empty() && depth > 0 {
            missing = self.enable(depth - 1, &missing)?;
        }
        if !missing.is_empty() {
            enabled.extend(self.write(depth, file, missing)?);
        }
        Ok(wanted.intersection(&enabled).cloned().collect())
    }

    /// All at once; where that is refused one by one, so that one controller does not keep the others off.
    fn write(&mut self, depth: usize, file: io::Result<OwnedFd>, names: Names) -> Result<Names, CgroupError> {
        let file = match file {
            Ok(file) => file,
            Err(error) => return self.refused(depth, names, &error).map(|()| Names::new()),
        };
        let all: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
        if file::write_descriptor(&file, &all.join(" ")).is_ok() {
            return Ok(names);
        }
        let mut enabled = Names::new();
        for name in names {
            match file::write_descriptor(&file, &format!("+{name}")) {
                Ok(()) => {
                    enabled.insert(name);
                }
                Err(error) => self.refused(depth, Names::from([name]), &error)?,
            }
        }
        Ok(enabled)
    }

    fn refused(&mut self, depth: usize, names: Names, error: &io::Error) -> Result<(), CgroupError> {
        let again = || error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        if let Some(name) = names.intersection(&self.required).next() {
            return Err(self.error(name, depth, Some(again())));
        }
        // Of a directory that was there before, others decide: it may have processes, or be a threaded one.
        if depth > 0 && !is_made(self.plan, self.record, depth) {
            return Ok(());
        }
        let names: Vec<String> = names.into_iter().collect();
        self.warnings.push(Warning {
            pointer: None,
            message: format!(
                "cgroup controllers not enabled in {} (no limit needs them): {}: {}",
                self.plan.path_at(depth).display(),
                names.join(" "),
                again(),
            ),
        });
        Ok(())
    }

    fn error(&self, controller: &str, depth: usize, source: Option<io::Error>) -> CgroupError {
        CgroupError::Controller {
            controller: controller.to_owned(),
            path: self.plan.path_at(depth),
            pointer: self.plan.required_controllers.get(controller).cloned().unwrap_or_default(),
            source,
        }
    }
}

/// Whether the ancestor at a depth was made for this container.
fn is_made(plan: &DirectoryPlan, record: &RecordedDirectory, depth: usize) -> bool {
    let below = plan.components.len() - depth;
    if below == 0 { record.made } else { below <= record.made_parents.len() }
}

/// Fills the cpuset files that the plan does not write, here and in the parents, from above where they are empty:
/// else no process can enter (cpusets(7)).
pub(super) fn fill_cpuset(plan: &DirectoryPlan, record: &RecordedDirectory) -> Result<(), CgroupError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let depth = plan.components.len();
        let written = plan.writes.iter().any(|write| write.file == name);
        inherit(plan, record, name, if written { depth - 1 } else { depth })?;
    }
    Ok(())
}

fn inherit(
    plan: &DirectoryPlan,
    record: &RecordedDirectory,
    name: &str,
    depth: usize,
) -> Result<String, CgroupError> {
    let path = plan.path_at(depth).join(name);
    if !is_made(plan, record, depth) || depth == 0 {
        let value = file::read_path(&path).map_err(|source| CgroupError::Call {
            call: "read",
            path: path.clone(),
            source,
        })?;
        if !value.trim().is_empty() || depth == 0 {
            return Ok(value.trim().to_owned());
        }
    }
    let value = inherit(plan, record, name, depth - 1)?;
    let open = file::open_write_path(&path);
    match open.and_then(|file| file::write_descriptor(file, &value)) {
        Ok(()) => Ok(value),
        // A list below a parent that was emptied meanwhile is no list: say what was tried.
        Err(source) => Err(CgroupError::Write {
            path,
            value,
            pointer: if is_errno(&source, Errno::INVAL) {
                "the parent's, which is empty"
            } else {
                "the parent's"
            }
            .to_owned(),
            source,
        }),
    }
}

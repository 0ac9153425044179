//! Making a container's cgroups: claim, directories, controllers, limits, device filter, descriptors to enter by.
//!
//! Runs in the runtime, before init exists. Where a step does not succeed, what was made is removed again.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::configure::{Entrance, apply_device_filter, configure, delegate, note_inode};
use super::error::CgroupError;
use super::file::{self, is_errno, is_gone};
use super::handle::{Cgroup, read_processes, shows_frozen};
use super::plan::{CgroupPlan, DirectoryPlan};
use super::record::{CgroupRecord, Hierarchy, RecordedDirectory};
use super::scope;
use crate::Outcome;

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

/// A cgroup below one that is frozen is frozen from its first moment on: a process that begins in it would never get to
/// say so, nor the runtime, which waits for its execve.
fn check_thawed(record: &RecordedDirectory) -> Result<(), CgroupError> {
    let path = &record.path;
    let (file, frozen) = match &record.hierarchy {
        Hierarchy::V2 => ("cgroup.events", "frozen 1"),
        Hierarchy::V1(_) if record.hierarchy.is_v1_with("freezer") => ("freezer.state", "FROZEN"),
        Hierarchy::V1(_) => return Ok(()),
    };
    match file::read_path(&path.join(file)) {
        Ok(text) if text.lines().any(|line| line == frozen) => {
            Err(CgroupError::Frozen { path: path.clone() })
        }
        Ok(_) => Ok(()),
        Err(source) if is_errno(&source, Errno::NOENT) => Ok(()),
        Err(source) => Err(CgroupError::Call { call: "read", path: path.join(file), source }),
    }
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
            if record.made && plan.components.len() > 1 {
                check_thawed(record)?;
            }
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

/// How often a directory is tried whose parents go meanwhile.
const ATTEMPTS: usize = 16;

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
            self.make_directory(record, &path)?;
            self.made.push(path);
        }
        Ok(())
    }

    /// Makes a directory. A parent may go meanwhile, with the last container of whoever made it: then it is made again.
    fn make_directory(&mut self, record: &mut RecordedDirectory, path: &Path) -> Result<(), CgroupError> {
        for _ in 0..ATTEMPTS {
            match file::make_directory(path) {
                Err(error) if is_gone(&error) => self.make_parents_again(record, path)?,
                made => {
                    return made.map_err(|source| CgroupError::Call {
                        call: "mkdir",
                        path: path.into(),
                        source,
                    });
                }
            }
        }
        Err(CgroupError::Call { call: "mkdir", path: path.into(), source: Errno::NOENT.into() })
    }

    fn make_parents_again(&mut self, record: &mut RecordedDirectory, path: &Path) -> Result<(), CgroupError> {
        let below = |parent: &&Path| **parent != record.mount_point;
        let parents: Vec<PathBuf> =
            path.ancestors().skip(1).take_while(below).map(Path::to_path_buf).collect();
        for parent in parents.into_iter().rev() {
            match file::make_directory(&parent) {
                Ok(()) => {
                    self.made.push(parent.clone());
                    // The innermost first.
                    record.made_parents.insert(0, parent);
                }
                Err(error) if is_errno(&error, Errno::EXIST) || is_gone(&error) => {}
                Err(source) => return Err(CgroupError::Call { call: "mkdir", path: parent, source }),
            }
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

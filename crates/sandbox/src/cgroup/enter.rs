//! Entering a container's cgroups later: for a process that joins the container.
//!
//! Runs in the runtime.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use super::error::CgroupError;
use super::file::{self, is_gone};
use super::handle::Cgroup;
use super::permission::may_write;
use super::record::{CgroupRecord, Hierarchy, RecordedDirectory};
use super::systemd;
use super::systemd::session::Session;

/// How the v2 cgroup is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// By the clone.
    Clone,
    /// By the process itself, that writes: something comes before, or the cgroup is frozen, and who clones into that one
    /// stands still too.
    Write,
    /// By systemd, which moves the process while that waits.
    Systemd,
}

/// A cgroup below the container's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubCgroup {
    /// In the hierarchies of these v1 controllers; none is in all.
    pub controllers: Vec<String>,
    /// Relative to the container's cgroup.
    pub path: PathBuf,
}

impl SubCgroup {
    /// The path's components: none leads out.
    fn below(&self) -> Result<PathBuf, CgroupError> {
        let mut below = PathBuf::new();
        for component in self.path.components() {
            match component {
                Component::Normal(name) => below.push(name),
                Component::CurDir | Component::RootDir => {}
                _ => return Err(self.refuse("it leads out of the container's cgroup")),
            }
        }
        Ok(below)
    }

    fn refuse(&self, reason: impl Into<String>) -> CgroupError {
        CgroupError::SubCgroup { path: self.path.clone(), reason: reason.into() }
    }

    /// Changes the directories of a record that it concerns.
    fn apply(&self, record: &mut CgroupRecord) -> Result<(), CgroupError> {
        let below = self.below()?;
        if self.controllers.is_empty() {
            record.directories.iter_mut().for_each(|directory| directory.path.push(&below));
            return Ok(());
        }
        let mut changed = Vec::new();
        for controller in &self.controllers {
            let has = |directory: &RecordedDirectory| directory.hierarchy.is_v1_with(controller);
            let Some(index) = record.directories.iter().position(has) else {
                return Err(self.refuse(format!("unknown controller {controller}")));
            };
            if !changed.contains(&index) {
                record.directories[index].path.push(&below);
                changed.push(index);
            }
        }
        Ok(())
    }
}

impl CgroupRecord {
    /// Whether only the user's systemd brings a process of this runtime's into the scope: to enter is to move out of the
    /// nearest cgroup that has both in it, and a user logged in is in a scope of the system's systemd (cgroups(7),
    /// "Delegation containment").
    ///
    /// # Errors
    /// The runtime's own cgroup can't be read.
    pub fn is_out_of_reach(&self) -> Result<bool, CgroupError> {
        let of_user = |unit: &super::record::UnitRecord| matches!(unit.session, Session::User(_));
        let directory = self.directories.iter().find(|directory| directory.hierarchy == Hierarchy::V2);
        let (Some(directory), true) = (directory, self.unit.as_ref().is_some_and(of_user)) else {
            return Ok(false);
        };
        let own = v2_directory_of("self", &directory.mount_point)?;
        let common = directory.path.ancestors().find(|above| own.starts_with(above));
        let common = common.filter(|common| common.starts_with(&directory.mount_point));
        Ok(common.is_none_or(|common| may_write(&common.join("cgroup.procs")).is_err()))
    }
}

impl Cgroup {
    /// The cgroups of a record, or those below it, and the descriptors for a process to enter by.
    ///
    /// # Errors
    /// [`CgroupError::SubCgroup`]; the record is not well-formed; a directory can't be opened, or isn't there.
    pub fn open_to_enter(
        mut record: CgroupRecord,
        below: &[SubCgroup],
        entrance: Entrance,
    ) -> Result<Self, CgroupError> {
        below.iter().try_for_each(|below| below.apply(&mut record))?;
        let mut cgroup = Self::open(record)?;
        if entrance == Entrance::Systemd {
            return Ok(cgroup);
        }
        for directory in &cgroup.record.directories {
            let path = &directory.path;
            let error = |source| CgroupError::Enter { path: path.clone(), source };
            if directory.hierarchy == Hierarchy::V2 && entrance == Entrance::Clone {
                cgroup.v2 = match file::open_directory(path) {
                    // Init may have gone elsewhere and removed it: see `follow_init`.
                    Err(gone) if is_gone(&gone) && below.is_empty() => None,
                    opened => Some(opened.map_err(error)?),
                };
            } else {
                cgroup.procs.push(file::open_write_path(&path.join("cgroup.procs")).map_err(error)?);
            }
        }
        Ok(cgroup)
    }

    /// Has systemd move a process, which waits, into the scope or a cgroup below it.
    ///
    /// # Errors
    /// [`CgroupError::Systemd`]; [`CgroupError::SubCgroup`].
    pub fn admit_by_systemd(&self, pid: i32, below: &[SubCgroup]) -> Result<(), CgroupError> {
        let Some(unit) = &self.record.unit else { return Ok(()) };
        let path = below.iter().map(SubCgroup::below).collect::<Result<PathBuf, _>>()?;
        let below = if path == Path::new("") { String::new() } else { format!("/{}", path.display()) };
        systemd::attach(unit, &below, pid, Instant::now() + systemd::DEADLINE)
    }

    /// Takes the v2 cgroup that init is in now in place of the recorded one, which can't take processes: init moved
    /// itself, to give controllers to cgroups of its own.
    ///
    /// # Errors
    /// It can't be found, or not opened.
    pub fn follow_init(&mut self, init: i32) -> Result<(), CgroupError> {
        let Some(directory) = self.record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2) else {
            return Ok(());
        };
        let path = v2_directory_of(&init.to_string(), &directory.mount_point)?;
        self.v2 = Some(open_inside(&directory.mount_point, &path)?);
        Ok(())
    }
}

/// The v2 cgroup that `/proc/PROCESS/cgroup` has a process in (cgroups(7)), below where v2 is mounted.
fn v2_directory_of(process: &str, mount_point: &Path) -> Result<PathBuf, CgroupError> {
    let path = PathBuf::from(format!("/proc/{process}/cgroup"));
    let text =
        file::read_list_path(&path).map_err(|source| CgroupError::Call { call: "read", path, source })?;
    let below = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(mount_point.join(below))
}

/// A cgroup of a hierarchy; init's name for it may lead out where the runtime sees a part of it alone.
fn open_inside(mount_point: &Path, path: &Path) -> Result<OwnedFd, CgroupError> {
    if path == mount_point || path.components().any(|component| component == Component::ParentDir) {
        return Err(CgroupError::Record { path: path.into(), mount_point: mount_point.into() });
    }
    file::open_directory(path).map_err(|source| CgroupError::Call { call: "open", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CgroupRecord {
        let directory = |hierarchy, path: &str| RecordedDirectory {
            inode: 0,
            hierarchy,
            mount_point: "/c".into(),
            path: path.into(),
            made: true,
            made_parents: Vec::new(),
        };
        let v1 = |names: &[&str]| Hierarchy::V1(names.iter().map(|name| (*name).to_owned()).collect());
        let directories = vec![
            directory(v1(&["cpu", "cpuacct"]), "/c/cpu/x"),
            directory(v1(&["pids"]), "/c/pids/x"),
            directory(Hierarchy::V2, "/c/unified/x"),
        ];
        CgroupRecord { mode: None, directories, unit: None }
    }

    fn paths(controllers: &[&str], path: &str) -> Result<Vec<String>, String> {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        let mut record = record();
        SubCgroup { controllers, path: path.into() }.apply(&mut record).map_err(|error| error.to_string())?;
        Ok(record.directories.iter().map(|it| it.path.display().to_string()).collect())
    }

    #[test]
    fn sub_cgroup_is_below_the_container() {
        assert_eq!(paths(&[], "a/b").unwrap(), ["/c/cpu/x/a/b", "/c/pids/x/a/b", "/c/unified/x/a/b"]);
        assert_eq!(paths(&[], "/a/./b").unwrap(), ["/c/cpu/x/a/b", "/c/pids/x/a/b", "/c/unified/x/a/b"]);
        assert_eq!(paths(&["cpuacct", "cpu"], "a").unwrap(), ["/c/cpu/x/a", "/c/pids/x", "/c/unified/x"]);
    }

    #[test]
    fn sub_cgroup_elsewhere_refused() {
        for path in ["..", "../y", "a/../../y", "/../y"] {
            let error = paths(&[], path).unwrap_err();
            assert_eq!(error, format!("bad sub cgroup path: {path}: it leads out of the container's cgroup"));
        }
        assert!(paths(&["memory"], "a").unwrap_err().contains("unknown controller memory"));
    }
}

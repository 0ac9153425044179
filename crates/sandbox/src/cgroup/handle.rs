//! The handle of a container's cgroups: entering, looking in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::device_plan::DeviceFilter;
use super::error::CgroupError;
use super::file::{self, is_errno, is_gone};
use super::plan::CgroupPlan;
use super::record::{CgroupRecord, Hierarchy, RecordedDirectory};
use super::threaded::read_processes_of_threads;

/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC`, linux/magic.h.
const MAGIC: [u64; 2] = [0x27_e0eb, 0x6367_7270];

/// A container's cgroups, one for each hierarchy of the host.
///
/// Dropping it changes nothing: [`Cgroup::remove`] does.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) record: CgroupRecord,
    pub(super) v2: Option<OwnedFd>,
    pub(super) procs: Vec<OwnedFd>,
    /// v2: what is still to be attached.
    pub(super) unattached: Option<DeviceFilter>,
    /// systemd: what is to be made around init.
    pub(super) unstarted: Option<CgroupPlan>,
}

impl Cgroup {
    /// The cgroups of a record, to look into, kill, freeze, remove. Opens nothing: they may be gone.
    ///
    /// # Errors
    /// [`CgroupError::Record`]: a directory is not strictly below its mount point.
    pub fn open(record: CgroupRecord) -> Result<Self, CgroupError> {
        for directory in &record.directories {
            let RecordedDirectory { path, mount_point, made_parents, .. } = directory;
            let below = |path: &Path| {
                let rest = path.strip_prefix(mount_point);
                rest.is_ok_and(|rest| {
                    rest != Path::new("") && rest.components().all(|it| matches!(it, Component::Normal(_)))
                })
            };
            if let Some(path) = std::iter::once(path).chain(made_parents).find(|path| !below(path)) {
                return Err(CgroupError::Record { path: path.clone(), mount_point: mount_point.clone() });
            }
        }
        Ok(Self { record, v2: None, procs: Vec::new(), unattached: None, unstarted: None })
    }

    /// What to store.
    pub const fn record(&self) -> &CgroupRecord {
        &self.record
    }

    /// The v2 cgroup for `clone3(CLONE_INTO_CGROUP)` (an `O_PATH` descriptor). `None` where there is none, or where
    /// nothing can be cloned into it (limit of 0 processes): then it is among [`Cgroup::procs_fds`].
    pub fn v2_fd(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(AsFd::as_fd)
    }

    /// `cgroup.procs` of each of the others, open for writing: a process that writes `0` enters (cgroups(7)).
    pub fn procs_fds(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.procs.iter().map(AsFd::as_fd)
    }

    /// The directory in which all of the container's processes are: v2's, else the freezer's, else any.
    pub(super) fn primary(&self) -> Option<&RecordedDirectory> {
        let directories = &self.record.directories;
        let v2 = directories.iter().find(|it| it.hierarchy == Hierarchy::V2);
        v2.or_else(|| self.freezer()).or_else(|| directories.first())
    }

    /// The directory in the v1 freezer's hierarchy.
    pub(super) fn freezer(&self) -> Option<&RecordedDirectory> {
        self.record.directories.iter().find(|it| it.hierarchy.is_v1_with("freezer"))
    }

    /// The processes in the cgroup and in those below it, ascending.
    ///
    /// # Errors
    /// It can't be read. A missing cgroup has none.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        match self.primary() {
            Some(directory) => processes_of(directory),
            None => Ok(Vec::new()),
        }
    }
}

/// The processes in one recorded directory.
pub(super) fn processes_of(directory: &RecordedDirectory) -> Result<Vec<i32>, CgroupError> {
    let Some(open) = open_cgroup(directory)? else { return Ok(Vec::new()) };
    read_processes(open.as_fd()).map_err(|source| CgroupError::Call {
        call: "read",
        path: directory.path.clone(),
        source,
    })
}

/// Opens a recorded directory; `None` where it is gone, also where another cgroup has been made at its path since. It must
/// be in a cgroup file system: what is there may be something else by now.
pub(super) fn open_cgroup(directory: &RecordedDirectory) -> Result<Option<OwnedFd>, CgroupError> {
    let error = |source| CgroupError::Call { call: "open", path: directory.path.clone(), source };
    let open = match file::open_directory(&directory.path) {
        Ok(open) => open,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(source) => return Err(error(source)),
    };
    if directory.inode != 0 && file::inode_of(open.as_fd()).map_err(error)? != directory.inode {
        return Ok(None);
    }
    if MAGIC.contains(&file::filesystem(open.as_fd()).map_err(error)?) {
        Ok(Some(open))
    } else {
        Err(CgroupError::Record { path: directory.path.clone(), mount_point: directory.mount_point.clone() })
    }
}

/// The processes in a cgroup and in those below it, ascending, each once. A cgroup that vanishes meanwhile has none.
pub(super) fn read_processes(directory: BorrowedFd<'_>) -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    collect_processes(directory, &mut pids)?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn collect_processes(directory: BorrowedFd<'_>, pids: &mut Vec<i32>) -> io::Result<()> {
    let read = file::open_read(directory, "cgroup.procs", OFlags::RDONLY).and_then(file::read_list);
    match read {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) if is_errno(&error, Errno::OPNOTSUPP) => {
            pids.extend(read_processes_of_threads(directory)?);
        }
        Err(error) => return Err(error),
    }
    for_each_below(directory, &mut |below| collect_processes(below, pids))
}

/// Calls for each cgroup directly below.
pub(super) fn for_each_below(
    directory: BorrowedFd<'_>,
    call: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let names = match file::read_subdirectories(directory) {
        Err(error) if is_gone(&error) => return Ok(()),
        names => names?,
    };
    for name in names {
        match file::open_subdirectory(directory, &name) {
            Ok(below) => call(below.as_fd())?,
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether processes in this cgroup stand still, or would.
pub(super) fn shows_frozen(hierarchy: &Hierarchy, directory: BorrowedFd<'_>) -> io::Result<bool> {
    let frozen = match hierarchy {
        Hierarchy::V2 => file::read_file(directory, "cgroup.freeze").map(|text| text.trim() == "1"),
        Hierarchy::V1(_) if hierarchy.is_v1_with("freezer") => {
            file::read_file(directory, "freezer.state").map(|text| text.trim() != "THAWED")
        }
        Hierarchy::V1(_) => Ok(false),
    };
    match frozen {
        Err(error) if is_gone(&error) => Ok(false),
        frozen => frozen,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn directory_of_another_file_system_refused_whatever_its_inode() {
        let mount_point = std::env::temp_dir();
        let path = mount_point.join(format!("cgroup-handle-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let inode = path.metadata().unwrap().ino();
        for inode in [0, inode] {
            let directory = RecordedDirectory {
                inode,
                hierarchy: Hierarchy::V2,
                mount_point: mount_point.clone(),
                path: path.clone(),
                made: true,
                made_parents: Vec::new(),
            };
            let record = CgroupRecord { mode: None, directories: vec![directory], unit: None };
            let refused = Cgroup::open(record).unwrap().processes().unwrap_err();
            assert!(matches!(refused, CgroupError::Record { .. }), "{refused}");
        }
        std::fs::remove_dir(&path).unwrap();
    }
}

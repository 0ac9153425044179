//! Removing a container's cgroups, with those that it made below them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::error::CgroupError;
use super::file::{self, is_errno, is_gone};
use super::handle::{Cgroup, open_cgroup, processes_of};
use super::kill::wait_empty;
use super::record::{Hierarchy, RecordedDirectory};

impl Cgroup {
    /// Removes the directories that the record says were made, bottom-up, and all cgroups below the container's. Kills
    /// nobody: waits for processes that are ending. Missing directories are no error.
    ///
    /// # Errors
    /// [`CgroupError::StillPopulated`] where at the deadline a process is in it, one that is not the container's for
    /// example; or the kernel refuses. What could be removed is; calling again goes on.
    pub fn remove(&self, deadline: Instant) -> Result<(), CgroupError> {
        if let Some(unit) = &self.record.unit {
            return self.remove_unit(unit, deadline);
        }
        // v2 first: there the kernel tells when it is empty, and who has left it has left the others.
        let is_v2 = |directory: &&RecordedDirectory| directory.hierarchy == Hierarchy::V2;
        let (v2, v1): (Vec<_>, Vec<_>) = self.record.directories.iter().partition(is_v2);
        let mut result = Ok(());
        for directory in v2.into_iter().chain(v1) {
            let removed = remove_directory(directory, deadline);
            if result.is_ok() {
                result = removed;
            }
        }
        result
    }
}

pub(super) fn remove_directory(directory: &RecordedDirectory, deadline: Instant) -> Result<(), CgroupError> {
    let error =
        |path: &std::path::Path, source| CgroupError::Call { call: "rmdir", path: path.into(), source };
    if is_replaced(directory).map_err(|source| error(&directory.path, source))? {
        return Ok(());
    }
    // Most often it is empty: one call.
    let removed =
        if directory.made { file::remove_directory_path(&directory.path) } else { Err(Errno::BUSY.into()) };
    match removed {
        Ok(()) => {}
        Err(error) if is_gone(&error) => {}
        Err(busy) if is_errno(&busy, Errno::BUSY) => remove_busy(directory, deadline)?,
        Err(source) => return Err(error(&directory.path, source)),
    }
    for parent in &directory.made_parents {
        match file::remove_directory_path(parent) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => {}
            // Another container is in it.
            Err(busy) if is_errno(&busy, Errno::BUSY) || is_errno(&busy, Errno::NOTEMPTY) => break,
            Err(source) => return Err(error(parent, source)),
        }
    }
    Ok(())
}

/// Whether the container's is gone, and another's is at its path.
fn is_replaced(directory: &RecordedDirectory) -> io::Result<bool> {
    if directory.inode == 0 {
        return Ok(false);
    }
    match file::inode(&directory.path) {
        Ok(inode) => Ok(inode != directory.inode),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// One that has cgroups below it, or processes in it.
fn remove_busy(directory: &RecordedDirectory, deadline: Instant) -> Result<(), CgroupError> {
    let error = |source| CgroupError::Call { call: "rmdir", path: directory.path.clone(), source };
    let mut pause = Duration::from_micros(50);
    loop {
        let Some(open) = open_cgroup(directory)? else { return Ok(()) };
        let cleared = remove_below(open.as_fd()).map_err(error)?;
        if directory.made {
            match file::remove_directory_path(&directory.path) {
                Ok(()) => return Ok(()),
                Err(error) if is_gone(&error) => return Ok(()),
                Err(busy) if is_errno(&busy, Errno::BUSY) => {}
                Err(source) => return Err(error(source)),
            }
        } else if cleared && processes_of(directory)?.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::StillPopulated {
                path: directory.path.clone(),
                pids: processes_of(directory)?,
            });
        }
        wait_empty(directory, deadline)?;
        // Empty, and yet busy a moment ago: that passes without notice.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Removes all cgroups below; `false` where one has processes.
fn remove_below(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let names = match file::read_subdirectories(directory) {
        Err(error) if is_gone(&error) => return Ok(true),
        names => names?,
    };
    let mut cleared = true;
    for name in names {
        match file::remove_directory(directory, &name) {
            Ok(()) => continue,
            Err(error) if is_gone(&error) => continue,
            Err(error) if is_errno(&error, Errno::BUSY) => {}
            Err(error) => return Err(error),
        }
        match file::open_subdirectory(directory, &name) {
            Ok(below) => {
                remove_below(below.as_fd())?;
            }
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        }
        match file::remove_directory(directory, &name) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) if is_errno(&error, Errno::BUSY) => cleared = false,
            Err(error) => return Err(error),
        }
    }
    Ok(cleared)
}

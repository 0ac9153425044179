//! Threaded cgroups (cgroups(7), Thread mode): those of v2 among which a process's threads may be spread.
//!
//! Runs in the runtime.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::OFlags;

use super::error::CgroupError;
use super::file;
use super::record::{CgroupRecord, Hierarchy};

/// A cgroup below a threaded one takes no process until it is threaded itself, and can't be a domain: those that were made
/// become it, from above.
///
/// Whether there was such a one.
///
/// # Errors
/// It can't be read or written.
pub(crate) fn make_threaded(record: &CgroupRecord) -> Result<bool, CgroupError> {
    let Some(directory) = record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2) else {
        return Ok(false);
    };
    let mut changed = false;
    let made = directory.made.then_some(&directory.path);
    for path in directory.made_parents.iter().rev().chain(made) {
        let file = path.join("cgroup.type");
        let call = |call, source| CgroupError::Call { call, path: file.clone(), source };
        if file::read_path(&file).map_err(|source| call("read", source))?.trim() == "domain invalid" {
            let open = file::open_write_path(&file).map_err(|source| call("open", source))?;
            file::write_descriptor(open, "threaded").map_err(|source| call("write", source))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The processes that have threads in a threaded cgroup, which lists those alone.
pub(super) fn read_processes_of_threads(directory: BorrowedFd<'_>) -> io::Result<Vec<i32>> {
    let threads = file::read_list(file::open_read(directory, "cgroup.threads", OFlags::RDONLY)?)?;
    let process_of = |thread: &str| {
        // It may be gone by now.
        let status = file::read_path(Path::new(&format!("/proc/{thread}/status"))).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Tgid:")).and_then(|pid| pid.trim().parse().ok())
    };
    Ok(threads.lines().filter_map(process_of).collect())
}

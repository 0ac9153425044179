//! Whether this runtime may make a container's cgroups at all: an ordinary user may, in a subtree that was delegated
//! (cgroups(7), "Delegation").
//!
//! Reads the host; nothing is done. The answer is part of the plan, so that a container without limits can do without.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::{Errno, retry_on_intr};

use super::device_plan::DeviceFilter;
use super::error::CgroupError;
use super::file::{self, is_errno};
use super::hierarchies::Hierarchies;
use super::plan::{CgroupPlan, DirectoryPlan};
use super::record::Hierarchy;

/// What can't be written.
#[derive(Debug)]
pub struct Refusal {
    /// The directory or file.
    pub path: PathBuf,
    /// `EACCES`, `EPERM` or `EROFS`.
    pub source: io::Error,
}

impl CgroupPlan {
    /// The first place that this runtime would have to write to and may not.
    ///
    /// # Errors
    /// The host can't be read.
    pub fn probe_refusal(&self, hierarchies: &Hierarchies) -> Result<Option<Refusal>, CgroupError> {
        for directory in &self.directories {
            for path in written(directory, hierarchies)? {
                if let Err(source) = may_write(&path) {
                    let refused = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
                    if refused.iter().any(|errno| is_errno(&source, *errno)) {
                        return Ok(Some(Refusal { path, source }));
                    }
                    return Err(CgroupError::Call { call: "access", path, source });
                }
            }
        }
        Ok(None)
    }

    /// Leaves out the v2 filter of devices, which only root of the host can attach (bpf(2)). Whether the config asked for
    /// more than the refusal of what isn't listed: in a user namespace no node can be made anyway.
    pub fn drop_device_program(&mut self) -> bool {
        let mut asked = false;
        for directory in &mut self.directories {
            if let Some(DeviceFilter::Program(rules)) = &directory.devices {
                asked |= rules.iter().any(|plan| plan.pointer.is_some() && plan.rule.allow);
                directory.devices = None;
            }
        }
        asked
    }
}

/// Where a process must be let write, to make the cgroup and to enter it.
fn written(plan: &DirectoryPlan, hierarchies: &Hierarchies) -> Result<Vec<PathBuf>, CgroupError> {
    let mut depth = plan.components.len();
    let exists = |path: &Path| {
        file::exists(path).map_err(|source| CgroupError::Call { call: "access", path: path.into(), source })
    };
    while depth > 0 && !exists(&plan.path_at(depth))? {
        depth -= 1;
    }
    let nearest = plan.path_at(depth);
    let whole = depth == plan.components.len();
    let mut paths = vec![if whole { nearest.join("cgroup.procs") } else { nearest }];
    let own = hierarchies.v2.as_ref().and_then(|v2| v2.own_path.as_deref());
    if let (Hierarchy::V2, Some(own)) = (&plan.hierarchy, own) {
        // To enter is to move: out of the nearest cgroup that has both in it.
        let own = own.split('/').filter(|part| !part.is_empty());
        let common = own.zip(&plan.components).take_while(|(own, planned)| own == *planned).count();
        paths.push(plan.path_at(common).join("cgroup.procs"));
    }
    Ok(paths)
}

pub(super) fn may_write(path: &Path) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS))?)
}

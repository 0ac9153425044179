//! A cgroup that is a scope of systemd's: made around init, ended.
//!
//! The scope's name is recorded before it is started. Until the record says that it was, a unit of that name may be
//! another's: its description tells.
//!
//! systemd makes the scope's cgroups where it makes any. In the v1 hierarchies that it leaves alone they are made here, at
//! the same path, and init is moved into them.

use std::time::{Instant, SystemTime};

use super::configure::{Entrance, configure, delegate, note_inode};
use super::error::CgroupError;
use super::file::{self, is_gone};
use super::handle::Cgroup;
use super::kill::wait_empty;
use super::record::{RecordedDirectory, UnitRecord, Version};
use super::remove::remove_directory;
use super::systemd;
use super::systemd::unit::UnitPlan;
use crate::Warning;

/// What is recorded of a scope before it is started.
pub(super) fn record_unit(plan: &UnitPlan) -> UnitRecord {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = plan.unit.clone();
    let container = name.strip_suffix(".scope").unwrap_or(&name);
    // No other has this description: not even one of the same name, of another state root.
    let description = format!("container {container} {:x}-{:x}", since_1970.as_nanos(), std::process::id());
    UnitRecord { session: plan.session, name, description, started: false }
}

impl Cgroup {
    /// Whether the cgroup is made around a process: that has to wait, and [`Cgroup::admit`] is to be called.
    pub const fn awaits_process(&self) -> bool {
        self.unstarted.is_some()
    }

    /// Makes the cgroup around init, or whoever makes it, which waits, and puts the limits in place. For cgroups that systemd makes; others
    /// are there already.
    ///
    /// # Errors
    /// [`CgroupError::Systemd`], or a limit that the kernel does not take. What was made is for [`Cgroup::remove`].
    pub fn admit(&mut self, pid: i32) -> Result<Vec<Warning>, CgroupError> {
        let Some(plan) = self.unstarted.take() else { return Ok(Vec::new()) };
        let (Some(unit), Some(record)) = (&plan.unit, &mut self.record.unit) else { return Ok(Vec::new()) };
        let control_group = systemd::start(unit, record, pid, Instant::now() + systemd::DEADLINE)?;
        record.started = true;
        let mut warnings = Vec::new();
        for (directory, recorded) in plan.directories.iter().zip(&mut self.record.directories) {
            let actual = directory.mount_point.join(control_group.trim_start_matches('/'));
            if actual != recorded.path {
                return Err(CgroupError::Systemd {
                    call: "StartTransientUnit",
                    unit: record.name.clone(),
                    reason: format!("it is in {}, not in {}", actual.display(), recorded.path.display()),
                });
            }
            if directory.hierarchy.version() == Version::V1 {
                make_directories(recorded)?;
            }
            note_inode(recorded)?;
            let entrance = configure(directory, recorded, &mut warnings)?;
            delegate(plan.owner.as_ref(), recorded)?;
            match entrance {
                Entrance::Clone(opened) => self.v2 = Some(opened),
                Entrance::Write(procs) if directory.hierarchy.version() == Version::V1 => {
                    file::write_descriptor(&procs, &pid.to_string()).map_err(|source| CgroupError::Call {
                        call: "write",
                        path: recorded.path.join("cgroup.procs"),
                        source,
                    })?;
                }
                // Init is in it.
                Entrance::Write(_) => {}
            }
        }
        Ok(warnings)
    }

    /// Whether what is there under the scope's name is another's: then nothing is to be done to it.
    pub(super) fn is_foreign(&self) -> Result<bool, CgroupError> {
        match &self.record.unit {
            Some(unit) if !unit.started && self.exists()? => {
                systemd::is_foreign(unit, Instant::now() + systemd::DEADLINE)
            }
            _ => Ok(false),
        }
    }

    fn exists(&self) -> Result<bool, CgroupError> {
        for RecordedDirectory { path, .. } in &self.record.directories {
            if file::exists(path).map_err(|source| CgroupError::Call {
                call: "access",
                path: path.clone(),
                source,
            })? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the scope, once it is empty. Its slices go with the last unit in them.
    pub(super) fn remove_unit(&self, unit: &UnitRecord, deadline: Instant) -> Result<(), CgroupError> {
        if self.is_foreign()? {
            return Ok(());
        }
        for directory in &self.record.directories {
            wait_empty(directory, deadline)?;
        }
        let deadline = Instant::now() + systemd::DEADLINE;
        match systemd::stop(unit, deadline) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Whoever can't ask sees at least that nothing is there.
            Err(_) if !self.exists()? => return Ok(()),
            Err(error) => return Err(error),
        }
        for directory in &self.record.directories {
            remove_directory(directory, deadline)?;
            if !directory.hierarchy.is_of_systemd() {
                remove_slices(directory);
            }
        }
        Ok(())
    }
}

/// Makes the scope's cgroup, and its slices', where systemd makes none. Others may be at the same slices.
fn make_directories(directory: &RecordedDirectory) -> Result<(), CgroupError> {
    const ATTEMPTS: usize = 16;
    let mut made = Ok(());
    for _ in 0..ATTEMPTS {
        made = std::fs::create_dir_all(&directory.path);
        match &made {
            // Another has removed a slice that its last container has left.
            Err(error) if is_gone(error) => {}
            _ => break,
        }
    }
    made.map_err(|source| CgroupError::Call { call: "mkdir", path: directory.path.clone(), source })
}

/// Removes the slices' cgroups that are empty by now, where systemd does not: whichever container made them, the last one
/// removes them. Those of slices that the system always has stay, unless they were made for this container.
fn remove_slices(directory: &RecordedDirectory) {
    let slices = directory.path.ancestors().skip(1).take_while(|path| **path != directory.mount_point);
    for slice in
        slices.filter(|slice| slice.components().count() > directory.mount_point.components().count())
    {
        let own = systemd::OWN_SLICES.iter().any(|own| slice.ends_with(own));
        // Busy, most often; nothing depends on it.
        if own || file::remove_directory_path(slice).is_err() {
            break;
        }
    }
}

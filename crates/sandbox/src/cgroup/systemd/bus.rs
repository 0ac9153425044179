//! What is asked of systemd over D-Bus: a scope around a process, its properties, its end.
//!
//! Runs in the runtime. Each operation makes its own connection, has a deadline, and runs on the calling thread; nothing
//! of it is left when it returns. Without the feature `systemd` each is an error.

#[cfg(feature = "systemd")]
mod connection;

use std::time::Instant;

use super::super::error::CgroupError;
use super::super::record::UnitRecord;
use super::property::Property;
use super::unit::UnitPlan;

/// Starts the scope around a process; the control group that it has now, below the hierarchy's root.
///
/// # Errors
/// [`CgroupError::Systemd`]
#[cfg(feature = "systemd")]
pub(in super::super) fn start(
    plan: &UnitPlan,
    record: &UnitRecord,
    pid: i32,
    deadline: Instant,
) -> Result<String, CgroupError> {
    connection::run("StartTransientUnit", record, deadline, connection::start(plan, record, pid))
}

/// Tells systemd of limits that were changed.
///
/// # Errors
/// [`CgroupError::Systemd`]
#[cfg(feature = "systemd")]
pub(in super::super) fn set_properties(
    record: &UnitRecord,
    properties: &[Property],
    deadline: Instant,
) -> Result<(), CgroupError> {
    if properties.is_empty() {
        return Ok(());
    }
    connection::run("SetUnitProperties", record, deadline, connection::set(record, properties))
}

/// Moves a process of the caller's, or of root's, into the scope, or into a cgroup below it (`/PATH`).
///
/// # Errors
/// [`CgroupError::Systemd`]
#[cfg(feature = "systemd")]
pub(in super::super) fn attach(
    record: &UnitRecord,
    below: &str,
    pid: i32,
    deadline: Instant,
) -> Result<(), CgroupError> {
    connection::run("AttachProcessesToUnit", record, deadline, connection::attach(record, below, pid))
}

/// Stops the scope, with whoever is still in it, if it is the one that was recorded; whether it was. One that is gone
/// is no error.
///
/// # Errors
/// [`CgroupError::Systemd`]
#[cfg(feature = "systemd")]
pub(in super::super) fn stop(record: &UnitRecord, deadline: Instant) -> Result<bool, CgroupError> {
    connection::run("StopUnit", record, deadline, connection::stop(record))
}

/// Whether a unit of the recorded name is there and is another's.
///
/// # Errors
/// [`CgroupError::Systemd`]
#[cfg(feature = "systemd")]
pub(in super::super) fn is_foreign(record: &UnitRecord, deadline: Instant) -> Result<bool, CgroupError> {
    connection::run("GetUnit", record, deadline, connection::is_foreign(record))
}

#[cfg(not(feature = "systemd"))]
mod absent {
    use super::{CgroupError, Instant, Property, UnitPlan, UnitRecord};

    fn error<T>(call: &'static str, record: &UnitRecord) -> Result<T, CgroupError> {
        let reason = "this build is without the feature systemd".to_owned();
        Err(CgroupError::Systemd { call, unit: record.name.clone(), reason })
    }

    pub(in super::super::super) fn start(
        _: &UnitPlan,
        record: &UnitRecord,
        _: i32,
        _: Instant,
    ) -> Result<String, CgroupError> {
        error("StartTransientUnit", record)
    }

    pub(in super::super::super) fn set_properties(
        record: &UnitRecord,
        properties: &[Property],
        _: Instant,
    ) -> Result<(), CgroupError> {
        if properties.is_empty() { Ok(()) } else { error("SetUnitProperties", record) }
    }

    pub(in super::super::super) fn attach(
        record: &UnitRecord,
        _: &str,
        _: i32,
        _: Instant,
    ) -> Result<(), CgroupError> {
        error("AttachProcessesToUnit", record)
    }

    pub(in super::super::super) fn stop(record: &UnitRecord, _: Instant) -> Result<bool, CgroupError> {
        error("StopUnit", record)
    }

    pub(in super::super::super) fn is_foreign(record: &UnitRecord, _: Instant) -> Result<bool, CgroupError> {
        error("GetUnit", record)
    }
}

#[cfg(not(feature = "systemd"))]
pub(in super::super) use absent::{attach, is_foreign, set_properties, start, stop};

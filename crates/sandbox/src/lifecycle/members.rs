//! The processes of a container that has no cgroup: those of its pid namespace.
//!
//! Runs in the runtime.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::state::Record;
use crate::sys::send_signal;

/// Pids in the runtime's namespace, ascending; only init where the pid namespace is not the container's own.
///
/// # Errors
/// `/proc` can't be read.
pub(super) fn pids(record: &Record) -> Result<Vec<i32>> {
    let Some(init) = record.init else { return Ok(Vec::new()) };
    let namespace = if record.own_pids { namespace_of(init.pid) } else { None };
    let Some(namespace) = namespace else { return Ok(vec![init.pid]) };
    let read = || -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            // Of who can't be looked at, nothing can be said: a container's processes can.
            pids.extend(pid.filter(|pid| namespace_of(*pid).as_ref() == Some(&namespace)));
        }
        pids.sort_unstable();
        Ok(pids)
    };
    read().map_err(|error| Error::file("read", "/proc", error))
}

fn namespace_of(pid: i32) -> Option<OsString> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok().map(Into::into)
}

/// Sends a signal to each, held by pidfd and still of the container when held.
///
/// # Errors
/// A signal can't be sent; who is gone is no error.
pub(super) fn signal(record: &Record, signal: i32) -> Result<()> {
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let namespace = record.init.and_then(|init| namespace_of(init.pid));
    for pid in pids(record)?.into_iter().filter_map(Pid::from_raw) {
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if namespace_of(pid.as_raw_nonzero().get()) != namespace {
            continue;
        }
        match send_signal(pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                return Err(Error::host("pidfd_send_signal", error));
            }
            _ => {}
        }
    }
    Ok(())
}

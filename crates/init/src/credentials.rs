//! Who the container's process is and what it may do.
//!
//! Runs in init, last before the program: what is given up here is gone.

use core::ffi::CStr;

use crate::sys::{self, Failure, flag};

/// `prctl(2)` options.
mod option {
    pub const SET_DUMPABLE: usize = 4;
    pub const SET_KEEPCAPS: usize = 8;
    pub const CAPBSET_DROP: usize = 24;
    pub const SET_NO_NEW_PRIVS: usize = 38;
    pub const CAP_AMBIENT: usize = 47;
    pub const CAP_AMBIENT_RAISE: usize = 2;
    pub const CAP_AMBIENT_CLEAR_ALL: usize = 4;
}

fn members(mask: u64) -> impl Iterator<Item = usize> {
    (0..64_usize).filter(move |number| mask & (1 << number) != 0)
}

/// Needs CAP_SETPCAP: before the sets are changed.
pub fn drop_bounding(dropped: u64) -> sys::Result<()> {
    members(dropped).try_for_each(|number| match sys::prctl(option::CAPBSET_DROP, number, 0) {
        // The kernel doesn't know it: nobody can have it.
        Err(Failure { errno: flag::EINVAL, .. }) => Ok(()),
        result => result.map(drop),
    })
}

/// A session keyring of the process's own, where the kernel has keyrings.
pub fn new_keyring(name: &CStr) -> sys::Result<()> {
    match sys::join_session_keyring(name) {
        Err(Failure { errno: flag::ENOSYS, .. }) => Ok(()),
        result => result,
    }
}

/// Makes the user owner of these streams, which are pipes. Whose owner has no name in the user namespace, and the file
/// system that is read-only or knows no owners, refuse: then it is as it was.
pub fn give_pipes(streams: u32, uid: u32) {
    for stream in (0..3).filter(|stream| streams & 1 << stream != 0) {
        let _ = sys::fchownat(stream, c"", uid, u32::MAX);
    }
}

/// Where a user namespace denies the call to all in it (user_namespaces(7), `/proc/PID/setgroups`), they can't be left either.
pub fn set_groups(groups: &[u8], unless_denied: bool) -> sys::Result<()> {
    match sys::setgroups(groups) {
        Err(Failure { errno: flag::EPERM, .. }) if unless_denied => Ok(()),
        result => result,
    }
}

/// Changes the user and keeps the permitted set, which the change would clear; execve resets the flag.
pub fn set_uid(uid: u32) -> sys::Result<()> {
    if uid != 0 {
        sys::prctl(option::SET_KEEPCAPS, 1, 0)?;
    }
    sys::setresuid(uid)
}

/// After the inheritable and permitted sets: ambient is below both.
pub fn set_ambient(ambient: u64) -> sys::Result<()> {
    sys::prctl(option::CAP_AMBIENT, option::CAP_AMBIENT_CLEAR_ALL, 0)?;
    members(ambient)
        .try_for_each(|number| sys::prctl(option::CAP_AMBIENT, option::CAP_AMBIENT_RAISE, number).map(drop))
}

/// Never undone.
pub fn no_new_privileges() -> sys::Result<()> {
    sys::prctl(option::SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Who is not allowed to trace this process by a capability can't look into it; execve resets it.
pub fn not_dumpable() -> sys::Result<()> {
    sys::prctl(option::SET_DUMPABLE, 0, 0).map(drop)
}

/// The fields of `struct sched_attr`, version 1, in order, but the clamps of utilisation, which are 0.
pub struct Scheduling {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime_ns: u64,
    pub deadline_ns: u64,
    pub period_ns: u64,
}

/// Needs CAP_SYS_NICE for most: before the sets are changed.
pub fn set_scheduler(scheduling: &Scheduling) -> sys::Result<()> {
    let mut attributes = [0_u8; 56];
    attributes[0..4].copy_from_slice(&56_u32.to_le_bytes());
    attributes[4..8].copy_from_slice(&scheduling.policy.to_le_bytes());
    attributes[8..16].copy_from_slice(&scheduling.flags.to_le_bytes());
    attributes[16..20].copy_from_slice(&scheduling.nice.to_le_bytes());
    attributes[20..24].copy_from_slice(&scheduling.priority.to_le_bytes());
    attributes[24..32].copy_from_slice(&scheduling.runtime_ns.to_le_bytes());
    attributes[32..40].copy_from_slice(&scheduling.deadline_ns.to_le_bytes());
    attributes[40..48].copy_from_slice(&scheduling.period_ns.to_le_bytes());
    sys::sched_setattr(&attributes)
}

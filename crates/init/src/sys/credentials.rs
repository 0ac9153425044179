//! What a process may do.

use core::ffi::CStr;

use super::{Result, number, path};
use crate::report::Call;

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    call!(Call::Keyctl, number::KEYCTL, 1, path(name)).map(drop)
}

/// `prctl(option, argument, …)` for options whose arguments are numbers.
pub fn prctl(option: usize, first: usize, second: usize) -> Result<usize> {
    call!(Call::Prctl, number::PRCTL, option, first, second, 0, 0)
}

/// `capset(…)`, version 3.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = [0x2008_0522_u32, 0];
    let sets = [effective, permitted, inheritable];
    let mut data = [0_u32; 6];
    for (index, set) in sets.iter().enumerate() {
        data[index] = *set as u32;
        data[index + 3] = (*set >> 32) as u32;
    }
    call!(Call::Capset, number::CAPSET, header.as_ptr() as usize, data.as_ptr() as usize).map(drop)
}

/// `setgroups(…)`: ids of 32 bits.
pub fn setgroups(groups: &[u8]) -> Result<()> {
    call!(Call::Setgroups, number::SETGROUPS, groups.len() / 4, groups.as_ptr() as usize).map(drop)
}

/// `setresgid(gid, gid, gid)`
pub fn setresgid(gid: u32) -> Result<()> {
    let gid = gid as usize;
    call!(Call::Setresgid, number::SETRESGID, gid, gid, gid).map(drop)
}

/// `setresuid(uid, uid, uid)`
pub fn setresuid(uid: u32) -> Result<()> {
    let uid = uid as usize;
    call!(Call::Setresuid, number::SETRESUID, uid, uid, uid).map(drop)
}

/// `geteuid()`
pub fn effective_user() -> u32 {
    // It always succeeds.
    call!(Call::Setresuid, number::GETEUID, 0).map_or(u32::MAX, |uid| uid as u32)
}

//! What a runtime without the host's rights is bound by: an ordinary user's, or one inside a user namespace.
//!
//! Reads the host, in [`Confinement::probe`] alone. The rest is plain data for the planner (user_namespaces(7)).

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use spec::config::{Capability, CapabilitySet};

use crate::error::{Error, Result};
use crate::host::read_small_file;

/// Ids of a user namespace that have a meaning outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first, inside.
    pub first: u32,
    /// How many.
    pub size: u32,
}

/// Holding one says: the runtime is not root of the initial user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Effective user id, where the runtime is.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// It is in a user namespace, in which it may have capabilities.
    pub in_user_namespace: bool,
    /// Groups that exist where the runtime is.
    pub gids: Vec<IdRange>,
    /// `setgroups(2)` is denied where the runtime is, for good.
    pub setgroups_denied: bool,
    /// What `oom_score_adj` is and can't be lowered from. Looked up where the config asks for another.
    pub oom_score_adj: Option<i32>,
}

impl Confinement {
    /// Looks at the runtime's own process; `None` where nothing binds it.
    ///
    /// # Errors
    /// `/proc/self/gid_map` and its like can't be read.
    pub fn probe(permitted: CapabilitySet, oom_score_adj_asked: bool) -> Result<Option<Self>> {
        let read =
            |path: &'static str| read_small_file(path).map_err(|source| Error::file("read", path, source));
        let uid = geteuid().as_raw();
        let in_user_namespace =
            in_user_namespace().map_err(|source| Error::file("stat", OWN_USER_NAMESPACE, source))?;
        if !in_user_namespace && (uid == 0 || has(permitted, "CAP_SYS_ADMIN")) {
            return Ok(None);
        }
        let gid_map = fs::read_to_string("/proc/self/gid_map")
            .map_err(|source| Error::file("read", "/proc/self/gid_map", source))?;
        let oom_score_adj =
            if oom_score_adj_asked { read("/proc/self/oom_score_adj")?.trim().parse().ok() } else { None };
        Ok(Some(Self {
            uid,
            gid: getegid().as_raw(),
            in_user_namespace,
            gids: parse_ranges(&gid_map),
            setgroups_denied: read("/proc/self/setgroups")?.trim() == "deny",
            oom_score_adj,
        }))
    }
}

/// Whether the set has a capability of this name.
pub(crate) fn has(set: CapabilitySet, name: &str) -> bool {
    Capability::from_name(name).is_some_and(|capability| set.contains(capability))
}

/// Whether this process is in another user namespace than the host's first. Without `/proc`, or without user namespaces in
/// the kernel, nothing says that it is.
///
/// # Errors
/// The namespace's file can't be looked at.
pub fn in_user_namespace() -> io::Result<bool> {
    match rustix::fs::stat(OWN_USER_NAMESPACE) {
        Ok(status) => Ok(status.st_ino != INITIAL_USER_NAMESPACE),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

const OWN_USER_NAMESPACE: &str = "/proc/self/ns/user";

/// Its inode, which is the same on every host (`USER_NS_INIT_INO`, linux/nsfs.h).
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

/// The left sides of `uid_map` or `gid_map`.
fn parse_ranges(map: &str) -> Vec<IdRange> {
    let parse_line = |line: &str| {
        let mut fields = line.split_whitespace();
        Some(IdRange { first: fields.next()?.parse().ok()?, size: fields.nth(1)?.parse().ok()? })
    };
    map.lines().filter_map(parse_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_inner_side() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(parse_ranges(map), [IdRange { first: 0, size: 1 }, IdRange { first: 1, size: 65536 }]);
    }
}

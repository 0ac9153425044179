//! Whose systemd makes a container's cgroup.

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// Which systemd makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// The system's.
    System,
    /// That of the user with this uid (in the initial user namespace).
    User(u32),
}

impl Session {
    /// The system's for root, the user's for others, and for a root that is one in a user namespace only.
    pub fn probe() -> Self {
        let uid = geteuid().as_raw();
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        match outer_uid(&map, uid) {
            0 => Self::System,
            uid => Self::User(uid),
        }
    }

    /// Where its cgroups begin, below the mount point.
    pub(super) fn root(self) -> Vec<String> {
        match self {
            Self::System => Vec::new(),
            Self::User(uid) => {
                vec!["user.slice".into(), format!("user-{uid}.slice"), format!("user@{uid}.service")]
            }
        }
    }

    pub(super) const fn default_slice(self) -> &'static str {
        match self {
            Self::System => "system.slice",
            Self::User(_) => "user.slice",
        }
    }
}

/// What a uid is outside of the user namespace whose map this is (`/proc/PID/uid_map`, user_namespaces(7)).
fn outer_uid(map: &str, uid: u32) -> u32 {
    let mapped = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = uid.checked_sub(inside)?;
        (offset < size).then(|| outside.checked_add(offset))?
    });
    mapped.unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_uid_follows_the_map() {
        let initial = "         0          0 4294967295\n";
        let user = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!((outer_uid(initial, 0), outer_uid(initial, 1000)), (0, 1000));
        assert_eq!((outer_uid(user, 0), outer_uid(user, 2)), (1000, 100_001));
        assert_eq!(outer_uid("", 7), 7);
    }
}

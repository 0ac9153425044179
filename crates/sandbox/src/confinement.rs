//! What a runtime without the host's rights is bound by: an ordinary user's, or one inside a user namespace.
//!
//! Plain data for the planner (user_namespaces(7)).

use spec::config::{Capability, CapabilitySet};

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

/// Whether the set has a capability of this name.
pub(crate) fn has(set: CapabilitySet, name: &str) -> bool {
    Capability::from_name(name).is_some_and(|capability| set.contains(capability))
}

/// The left sides of `uid_map` or `gid_map`.
pub(crate) fn parse_ranges(map: &str) -> Vec<IdRange> {
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

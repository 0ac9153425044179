//! Landlock.

use super::{Result, arg, common, fd};
use crate::report::Call;

/// `landlock_create_ruleset(&{handled_access_fs}, 8, 0)`
pub fn landlock_create_ruleset(handled: u64) -> Result<i32> {
    let size = size_of::<u64>();
    call!(
        Call::LandlockCreateRuleset,
        common::LANDLOCK_CREATE_RULESET,
        (&raw const handled) as usize,
        size,
        0
    )
    .map(fd)
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`: the version of the kernel's Landlock.
pub fn landlock_version() -> Result<u32> {
    const VERSION: usize = 1;
    call!(Call::LandlockCreateRuleset, common::LANDLOCK_CREATE_RULESET, 0, 0, VERSION)
        .map(|version| version as u32)
}

/// `landlock_add_rule(ruleset, LANDLOCK_RULE_PATH_BENEATH, &{allowed_access, parent_fd}, 0)`
pub fn landlock_add_path(ruleset: i32, parent: i32, access: u64) -> Result<()> {
    const PATH_BENEATH: usize = 1;
    // Packed: 8 bytes, then 4.
    let mut rule = [0_u8; 12];
    rule[..8].copy_from_slice(&access.to_ne_bytes());
    rule[8..].copy_from_slice(&parent.to_ne_bytes());
    call!(
        Call::LandlockAddRule,
        common::LANDLOCK_ADD_RULE,
        arg(ruleset),
        PATH_BENEATH,
        rule.as_ptr() as usize,
        0
    )
    .map(drop)
}

/// `landlock_restrict_self(ruleset, 0)`
pub fn landlock_restrict_self(ruleset: i32) -> Result<()> {
    call!(Call::LandlockRestrictSelf, common::LANDLOCK_RESTRICT_SELF, arg(ruleset), 0).map(drop)
}

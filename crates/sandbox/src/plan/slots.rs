//! The slots in which init holds the sources that it has opened.
//!
//! Pure.

use spec::Config;
use spec::config::MountKind;

/// Slots 0 and 1 hold the root and its place.
pub(super) const FIRST_BIND_SLOT: u32 = 2;

/// The bind mounts, each with its index in `/mounts`; their order numbers the slots.
pub(super) fn bind_mounts(config: &Config) -> impl Iterator<Item = (usize, &spec::config::Mount)> {
    config.mounts.iter().enumerate().filter(|(_, mount)| matches!(mount.kind, MountKind::Bind { .. }))
}

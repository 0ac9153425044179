//! New file systems that are read-only, but get mount points or devices from us before.
//!
//! Pure.

use init::Step;
use init::wire::MountAttributes;
use spec::Config;
use spec::config::{Mount, MountKind, attribute};

use super::Steps;
use super::paths::clean;
use crate::host::HostFacts;

/// Whether a new read-only tmpfs, which holds the hierarchies of cgroup v1 too, gets its mount points or devices from us: it
/// can't be read-only yet.
pub(super) fn is_filled_later(config: &Config, host: &HostFacts, index: usize) -> bool {
    let mount = &config.mounts[index];
    let is_new = match &mount.kind {
        MountKind::Filesystem { fstype, .. } => &**fstype == "tmpfs",
        MountKind::Cgroup => host.cgroups.as_ref().is_some_and(|hierarchies| !hierarchies.v1.is_empty()),
        MountKind::Bind { .. } | MountKind::Remount { .. } => false,
    };
    if !is_new || mount.attributes.set & attribute::RDONLY == 0 {
        return false;
    }
    let directory = clean(&mount.destination);
    let is_below =
        |path: &str| clean(path).strip_prefix(&*directory).is_some_and(|rest| rest.starts_with('/'));
    directory == "/dev"
        || config.mounts[index + 1..].iter().any(|later| is_below(&later.destination))
        || config.linux.devices.iter().any(|device| is_below(&device.path))
}

/// What was filled becomes read-only.
pub(super) fn plan_readonly_filled(steps: &mut Steps, config: &Config, host: &HostFacts) {
    let filled = |(index, _): &(usize, &Mount)| is_filled_later(config, host, *index);
    for (index, mount) in config.mounts.iter().enumerate().filter(filled) {
        let step = Step::SetAttributes {
            target: (&**mount.destination).into(),
            recursive: false,
            set: MountAttributes(attribute::RDONLY),
            clear: MountAttributes(0),
        };
        steps.push(format!("/mounts/{index}/options"), step);
    }
}

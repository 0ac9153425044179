//! What the host decides, as plain data: `probe` finds it, once, before the plan.

use std::path::PathBuf;

use spec::config::{CapabilitySet, NamespaceKind};

use crate::cgroup::Hierarchies;
use crate::confinement::Confinement;

/// Facts of the host and of the runtime's own process that the plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The cgroup hierarchies; absent where there are none, or where they were not asked for.
    pub cgroups: Option<Hierarchies>,
    /// The runtime's bounding set, as far as it is permitted: what a container can be granted.
    pub bounding: CapabilitySet,
    /// Capabilities of the runtime's that this version has no name for: no container gets them.
    pub unnamed_capabilities: u64,
    /// Bit n−1: signal n is ignored by the runtime, and would be by what it executes.
    pub ignored_signals: u64,
    /// What binds a runtime that is not root of the host; absent for one that is.
    pub confinement: Option<Confinement>,
    /// What the process's three streams are.
    pub streams: [StreamKind; 3],
    /// Mount points of the host's proc and sysfs, the last first. Looked up where the root is not to be pivoted.
    pub kernel_views: Vec<String>,
    /// AppArmor is enabled. Looked up where the config asks for a profile.
    pub apparmor: bool,
    /// SELinux is enabled. Looked up where the config asks for a label.
    pub selinux: bool,
    /// The version of the kernel's Landlock; 0 where there is none. Looked up where the config asks for it.
    pub landlock_abi: u32,
    /// Kinds of which the config joins a namespace by path that is the host's: the runtime's own, or that of the machine's
    /// first process. Looked up for those that the config sets kernel parameters of.
    pub host_namespaces: Vec<NamespaceKind>,
    /// Places in `/mounts` of those file systems whose source is a block device.
    pub device_mounts: Vec<usize>,
    /// Where resctrl is mounted. Looked up where the config asks for a class of service.
    pub resctrl: Option<PathBuf>,
}

/// What a stream of the process is, as far as something is done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamKind {
    /// The host's null device.
    Null,
    /// The end of a pipe.
    Pipe {
        /// The user that may open it anew.
        owner: u32,
    },
    /// Anything else.
    #[default]
    Other,
}

impl HostFacts {
    /// Bit n: stream n is of a kind.
    pub fn streams_that(&self, are: impl Fn(StreamKind) -> bool) -> u32 {
        let numbered = self.streams.iter().enumerate();
        numbered.filter(|(_, kind)| are(**kind)).fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// A host that refuses nothing for want of something: for what is asked of the planner alone.
    pub fn with_everything() -> Self {
        Self { resctrl: Some("/sys/fs/resctrl".into()), landlock_abi: u32::MAX, ..Self::default() }
    }

    /// What `/proc/self/status` says (proc_pid_status(5)).
    pub fn parse_status(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).ok()
        };
        let bounding = field("CapBnd").unwrap_or(0) & field("CapPrm").unwrap_or(0);
        let named = CapabilitySet::from_bits(bounding);
        Self {
            bounding: named,
            unnamed_capabilities: bounding & !named.bits(),
            ignored_signals: field("SigIgn").unwrap_or(0),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fields_parsed() {
        let facts = HostFacts::parse_status(
            "Name:\tx\nSigIgn:\t0000000000001000\nCapPrm:\tffffffffffffffff\nCapBnd:\t8000000000000003\n",
        );
        assert_eq!(facts.unnamed_capabilities, 1 << 63);
        assert_eq!(facts.ignored_signals, 0x1000);
        assert_eq!(facts.bounding.bits(), 3);
    }
}

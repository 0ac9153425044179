//! What the host decides: probed once, before the plan.
//!
//! Reads the host. The result is plain data, constructible in tests.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags};
use spec::Config;
use spec::config::{CapabilitySet, NamespaceKind};

use crate::cgroup::{self, Hierarchies, OwnPaths};
use crate::confinement::Confinement;
use crate::error::{Error, Result};

/// Facts of the host and of the runtime's own process that the plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The cgroup hierarchies; absent where there are none, or where they were not asked for.
    pub cgroups: Option<Hierarchies>,
    /// The runtime's bounding set, as far as it is permitted: what a container can be granted.
    pub bounding: CapabilitySet,
    /// Bit n−1: signal n is ignored by the runtime, and would be by what it executes.
    pub ignored_signals: u64,
    /// What binds a runtime that is not root of the host; absent for one that is.
    pub confinement: Option<Confinement>,
    /// Bit n: stream n of the runtime, which the container gets, is the null device.
    pub null_streams: u32,
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
    /// Where resctrl is mounted. Looked up where the config asks for a class of service.
    pub resctrl: Option<PathBuf>,
}

impl HostFacts {
    /// A host that refuses nothing for want of something: for what is asked of the planner alone.
    pub fn with_everything() -> Self {
        Self { resctrl: Some("/sys/fs/resctrl".into()), landlock_abi: u32::MAX, ..Self::default() }
    }

    /// Looks at the host, as far as this config needs it. `own_paths` says whether the runtime's own cgroups matter;
    /// `None`, that cgroups don't.
    ///
    /// # Errors
    /// `/proc/self/status` or the id maps can't be read, or the cgroup mounts can't.
    pub fn probe(config: &Config, own_paths: Option<OwnPaths>) -> Result<Self> {
        let mut facts = Self::probe_self()?;
        facts.null_streams = probe_null_streams();
        if let Some(own_paths) = own_paths {
            facts.cgroups = Some(cgroup::probe_hierarchies(own_paths)?);
        }
        let process = config.process.as_ref();
        let oom_score_adj_asked = process.is_some_and(|process| process.oom_score_adj.is_some());
        facts.confinement = Confinement::probe(facts.bounding, oom_score_adj_asked)?;
        if process.is_some_and(|process| process.apparmor_profile.is_some()) {
            let enabled = fs::read("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
            facts.apparmor = enabled.starts_with(b"Y");
        }
        if config.linux.mount_label.is_some()
            || process.is_some_and(|process| process.selinux_label.is_some())
        {
            facts.selinux = fs::exists("/sys/fs/selinux/status").unwrap_or(false);
        }
        if crate::plan::landlock_is_asked(config) {
            facts.landlock_abi = init::sys::landlock_version().unwrap_or(0);
        }
        facts.host_namespaces = probe_host_namespaces(config);
        if config.linux.intel_rdt.is_some() {
            facts.resctrl = probe_resctrl()?;
        }
        Ok(facts)
    }

    /// Looks for what [`crate::RootSwitch::Move`] must take away.
    ///
    /// # Errors
    /// `/proc/self/mountinfo` can't be read.
    pub fn probe_kernel_views(&mut self) -> Result<()> {
        let mounts = read_mountinfo()?;
        self.kernel_views = mounts.lines().rev().filter_map(kernel_view).collect();
        Ok(())
    }

    /// What only the runtime's own process decides.
    ///
    /// # Errors
    /// `/proc/self/status` can't be read.
    pub fn probe_self() -> Result<Self> {
        let status = read_small_file("/proc/self/status")
            .map_err(|source| Error::host("read /proc/self/status", source))?;
        Ok(Self::parse_status(&status))
    }

    /// What `/proc/self/status` says (proc_pid_status(5)).
    pub fn parse_status(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).ok()
        };
        let bounding = field("CapBnd").unwrap_or(0) & field("CapPrm").unwrap_or(0);
        Self {
            bounding: CapabilitySet::from_bits(bounding),
            ignored_signals: field("SigIgn").unwrap_or(0),
            ..Self::default()
        }
    }
}

/// Which of the namespaces that kernel parameters are set in are the host's.
fn probe_host_namespaces(config: &Config) -> Vec<NamespaceKind> {
    let mut kinds: Vec<NamespaceKind> = config.linux.sysctl.iter().map(|sysctl| sysctl.namespace).collect();
    kinds.dedup();
    kinds.retain(|kind| {
        let namespace = config.linux.namespaces.get(*kind);
        // What can't be looked at can't be joined either.
        let joined = namespace.and_then(|it| rustix::fs::stat(&**it.path.as_deref()?).ok());
        joined.is_some_and(|joined| {
            ["self", "1"].iter().any(|process| {
                let of_host = rustix::fs::stat(format!("/proc/{process}/ns/{}", kind.file_name()));
                of_host.is_ok_and(|it| (it.st_dev, it.st_ino) == (joined.st_dev, joined.st_ino))
            })
        })
    });
    kinds
}

/// Where resctrl, by which Intel RDT is controlled, is mounted.
///
/// # Errors
/// `/proc/self/mountinfo` can't be read.
pub fn probe_resctrl() -> Result<Option<PathBuf>> {
    Ok(crate::resctrl::mount_point(&read_mountinfo()?))
}

fn read_mountinfo() -> Result<String> {
    fs::read_to_string("/proc/self/mountinfo")
        .map_err(|source| Error::host("read /proc/self/mountinfo", source))
}

/// The mount point in a line of mountinfo (proc_pid_mountinfo(5)), if it is one of proc or sysfs.
fn kernel_view(line: &str) -> Option<String> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let kind = filesystem.split(' ').next()?;
    let mount_point = mount.split(' ').nth(4)?;
    matches!(kind, "proc" | "sysfs").then(|| cgroup::unescape(mount_point))
}

/// Which of the three streams are the null device.
fn probe_null_streams() -> u32 {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mask = streams.into_iter().enumerate();
    mask.fold(0, |mask, (number, stream)| if is_null_device(stream) { mask | 1 << number } else { mask })
}

/// Whether the file is the null device.
pub(crate) fn is_null_device(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(file).is_ok_and(|status| {
        FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
            && status.st_rdev == rustix::fs::makedev(1, 3)
    })
}

/// A file of the kernel that fits a page, in one read.
pub(crate) fn read_small_file(path: &str) -> io::Result<String> {
    let mut buffer = [0; 4096];
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = rustix::io::read(&file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_views_are_of_proc_and_sysfs() {
        let view = |line| kernel_view(line);
        let proc = "24 1 0:22 / /old\\040proc rw,relatime shared:3 - proc proc rw";
        assert_eq!(view(proc).as_deref(), Some("/old proc"));
        assert_eq!(view("25 1 0:23 / /sys rw - sysfs sysfs rw").as_deref(), Some("/sys"));
        assert_eq!(view("26 1 8:1 / / rw - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn status_fields_parsed() {
        let facts = HostFacts::parse_status(
            "Name:\tx\nSigIgn:\t0000000000001000\nCapPrm:\t000001ffffffffff\nCapBnd:\t3\n",
        );
        assert_eq!(facts.ignored_signals, 0x1000);
        assert_eq!(facts.bounding.bits(), 3);
    }
}

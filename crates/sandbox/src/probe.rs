//! Looks at the host, once, before the plan: what it decides is [`HostFacts`].

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use spec::Config;
use spec::config::{CapabilitySet, Mount, MountKind, NamespaceKind};

use crate::cgroup::{self, OwnPaths};
use crate::confinement::{Confinement, has, parse_ranges};
use crate::error::{Error, Result};
use crate::host::{HostFacts, StreamKind};

impl HostFacts {
    /// Looks at the host, as far as this config needs it. `own_paths` says whether the runtime's own cgroups matter;
    /// `None`, that cgroups don't.
    ///
    /// # Errors
    /// `/proc/self/status` or the id maps can't be read, or the cgroup mounts can't.
    pub fn probe(config: &Config, own_paths: Option<OwnPaths>) -> Result<Self> {
        let mut facts = Self::probe_self()?;
        facts.streams = probe_own_streams();
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
        facts.device_mounts = probe_device_mounts(config);
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

/// The places of the mounts whose source is a block device. Few have a path for a source: it is looked at where one has.
fn probe_device_mounts(config: &Config) -> Vec<usize> {
    let on_device = |mount: &Mount| match &mount.kind {
        MountKind::Filesystem { source: Some(source), .. } if source.starts_with('/') => {
            rustix::fs::stat(&**source)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice)
        }
        _ => false,
    };
    let mounts = config.mounts.iter().enumerate();
    mounts.filter(|(_, mount)| on_device(mount)).map(|(index, _)| index).collect()
}

/// What the runtime's own three streams are.
fn probe_own_streams() -> [StreamKind; 3] {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].map(probe_stream)
}

/// What a file is that becomes a stream.
pub(crate) fn probe_stream(file: BorrowedFd<'_>) -> StreamKind {
    let Ok(status) = rustix::fs::fstat(file) else { return StreamKind::Other };
    match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice if status.st_rdev == rustix::fs::makedev(1, 3) => StreamKind::Null,
        FileType::Fifo => StreamKind::Pipe { owner: status.st_uid },
        _ => StreamKind::Other,
    }
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
}

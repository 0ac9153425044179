//! What the host has: the cgroup hierarchies, where they are mounted and where the runtime is in them.
//!
//! Reads the host; nothing else of the module does before a claim is made. On a pure v2 host with an absolute
//! `cgroupsPath` that is one `statfs(2)` and the reading of one file.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::retry_on_intr;
use serde::{Deserialize, Serialize};

use super::error::CgroupError;
use super::file;

/// `CGROUP2_SUPER_MAGIC`, linux/magic.h.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// The v1 controllers; another word among a mount's options is an option.
const V1_CONTROLLERS: [&str; 15] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "debug",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// How the host does cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// v2 alone.
    Unified,
    /// v1 alone.
    Legacy,
    /// v1, and v2 beside it.
    Hybrid,
}

/// The v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V2Hierarchy {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The runtime's own cgroup, below the mount point; begins with `/`. Absent where it was not asked for.
    pub own_path: Option<String>,
    /// `cgroup.controllers` of the mount point.
    pub controllers: Vec<String>,
}

/// One v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Hierarchy {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The runtime's own cgroup, below the mount point; begins with `/`. Absent where it was not asked for.
    pub own_path: Option<String>,
    /// The controllers on it; none for a named one.
    pub controllers: Vec<String>,
    /// The name of a named one: `systemd`.
    pub name: Option<String>,
}

/// The host's cgroup hierarchies: plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchies {
    /// v2.
    pub v2: Option<V2Hierarchy>,
    /// v1, in the order of the mounts.
    pub v1: Vec<V1Hierarchy>,
}

/// Whether the runtime's own cgroup is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPaths {
    /// Yes.
    Read,
    /// No: nothing is relative to it.
    Skip,
}

impl Hierarchies {
    /// How the host does cgroups; `None` where it does not.
    pub const fn mode(&self) -> Option<Mode> {
        match (&self.v2, self.v1.is_empty()) {
            (Some(_), true) => Some(Mode::Unified),
            (Some(_), false) => Some(Mode::Hybrid),
            (None, false) => Some(Mode::Legacy),
            (None, true) => None,
        }
    }

    /// The hierarchies that `/proc/self/mountinfo` and `/proc/self/cgroup` tell of (proc_pid_mountinfo(5),
    /// cgroups(7)). The v2 controllers are not in there.
    pub fn parse(mountinfo: &str, own: Option<&str>) -> Self {
        let mut hierarchies = Self::default();
        let mut mounts: Vec<_> = mountinfo.lines().filter_map(CgroupMount::parse).collect();
        // Others may come and go at any time, such as those of a CRIU at work.
        if mounts.iter().any(CgroupMount::is_at_the_usual_place) {
            mounts.retain(CgroupMount::is_at_the_usual_place);
        }
        for mount in mounts {
            let own_path = own.and_then(|own| mount.own_path(own));
            if mount.version == 2 {
                hierarchies.v2.get_or_insert(V2Hierarchy {
                    mount_point: mount.mount_point,
                    own_path,
                    controllers: Vec::new(),
                });
                continue;
            }
            let name =
                mount.options.split(',').find_map(|option| option.strip_prefix("name=")).map(str::to_owned);
            let controllers: Vec<String> =
                mount.options.split(',').filter(|o| V1_CONTROLLERS.contains(o)).map(str::to_owned).collect();
            // The same hierarchy may be mounted again elsewhere, in the root of another container for one.
            let known =
                hierarchies.v1.iter().any(|other| other.controllers == controllers && other.name == name);
            if !known && (name.is_some() || !controllers.is_empty()) {
                hierarchies.v1.push(V1Hierarchy {
                    mount_point: mount.mount_point,
                    own_path,
                    controllers,
                    name,
                });
            }
        }
        hierarchies
    }
}

/// A line of mountinfo about a cgroup file system.
struct CgroupMount<'a> {
    version: u8,
    root: String,
    mount_point: PathBuf,
    options: &'a str,
}

impl<'a> CgroupMount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // 32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let version = match filesystem.next()? {
            "cgroup" => 1,
            "cgroup2" => 2,
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default();
        let mut mount = mount.split(' ').skip(3);
        let root = unescape(mount.next()?);
        let mount_point = unescape(mount.next()?).into();
        Some(Self { version, root, mount_point, options })
    }

    fn is_at_the_usual_place(&self) -> bool {
        self.mount_point.starts_with("/sys/fs/cgroup")
    }

    /// The runtime's own cgroup below this mount: the mount may show a part of the hierarchy only.
    fn own_path(&self, own: &str) -> Option<String> {
        let path = own.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            let here = match self.version {
                2 => controllers.is_empty(),
                _ => {
                    !controllers.is_empty()
                        && controllers
                            .split(',')
                            .all(|name| self.options.split(',').any(|option| option == name))
                }
            };
            here.then_some(path)
        })?;
        let root = self.root.trim_end_matches('/');
        match path.strip_prefix(root) {
            Some("") => Some("/".to_owned()),
            Some(below) if below.starts_with('/') => Some(below.to_owned()),
            // The own cgroup is outside of what is mounted here: the nearest that can be named is the mount's root.
            _ => Some("/".to_owned()),
        }
        // A cgroup outside of the cgroup namespace's root is shown with "..", a deleted one with " (deleted)".
        .map(|path| if path.split('/').any(|part| part == "..") { "/".to_owned() } else { path })
    }
}

/// proc_pid_mountinfo(5): space, tab, line break and backslash are octal escapes.
pub(crate) fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks up the host's hierarchies.
///
/// # Errors
/// `/proc/thread-self/mountinfo` or `/proc/thread-self/cgroup` can't be read. A host without cgroups is no error.
pub fn probe_hierarchies(own: OwnPaths) -> Result<Hierarchies, CgroupError> {
    const USUAL: &str = "/sys/fs/cgroup";
    let read_own = || match own {
        OwnPaths::Read => read("/proc/thread-self/cgroup", file::read_path).map(Some),
        OwnPaths::Skip => Ok(None),
    };
    let statfs = retry_on_intr(|| rustix::fs::statfs(USUAL));
    let mut hierarchies = if statfs.is_ok_and(|it| it.f_type.cast_unsigned() == CGROUP2_SUPER_MAGIC) {
        let mount = CgroupMount { version: 2, root: "/".into(), mount_point: USUAL.into(), options: "" };
        let own_path = read_own()?.and_then(|own| mount.own_path(&own));
        let v2 = V2Hierarchy { mount_point: USUAL.into(), own_path, controllers: Vec::new() };
        Hierarchies { v2: Some(v2), v1: Vec::new() }
    } else {
        Hierarchies::parse(
            &read("/proc/thread-self/mountinfo", file::read_list_path)?,
            read_own()?.as_deref(),
        )
    };
    if let Some(v2) = &mut hierarchies.v2 {
        let path = v2.mount_point.join("cgroup.controllers");
        let controllers = read(&path.to_string_lossy(), file::read_path)?;
        v2.controllers = controllers.split_whitespace().map(str::to_owned).collect();
    }
    Ok(hierarchies)
}

fn read(path: &str, read: fn(&Path) -> io::Result<String>) -> Result<String, CgroupError> {
    read(Path::new(path)).map_err(|source| CgroupError::Call { call: "read", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 1 259:0 / / rw,relatime shared:1 - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,xattr,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
90 31 0:32 /box /srv/a\\040root/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";
    const OWN: &str = "9:name=systemd:/init.scope\n4:memory:/jobs/7\n2:cpu,cpuacct:/\n0::/init.scope\n";

    fn v1(mount_point: &str, own: Option<&str>, controllers: &[&str], name: Option<&str>) -> V1Hierarchy {
        V1Hierarchy {
            mount_point: mount_point.into(),
            own_path: own.map(str::to_owned),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn mountinfo_hybrid_all_found_once() {
        let hierarchies = Hierarchies::parse(HYBRID, Some(OWN));
        assert_eq!(hierarchies.mode(), Some(Mode::Hybrid));
        assert_eq!(
            hierarchies.v1,
            [
                v1("/sys/fs/cgroup/cpu,cpuacct", Some("/"), &["cpu", "cpuacct"], None),
                v1("/sys/fs/cgroup/memory", Some("/jobs/7"), &["memory"], None),
                v1("/sys/fs/cgroup/systemd", Some("/init.scope"), &[], Some("systemd")),
            ]
        );
        assert_eq!(hierarchies.v2.unwrap().own_path.as_deref(), Some("/init.scope"));
    }

    #[test]
    fn mountinfo_own_skipped_absent() {
        let hierarchies = Hierarchies::parse(HYBRID, None);
        assert!(hierarchies.v1.iter().all(|hierarchy| hierarchy.own_path.is_none()));
    }

    #[test]
    fn mountinfo_part_of_hierarchy_own_path_below_it() {
        let line = |root| format!("35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        for (root, own, below) in [
            ("/docker/x", "/docker/x", "/"),
            ("/docker/x", "/docker/x/sub", "/sub"),
            ("/docker/x", "/docker/xy", "/"),
            ("/docker/x", "/elsewhere", "/"),
            ("/", "/../outside", "/"),
            ("/", "/", "/"),
        ] {
            let found = Hierarchies::parse(&line(root), Some(&format!("4:memory:{own}\n")));
            assert_eq!(found.v1[0].own_path.as_deref(), Some(below), "{root} {own}");
        }
    }

    #[test]
    fn mountinfo_other_places_skipped() {
        let elsewhere = "1 2 0:1 / /var/tmp/yard/unified rw - cgroup2 none rw\n";
        let usual = "3 2 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = Hierarchies::parse(&format!("{elsewhere}{usual}"), None);
        assert_eq!(found.mode(), Some(Mode::Legacy));
        assert!(Hierarchies::parse(elsewhere, None).v2.is_some());
    }

    #[test]
    fn mountinfo_escapes_undone() {
        let line = "1 2 0:1 / /mnt/a\\040b\\134c\\011 rw - cgroup2 none rw\n";
        let found = Hierarchies::parse(line, None);
        assert_eq!(found.v2.unwrap().mount_point, Path::new("/mnt/a b\\c\t"));
    }

    #[test]
    fn mountinfo_without_cgroups_or_malformed_nothing() {
        for text in
            ["", "\n", "22 1 259:0 / / rw - ext4 /dev/root rw\n", "x - cgroup", "1 2 3 / - cgroup c rw,cpu"]
        {
            assert_eq!(Hierarchies::parse(text, Some(OWN)).mode(), None, "{text}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it asks the kernel")]
    fn host_probe_agrees_with_parse() {
        let probed = probe_hierarchies(OwnPaths::Read).unwrap();
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let parsed = Hierarchies::parse(&mountinfo, Some(&own));
        assert_eq!(probed.mode(), parsed.mode());
        assert_eq!(probed.v1, parsed.v1);
        assert_eq!(
            probed.v2.map(|v2| (v2.mount_point, v2.own_path)),
            parsed.v2.map(|v2| (v2.mount_point, v2.own_path))
        );
    }
}

//! What must be the same before and after: the machine, as far as a test could have changed it.
//!
//! Tests run side by side, so what others make is left out: of mounts, cgroups and processes only those that carry the
//! test's token are looked at. The canary, the kernel's settings and the runtime's binary must not change at all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::cgroup::Hierarchies;
use crate::residue;
use crate::test::Test;

/// Settings of the whole machine that an escape would reach for, or that a mistake would change.
const SETTINGS: [&str; 22] = [
    "kernel/core_pattern",
    "kernel/core_pipe_limit",
    "kernel/core_uses_pid",
    "kernel/modprobe",
    "kernel/poweroff_cmd",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/sysrq",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/randomize_va_space",
    "kernel/kptr_restrict",
    "kernel/dmesg_restrict",
    "kernel/perf_event_paranoid",
    "kernel/shmmax",
    "kernel/msgmax",
    "kernel/sem",
    "fs/suid_dumpable",
    "fs/protected_symlinks",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_unprivileged_port_start",
    "vm/overcommit_memory",
];

/// The machine at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World(BTreeMap<String, String>);

impl World {
    /// Looks at the machine, and at all that is the test's.
    #[must_use]
    pub fn of(test: &Test) -> Self {
        let mut world = Self::of_machine(test);
        for pid in residue::pids(test) {
            world.0.insert(format!("process {pid}"), String::new());
        }
        world
    }

    /// As [`World::of`], without the processes: looking for them takes a while.
    #[must_use]
    pub fn of_machine(test: &Test) -> Self {
        let mut all = BTreeMap::new();
        for name in SETTINGS {
            let value = fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
            all.insert(format!("setting {name}"), value.trim().to_owned());
        }
        for (whose, file) in [("own", "/proc/self/mountinfo"), ("the machine's", "/proc/1/mountinfo")] {
            let text = fs::read_to_string(file).unwrap_or_default();
            for line in text.lines().filter(|line| line.contains(&test.token)) {
                all.insert(format!("mount in {whose} namespace: {line}"), String::new());
            }
        }
        for directory in Hierarchies::mounted().directories_named(&test.token) {
            all.insert(format!("cgroup {}", directory.display()), String::new());
        }
        // The root itself is made by the first call, and stays.
        for entry in fs::read_dir(test.root()).into_iter().flatten().flatten() {
            describe(&entry.path(), &mut all);
        }
        describe(&test.canary(), &mut all);
        describe(&test.runtime.path, &mut all);
        Self(all)
    }

    /// What is another at a later moment, one line each.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let gone = self.0.keys().filter(|key| !later.0.contains_key(*key)).map(|key| format!("gone: {key}"));
        let new = later.0.iter().filter_map(|(key, value)| match self.0.get(key) {
            None => Some(format!("new: {key} {value}")),
            Some(before) if before != value => Some(format!("changed: {key}: {before} → {value}")),
            Some(_) => None,
        });
        gone.chain(new).collect()
    }

    /// Asserts that nothing has changed since.
    ///
    /// # Panics
    /// When something has.
    #[track_caller]
    pub fn assert_same(&self, test: &Test, about: &str) {
        let changes = self.changes(&Self::of_machine(test));
        assert!(changes.is_empty(), "{about}: the machine has changed:\n{}", changes.join("\n"));
    }
}

impl World {
    /// As [`World::assert_same`], while containers of the test are there: their mounts are not in our namespaces, their
    /// cgroups and records are theirs.
    ///
    /// # Panics
    /// When something else has changed.
    #[track_caller]
    pub fn assert_same_but_containers(&self, test: &Test, about: &str) {
        let root = format!("new: file {}/", test.root().display());
        let mut changes = self.changes(&Self::of_machine(test));
        changes.retain(|line| !line.starts_with("new: cgroup ") && !line.starts_with(&root));
        assert!(changes.is_empty(), "{about}: the machine has changed:\n{}", changes.join("\n"));
    }
}

/// A file, or all of a directory: kind, inode, mode, owner, time of change; of small files the content.
fn describe(path: &Path, into: &mut BTreeMap<String, String>) {
    let Ok(status) = fs::symlink_metadata(path) else { return };
    let kind = status.file_type();
    let mut text = format!(
        "inode {} mode {:o} owner {}:{} size {} modified {}.{}",
        status.ino(),
        status.mode(),
        status.uid(),
        status.gid(),
        status.size(),
        status.mtime(),
        status.mtime_nsec()
    );
    if kind.is_file() && status.size() < 4096 {
        text.push_str(&format!(" content {:?}", fs::read(path).unwrap_or_default()));
    } else if kind.is_char_device() || kind.is_block_device() {
        text.push_str(&format!(" device {}", status.rdev()));
    }
    into.insert(format!("file {}", path.display()), text);
    if kind.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            describe(&entry.path(), into);
        }
    }
}

/// Whether everything is to be tried that usually only a sample of is: `THOROUGH=1`.
#[must_use]
pub fn thorough() -> bool {
    std::env::var("THOROUGH").is_ok_and(|value| value == "1")
}

/// How often something is tried: `few` by default, `many` with `THOROUGH=1`.
#[must_use]
pub fn times(few: usize, many: usize) -> usize {
    if thorough() { many } else { few }
}

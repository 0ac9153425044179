//! A container's cgroups as the host sees them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::procfs::parse_mountinfo;
use crate::skip::Skip;

/// The hierarchies of the machine, as this process sees them mounted.
#[derive(Clone, Debug)]
pub struct Hierarchies {
    /// Controllers (or `name=…`) and mount point of each v1 hierarchy.
    v1: Vec<(Vec<String>, PathBuf)>,
    /// Mount point of the v2 hierarchy.
    v2: Option<PathBuf>,
}

impl Hierarchies {
    /// Reads them from mountinfo.
    ///
    /// # Panics
    /// When that cannot be read.
    #[must_use]
    pub fn mounted() -> Self {
        let text = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
        let mut found = Self { v1: Vec::new(), v2: None };
        for mount in parse_mountinfo(&text) {
            match mount.kind.as_str() {
                "cgroup" => found.v1.push((mount.super_options, mount.point.into())),
                "cgroup2" => found.v2 = Some(mount.point.into()),
                _ => {}
            }
        }
        found
    }

    /// Mount points.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(_, root)| root.as_path()).chain(self.v2.as_deref())
    }

    /// Whether limits of this controller can be set: v1 has it, or there is v2 alone and its root does.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.v1_root(controller).is_some() || self.uses_v2(controller)
    }

    /// Mount point of a controller's v1 hierarchy.
    #[must_use]
    pub fn v1_root(&self, controller: &str) -> Option<&Path> {
        self.v1
            .iter()
            .find(|(options, _)| options.iter().any(|option| option == controller))
            .map(|(_, root)| root.as_path())
    }

    /// Whether real-time tasks need time of their v1 cgroup's own (`CONFIG_RT_GROUP_SCHED`).
    ///
    /// # Errors
    /// A sentence for the skip: other cgroups of this machine have all that there is.
    pub fn groups_real_time(&self) -> Result<bool, Skip> {
        let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<f64>().ok();
        let share = |directory: &Path| {
            let (runtime, period) = ("cpu.rt_runtime_us", "cpu.rt_period_us");
            Some(number(directory.join(runtime))? / number(directory.join(period))?)
        };
        let Some((root, all)) = self.v1_root("cpu").and_then(|root| Some((root, share(root)?))) else {
            return Ok(false);
        };
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let taken: f64 = entries.filter_map(|entry| share(&entry.path())).sum();
        if all - taken < 0.05 {
            return Err(Skip::new("other cgroups of this machine have all the real-time there is"));
        }
        Ok(true)
    }

    /// Mount point of the v2 hierarchy.
    #[must_use]
    pub fn v2_root(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Whether the v2 hierarchy has a controller, whatever there is of v1.
    #[must_use]
    pub fn v2_has(&self, controller: &str) -> bool {
        self.v2.as_deref().is_some_and(|root| {
            let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            available.split_whitespace().any(|name| name == controller)
        })
    }

    /// Whether a controller is used through v2 here.
    #[must_use]
    pub fn uses_v2(&self, controller: &str) -> bool {
        self.v1.is_empty() && self.v2_has(controller)
    }

    /// The directory of a process in a controller's hierarchy (v2's when there is no v1 hierarchy of it).
    #[must_use]
    pub fn directory_of(&self, pid: i32, controller: &str) -> Option<PathBuf> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let root = self.v1_root(controller);
        let path = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
            let matches = match root {
                Some(_) => names.split(',').any(|name| name == controller),
                None => number == "0",
            };
            matches.then(|| path.trim_start_matches('/').to_owned())
        })?;
        Some(root.or(self.v2.as_deref())?.join(path))
    }

    /// Every directory of the machine's hierarchies whose name has `part` in it.
    #[must_use]
    pub fn directories_named(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for root in self.roots() {
            search(root, part, &mut found);
        }
        found
    }
}

fn search(directory: &Path, part: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        search(&path, part, found);
        if entry.file_name().to_string_lossy().contains(part) {
            found.push(path);
        }
    }
}

/// A cgroup file's text, trimmed.
///
/// # Panics
/// When it cannot be read.
#[must_use]
#[track_caller]
pub fn read(directory: &Path, file: &str) -> String {
    let path = directory.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// Processes of a cgroup.
#[must_use]
pub fn processes(directory: &Path) -> Vec<i32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

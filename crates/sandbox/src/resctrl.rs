//! The resctrl file system (Documentation/filesystems/resctrl.rst): classes of service, their schemata, monitoring groups.
//!
//! Runs in the runtime. What is planned is in [`ResctrlPlan`]; what exists, or may, in [`ResctrlRecord`], which is written
//! before anything is made. A process's class is inherited by what it forks: it is enough to write init.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::unescape;
use crate::error::{Error, Result, reason};
use crate::plan::ResctrlPlan;

/// What a container has in resctrl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResctrlRecord {
    /// The directory of its class.
    pub class: PathBuf,
    /// Whether that is removed at the container's end.
    pub removed: bool,
    /// The directory of its monitoring group.
    pub group: Option<PathBuf>,
}

/// What resctrl says of a container's class and counts for its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResctrlStats {
    /// The line `L3:…` of its class.
    pub l3_cache_schema: Option<String>,
    /// The line `MB:…`.
    pub mem_bw_schema: Option<String>,
    /// Counters, one for each cache domain; none where neither class nor group is the container's own.
    pub domains: Vec<DomainStats>,
}

/// Counters of one cache domain; absent where the processor does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainStats {
    /// How much of the cache is occupied.
    pub llc_occupancy_bytes: Option<u64>,
    /// Memory traffic.
    pub mbm_total_bytes: Option<u64>,
    /// Of it, that with the domain's own memory.
    pub mbm_local_bytes: Option<u64>,
}

/// The mount point of resctrl (`proc_pid_mountinfo(5)`).
pub(crate) fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let is_resctrl = filesystem.split(' ').next() == Some("resctrl");
        is_resctrl.then(|| mount.split(' ').nth(4).map(|path| unescape(path).into()))?
    })
}

fn error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Resctrl { action, path: path.to_owned(), reason: reason(&source) }
}

fn refuse(action: &'static str, path: &Path, reason: String) -> Error {
    Error::Resctrl { action, path: path.to_owned(), reason }
}

/// A class and a group that are being made. What this call has made is gone with it, unless it is kept.
#[derive(Debug)]
pub(crate) struct Resctrl {
    /// What there will be.
    pub(crate) record: ResctrlRecord,
    makes_class: bool,
    made_group: bool,
    kept: bool,
}

impl Resctrl {
    /// Looks what is there; makes nothing.
    ///
    /// # Errors
    /// A named class is not as the config wants it, or not there where it must be.
    pub(crate) fn claim(planned: &ResctrlPlan) -> Result<Self> {
        let class = &planned.class;
        let exists = fs::exists(class).map_err(error("look for the class", class))?;
        if planned.named && exists {
            let path = class.join("schemata");
            let compared = &planned.schemata[..planned.compared];
            if !compared.is_empty() {
                let actual = fs::read_to_string(&path).map_err(error("read", &path))?;
                if let Some((line, found)) = difference(compared, &actual) {
                    let reason = format!("the class exists and has {found}, not {line}");
                    return Err(refuse("compare", &path, reason));
                }
            }
        } else if planned.named && planned.schemata.is_empty() {
            let reason = "there is no such class, and no schema to make it with".to_owned();
            return Err(refuse("look for the class", class, reason));
        }
        let record = ResctrlRecord {
            class: class.clone(),
            removed: !planned.named && !exists,
            group: planned.monitoring.clone(),
        };
        Ok(Self { record, makes_class: !exists, made_group: false, kept: true })
    }

    /// Makes what is missing, and writes the schemata.
    pub(crate) fn make(&mut self, planned: &ResctrlPlan) -> Result<()> {
        self.kept = false;
        if self.makes_class {
            let class = &self.record.class;
            fs::create_dir(class)
                .inspect_err(|_| self.kept = true)
                .map_err(error("make the class", class))?;
        }
        write_schemata(&self.record.class, &planned.schemata)?;
        if let Some(group) = &self.record.group {
            fs::create_dir(group).map_err(error("make the monitoring group", group))?;
            self.made_group = true;
        }
        Ok(())
    }

    /// Puts init into them, by its pid: our child, which is held.
    pub(crate) fn admit(&self, pid: i32) -> Result<()> {
        for directory in [Some(&self.record.class), self.record.group.as_ref()].into_iter().flatten() {
            let path = directory.join("tasks");
            write_file(&path, pid.to_string().as_bytes()).map_err(error("write the pid to", &path))?;
        }
        Ok(())
    }

    /// The container is whole.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Resctrl {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let ResctrlRecord { class, group, .. } = self.record.clone();
        let group = group.filter(|_| self.made_group);
        let record = ResctrlRecord { class, removed: self.makes_class, group };
        if let Err(error) = record.remove() {
            tracing::warn!("{error}");
        }
    }
}

impl ResctrlRecord {
    /// Removes the monitoring group, and the class where it is the container's. What is gone is no error.
    pub(crate) fn remove(&self) -> Result<()> {
        let class = Some(&self.class).filter(|_| self.removed);
        for directory in [self.group.as_ref(), class].into_iter().flatten() {
            match fs::remove_dir(directory) {
                Err(failure) if failure.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(error("remove", directory))?,
            }
        }
        Ok(())
    }

    /// What is counted now.
    pub(crate) fn stats(&self) -> Result<ResctrlStats> {
        let path = self.class.join("schemata");
        let text = fs::read_to_string(&path).map_err(error("read", &path))?;
        let line =
            |name: &str| text.lines().map(str::trim).find(|line| line.starts_with(name)).map(str::to_owned);
        let counted = self.group.as_ref().or(Some(&self.class).filter(|_| self.removed));
        Ok(ResctrlStats {
            l3_cache_schema: line("L3:"),
            mem_bw_schema: line("MB:"),
            domains: counted.map_or_else(Vec::new, |directory| domain_stats(directory)),
        })
    }

    /// Writes lines of `schemata`; those that they replace.
    pub(crate) fn update(&self, lines: &[String]) -> Result<Vec<String>> {
        let path = self.class.join("schemata");
        let before = fs::read_to_string(&path).map_err(error("read", &path))?;
        let resource = |line: &str| line.trim().split_once(':').map(|(name, _)| name.to_owned());
        let replaced = |line: &&str| {
            let name = resource(line);
            name.is_some() && lines.iter().any(|asked| resource(asked) == name)
        };
        let before = before.lines().filter(replaced).map(|line| line.trim().to_owned()).collect();
        write_schemata(&self.class, lines)?;
        Ok(before)
    }
}

/// `mon_data/mon_L3_NN/*`, in the order of the names; a counter that the kernel says is unavailable is absent.
fn domain_stats(directory: &Path) -> Vec<DomainStats> {
    let entries = fs::read_dir(directory.join("mon_data")).into_iter().flatten().flatten();
    let is_l3 =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mon_L3_"));
    let mut domains: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_l3).collect();
    domains.sort();
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse().ok();
    let stats = |domain: PathBuf| DomainStats {
        llc_occupancy_bytes: number(domain.join("llc_occupancy")),
        mbm_total_bytes: number(domain.join("mbm_total_bytes")),
        mbm_local_bytes: number(domain.join("mbm_local_bytes")),
    };
    domains.into_iter().map(stats).collect()
}

/// All lines in one call; the kernel says in a file why it refuses one.
fn write_schemata(class: &Path, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let path = class.join("schemata");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    write_file(&path, text.as_bytes()).map_err(|failure| {
        let status = class.ancestors().map(|above| above.join("info/last_cmd_status"));
        let status = status.filter_map(|path| fs::read_to_string(path).ok()).next();
        let status = status.map(|status| status.trim().to_owned()).filter(|status| !status.is_empty());
        let because = status.map_or_else(String::new, |status| format!(" ({status})"));
        let asked = lines.join(", ");
        refuse("write", &path, format!("{asked}: {}{because}", reason(&failure)))
    })
}

/// A file of the kernel's; in a test's directory the file of a class just made is not there by itself.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(cfg!(test));
    // One call: the kernel reads each as a command.
    match options.open(path)?.write(bytes)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// The first of the lines that a class does not have, and what it has there. Only the domains of the line count.
fn difference(asked: &[String], actual: &str) -> Option<(String, String)> {
    let actual: BTreeMap<&str, &str> = actual
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(name, it)| (name.trim(), it))
        .collect();
    asked.iter().find_map(|line| {
        let (name, wanted) = line.split_once(':').unwrap_or((line, ""));
        let Some(found) = actual.get(name.trim()) else {
            return Some((line.clone(), format!("no {}", name.trim())));
        };
        let found_domains = domains(name, found);
        let same =
            domains(name, wanted).iter().all(|(domain, value)| found_domains.get(domain) == Some(value));
        (!same).then(|| (line.clone(), format!("{}:{}", name.trim(), found.trim())))
    })
}

/// `0=7ff;1=7ff`: bit masks are hexadecimal, with or without zeros in front; bandwidths are decimal.
fn domains(resource: &str, values: &str) -> BTreeMap<String, String> {
    let radix = if resource.trim().starts_with('L') { 16 } else { 10 };
    let domain = |it: &str| {
        let (domain, value) = it.split_once('=')?;
        let value = value.trim();
        let value =
            u64::from_str_radix(value, radix).map_or_else(|_| value.to_owned(), |value| value.to_string());
        Some((domain.trim().to_owned(), value))
    };
    values.split(';').filter_map(domain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as the kernel mounts it, below a directory of its own.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("resctrl-{name}-{}", std::process::id()));
            let tree = Self(path);
            fs::create_dir_all(tree.0.join("mon_groups")).unwrap();
            fs::create_dir_all(tree.0.join("info")).unwrap();
            fs::write(tree.0.join("info/last_cmd_status"), "mask f0f0 has non-consecutive 1-bits\n").unwrap();
            tree
        }

        fn class(&self, name: &str, schemata: &str) -> PathBuf {
            let class = self.0.join(name);
            fs::create_dir_all(class.join("mon_groups")).unwrap();
            fs::write(class.join("schemata"), schemata).unwrap();
            class
        }

        fn plan(&self, class: &str, named: bool, schemata: &[&str], compared: usize) -> ResctrlPlan {
            let schemata = schemata.iter().map(|line| (*line).to_owned()).collect();
            ResctrlPlan { class: self.0.join(class), named, schemata, compared, monitoring: None }
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const SCHEMATA: &str = "    MB:0=100;1= 20\n    L3:0=007ff;1=00f\n";

    #[test]
    fn mount_point_is_found_by_type() {
        let text = "24 1 0:22 / /proc rw - proc proc rw\n30 1 0:30 / /sys/fs/res\\040ctrl rw shared:3 - resctrl resctrl rw\n";
        assert_eq!(mount_point(text), Some("/sys/fs/res ctrl".into()));
        assert_eq!(mount_point("24 1 0:22 / /resctrl rw - tmpfs resctrl rw\n"), None);
    }

    #[test]
    fn own_class_is_made_filled_and_removed() {
        let tree = Tree::new("own");
        let planned = tree.plan("c", false, &["L3:0=f", "MB:0=20", "L2:0=3"], 2);
        let mut resctrl = Resctrl::claim(&planned).unwrap();
        assert!(resctrl.record.removed && !tree.0.join("c").exists());
        resctrl.make(&planned).unwrap();
        resctrl.admit(42).unwrap();
        assert_eq!(tree.read("c/schemata"), "L3:0=f\nMB:0=20\nL2:0=3\n");
        assert_eq!(tree.read("c/tasks"), "42");
        let record = resctrl.record.clone();
        resctrl.keep();
        // A directory of the kernel's is removed with its files.
        for file in ["schemata", "tasks"] {
            fs::remove_file(tree.0.join("c").join(file)).unwrap();
        }
        record.remove().unwrap();
        assert!(!tree.0.join("c").exists());
        record.remove().unwrap();
    }

    #[test]
    fn own_class_that_was_there_is_not_removed() {
        let tree = Tree::new("there");
        tree.class("c", SCHEMATA);
        let planned = tree.plan("c", false, &[], 0);
        let mut resctrl = Resctrl::claim(&planned).unwrap();
        resctrl.make(&planned).unwrap();
        assert!(!resctrl.record.removed);
        resctrl.record.remove().unwrap();
        drop(resctrl);
        assert_eq!(tree.read("c/schemata"), SCHEMATA);
    }

    #[test]
    fn named_class_stays_and_its_schemata_are_compared() {
        let tree = Tree::new("named");
        tree.class("gold", SCHEMATA);
        let same = tree.plan("gold", true, &["L3:1=f;0=7ff", "MB:1=20"], 2);
        let resctrl = Resctrl::claim(&same).unwrap();
        assert!(!resctrl.record.removed && !resctrl.makes_class);
        for (lines, found) in [(["L3:0=ff"], "L3:0=007ff"), (["MB:1=30"], "MB:0=100"), (["L2:0=1"], "no L2")]
        {
            let error = Resctrl::claim(&tree.plan("gold", true, &lines, 1)).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains(lines[0]), "{error}");
        }
    }

    #[test]
    fn named_class_that_is_missing_is_made_with_schemata_only() {
        let tree = Tree::new("missing");
        let error = Resctrl::claim(&tree.plan("gold", true, &[], 0)).unwrap_err().to_string();
        assert!(error.contains("there is no such class") && error.contains("/linux/intelRdt"), "{error}");
        let planned = tree.plan("gold", true, &["L3:0=f"], 1);
        let mut resctrl = Resctrl::claim(&planned).unwrap();
        resctrl.make(&planned).unwrap();
        assert!(!resctrl.record.removed);
        resctrl.keep();
        assert_eq!(tree.read("gold/schemata"), "L3:0=f\n");
    }

    #[test]
    fn monitoring_group_is_made_and_always_removed() {
        let tree = Tree::new("group");
        tree.class("gold", SCHEMATA);
        let mut planned = tree.plan("gold", true, &[], 0);
        planned.monitoring = Some(tree.0.join("gold/mon_groups/c"));
        let mut resctrl = Resctrl::claim(&planned).unwrap();
        resctrl.make(&planned).unwrap();
        resctrl.admit(7).unwrap();
        assert_eq!((tree.read("gold/tasks"), tree.read("gold/mon_groups/c/tasks")), ("7".into(), "7".into()));
        fs::remove_file(tree.0.join("gold/mon_groups/c/tasks")).unwrap();
        // Not kept: as when a later step fails.
        drop(resctrl);
        assert!(!tree.0.join("gold/mon_groups/c").exists() && tree.0.join("gold").exists());
        // It is there already: somebody else's.
        fs::create_dir(tree.0.join("gold/mon_groups/c")).unwrap();
        let error = Resctrl::claim(&planned).and_then(|mut it| it.make(&planned)).unwrap_err().to_string();
        assert!(error.contains("make the monitoring group"), "{error}");
        assert!(tree.0.join("gold/mon_groups/c").exists());
    }

    #[test]
    fn schemata_refused_says_why() {
        let tree = Tree::new("refused");
        tree.class("gold", SCHEMATA);
        fs::remove_file(tree.0.join("gold/schemata")).unwrap();
        fs::create_dir(tree.0.join("gold/schemata")).unwrap();
        let error = write_schemata(&tree.0.join("gold"), &["L3:0=f0f0".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("L3:0=f0f0: is a directory (mask f0f0 has non-consecutive 1-bits)"),
            "{error}"
        );
    }

    #[test]
    fn stats_are_those_of_the_containers_own_group() {
        let tree = Tree::new("stats");
        let class = tree.class("gold", SCHEMATA);
        for (domain, occupancy, total) in [("mon_L3_01", "7\n", "Unavailable\n"), ("mon_L3_00", "5\n", "6\n")]
        {
            let domain = class.join("mon_groups/c/mon_data").join(domain);
            fs::create_dir_all(&domain).unwrap();
            fs::write(domain.join("llc_occupancy"), occupancy).unwrap();
            fs::write(domain.join("mbm_total_bytes"), total).unwrap();
        }
        let group = Some(class.join("mon_groups/c"));
        let record = ResctrlRecord { class, removed: false, group };
        let stats = record.stats().unwrap();
        assert_eq!(stats.l3_cache_schema.as_deref(), Some("L3:0=007ff;1=00f"));
        assert_eq!(stats.mem_bw_schema.as_deref(), Some("MB:0=100;1= 20"));
        let first =
            DomainStats { llc_occupancy_bytes: Some(5), mbm_total_bytes: Some(6), mbm_local_bytes: None };
        let second = DomainStats { llc_occupancy_bytes: Some(7), ..DomainStats::default() };
        assert_eq!(stats.domains, [first, second]);
        // The counters of a class that others share are not the container's.
        assert!(ResctrlRecord { group: None, ..record }.stats().unwrap().domains.is_empty());
    }

    #[test]
    fn update_gives_what_it_replaces() {
        let tree = Tree::new("update");
        let class = tree.class("c", SCHEMATA);
        let record = ResctrlRecord { class, removed: true, group: None };
        assert_eq!(record.update(&["L3:0=3".to_owned()]).unwrap(), ["L3:0=007ff;1=00f"]);
        assert_eq!(tree.read("c/schemata"), "L3:0=3\n");
    }
}

//! What this host offers to containers, and where it doesn't, why.
//!
//! Reads the host, and only reads. What is read is passed to pure functions as text.

use std::path::{Path, PathBuf};
use std::{env, fs};

use rustix::process::{getgid, getuid};
use rustix::system::uname;
use serde::Serialize;
use spec::config::{Capability, NamespaceKind};

use crate::cgroup::{Hierarchies, OwnPaths, probe_hierarchies};
use crate::host::HostFacts;
use crate::probe::probe_resctrl;

/// The oldest kernel (docs/kernel-features.md).
const FLOOR: (u32, u32) = (5, 14);
/// What a config can limit.
const CONTROLLERS: [&str; 9] =
    ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma", "devices", "freezer"];

/// One thing that containers may need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub name: String,
    /// Whether the host has it.
    pub available: bool,
    /// How, or why not.
    pub detail: String,
}

/// Findings about one part of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// `kernel`, `cgroup` …
    pub name: &'static str,
    /// In a fixed order.
    pub findings: Vec<Finding>,
}

fn found(name: impl Into<String>, detail: impl Into<String>) -> Finding {
    Finding { name: name.into(), available: true, detail: detail.into() }
}

fn missing(name: impl Into<String>, reason: impl Into<String>) -> Finding {
    Finding { name: name.into(), available: false, detail: reason.into() }
}

/// Looks at the host. `criu` names CRIU's program, where it is not looked for in `PATH`.
pub fn survey(criu: Option<&Path>) -> Vec<Section> {
    let section = |name, findings| Section { name, findings };
    vec![
        section("kernel", kernel()),
        section("cgroup", cgroup()),
        section("namespaces", namespaces()),
        section("security", security()),
        section("mounts", mounts()),
        section("user", user()),
        section("programs", programs(criu)),
    ]
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Vec<Finding> {
    let name = uname();
    let release = name.release().to_string_lossy();
    let (major, minor) = FLOOR;
    let version = match parse_release(&release) {
        Some(version) if version < FLOOR => {
            missing("release", format!("{release}: older than {major}.{minor}, which is needed"))
        }
        _ => found("release", release),
    };
    let memfd = match read("/proc/sys/vm/memfd_noexec").as_deref() {
        Some("2") => missing(
            "executable memfd",
            "vm.memfd_noexec is 2: an unlinked read-only file on a tmpfs takes its place",
        ),
        _ => found("executable memfd", "holds the program that a container starts as"),
    };
    vec![version, found("architecture", env::consts::ARCH), memfd]
}

/// `6.18.44-x` is 6.18.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cgroup() -> Vec<Finding> {
    match probe_hierarchies(OwnPaths::Skip) {
        Ok(hierarchies) => cgroup_findings(&hierarchies),
        Err(error) => vec![missing("hierarchies", error.to_string())],
    }
}

fn cgroup_findings(hierarchies: &Hierarchies) -> Vec<Finding> {
    let mode = match (&hierarchies.v2, hierarchies.v1.is_empty()) {
        (Some(v2), true) => found("hierarchies", format!("v2 at {}", v2.mount_point.display())),
        (Some(v2), false) => {
            found("hierarchies", format!("hybrid: v1 controllers, and v2 at {}", v2.mount_point.display()))
        }
        (None, false) => found("hierarchies", "v1"),
        (None, true) => {
            missing("hierarchies", "no cgroup file system is mounted: give --cgroup-manager disabled")
        }
    };
    let mut findings = vec![mode];
    findings.extend(CONTROLLERS.map(|controller| controller_finding(hierarchies, controller)));
    findings
}

fn controller_finding(hierarchies: &Hierarchies, controller: &str) -> Finding {
    let has = |controllers: &[String], name: &str| controllers.iter().any(|known| known == name);
    let v1_name = if controller == "io" { "blkio" } else { controller };
    if let Some(v1) = hierarchies.v1.iter().find(|v1| has(&v1.controllers, v1_name)) {
        return found(controller, format!("v1 at {}", v1.mount_point.display()));
    }
    let Some(v2) = &hierarchies.v2 else { return missing(controller, "in no mounted hierarchy") };
    match controller {
        // Not controllers there: a BPF program, and a file of every cgroup.
        "devices" if hierarchies.v1.is_empty() => found(controller, "v2, by a BPF program"),
        "freezer" => found(controller, "v2, by cgroup.freeze"),
        _ if has(&v2.controllers, controller) => found(controller, "v2"),
        _ => missing(controller, "not among the controllers of the v2 root, nor mounted as v1"),
    }
}

fn namespaces() -> Vec<Finding> {
    NamespaceKind::ALL
        .into_iter()
        .map(|kind| {
            let file = kind.file_name();
            if !Path::new("/proc/self/ns").join(file).exists() {
                return missing(kind.name(), "the kernel was built without it");
            }
            match read(&format!("/proc/sys/user/max_{file}_namespaces")).as_deref() {
                Some("0") => missing(kind.name(), format!("the sysctl user.max_{file}_namespaces is 0")),
                Some(most) => found(kind.name(), format!("at most {most} for each user")),
                None => found(kind.name(), ""),
            }
        })
        .collect()
}

fn security() -> Vec<Finding> {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    let seccomp = match actions {
        Some(actions) => found("seccomp", actions),
        None => missing("seccomp", "the kernel was built without filters"),
    };
    let modules = read("/sys/kernel/security/lsm").unwrap_or_default();
    let apparmor = match read("/sys/module/apparmor/parameters/enabled").as_deref() {
        Some("Y") => found("AppArmor", "enabled"),
        Some(_) => missing("AppArmor", "in the kernel, but not enabled"),
        None => missing("AppArmor", "not in this kernel: profiles are ignored, with a warning"),
    };
    let selinux = if Path::new("/sys/fs/selinux/status").exists() {
        found("SELinux", "enabled")
    } else {
        missing("SELinux", "not enabled: labels are ignored, with a warning")
    };
    let lsm = if modules.is_empty() {
        missing("security modules", "securityfs is not mounted")
    } else {
        found("security modules", modules)
    };
    let landlock = match init::sys::landlock_version() {
        Ok(version) => found("Landlock", format!("version {version}")),
        Err(_) => missing("Landlock", "not in this kernel, or not enabled: its annotations are refused"),
    };
    let mut findings = vec![seccomp, apparmor, selinux, landlock, lsm];
    if let Ok(facts) = HostFacts::probe_self() {
        findings.push(capabilities(facts.bounding.bits()));
    }
    findings
}

fn capabilities(bounding: u64) -> Finding {
    let lacking: Vec<&str> = Capability::all()
        .filter(|capability| bounding & 1 << capability.number() == 0)
        .map(Capability::name)
        .collect();
    if lacking.is_empty() {
        found("capabilities", "all can be granted")
    } else if bounding == 0 {
        found(
            "capabilities",
            "all can be granted in a user namespace of the container's own, none outside of one",
        )
    } else {
        missing("capabilities", format!("the caller can't grant {}", lacking.join(" ")))
    }
}

fn mounts() -> Vec<Finding> {
    let known = read("/proc/filesystems").unwrap_or_default();
    let mut findings: Vec<Finding> = ["overlay", "fuse", "tmpfs", "proc", "sysfs", "devpts", "mqueue"]
        .into_iter()
        .map(|name| {
            if known.split_whitespace().any(|word| word == name) {
                found(name, "")
            } else {
                missing(name, "not among /proc/filesystems: perhaps a module that is not loaded")
            }
        })
        .collect();
    findings.push(match probe_resctrl() {
        Ok(Some(path)) => found("resctrl", format!("at {}", path.display())),
        Ok(None) => missing("resctrl", "not mounted: there are no classes of service (Intel RDT)"),
        Err(error) => missing("resctrl", error.to_string()),
    });
    let enabled = crate::features().linux.and_then(|linux| linux.mount_extensions?.idmap?.enabled);
    findings.push(if enabled == Some(true) {
        found("id-mapped mounts", "as far as the source's file system allows them")
    } else {
        missing("id-mapped mounts", "this runtime does not make them yet")
    });
    findings
}

fn user() -> Vec<Finding> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let inside = crate::probe::in_user_namespace().unwrap_or(false);
    let place = if inside { "in a user namespace" } else { "in the initial user namespace" };
    let mut findings = vec![found("caller", format!("uid {uid}, gid {gid}, {place}"))];
    let passwd = read("/etc/passwd").unwrap_or_default();
    let name = user_name(&passwd, uid);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let ranges = ranges(&read(file).unwrap_or_default(), name, uid);
        let kind = if file.ends_with("uid") { "subordinate uids" } else { "subordinate gids" };
        findings.push(if uid == 0 && !inside {
            found(kind, "root maps any id")
        } else if ranges.is_empty() {
            missing(kind, format!("{file} has no line for the caller: only his own id can be mapped by him"))
        } else {
            found(kind, ranges.join(", "))
        });
    }
    if let Some(restricted) = restricted() {
        findings.push(missing("unprivileged user namespaces", restricted));
    } else {
        findings.push(found("unprivileged user namespaces", ""));
    }
    findings
}

/// Why users may not make user namespaces, as far as sysctls tell.
fn restricted() -> Option<&'static str> {
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        Some("the sysctl user.max_user_namespaces is 0")
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        Some("the sysctl kernel.unprivileged_userns_clone is 0")
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        Some("the sysctl kernel.apparmor_restrict_unprivileged_userns is 1: a profile must allow the runtime")
    } else {
        None
    }
}

/// `passwd(5)`
fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// `subuid(5)`: the ranges of a user, by name or number.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<String> {
    let line = |line: &str| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?, fields.next()?);
        let own = Some(owner) == name || owner.parse() == Ok(uid);
        own.then(|| format!("{count} from {first}"))
    };
    text.lines().filter_map(line).collect()
}

fn programs(criu: Option<&Path>) -> Vec<Finding> {
    let find = |name: &str, without: &str| match find_program(name) {
        Some(path) => found(name, path.display().to_string()),
        None => missing(name, format!("not in $PATH: {without}")),
    };
    let criu = match criu {
        Some(path) if path.is_file() => found("criu", path.display().to_string()),
        Some(path) => missing("criu", format!("{} is no file", path.display())),
        None => find("criu", "no checkpoint and restore"),
    };
    let single = "ordinary users can map their own id only";
    vec![find("newuidmap", single), find("newgidmap", single), criu]
}

fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::V2Hierarchy;

    #[test]
    fn release_is_parsed() {
        assert_eq!(parse_release("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse_release("5.4-rc1"), Some((5, 4)));
        assert_eq!(parse_release("x"), None);
    }

    #[test]
    fn ranges_of_the_user_are_found_by_name_and_number() {
        let text = "web:100000:65536\nother:1:2\n1000:300000:10\nbroken";
        assert_eq!(ranges(text, Some("web"), 1000), ["65536 from 100000", "10 from 300000"]);
        assert!(ranges(text, None, 7).is_empty());
    }

    #[test]
    fn controller_missing_has_a_reason() {
        let v2 =
            V2Hierarchy { mount_point: "/c".into(), own_path: None, controllers: vec!["memory".to_owned()] };
        let hierarchies = Hierarchies { v2: Some(v2), v1: Vec::new() };
        let findings = cgroup_findings(&hierarchies);
        let find = |name: &str| findings.iter().find(|finding| finding.name == name).unwrap();
        assert!(find("memory").available && find("devices").available);
        assert!(!find("cpu").available && !find("cpu").detail.is_empty());
        assert!(!cgroup_findings(&Hierarchies::default())[0].available);
    }
}

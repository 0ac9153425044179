//! What is printed inside, without what differs between two runs, and without what is known to differ between runtimes.

use runtime_tests::procfs::{Mount, own_namespace, parse_mountinfo};

/// The lines, for a comparison with another runtime; each path of the test's under a name of its own, the mounts in the order of their points.
pub(super) fn lines(text: &str, other: &str, names: &[(&str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut mounts = String::new();
    for line in text.lines() {
        let line = names.iter().fold(line.to_owned(), |line, (path, name)| line.replace(path, name));
        match line.split_once('|') {
            Some(("mount", mount)) => {
                mounts.push_str(mount);
                mounts.push('\n');
            }
            // The number of a hierarchy is the machine's.
            Some(("cgroup", cgroup)) => {
                lines.push(format!("cgroup|{}", cgroup.split_once(':').map_or(cgroup, |(_, rest)| rest)))
            }
            Some(("namespace", namespace)) => lines.push(format!("namespace|{}", relation(namespace))),
            _ => lines.push(line),
        }
    }
    lines.extend(parse_mountinfo(&mounts).iter().map(mount));
    lines.retain(|line| !is_known(line, other));
    lines
}

/// A namespace is the host's, or another.
fn relation(line: &str) -> String {
    let (kind, link) = line.split_once(' ').unwrap_or((line, ""));
    let relation = if own_namespace(kind) == link { "the host's" } else { "another" };
    format!("{kind} {relation}")
}

fn mount(mount: &Mount) -> String {
    let sorted = |options: &[String], without: &[&str]| {
        let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
        options.retain(|option| !without.contains(option));
        options.sort_unstable();
        options.join(",")
    };
    let groups: Vec<&str> = mount
        .propagation
        .iter()
        .map(|group| group.split_once(':').map_or(&**group, |(kind, _)| kind))
        .collect();
    let point = &mount.point;
    // config-linux.md, masked paths: that they can't be read, not by what.
    let is_masked = MASKED.contains(&&**point);
    if is_masked && mount.root == "/null" {
        return format!("mount|{point} is the null device");
    }
    if is_masked && mount.kind == "tmpfs" && mount.has("ro") {
        return format!("mount|{point} is an empty directory");
    }
    // The name of a source that the kernel does not look at.
    let source = if mount.kind == "cgroup" { "cgroup" } else { &mount.source };
    // Whether the file system is read-only besides the mount, config.md does not say; only who may mount sees it.
    let file_system = sorted(&mount.super_options, &["ro", "rw"]);
    format!(
        "mount|{point} {} from {source} of {} [{}] ({file_system}) {}",
        mount.kind,
        mount.root,
        sorted(&mount.options, &[]),
        groups.join(" ")
    )
}

/// What the generator masks.
pub(super) const MASKED: [&str; 7] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/scsi",
    "/sys/firmware",
    "/proc/acpi",
    "/no/such",
];

/// Every runtime.
const ANY: &str = "";

/// What one runtime is known to do otherwise: its name, how such a line begins, and why it is let pass.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "runc",
        "mount|/sys/fs/cgroup cgroup2 ",
        "on v2 without a cgroup namespace the whole host's hierarchy is mounted",
    ),
    (
        "runc",
        "limit|hugetlb.2MB.max ",
        "on v2 without a cgroup namespace the whole host's hierarchy is mounted",
    ),
    (ANY, "mount|/etc/file ", "read-only paths: ours cover what is mounted below them, too"),
    ("runc", "status|SigIgn:", "leaves signal 32 ignored, where its caller has it so"),
    ("runc", "mount|/sys/fs/cgroup tmpfs", "the tmpfs that v1 hierarchies are mounted on stays writable"),
    (
        "runc",
        "write|/run ",
        "the mode of a tmpfs is that of the directory below it, whatever the option says",
    ),
    (
        "runc",
        "write|/mnt/sub ",
        "the mode of a tmpfs is that of the directory below it, whatever the option says",
    ),
    ("runc", "write|/sys/fs/cgroup ", "the tmpfs that v1 hierarchies are mounted on stays writable"),
    (
        ANY,
        "dev|/dev/mqueue ",
        "its owner in a user namespace depends on the order in which the namespaces are made",
    ),
    ("crun", "mount|/dev/", "devices bound into a user namespace are nosuid and noexec"),
    ("crun", "mount|/mnt ", "a bind in a user namespace loses the flags that it was given"),
    ("crun", "masked|/proc/keys ", "joins a session keyring that root of a user namespace does not see"),
    ("crun", "status|SigIgn:", "leaves signals 32 and 33 ignored, where its caller has them so"),
    ("crun", "mount|/sys/fs/cgroup tmpfs", "the tmpfs that v1 hierarchies are mounted on stays writable"),
    ("crun", "write|/sys/fs/cgroup ", "the tmpfs that v1 hierarchies are mounted on stays writable"),
    ("crun", "dev|'/dev/core' ", "a link that runtime-linux.md does not have"),
    ("crun", "root|/new ", "a parent of a missing destination has mode 1755"),
    ("crun", "limit|devices/devices.list c 10:200 ", "runc's list of devices that are always allowed has it"),
    ("crun", "limit|devices/devices.list c 5:1 ", "runc's list of devices that are always allowed lacks it"),
    ("crun", "env|HOME=", "HOME of a user without a line in /etc/passwd: runc's is /, crun's is absent"),
    (
        "libcontainer",
        "env|HOME=",
        "HOME of a user without a line in /etc/passwd: runc's is /, here it is absent",
    ),
    ("libcontainer", "status|SigIgn:", "ignores SIGPIPE, and leaves signals 32 and 33 ignored"),
    ("libcontainer", "masked|/proc/keys ", "has no session keyring"),
    ("libcontainer", "dev|/dev/below ", "a parent of a device has mode 0777"),
    (
        "libcontainer",
        "limit|devices/devices.list c 5:1 ",
        "runc's list of devices that are always allowed lacks it",
    ),
    ("libcontainer", "cgroup|:/", "joins only hierarchies whose controllers it can set"),
    ("libcontainer", "cgroup|name=systemd:/", "joins only hierarchies whose controllers it can set"),
    ("libcontainer", "mount|/sys/fs/cgroup", "v1 hierarchies are mounted writable, whatever the options say"),
    (
        "libcontainer",
        "write|/sys/fs/cgroup ",
        "v1 hierarchies are mounted writable, whatever the options say",
    ),
    ("libcontainer", "mount|/proc/bus ", "a read-only path is nosuid, nodev and noexec besides"),
    ("libcontainer", "mount|/proc/fs ", "a read-only path is nosuid, nodev and noexec besides"),
    ("libcontainer", "mount|/proc/irq ", "a read-only path is nosuid, nodev and noexec besides"),
    ("libcontainer", "mount|/proc/sys", "a read-only path is nosuid, nodev and noexec besides"),
    ("libcontainer", "mount|/etc ", "a read-only path is nosuid, nodev and noexec besides"),
];

/// Lines of a subject that are left out of both sides for a runtime.
pub(super) fn is_known(line: &str, runtime: &str) -> bool {
    KNOWN.iter().any(|(name, start, _)| (*name == ANY || *name == runtime) && line.starts_with(start))
}

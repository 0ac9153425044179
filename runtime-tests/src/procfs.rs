//! What the kernel says of a process: mountinfo, status, namespaces.

use std::fs;
use std::path::PathBuf;

/// One line of `/proc/PID/mountinfo`, proc_pid_mountinfo(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Mount id.
    pub id: u32,
    /// Id of the mount that it is on.
    pub parent: u32,
    /// What of its file system is mounted.
    pub root: String,
    /// Where.
    pub point: String,
    /// Options of the mount.
    pub options: Vec<String>,
    /// `shared:N`, `master:N`, `unbindable`.
    pub propagation: Vec<String>,
    /// File system type.
    pub kind: String,
    /// Source.
    pub source: String,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has the option.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|each| each == option)
    }

    /// Whether the file system has the option.
    #[must_use]
    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|each| each == option)
    }

    /// Whether it is in a peer group.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.propagation.iter().any(|each| each.starts_with("shared:"))
    }

    /// Whether it receives from a peer group.
    #[must_use]
    pub fn is_slave(&self) -> bool {
        self.propagation.iter().any(|each| each.starts_with("master:"))
    }
}

/// The mounts in a text of mountinfo's form, lowest first.
///
/// # Panics
/// When the text is not of that form.
#[must_use]
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    let list = |options: &str| options.split(',').map(str::to_owned).collect::<Vec<_>>();
    let parse = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ');
        let mut back = back.split(' ');
        Some(Mount {
            id: front.next()?.parse().ok()?,
            parent: front.next()?.parse().ok()?,
            root: front.nth(1)?.to_owned(),
            point: front.next()?.to_owned(),
            options: list(front.next()?),
            propagation: front.map(str::to_owned).collect(),
            kind: back.next()?.to_owned(),
            source: back.next()?.to_owned(),
            super_options: list(back.next().unwrap_or_default()),
        })
    };
    text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("mountinfo line: {line}"))).collect()
}

/// The mounts that a process sees.
///
/// # Panics
/// When it is gone.
#[must_use]
pub fn mounts_of(pid: i32) -> Vec<Mount> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("read mountinfo");
    parse_mountinfo(&text)
}

/// The topmost mount at a point.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn mount_at(mounts: &[Mount], point: &str) -> Mount {
    mounts
        .iter()
        .rev()
        .find(|mount| mount.point == point)
        .cloned()
        .unwrap_or_else(|| panic!("no mount at {point} in {mounts:#?}"))
}

/// A field of `/proc/PID/status`, in a text of its form.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn status_field(status: &str, field: &str) -> String {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .unwrap_or_else(|| panic!("no {field} in {status}"))
}

/// A field of a process's status.
///
/// # Panics
/// When it is gone.
#[must_use]
#[track_caller]
pub fn status_of(pid: i32, field: &str) -> String {
    status_field(&fs::read_to_string(format!("/proc/{pid}/status")).expect("read status"), field)
}

/// The namespace of a kind (`net`, `mnt`, …) that a process is in: `kind:[inode]`.
///
/// # Panics
/// When it is gone.
#[must_use]
#[track_caller]
pub fn namespace_of(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("readlink ns").to_string_lossy().into_owned()
}

/// The test process's own namespace of a kind.
#[must_use]
#[track_caller]
pub fn own_namespace(kind: &str) -> String {
    namespace_of(std::process::id().cast_signed(), kind)
}

/// What a process's `/proc` link (`exe`, `cwd`, `fd/1`) leads to.
#[must_use]
pub fn link_of(pid: i32, link: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/{link}")).ok()
}

/// A `/proc` file of NUL-terminated strings.
///
/// # Panics
/// When the process is gone.
#[must_use]
pub fn strings_of(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).expect("read a proc file");
    bytes
        .split(|&byte| byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Process ids of the machine.
#[must_use]
pub fn all_pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("read /proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

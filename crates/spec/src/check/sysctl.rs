//! `linux.sysctl`: only what belongs to the container's own namespaces.
//!
//! Runs anywhere; pure. Anything else would change the host (CVE-2022-0811 was such a key).

use crate::config::{NamespaceKind, Namespaces, Sysctl};
use crate::field::{Field, text};
use crate::report::{Report, quote};

const CLAUSE: &str = "config-linux.md#sysctl";
/// The kernel reads at most one page.
const MAX_VALUE: usize = 4096;

/// Keys of the IPC namespace (`ipc/ipc_sysctl.c`), besides `fs.mqueue.*`.
const IPC: [&str; 12] = [
    "kernel/auto_msgmni",
    "kernel/msg_next_id",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/sem_next_id",
    "kernel/shm_next_id",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
];

pub(super) fn check_sysctl(
    field: Field<'_, '_>,
    namespaces: &Namespaces,
    report: &mut Report,
) -> Option<Vec<Sysctl>> {
    let field = field.of(CLAUSE);
    let mut checked: Vec<Sysctl> = Vec::new();
    for (key, value) in field.entries(report) {
        let path = sysctl_path(key);
        if !is_plain(&path) {
            report.violate(value.at, quote(key), "must be the name of a kernel parameter", CLAUSE);
            continue;
        }
        match owner(&path) {
            Some(kind) if namespaces.get(kind).is_some() => {}
            Some(kind) => {
                let rule = format!("needs an entry of type {} in /linux/namespaces", kind.name());
                report.violate(value.at, "none", rule, CLAUSE);
            }
            None => {
                report.violate(value.at, quote(key), "must be a parameter of one of the namespaces", CLAUSE);
            }
        }
        let Some(setting) = value.required(report).str(report) else { continue };
        if setting.len() > MAX_VALUE || setting.contains('\n') {
            value.violate(report, "must be one line of at most 4096 bytes");
        }
        let Some(namespace) = owner(&path) else { continue };
        checked.push(Sysctl { key: text(key), path: text(&path), value: text(setting), namespace });
    }
    checked.sort_by(|left, right| left.key.cmp(&right.key));
    let mut paths: Vec<&Sysctl> = checked.iter().collect();
    paths.sort_by(|left, right| left.path.cmp(&right.path));
    for pair in paths.windows(2).filter(|pair| pair[0].path == pair[1].path) {
        let found = format!("{} and {}", quote(&pair[0].key), quote(&pair[1].key));
        report.violate(field.at, found, "must name each parameter once", CLAUSE);
    }
    Some(checked)
}

/// The file below `/proc/sys`. The first separator says which one divides: after a `.` each `/` stands for a dot in a
/// name (`net.ipv4.conf.eth0/100.forwarding`), after a `/` each `.` is itself (sysctl.d(5)).
fn sysctl_path(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(first) if key.as_bytes()[first] == b'.' => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// Whether it is a relative path that stays where it is.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..")) && !path.chars().any(char::is_control)
}

/// The kind of namespace that a parameter belongs to.
fn owner(path: &str) -> Option<NamespaceKind> {
    if path.starts_with("net/") {
        return Some(NamespaceKind::Network);
    }
    if path.starts_with("user/") {
        return Some(NamespaceKind::User);
    }
    if path.starts_with("fs/mqueue/") || IPC.contains(&path) {
        return Some(NamespaceKind::Ipc);
    }
    matches!(path, "kernel/hostname" | "kernel/domainname").then_some(NamespaceKind::Uts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_with_either_separator_is_the_same_file() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net.ipv4.conf.eno2/100.rp_filter"), "net/ipv4/conf/eno2.100/rp_filter");
        assert_eq!(sysctl_path("net/ipv4/conf/eno2.100/rp_filter"), "net/ipv4/conf/eno2.100/rp_filter");
    }

    #[test]
    fn sysctl_that_leaves_its_directory_is_not_plain() {
        for key in ["net/../kernel/core_pattern", "net.//.kernel", "net//x", "/net/x", "net/", "", "net/a\nb"]
        {
            assert!(!is_plain(&sysctl_path(key)), "{key}");
        }
    }

    #[test]
    fn sysctl_of_the_host_has_no_owner() {
        for path in
            ["kernel/core_pattern", "vm/swappiness", "kernel/shmmax2", "network/x", "net", "fs/mqueue2/x"]
        {
            assert_eq!(owner(path), None, "{path}");
        }
        assert_eq!(owner("net/ipv4/ip_forward"), Some(NamespaceKind::Network));
        assert_eq!(owner("fs/mqueue/msg_max"), Some(NamespaceKind::Ipc));
        assert_eq!(owner("kernel/domainname"), Some(NamespaceKind::Uts));
    }
}

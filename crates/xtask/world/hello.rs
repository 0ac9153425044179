//! `hello`: namespaces, ids, cgroup, root, rights of the process that asks.

use std::fs::{read_dir, read_link, read_to_string};

/// Prints it.
pub(crate) fn show() {
    let hostname = read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    println!("hello from {}, pid {}", hostname.trim(), std::process::id());
    print("namespaces", &namespaces());
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let ids =
        ["Uid", "Gid", "Groups"].map(|name| format!("{} {}", name.to_lowercase(), field(&status, name)));
    print("ids", &ids);
    for map in ["uid_map", "gid_map"] {
        print(map, &lines(&format!("/proc/self/{map}")));
    }
    print("cgroup", &lines("/proc/self/cgroup"));
    let rights = [("CapEff", "capabilities"), ("NoNewPrivs", "no_new_privs"), ("Seccomp", "seccomp")];
    print("rights", &rights.map(|(name, word)| format!("{word} {}", field(&status, name))));
    print("root", &[names_in("/").join(" ")]);
    print("mounts", &mounts());
}

fn print(title: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        println!("{:12}{line}", if index == 0 { title } else { "" });
    }
}

fn names_in(directory: &str) -> Vec<String> {
    let entries = read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Each once: `pid:[4026532201]`; the `_for_children` ones add nothing here.
pub(crate) fn namespaces() -> Vec<String> {
    let own = names_in("/proc/self/ns").into_iter().filter(|name| !name.ends_with("_for_children"));
    own.filter_map(|name| read_link(format!("/proc/self/ns/{name}")).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

fn lines(file: &str) -> Vec<String> {
    let text = read_to_string(file).unwrap_or_else(|error| error.to_string());
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A field of `/proc/self/status`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Mount point, type and options: fields 5, 9 and 6 of mountinfo, proc(5).
fn mounts() -> Vec<String> {
    let text = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let shown = text.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let fields: Vec<&str> = before.split(' ').collect();
        Some(format!("{:24}{:8}{}", fields.get(4)?, after.split(' ').next()?, fields.get(5)?))
    });
    shown.collect()
}

//! `limits`: what the cgroup that is mounted at `/sys/fs/cgroup` allows, on v1 or v2.

use std::fs::read_to_string;

/// What is limited, where v2 says it, where v1 does.
const FILES: [(&str, &str, &str); 5] = [
    ("memory", "memory.max", "memory/memory.limit_in_bytes"),
    ("memory used", "memory.current", "memory/memory.usage_in_bytes"),
    ("cpu", "cpu.max", "cpu/cpu.cfs_quota_us"),
    ("pids", "pids.max", "pids/pids.max"),
    ("pids used", "pids.current", "pids/pids.current"),
];

/// Prints them.
pub(crate) fn show() {
    for (name, unified, v1) in FILES {
        let read = |file: &str| read_to_string(format!("/sys/fs/cgroup/{file}")).ok();
        let value = read(unified).or_else(|| read(v1));
        println!("{name:12}{}", value.as_deref().unwrap_or("no such controller").trim());
    }
}

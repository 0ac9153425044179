//! Who may import whom, in the library: imports point down only (`docs/architecture.md`).

use std::path::Path;

use super::source;

/// Where the library is.
const LIBRARY: &str = "crates/sandbox/src/";

/// A module, and those of the library that it must not take anything from.
const FORBIDDEN: [(&str, &[&str]); 13] = [
    ("sys", &["*"]),
    ("outcome", &["*"]),
    ("id", &["*"]),
    ("confinement", &["*"]),
    ("host", &["criu", "error", "hint", "hooks", "launch", "plan", "probe", "state", "sys"]),
    ("error", &["hint", "hooks", "host", "launch", "probe", "state", "sys"]),
    ("seccomp", &["cgroup", "criu", "error", "hooks", "host", "launch", "plan", "state", "sys"]),
    ("plan", &["criu", "error", "hooks", "launch", "state", "survey", "sys"]),
    ("cgroup", &["criu", "hooks", "launch", "plan", "sys"]),
    ("launch", &["cgroup", "criu", "hooks", "state"]),
    ("state", &["criu", "hooks", "plan"]),
    ("hooks", &["cgroup", "criu", "state"]),
    ("request", &["criu", "error", "hooks", "launch", "plan", "state", "sys"]),
];

/// Only these are above the verbs of a container's life.
const ABOVE: [&str; 2] = ["lib", "lifecycle"];

/// Imports of a file that point up.
pub(super) fn check(file: &Path, text: &str) -> Vec<String> {
    let name = file.to_string_lossy();
    let Some(below) = name.strip_prefix(LIBRARY) else { return Vec::new() };
    let module = below.split('/').next().unwrap_or(below).trim_end_matches(".rs");
    let forbidden = FORBIDDEN.iter().find(|(of, _)| *of == module).map_or(&[][..], |(_, list)| list);
    let mut findings = Vec::new();
    for (line, used) in source::own_modules(text) {
        let is_forbidden = forbidden.contains(&used.as_str())
            || (forbidden.contains(&"*") && used != module)
            || (used == "lifecycle" && !ABOVE.contains(&module));
        if is_forbidden {
            findings.push(format!("{name}:{line}: {module} must not use {used}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_upwards_found() {
        let check = |file: &str, text: &str| check(Path::new(file), text).len();
        assert_eq!(check("crates/sandbox/src/plan/mounts.rs", "use crate::launch::spawn;"), 1);
        assert_eq!(check("crates/sandbox/src/plan/mounts.rs", "use crate::host::HostFacts;"), 0);
        assert_eq!(check("crates/sandbox/src/sys/spawn.rs", "use crate::error::Error;"), 1);
        assert_eq!(check("crates/sandbox/src/hooks.rs", "use crate::{Id, lifecycle::Runtime};"), 1);
        assert_eq!(check("crates/sandbox/src/lifecycle/create.rs", "use crate::lifecycle::Runtime;"), 0);
        assert_eq!(check("crates/sandboxd/src/main.rs", "use crate::launch;"), 0);
    }
}

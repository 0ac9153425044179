//! Every flag that callers of runc (and crun, for `mounts`) may pass, in each of Go's forms: the parser takes it.
//!
//! The state root is a file, so that nothing is ever done: what comes back is an error, but none about the flags.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;

/// A flag without its dashes, and a value where it takes one.
type Flag = (&'static str, Option<&'static str>);

const fn on(name: &'static str) -> Flag {
    (name, None)
}

const fn with(name: &'static str, value: &'static str) -> Flag {
    (name, Some(value))
}

const GLOBAL: &[Flag] = &[
    with("root", "/dev/null/root"),
    with("log", "/dev/null"),
    with("trace", "/dev/null"),
    with("log-format", "text"),
    with("log-format", "json"),
    with("log-level", "debug"),
    with("log-level", "warn"),
    on("debug"),
    on("systemd-cgroup"),
    with("cgroup-manager", "cgroupfs"),
    with("cgroup-manager", "systemd"),
    with("cgroup-manager", "disabled"),
    with("rootless", "true"),
    with("rootless", "false"),
    with("rootless", "auto"),
    with("criu", "/usr/sbin/criu"),
];

const CREATION: &[Flag] = &[
    with("bundle", "/no/such"),
    with("b", "/no/such"),
    with("config", "/no/such"),
    with("f", "/no/such"),
    with("console-socket", "/no/such"),
    with("pidfd-socket", "/no/such"),
    with("pid-file", "/no/such"),
    on("no-pivot"),
    on("no-new-keyring"),
    with("preserve-fds", "2"),
    on("detach"),
    on("d"),
];

/// Command, its operands, its flags.
const COMMANDS: &[(&str, &[&str], &[Flag])] = &[
    ("create", &["id"], CREATION),
    ("run", &["id"], CREATION),
    ("run", &["id"], &[on("keep"), on("no-subreaper")]),
    ("start", &["id"], &[]),
    ("state", &["id"], &[]),
    ("pause", &["id"], &[]),
    ("resume", &["id"], &[]),
    (
        "exec",
        &["id", "sh"],
        &[
            with("console-socket", "/no/such"),
            with("pidfd-socket", "/no/such"),
            with("cwd", "/"),
            with("env", "A=b"),
            with("e", "A=b"),
            on("tty"),
            on("t"),
            with("user", "1:2"),
            with("u", "1"),
            with("additional-gids", "3"),
            with("g", "3"),
            with("process", "/no/such"),
            with("p", "/no/such"),
            on("detach"),
            on("d"),
            with("pid-file", "/no/such"),
            with("process-label", "l"),
            with("apparmor", "p"),
            on("no-new-privs"),
            with("cap", "CAP_KILL"),
            with("c", "CAP_KILL"),
            with("preserve-fds", "1"),
            with("cgroup", "/sub"),
            with("cgroup", "cpu,memory:/sub"),
            on("ignore-paused"),
        ],
    ),
    ("kill", &["id", "9"], &[on("all"), on("a"), on("regex"), on("r")]),
    ("delete", &["id"], &[on("force"), on("f"), on("regex"), on("r")]),
    ("list", &[], &[with("format", "table"), with("f", "json"), on("quiet"), on("q")]),
    ("ps", &["id"], &[with("format", "json"), with("f", "table")]),
    ("events", &["id"], &[with("interval", "5s"), on("stats")]),
    (
        "update",
        &["id"],
        &[
            with("resources", "/no/such"),
            with("r", "/no/such"),
            with("blkio-weight", "100"),
            with("cpu-period", "100000"),
            with("cpu-quota", "50000"),
            with("cpu-burst", "1000"),
            with("cpu-share", "512"),
            with("cpu-rt-period", "1000000"),
            with("cpu-rt-runtime", "1000"),
            with("cpuset-cpus", "0"),
            with("cpuset-mems", "0"),
            with("cpu-idle", "0"),
            with("memory", "64M"),
            with("memory-reservation", "32M"),
            with("memory-swap", "128M"),
            with("pids-limit", "10"),
            with("l3-cache-schema", "L3:0=f"),
            with("mem-bw-schema", "MB:0=10"),
            with("kernel-memory", "1"),
            with("kernel-memory-tcp", "1"),
        ],
    ),
    (
        "checkpoint",
        &["id"],
        &[
            with("image-path", "/no/such"),
            with("work-path", "/no/such"),
            with("parent-path", "/no/such"),
            on("leave-running"),
            on("tcp-established"),
            on("tcp-close"),
            on("tcp-skip-in-flight"),
            on("link-remap"),
            on("ext-unix-sk"),
            on("shell-job"),
            on("lazy-pages"),
            with("status-fd", "3"),
            with("page-server", "127.0.0.1:27"),
            on("file-locks"),
            on("pre-dump"),
            with("manage-cgroups-mode", "soft"),
            with("empty-ns", "network"),
            on("auto-dedup"),
            with("network-lock", "nftables"),
        ],
    ),
    (
        "restore",
        &["id"],
        &[
            with("console-socket", "/no/such"),
            with("image-path", "/no/such"),
            with("work-path", "/no/such"),
            on("tcp-established"),
            on("tcp-close"),
            on("tcp-skip-in-flight"),
            on("link-remap"),
            on("ext-unix-sk"),
            on("shell-job"),
            on("file-locks"),
            with("manage-cgroups-mode", "ignore"),
            with("bundle", "/no/such"),
            with("b", "/no/such"),
            on("detach"),
            on("d"),
            with("pid-file", "/no/such"),
            on("no-subreaper"),
            on("no-pivot"),
            with("empty-ns", "network"),
            on("auto-dedup"),
            on("lazy-pages"),
            with("lsm-profile", "apparmor:x"),
            with("lsm-mount-context", "x"),
            with("network-lock", "skip"),
        ],
    ),
    // The directory comes last, so that nothing is written anywhere.
    ("spec", &["--bundle=/no/such"], &[with("bundle", "/no/such"), with("b", "/no/such"), on("rootless")]),
    (
        "plan",
        &["id", "--bundle=/no/such"],
        &[
            with("bundle", "/no/such"),
            with("b", "/no/such"),
            with("config", "/no/such"),
            with("f", "/no/such"),
            with("format", "json"),
        ],
    ),
    ("mounts", &["add", "id", "/no/such"], &[]),
    ("mounts", &["remove", "id", "/no/such"], &[]),
];

/// A call that fails, for another reason than its flags.
fn takes(words: &[String]) {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state-root-that-is-a-file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandboxd"));
    let output = command.arg("--root").arg(&root).args(words).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words:?}");
    for misuse in [
        "flag provided but not defined",
        "flag needs an argument",
        "invalid value",
        "invalid boolean",
        "requires ",
        "no such command",
        "cannot be used with",
    ] {
        assert!(!stderr.contains(misuse), "{words:?}: {stderr}");
    }
}

/// The forms in which Go takes a flag.
fn forms((name, value): Flag) -> Vec<Vec<String>> {
    match value {
        Some(value) => ["-", "--"]
            .into_iter()
            .flat_map(|dash| {
                [vec![format!("{dash}{name}"), value.to_owned()], vec![format!("{dash}{name}={value}")]]
            })
            .collect(),
        None => ["-", "--"]
            .into_iter()
            .flat_map(|dash| {
                let forms = ["", "=true", "=false"];
                forms.map(|form| vec![format!("{dash}{name}{form}")])
            })
            .collect(),
    }
}

fn words(parts: &[&[String]]) -> Vec<String> {
    parts.concat()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn make_root() {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state-root-that-is-a-file");
    std::fs::write(root, "").unwrap();
}

#[test]
fn flags_of_every_command_are_taken_before_and_after_the_id() {
    make_root();
    for (command, operands, flags) in COMMANDS {
        let (command, operands) = (owned(&[command]), owned(operands));
        takes(&words(&[&command, &operands]));
        for flag in *flags {
            for form in forms(*flag) {
                takes(&words(&[&command, &form, &operands]));
                // What follows the id belongs to the process, or to ps.
                if !matches!(command[0].as_str(), "exec" | "ps") && !operands.is_empty() {
                    takes(&words(&[&command, &operands, &form]));
                }
            }
        }
    }
}

#[test]
fn global_flags_are_taken_before_and_after_the_command() {
    make_root();
    for flag in GLOBAL {
        for form in forms(*flag) {
            let (state, id) = (owned(&["state"]), owned(&["id"]));
            takes(&words(&[&form, &state, &id]));
            takes(&words(&[&state, &form, &id]));
            takes(&words(&[&state, &id, &form]));
        }
    }
}

/// Every flag that the help has is in the tables above, but for those that make a command succeed.
#[test]
fn flags_of_the_help_are_passed() {
    let help = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_sandboxd")).args([command, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let named = |flags: &[Flag], name: &str| flags.iter().any(|(flag, _)| *flag == name);
    for (command, page) in
        COMMANDS.iter().map(|(command, ..)| (*command, help(command))).chain([("", help("help"))])
    {
        for line in page
            .lines()
            .skip_while(|line| !line.ends_with("OPTIONS:"))
            .skip(1)
            .take_while(|line| !line.is_empty())
        {
            // The explanation comes after two spaces.
            let column = line.trim_start().split("  ").next().unwrap_or_default();
            for flag in column.split([' ', ',', '[']).filter(|word| word.starts_with('-')) {
                let name = flag.trim_start_matches('-');
                let in_table = if command.is_empty() {
                    named(GLOBAL, name) || ["v", "version"].contains(&name)
                } else {
                    COMMANDS.iter().any(|(it, _, flags)| *it == command && named(flags, name))
                };
                assert!(in_table || ["h", "help"].contains(&name), "{command} {flag}");
            }
        }
    }
}

#[test]
fn flag_without_its_value_says_so() {
    let table = COMMANDS.iter().flat_map(|(command, _, flags)| flags.iter().map(move |flag| (command, flag)));
    for (command, (name, value)) in table {
        if value.is_none() {
            continue;
        }
        for dash in ["-", "--"] {
            let output = Command::new(env!("CARGO_BIN_EXE_sandboxd"))
                .args([*command, &format!("{dash}{name}")])
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                stderr.contains(&format!("flag needs an argument: {dash}{name}")),
                "{command} {name}: {stderr}"
            );
        }
    }
}

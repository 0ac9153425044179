//! Mistakes with what surrounds the process: limits, capabilities, sysctl, seccomp, terminal, hooks.

use std::fs;

use runtime_tests::{Bundle, Call, Skip, Test};
use serde_json::{Value, json};

use super::{Mistake, call, call_verbosely, create, create_with, run};

pub(super) const MISTAKES: &[Mistake] = &[
    ("capability_unknown", |t| {
        let bundle = t.bundle();
        bundle.push("/process/capabilities/bounding", json!("CAP_NO_SUCH")).args(&["true"]).write();
        Ok(call_verbosely(t, &["run", "--bundle", bundle.path.to_str().unwrap(), &t.fresh_id()]))
    }),
    ("rlimit_unknown", |t| {
        create_with(t, |b| b.push("/process/rlimits", json!({"type": "RLIMIT_FILES", "soft": 1, "hard": 1})))
    }),
    ("rlimit_soft_above_hard", |t| {
        create_with(t, |b| {
            b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 1024}]))
        })
    }),
    ("rlimit_above_the_hosts", |t| {
        without_capability(t, "sys_resource", "ulimit -n 1024; ", |b| {
            b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 4096}]))
        })
    }),
    ("oom_score_adj_lowered_without_the_right", |t| {
        let raised = "echo 500 >/proc/self/oom_score_adj; ";
        without_capability(t, "sys_resource", raised, |b| b.set("/process/oomScoreAdj", -500))
    }),
    ("sysctl_without_its_namespace", |t| {
        create_with(t, |b| {
            b.without_namespace("network").set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        })
    }),
    ("sysctl_not_namespaced", |t| create_with(t, |b| b.set("/linux/sysctl", json!({"vm.swappiness": "1"})))),
    ("sysctl_missing", |t| create_with(t, |b| b.set("/linux/sysctl", json!({"net.ipv4.no_such_key": "1"})))),
    ("sysctl_value_invalid", |t| {
        create_with(t, |b| b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "maybe"})))
    }),
    ("seccomp_denies_execve", |t| seccomp(t, json!({"defaultAction": "SCMP_ACT_ERRNO"}))),
    ("seccomp_kills_at_execve", |t| seccomp(t, json!({"defaultAction": "SCMP_ACT_KILL_PROCESS"}))),
    ("seccomp_call_unknown", |t| {
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]});
        let bundle = t.bundle();
        bundle.set("/linux/seccomp", filter).args(&["true"]).write();
        Ok(call_verbosely(t, &["run", "--bundle", bundle.path.to_str().unwrap(), &t.fresh_id()]))
    }),
    ("seccomp_architecture_unknown", |t| {
        seccomp(t, json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_AMD64"]}))
    }),
    ("seccomp_action_unknown", |t| seccomp(t, json!({"defaultAction": "SCMP_ACT_DENY"}))),
    ("terminal_without_console_socket", |t| create_with(t, |b| b.set("/process/terminal", true))),
    ("console_socket_without_terminal", |t| {
        let bundle = t.bundle();
        bundle.write();
        let (path, id) = (bundle.path.to_str().unwrap(), t.fresh_id());
        Ok(call(t, &["create", "--bundle", path, "--console-socket", "/run/no-such", &id]))
    }),
    ("console_socket_missing", |t| console_socket(t, "absent")),
    ("console_socket_is_no_socket", |t| {
        fs::write(t.dir.join("file"), "").unwrap();
        console_socket(t, "file")
    }),
    ("hook_missing", |t| hook(t, json!({"path": "/no/such/hook"}))),
    ("hook_path_relative", |t| hook(t, json!({"path": "hook.sh"}))),
    ("hook_fails", |t| {
        hook(t, json!({"path": "/bin/sh", "args": ["sh", "-c", "echo the network is down >&2; exit 3"]}))
    }),
    ("hook_takes_too_long", |t| {
        hook(t, json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}))
    }),
    ("hostname_too_long", |t| create_with(t, |b| b.set("/hostname", "x".repeat(65)))),
    ("pid_file_directory_missing", |t| {
        let bundle = t.bundle();
        bundle.write();
        let path = bundle.path.to_str().unwrap();
        Ok(call(t, &["create", "--bundle", path, "--pid-file", "/no/such/pid", &t.fresh_id()]))
    }),
];

/// `create`, by a runtime that lacks a capability, after a shell's preparation.
fn without_capability(
    t: &Test,
    name: &str,
    preparation: &str,
    change: impl FnOnce(&Bundle) -> &Bundle,
) -> Result<Call, Skip> {
    t.needs_program("setpriv")?;
    let script = format!("{preparation}exec setpriv --bounding-set -{name} --inh-caps -{name} \"$@\"");
    Ok(create_with(t, change)?.through_sh(&script))
}

fn seccomp(t: &Test, filter: Value) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.set("/linux/seccomp", filter);
    run(t, &bundle)
}

fn console_socket(t: &Test, name: &str) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.set("/process/terminal", true).write();
    let (path, socket) = (bundle.path.to_str().unwrap(), t.dir.join(name));
    Ok(call(t, &["create", "--bundle", path, "--console-socket", socket.to_str().unwrap(), &t.fresh_id()]))
}

fn hook(t: &Test, hook: Value) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.stays().hook("createRuntime", hook);
    create(t, &bundle)
}

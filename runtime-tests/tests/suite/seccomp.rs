//! Seccomp filters as the container's process feels them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use runtime_tests::procfs::status_field;
use runtime_tests::{Bundle, Case, Skip, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    cases!["seccomp":
        filter_is_loaded,
        absent_is_no_filter,
        default_allow_denies_the_named_call,
        errno_is_returned,
        errno_at_the_ends_of_its_range,
        errno_default_is_eperm,
        errno_of_the_default_action,
        default_errno_allows_the_named_calls,
        kill_process_ends_it_with_sigsys,
        kill_thread_ends_it_with_sigsys,
        kill_is_kill_thread,
        trap_sends_sigsys,
        log_lets_it_pass,
        trace_without_tracer_is_enosys,
        argument_equal,
        argument_not_equal,
        argument_less_and_greater,
        argument_masked_equal,
        arguments_of_one_rule_are_all_needed,
        rules_of_one_call_are_alternatives,
        unknown_call_is_ignored,
        unknown_action_fails,
        unknown_operator_fails,
        unknown_architecture_fails,
        unknown_flag_fails,
        several_architectures_are_filtered,
        architecture_that_is_not_named_is_not_let_through,
        flag_log_and_tsync_are_accepted,
        with_new_privileges_the_filter_is_loaded_too,
        capabilities_and_user_are_set_under_a_strict_filter,
        calls_of_the_set_up_may_be_denied,
        large_profile_is_loaded,
        names_empty_fails_or_is_nothing,
        errno_of_an_action_that_takes_none_fails,
        notify_without_a_listener_fails,
    ]
}

/// Every call is allowed but these.
fn deny(names: &[&str], action: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": action}]})
}

fn with(t: &Test, profile: Value, script: &str) -> Bundle {
    let b = t.bundle();
    b.set("/linux/seccomp", profile).writable().sh(script);
    b
}

/// Calls of the directory kind, whichever the C library uses.
const MKDIR: &[&str] = &["mkdir", "mkdirat"];

fn filter_is_loaded(t: &Test) -> Verdict {
    let b = with(t, deny(MKDIR, "SCMP_ACT_ERRNO"), "cat /proc/self/status");
    assert_eq!(status_field(&t.run(&b).ok().stdout, "Seccomp"), "2");
    Ok(())
}

/// config-linux.md, seccomp: when the action doesn't support an errno, the runtime MUST print an error and fail.
fn errno_of_an_action_that_takes_none_fails(t: &Test) -> Verdict {
    let rule = json!({"names": MKDIR, "action": "SCMP_ACT_KILL", "errnoRet": 1});
    for profile in [
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}),
        json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
    ] {
        let b = with(t, profile, "true");
        t.create_fails(&b);
    }
    Ok(())
}

fn notify_without_a_listener_fails(t: &Test) -> Verdict {
    let b = with(t, deny(MKDIR, "SCMP_ACT_NOTIFY"), "true");
    t.create_fails(&b);
    Ok(())
}

fn absent_is_no_filter(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "cat /proc/self/status");
    assert_eq!(status_field(&output.stdout, "Seccomp"), "0");
    Ok(())
}

fn default_allow_denies_the_named_call(t: &Test) -> Verdict {
    let b = with(t, deny(MKDIR, "SCMP_ACT_ERRNO"), "mkdir /tmp/x; touch /tmp/y && echo other");
    let output = t.run(&b).ok();
    assert_eq!(output.text(), "other");
    assert!(output.stderr.contains("Operation not permitted"), "{output}");
    assert!(!b.inside("/tmp/x").exists());
    Ok(())
}

fn errno_is_returned(t: &Test) -> Verdict {
    // 28 is ENOSPC.
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW",
                         "syscalls": [{"names": MKDIR, "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]});
    t.run(&with(t, profile, "mkdir /tmp/x")).fails().says("No space left on device");
    Ok(())
}

/// 0 is success without the call; the last that libseccomp takes is one below the kernel's.
fn errno_at_the_ends_of_its_range(t: &Test) -> Verdict {
    for (errno, said) in [(0, ""), (1, "Operation not permitted"), (4094, "4094")] {
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW",
                             "syscalls": [{"names": MKDIR, "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]});
        let output = t.run(&with(t, profile, "mkdir /tmp/x; echo $?; ls /tmp")).ok();
        assert_eq!(output.text(), if errno == 0 { "0" } else { "1" }, "{errno}: {output}");
        assert!(output.stderr.contains(said), "{errno}: {output}");
    }
    Ok(())
}

fn errno_default_is_eperm(t: &Test) -> Verdict {
    t.run(&with(t, deny(MKDIR, "SCMP_ACT_ERRNO"), "mkdir /tmp/x")).fails().says("Operation not permitted");
    Ok(())
}

/// What a static busybox shell needs to run `sh -c`, and what a runtime may need after it has loaded the filter.
const SHELL: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clone",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fcntl",
    "fork",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "gettid",
    "getuid",
    "ioctl",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendmsg",
    "recvmsg",
    "setgid",
    "setgroups",
    "setpgid",
    "setresgid",
    "setresuid",
    "setsid",
    "setuid",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "stat",
    "statx",
    "sysinfo",
    "tgkill",
    "umask",
    "uname",
    "unlink",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "nanosleep",
    "clone3",
    "fstatat64",
    "mount",
    "umount2",
    "kill",
];

fn default_errno_allows_the_named_calls(t: &Test) -> Verdict {
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": SHELL, "action": "SCMP_ACT_ALLOW"}]});
    let b = with(t, profile, "echo runs; mkdir /tmp/x");
    assert_eq!(t.run(&b).fails().says("Operation not permitted").text(), "runs");
    Ok(())
}

fn errno_of_the_default_action(t: &Test) -> Verdict {
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 28,
                         "syscalls": [{"names": SHELL, "action": "SCMP_ACT_ALLOW"}]});
    t.run(&with(t, profile, "mkdir /tmp/x")).fails().says("No space left on device");
    Ok(())
}

const SIGSYS: i32 = 31;

fn killed(t: &Test, action: &str) -> Verdict {
    let b = with(t, deny(MKDIR, action), "ulimit -c 0; mkdir /tmp/x; echo status $?");
    assert_eq!(t.run(&b).ok().text(), format!("status {}", 128 + SIGSYS));
    Ok(())
}

fn kill_process_ends_it_with_sigsys(t: &Test) -> Verdict {
    killed(t, "SCMP_ACT_KILL_PROCESS")
}

fn kill_thread_ends_it_with_sigsys(t: &Test) -> Verdict {
    killed(t, "SCMP_ACT_KILL_THREAD")
}

fn kill_is_kill_thread(t: &Test) -> Verdict {
    killed(t, "SCMP_ACT_KILL")
}

fn trap_sends_sigsys(t: &Test) -> Verdict {
    killed(t, "SCMP_ACT_TRAP")
}

fn log_lets_it_pass(t: &Test) -> Verdict {
    t.run(&with(t, deny(MKDIR, "SCMP_ACT_LOG"), "mkdir /tmp/x")).ok();
    Ok(())
}

fn trace_without_tracer_is_enosys(t: &Test) -> Verdict {
    t.run(&with(t, deny(MKDIR, "SCMP_ACT_TRACE"), "mkdir /tmp/x")).fails().says("Function not implemented");
    Ok(())
}

/// `chmod MODE FILE` in busybox is chmod(2) or fchmodat(2): the mode is argument 1 or 2.
fn chmod_rule(operator: &str, value: u64, value_two: u64) -> Value {
    let argument = |index| json!({"index": index, "value": value, "valueTwo": value_two, "op": operator});
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [argument(1)]},
        {"names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "args": [argument(2)]},
    ]})
}

/// The modes of these that chmod refuses.
fn refused(t: &Test, profile: Value, modes: &str) -> String {
    let script = format!("touch /tmp/x; for m in {modes}; do chmod $m /tmp/x 2>/dev/null || echo $m; done");
    let text = t.run(&with(t, profile, &script)).ok();
    text.lines().join(" ")
}

fn argument_equal(t: &Test) -> Verdict {
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_EQ", 0o644, 0), "600 644 755"), "644");
    Ok(())
}

fn argument_not_equal(t: &Test) -> Verdict {
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_NE", 0o644, 0), "600 644 755"), "600 755");
    Ok(())
}

fn argument_less_and_greater(t: &Test) -> Verdict {
    let modes = "600 644 755";
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_LT", 0o644, 0), modes), "600");
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_LE", 0o644, 0), modes), "600 644");
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_GE", 0o644, 0), modes), "644 755");
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_GT", 0o644, 0), modes), "755");
    Ok(())
}

fn argument_masked_equal(t: &Test) -> Verdict {
    // The mask is `value`: whoever may write as group.
    assert_eq!(refused(t, chmod_rule("SCMP_CMP_MASKED_EQ", 0o020, 0o020), "600 620 775 755"), "620 775");
    Ok(())
}

fn arguments_of_one_rule_are_all_needed(t: &Test) -> Verdict {
    let argument = |index, operator, value| json!({"index": index, "value": value, "op": operator});
    // kill(pid, signal) of this process with signal 0, and not with another.
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
         "args": [argument(0, "SCMP_CMP_EQ", 1), argument(1, "SCMP_CMP_EQ", 0)]},
    ]});
    let script = "trap : CHLD; kill -0 1 2>/dev/null || echo both; kill -CHLD 1 && echo one; sh -c 'kill -0 $$ && echo other'";
    assert_eq!(t.run(&with(t, profile, script)).ok().lines(), ["both", "one", "other"]);
    Ok(())
}

fn rules_of_one_call_are_alternatives(t: &Test) -> Verdict {
    let rule = |call: &str, index, value| json!({"names": [call], "action": "SCMP_ACT_ERRNO", "args": [{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        rule("chmod", 1, 0o600), rule("chmod", 1, 0o755), rule("fchmodat", 2, 0o600), rule("fchmodat", 2, 0o755),
    ]});
    assert_eq!(refused(t, profile, "600 644 755"), "600 755");
    Ok(())
}

fn unknown_call_is_ignored(t: &Test) -> Verdict {
    let b = with(t, deny(&["no_such_call", "mkdir", "mkdirat"], "SCMP_ACT_ERRNO"), "echo runs; mkdir /tmp/x");
    assert_eq!(t.run(&b).fails().text(), "runs");
    Ok(())
}

fn unknown_action_fails(t: &Test) -> Verdict {
    let _ = t.create_fails(&with(t, deny(MKDIR, "SCMP_ACT_NO_SUCH"), "true"));
    Ok(())
}

fn unknown_operator_fails(t: &Test) -> Verdict {
    let _ = t.create_fails(&with(t, chmod_rule("SCMP_CMP_NO_SUCH", 0, 0), "true"));
    Ok(())
}

fn unknown_architecture_fails(t: &Test) -> Verdict {
    let mut profile = deny(MKDIR, "SCMP_ACT_ERRNO");
    profile["architectures"] = json!(["SCMP_ARCH_NO_SUCH"]);
    let _ = t.create_fails(&with(t, profile, "true"));
    Ok(())
}

fn unknown_flag_fails(t: &Test) -> Verdict {
    let mut profile = deny(MKDIR, "SCMP_ACT_ERRNO");
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_NO_SUCH"]);
    let _ = t.create_fails(&with(t, profile, "true"));
    Ok(())
}

fn flag_log_and_tsync_are_accepted(t: &Test) -> Verdict {
    let mut profile = deny(MKDIR, "SCMP_ACT_ERRNO");
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_LOG"]);
    t.run(&with(t, profile.clone(), "mkdir /tmp/x")).fails().says("Operation not permitted");
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    t.run(&with(t, profile, "mkdir /tmp/x")).fails().says("Operation not permitted");
    Ok(())
}

/// A static program that calls mkdir("/tmp/x", 0755) by `int 0x80` (number 39 there) and exits with the negated result.
/// The string is on the stack's page, below 4 GiB: the file is mapped at 0x400000.
fn int80_program() -> Vec<u8> {
    let code: &[u8] = &[
        0xb8, 39, 0, 0, 0, // mov eax, 39
        0xbb, 0xa3, 0, 0x40, 0, // mov ebx, path
        0xb9, 0xed, 1, 0, 0, // mov ecx, 0755
        0xcd, 0x80, // int 0x80
        0xf7, 0xd8, // neg eax
        0x89, 0xc7, // mov edi, eax
        0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
        0x0f, 0x05, // syscall
    ];
    let start: u64 = 0x40_0078;
    let mut elf = Vec::new();
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    elf.extend_from_slice(&start.to_le_bytes());
    elf.extend_from_slice(&64_u64.to_le_bytes());
    elf.extend_from_slice(&0_u64.to_le_bytes());
    elf.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    for value in [0_u64, 0x40_0000, 0x40_0000, 0x1000, 0x1000, 0x1000] {
        elf.extend_from_slice(&value.to_le_bytes());
    }
    elf.extend_from_slice(code);
    elf.resize(0xa3, 0);
    elf.extend_from_slice(b"/tmp/x\0");
    elf.resize(0x1000, 0);
    elf
}

fn int80_bundle(t: &Test, profile: Option<Value>) -> Result<Bundle, Skip> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Skip::new("the second architecture is i386's on x86_64"));
    }
    let b = t.bundle();
    fs::write(b.inside("/int80"), int80_program()).unwrap();
    fs::set_permissions(b.inside("/int80"), fs::Permissions::from_mode(0o755)).unwrap();
    b.writable().sh("ulimit -c 0; /int80; echo $?");
    if let Some(profile) = profile {
        b.set("/linux/seccomp", profile);
    }
    Ok(b)
}

fn several_architectures_are_filtered(t: &Test) -> Verdict {
    let plain = int80_bundle(t, None)?;
    if t.run(&plain).ok().text() != "0" {
        return Err(Skip::new("the kernel takes no i386 calls"));
    }
    let mut profile = deny(MKDIR, "SCMP_ACT_ERRNO");
    profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let b = int80_bundle(t, Some(profile))?;
    assert_eq!(t.run(&b).ok().text(), "1");
    assert!(!b.inside("/tmp/x").exists());
    Ok(())
}

fn architecture_that_is_not_named_is_not_let_through(t: &Test) -> Verdict {
    let mut profile = deny(MKDIR, "SCMP_ACT_ERRNO");
    profile["architectures"] = json!(["SCMP_ARCH_X86_64"]);
    let b = int80_bundle(t, Some(profile))?;
    let output = t.run(&b).ok();
    assert_ne!(output.text(), "0", "a call of another architecture went past the filter");
    assert!(!b.inside("/tmp/x").exists());
    Ok(())
}

fn with_new_privileges_the_filter_is_loaded_too(t: &Test) -> Verdict {
    for allowed in [true, false] {
        let b = with(t, deny(MKDIR, "SCMP_ACT_ERRNO"), "cat /proc/self/status; mkdir /tmp/x");
        b.set("/process/noNewPrivileges", !allowed);
        let output = t.run(&b).fails().says("Operation not permitted");
        assert_eq!(status_field(&output.stdout, "Seccomp"), "2");
        assert_eq!(status_field(&output.stdout, "NoNewPrivs"), if allowed { "0" } else { "1" });
    }
    Ok(())
}

fn capabilities_and_user_are_set_under_a_strict_filter(t: &Test) -> Verdict {
    let b =
        with(t, deny(MKDIR, "SCMP_ACT_ERRNO"), "id -u; grep -c CapEff:.*0000000000000000 /proc/self/status");
    b.set("/process/user", json!({"uid": 1000, "gid": 1000})).unset("/process/capabilities");
    assert_eq!(t.run(&b).ok().lines(), ["1000", "1"]);
    Ok(())
}

fn calls_of_the_set_up_may_be_denied(t: &Test) -> Verdict {
    // With noNewPrivileges the filter can be the last thing: what came before is not touched by it.
    let calls = [
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "unshare",
        "sethostname",
        "mknod",
        "mknodat",
        "symlinkat",
        "bpf",
    ];
    let b = with(t, deny(&calls, "SCMP_ACT_KILL_PROCESS"), "echo runs");
    assert_eq!(t.run(&b).ok().text(), "runs");
    Ok(())
}

fn large_profile_is_loaded(t: &Test) -> Verdict {
    // As large as an engine's default profile: hundreds of calls, some with arguments, three architectures.
    let mut rules = vec![json!({"names": SHELL, "action": "SCMP_ACT_ALLOW"})];
    for value in 0..100 {
        rules.push(json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                          "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]}));
    }
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": rules,
                         "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]});
    t.run(&with(t, profile, "mkdir /tmp/x")).fails().says("Function not implemented");
    Ok(())
}

fn names_empty_fails_or_is_nothing(t: &Test) -> Verdict {
    // config-linux.md: names MUST contain at least one entry.
    let b = with(t, deny(&[], "SCMP_ACT_ERRNO"), "mkdir /tmp/x && echo made");
    let (call, id) = t.bundle_call("run", &b, &[]);
    let output = call.output();
    if output.status.success() {
        assert_eq!(output.text(), "made");
    } else {
        let _ = output.fails();
        t.assert_missing(&id);
    }
    Ok(())
}

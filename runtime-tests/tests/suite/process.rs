//! The process: arguments, environment, credentials, limits, what it inherits, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use runtime_tests::procfs::{status_field, status_of};
use runtime_tests::{Bundle, Case, Skip, Test, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["process":
        args_are_passed_exactly,
        args_relative_path_is_relative_to_cwd,
        args_absolute_path_is_inside_the_root,
        args_empty_string_stays,
        env_is_exactly_the_configs,
        env_of_a_name_twice_is_the_last,
        env_empty_gets_nothing_of_the_callers,
        env_home_is_that_of_the_user,
        path_is_searched_in_order,
        path_command_not_found_says_so,
        path_absolute_command_missing_says_no_such_file,
        path_command_not_executable_says_permission_denied,
        path_command_is_a_directory_fails,
        path_interpreter_missing_says_no_such_file,
        path_wrong_format_fails,
        cwd_is_the_configs,
        cwd_missing_is_created,
        cwd_relative_fails,
        cwd_is_a_file_fails,
        user_ids_are_the_configs,
        user_additional_gids_are_set,
        user_without_additional_gids_has_none_of_the_callers,
        user_umask_is_the_configs,
        user_umask_absent_is_0022,
        user_not_root_owns_its_output,
        capabilities_each_set_is_the_configs,
        capabilities_absent_is_none,
        capabilities_only_bounding_is_only_bounding,
        capabilities_unknown_name_is_no_failure,
        capabilities_of_another_user_are_kept,
        capabilities_ambient_needs_inheritable_and_permitted,
        rlimits_are_the_configs,
        rlimits_few_descriptors_after_many_mounts,
        rlimits_duplicate_fails,
        rlimits_unknown_type_fails,
        rlimits_above_the_hard_limit_fail,
        no_new_privileges_is_set,
        no_new_privileges_false_is_not_set,
        oom_score_adj_is_the_configs,
        oom_score_adj_absent_is_the_callers,
        exit_status_is_returned,
        exit_by_signal_is_128_plus_it,
        exit_of_pid_1_kills_the_others,
        stdin_is_passed_through,
        stdin_end_is_passed_through,
        stdout_and_stderr_are_apart,
        user_not_root_owns_its_pipes,
        descriptors_of_the_caller_are_closed,
        descriptors_preserved_are_passed,
        descriptors_preserve_less_than_there_are,
        listen_fds_are_passed,
        signals_blocked_by_the_caller_are_unblocked,
        signals_ignored_by_the_caller_are_default,
        umask_of_the_caller_does_not_matter,
        closed_standard_streams_are_no_failure,
        created_init_has_no_host_directory_open,
        session_is_its_own,
        keyring_is_its_own,
        no_new_keyring_is_the_callers,
        keyrings_absent_in_the_kernel_are_no_failure,
        hostname_and_ids_of_a_default_container,
        console_size_without_terminal_is_ignored,
        args_larger_than_a_page_are_passed,
        nice_and_scheduler_of_the_caller_stay,
        io_priority_is_the_configs,
        scheduler_is_the_configs,
        cpu_affinity_of_the_config_is_accepted,
        affinity_of_the_caller_is_reset,
        personality_is_the_configs,
    ];
    // runc wants all of them to be open, and crun says nothing.
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("process::{name}"), run).only_ours();
    all.push(ours("descriptors_preserved_and_closed_stay_so", descriptors_preserved_and_closed_stay_so));
    all.push(ours("listen_fds_that_are_closed_are_refused", listen_fds_that_are_closed_are_refused));
    all
}

fn args_are_passed_exactly(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["printf", "[%s]", "a b", "", "'\"$X\\", "ü\n"]);
    assert_eq!(t.run(&b).ok().stdout, "[a b][]['\"$X\\][ü\n]");
    Ok(())
}

fn args_empty_string_stays(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["sh", "-c", "echo $#", "sh", "", ""]);
    assert_eq!(t.run(&b).ok().text(), "2");
    Ok(())
}

fn args_relative_path_is_relative_to_cwd(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/cwd", "/bin").args(&["./echo", "hi"]);
    assert_eq!(t.run(&b).ok().text(), "hi");
    Ok(())
}

fn args_absolute_path_is_inside_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::hard_link(b.inside("/bin/busybox"), b.inside("/busybox")).unwrap();
    b.args(&["/busybox", "echo", "hi"]);
    assert_eq!(t.run(&b).ok().text(), "hi");
    Ok(())
}

fn args_larger_than_a_page_are_passed(t: &Test) -> Verdict {
    let b = t.bundle();
    let long = "x".repeat(100_000);
    b.args(&["sh", "-c", "echo ${#1} ${#2} ${#LONG}", "sh", &long, &long]);
    b.push("/process/env", json!(format!("LONG={long}")));
    assert_eq!(t.run(&b).ok().text(), "100000 100000 100000");
    Ok(())
}

fn env_is_exactly_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/env", json!(["PATH=/bin", "A=1", "B=two words", "EMPTY="])).args(&["env"]);
    let output = t.run(&b).env("LEAK", "1").ok();
    let mut lines = output.lines();
    lines.retain(|line| !line.starts_with("HOME="));
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "B=two words", "EMPTY=", "PATH=/bin"]);
    Ok(())
}

fn env_of_a_name_twice_is_the_last(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/env", json!(["A=1", "PATH=/bin", "HOME=", "A=2"])).args(&["env"]);
    let output = t.run(&b).ok();
    let lines = output.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("A=")).collect::<Vec<_>>(), [&"A=2"], "{output}");
    // An empty one is none: the user's is looked up.
    assert!(lines.contains(&"HOME=/root"), "{output}");
    Ok(())
}

fn env_empty_gets_nothing_of_the_callers(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/process/env").args(&["/bin/env"]);
    let output = t.run(&b).env("LEAK", "1").ok();
    assert!(output.lines().iter().all(|line| line.starts_with("HOME=")), "{output}");
    Ok(())
}

fn env_home_is_that_of_the_user(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(t.output_of(&b, "echo $HOME").text(), "/home");
    b.push("/process/env", json!("HOME=/mine"));
    assert_eq!(t.output_of(&b, "echo $HOME").text(), "/mine");
    Ok(())
}

fn tool(b: &Bundle, path: &str, text: &str, mode: u32) {
    fs::create_dir_all(b.inside(path).parent().unwrap()).unwrap();
    fs::write(b.inside(path), text).unwrap();
    fs::set_permissions(b.inside(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn path_is_searched_in_order(t: &Test) -> Verdict {
    let b = t.bundle();
    tool(&b, "/one/tool", "#!/bin/sh\necho one\n", 0o644);
    tool(&b, "/two/tool", "#!/bin/sh\necho two\n", 0o755);
    tool(&b, "/three/tool", "#!/bin/sh\necho three\n", 0o755);
    b.set("/process/env", json!(["PATH=/none:/one:/two:/three:/bin"])).args(&["tool"]);
    assert_eq!(t.run(&b).ok().text(), "two");
    Ok(())
}

/// Runs it, and also creates and starts it: whichever of the two finds the fault, it is said in the same words.
fn start_fails(t: &Test, b: &Bundle, words: &str) {
    let (call, id) = t.bundle_call("run", b, &[]);
    let output = call.fails().says(words);
    let code = output.status.code();
    assert!(code != Some(0), "{output}");
    t.assert_missing(&id);
    let (call, id) = t.bundle_call("create", b, &[]);
    let created = call.output();
    if created.status.success() {
        t.call(&["start", &id]).fails().says(words);
        // A start that has failed leaves a stopped container, or none.
        t.call(&["delete", "--force", &id]).ok();
    } else {
        let _ = created.fails().says(words);
        t.assert_missing(&id);
    }
}

fn path_command_not_found_says_so(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["no-such-command"]);
    start_fails(t, &b, "executable file not found in $PATH");
    Ok(())
}

fn path_absolute_command_missing_says_no_such_file(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["/no/such/command"]);
    start_fails(t, &b, "no such file or directory");
    Ok(())
}

fn path_command_not_executable_says_permission_denied(t: &Test) -> Verdict {
    let b = t.bundle();
    tool(&b, "/tool", "#!/bin/sh\n", 0o644);
    b.args(&["/tool"]);
    start_fails(t, &b, "permission denied");
    Ok(())
}

fn path_command_is_a_directory_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["/etc"]);
    let (call, _) = t.bundle_call("run", &b, &[]);
    call.fails();
    Ok(())
}

fn path_interpreter_missing_says_no_such_file(t: &Test) -> Verdict {
    let b = t.bundle();
    tool(&b, "/tool", "#!/no/such/interpreter\n", 0o755);
    b.args(&["/tool"]);
    start_fails(t, &b, "no such file or directory");
    Ok(())
}

fn path_wrong_format_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    tool(&b, "/tool", "neither ELF nor script", 0o755);
    b.args(&["/tool"]);
    start_fails(t, &b, "exec format error");
    Ok(())
}

fn cwd_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/cwd", "/etc");
    assert_eq!(t.output_of(&b, "pwd; ls passwd").lines(), ["/etc", "passwd"]);
    Ok(())
}

fn cwd_missing_is_created(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().set("/process/cwd", "/new/dir");
    assert_eq!(t.output_of(&b, "pwd").text(), "/new/dir");
    Ok(())
}

fn cwd_relative_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/cwd", "etc");
    t.create_fails(&b).says("cwd");
    Ok(())
}

fn cwd_is_a_file_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/cwd", "/etc/passwd");
    let (call, _) = t.bundle_call("run", &b, &[]);
    call.fails().says("not a directory");
    Ok(())
}

fn status_in(t: &Test, b: &Bundle) -> String {
    b.args(&["cat", "/proc/self/status"]);
    t.run(b).ok().stdout.clone()
}

fn user_ids_are_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user", json!({"uid": 1000, "gid": 1001}));
    let status = status_in(t, &b);
    assert_eq!(status_field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(status_field(&status, "Gid"), "1001\t1001\t1001\t1001");
    Ok(())
}

fn user_additional_gids_are_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user", json!({"uid": 1, "gid": 2, "additionalGids": [5, 6, 7]}));
    assert_eq!(status_field(&status_in(t, &b), "Groups"), "5 6 7");
    Ok(())
}

fn user_without_additional_gids_has_none_of_the_callers(t: &Test) -> Verdict {
    t.needs_program("setpriv")?;
    for user in [json!({"uid": 0, "gid": 0}), json!({"uid": 1000, "gid": 1000, "additionalGids": []})] {
        let b = t.bundle();
        b.set("/process/user", user).args(&["cat", "/proc/self/status"]);
        let output = t.run(&b).through(["setpriv", "--groups", "4242,27"]).ok();
        assert_eq!(status_field(&output.stdout, "Groups"), "");
    }
    Ok(())
}

fn user_umask_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user/umask", 0o027);
    assert_eq!(status_field(&status_in(t, &b), "Umask"), "0027");
    Ok(())
}

fn user_umask_absent_is_0022(t: &Test) -> Verdict {
    assert_eq!(status_field(&status_in(t, &t.bundle()), "Umask"), "0022");
    Ok(())
}

fn umask_of_the_caller_does_not_matter(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().set("/process/cwd", "/made/dir");
    b.mount("/mnt/deep", "tmpfs", "tmpfs", &[]);
    let script = "umask; stat -c %a /made /made/dir /mnt /dev/null /dev/pts/ptmx";
    b.sh(script);
    let output = t.run(&b).through_sh("umask 0777; exec \"$@\"").ok();
    assert_eq!(output.lines(), ["0022", "755", "755", "755", "666", "666"]);
    Ok(())
}

/// `/dev/stdin` and its like are opened anew by their owner alone.
fn user_not_root_owns_its_pipes(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    b.sh("cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr");
    assert_eq!(t.run(&b).through_sh("echo in | \"$@\" 2>&1 | cat").ok().stdout, "in\nout\nerr\n");
    Ok(())
}

fn user_not_root_owns_its_output(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(t.output_of(&b, "echo out >/dev/stdout; echo err >/dev/stderr").text(), "out");
    Ok(())
}

/// Numbers of capabilities(7).
const NET_RAW: u32 = 13;
const KILL: u32 = 5;
const CHOWN: u32 = 0;

fn mask(bits: &[u32]) -> String {
    format!("{:016x}", bits.iter().fold(0_u64, |mask, bit| mask | 1 << bit))
}

fn capability_sets(status: &str) -> [String; 5] {
    ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"].map(|field| status_field(status, field))
}

fn capabilities_each_set_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
            "effective": ["CAP_KILL"],
            "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "inheritable": ["CAP_KILL", "CAP_CHOWN"],
            "ambient": ["CAP_KILL"],
        }),
    );
    // A process of uid 0 gains permitted and effective again by execve; another shows the sets as they were given.
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let status = status_in(t, &b);
    assert_eq!(
        capability_sets(&status),
        [mask(&[CHOWN, KILL, NET_RAW]), mask(&[KILL]), mask(&[KILL]), mask(&[CHOWN, KILL]), mask(&[KILL])]
    );
    Ok(())
}

fn capabilities_absent_is_none(t: &Test) -> Verdict {
    for absent in [true, false] {
        let b = t.bundle();
        if absent {
            b.unset("/process/capabilities");
        } else {
            b.set("/process/capabilities", json!({}));
        }
        assert_eq!(capability_sets(&status_in(t, &b)), [(); 5].map(|()| mask(&[])), "absent: {absent}");
    }
    Ok(())
}

fn capabilities_only_bounding_is_only_bounding(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/capabilities", json!({"bounding": ["CAP_KILL"]}));
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let none = mask(&[]);
    assert_eq!(
        capability_sets(&status_in(t, &b)),
        [mask(&[KILL]), none.clone(), none.clone(), none.clone(), none]
    );
    Ok(())
}

fn capabilities_unknown_name_is_no_failure(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_KILL", "CAP_NO_SUCH_THING"]);
    assert_eq!(capability_sets(&status_in(t, &b))[0], mask(&[KILL]));
    Ok(())
}

fn capabilities_of_another_user_are_kept(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_KILL"]).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(capability_sets(&status_in(t, &b)), [(); 5].map(|()| mask(&[KILL])));
    Ok(())
}

fn capabilities_ambient_needs_inheritable_and_permitted(t: &Test) -> Verdict {
    // buildah's RUN asks for ambient capabilities that are not inheritable: a warning, not a failure.
    let b = t.bundle();
    b.set(
        "/process/capabilities",
        json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}),
    );
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(capability_sets(&status_in(t, &b))[4], mask(&[]));
    Ok(())
}

fn rlimits_are_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set(
        "/process/rlimits",
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 4096},
            {"type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 2_097_152},
            {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
        ]),
    );
    let output = t.output_of(&b, "cat /proc/self/limits");
    let limit = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name)).expect(name);
        let fields: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        fields.join(" ")
    };
    assert_eq!(limit("Max open files"), "100 200");
    assert_eq!(limit("Max core file size"), "0 4096");
    assert_eq!(limit("Max stack size"), "1048576 2097152");
    assert_eq!(limit("Max processes"), "50 60");
    Ok(())
}

fn rlimits_few_descriptors_after_many_mounts(t: &Test) -> Verdict {
    let b = t.sh("ulimit -n");
    let limit = json!({"type": "RLIMIT_NOFILE", "soft": 10, "hard": 10});
    b.set("/process/rlimits", json!([limit]));
    for number in 0..40 {
        let mount = json!({"destination": format!("/m{number}"), "type": "tmpfs", "source": "tmpfs"});
        b.push("/mounts", mount);
    }
    assert_eq!(t.run(&b).ok().text(), "10");
    Ok(())
}

fn rlimits_duplicate_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    let limit = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200});
    b.set("/process/rlimits", json!([limit, limit]));
    t.create_fails(&b).says("RLIMIT_NOFILE");
    Ok(())
}

fn rlimits_unknown_type_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/rlimits", json!([{"type": "RLIMIT_TEST", "soft": 1, "hard": 1}]));
    t.create_fails(&b).says("RLIMIT_TEST");
    Ok(())
}

fn rlimits_above_the_hard_limit_fail(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]));
    t.create_fails(&b);
    Ok(())
}

fn no_new_privileges_is_set(t: &Test) -> Verdict {
    assert_eq!(status_field(&status_in(t, &t.bundle()), "NoNewPrivs"), "1");
    Ok(())
}

fn no_new_privileges_false_is_not_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/noNewPrivileges", false);
    assert_eq!(status_field(&status_in(t, &b), "NoNewPrivs"), "0");
    b.unset("/process/noNewPrivileges");
    assert_eq!(status_field(&status_in(t, &b), "NoNewPrivs"), "0");
    Ok(())
}

fn oom_score_adj_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    for value in [100, 1000] {
        b.set("/process/oomScoreAdj", value);
        assert_eq!(t.output_of(&b, "cat /proc/self/oom_score_adj").text(), value.to_string());
    }
    Ok(())
}

fn oom_score_adj_absent_is_the_callers(t: &Test) -> Verdict {
    let b = t.sh("cat /proc/self/oom_score_adj");
    let output = t.run(&b).through_sh("echo 321 >/proc/self/oom_score_adj; exec \"$@\"").ok();
    assert_eq!(output.text(), "321");
    Ok(())
}

fn exit_status_is_returned(t: &Test) -> Verdict {
    let _ = t.run(&t.sh("exit 9")).output().exits(9);
    let c = t.start(&t.sh("exit 9"));
    assert_eq!(c.wait(), Some(9));
    Ok(())
}

fn exit_by_signal_is_128_plus_it(t: &Test) -> Verdict {
    // Pid 1 of a pid namespace ignores its own deadly signals: without one, the shell dies of them.
    for (name, number) in [("KILL", 9), ("TERM", 15), ("ABRT", 6)] {
        let b = t.sh(&format!("ulimit -c 0; kill -{name} $$"));
        b.without_namespace("pid");
        let _ = t.run(&b).output().exits(128 + number);
    }
    Ok(())
}

fn exit_of_pid_1_kills_the_others(t: &Test) -> Verdict {
    let b = t.sh("trap '' TERM HUP; sleep 1000 & sleep 1000 & exit 0");
    t.run(&b).ok();
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn stdin_is_passed_through(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["cat"]);
    assert_eq!(t.run(&b).stdin("line one\nline two\n").ok().stdout, "line one\nline two\n");
    Ok(())
}

fn stdin_end_is_passed_through(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["cat"]);
    assert_eq!(t.run(&b).ok().stdout, "");
    Ok(())
}

fn stdout_and_stderr_are_apart(t: &Test) -> Verdict {
    let output = t.run(&t.sh("echo out; echo err >&2")).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    Ok(())
}

const LIST_FDS: &str = "cd /proc/self/fd; for f in *; do [ -e $f ] && echo $f; done; :";

fn descriptors_of_the_caller_are_closed(t: &Test) -> Verdict {
    let b = t.sh(LIST_FDS);
    let open = format!("exec 3</ 4<{0}/secret 7>/dev/null 9<{0}; exec \"$@\"", t.canary().display());
    let output = t.run(&b).through_sh(&open).ok();
    let mut lines = output.lines();
    // The shell's own: the one of its script's directory listing does not exist.
    lines.retain(|line| !line.is_empty());
    assert_eq!(lines, ["0", "1", "2"], "{output}");
    Ok(())
}

fn descriptors_preserved_are_passed(t: &Test) -> Verdict {
    let b = t.sh("cat <&3; cat <&4");
    let (call, _) = t.bundle_call("run", &b, &["--preserve-fds", "2"]);
    fs::write(t.dir.join("three"), "three\n").unwrap();
    fs::write(t.dir.join("four"), "four\n").unwrap();
    assert_eq!(call.through_sh("exec 3<three 4<four; exec \"$@\"").ok().lines(), ["three", "four"]);
    Ok(())
}

fn descriptors_preserve_less_than_there_are(t: &Test) -> Verdict {
    let b = t.sh(LIST_FDS);
    let (call, _) = t.bundle_call("run", &b, &["--preserve-fds", "1"]);
    assert_eq!(
        call.through_sh("exec 3</dev/null 4</dev/null; exec \"$@\"").ok().lines(),
        ["0", "1", "2", "3"]
    );
    Ok(())
}

/// The container's process gets what there is, at its place: nothing of the runtime's in between.
fn descriptors_preserved_and_closed_stay_so(t: &Test) -> Verdict {
    let b = t.sh(LIST_FDS);
    for mapped in [false, true] {
        if mapped {
            let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
            b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        let (call, _) = t.bundle_call("run", &b, &["--preserve-fds", "6"]);
        let output = call.through_sh("exec 5</dev/null 8</dev/null; exec \"$@\"").ok();
        assert_eq!(output.lines(), ["0", "1", "2", "5", "8"]);
        assert_eq!(output.stderr, "");
    }
    Ok(())
}

fn listen_fds_that_are_closed_are_refused(t: &Test) -> Verdict {
    let b = t.sh("true");
    let (call, _) = t.bundle_call("run", &b, &[]);
    let output = call.through_sh("exec 3</dev/null 4<&-; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$@\"");
    output.fails().says("descriptor 4 is not open");
    Ok(())
}

fn listen_fds_are_passed(t: &Test) -> Verdict {
    let b = t.sh("echo $LISTEN_FDS $LISTEN_PID; cat <&3");
    fs::write(t.dir.join("three"), "three\n").unwrap();
    let (call, _) = t.bundle_call("run", &b, &[]);
    let output = call.through_sh("exec 3<three; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"").ok();
    assert_eq!(output.lines(), ["1 1", "three"]);
    Ok(())
}

fn signals_blocked_by_the_caller_are_unblocked(t: &Test) -> Verdict {
    t.needs_program("env")?;
    let b = t.bundle();
    b.args(&["cat", "/proc/self/status"]);
    let output = t.run(&b).through(["env", "--block-signal=USR1,TERM,INT,HUP,WINCH"]).ok();
    assert_eq!(status_field(&output.stdout, "SigBlk"), "0".repeat(16));
    Ok(())
}

fn signals_ignored_by_the_caller_are_default(t: &Test) -> Verdict {
    t.needs_program("env")?;
    let b = t.bundle();
    b.args(&["cat", "/proc/self/status"]);
    let output = t.run(&b).through(["env", "--ignore-signal=USR1,TERM,INT,HUP,PIPE"]).ok();
    let ignored = u64::from_str_radix(&status_field(&output.stdout, "SigIgn"), 16).unwrap();
    // The classical ones: what a machine's own start-up ignores of 32 and 33 (the C library's) is not the caller's.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{ignored:x}");
    Ok(())
}

fn closed_standard_streams_are_no_failure(t: &Test) -> Verdict {
    let b = t.sh("echo 2>/dev/null; echo ran >/fifo; readlink /proc/self/fd/0 >/fifo 2>&1");
    let mut fifo = b.fifo("/fifo");
    let _ = t.run(&b).through_sh("exec \"$@\" <&- >&- 2>&-").output();
    assert_eq!(fifo.line(), "ran");
    Ok(())
}

fn created_init_has_no_host_directory_open(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let root = fs::metadata(c.inside("/")).unwrap();
    for entry in fs::read_dir(format!("/proc/{}/fd", c.pid())).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::metadata(&path).unwrap();
        assert!(!meta.is_dir(), "{} is a directory: {:?}", path.display(), fs::read_link(&path));
    }
    assert!(root.is_dir());
    Ok(())
}

fn session_is_its_own(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    // Field 6 of stat is the session: the container's init leads one of its own.
    let stat = c.proc("stat");
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, c.pid().to_string());
    Ok(())
}

/// What the container's session keyring is called, as the host's keyctl says in it.
fn session_keyring(t: &Test, flags: &[&str]) -> (String, String) {
    let b = t.bundle();
    for directory in ["/usr", "/lib", "/lib64"] {
        b.mount(directory, "bind", directory, &["bind", "ro"]);
    }
    b.args(&["/usr/bin/keyctl", "rdescribe", "@s"]);
    let (call, id) = t.bundle_call("run", &b, flags);
    let output = call.through(["keyctl", "session", "runtime-tests-session"]).ok();
    (output.text().rsplit(';').next().unwrap().to_owned(), id)
}

fn keyrings_absent_in_the_kernel_are_no_failure(t: &Test) -> Verdict {
    t.needs_program("strace")?;
    let b = t.bundle();
    b.args(&["echo", "ran"]);
    let inject = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=keyctl", "-e"];
    let output = t.run(&b).through(inject).through(["inject=keyctl:error=ENOSYS"]).ok();
    assert_eq!(output.text(), "ran");
    Ok(())
}

fn keyring_is_its_own(t: &Test) -> Verdict {
    t.needs_program("keyctl")?;
    let (name, id) = session_keyring(t, &[]);
    assert_eq!(name, if t.runtime.name == "crun" { id } else { format!("_ses.{id}") });
    Ok(())
}

fn no_new_keyring_is_the_callers(t: &Test) -> Verdict {
    t.needs_program("keyctl")?;
    assert_eq!(session_keyring(t, &["--no-new-keyring"]).0, "runtime-tests-session");
    Ok(())
}

fn hostname_and_ids_of_a_default_container(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "hostname; echo $$; id -u; id -g; pwd; ip -o link | wc -l");
    assert_eq!(output.lines(), ["container", "1", "0", "0", "/", "1"]);
    Ok(())
}

fn nice_and_scheduler_of_the_caller_stay(t: &Test) -> Verdict {
    // This process's own: the suite may run niced.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let own: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap();
    let b = t.sh("cut -d' ' -f19 /proc/self/stat");
    let text = t.run(&b).through(["nice", "-n", "7"]).ok().text().to_owned();
    assert_eq!(text, (own + 7).min(19).to_string());
    Ok(())
}

fn io_priority_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    assert_eq!(t.output_of(&b, "ionice -p 1").text(), "best-effort: prio 6");
    Ok(())
}

fn scheduler_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3}));
    let c = t.start(&b);
    let policy = c.proc("sched").lines().find_map(|line| line.strip_prefix("policy").map(str::to_owned));
    assert_eq!(policy.unwrap().trim_start_matches([' ', ':']), "3");
    Ok(())
}

/// config.md, process: MUST be ignored then, whatever it says.
fn console_size_without_terminal_is_ignored(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/consoleSize", json!({"height": 20, "width": 50}));
    assert_eq!(t.output_of(&b, "test -t 0 || echo none").text(), "none");
    Ok(())
}

fn cpu_affinity_of_the_config_is_accepted(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
    let c = t.start(&b);
    // It is for exec'd processes: init has all of the cpuset's, as the caller.
    assert_eq!(
        status_of(c.pid(), "Cpus_allowed_list"),
        status_of(std::process::id().cast_signed(), "Cpus_allowed_list")
    );
    Ok(())
}

fn affinity_of_the_caller_is_reset(t: &Test) -> Verdict {
    t.needs_program("taskset")?;
    let all = status_of(std::process::id().cast_signed(), "Cpus_allowed_list");
    let first = all.split([',', '-']).next().unwrap_or_default().to_owned();
    if first == all {
        return Err(Skip::new("there is one processor"));
    }
    let b = t.bundle();
    b.sh("grep Cpus_allowed_list /proc/self/status");
    let output = t.run(&b).through(["taskset", "-c", &first]).ok();
    assert_eq!(status_field(&output.stdout, "Cpus_allowed_list"), all);
    if !t.cgroups().has("cpuset") {
        return Ok(());
    }
    // Where the config says which, those.
    b.set("/linux/resources/cpu", json!({"cpus": all, "mems": "0"}));
    let output = t.run(&b).through(["taskset", "-c", &first]).ok();
    assert_eq!(status_field(&output.stdout, "Cpus_allowed_list"), all);
    Ok(())
}

fn personality_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/personality", json!({"domain": "LINUX32"}));
    assert_eq!(
        t.output_of(&b, "uname -m").text(),
        if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" }
    );
    Ok(())
}

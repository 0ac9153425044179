//! `exec`: what the process gets, where it is, how it ends, who hears of it, what is left.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use runtime_tests::command::{Call, Output};
use runtime_tests::procfs::{namespace_of, status_field, status_of};
use runtime_tests::trace::{End, kill_before};
use runtime_tests::tty::{ConsoleSocket, Master};
use runtime_tests::wait::{DEADLINE, Process};
use runtime_tests::{Bundle, Case, Container, Skip, Test, Verdict, cases, cgroup, residue};
use rustix::process::Signal;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["exec":
        output_and_status,
        process_killed_by_a_signal_is_128_and_the_signal,
        arguments_after_the_id_are_the_commands,
        process_file_may_be_a_pipe,
        terminal_output_to_a_pipe_has_no_carriage_returns,
        command_missing_fails,
        command_by_path_missing_fails,
        command_not_executable_fails,
        command_absent_fails,
        container_missing_fails,
        container_stopped_fails,
        container_created_is_joined,
        environment_is_the_containers_and_more,
        home_is_the_users,
        user_and_groups_are_set,
        user_that_is_no_number_fails,
        user_not_root_owns_its_pipes,
        cwd_is_set,
        cwd_missing_fails,
        cwd_through_a_descriptor_does_not_lead_out,
        namespaces_are_inits,
        cgroup_is_the_containers,
        sub_cgroup_is_entered,
        sub_cgroup_missing_or_elsewhere_fails,
        capabilities_are_the_configs,
        capability_is_added,
        no_new_privileges_is_set,
        seccomp_filter_is_the_configs,
        rlimits_are_the_configs,
        process_file_decides,
        process_file_invalid_fails,
        detached_process_outlives_the_command,
        pid_file_is_the_number_alone,
        pid_file_of_a_failed_exec_is_absent,
        console_socket_receives_a_master,
        console_socket_and_terminal_must_fit,
        terminal_in_the_foreground,
        terminal_closed_for_a_moment_is_kept,
        terminal_resize_is_passed,
        signal_is_forwarded,
        preserved_descriptors_are_there,
        no_other_descriptor_is_there,
        user_namespace_is_joined,
        joined_pid_namespace,
        end_of_init_ends_the_process,
        process_outlives_init_without_a_pid_namespace,
        paused_container_fails,
        parallel_execs_succeed,
        config_edited_after_create_does_not_count,
        affinity_of_the_caller_is_reset,
    ];
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("exec::{name}"), run).only_ours();
    all.push(ours(
        "preserved_descriptors_that_are_closed_stay_so",
        preserved_descriptors_that_are_closed_stay_so,
    ));
    all.extend([
        ours("process_file_errors_have_pointers", process_file_pointers),
        ours("affinity_is_set", affinity),
        ours("affinity_is_the_initial_one_on_the_way", initial_affinity),
        ours("ignore_paused_waits_for_resume", ignore_paused),
        ours("pidfd_is_sent", pidfd_socket),
        ours("chroot_of_a_joined_mount_namespace_is_kept", joined_mount_namespace),
        ours("process_seen_by_the_container_holds_nothing_of_the_host", nothing_of_the_host),
        ours("runtime_killed_at_every_system_call_leaves_nothing", killed),
    ]);
    all
}

fn running<'t>(t: &'t Test, b: &Bundle) -> Container<'t> {
    b.stays();
    t.start(b)
}

fn exec(t: &Test, c: &Container<'_>, flags: &[&str], command: &[&str]) -> Call {
    t.call(&["exec"]).args(flags).args([&c.id]).args(command)
}

fn sh(t: &Test, c: &Container<'_>, flags: &[&str], script: &str) -> Call {
    exec(t, c, flags, &["sh", "-c", script])
}

/// Runs a script in a container with this bundle.
fn output_in(t: &Test, b: &Bundle, flags: &[&str], script: &str) -> Output {
    sh(t, &running(t, b), flags, script).ok()
}

fn output_and_status(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let output = sh(t, &c, &[], "echo out; echo err >&2; read word; echo $word; exit 7").stdin("in\n");
    let output = output.output().exits(7);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nin\n", "err\n"));
    assert_eq!(c.status(), "running");
    Ok(())
}

fn process_killed_by_a_signal_is_128_and_the_signal(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    sh(t, &c, &[], "kill -9 $$").output().exits(137);
    sh(t, &c, &[], "kill -TERM $$").output().exits(143);
    Ok(())
}

fn arguments_after_the_id_are_the_commands(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let output = exec(t, &c, &[], &["echo", "--debug", "-t", "--", "--help"]).ok();
    assert_eq!(output.text(), "--debug -t -- --help");
    Ok(())
}

fn command_missing_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let output = exec(t, &c, &[], &["no-such-command"]).output().exits(255);
    output.says("executable file not found in $PATH");
    Ok(())
}

fn command_by_path_missing_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    exec(t, &c, &[], &["/no/such"]).output().exits(255).says("no such file or directory");
    Ok(())
}

fn command_not_executable_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::write(b.inside("/file"), "text").unwrap();
    let c = running(t, &b);
    exec(t, &c, &[], &["/file"]).output().exits(255).says("permission denied");
    Ok(())
}

fn command_absent_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    exec(t, &c, &[], &[]).fails();
    Ok(())
}

fn container_missing_fails(t: &Test) -> Verdict {
    t.call(&["exec", "absent", "true"]).output().exits(255).says("does not exist");
    Ok(())
}

fn container_stopped_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let _ = c.stop();
    exec(t, &c, &[], &["true"]).output().exits(255).says("cannot exec in a stopped container");
    Ok(())
}

fn container_created_is_joined(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    assert_eq!(exec(t, &c, &[], &["hostname"]).ok().text(), "container");
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.status(), "running");
    Ok(())
}

fn environment_is_the_containers_and_more(t: &Test) -> Verdict {
    let b = t.bundle();
    b.push("/process/env", json!("OWN=1"));
    let output = output_in(t, &b, &["-e", "A=b", "-e", "OWN=2", "-e=E="], "env");
    for entry in ["TERM=xterm", "A=b", "OWN=2", "E="] {
        assert!(output.lines().contains(&entry), "{entry}: {output}");
    }
    let c = running(t, &t.bundle());
    for entry in ["A", "=b", ""] {
        exec(t, &c, &["--env", entry], &["true"]).fails().exits(255);
    }
    Ok(())
}

fn home_is_the_users(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir_all(b.inside("/etc")).unwrap();
    fs::write(b.inside("/etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n")
        .unwrap();
    let c = running(t, &b);
    assert_eq!(sh(t, &c, &[], "echo $HOME").ok().text(), "/root");
    assert_eq!(sh(t, &c, &["--user", "1000"], "echo $HOME").ok().text(), "/home/u");
    assert_eq!(sh(t, &c, &["--env", "HOME=/h"], "echo $HOME").ok().text(), "/h");
    Ok(())
}

fn user_and_groups_are_set(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let ids = "id -u; id -g; grep Groups /proc/self/status";
    let output = sh(t, &c, &["--user", "1000:100", "-g", "5", "-g", "6"], ids).ok();
    assert_eq!(output.lines(), ["1000", "100", "Groups:\t5 6"]);
    assert_eq!(sh(t, &c, &["-u", "1000"], "id -u; id -g").ok().lines(), ["1000", "0"]);
    Ok(())
}

fn user_not_root_owns_its_pipes(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let script = "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr";
    let call = exec(t, &c, &["--user", "1000:1000"], &["sh", "-c", script]);
    assert_eq!(call.through_sh("echo in | \"$@\" 2>&1 | cat").ok().stdout, "in\nout\nerr\n");
    Ok(())
}

fn user_that_is_no_number_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    for user in ["name", "0x1", "1:", "1:x", "1e0"] {
        exec(t, &c, &["--user", user], &["true"]).fails();
    }
    Ok(())
}

fn cwd_is_set(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.inside("/work")).unwrap();
    b.set("/process/cwd", "/work");
    let c = running(t, &b);
    assert_eq!(exec(t, &c, &[], &["pwd"]).ok().text(), "/work");
    assert_eq!(exec(t, &c, &["--cwd", "/dev"], &["pwd"]).ok().text(), "/dev");
    Ok(())
}

fn cwd_missing_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    exec(t, &c, &["--cwd", "/absent"], &["true"]).output().exits(255).says("no such file or directory");
    assert!(!c.inside("/absent").exists());
    Ok(())
}

/// What descriptors the runtime has is not the container's way to the host.
fn cwd_through_a_descriptor_does_not_lead_out(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    for number in 3..24 {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
            let output = exec(t, &c, &["--cwd", &path], &["readlink", "/proc/self/cwd"]).output();
            let inside = output.stdout.starts_with('/') && !output.stdout.contains("unreachable");
            assert!(!output.status.success() || inside, "{path}: {output}");
        }
    }
    Ok(())
}

/// Starts a process that stays, detached; it is reaped in the end by who gets it.
fn detached(t: &Test, c: &Container<'_>, flags: &[&str], command: &[&str]) -> Process {
    let pid_file = t.dir.join(t.fresh_name());
    let flags = [&["--detach", "--pid-file", pid_file.to_str().unwrap()], flags].concat();
    let streams = runtime_tests::command::anonymous_file(b"");
    let mut said = streams.try_clone().unwrap();
    let result = exec(t, c, &flags, command).stdout_file(streams).output();
    if !result.status.success() {
        let mut text = String::new();
        said.rewind().and_then(|()| said.read_to_string(&mut text)).unwrap();
        panic!("{result}{text}");
    }
    let pid = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    Process::open(pid).unwrap()
}

fn namespaces_are_inits(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let process = detached(t, &c, &[], &["sleep", "1000"]);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"] {
        assert_eq!(namespace_of(process.pid, kind), namespace_of(c.pid(), kind), "{kind}");
    }
    let root = |pid: i32| {
        fs::metadata(format!("/proc/{pid}/root")).map(|it| {
            use std::os::unix::fs::MetadataExt as _;
            (it.dev(), it.ino())
        })
    };
    assert_eq!(root(process.pid).unwrap(), root(c.pid()).unwrap());
    Ok(())
}

fn cgroups_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}

fn cgroup_is_the_containers(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let process = detached(t, &c, &[], &["sleep", "1000"]);
    assert_eq!(cgroups_of(process.pid), cgroups_of(c.pid()));
    Ok(())
}

/// The container's cgroup in every hierarchy.
fn own_cgroups(t: &Test, c: &Container<'_>) -> Vec<PathBuf> {
    let scope = format!("sandboxd-{}.scope", c.id);
    let all = t.cgroups().directories_named(&c.id);
    all.into_iter().filter(|path| path.ends_with(&c.id) || path.ends_with(&scope)).collect()
}

fn sub_cgroup_is_entered(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let own = own_cgroups(t, &c);
    for directory in &own {
        fs::create_dir_all(directory.join("sub/lower")).unwrap();
        // A new one of cpuset has nothing to run on.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            for level in ["sub", "sub/lower"] {
                if let Ok(value) = fs::read_to_string(directory.join(file)) {
                    let _ = fs::write(directory.join(level).join(file), value.trim());
                }
            }
        }
    }
    let process = detached(t, &c, &["--cgroup", "sub/lower"], &["sleep", "1000"]);
    let mut entered = 0;
    for directory in &own {
        if cgroup::processes(&directory.join("sub/lower")).contains(&process.pid) {
            entered += 1;
        }
    }
    assert!(entered > 0 && entered >= own.len() - 1, "in {entered} of {}", own.len());
    process.signal(Signal::KILL);
    assert!(process.wait_exit(DEADLINE));
    residue::reap_orphans(t);
    let _ = c.stop();
    for directory in &own {
        for level in ["sub/lower", "sub"] {
            match fs::remove_dir(directory.join(level)) {
                // systemd was faster, which removes the scope of who has ended.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && t.uses_systemd() => {}
                removed => removed.unwrap(),
            }
        }
    }
    Ok(())
}

fn sub_cgroup_missing_or_elsewhere_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    for path in ["absent", "..", "../other", "a/../../b"] {
        exec(t, &c, &["--cgroup", path], &["true"]).output().exits(255);
    }
    exec(t, &c, &["--cgroup", "nosuch:x"], &["true"]).output().exits(255);
    exec(t, &c, &["--cgroup", "a", "--cgroup", "b"], &["true"]).output().exits(255);
    Ok(())
}

const CAPABILITIES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn capabilities_of(output: &Output) -> Vec<u64> {
    let field = |name| u64::from_str_radix(&status_field(&output.stdout, name), 16).unwrap();
    CAPABILITIES.map(field).to_vec()
}

fn capabilities_are_the_configs(t: &Test) -> Verdict {
    let output = output_in(t, &t.bundle(), &[], "cat /proc/self/status");
    let own = 1 << 5 | 1 << 10 | 1 << 29;
    assert_eq!(capabilities_of(&output), [0, own, own, own, 0]);
    Ok(())
}

fn capability_is_added(t: &Test) -> Verdict {
    let output = output_in(t, &t.bundle(), &["--cap", "CAP_NET_ADMIN"], "cat /proc/self/status");
    let own = 1 << 5 | 1 << 10 | 1 << 12 | 1 << 29;
    assert_eq!(capabilities_of(&output), [0, own, own, own, 0]);
    Ok(())
}

fn no_new_privileges_is_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/noNewPrivileges", false);
    let c = running(t, &b);
    let field = "grep NoNewPrivs /proc/self/status";
    assert_eq!(sh(t, &c, &[], field).ok().text(), "NoNewPrivs:\t0");
    assert_eq!(sh(t, &c, &["--no-new-privs"], field).ok().text(), "NoNewPrivs:\t1");
    // Off is not the same as nothing said.
    let b = t.bundle();
    b.set("/process/noNewPrivileges", true);
    let c = running(t, &b);
    assert_eq!(sh(t, &c, &[], field).ok().text(), "NoNewPrivs:\t1");
    assert_eq!(sh(t, &c, &["--no-new-privs=false"], field).ok().text(), "NoNewPrivs:\t0");
    Ok(())
}

fn seccomp_filter_is_the_configs(t: &Test) -> Verdict {
    for no_new_privileges in [false, true] {
        let b = t.bundle();
        b.writable().set("/process/noNewPrivileges", no_new_privileges);
        let architecture =
            if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" };
        b.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}),
        );
        let output = output_in(t, &b, &[], "grep '^Seccomp:' /proc/self/status; mkdir /x || echo refused");
        assert_eq!(output.lines(), ["Seccomp:\t2", "refused"]);
    }
    Ok(())
}

fn rlimits_are_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "hard": 99, "soft": 77}]));
    assert_eq!(output_in(t, &b, &[], "ulimit -Sn; ulimit -Hn").lines(), ["77", "99"]);
    Ok(())
}

fn process_file(t: &Test, process: &Value) -> String {
    let path = t.dir.join(t.fresh_name());
    fs::write(&path, process.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn process_file_decides(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let file = process_file(
        t,
        &json!({"args": ["sh", "-c", "id -u; id -g; pwd; echo $X; ulimit -Sn; grep CapEff /proc/self/status"],
            "cwd": "/dev", "env": ["PATH=/bin", "X=y"], "user": {"uid": 1, "gid": 2},
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 66, "soft": 55}]}),
    );
    let output = exec(t, &c, &["--process", &file], &[]).ok();
    assert_eq!(output.lines(), ["1", "2", "/dev", "y", "55", "CapEff:\t0000000000000000"]);
    Ok(())
}

fn process_file_invalid_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    for process in [json!({"args": [], "cwd": "/"}), json!({"args": ["true"], "cwd": "x"}), json!("x")] {
        let file = process_file(t, &process);
        exec(t, &c, &["--process", &file], &[]).output().exits(255);
    }
    exec(t, &c, &["--process", "/no/such/file"], &[]).output().exits(255).says("no such file");
    Ok(())
}

fn process_file_pointers(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let file = process_file(t, &json!({"args": ["true"], "cwd": "x", "user": {"uid": -1, "gid": 0}}));
    let output = exec(t, &c, &["--process", &file], &[]).output().exits(255);
    let output = output.says("/cwd: must be an absolute path").says("/user/uid: ");
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    let file = process_file(t, &json!({"args": ["true"], "cwd": "/absent"}));
    exec(t, &c, &["--process", &file], &[]).output().exits(255).says("(from /cwd): chdir(\"/absent\")");
    Ok(())
}

fn detached_process_outlives_the_command(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let process = detached(t, &c, &[], &["sleep", "1000"]);
    assert!(!process.has_exited());
    let listed = c.call(&["ps", "--format", "json"]).ok().json();
    assert!(listed.as_array().unwrap().contains(&json!(process.pid)), "{listed}");
    process.signal(Signal::KILL);
    assert!(process.wait_exit(DEADLINE));
    residue::reap_orphans(t);
    assert_eq!(c.status(), "running");
    Ok(())
}

fn pid_file_is_the_number_alone(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let pid_file = t.dir.join("pid");
    exec(t, &c, &["--pid-file", pid_file.to_str().unwrap()], &["true"]).ok();
    let text = fs::read_to_string(&pid_file).unwrap();
    assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
    Ok(())
}

fn pid_file_of_a_failed_exec_is_absent(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let pid_file = t.dir.join("pid");
    for command in ["absent", "/absent"] {
        exec(t, &c, &["--detach", "--pid-file", pid_file.to_str().unwrap()], &[command]).output().exits(255);
        assert!(!pid_file.exists(), "{command}");
    }
    Ok(())
}

fn console_socket_receives_a_master(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let socket = ConsoleSocket::listen(&t.dir.join("socket"));
    let process = json!({"args": ["sh", "-c", "tty; stty size; : >/dev/tty && echo own; read word; echo got-$word"],
        "cwd": "/", "env": ["PATH=/bin"], "terminal": true, "consoleSize": {"height": 33, "width": 77}});
    let file = process_file(t, &process);
    let flags = ["--detach", "--process", &file, "--console-socket", socket.path.to_str().unwrap()];
    exec(t, &c, &flags, &[]).ok();
    let mut master = socket.receive();
    let text = master.until("own");
    assert!(text.contains("/dev/pts/0") && text.contains("33 77"), "{text:?}");
    master.type_line("typed");
    let _ = master.until("got-typed");
    residue::reap_orphans(t);
    Ok(())
}

fn console_socket_and_terminal_must_fit(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    exec(t, &c, &["--tty", "--detach"], &["true"])
        .output()
        .exits(255)
        .says("cannot allocate tty if runc will detach without setting console socket");
    let socket = ConsoleSocket::listen(&t.dir.join("socket"));
    let path = socket.path.to_str().unwrap();
    for flags in [&["--detach"][..], &["--tty"], &[]] {
        exec(t, &c, &[flags, &["--console-socket", path]].concat(), &["true"])
            .output()
            .exits(255)
            .says("cannot use console socket if runc will not detach or allocate tty");
    }
    exec(t, &c, &["--tty", "--detach", "--console-socket", "/no/such"], &["true"]).output().exits(255);
    Ok(())
}

/// A command on a terminal of ours.
fn on_terminal(call: Call, size: (u16, u16)) -> (runtime_tests::command::Running, Master) {
    let (master, peer) = Master::pair();
    master.resize(size.0, size.1);
    let call = call.through(["setsid", "--ctty", "--wait"]);
    (call.stdin_file(peer.try_clone().unwrap()).stdout_file(peer).start(), master)
}

fn terminal_in_the_foreground(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let c = running(t, &t.bundle());
    let script = "tty; echo ready; read word; stty size; echo got-$word; exit 5";
    let (running, mut master) = on_terminal(sh(t, &c, &["--tty"], script), (31, 99));
    let text = master.until("ready");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    master.type_line("typed");
    let text = master.until("got-typed");
    assert!(text.contains("31 99"), "{text:?}");
    let _ = running.wait().exits(5);
    Ok(())
}

fn terminal_closed_for_a_moment_is_kept(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = t.bundle();
    let (mut fifo, mut go) = (b.fifo("/fifo"), b.fifo("/go"));
    let c = running(t, &b);
    let script = "echo one; exec </dev/null >/dev/null 2>&1; echo closed >/fifo; read go </go
         echo two >/dev/tty; exit 7";
    let (running, mut master) = on_terminal(sh(t, &c, &["--tty"], script), (24, 80));
    let _ = master.until("one");
    assert_eq!(fifo.line(), "closed");
    go.send("go");
    let _ = master.until("two");
    let _ = running.wait().exits(7);
    Ok(())
}

fn terminal_resize_is_passed(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let c = running(t, &t.bundle());
    let script = "trap 'stty size' WINCH; echo ready; while :; do read line && break; done; echo end";
    let (running, mut master) = on_terminal(sh(t, &c, &["-t"], script), (24, 80));
    let _ = master.until("ready");
    master.resize(40, 120);
    let _ = master.until("40 120");
    master.type_line("");
    let _ = master.until("end");
    let _ = running.wait().exits(0);
    Ok(())
}

fn signal_is_forwarded(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut fifo = b.fifo("/fifo");
    let c = running(t, &b);
    let script = "trap 'echo term >/fifo; exit 9' TERM; echo ready >/fifo; while :; do sleep 1000 >/dev/null 2>&1 & wait; done";
    let foreground = sh(t, &c, &[], script).start();
    assert_eq!(fifo.line(), "ready");
    foreground.process.signal(Signal::TERM);
    assert_eq!(fifo.line(), "term");
    let _ = foreground.wait().exits(9);
    Ok(())
}

const OPEN: &str = "exec 3<\"$0\" 4<\"$0\" 5<\"$0\"; exec \"$@\"";

/// The shell opens descriptors 3, 4 and 5 first.
fn with_descriptors(call: Call) -> Call {
    call.through(["sh", "-c", OPEN, "/"])
}

fn preserved_descriptors_are_there(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let list = "for n in 3 4 5 6; do [ -e /proc/$$/fd/$n ] && echo $n; done; true";
    assert_eq!(with_descriptors(sh(t, &c, &["--preserve-fds", "2"], list)).ok().lines(), ["3", "4"]);
    Ok(())
}

/// podman names the highest for which it has a file (`--preserve-fd`): what is closed before it stays closed, whatever opens
/// files meanwhile. Of what is asked for beyond the last that is open, there is a word.
fn preserved_descriptors_that_are_closed_stay_so(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let list = "for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; true";
    let open = |count: &str| {
        let call = sh(t, &c, &["--preserve-fds", count], list);
        call.through(["sh", "-c", "exec 5<\"$0\" 7<\"$0\"; exec \"$@\"", "/"]).ok()
    };
    assert_eq!(open("5").lines(), ["5", "7"]);
    assert_eq!(open("4").lines(), ["5"]);
    assert_eq!(open("2").text(), "");
    for count in ["100", "4294967295"] {
        let output = open(count);
        assert_eq!(output.lines(), ["5", "7"]);
        assert!(output.has_said("are not open"), "{output}");
    }
    let shut =
        sh(t, &c, &["--preserve-fds", "1"], list).through(["sh", "-c", "exec 3<&-; exec \"$0\" \"$@\""]).ok();
    assert!(shut.text().is_empty() && shut.has_said("descriptor 3 is not open"), "{shut}");
    Ok(())
}

fn no_other_descriptor_is_there(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let list = "n=3; while [ $n -lt 64 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done; true";
    assert_eq!(with_descriptors(sh(t, &c, &[], list)).ok().text(), "");
    Ok(())
}

fn in_user_namespace(t: &Test) -> Bundle {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    // Init's user must reach its root.
    let mut path = b.rootfs();
    while path.starts_with(&t.dir) || path == t.dir {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o055)).unwrap();
        path.pop();
    }
    b
}

fn user_namespace_is_joined(t: &Test) -> Verdict {
    let c = running(t, &in_user_namespace(t));
    let output = sh(t, &c, &[], "id -u; cat /proc/self/uid_map; grep CapEff /proc/self/status").ok();
    let lines = output.lines();
    assert_eq!(lines[0], "0");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    assert_eq!(lines[2], "CapEff:\t0000000020000420");
    assert_eq!(sh(t, &c, &["--user", "1000:1000"], "id -u; id -g").ok().lines(), ["1000", "1000"]);
    let process = detached(t, &c, &["--user", "5"], &["sleep", "1000"]);
    assert_eq!(namespace_of(process.pid, "user"), namespace_of(c.pid(), "user"));
    assert!(status_of(process.pid, "Uid").starts_with("100005"));
    Ok(())
}

fn joined_pid_namespace(t: &Test) -> Verdict {
    let first = running(t, &t.bundle());
    let b = t.bundle();
    b.namespace("pid", Some(format!("/proc/{}/ns/pid", first.pid()).as_ref()));
    let second = running(t, &b);
    let process = detached(t, &second, &[], &["sleep", "1000"]);
    assert_eq!(namespace_of(process.pid, "pid"), namespace_of(first.pid(), "pid"));
    assert_eq!(namespace_of(process.pid, "mnt"), namespace_of(second.pid(), "mnt"));
    Ok(())
}

fn joined_mount_namespace(t: &Test) -> Verdict {
    let first = running(t, &t.bundle());
    let b = t.bundle();
    fs::write(b.inside("/mark"), "second").unwrap();
    b.patch(|config| config["mounts"] = json!([]));
    b.patch(|config| {
        for key in ["maskedPaths", "readonlyPaths"] {
            config["linux"][key] = json!([]);
        }
    });
    b.without_namespace("mount").unset("/process/noNewPrivileges");
    b.set("/root/readonly", false);
    let second = running(t, &b);
    // Its root is a directory of the host's mount namespace.
    assert_eq!(exec(t, &second, &[], &["cat", "/mark"]).ok().text(), "second");
    drop(first);
    Ok(())
}

fn end_of_init_ends_the_process(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut fifo = b.fifo("/fifo");
    let c = running(t, &b);
    let foreground = sh(t, &c, &[], "echo ready >/fifo; exec sleep 1000").start();
    assert_eq!(fifo.line(), "ready");
    let _ = c.stop();
    let _ = foreground.wait().exits(137);
    Ok(())
}

fn process_outlives_init_without_a_pid_namespace(t: &Test) -> Verdict {
    let b = t.bundle();
    b.without_namespace("pid");
    let c = running(t, &b);
    let process = detached(t, &c, &[], &["sleep", "1000"]);
    let _ = c.stop();
    assert!(!process.has_exited());
    assert_eq!(c.status(), "stopped");
    exec(t, &c, &[], &["true"]).output().exits(255).says("cannot exec in a stopped container");
    c.delete_force().ok();
    assert!(process.wait_exit(DEADLINE));
    residue::reap_orphans(t);
    Ok(())
}

fn paused_container_fails(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    if !c.call(&["pause"]).output().status.success() {
        return Err(Skip::new("pause does not work in this view"));
    }
    let output = exec(t, &c, &[], &["true"]).output();
    c.call(&["resume"]).ok();
    output.exits(255).says("cannot exec in a paused container (use --ignore-paused to override)");
    exec(t, &c, &[], &["true"]).ok();
    Ok(())
}

fn ignore_paused(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut fifo = b.fifo("/fifo");
    let c = running(t, &b);
    c.call(&["pause"]).ok();
    let foreground = sh(t, &c, &["--ignore-paused"], "echo ran >/fifo; exit 3").start();
    let interrupted = exec(t, &c, &["--ignore-paused"], &["true"]).start();
    // Both are in the container, and stand still.
    let end = std::time::Instant::now() + DEADLINE;
    while c.call(&["ps", "--format", "json"]).ok().json().as_array().unwrap().len() < 3 {
        assert!(std::time::Instant::now() < end, "no process came");
    }
    assert!(fifo.is_silent());
    interrupted.process.signal(Signal::INT);
    let _ = interrupted.wait().exits(128 + 2);
    c.call(&["resume"]).ok();
    assert_eq!(fifo.line(), "ran");
    let _ = foreground.wait().exits(3);
    residue::reap_orphans(t);
    Ok(())
}

fn affinity(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
    let output = output_in(t, &b, &[], "grep Cpus_allowed_list /proc/self/status");
    assert_eq!(output.text(), "Cpus_allowed_list:\t0");
    Ok(())
}

/// `initial` before the process enters the cgroup, `final` afterwards: by the calls that are made.
fn initial_affinity(t: &Test) -> Verdict {
    t.needs_program("strace")?;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Skip::new("there is one processor"));
    }
    let b = t.bundle();
    b.set("/process/execCPUAffinity", json!({"initial": "1", "final": "0"}));
    let c = running(t, &b);
    let log = t.dir.join("calls");
    let trace = "trace=sched_setaffinity,setns,write";
    let call = sh(t, &c, &[], "grep Cpus_allowed_list /proc/self/status");
    let output = call.through(["strace", "-f", "-qq", "-e", trace, "-o", log.to_str().unwrap()]).ok();
    assert_eq!(output.text(), "Cpus_allowed_list:\t0");
    let said = t.call(&["--debug", "exec", &c.id, "true"]).ok().stderr;
    for (mask, field) in [("0x2", "initial"), ("0x1", "final")] {
        assert!(said.contains(&format!("affinity: {mask} (/process/execCPUAffinity/{field})")), "{said}");
    }
    let text = std::fs::read_to_string(log).unwrap();
    let at = |call: &str| text.find(call).unwrap_or_else(|| panic!("{call} is missing of {text}"));
    let (first, last) = (at("sched_setaffinity(0, 8, [1])"), at("sched_setaffinity(0, 8, [0])"));
    assert!(first < last && last < at("setns("), "{text}");
    Ok(())
}

fn affinity_of_the_caller_is_reset(t: &Test) -> Verdict {
    t.needs_program("taskset")?;
    let c = running(t, &t.bundle());
    let all = status_field(&c.proc("status"), "Cpus_allowed_list");
    let first = all.split([',', '-']).next().unwrap_or_default().to_owned();
    if first == all {
        return Err(Skip::new("there is one processor"));
    }
    let call = sh(t, &c, &[], "grep Cpus_allowed_list /proc/self/status");
    assert_eq!(call.through(["taskset", "-c", &first]).ok().text(), format!("Cpus_allowed_list:\t{all}"));
    // `initial` is for the way into the container; what runs there has the cpuset's.
    c.stop();
    let b = t.bundle();
    b.set("/process/execCPUAffinity", json!({"initial": first}));
    let output = output_in(t, &b, &[], "grep Cpus_allowed_list /proc/self/status");
    assert_eq!(output.text(), format!("Cpus_allowed_list:\t{all}"));
    Ok(())
}

fn pidfd_socket(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let path = t.dir.join("socket");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    exec(t, &c, &["--pidfd-socket", path.to_str().unwrap()], &["true"]).ok();
    let (stream, _) = socket.accept().unwrap();
    let mut name = [0; 16];
    let length = std::io::Read::read(&mut &stream, &mut name).unwrap();
    assert_eq!(&name[..length], b"pidfd");
    Ok(())
}

fn parallel_execs_succeed(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let calls: Vec<_> = (0..100).map(|_| exec(t, &c, &[], &["true"]).start()).collect();
    for call in calls {
        let _ = call.wait().exits(0);
    }
    let listed = c.call(&["ps", "--format", "json"]).ok().json();
    assert_eq!(listed, json!([c.pid()]));
    Ok(())
}

fn config_edited_after_create_does_not_count(t: &Test) -> Verdict {
    let b = t.bundle();
    let c = running(t, &b);
    b.capabilities(&["CAP_SYS_ADMIN"]).set("/process/noNewPrivileges", false).write();
    let output = sh(t, &c, &[], "grep -E 'CapEff|NoNewPrivs' /proc/self/status").ok();
    assert_eq!(output.lines(), ["CapEff:\t0000000020000420", "NoNewPrivs:\t1"]);
    Ok(())
}

/// A container that may trace everything looks at whoever appears in its pid namespace: a directory of the host's is
/// never to be had through it.
fn nothing_of_the_host(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().capabilities(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"]);
    let canary = t.canary().join("secret");
    let script = format!(
        "while :; do for p in /proc/[0-9]*; do [ -e $p/root{0} ] && echo root >>/found; \
         [ -e $p/cwd{0} ] && echo cwd >>/found; \
         for f in $p/fd/*; do [ -e $f{0} ] && echo $f >>/found; done; done; done 2>/dev/null",
        canary.display()
    );
    b.sh(&script);
    let c = t.start(&b);
    for _ in 0..40 {
        exec(t, &c, &[], &["true"]).ok();
    }
    assert!(!c.inside("/found").exists(), "{:?}", fs::read_to_string(c.inside("/found")));
    Ok(())
}

fn killed(t: &Test) -> Verdict {
    const MOST_CALLS: usize = 2000;
    let c = running(t, &t.bundle());
    for at in 0..MOST_CALLS {
        let pid_file = t.dir.join("pid");
        let flags = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
        let output = runtime_tests::command::anonymous_file(b"");
        let end = kill_before(exec(t, &c, &flags, &["true"]).stdout_file(output), at);
        // Told to go on, or not, it ends by itself.
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            residue::reap_orphans(t);
            let listed = c.call(&["ps", "--format", "json"]).ok().json();
            if listed == json!([c.pid()]) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "killed before system call {at}: {listed}");
        }
        let _ = fs::remove_file(&pid_file);
        let strays: Vec<_> = fs::read_dir(&t.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(".pid"))
            .collect();
        for stray in &strays {
            fs::remove_file(t.dir.join(stray)).unwrap();
        }
        if let End::Exited(status, _) = end {
            assert_eq!(status, 0);
            assert!(strays.is_empty(), "{strays:?}");
            assert!(at > 50, "only {at} system calls: is this the command's own process?");
            return Ok(());
        }
    }
    panic!("more than {MOST_CALLS} system calls");
}

fn process_file_may_be_a_pipe(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let process =
        json!({"args": ["echo", "piped"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}});
    let output = exec(t, &c, &["--process", "/dev/stdin"], &[]).stdin(&process.to_string()).ok();
    assert_eq!(output.lines(), ["piped"]);
    Ok(())
}

fn terminal_output_to_a_pipe_has_no_carriage_returns(t: &Test) -> Verdict {
    let c = running(t, &t.bundle());
    let output = exec(t, &c, &["--tty"], &["sh", "-c", "echo one; echo two"]).ok();
    assert_eq!(output.stdout, "one\ntwo\n");
    Ok(())
}

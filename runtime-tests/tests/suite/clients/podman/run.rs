//! `podman run` with what people give it.

use std::fs;
use std::path::Path;

use runtime_tests::client::Podman;
use runtime_tests::procfs::status_field;
use runtime_tests::tty::Master;
use runtime_tests::wait::Fifo;
use runtime_tests::{Skip, Verdict};

use super::Check;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("run_rm_prints_and_removes", run_rm),
    ("run_returns_the_exit_status", run_status),
    ("run_on_a_terminal", run_on_terminal),
    ("run_detached_and_logs", run_detached),
    ("run_memory_limit", run_memory),
    ("run_pids_limit", run_pids),
    ("run_read_only", run_read_only),
    ("run_cap_drop_all", run_cap_drop),
    ("run_volume", run_volume),
    ("run_default_seccomp_profile", run_seccomp),
    ("run_bridge_network", run_bridge),
    ("run_published_port", run_port),
    ("run_missing_command_is_127", run_missing),
    ("run_command_that_is_not_executable_is_126", run_not_executable),
    ("run_podmans_own_error_is_125", run_own_error),
    ("run_user_environment_and_directory", run_user),
    ("run_tmpfs_copies_up", run_tmpfs),
    ("run_init", run_init),
    ("run_in_a_user_namespace", run_user_namespace),
    ("run_interactive_reads_stdin", run_stdin),
    ("run_device_and_sysctl", run_device),
    ("run_ulimit_and_shm", run_ulimit),
    ("run_userns_auto", run_userns_auto),
    ("run_preserves_a_descriptor", run_preserve_fd),
];

fn run_rm(p: &Podman<'_>) -> Verdict {
    assert_eq!(p.run_rm(&[], "echo hello; hostname | wc -c").ok().lines(), ["hello", "13"]);
    assert_eq!(p.call(&["ps", "--all", "--quiet"]).ok().text(), "");
    Ok(())
}

fn run_status(p: &Podman<'_>) -> Verdict {
    let _ = p.run_rm(&[], "exit 3").output().exits(3);
    let _ = p.run_rm(&[], "kill -9 $$; sleep 1; exit 4").output().exits(4);
    Ok(())
}

fn run_on_terminal(p: &Podman<'_>) -> Verdict {
    p.test().needs_program("setsid")?;
    let (mut master, peer) = Master::pair();
    master.resize(30, 100);
    let call = p
        .run_rm(&["-it"], "tty; echo ready; read word; stty size; echo got-$word; exit 7")
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer);
    let running = call.start();
    let text = master.until("ready");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    master.type_line("typed");
    let text = master.until("got-typed");
    assert!(text.contains("30 100"), "{text:?}");
    let _ = running.wait().exits(7);
    Ok(())
}

fn run_detached(p: &Podman<'_>) -> Verdict {
    let id = p.run(&["-d", "--network=none"], "echo out; echo err >&2; exit 5").ok().text().to_owned();
    assert_eq!(p.call(&["wait", &id]).ok().text(), "5");
    let logs = p.call(&["logs", &id]).ok();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));
    p.call(&["rm", &id]).ok();
    Ok(())
}

fn run_memory(p: &Podman<'_>) -> Verdict {
    p.test().needs_controller("memory")?;
    let file =
        if p.test().cgroups().uses_v2("memory") { "memory.max" } else { "memory/memory.limit_in_bytes" };
    let output = p.run_rm(&["--memory=50m"], &format!("cat /sys/fs/cgroup/{file}")).ok();
    assert_eq!(output.text(), "52428800");
    let _ = p
        .run_rm(&["--memory=20m", "--memory-swap=20m"], "exec dd if=/dev/zero of=/dev/null bs=64M count=1")
        .output()
        .exits(137);
    Ok(())
}

fn run_pids(p: &Podman<'_>) -> Verdict {
    p.test().needs_controller("pids")?;
    let file = if p.test().cgroups().uses_v2("pids") { "pids.max" } else { "pids/pids.max" };
    let output = p.run_rm(&["--pids-limit=42"], &format!("cat /sys/fs/cgroup/{file}")).ok();
    assert_eq!(output.text(), "42");
    Ok(())
}

fn run_read_only(p: &Podman<'_>) -> Verdict {
    let script = "echo x >/new || echo read-only; echo x >/tmp/new && echo tmp; echo x >/run/new && echo run";
    assert_eq!(p.run_rm(&["--read-only"], script).ok().lines(), ["read-only", "tmp", "run"]);
    Ok(())
}

fn run_cap_drop(p: &Podman<'_>) -> Verdict {
    let output = p.run_rm(&["--cap-drop=all"], "cat /proc/self/status").ok();
    for set in ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status_field(&output.stdout, set), "0".repeat(16), "{set}");
    }
    Ok(())
}

fn run_volume(p: &Podman<'_>) -> Verdict {
    let host = p.private.dir.join("volume");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "host\n").unwrap();
    let volume = format!("{}:/v", host.display());
    assert_eq!(p.run_rm(&["-v", &volume], "cat /v/file; echo new >/v/new").ok().text(), "host");
    assert_eq!(fs::read_to_string(host.join("new")).unwrap(), "new\n");
    let output = p.run_rm(&["-v", &format!("{volume}:ro")], "cat /v/file; echo x >/v/other").fails();
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    let script = "echo kept >/named/file; cat /named/file";
    assert_eq!(p.run_rm(&["-v", "named:/named"], script).ok().text(), "kept");
    Ok(())
}

fn run_seccomp(p: &Podman<'_>) -> Verdict {
    let filter = |flags: &[&str]| {
        let output = p.run_rm(flags, "cat /proc/self/status").ok();
        status_field(&output.stdout, "Seccomp")
    };
    assert_eq!(filter(&[]), "2");
    assert_eq!(filter(&["--security-opt=seccomp=unconfined"]), "0");
    let profile = p.private.dir.join("profile.json");
    let rule = r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}"#;
    fs::write(&profile, format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#)).unwrap();
    let option = format!("--security-opt=seccomp={}", profile.display());
    p.run_rm(&[&option], "mkdir /tmp/x").fails().says("No space left on device");
    Ok(())
}

fn run_bridge(p: &Podman<'_>) -> Verdict {
    let id = p.run(&["-d"], "exec sleep 1000").ok().text().to_owned();
    let address =
        p.call(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &id]).ok().text().to_owned();
    let gateway =
        p.call(&["inspect", "--format", "{{.NetworkSettings.Gateway}}", &id]).ok().text().to_owned();
    let script =
        format!("ping -c1 -W5 {address} >/dev/null && ping -c1 -W5 {gateway} >/dev/null && echo both");
    assert_eq!(p.run(&["--rm", "--cap-add=NET_RAW"], &script).ok().text(), "both");
    Ok(())
}

fn run_port(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let volume = format!("{}:/t", p.private.dir.display());
    let script = "echo served >/tmp/index.html; httpd -p 80 -h /tmp; echo up >/t/f; exec sleep 1000";
    p.run(&["-d", "-p", "8080:80", "-v", &volume], script).ok();
    assert_eq!(fifo.line(), "up");
    let text = p.private.in_network(|| crate::clients::http_get("127.0.0.1:8080", "/index.html"));
    assert!(text.ends_with("served\n"), "{text:?}");
    Ok(())
}

fn run_missing(p: &Podman<'_>) -> Verdict {
    for command in ["no-such-command", "/no/such/command"] {
        let call = p.call(&[
            "run",
            "--rm",
            "--network=none",
            "--cgroup-parent",
            &p.parent(),
            "localhost/bb",
            command,
        ]);
        let _ = call.output().exits(127);
    }
    Ok(())
}

fn run_not_executable(p: &Podman<'_>) -> Verdict {
    let call = p.call(&[
        "run",
        "--rm",
        "--network=none",
        "--cgroup-parent",
        &p.parent(),
        "localhost/bb",
        "/etc/passwd",
    ]);
    let _ = call.output().exits(126);
    Ok(())
}

fn run_own_error(p: &Podman<'_>) -> Verdict {
    let _ = p.call(&["run", "--rm", "--no-such-flag", "localhost/bb", "true"]).output().exits(125);
    let _ = p.run_rm(&["-v", "/no/such/source:/v"], "true").output().exits(125);
    Ok(())
}

fn run_user(p: &Podman<'_>) -> Verdict {
    let flags =
        ["-u", "1000:1000", "-e", "WORD=value", "-w", "/tmp", "--hostname", "named", "--umask", "0027"];
    let output = p.run_rm(&flags, "id -u; id -g; echo $WORD; pwd; hostname; umask").ok();
    assert_eq!(output.lines(), ["1000", "1000", "value", "/tmp", "named", "0027"]);
    Ok(())
}

fn run_tmpfs(p: &Podman<'_>) -> Verdict {
    let output = p.run_rm(&["--tmpfs", "/etc"], "stat -f -c %T /etc; head -1 /etc/passwd").ok();
    assert_eq!(output.lines()[0], "tmpfs");
    assert!(output.lines()[1].starts_with("root:"), "{output}");
    Ok(())
}

fn run_init(p: &Podman<'_>) -> Verdict {
    p.test().needs_program("catatonit")?;
    let output = p.run_rm(&["--init"], "cat /proc/1/comm; echo $$").ok();
    assert_eq!(output.lines()[0], "podman-init");
    Ok(())
}

fn run_user_namespace(p: &Podman<'_>) -> Verdict {
    let flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
    let output = p.run_rm(&flags, "id -u; cat /proc/self/uid_map; stat -c %u /etc/passwd").ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "0"]);
    Ok(())
}

fn run_stdin(p: &Podman<'_>) -> Verdict {
    assert_eq!(p.run_rm(&["-i"], "cat").stdin("through\n").ok().text(), "through");
    Ok(())
}

fn run_device(p: &Podman<'_>) -> Verdict {
    if !Path::new("/dev/fuse").exists() {
        return Err(Skip::new("no /dev/fuse"));
    }
    let flags = ["--device", "/dev/fuse", "--sysctl", "net.ipv4.ip_forward=1"];
    let output = p.run_rm(&flags, "head -c0 </dev/fuse && cat /proc/sys/net/ipv4/ip_forward").ok();
    assert_eq!(output.text(), "1");
    Ok(())
}

fn run_ulimit(p: &Podman<'_>) -> Verdict {
    let flags = ["--ulimit=nofile=64:64", "--ulimit=nproc=4096:4096", "--ulimit=core=0:0", "--shm-size=1m"];
    let output = p.run_rm(&flags, "ulimit -n; ulimit -c; df -k /dev/shm | awk 'END { print $2 }'").ok();
    assert_eq!(output.lines(), ["64", "0", "1024"]);
    Ok(())
}

fn run_userns_auto(p: &Podman<'_>) -> Verdict {
    // Ranges are given out to the user `containers`; the machine's files stay as they are.
    let ranges = p.private.write("subids", "containers:2000000:1000000\n");
    for file in ["/etc/subuid", "/etc/subgid"] {
        if !Path::new(file).exists() {
            return Err(Skip::new("no /etc/subuid"));
        }
        p.private.call("mount").args(["--bind", &ranges, file]).ok();
    }
    let script = "cat /proc/self/uid_map; stat -c %u /etc/passwd";
    let maps = [(); 2].map(|()| {
        let id = p.run_detached(&["--userns=auto:size=1024"], &format!("{script}; exec sleep 1000"));
        let pid = p.inspect(&id, ".State.Pid");
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        map.split_whitespace().map(|word| word.parse::<u32>().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!((maps[0][0], maps[0][2]), (0, 1024));
    assert!((2_000_000..3_000_000).contains(&maps[0][1]), "{maps:?}");
    assert_ne!(maps[0][1], maps[1][1], "each container has ids of its own");
    Ok(())
}

/// One by its number: those before it are closed.
fn run_preserve_fd(p: &Podman<'_>) -> Verdict {
    if !p.call(&["run", "--help"]).ok().stdout.contains("--preserve-fd ") {
        return Err(Skip::new("this podman has no --preserve-fd"));
    }
    p.private.write("five", "five\n");
    let call = p.run_rm(&["--preserve-fd", "5"], "cat <&5");
    let open = format!("exec 5<{}; exec \"$@\"", p.private.path("five"));
    assert_eq!(call.through_sh(&open).ok().text(), "five");
    Ok(())
}

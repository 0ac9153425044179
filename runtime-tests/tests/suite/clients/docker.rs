//! Docker Engine through its command line.

use std::fs;

use runtime_tests::client::Docker;
use runtime_tests::procfs::status_field;
use runtime_tests::tty::Master;
use runtime_tests::wait::{DEADLINE, Fifo, Process};
use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict};

type Check = fn(&Docker<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("run_rm_prints_and_removes", run_rm),
    ("run_returns_the_exit_status", run_status),
    ("run_command_missing_127_not_executable_126", run_bad_commands),
    ("run_on_a_terminal_and_stdin", run_on_terminal),
    ("run_user_environment_and_directory", run_user),
    ("run_read_only_volume_and_tmpfs", run_mounts),
    ("run_default_profile_and_capabilities", run_confined),
    ("run_privileged", run_privileged),
    ("run_memory_and_oom", run_memory),
    ("run_pids_limit_and_cpus", run_limits),
    ("run_bridge_and_published_port", run_network),
    ("run_init_and_shared_namespaces", run_namespaces),
    ("exec_status_user_and_terminal", exec),
    ("pause_and_unpause", pause),
    ("stop_and_kill", stop),
    ("update_memory", update),
    ("stats_and_top", stats),
    ("restart_policy_starts_again", restart),
    ("logs_attach_and_wait", logs),
    ("build_with_both_builders", build),
];

pub(crate) fn cases() -> Vec<Case> {
    super::over_both("docker", CHECKS, |test, runtime, check| check(&start(test, runtime)?))
}

fn start<'t>(test: &'t Test, runtime: &Runtime) -> Result<Docker<'t>, Skip> {
    if test.lane != Lane::Hybrid {
        return Err(Skip::new("Docker Engine is driven on hybrid cgroups"));
    }
    if runtime.name == "crun" {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    Docker::start(test, runtime)
}

fn shared(d: &Docker<'_>) -> String {
    format!("--volume={}:/t", d.private.dir.display())
}

fn process(d: &Docker<'_>, id: &str) -> Process {
    Process::open(d.inspect(id, ".State.Pid").parse().unwrap()).unwrap()
}

fn run_rm(d: &Docker<'_>) -> Verdict {
    let output = d.run_rm(&["--hostname", "named"], "hostname; echo err >&2").ok();
    assert_eq!((output.text(), output.stderr.trim()), ("named", "err"));
    assert_eq!(d.call(&["ps", "--all", "--quiet"]).ok().text(), "");
    Ok(())
}

fn run_status(d: &Docker<'_>) -> Verdict {
    let _ = d.run_rm(&[], "exit 7").output().exits(7);
    let _ = d.run_rm(&[], "sh -c 'kill -9 $$'; exit $?").output().exits(137);
    let _ = d.run_rm(&["--no-such-flag"], "true").output().exits(125);
    Ok(())
}

fn run_bad_commands(d: &Docker<'_>) -> Verdict {
    for (command, code) in [("no-such-command", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126)]
    {
        let output = d.call(&["run", "--rm", "--network=none", "bb", command]).output();
        let _ = output.exits(code);
    }
    Ok(())
}

fn run_on_terminal(d: &Docker<'_>) -> Verdict {
    d.test().needs_program("setsid")?;
    assert_eq!(d.run_rm(&["--interactive"], "cat").stdin("through\n").ok().text(), "through");
    let (mut master, peer) = Master::pair();
    master.resize(30, 100);
    let running = d
        .run_rm(&["-it"], "tty; echo ready; read word; until stty size 2>/dev/null | grep .; do :; done; echo got-$word; exit 7")
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    let text = master.until("ready");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    master.type_line("typed");
    let text = master.until("got-typed");
    assert!(text.contains("30 100"), "{text:?}");
    let _ = running.wait().exits(7);
    Ok(())
}

fn run_user(d: &Docker<'_>) -> Verdict {
    let flags =
        ["--user=1000:1000", "--group-add=7", "--env=WORD=value", "--workdir=/tmp", "--ulimit=nofile=64:64"];
    let output = d.run_rm(&flags, "id -u; id -G; echo $WORD; pwd; ulimit -n").ok();
    assert_eq!(output.lines(), ["1000", "1000 7", "value", "/tmp", "64"]);
    Ok(())
}

fn run_mounts(d: &Docker<'_>) -> Verdict {
    d.private.write("v/file", "host\n");
    let volume = format!("--volume={}:/v:ro", d.private.path("v"));
    let script =
        "cat /v/file; echo x >/v/x || echo volume; echo x >/x || echo root; echo x >/s/x && stat -f -c %T /s";
    let output = d.run_rm(&["--read-only", &volume, "--tmpfs=/s", "--shm-size=1m"], script).ok();
    assert_eq!(output.lines(), ["host", "volume", "root", "tmpfs"]);
    let output = d.run_rm(&["--volume=named:/etc"], "echo new >/etc/new; head -n1 /etc/passwd").ok();
    assert!(output.text().starts_with("root:"), "{output}");
    assert_eq!(d.run_rm(&["--volume=named:/n"], "cat /n/new").ok().text(), "new");
    Ok(())
}

fn run_confined(d: &Docker<'_>) -> Verdict {
    let status = |flags: &[&str]| d.run_rm(flags, "cat /proc/self/status").ok().stdout;
    let text = status(&[]);
    assert_eq!(status_field(&text, "Seccomp"), "2");
    assert_eq!(status_field(&text, "CapEff"), "00000000a80425fb");
    let text =
        status(&["--security-opt=seccomp=unconfined", "--cap-drop=ALL", "--security-opt=no-new-privileges"]);
    assert_eq!(status_field(&text, "Seccomp"), "0");
    assert_eq!(status_field(&text, "CapEff"), "0".repeat(16));
    assert_eq!(status_field(&text, "NoNewPrivs"), "1");
    let masked = "ls /sys/firmware | wc -l; echo 1 >/proc/sys/kernel/panic || echo read-only";
    assert_eq!(d.run_rm(&[], masked).ok().lines(), ["0", "read-only"]);
    Ok(())
}

fn run_privileged(d: &Docker<'_>) -> Verdict {
    let script = "cat /proc/self/status; mount -t tmpfs tmpfs /tmp && echo mounted; \
        echo 1 >/proc/sys/net/ipv4/ip_forward && echo sysctl; ls /dev/loop-control /dev/kmsg";
    let output = d.run_rm(&["--privileged"], script).output();
    assert_eq!(status_field(&output.stdout, "Seccomp"), "0");
    // All that this Docker knows, as far as the host has them: CAP_SYS_ADMIN among them.
    let effective = u64::from_str_radix(&status_field(&output.stdout, "CapEff"), 16).unwrap();
    assert_eq!(effective >> 21 & 1, 1, "{effective:x}");
    for word in ["mounted", "sysctl", "/dev/kmsg"] {
        assert!(output.lines().contains(&word), "{word}: {output}");
    }
    Ok(())
}

fn run_memory(d: &Docker<'_>) -> Verdict {
    let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
    assert_eq!(d.run_rm(&["--memory=50m"], &format!("cat {file}")).ok().text(), "52428800");
    let script = "exec dd if=/dev/zero of=/dev/null bs=64M count=1";
    let id = d.run_detached(&["--memory=20m", "--memory-swap=20m"], script);
    assert_eq!(d.call(&["wait", &id]).ok().text(), "137");
    assert_eq!(d.inspect(&id, ".State.OOMKilled"), "true");
    Ok(())
}

fn run_limits(d: &Docker<'_>) -> Verdict {
    let script = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpuset/cpuset.cpus";
    let output = d.run_rm(&["--pids-limit=42", "--cpus=0.5", "--cpuset-cpus=0"], script).ok();
    assert_eq!(output.lines(), ["42", "50000", "0"]);
    Ok(())
}

fn run_network(d: &Docker<'_>) -> Verdict {
    let mut fifo = Fifo::create(&d.private.dir.join("f"));
    // httpd goes to the background once it listens.
    let script = "echo served >/tmp/index.html; httpd -p 80 -h /tmp; echo up >/t/f; sleep 1000";
    let id = d.run(&["--detach", "--publish=8080:80", &shared(d)], script).ok().text().to_owned();
    assert_eq!(fifo.line(), "up");
    let address = d.inspect(&id, ".NetworkSettings.IPAddress");
    let gateway = d.inspect(&id, ".NetworkSettings.Gateway");
    for place in [format!("{address}:80"), format!("{gateway}:8080")] {
        let text = d.private.in_network(|| super::http_get(&place, "/index.html"));
        assert!(text.ends_with("served\n"), "{place}: {text:?}");
    }
    let output = d.run(&["--rm"], &format!("wget -q -O - http://{address}/index.html")).ok();
    assert_eq!(output.text(), "served");
    Ok(())
}

fn run_namespaces(d: &Docker<'_>) -> Verdict {
    let first = d.run_detached(&["--hostname=first", "--ipc=shareable"], "sleep 1000");
    let init = process(d, &first);
    let link =
        |kind: &str| fs::read_link(format!("/proc/{}/ns/{kind}", init.pid)).unwrap().display().to_string();
    let [net, ipc, pid] = ["network", "ipc", "pid"].map(|kind| format!("--{kind}=container:{first}"));
    let script = "for kind in net ipc pid; do readlink /proc/self/ns/$kind; done; cat /proc/1/comm";
    let output = d.run(&["--rm", &net, &ipc, &pid], script).ok();
    assert_eq!(output.lines(), [&link("net"), &link("ipc"), &link("pid"), "sleep"]);
    if d.test().needs_program("docker-init").is_ok() {
        assert_eq!(d.run_rm(&["--init"], "cat /proc/1/comm").ok().text(), "docker-init");
    }
    Ok(())
}

fn exec(d: &Docker<'_>) -> Verdict {
    d.test().needs_program("setsid")?;
    let id = d.run_detached(&["--env=WORD=value"], "sleep 1000");
    let exec = |flags: &[&str], script: &str| d.call(&["exec"]).args(flags).args([&id, "sh", "-c", script]);
    let output = exec(&[], "echo $WORD; exit 5").output().exits(5);
    assert_eq!(output.text(), "value");
    let flags = ["--user=1000:1000", "--workdir=/tmp", "--env=OTHER=x"];
    assert_eq!(exec(&flags, "id -u; pwd; echo $OTHER").ok().lines(), ["1000", "/tmp", "x"]);
    assert_eq!(exec(&["--interactive"], "cat").stdin("through\n").ok().text(), "through");
    let status = exec(&[], "cat /proc/self/status").ok().stdout;
    assert_eq!(status_field(&status, "Seccomp"), "2");
    assert_eq!(status_field(&status, "CapEff"), "00000000a80425fb");
    // Docker's own status, whatever the runtime says; newer ones tell 127 apart.
    for command in ["no-such-command", "/etc/passwd"] {
        let output = d.call(&["exec", &id, command]).output();
        assert!(matches!(output.status.code(), Some(126 | 127)), "{output}");
        assert!(output.stdout.contains("exec failed: unable to start container process"), "{output}");
    }
    let (mut master, peer) = Master::pair();
    let running = exec(&["-it"], "tty; echo ready; read word; echo got-$word; exit 6")
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    let text = master.until("ready");
    assert!(text.contains("/dev/pts/"), "{text:?}");
    master.type_line("typed");
    let _ = master.until("got-typed");
    let _ = running.wait().exits(6);
    Ok(())
}

fn pause(d: &Docker<'_>) -> Verdict {
    let mut fifo = Fifo::create(&d.private.dir.join("f"));
    let mut back = Fifo::create(&d.private.dir.join("b"));
    let id = d.run_detached(&[&shared(d)], "while read word </t/f; do echo got-$word >/t/b; done");
    fifo.send("1");
    assert_eq!(back.line(), "got-1");
    d.call(&["pause", &id]).ok();
    assert_eq!(d.inspect(&id, ".State.Status"), "paused");
    fifo.send("2");
    d.call(&["exec", &id, "true"]).fails().says("paused");
    assert!(back.is_silent());
    d.call(&["unpause", &id]).ok();
    assert_eq!(back.line(), "got-2");
    assert_eq!(d.inspect(&id, ".State.Status"), "running");
    Ok(())
}

fn stop(d: &Docker<'_>) -> Verdict {
    let mut fifo = Fifo::create(&d.private.dir.join("f"));
    let script =
        "trap 'exit 9' TERM; trap 'echo usr1 >/t/f' USR1; echo up >/t/f; while :; do sleep 1000 & wait; done";
    let id = d.run_detached(&[&shared(d)], script);
    assert_eq!(fifo.line(), "up");
    d.call(&["kill", "--signal=USR1", &id]).ok();
    assert_eq!(fifo.line(), "usr1");
    d.call(&["stop", "--time=20", &id]).ok();
    assert_eq!(d.inspect(&id, ".State.ExitCode"), "9");
    d.call(&["start", &id]).ok();
    assert_eq!(fifo.line(), "up");
    d.call(&["kill", &id]).ok();
    assert_eq!(d.call(&["wait", &id]).ok().text(), "137");
    let id = d.run_detached(&[], "trap '' TERM; sleep 1000; sleep 1000");
    d.call(&["stop", "--time=0", &id]).ok();
    assert_eq!(d.inspect(&id, ".State.ExitCode"), "137");
    Ok(())
}

fn update(d: &Docker<'_>) -> Verdict {
    let id = d.run_detached(&["--memory=64m", "--memory-swap=128m", "--pids-limit=50"], "sleep 1000");
    let init = process(d, &id);
    let read = |controller: &str, file: &str| {
        runtime_tests::cgroup::read(&d.test().cgroups().directory_of(init.pid, controller).unwrap(), file)
    };
    d.call(&["update", "--memory=32m", "--memory-swap=64m", "--cpus=0.25", "--pids-limit=60", &id]).ok();
    assert_eq!(read("memory", "memory.limit_in_bytes"), (32 << 20).to_string());
    assert_eq!(read("memory", "memory.memsw.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "25000");
    assert_eq!(read("pids", "pids.max"), "60");
    Ok(())
}

fn stats(d: &Docker<'_>) -> Verdict {
    let mut fifo = Fifo::create(&d.private.dir.join("f"));
    let id = d.run_detached(&["--memory=64m", &shared(d)], "sleep 1000 & echo up >/t/f; wait");
    assert_eq!(fifo.line(), "up");
    let format = "{{.MemUsage}} {{.PIDs}}";
    let output = d.call(&["stats", "--no-stream", "--format", format, &id]).ok();
    assert!(output.text().ends_with("/ 64MiB 2"), "{output}");
    let output = d.call(&["top", &id]).ok();
    let pid = process(d, &id).pid.to_string();
    assert_eq!(output.lines().len(), 3, "a title and two processes: {output}");
    assert!(output.stdout.split_whitespace().any(|word| word == pid), "{output}");
    Ok(())
}

fn restart(d: &Docker<'_>) -> Verdict {
    let mut fifo = Fifo::create(&d.private.dir.join("f"));
    let flags = ["--restart=on-failure:2", &shared(d)];
    let id = d.run_detached(&flags, "echo run >/t/f; exit 3");
    for _ in 0..3 {
        assert_eq!(fifo.line(), "run");
    }
    assert_eq!(d.call(&["wait", &id]).ok().text(), "3");
    assert_eq!(d.inspect(&id, ".RestartCount"), "2");
    let id = d.run_detached(&["--restart=always", &shared(d)], "echo $$ >/t/f; sleep 1000");
    assert_eq!(fifo.line(), "1");
    let first = process(d, &id);
    first.signal(rustix::process::Signal::KILL);
    assert!(first.wait_exit(DEADLINE));
    assert_eq!(fifo.line(), "1");
    Ok(())
}

fn logs(d: &Docker<'_>) -> Verdict {
    d.test().needs_program("setsid")?;
    let id = d.run_detached(&[], "echo out; echo err >&2; exit 4");
    assert_eq!(d.call(&["wait", &id]).ok().text(), "4");
    let output = d.call(&["logs", &id]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    let id = d.run_detached(&["--interactive", "--tty"], "read w; echo got-$w; exit 5");
    let (mut master, peer) = Master::pair();
    let running = d
        .call(&["attach", &id])
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    master.type_line("typed");
    let _ = master.until("got-typed");
    let _ = running.wait().exits(5);
    assert!(d.call(&["logs", &id]).ok().stdout.contains("got-typed"));
    Ok(())
}

fn build(d: &Docker<'_>) -> Verdict {
    d.private
        .write("c/Dockerfile", "FROM bb\nRUN echo $(id -u) built >/f && test -e /proc/self\nCMD cat /f\n");
    for (buildkit, name) in [("0", "classic"), ("1", "buildkit")] {
        d.call(&["build", "--quiet", "--network=none", "--tag", name, &d.private.path("c")])
            .env("DOCKER_BUILDKIT", buildkit)
            .ok();
        assert_eq!(d.call(&["run", "--rm", "--network=none", name]).ok().text(), "0 built");
    }
    d.private.write("e/Dockerfile", "FROM bb\nRUN exit 9\n");
    for buildkit in ["0", "1"] {
        let call =
            d.call(&["build", "--network=none", &d.private.path("e")]).env("DOCKER_BUILDKIT", buildkit);
        assert!(call.fails().stderr.contains('9'), "says the status");
    }
    Ok(())
}

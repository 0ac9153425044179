//! containerd through ctr: its shim drives the runtime through go-runc.

use std::fs;

use runtime_tests::client::Containerd;
use runtime_tests::procfs::status_field;
use runtime_tests::tty::Master;
use runtime_tests::wait::{DEADLINE, Fifo};
use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict};

type Check = fn(&Containerd<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("run_rm_prints_and_removes", run_rm),
    ("run_returns_the_exit_status", run_status),
    ("run_environment_and_directory", run_environment),
    ("run_on_a_terminal", run_on_terminal),
    ("run_missing_command_says_so", run_missing),
    ("run_memory_limit", run_memory),
    ("run_read_only_capabilities_and_seccomp", run_restricted),
    ("run_in_the_network_of_another", run_joined),
    ("run_detached_kill_and_delete", run_detached),
    ("exec_status_environment_and_user", exec),
    ("exec_on_a_terminal", exec_on_terminal),
    ("pause_stops_resume_goes_on", pause),
    ("ps_and_metrics", ps_and_metrics),
    ("delete_force_ends_what_runs", delete_force),
    ("init_killed_from_outside_is_seen", killed_outside),
];

pub(crate) fn cases() -> Vec<Case> {
    super::over_both("containerd", CHECKS, |test, runtime, check| check(&start(test, runtime)?))
}

fn start<'t>(test: &'t Test, runtime: &Runtime) -> Result<Containerd<'t>, Skip> {
    if test.lane != Lane::Hybrid {
        // ctr asks for cpu.shares always; v1 is what hybrid shows of it.
        return Err(Skip::new("containerd is driven on hybrid cgroups"));
    }
    if runtime.name == "crun" {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    Containerd::start(test, runtime)
}

/// The flag that shows a host directory at `/t`, for FIFOs.
fn shared(c: &Containerd<'_>) -> String {
    format!("--mount=type=bind,src={},dst=/t,options=rbind:rw", c.private.dir.display())
}

fn run_rm(c: &Containerd<'_>) -> Verdict {
    assert_eq!(c.run_rm(&[], "echo hello; echo err >&2").ok().lines(), ["hello"]);
    assert_eq!(c.ctr(&["container", "ls", "--quiet"]).ok().text(), "");
    Ok(())
}

fn run_status(c: &Containerd<'_>) -> Verdict {
    let _ = c.run_rm(&[], "exit 7").output().exits(7);
    let _ = c.run_rm(&[], "sh -c 'kill -9 $$'; exit $?").output().exits(137);
    Ok(())
}

fn run_environment(c: &Containerd<'_>) -> Verdict {
    let output = c.run_rm(&["--env", "WORD=value", "--cwd", "/tmp"], "echo $WORD; pwd; id -u").ok();
    assert_eq!(output.lines(), ["value", "/tmp", "0"]);
    Ok(())
}

fn run_on_terminal(c: &Containerd<'_>) -> Verdict {
    c.test().needs_program("setsid")?;
    let (mut master, peer) = Master::pair();
    master.resize(30, 100);
    let call = c
        .run_rm(&["--tty"], "tty; echo ready; read word; until stty size 2>/dev/null | grep .; do :; done; echo got-$word; exit 7")
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

fn run_missing(c: &Containerd<'_>) -> Verdict {
    let id = c.test().fresh_name();
    c.run(&["--rm"], &id, &["no-such-command"]).fails().says("executable file not found in $PATH");
    c.run(&["--rm"], &id, &["/etc/passwd"]).fails().says("permission denied");
    assert_eq!(c.ctr(&["task", "ls", "--quiet"]).ok().text(), "");
    Ok(())
}

fn run_memory(c: &Containerd<'_>) -> Verdict {
    let cgroup = "sed -n 's/.*:memory://p' /proc/self/cgroup";
    let flags = ["--memory-limit", "50000000", "--cpus", "0.5"];
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let id = c.run_detached(&[&flags[..], &[&shared(c)]].concat(), &format!("{cgroup} >/t/f; sleep 1000"));
    assert!(fifo.line().ends_with(&id), "the cgroup is named by the container");
    let process = c.process(&id);
    let read = |controller: &str, file: &str| {
        let directory = c.test().cgroups().directory_of(process.pid, controller).unwrap();
        runtime_tests::cgroup::read(&directory, file)
    };
    assert_eq!(read("memory", "memory.limit_in_bytes").parse::<u64>().unwrap() / 4096, 50_000_000 / 4096);
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(read("cpu", "cpu.shares"), "1024");
    Ok(())
}

fn run_restricted(c: &Containerd<'_>) -> Verdict {
    let script = "echo x >/new || echo read-only; cat /proc/self/status";
    let output = c.run_rm(&["--read-only", "--seccomp", "--cap-drop", "CAP_CHOWN"], script).ok();
    assert_eq!(output.lines()[0], "read-only");
    assert_eq!(status_field(&output.stdout, "Seccomp"), "2");
    let bounding = u64::from_str_radix(&status_field(&output.stdout, "CapBnd"), 16).unwrap();
    assert_eq!((bounding & 1, bounding >> 1 & 1), (0, 1), "no CAP_CHOWN, but CAP_DAC_OVERRIDE");
    Ok(())
}

fn run_joined(c: &Containerd<'_>) -> Verdict {
    let first = c.run_detached(&[], "sleep 1000");
    let pid = c.process(&first).pid;
    let namespace = format!("--with-ns=network:/proc/{pid}/ns/net");
    let output = c.run_rm(&[&namespace], "readlink /proc/self/ns/net").ok();
    let theirs = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(output.text(), theirs.to_str().unwrap());
    Ok(())
}

fn run_detached(c: &Containerd<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let script = "trap 'echo term >/t/f; exit 9' TERM; echo up >/t/f; while :; do sleep 1000 & wait; done";
    let id = c.run_detached(&[&shared(c)], script);
    assert_eq!(fifo.line(), "up");
    assert_eq!(c.task(&id).unwrap().1, "RUNNING");
    c.ctr(&["task", "delete", &id]).fails();
    let process = c.process(&id);
    c.ctr(&["task", "kill", "--signal", "TERM", &id]).ok();
    assert_eq!(fifo.line(), "term");
    assert!(process.wait_exit(DEADLINE));
    // Forced, since its shim may be about to take note of the end.
    c.ctr(&["task", "delete", "--force", &id]).ok().says("exit code 9");
    c.ctr(&["container", "delete", &id]).ok();
    assert_eq!(c.ctr(&["container", "ls", "--quiet"]).ok().text(), "");
    Ok(())
}

fn exec(c: &Containerd<'_>) -> Verdict {
    let id = c.run_detached(&["--env", "WORD=value"], "sleep 1000");
    let exec = |name: &str, flags: &[&str], script: &str| {
        c.ctr(&["task", "exec", "--exec-id", name]).args(flags).args([&id, "sh", "-c", script])
    };
    let output = exec("a", &[], "echo $WORD; pwd; exit 5").output().exits(5);
    assert_eq!(output.lines(), ["value", "/"]);
    let output = exec("b", &["--user", "1000:1000", "--cwd", "/tmp"], "id -u; pwd").ok();
    assert_eq!(output.lines(), ["1000", "/tmp"]);
    let init = c.process(&id);
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", init.pid)).unwrap();
    let output = exec("c", &[], "cat").stdin("through\n").ok();
    assert_eq!(output.text(), "through");
    let memory = cgroups.lines().find(|line| line.contains(":memory:")).unwrap().to_owned();
    assert!(exec("d", &[], "cat /proc/self/cgroup").ok().lines().contains(&memory.as_str()));
    c.ctr(&["task", "exec", "--exec-id", "e", &id, "no-such-command"])
        .fails()
        .says("executable file not found in $PATH");
    Ok(())
}

fn exec_on_terminal(c: &Containerd<'_>) -> Verdict {
    c.test().needs_program("setsid")?;
    let id = c.run_detached(&[], "sleep 1000");
    let (mut master, peer) = Master::pair();
    master.resize(31, 101);
    let running = c
        .ctr(&["task", "exec", "--tty", "--exec-id", "t", &id, "sh", "-c"])
        .args(["tty; echo ready; read word; until stty size 2>/dev/null | grep .; do :; done; echo got-$word; exit 6"])
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    let text = master.until("ready");
    assert!(text.contains("/dev/pts/"), "{text:?}");
    master.type_line("typed");
    let text = master.until("got-typed");
    assert!(text.contains("31 101"), "{text:?}");
    let _ = running.wait().exits(6);
    Ok(())
}

fn pause(c: &Containerd<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let mut back = Fifo::create(&c.private.dir.join("b"));
    let id = c.run_detached(&[&shared(c)], "while read word </t/f; do echo got-$word >/t/b; done");
    fifo.send("1");
    assert_eq!(back.line(), "got-1");
    c.ctr(&["task", "pause", &id]).ok();
    assert_eq!(c.task(&id).unwrap().1, "PAUSED");
    fifo.send("2");
    c.ctr(&["task", "exec", "--exec-id", "p", &id, "true"]).fails();
    assert!(back.is_silent());
    c.ctr(&["task", "resume", &id]).ok();
    assert_eq!(back.line(), "got-2");
    assert_eq!(c.task(&id).unwrap().1, "RUNNING");
    Ok(())
}

fn ps_and_metrics(c: &Containerd<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let id = c.run_detached(&[&shared(c)], "sleep 1000 & echo up >/t/f; wait");
    assert_eq!(fifo.line(), "up");
    let pid = c.process(&id).pid.to_string();
    let output = c.ctr(&["task", "ps", &id]).ok();
    assert_eq!(output.lines().len(), 3, "a title and two processes: {output}");
    assert!(output.stdout.split_whitespace().any(|word| word == pid), "{output}");
    let output = c.ctr(&["task", "metrics", &id]).ok();
    let value = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
    };
    assert_eq!(value("pids.current"), "2", "{output}");
    assert!(value("memory.usage_in_bytes").parse::<u64>().unwrap() > 0, "{output}");
    Ok(())
}

fn delete_force(c: &Containerd<'_>) -> Verdict {
    let id = c.run_detached(&[], "trap '' TERM; sleep 1000 & wait; sleep 1000");
    let process = c.process(&id);
    c.ctr(&["task", "delete", "--force", &id]).ok().says("exit code 137");
    assert!(process.has_exited());
    assert!(c.task(&id).is_none());
    Ok(())
}

fn killed_outside(c: &Containerd<'_>) -> Verdict {
    let id = c.test().fresh_name();
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let script = "sleep 1000 & echo up >/t/f; wait";
    let running = c.run(&["--rm", &shared(c)], &id, &["sh", "-c", script]).start();
    assert_eq!(fifo.line(), "up");
    c.process(&id).signal(rustix::process::Signal::KILL);
    let _ = running.wait().exits(137);
    Ok(())
}

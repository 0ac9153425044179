//! What people do with a podman container once it is there.

use runtime_tests::client::Podman;
use runtime_tests::client::podman::IMAGE;
use runtime_tests::tty::Master;
use runtime_tests::wait::{Fifo, Process};
use runtime_tests::{Verdict, cgroup};

use super::Check;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("create_start_stop_inspect", create_start_stop),
    ("stop_kills_after_its_time", stop_deaf),
    ("kill_sends_the_signal", kill),
    ("attach_to_a_running_container", attach),
    ("pause_and_unpause", pause),
    ("exec_status_user_and_terminal", exec),
    ("healthcheck_runs_its_command", healthcheck),
    ("update_memory_and_cpus", update),
    ("stats_and_top", stats),
    ("restart_policy_starts_again", restart),
];

/// A directory that the container shares with the test, at `/t`.
fn shared(p: &Podman<'_>) -> String {
    format!("--volume={}:/t", p.private.dir.display())
}

fn process(p: &Podman<'_>, id: &str) -> Process {
    Process::open(p.inspect(id, ".State.Pid").parse().unwrap()).unwrap()
}

fn create_start_stop(p: &Podman<'_>) -> Verdict {
    let script = "trap 'exit 9' TERM; while :; do sleep 1000 & wait; done";
    let create = ["create", "--network=none", "--cgroup-parent", &p.parent(), IMAGE, "sh", "-c", script];
    let id = p.call(&create).ok().text().to_owned();
    let status = || p.inspect(&id, ".State.Status");
    assert_eq!(status(), "created");
    p.call(&["start", &id]).ok();
    assert_eq!(status(), "running");
    p.call(&["kill", "--signal", "WINCH", &id]).ok();
    p.call(&["stop", "--time", "10", &id]).ok();
    assert_eq!(status(), "exited");
    p.call(&["start", &id]).ok();
    p.call(&["rm", "--force", "--time", "0", &id]).ok();
    Ok(())
}

fn stop_deaf(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let id = p.run_detached(&[&shared(p)], "trap '' TERM; echo up >/t/f; while :; do sleep 1000; done");
    assert_eq!(fifo.line(), "up");
    let _ = p.call(&["stop", "--time", "1", &id]).output();
    assert_eq!(p.inspect(&id, ".State.ExitCode"), "137");
    Ok(())
}

fn kill(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let script = "trap 'echo usr1 >/t/f' USR1; echo up >/t/f; while :; do sleep 1000 & wait; done";
    let id = p.run_detached(&[&shared(p)], script);
    assert_eq!(fifo.line(), "up");
    p.call(&["kill", "--signal=USR1", &id]).ok();
    assert_eq!(fifo.line(), "usr1");
    p.call(&["kill", &id]).ok();
    assert_eq!(p.call(&["wait", &id]).ok().text(), "137");
    p.call(&["kill", &id]).fails();
    Ok(())
}

fn attach(p: &Podman<'_>) -> Verdict {
    p.test().needs_program("setsid")?;
    let id = p.run_detached(&["--interactive", "--tty"], "read w; echo got-$w; exit 5");
    let (mut master, peer) = Master::pair();
    let running = p
        .call(&["attach", &id])
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    master.type_line("typed");
    let _ = master.until("got-typed");
    // Its own status is 0 now and then, with every runtime.
    let _ = running.wait();
    assert_eq!(p.call(&["wait", &id]).ok().text(), "5");
    Ok(())
}

fn pause(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let mut back = Fifo::create(&p.private.dir.join("b"));
    let id = p.run_detached(&[&shared(p)], "while read word </t/f; do echo got-$word >/t/b; done");
    fifo.send("1");
    assert_eq!(back.line(), "got-1");
    p.call(&["pause", &id]).ok();
    assert_eq!(p.inspect(&id, ".State.Status"), "paused");
    fifo.send("2");
    assert!(back.is_silent());
    p.call(&["unpause", &id]).ok();
    assert_eq!(back.line(), "got-2");
    Ok(())
}

fn exec(p: &Podman<'_>) -> Verdict {
    p.test().needs_program("setsid")?;
    let id = p.run_detached(&["--env=WORD=value"], "exec sleep 1000");
    let exec = |flags: &[&str], script: &str| p.call(&["exec"]).args(flags).args([&id, "sh", "-c", script]);
    assert_eq!(exec(&[], "echo $WORD; exit 5").output().exits(5).text(), "value");
    let flags = ["--user=1000:1000", "--workdir=/tmp", "--env=OTHER=x"];
    assert_eq!(exec(&flags, "id -u; pwd; echo $OTHER").ok().lines(), ["1000", "/tmp", "x"]);
    assert_eq!(exec(&["--interactive"], "cat").stdin("through\n").ok().text(), "through");
    let _ = p.call(&["exec", &id, "no-such-command"]).output().exits(127);
    let _ = p.call(&["exec", &id, "/etc/passwd"]).output().exits(126);
    let (mut master, peer) = Master::pair();
    master.resize(31, 101);
    let running = exec(&["-it"], "tty; echo ready; read word; stty size; echo got-$word; exit 6")
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

fn healthcheck(p: &Podman<'_>) -> Verdict {
    let flags = ["--health-cmd=test -e /healthy", "--health-interval=disable"];
    let id = p.run_detached(&flags, "exec sleep 1000");
    let _ = p.call(&["healthcheck", "run", &id]).output().exits(1);
    p.call(&["exec", &id, "touch", "/healthy"]).ok();
    p.call(&["healthcheck", "run", &id]).ok();
    Ok(())
}

fn update(p: &Podman<'_>) -> Verdict {
    p.test().needs_controller("memory")?;
    let v1 = !p.test().cgroups().uses_v2("memory");
    let id = p.run_detached(&["--memory=64m", "--memory-swap=128m"], "exec sleep 1000");
    let init = process(p, &id);
    p.call(&["update", "--memory=32m", "--memory-swap=64m", "--cpus=0.25", &id]).ok();
    let read = |controller: &str, file: &str| {
        cgroup::read(&p.test().cgroups().directory_of(init.pid, controller).unwrap(), file)
    };
    let memory = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(read("memory", memory), (32 << 20).to_string());
    if v1 {
        assert_eq!(read("cpu", "cpu.cfs_quota_us"), "25000");
    } else {
        assert_eq!(read("cpu", "cpu.max"), "25000 100000");
    }
    Ok(())
}

fn stats(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let id = p.run_detached(&[&shared(p)], "sleep 1000 & echo up >/t/f; wait");
    assert_eq!(fifo.line(), "up");
    let output = p.call(&["top", &id, "hpid", "args"]).ok();
    let pid = process(p, &id).pid.to_string();
    assert_eq!(output.lines().len(), 3, "a title and two processes: {output}");
    assert!(output.stdout.split_whitespace().any(|word| word == pid), "{output}");
    p.test().needs_controller("pids")?;
    let output = p.call(&["stats", "--no-stream", "--format", "{{.PIDs}}", &id]).ok();
    assert_eq!(output.text(), "2");
    Ok(())
}

fn restart(p: &Podman<'_>) -> Verdict {
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let mut back = Fifo::create(&p.private.dir.join("b"));
    let script = "echo run >/t/b; read w </t/f; exit 3";
    let id = p.run_detached(&["--restart=on-failure:2", &shared(p)], script);
    for _ in 0..3 {
        assert_eq!(back.line(), "run");
        fifo.send("go");
    }
    assert_eq!(p.call(&["wait", &id]).ok().text(), "3");
    assert_eq!(p.inspect(&id, ".RestartCount"), "2");
    Ok(())
}

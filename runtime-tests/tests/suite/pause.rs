//! `pause` and `resume`: who stands still, what a paused container still answers, races with its end.

use std::thread;
use std::time::Duration;

use runtime_tests::{Case, Container, Output, Test, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    cases!["pause":
        running_container_stands_still_until_resume,
        created_container_can_be_paused,
        start_of_a_paused_container_fails,
        stopped_container_fails,
        paused_container_fails,
        missing_container_fails,
        resume_of_a_running_container_fails,
        resume_of_a_stopped_container_fails,
        kill_of_a_paused_container_takes_effect,
        term_reaches_a_paused_container_at_resume,
        delete_of_a_paused_container_fails,
        delete_force_of_a_paused_container_removes_it,
        ps_and_state_answer_while_paused,
        sub_cgroups_stand_still_too,
        container_that_forks_without_end_is_paused,
        races_with_kill_and_delete,
    ]
}

fn running(t: &Test) -> Container<'_> {
    let b = t.bundle();
    b.stays();
    t.start(&b)
}

fn pause(c: &Container<'_>) {
    c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
}

fn running_container_stands_still_until_resume(t: &Test) -> Verdict {
    let b = t.bundle();
    b.sh("while :; do echo tick >/fifo; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    for _ in 0..3 {
        assert_eq!(fifo.line(), "tick");
        pause(&c);
        // What it wrote before.
        while !fifo.is_silent() {
            let _ = fifo.line();
        }
        assert!(fifo.is_silent());
        c.call(&["resume"]).ok();
        assert_eq!(c.status(), "running");
    }
    assert_eq!(fifo.line(), "tick");
    Ok(())
}

fn created_container_can_be_paused(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    pause(&c);
    c.call(&["resume"]).ok();
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.status(), "running");
    Ok(())
}

fn start_of_a_paused_container_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    pause(&c);
    c.call(&["start"]).fails().says("cannot start a container in the paused state");
    Ok(())
}

fn stopped_container_fails(t: &Test) -> Verdict {
    let c = running(t);
    c.stop();
    c.call(&["pause"]).fails().says("container not running");
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    Ok(())
}

fn paused_container_fails(t: &Test) -> Verdict {
    let c = running(t);
    pause(&c);
    c.call(&["pause"]).fails().says("container not running");
    assert_eq!(c.status(), "paused");
    Ok(())
}

fn missing_container_fails(t: &Test) -> Verdict {
    for verb in ["pause", "resume"] {
        t.call(&[verb, &t.fresh_name()]).fails().says("does not exist");
    }
    Ok(())
}

fn resume_of_a_running_container_fails(t: &Test) -> Verdict {
    let c = running(t);
    c.call(&["resume"]).fails().says("container not paused");
    assert_eq!(c.status(), "running");
    Ok(())
}

fn resume_of_a_stopped_container_fails(t: &Test) -> Verdict {
    let c = running(t);
    c.stop();
    c.call(&["resume"]).fails().says("container not paused");
    Ok(())
}

fn kill_of_a_paused_container_takes_effect(t: &Test) -> Verdict {
    for flags in [&["KILL"][..], &["9"]] {
        let c = running(t);
        pause(&c);
        c.call(&["kill"]).args(flags).ok();
        assert_eq!(c.wait(), Some(128 + 9));
        assert_eq!(c.status(), "stopped");
        c.delete().ok();
    }
    Ok(())
}

fn term_reaches_a_paused_container_at_resume(t: &Test) -> Verdict {
    let b = t.bundle();
    b.sh("trap 'exit 7' TERM; echo ready >/fifo; while :; do sleep 1000 & wait; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    pause(&c);
    c.kill("TERM").ok();
    assert_eq!(c.status(), "paused");
    c.call(&["resume"]).ok();
    assert_eq!(c.wait(), Some(7));
    Ok(())
}

fn delete_of_a_paused_container_fails(t: &Test) -> Verdict {
    let c = running(t);
    pause(&c);
    c.delete().fails().says("that is not stopped: paused");
    assert_eq!(c.status(), "paused");
    Ok(())
}

fn delete_force_of_a_paused_container_removes_it(t: &Test) -> Verdict {
    let c = running(t);
    pause(&c);
    c.delete_force().ok();
    t.assert_missing(&c.id);
    assert!(c.process.has_exited());
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<std::path::PathBuf>::new());
    Ok(())
}

fn ps_and_state_answer_while_paused(t: &Test) -> Verdict {
    let c = running(t);
    pause(&c);
    assert_eq!(c.call(&["ps", "--format", "json"]).ok().json(), json!([c.pid()]));
    assert_eq!(c.state()["pid"], c.pid());
    let list = t.call(&["list", "--format", "json"]).ok().json();
    assert_eq!(list[0]["status"], "paused");
    Ok(())
}

fn sub_cgroups_stand_still_too(t: &Test) -> Verdict {
    let b = t.bundle();
    b.without_namespace("pid").sh("while :; do echo tick >/fifo; done & echo $! >/pid; wait");
    let mut fifo = b.fifo("/fifo");
    let mut pids = b.fifo("/pid");
    let c = t.start(&b);
    let child = pids.line();
    for directory in t.cgroups().directories_named(&c.id) {
        let sub = directory.join("sub");
        std::fs::create_dir(&sub).unwrap();
        // On v2 it may have the controller without handing it on.
        if sub.join("cpuset.cpus").exists() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                std::fs::write(sub.join(file), runtime_tests::cgroup::read(&directory, file)).unwrap();
            }
        }
        std::fs::write(sub.join("cgroup.procs"), &child).unwrap();
    }
    assert_eq!(fifo.line(), "tick");
    pause(&c);
    while !fifo.is_silent() {
        let _ = fifo.line();
    }
    assert!(fifo.is_silent());
    c.call(&["resume"]).ok();
    assert_eq!(fifo.line(), "tick");
    c.delete_force().ok();
    Ok(())
}

fn container_that_forks_without_end_is_paused(t: &Test) -> Verdict {
    let b = t.bundle();
    b.sh("echo ready >/fifo; while :; do for i in 1 2 3 4 5 6 7 8; do sh -c : & done; wait; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    for _ in 0..5 {
        pause(&c);
        c.call(&["resume"]).ok();
    }
    pause(&c);
    c.kill("KILL").ok();
    assert_eq!(c.wait(), Some(128 + 9));
    Ok(())
}

/// Each call succeeds or says why not, at once: nothing waits for a deadline; the end is clean whatever the order was.
fn races_with_kill_and_delete(t: &Test) -> Verdict {
    for round in 0..20 {
        let c = running(t);
        let calls = [
            c.call(&["pause"]),
            c.call(&["resume"]),
            c.call(&["pause"]),
            if round % 2 == 0 { c.kill("KILL") } else { c.delete_force() },
        ];
        let running: Vec<_> = calls.into_iter().map(runtime_tests::Call::start).collect();
        let threads: Vec<_> = running.into_iter().map(|running| thread::spawn(|| running.wait())).collect();
        let began = std::time::Instant::now();
        let outputs: Vec<Output> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(began.elapsed() < Duration::from_secs(5), "round {round}: {:?}", began.elapsed());
        let last = outputs.last().unwrap();
        assert!(last.status.success(), "{last}");
        for output in &outputs[..3] {
            let known = ["container not running", "container not paused", "does not exist"];
            let said = known.iter().any(|words| output.stderr.contains(words));
            assert!(output.status.success() || said, "{output}");
        }
        // Killed while it was paused, or paused after it was killed: it ends all the same.
        assert!(c.process.wait_exit(runtime_tests::wait::DEADLINE), "round {round}: it lives on");
        let _ = c.process.reap();
        c.delete_force().ok();
        t.assert_missing(&c.id);
    }
    Ok(())
}

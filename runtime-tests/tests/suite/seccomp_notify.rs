//! Calls that a seccomp agent answers (`SCMP_ACT_NOTIFY`, config-linux.md, Seccomp).

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use runtime_tests::{Agent, Answer, Bundle, Case, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    cases!["seccomp_notify":
        agent_gets_the_process_state,
        call_fails_as_the_agent_says,
        call_is_emulated_by_the_agent,
        call_continues_as_the_agent_says,
        every_call_asks_the_agent,
        with_and_without_new_privileges,
        start_hands_over_the_listener,
        exec_has_a_listener_of_its_own,
        calls_that_the_start_makes_may_notify,
        every_call_of_the_start_may_notify,
        calls_that_hand_over_may_be_denied,
        killable_flag_is_taken,
        absent_agent_fails,
        socket_of_another_type_fails,
        agent_that_does_not_accept_fails,
        exec_with_an_absent_agent_fails,
        start_with_an_agent_that_has_gone_fails,
        agent_that_dies_leaves_calls_unanswered,
        agent_that_is_silent_leaves_a_container_that_can_be_ended,
        path_without_notify_is_ignored,
        notify_without_path_fails,
        notify_by_default_fails,
    ]
}

/// `ENOMEDIUM`: no file system says that.
const NO_MEDIUM: i32 = 123;
const NO_MEDIUM_TEXT: &str = "No medium found";

const MKDIR: &[&str] = &["mkdir", "mkdirat"];

fn notify(path: &Path, names: &[&str]) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "of the test",
           "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}]})
}

/// A bundle whose `names` ask an agent.
fn with(t: &Test, path: &Path, names: &[&str], script: &str) -> Bundle {
    let b = t.bundle();
    b.set("/linux/seccomp", notify(path, names)).writable().sh(script);
    b
}

fn agent(t: &Test, answer: Answer) -> Agent {
    Agent::listen(&t.dir.join("agent"), move |_| answer)
}

fn agent_gets_the_process_state(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let b = with(t, &agent.path, MKDIR, "mkdir /tmp/x");
    b.set("/annotations", json!({"org.example": "kept"}));
    let (call, id) = t.bundle_call("run", &b, &[]);
    call.ok();
    let document = agent.document();
    assert_eq!(document["fds"], json!(["seccompFd"]));
    assert_eq!(document["metadata"], "of the test");
    assert!(document["ociVersion"].is_string(), "{document}");
    let state = &document["state"];
    assert_eq!((&state["id"], &state["status"]), (&json!(id), &json!("creating")));
    assert_eq!(state["bundle"], json!(b.path));
    assert_eq!(state["annotations"]["org.example"], "kept");
    assert!(document["pid"].as_i64().unwrap() > 1);
    assert_eq!(document["pid"], state["pid"]);
    assert_eq!(agent.waiting_documents(), 0);
    Ok(())
}

fn call_fails_as_the_agent_says(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Fail(NO_MEDIUM));
    let b = with(t, &agent.path, MKDIR, "touch /tmp/y && echo other; mkdir /tmp/x");
    assert_eq!(t.run(&b).fails().says(NO_MEDIUM_TEXT).text(), "other");
    assert!(!b.inside("/tmp/x").exists());
    Ok(())
}

fn call_is_emulated_by_the_agent(t: &Test) -> Verdict {
    let b = t.bundle();
    let made = b.inside("/tmp/by-the-agent");
    let agent = Agent::listen(&t.dir.join("agent"), move |_| {
        fs::create_dir(&made).unwrap();
        Answer::Done(0)
    });
    b.set("/linux/seccomp", notify(&agent.path, MKDIR)).writable();
    b.sh("mkdir /tmp/x && ls -d /tmp/by-the-agent");
    assert_eq!(t.run(&b).ok().text(), "/tmp/by-the-agent");
    assert!(!b.inside("/tmp/x").exists());
    Ok(())
}

fn call_continues_as_the_agent_says(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let b = with(t, &agent.path, MKDIR, "mkdir /tmp/x");
    t.run(&b).ok();
    assert!(b.inside("/tmp/x").is_dir());
    Ok(())
}

fn every_call_asks_the_agent(t: &Test) -> Verdict {
    let count = AtomicU32::new(0);
    let agent = Agent::listen(&t.dir.join("agent"), move |_| {
        let odd = count.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if odd { Answer::Fail(NO_MEDIUM) } else { Answer::Continue }
    });
    let script = "for i in 1 2 3 4 5 6; do mkdir /tmp/$i 2>/dev/null || echo $i; done";
    let b = with(t, &agent.path, MKDIR, script);
    assert_eq!(t.run(&b).ok().lines(), ["2", "4", "6"]);
    let _ = agent.document();
    let calls: Vec<i32> = (0..6).map(|_| agent.call()).collect();
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
    Ok(())
}

fn with_and_without_new_privileges(t: &Test) -> Verdict {
    for denied in [true, false] {
        let agent = agent(t, Answer::Fail(NO_MEDIUM));
        let b = with(t, &agent.path, MKDIR, "mkdir /tmp/x");
        b.set("/process/noNewPrivileges", denied).set("/process/user", json!({"uid": 1000, "gid": 1000}));
        t.run(&b).fails().says(NO_MEDIUM_TEXT);
    }
    Ok(())
}

fn start_hands_over_the_listener(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Fail(NO_MEDIUM));
    let b = with(t, &agent.path, MKDIR, "mkdir /tmp/x 2>/tmp/error");
    let c = t.start(&b);
    let document = agent.document();
    assert_eq!(document["pid"], c.pid());
    assert_eq!(document["state"]["id"], *c.id);
    let _ = agent.call();
    c.wait();
    let error = fs::read_to_string(b.inside("/tmp/error")).unwrap();
    assert!(error.contains(NO_MEDIUM_TEXT), "{error}");
    assert_eq!(agent.waiting_documents(), 0);
    Ok(())
}

fn exec_has_a_listener_of_its_own(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Fail(NO_MEDIUM));
    let c = t.start(&with(t, &agent.path, MKDIR, "sleep 1000"));
    let first = agent.document();
    for _ in 0..2 {
        t.call(&["exec", &c.id, "mkdir", "/tmp/x"]).fails().says(NO_MEDIUM_TEXT);
        let document = agent.document();
        assert_eq!(document["state"]["pid"], first["pid"]);
        assert_eq!(document["state"]["status"], "running");
        assert_ne!(document["pid"], first["pid"]);
        assert_eq!(document["metadata"], "of the test");
    }
    Ok(())
}

fn starts(t: &Test, names: &[&str]) {
    for denied in [true, false] {
        let agent = agent(t, Answer::Continue);
        let b = with(t, &agent.path, names, "echo runs");
        b.set("/process/noNewPrivileges", denied);
        assert_eq!(t.run(&b).ok().text(), "runs");
        let _ = agent.call();
        b.sh("sleep 1000");
        let c = t.start(&b);
        assert_eq!(t.call(&["exec", &c.id, "echo", "runs"]).ok().text(), "runs");
        c.stop();
    }
}

fn calls_that_the_start_makes_may_notify(t: &Test) -> Verdict {
    starts(t, &["execve", "openat", "open", "read", "close", "fcntl"]);
    Ok(())
}

/// What a runtime may call between the filter and the program.
const OF_THE_START: &[&str] = &[
    "execve",
    "execveat",
    "openat",
    "openat2",
    "open",
    "read",
    "write",
    "close",
    "close_range",
    "fcntl",
    "mmap",
    "munmap",
    "sendmsg",
    "sendto",
    "recvmsg",
    "recvfrom",
    "prctl",
    "capset",
    "futex",
    "wait4",
    "waitid",
    "setresuid",
    "setresgid",
    "chdir",
    "getcwd",
    "exit_group",
];

fn every_call_of_the_start_may_notify(t: &Test) -> Verdict {
    starts(t, OF_THE_START);
    Ok(())
}

fn calls_that_hand_over_may_be_denied(t: &Test) -> Verdict {
    let denied = ["sendmsg", "sendto", "recvmsg", "recvfrom", "wait4", "waitid", "futex", "clone3", "capset"];
    let agent = agent(t, Answer::Fail(NO_MEDIUM));
    let mut profile = notify(&agent.path, MKDIR);
    profile["syscalls"]
        .as_array_mut()
        .unwrap()
        .push(json!({"names": denied, "action": "SCMP_ACT_KILL_PROCESS"}));
    let b = t.bundle();
    // The shell's own process is to be the one that makes the call.
    b.set("/linux/seccomp", profile).writable().set("/process/args", json!(["mkdir", "/tmp/x"]));
    t.run(&b).fails().says(NO_MEDIUM_TEXT);
    Ok(())
}

fn killable_flag_is_taken(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Fail(NO_MEDIUM));
    let mut profile = notify(&agent.path, MKDIR);
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]);
    let b = t.bundle();
    b.set("/linux/seccomp", profile).writable().sh("mkdir /tmp/x");
    t.run(&b).fails().says(NO_MEDIUM_TEXT);
    Ok(())
}

fn absent_agent_fails(t: &Test) -> Verdict {
    let path = t.dir.join("nobody");
    let _ = t.create_fails(&with(t, &path, MKDIR, "true"));
    // A socket that nobody holds any more.
    drop(UnixListener::bind(&path).unwrap());
    let b = with(t, &path, MKDIR, "true");
    let _ = t.create_fails(&b);
    let (call, id) = t.bundle_call("run", &b, &[]);
    let _ = call.fails();
    t.assert_missing(&id);
    Ok(())
}

fn socket_of_another_type_fails(t: &Test) -> Verdict {
    let path = t.dir.join("file");
    fs::write(&path, "").unwrap();
    let _ = t.create_fails(&with(t, &path, MKDIR, "true"));
    let path = t.dir.join("datagrams");
    let _held = UnixDatagram::bind(&path).unwrap();
    let _ = t.create_fails(&with(t, &path, MKDIR, "true"));
    Ok(())
}

fn agent_that_does_not_accept_fails(t: &Test) -> Verdict {
    let path = t.dir.join("busy");
    let listener = UnixListener::bind(&path).unwrap();
    // One more than the backlog waits already.
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let (call, id) = t.bundle_call("run", &with(t, &path, MKDIR, "true"), &[]);
    let _ = call.fails();
    t.assert_missing(&id);
    Ok(())
}

fn exec_with_an_absent_agent_fails(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let c = t.start(&with(t, &agent.path, MKDIR, "sleep 1000"));
    drop(agent);
    let _ = t.call(&["exec", &c.id, "true"]).fails();
    assert_eq!(c.status(), "running");
    Ok(())
}

fn start_with_an_agent_that_has_gone_fails(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let b = with(t, &agent.path, MKDIR, "echo runs > /tmp/ran");
    let c = t.create(&b);
    drop(agent);
    let _ = c.call(&["start"]).fails();
    c.wait();
    assert!(!b.inside("/tmp/ran").exists());
    Ok(())
}

fn agent_that_dies_leaves_calls_unanswered(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let b = with(t, &agent.path, MKDIR, "read line </fifo; mkdir /tmp/x 2>/tmp/error");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    let _ = agent.document();
    drop(agent);
    fifo.send("go");
    c.wait();
    let error = fs::read_to_string(b.inside("/tmp/error")).unwrap();
    assert!(error.contains("Function not implemented"), "{error}");
    Ok(())
}

fn agent_that_is_silent_leaves_a_container_that_can_be_ended(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Silence);
    let c = t.start(&with(t, &agent.path, MKDIR, "mkdir /tmp/x; sleep 1000"));
    let _ = agent.call();
    assert_eq!(c.status(), "running");
    c.kill("KILL").ok();
    assert_eq!(c.wait(), Some(128 + 9));
    c.delete().ok();
    let c = t.start(&with(t, &agent.path, MKDIR, "mkdir /tmp/x; sleep 1000"));
    let _ = agent.call();
    c.delete_force().ok();
    Ok(())
}

fn path_without_notify_is_ignored(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": t.dir.join("nobody"), "listenerMetadata": "m"}),
    );
    b.writable().sh("mkdir /tmp/x");
    t.run(&b).ok();
    Ok(())
}

fn notify_without_path_fails(t: &Test) -> Verdict {
    let mut profile = notify(Path::new(""), MKDIR);
    let b = t.bundle();
    b.set("/linux/seccomp", profile.clone()).sh("true");
    let _ = t.create_fails(&b);
    profile.as_object_mut().unwrap().remove("listenerPath");
    b.set("/linux/seccomp", profile);
    let _ = t.create_fails(&b);
    Ok(())
}

fn notify_by_default_fails(t: &Test) -> Verdict {
    let agent = agent(t, Answer::Continue);
    let b = t.bundle();
    b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": agent.path}))
        .sh("true");
    let _ = t.create_fails(&b);
    Ok(())
}

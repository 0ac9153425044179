//! What callers of runc rely on, where no other suite has it: words, regular expressions, signals that stay, defaults.

use std::fs;

use runtime_tests::{Bundle, Call, Case, Container, Output, Test, Verdict, cases};
use rustix::process::Signal;
use serde_json::Value;

pub(crate) fn cases() -> Vec<Case> {
    cases!["contract":
        words_of_a_containers_life,
        words_of_commands_that_cannot_be_executed,
        words_of_terminals,
        kill_by_a_regular_expression,
        delete_by_a_regular_expression,
        signals_of_the_runtimes_own_are_not_forwarded,
        signals_of_the_runtimes_own_are_not_forwarded_by_exec,
        root_is_the_default_where_none_is_given,
        list_goes_on_beside_a_damaged_container,
        exec_passes_listen_fds,
        exec_status_is_the_processs,
    ]
}

/// A call whose failure has these very words, on standard error and in the log's message.
fn says(t: &Test, words: &str, args: &[&str]) {
    let log = t.dir.join("words.json");
    let _ = fs::remove_file(&log);
    let globals = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    let output = t.call(&globals).args(args).output();
    assert!(!output.status.success(), "{output}");
    let line: Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
    let message = line["msg"].as_str().unwrap();
    assert!(message.contains(words), "{words:?} in the log: {line}");
    assert!(output.stderr.contains(words), "{words:?}: {output}");
    assert_eq!(output.status.code(), Some(if args[0] == "exec" { 255 } else { 1 }), "{output}");
}

fn running(t: &Test) -> Container<'_> {
    let b = t.bundle();
    b.stays();
    t.start(&b)
}

fn path(bundle: &Bundle) -> &str {
    bundle.path.to_str().unwrap()
}

fn words_of_a_containers_life(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let id = &*c.id;
    says(t, "container with given ID already exists", &["create", "--bundle", path(&b), id]);
    says(t, "invalid container ID format", &["create", "--bundle", path(&b), "a/b"]);
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps", "update", "events", "exec"] {
        let absent = t.fresh_name();
        let rest: &[&str] = if verb == "exec" { &["true"] } else { &[] };
        says(t, "container does not exist", &[&[verb, &absent], rest].concat());
    }
    let that_is = |status: &str| format!("cannot delete container {id} that is not stopped: {status}");
    c.start();
    says(t, "cannot start an already running container", &["start", id]);
    says(t, &that_is("running"), &["delete", id]);
    says(t, "container not paused", &["resume", id]);
    c.call(&["pause"]).ok();
    says(t, &that_is("paused"), &["delete", id]);
    let in_paused = "exec failed: cannot exec in a paused container (use --ignore-paused to override)";
    says(t, in_paused, &["exec", id, "true"]);
    c.call(&["resume"]).ok();
    c.stop();
    says(t, "container not running", &["kill", id, "TERM"]);
    says(t, "container not running", &["pause", id]);
    says(t, "container not running", &["update", "--pids-limit", "10", id]);
    says(t, "container not paused", &["resume", id]);
    says(t, "cannot start a container that has stopped", &["start", id]);
    says(t, "exec failed: cannot exec in a stopped container", &["exec", id, "true"]);
    Ok(())
}

fn words_of_commands_that_cannot_be_executed(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::write(b.inside("/plain"), "").unwrap();
    let cases = [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/bin/nosuch", "no such file or directory"),
        ("/plain", "exec: \"/plain\": permission denied"),
    ];
    for (command, words) in cases {
        b.args(&[command]).write();
        says(t, words, &["run", "--bundle", path(&b), &t.fresh_id()]);
        says(t, "unable to start container process: ", &["run", "--bundle", path(&b), &t.fresh_id()]);
    }
    b.stays();
    let c = t.start(&b);
    for (command, words) in cases {
        says(t, words, &["exec", &c.id, command]);
        says(t, "exec failed: unable to start container process: ", &["exec", &c.id, command]);
    }
    Ok(())
}

fn words_of_terminals(t: &Test) -> Verdict {
    let without = "cannot allocate tty if runc will detach without setting console socket";
    let unused = "cannot use console socket if runc will not detach or allocate tty";
    let b = t.bundle();
    b.stays().set("/process/terminal", true).write();
    says(t, without, &["create", "--bundle", path(&b), &t.fresh_id()]);
    says(t, without, &["run", "--detach", "--bundle", path(&b), &t.fresh_id()]);
    let socket = t.dir.join("socket");
    let socket = ["--console-socket", socket.to_str().unwrap()];
    b.set("/process/terminal", false).write();
    says(t, unused, &[&["run", "--bundle", path(&b)], &socket[..], &[&t.fresh_id()]].concat());
    let c = running(t);
    says(t, without, &["exec", "--tty", "--detach", &c.id, "true"]);
    says(t, unused, &[&["exec"], &socket[..], &[&c.id, "true"]].concat());
    Ok(())
}

/// Two containers that an expression matches, and one that it does not.
fn three<'t>(t: &'t Test) -> ([Container<'t>; 3], String) {
    let b = t.bundle();
    b.stays();
    let containers = [(); 3].map(|()| t.start(&b));
    let expression = format!("^({}|{})$", containers[0].id, containers[2].id);
    (containers, expression)
}

fn kill_by_a_regular_expression(t: &Test) -> Verdict {
    for flag in ["--regex", "-r"] {
        let ([first, second, third], expression) = three(t);
        t.call(&["kill", flag, &expression, "KILL"]).ok();
        for killed in [&first, &third] {
            let _ = killed.wait();
            assert_eq!(killed.status(), "stopped");
        }
        assert_eq!(second.status(), "running");
    }
    Ok(())
}

fn delete_by_a_regular_expression(t: &Test) -> Verdict {
    for flags in [&["--force", "--regex"][..], &["-f", "-r"]] {
        let ([first, second, third], expression) = three(t);
        t.call(&["delete"]).args(flags).args([&expression]).ok();
        t.assert_missing(&first.id);
        t.assert_missing(&third.id);
        assert_eq!(second.status(), "running");
    }
    t.call(&["delete", "--force", "--regex", "^no-such-"]).ok();
    Ok(())
}

/// A shell that tells of each signal. SYS is delivered after the others that are pending with it: they would be told first.
const TELLS: &str = "mkfifo /gate; exec 3<>/gate
    for name in CHLD URG WINCH SYS; do trap \"echo $name >/fifo\" $name; done
    echo ready >/fifo; while :; do read -r line <&3; done";

fn own_signals_stay(bundle: &Bundle, start: impl FnOnce() -> Call) {
    let mut fifo = bundle.fifo("/fifo");
    let running = start().start();
    assert_eq!(fifo.line(), "ready");
    for signal in [Signal::CHILD, Signal::URG, Signal::WINCH, Signal::SYS] {
        running.process.signal(signal);
    }
    assert_eq!(fifo.line(), "SYS");
    running.process.signal(Signal::SYS);
    assert_eq!(fifo.line(), "SYS");
    running.process.signal(Signal::KILL);
    let _ = running.wait();
}

fn signals_of_the_runtimes_own_are_not_forwarded(t: &Test) -> Verdict {
    let b = t.sh(TELLS);
    b.writable();
    own_signals_stay(&b, || t.run(&b));
    Ok(())
}

fn signals_of_the_runtimes_own_are_not_forwarded_by_exec(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().writable();
    own_signals_stay(&b, || {
        let c = t.start(&b);
        t.call(&["exec", &c.id, "sh", "-c", TELLS])
    });
    Ok(())
}

/// A call in a mount namespace whose `/run` is empty.
fn with_empty_run(call: Call) -> Call {
    let script = "mount -t tmpfs tmpfs /run && exec \"$@\"";
    call.through(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"])
}

fn root_is_the_default_where_none_is_given(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let without_root = |args: &[&str]| with_empty_run(t.bare_call(args)).env("XDG_RUNTIME_DIR", "").output();
    // Nothing was ever created: not an error, as it would be with --root.
    let table = without_root(&["list"]).ok();
    assert_eq!(table.lines().len(), 1, "{table}");
    assert_eq!(without_root(&["list", "--format", "json"]).ok().text(), "null");
    let b = t.sh("echo ran");
    b.write();
    let name = &t.runtime.name;
    let script = format!("\"$@\" && [ -d /run/{name} ] && echo there");
    let (id, call) = (t.fresh_id(), t.bare_call(&["run", "--bundle", path(&b)]));
    let call = call.args([&id]).env("XDG_RUNTIME_DIR", "");
    let output = with_empty_run(call.inside(["sh", "-c", &script, "sh"])).ok();
    assert_eq!(output.lines(), ["ran", "there"]);
    Ok(())
}

fn list_goes_on_beside_a_damaged_container(t: &Test) -> Verdict {
    let c = running(t);
    let damaged = t.fresh_id();
    fs::create_dir_all(t.root().join(&damaged)).unwrap();
    fs::write(t.root().join(&damaged).join("state.json"), "{").unwrap();
    let ids = |output: &Output| output.lines().iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let output = t.call(&["list", "--quiet"]).ok();
    assert!(ids(&output).contains(&c.id), "{output}");
    let output = t.call(&["list", "--format", "json"]).ok();
    let listed = output.json();
    assert!(listed.as_array().unwrap().iter().any(|it| it["id"] == c.id.as_str()), "{output}");
    assert!(output.stderr.contains(&damaged), "{output}");
    fs::remove_dir_all(t.root().join(&damaged)).unwrap();
    Ok(())
}

fn exec_passes_listen_fds(t: &Test) -> Verdict {
    let c = running(t);
    fs::write(t.dir.join("three"), "three\n").unwrap();
    let call = t.call(&["exec", &c.id, "sh", "-c", "echo $LISTEN_FDS; cat <&3"]);
    let output = call.through_sh("exec 3<three; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"").ok();
    assert_eq!(output.lines(), ["1", "three"]);
    Ok(())
}

/// The exit status of an exec is the process's, whatever it is, 255 too.
fn exec_status_is_the_processs(t: &Test) -> Verdict {
    let c = running(t);
    for code in [0, 1, 126, 127, 137, 255] {
        let output = t.call(&["exec", &c.id, "sh", "-c", &format!("exit {code}")]).output().exits(code);
        assert_eq!(output.stderr, "", "{output}");
    }
    Ok(())
}

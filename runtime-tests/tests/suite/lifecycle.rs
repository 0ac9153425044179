//! The life cycle: create, start, state, kill, delete, list, ps; their states, words and exit codes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use runtime_tests::record::resealed;
use runtime_tests::wait::{DEADLINE, Process};
use runtime_tests::{Case, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["lifecycle":
        create_runs_nothing_of_the_config,
        create_same_id_twice_fails_and_keeps_the_first,
        create_missing_id_fails,
        create_missing_bundle_fails,
        create_missing_config_fails,
        create_malformed_config_fails,
        create_bundle_defaults_to_working_directory,
        create_missing_rootfs_fails,
        create_fifty_of_one_id_one_wins,
        create_without_args_fails,
        create_pid_file_is_the_number_alone,
        create_returns_although_its_output_is_a_pipe,
        state_created_has_all_fields,
        state_is_of_the_schemas_types,
        state_running_is_the_same_document,
        state_stopped_has_no_process,
        state_says_nothing_on_stderr,
        state_missing_id_fails,
        state_missing_container_fails,
        state_annotations_are_those_of_the_config,
        start_runs_the_process,
        start_twice_fails,
        start_stopped_container_fails,
        start_missing_container_fails,
        start_missing_id_fails,
        start_without_process_fails,
        run_without_process_fails,
        start_config_edited_after_create_has_no_effect,
        start_created_and_killed_fails,
        kill_signal_reaches_the_process,
        kill_default_is_sigterm,
        kill_takes_names_and_numbers,
        kill_unknown_signal_fails,
        kill_created_container_stops_it,
        kill_created_container_by_term_stops_it,
        kill_created_container_by_any_that_ends_stops_it,
        kill_stopped_container_fails,
        kill_missing_container_fails,
        kill_missing_id_fails,
        kill_all_reaches_every_process,
        kill_failed_has_no_effect,
        delete_created_container_needs_force,
        delete_running_container_fails_and_keeps_it,
        delete_stopped_container_removes_it,
        delete_missing_container_fails,
        delete_missing_id_fails,
        delete_force_missing_container_succeeds,
        delete_force_running_container_kills_it,
        delete_force_twice_succeeds,
        delete_keeps_the_bundle_as_it_was,
        delete_same_id_can_be_used_again,
        delete_init_killed_from_outside,
        delete_force_concurrent_all_succeed_or_say_missing,
        list_table_has_the_header_and_a_line,
        list_json_has_the_container,
        list_json_empty_is_null,
        list_of_a_missing_root_fails,
        ps_of_a_stopped_container_is_empty,
        list_quiet_is_ids_alone,
        list_shows_stopped_containers,
        ps_table_shows_the_process,
        ps_json_is_an_array_of_pids,
        run_exit_status_is_the_processs,
        run_removes_the_container,
        run_detached_returns_while_it_runs,
        run_forwards_signals,
        run_existing_id_fails_with_the_words,
        state_zombie_init_is_stopped,
    ];
    all.push(
        Case::new("lifecycle::create_init_is_not_the_hosts_binary", create_init_is_not_the_hosts_binary)
            .only_ours(),
    );
    all.push(
        Case::new(
            "lifecycle::delete_force_state_damaged_removes_all",
            delete_force_state_damaged_removes_all,
        )
        .only_ours(),
    );
    for (name, id) in invalid_ids() {
        all.push(Case::new(format!("lifecycle::id_invalid_{name}_is_refused"), move |t| {
            id_is_refused(t, &id)
        }));
    }
    for (name, id) in valid_ids() {
        all.push(Case::new(format!("lifecycle::id_valid_{name}_is_accepted"), move |t| {
            id_is_accepted(t, &id)
        }));
    }
    all
}

/// Ids that are none. Where one is a path, it is the canary's: a runtime that takes it for one must harm nothing else.
fn invalid_ids() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("dot", ".".into()),
        ("dot_dot", "..".into()),
        ("slash", "a/b".into()),
        ("parent", "../canary".into()),
        ("absolute", "{canary}".into()),
        ("newline", "a\nb".into()),
        ("space", "a b".into()),
        ("not_ascii", "é".into()),
        ("1025_bytes", "x".repeat(1025)),
    ]
}

fn valid_ids() -> Vec<(&'static str, String)> {
    vec![
        ("of_each_class", "Az09_+.-".into()),
        ("digits", "1".into()),
        ("hidden", ".hidden".into()),
        ("long", "x".repeat(128)),
    ]
}

fn id_is_refused(t: &Test, id: &str) -> Verdict {
    let b = t.bundle();
    b.write();
    let id = &id.replace("{canary}", t.canary().to_str().unwrap());
    // One that was wrongly created is found by its bundle's path, and removed by force.
    let output = t.call(&["create", "--bundle", b.path.to_str().unwrap(), id]).fails();
    if !id.is_empty() {
        assert!(
            ["invalid", "too long"].iter().any(|word| output.stderr.to_lowercase().contains(word)),
            "should say that the id is invalid: {output}"
        );
    }
    for verb in ["state", "start", "kill", "delete"] {
        t.call(&[verb, id]).fails();
    }
    let _ = t.call(&["delete", "--force", id]).output();
    assert!(t.canary().join("secret").exists(), "delete --force took the id {id:?} for a path");
    Ok(())
}

fn id_is_accepted(t: &Test, id: &str) -> Verdict {
    let b = t.bundle();
    b.stays();
    if !t.uses_systemd() {
        b.set("/linux/cgroupsPath", format!("/{}", t.fresh_name()));
    }
    b.write();
    t.will_delete(id);
    t.call(&["create", "--bundle", b.path.to_str().unwrap(), id]).ok();
    assert_eq!(t.state(id)["id"], id);
    Ok(())
}

fn create_runs_nothing_of_the_config(t: &Test) -> Verdict {
    let b = t.sh("echo ran >/fifo; exec sleep 1000");
    let mut fifo = b.fifo("/fifo");
    let c = t.create(&b);
    assert_eq!(c.status(), "created");
    assert!(fifo.is_silent(), "the process ran before start");
    c.start();
    assert_eq!(fifo.line(), "ran");
    assert_eq!(c.status(), "running");
    Ok(())
}

fn create_init_is_not_the_hosts_binary(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let init = fs::metadata(format!("/proc/{}/exe", c.pid())).unwrap();
    let binary = fs::metadata(&t.runtime.path).unwrap();
    assert_ne!(
        (init.dev(), init.ino()),
        (binary.dev(), binary.ino()),
        "init of a created container executes the host's binary"
    );
    Ok(())
}

fn create_same_id_twice_fails_and_keeps_the_first(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let before = c.state();
    let again = t.call(&["create", "--bundle", b.path.to_str().unwrap(), &c.id]).fails();
    assert!(again.stderr.contains("exist"), "{again}");
    assert_eq!(c.state(), before);
    c.start();
    assert_eq!(c.status(), "running");
    Ok(())
}

fn create_missing_id_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.write();
    t.call(&["create", "--bundle", b.path.to_str().unwrap()]).fails();
    t.call(&["create"]).cwd(&b.path).fails();
    Ok(())
}

fn create_missing_bundle_fails(t: &Test) -> Verdict {
    let id = t.fresh_id();
    t.call(&["create", "--bundle", "/nonexistent", &id]).fails();
    t.assert_missing(&id);
    Ok(())
}

fn create_missing_config_fails(t: &Test) -> Verdict {
    let id = t.fresh_id();
    t.call(&["create", "--bundle", t.canary().to_str().unwrap(), &id]).fails().says("config.json");
    t.assert_missing(&id);
    Ok(())
}

fn create_malformed_config_fails(t: &Test) -> Verdict {
    for text in ["", "{", "[]", "{\"ociVersion\": 1}", "{}x", "\u{feff}{}"] {
        let b = t.bundle();
        fs::write(b.path.join("config.json"), text).unwrap();
        let id = t.fresh_id();
        t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]).fails();
        t.assert_missing(&id);
    }
    Ok(())
}

fn create_bundle_defaults_to_working_directory(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    t.call(&["create", &id]).cwd(&b.path).ok();
    assert_eq!(t.state(&id)["bundle"], b.path.to_str().unwrap());
    Ok(())
}

fn create_missing_rootfs_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/root/path", "elsewhere");
    t.create_fails(&b).says("no such file or directory");
    Ok(())
}

fn create_fifty_of_one_id_one_wins(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    let calls: Vec<_> =
        (0..50).map(|_| t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]).start()).collect();
    let outputs: Vec<_> = calls.into_iter().map(runtime_tests::command::Running::wait).collect();
    let (won, lost): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.status.success());
    assert_eq!(won.len(), 1, "{} creates of one id succeeded", won.len());
    for output in lost {
        let output = output.fails();
        assert!(output.stderr.contains("exist"), "{output}");
    }
    t.call(&["start", &id]).ok();
    assert_eq!(t.state(&id)["status"], "running");
    Ok(())
}

fn create_without_args_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&[]);
    let (call, id) = t.bundle_call("run", &b, &[]);
    call.fails();
    t.assert_missing(&id);
    Ok(())
}

fn create_pid_file_is_the_number_alone(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let path = t.dir.join("pid");
    let c = t.create_with(&b, &["--pid-file", path.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(path).unwrap(), c.pid().to_string());
    Ok(())
}

fn create_returns_although_its_output_is_a_pipe(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    // What create leaves open is the container's own standard output; create itself must be gone.
    call.through_sh("exec \"$@\" 2>&1").ok();
    assert_eq!(t.state(&id)["status"], "created");
    Ok(())
}

fn state_created_has_all_fields(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let state = c.state();
    assert_eq!(state["id"], c.id);
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], b.path.to_str().unwrap());
    assert_eq!(state["rootfs"], b.rootfs().to_str().unwrap());
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state}");
    assert!(Process::open(state["pid"].as_i64().unwrap() as i32).is_ok());
    assert!(state["owner"].is_string(), "{state}");
    assert!(is_rfc3339(state["created"].as_str().unwrap()), "{state}");
    Ok(())
}

/// runtime.md, state: what its JSON schema says of the fields, at every status.
fn state_is_of_the_schemas_types(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/annotations", serde_json::json!({"org.example.key": "value"})).stays();
    let c = t.create(&b);
    let check = |wanted: &str| {
        let state = c.state();
        for key in ["ociVersion", "id", "status", "bundle"] {
            assert!(state[key].is_string(), "{key} of {state}");
        }
        assert_eq!(state["status"], wanted);
        assert!(state["bundle"].as_str().unwrap().starts_with('/'), "{state}");
        assert!(state["pid"].as_i64().is_some_and(|pid| pid >= 0), "{state}");
        assert!(
            state["annotations"].as_object().unwrap().values().all(serde_json::Value::is_string),
            "{state}"
        );
    };
    check("created");
    c.start();
    check("running");
    c.stop();
    check("stopped");
    Ok(())
}

/// RFC 3339: `2026-01-01T00:00:00.123456789Z`, or with an offset.
fn is_rfc3339(text: &str) -> bool {
    let shape = |pattern: &str, text: &str| {
        pattern.len() == text.len()
            && pattern
                .bytes()
                .zip(text.bytes())
                .all(|(want, is)| if want == b'0' { is.is_ascii_digit() } else { want == is })
    };
    let Some((head, rest)) = text.split_at_checked(19) else { return false };
    let zone = rest.trim_start_matches(|each: char| each == '.' || each.is_ascii_digit());
    shape("0000-00-00T00:00:00", head) && (zone == "Z" || shape("+00:00", zone) || shape("-00:00", zone))
}

fn state_running_is_the_same_document(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let mut before = c.state();
    c.start();
    before["status"] = json!("running");
    assert_eq!(c.state(), before);
    Ok(())
}

fn state_stopped_has_no_process(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    assert_eq!(c.wait(), Some(0));
    let state = c.state();
    assert_eq!(state["status"], "stopped");
    assert_eq!(state["pid"], 0);
    Ok(())
}

fn state_says_nothing_on_stderr(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    assert_eq!(t.call(&["state", &c.id]).ok().stderr, "");
    Ok(())
}

fn state_missing_id_fails(t: &Test) -> Verdict {
    t.call(&["state"]).fails();
    Ok(())
}

fn state_missing_container_fails(t: &Test) -> Verdict {
    t.call(&["state", &t.fresh_id()]).fails().exits(1).says("does not exist");
    Ok(())
}

fn state_annotations_are_those_of_the_config(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/annotations", json!({"org.example.a": "1", "org.example.b": "ü \"2\""}));
    let c = t.create(&b);
    let annotations = &c.state()["annotations"];
    assert_eq!(annotations["org.example.a"], "1");
    assert_eq!(annotations["org.example.b"], "ü \"2\"");
    Ok(())
}

fn start_runs_the_process(t: &Test) -> Verdict {
    let b = t.sh("echo $$ >/fifo");
    let mut fifo = b.fifo("/fifo");
    let c = t.create(&b);
    let output = c.call(&["start"]).ok();
    assert_eq!(output.stdout, "");
    assert_eq!(fifo.line(), "1");
    assert_eq!(c.wait(), Some(0));
    Ok(())
}

fn start_twice_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    c.call(&["start"]).fails().says("cannot start an already running container");
    assert_eq!(c.status(), "running");
    assert!(!c.process.has_exited(), "the second start had an effect");
    Ok(())
}

fn start_stopped_container_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    c.call(&["start"]).fails().says("cannot start a container that has stopped");
    assert_eq!(c.status(), "stopped");
    Ok(())
}

fn start_missing_container_fails(t: &Test) -> Verdict {
    t.call(&["start", &t.fresh_id()]).fails().says("does not exist");
    Ok(())
}

fn start_missing_id_fails(t: &Test) -> Verdict {
    t.call(&["start"]).fails();
    Ok(())
}

fn start_without_process_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/process");
    let (call, id) = t.bundle_call("create", &b, &[]);
    let created = call.output();
    // The specification lets `process` be absent until start.
    if created.status.success() {
        t.call(&["start", &id]).fails();
    } else {
        let _ = created.fails();
        t.assert_missing(&id);
    }
    Ok(())
}

/// What is seen before anything is done: no hook has run.
fn run_without_process_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    let log = t.dir.join("log");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("echo >{}", log.display())]});
    b.unset("/process").hook("createRuntime", hook);
    for flags in [&[][..], &["--detach"]] {
        let (call, id) = t.bundle_call("run", &b, flags);
        let _ = call.fails();
        t.assert_missing(&id);
        assert!(!log.exists(), "a hook has run");
    }
    Ok(())
}

fn start_config_edited_after_create_has_no_effect(t: &Test) -> Verdict {
    let b = t.sh("echo original >/fifo");
    let mut fifo = b.fifo("/fifo");
    let c = t.create(&b);
    b.sh("echo edited >/fifo").set("/annotations", json!({"edited": "yes"})).write();
    c.start();
    assert_eq!(fifo.line(), "original");
    c.wait();
    assert_eq!(c.state()["annotations"]["edited"], Value::Null);
    Ok(())
}

fn start_created_and_killed_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.stop();
    assert_eq!(c.status(), "stopped");
    c.call(&["start"]).fails().says("cannot start a container that has stopped");
    c.delete().ok();
    Ok(())
}

fn kill_signal_reaches_the_process(t: &Test) -> Verdict {
    let b =
        t.sh("trap 'echo got >/fifo; exit 7' USR1; echo ready >/fifo; while :; do sleep 1000 & wait; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    c.kill("USR1").ok();
    assert_eq!(fifo.line(), "got");
    assert_eq!(c.wait(), Some(7));
    Ok(())
}

fn kill_default_is_sigterm(t: &Test) -> Verdict {
    let b = t.sh("trap 'exit 15' TERM; echo ready >/fifo; while :; do sleep 1000 & wait; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    c.call(&["kill"]).ok();
    assert_eq!(c.wait(), Some(15));
    Ok(())
}

fn kill_takes_names_and_numbers(t: &Test) -> Verdict {
    let script = "for s in HUP USR1 USR2 WINCH; do trap \"echo $s >/fifo\" $s; done; echo ready >/fifo; \
                  while :; do sleep 1000 & wait; done";
    let b = t.sh(script);
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    for (given, name) in
        [("HUP", "HUP"), ("SIGUSR1", "USR1"), ("12", "USR2"), ("usr1", "USR1"), ("28", "WINCH")]
    {
        c.kill(given).ok();
        assert_eq!(fifo.line(), name, "kill {given}");
    }
    Ok(())
}

fn kill_unknown_signal_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for signal in ["NOSUCH", "SIGNOSUCH", "KILL KILL", "1x"] {
        c.kill(signal).fails();
    }
    assert_eq!(c.status(), "running");
    Ok(())
}

fn kill_created_container_stops_it(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.kill("KILL").ok();
    assert_eq!(c.wait(), Some(137));
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    Ok(())
}

fn kill_created_container_by_term_stops_it(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.call(&["kill"]).ok();
    c.wait();
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    Ok(())
}

/// It is what a program does that has no handlers, although init may be the first process of a pid namespace.
fn kill_created_container_by_any_that_ends_stops_it(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for signal in ["INT", "HUP", "QUIT", "ABRT"] {
        let c = t.create(&b);
        c.kill(signal).ok();
        c.wait();
        assert_eq!(c.status(), "stopped", "after SIG{signal}");
        c.delete().ok();
    }
    Ok(())
}

fn kill_stopped_container_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    for signal in ["KILL", "TERM"] {
        c.kill(signal).fails().exits(1).says("container not running");
    }
    Ok(())
}

fn kill_missing_container_fails(t: &Test) -> Verdict {
    t.call(&["kill", &t.fresh_id(), "KILL"]).fails().says("does not exist");
    Ok(())
}

fn kill_missing_id_fails(t: &Test) -> Verdict {
    t.call(&["kill"]).fails();
    Ok(())
}

fn kill_all_reaches_every_process(t: &Test) -> Verdict {
    let script = "trap : USR1; sh -c 'trap \"echo second >/fifo\" USR1; echo ready >/fifo; \
                  while :; do sleep 1000 & wait; done' & wait; while :; do sleep 1000; done";
    let b = t.sh(script);
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    c.call(&["kill", "--all"]).args(["USR1"]).ok();
    assert_eq!(fifo.line(), "second");
    Ok(())
}

fn kill_failed_has_no_effect(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    let before = c.state();
    c.kill("KILL").fails();
    assert_eq!(c.state(), before);
    Ok(())
}

fn delete_created_container_needs_force(t: &Test) -> Verdict {
    // The specification: delete of a container that is not stopped is an error. runc kills a created one.
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let output = c.delete().output();
    if output.status.success() {
        assert!(c.process.wait_exit(DEADLINE));
        t.assert_missing(&c.id);
    } else {
        let _ = output.fails().says("that is not stopped");
        assert_eq!(c.status(), "created");
        c.delete_force().ok();
        t.assert_missing(&c.id);
    }
    Ok(())
}

fn delete_running_container_fails_and_keeps_it(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let before = c.state();
    c.delete().fails().says("that is not stopped");
    assert_eq!(c.state(), before);
    Ok(())
}

fn delete_stopped_container_removes_it(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    c.delete().ok();
    t.assert_missing(&c.id);
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn delete_missing_container_fails(t: &Test) -> Verdict {
    t.call(&["delete", &t.fresh_id()]).fails().exits(1).says("does not exist");
    Ok(())
}

fn delete_missing_id_fails(t: &Test) -> Verdict {
    t.call(&["delete"]).fails();
    Ok(())
}

fn delete_force_missing_container_succeeds(t: &Test) -> Verdict {
    t.call(&["delete", "--force", &t.fresh_id()]).ok();
    t.call(&["delete", "-f", &t.fresh_id()]).ok();
    Ok(())
}

fn delete_force_running_container_kills_it(t: &Test) -> Verdict {
    let b = t.sh("trap '' TERM INT; sleep 1000 & echo ready >/fifo; while :; do wait; done");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    c.delete_force().ok();
    assert!(c.process.has_exited(), "delete --force returned before the end of init");
    t.assert_missing(&c.id);
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn delete_force_twice_succeeds(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    c.delete_force().ok();
    c.delete_force().ok();
    Ok(())
}

fn delete_keeps_the_bundle_as_it_was(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]).write();
    let before = fs::read(b.path.join("config.json")).unwrap();
    fs::write(b.inside("/mine"), "mine").unwrap();
    t.run(&b).ok();
    assert_eq!(fs::read(b.path.join("config.json")).unwrap(), before);
    assert_eq!(fs::read_to_string(b.inside("/mine")).unwrap(), "mine");
    let mut names: Vec<_> = fs::read_dir(&b.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["config.json", "rootfs"]);
    Ok(())
}

fn delete_same_id_can_be_used_again(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    for _ in 0..3 {
        t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]).ok();
        t.call(&["start", &id]).ok();
        t.call(&["delete", "--force", &id]).ok();
        t.assert_missing(&id);
    }
    Ok(())
}

fn delete_init_killed_from_outside(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    assert_eq!(c.stop(), Some(137));
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    Ok(())
}

fn delete_force_concurrent_all_succeed_or_say_missing(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let calls: Vec<_> = (0..20).map(|_| c.delete_force().start()).collect();
    for call in calls {
        let output = call.wait();
        if !output.status.success() {
            let _ = output.says("does not exist");
        }
    }
    t.assert_missing(&c.id);
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn list_table_has_the_header_and_a_line(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for args in [&["list"][..], &["list", "--format", "table"], &["list", "-f", "table"]] {
        let output = t.call(args).ok();
        let lines = output.lines();
        assert_eq!(lines.len(), 2, "{output}");
        let header: Vec<_> = lines[0].split_whitespace().collect();
        assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
        let fields: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(fields[..4], [&c.id, &c.pid().to_string(), "running", b.path.to_str().unwrap()]);
        assert!(is_rfc3339(fields[4]), "{output}");
        assert_eq!(fields[5], "root");
    }
    Ok(())
}

fn list_json_has_the_container(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let list = t.call(&["list", "--format", "json"]).ok().json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    let state = c.state();
    for key in ["id", "pid", "status", "bundle"] {
        assert_eq!(list[0][key], state[key], "{key} of {list}");
    }
    Ok(())
}

fn list_json_empty_is_null(t: &Test) -> Verdict {
    fs::create_dir_all(t.root()).unwrap();
    assert_eq!(t.call(&["list", "--format", "json"]).ok().text(), "null");
    Ok(())
}

fn list_of_a_missing_root_fails(t: &Test) -> Verdict {
    let missing = t.dir.join("missing");
    let output = t.bare_call(&["--root", missing.to_str().unwrap(), "list"]).fails();
    assert!(output.stderr.contains("no such file or directory"), "{output}");
    Ok(())
}

fn ps_of_a_stopped_container_is_empty(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    let output = c.call(&["ps", "--format", "json"]).ok();
    assert!(matches!(output.text(), "[]" | "null"), "{output}");
    Ok(())
}

fn list_quiet_is_ids_alone(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let mut ids = vec![t.create(&b).id, t.create(&b).id];
    ids.sort();
    for flag in ["-q", "--quiet"] {
        let output = t.call(&["list", flag]).ok();
        let mut lines = output.lines();
        lines.sort_unstable();
        assert_eq!(lines, ids);
    }
    Ok(())
}

fn list_shows_stopped_containers(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    c.wait();
    let list = t.call(&["list", "--format=json"]).ok().json();
    assert_eq!(list[0]["status"], "stopped");
    assert_eq!(list[0]["pid"], 0);
    Ok(())
}

fn ps_table_shows_the_process(t: &Test) -> Verdict {
    t.needs_program("ps")?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let output = t.call(&["ps", &c.id]).ok();
    let lines = output.lines();
    assert!(lines[0].contains("PID"), "{output}");
    assert_eq!(lines.len(), 2, "{output}");
    assert!(lines[1].contains(&c.pid().to_string()) && lines[1].contains("sleep 1000"), "{output}");
    Ok(())
}

fn ps_json_is_an_array_of_pids(t: &Test) -> Verdict {
    let b = t.sh("sleep 1000 & echo ready >/fifo; wait");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    for args in [&["ps", "--format", "json"][..], &["ps", "-f", "json"]] {
        let list = t.call(args).args([&c.id]).ok().json();
        let pids: Vec<_> = list.as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        assert_eq!(pids.len(), 2, "{list}");
        assert!(pids.contains(&i64::from(c.pid())), "{list}");
    }
    Ok(())
}

fn run_exit_status_is_the_processs(t: &Test) -> Verdict {
    for code in [0, 1, 42, 126, 127, 255] {
        let _ = t.run(&t.sh(&format!("exit {code}"))).output().exits(code);
    }
    Ok(())
}

fn run_removes_the_container(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let (call, id) = t.bundle_call("run", &b, &[]);
    call.ok();
    t.assert_missing(&id);
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn run_detached_returns_while_it_runs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for flag in ["-d", "--detach"] {
        let (call, id) = t.bundle_call("run", &b, &[flag]);
        call.ok();
        assert_eq!(t.state(&id)["status"], "running");
    }
    Ok(())
}

fn run_forwards_signals(t: &Test) -> Verdict {
    use rustix::process::Signal;
    let b = t.sh("trap 'echo got >/fifo; exit 3' USR1 TERM INT; echo ready >/fifo; while :; do sleep 1000 & wait; done");
    let mut fifo = b.fifo("/fifo");
    for signal in [Signal::USR1, Signal::TERM, Signal::INT] {
        let running = t.run(&b).start();
        assert_eq!(fifo.line(), "ready");
        running.process.signal(signal);
        assert_eq!(fifo.line(), "got");
        let _ = running.wait().exits(3);
    }
    Ok(())
}

fn run_existing_id_fails_with_the_words(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    t.call(&["run", "--bundle", b.path.to_str().unwrap(), &c.id])
        .fails()
        .says("container with given ID already exists");
    assert_eq!(c.status(), "running");
    Ok(())
}

fn state_zombie_init_is_stopped(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]);
    let c = t.start(&b);
    assert!(c.process.wait_exit(DEADLINE));
    // Init is a zombie, as nobody has reaped it yet.
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    Ok(())
}

/// What a record becomes.
type Damage = fn(&str) -> String;

/// What was recorded before anything was done names all that there is.
fn delete_force_state_damaged_removes_all(t: &Test) -> Verdict {
    let damages: [(&str, Damage); 4] = [
        ("empty", |_| String::new()),
        ("truncated", |text| text[..text.len() / 2].to_owned()),
        ("garbage", |_| "\u{0}\u{1}garbage".repeat(100)),
        ("of another container", |text| text.replacen("\"id\":\"", "\"id\":\"other", 1)),
    ];
    for (name, damage) in damages {
        for started in [false, true] {
            let b = t.bundle();
            b.stays();
            let c = t.create(&b);
            if started {
                c.start();
            }
            let file = t.root().join(&c.id).join("state.json");
            let whole = fs::read_to_string(&file).unwrap();
            let damaged = resealed(damage(&whole).into_bytes());
            assert_ne!(damaged, whole.as_bytes(), "{name}");
            fs::write(&file, damaged).unwrap();
            let _ = c.call(&["state"]).fails().says("read the state of the container");
            let _ = c.delete().fails();
            c.delete_force().ok();
            assert!(c.process.wait_exit(DEADLINE), "{name}");
            let _ = c.process.reap();
            let left = runtime_tests::residue::find(t);
            assert!(left.is_empty(), "{name}, started: {started}; left behind:\n{}", left.join("\n"));
        }
    }
    Ok(())
}

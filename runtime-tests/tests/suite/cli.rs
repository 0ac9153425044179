//! The command line: Go's forms of flags, help, version, the log.

use std::fs;

use runtime_tests::{Case, Output, Test, Verdict, cases};
use serde_json::Value;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["cli":
        version_has_runcs_shape,
        help_exits_0,
        help_of_each_command_exits_0,
        no_command_prints_help,
        unknown_command_fails,
        unknown_flag_fails,
        flag_without_its_value_says_so,
        checkpoint_help_exits_0,
        restore_lsm_mount_context_says_flag_needs_an_argument,
        flags_with_one_dash,
        flags_with_equals_sign,
        flags_short_with_equals_sign,
        flags_boolean_with_value,
        flags_after_the_id,
        flags_create_detach_is_tolerated,
        global_flags_of_the_shim_are_accepted,
        global_flags_of_podman_are_accepted,
        root_with_equals_sign,
        root_directory_is_made,
        log_json_has_one_object_on_failure,
        log_json_is_appended,
        log_json_time_is_rfc3339,
        log_is_empty_on_success,
        log_text_has_level_and_message,
        log_directory_missing_hides_no_error,
        error_is_one_line_on_stderr_and_in_the_log,
        exit_code_of_an_error_is_1,
        spec_writes_a_config_that_runs,
        spec_does_not_overwrite,
        spec_rootless_has_a_user_namespace,
        features_is_a_document,
        config_flag_is_another_file,
        list_bad_format_fails,
        ps_options_are_passed,
    ];
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("cli::{name}"), run).only_ours();
    all.push(ours("readme_use_works_as_written", readme_use_works_as_written));
    all.push(ours("features_say_what_is_done", features_say_what_is_done));
    all.push(ours("features_versions_and_words_are_taken", features_versions_and_words_are_taken));
    all.push(ours("info_gives_a_reason_for_what_is_missing", info_gives_a_reason));
    all.push(ours("warning_on_stderr_names_the_field", warning_names_the_field));
    all.push(ours("path_that_is_empty_is_none", empty_path));
    all.push(ours("what_is_not_done_is_refused", what_is_not_done_is_refused));
    all.push(ours("features_names_are_accepted_in_a_config", features_names_are_accepted));
    all
}

fn features_say_what_is_done(t: &Test) -> Verdict {
    let features = t.bare_call(&["features"]).ok().json();
    let linux = &features["linux"];
    for (pointer, kind) in [
        ("/cgroup/v1", "bool"),
        ("/cgroup/v2", "bool"),
        ("/cgroup/systemd", "bool"),
        ("/cgroup/systemdUser", "bool"),
        ("/cgroup/rdma", "bool"),
        ("/seccomp/actions", "list"),
        ("/seccomp/operators", "list"),
        ("/seccomp/archs", "list"),
        ("/seccomp/knownFlags", "list"),
        ("/seccomp/supportedFlags", "list"),
        ("/apparmor/enabled", "bool"),
        ("/selinux/enabled", "bool"),
        ("/intelRdt/enabled", "bool"),
        ("/memoryPolicy/modes", "list"),
        ("/netDevices/enabled", "bool"),
    ] {
        let value = linux.pointer(pointer).unwrap_or(&Value::Null);
        assert!(if kind == "bool" { value.is_boolean() } else { value.is_array() }, "{pointer}: {value}");
    }
    // What this build does, another suite shows of each.
    for pointer in ["/intelRdt/enabled", "/intelRdt/schemata", "/intelRdt/monitoring", "/netDevices/enabled"]
    {
        assert_eq!(linux.pointer(pointer), Some(&Value::Bool(true)), "{pointer}");
    }
    let unsafe_annotations = &features["potentiallyUnsafeConfigAnnotations"];
    for prefix in ["org.sandboxd.landlock.", "org.systemd.property."] {
        assert!(unsafe_annotations.as_array().unwrap().contains(&prefix.into()), "{unsafe_annotations}");
    }
    assert_eq!(features["annotations"]["org.sandboxd.landlock.enabled"], "true");
    assert!(features["annotations"]["org.sandboxd.version"].is_string());
    Ok(())
}

/// features.md, features-linux.md: what the document lists, the runtime MUST recognise in a config.
fn features_versions_and_words_are_taken(t: &Test) -> Verdict {
    let features = t.bare_call(&["features"]).ok().json();
    let known = [
        "ociVersionMin",
        "ociVersionMax",
        "hooks",
        "mountOptions",
        "annotations",
        "potentiallyUnsafeConfigAnnotations",
        "linux",
    ];
    for key in features.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key} is not the specification's");
    }
    let plans = |what: &str, change: &dyn Fn(&runtime_tests::Bundle)| {
        let b = t.bundle();
        change(&b);
        b.write();
        let call = t.call(&["plan", "--bundle", b.path.to_str().unwrap(), &t.fresh_name()]);
        let output = call.output();
        assert!(output.status.success(), "{what}: {output}");
        // What the runtime itself has not got can't be given, and is another matter.
        let unknown = |line: &&str| line.contains("unknown") && !line.contains("itself has not got");
        assert_eq!(output.stderr.lines().find(unknown), None, "{what}: {output}");
    };
    let words = |pointer: &str| -> Vec<String> {
        let list = features.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).as_array().unwrap();
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    for key in ["ociVersionMin", "ociVersionMax"] {
        plans(key, &|b| {
            b.set("/ociVersion", features[key].clone());
        });
    }
    assert!(features["ociVersionMin"].as_str() <= features["ociVersionMax"].as_str());
    plans("mountOptions", &|b| {
        for option in words("/mountOptions") {
            match &*option {
                "remount" => b.mount("/proc", "none", "none", &["bind", "remount"]),
                "tmpcopyup" => b.mount("/m", "tmpfs", "tmpfs", &[&option]),
                "idmap" | "ridmap" => b.push(
                    "/mounts",
                    serde_json::json!({"destination": "/m", "source": "/etc", "options": ["bind", option],
                        "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
                        "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}),
                ),
                _ => b.mount("/m", "none", "/etc", &["bind", &option]),
            };
        }
    });
    plans("namespaces", &|b| {
        let map = serde_json::json!([{"containerID": 0, "hostID": 0, "size": 1}]);
        b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        let named = |kind: &String| serde_json::json!({"type": kind});
        b.set("/linux/namespaces", words("/linux/namespaces").iter().map(named).collect::<Vec<_>>());
    });
    plans("capabilities", &|b| {
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            b.set(&format!("/process/capabilities/{set}"), words("/linux/capabilities"));
        }
    });
    plans("seccomp", &|b| {
        b.set("/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW");
        b.set("/linux/seccomp/flags", words("/linux/seccomp/supportedFlags"));
        let mut calls =
            vec!["mkdir", "rmdir", "link", "unlink", "rename", "chmod", "chown", "access", "sync"];
        for action in words("/linux/seccomp/actions") {
            if action == "SCMP_ACT_NOTIFY" {
                b.set("/linux/seccomp/listenerPath", t.dir.join("listener").to_str().unwrap());
            }
            let name = calls.pop().unwrap();
            b.push("/linux/seccomp/syscalls", serde_json::json!({"names": [name], "action": action}));
        }
        for op in words("/linux/seccomp/operators") {
            let args = serde_json::json!([{"index": 0, "value": 1, "op": op}]);
            let rule = serde_json::json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": args});
            b.push("/linux/seccomp/syscalls", rule);
        }
    });
    for architecture in words("/linux/seccomp/archs") {
        let b = t.bundle();
        let profile = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture]});
        b.set("/linux/seccomp", profile).write();
        let call = t.call(&["plan", "--bundle", b.path.to_str().unwrap(), &t.fresh_name()]);
        let output = call.output();
        // No filter can be for machines of both byte orders.
        let other_machines = output.stderr.contains("byte order");
        assert!(output.status.success() || other_machines, "{output}");
    }
    for mode in words("/linux/memoryPolicy/modes") {
        let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&&*mode) { "" } else { "0" };
        plans(&mode, &|b| {
            b.set("/linux/memoryPolicy", serde_json::json!({"mode": mode, "nodes": nodes}));
        });
    }
    for flag in words("/linux/memoryPolicy/flags") {
        plans(&flag, &|b| {
            let policy = serde_json::json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]});
            b.set("/linux/memoryPolicy", policy);
        });
    }
    Ok(())
}

fn info_gives_a_reason(t: &Test) -> Verdict {
    let info = t.bare_call(&["info", "--format", "json"]).ok().json();
    for section in ["kernel", "cgroup", "namespaces", "security", "mounts", "user", "programs"] {
        let findings = info[section].as_object().unwrap_or_else(|| panic!("{section}"));
        for (name, finding) in findings {
            let detail = finding["detail"].as_str().unwrap();
            assert!(finding["available"].as_bool().unwrap() || !detail.is_empty(), "{section}: {name}");
        }
    }
    // It agrees with what the suite sees.
    for controller in ["cpu", "memory", "pids"] {
        let available = info["cgroup"][controller]["available"].as_bool().unwrap();
        assert_eq!(available, t.cgroups().has(controller), "{controller}");
    }
    let text = t.bare_call(&["--criu", "/no/such/criu", "info"]).ok();
    assert!(text.lines().iter().any(|line| line.contains("/no/such/criu is no file")), "{text}");
    Ok(())
}

/// Each name that `features` lists is one that a config may use: `plan` takes it.
fn features_names_are_accepted(t: &Test) -> Verdict {
    let features = t.bare_call(&["features"]).ok().json();
    let names = |pointer: &str| -> Vec<String> {
        let list = features.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}"));
        list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let b = t.bundle();
    let rule = |name: &str| serde_json::json!([{"names": ["mkdir"], "action": name}]);
    let planned = |what: &str| {
        b.write();
        let call = t.bare_call(&["plan", "--bundle"]).args([&b.path]);
        let output = call.output();
        assert!(output.status.success(), "{what}: {output}");
        assert!(!output.stderr.contains(what), "{what}: {output}");
    };
    b.set("/linux/seccomp", serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/l"}));
    for action in names("/linux/seccomp/actions") {
        // What the default is, a rule can't be.
        if action != "SCMP_ACT_ALLOW" {
            b.set("/linux/seccomp/syscalls", rule(&action));
            planned(&action);
        }
    }
    b.unset("/linux/seccomp/listenerPath");
    for operator in names("/linux/seccomp/operators") {
        b.set("/linux/seccomp/syscalls", rule("SCMP_ACT_ERRNO"));
        let args = serde_json::json!([{"index": 0, "value": 1, "valueTwo": 1, "op": operator}]);
        b.patch(|config| config["linux"]["seccomp"]["syscalls"][0]["args"] = args);
        planned(&operator);
    }
    for arch in names("/linux/seccomp/archs") {
        b.set("/linux/seccomp/architectures", serde_json::json!([arch]));
        b.write();
        // It is known, though no process of another byte order can be on this machine.
        let output = t.bare_call(&["plan", "--bundle"]).args([&b.path]).output();
        assert!(output.status.success() || output.stderr.contains("byte order"), "{arch}: {output}");
    }
    b.unset("/linux/seccomp/architectures");
    for flag in names("/linux/seccomp/knownFlags") {
        b.set("/linux/seccomp/flags", serde_json::json!([flag]));
        b.write();
        // One of them needs a listener: whatever is said, it is not that the name is unknown.
        let output = t.bare_call(&["plan", "--bundle"]).args([&b.path]).output();
        assert!(output.status.success() || !output.stderr.contains("must be one of"), "{flag}: {output}");
    }
    b.unset("/linux/seccomp");
    for mode in names("/linux/memoryPolicy/modes") {
        let mut policy = serde_json::json!({"mode": mode});
        if !["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&&*mode) {
            policy["nodes"] = "0".into();
        }
        b.set("/linux/memoryPolicy", policy);
        planned(&mode);
    }
    for flag in names("/linux/memoryPolicy/flags") {
        let policy = serde_json::json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]});
        b.set("/linux/memoryPolicy", policy);
        planned(&flag);
    }
    b.unset("/linux/memoryPolicy");
    for kind in names("/linux/namespaces") {
        b.namespace(&kind, None);
        if kind == "user" {
            let map = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        planned(&kind);
    }
    b.capabilities(&names("/linux/capabilities").iter().map(String::as_str).collect::<Vec<_>>());
    b.write();
    let _ = t.bare_call(&["plan", "--bundle"]).args([&b.path]).ok();
    for point in names("/hooks") {
        b.hook(&point, serde_json::json!({"path": "/bin/true"}));
        planned(&point);
    }
    for option in names("/mountOptions") {
        let b = t.bundle();
        let mapped = ["idmap", "ridmap"].contains(&&*option);
        match &*option {
            "tmpcopyup" => b.mount("/mnt", "tmpfs", "tmpfs", &[&option]),
            _ => b.mount("/mnt", "bind", "/tmp", &["rbind", &option]),
        };
        if mapped {
            let map = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            b.patch(|config| {
                let mounts = config["mounts"].as_array_mut().unwrap();
                let mount = mounts.last_mut().unwrap();
                mount["uidMappings"] = map.clone();
                mount["gidMappings"] = map;
            });
        }
        b.write();
        let output = t.bare_call(&["plan", "--bundle"]).args([&b.path]).output();
        assert!(output.status.success(), "{option}: {output}");
    }
    Ok(())
}

fn what_is_not_done_is_refused(t: &Test) -> Verdict {
    let features = t.bare_call(&["features"]).ok().json();
    for (feature, pointer, value) in [
        ("intelRdt", "/linux/intelRdt", serde_json::json!({"closID": "c"})),
        ("netDevices", "/linux/netDevices", serde_json::json!({"no-such": {}})),
    ] {
        if features["linux"][feature]["enabled"] == false {
            let b = t.bundle();
            b.set(pointer, value);
            let _ = t.create_fails(&b).says(pointer);
        }
    }
    Ok(())
}

fn warning_names_the_field(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().mount("relative", "tmpfs", "tmpfs", &[]);
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.ok();
    let place =
        format!(" (from /mounts/{}/destination)\n", b.config()["mounts"].as_array().unwrap().len() - 1);
    assert!(output.stderr.starts_with(&format!("sandboxd: warning: create {id}: ")), "{output}");
    assert!(output.stderr.ends_with(&place), "{output}");
    Ok(())
}

/// A script's `--console-socket "$SOCKET"` with nothing in the variable; an empty --root would be another one than meant.
fn empty_path(t: &Test) -> Verdict {
    for flag in ["console-socket", "pid-file", "pidfd-socket", "config", "log", "criu"] {
        create(t, &["create", &format!("--{flag}="), "--bundle", "{bundle}", "{id}"]);
    }
    let c = t.start(t.bundle().stays());
    for flag in ["console-socket", "pid-file", "pidfd-socket", "process", "cwd", "user", "apparmor"] {
        t.call(&["exec", &format!("--{flag}"), "", &c.id, "true"]).ok();
    }
    t.bare_call(&["--root=", "list"]).fails().says("--root");
    Ok(())
}

fn version_has_runcs_shape(t: &Test) -> Verdict {
    for flag in ["--version", "-v"] {
        let output = t.bare_call(&[flag]).ok();
        let lines = output.lines();
        assert!(lines[0].starts_with(&format!("{} version ", t.runtime.name)), "{output}");
        assert!(lines.iter().any(|line| line.starts_with("spec: 1.")), "{output}");
        assert!(lines.iter().any(|line| line.starts_with("commit: ")), "{output}");
    }
    Ok(())
}

fn help_exits_0(t: &Test) -> Verdict {
    for flag in ["--help", "-h"] {
        let output = t.bare_call(&[flag]).ok();
        for command in ["create", "start", "state", "kill", "delete", "run"] {
            assert!(output.stdout.contains(command), "{output}");
        }
    }
    Ok(())
}

fn help_of_each_command_exits_0(t: &Test) -> Verdict {
    for command in
        ["create", "start", "state", "kill", "delete", "run", "list", "ps", "spec", "exec", "pause", "resume"]
    {
        let output = t.bare_call(&[command, "--help"]).ok();
        assert!(output.stdout.contains(command), "{output}");
    }
    Ok(())
}

fn checkpoint_help_exits_0(t: &Test) -> Verdict {
    t.bare_call(&["checkpoint", "--help"]).ok();
    Ok(())
}

fn no_command_prints_help(t: &Test) -> Verdict {
    let output = t.bare_call::<&str>(&[]).output();
    assert!(format!("{}{}", output.stdout, output.stderr).to_lowercase().contains("usage"), "{output}");
    Ok(())
}

fn unknown_command_fails(t: &Test) -> Verdict {
    t.bare_call(&["no-such-command"]).fails();
    Ok(())
}

fn unknown_flag_fails(t: &Test) -> Verdict {
    t.bare_call(&["create", "--no-such-flag"]).fails();
    t.bare_call(&["--no-such-flag", "list"]).fails();
    Ok(())
}

fn flag_without_its_value_says_so(t: &Test) -> Verdict {
    t.call(&["create", "--bundle"]).fails().says("flag needs an argument");
    t.bare_call(&["--root"]).fails().says("flag needs an argument");
    Ok(())
}

fn restore_lsm_mount_context_says_flag_needs_an_argument(t: &Test) -> Verdict {
    t.bare_call(&["restore", "--lsm-mount-context"]).fails().says("flag needs an argument");
    Ok(())
}

/// Creates with these words, where `{bundle}` and `{id}` stand for them, and deletes again.
fn create(t: &Test, words: &[&str]) {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    let fill = |word: &&str| word.replace("{bundle}", b.path.to_str().unwrap()).replace("{id}", &id);
    let words: Vec<_> = words.iter().map(fill).collect();
    t.call(&words).ok();
    assert_eq!(t.state(&id)["status"], "created", "{words:?}");
    t.call(&["delete", "-force", &id]).ok();
}

fn flags_with_one_dash(t: &Test) -> Verdict {
    create(t, &["create", "-bundle", "{bundle}", "{id}"]);
    create(t, &["create", "-no-pivot", "-b", "{bundle}", "{id}"]);
    Ok(())
}

fn flags_with_equals_sign(t: &Test) -> Verdict {
    create(t, &["create", "--bundle={bundle}", "{id}"]);
    create(t, &["create", "-bundle={bundle}", "{id}"]);
    Ok(())
}

fn flags_short_with_equals_sign(t: &Test) -> Verdict {
    create(t, &["create", "-b={bundle}", "{id}"]);
    Ok(())
}

fn flags_boolean_with_value(t: &Test) -> Verdict {
    create(t, &["create", "--no-pivot=false", "--bundle", "{bundle}", "{id}"]);
    create(t, &["create", "--no-new-keyring=true", "--bundle", "{bundle}", "{id}"]);
    let b = t.sh("exit 5");
    let (call, _) = t.bundle_call("run", &b, &["--detach=false"]);
    let _ = call.output().exits(5);
    Ok(())
}

fn flags_after_the_id(t: &Test) -> Verdict {
    create(t, &["create", "{id}", "--bundle", "{bundle}"]);
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.call(&["delete"]).args(["--force"]).ok();
    Ok(())
}

fn flags_create_detach_is_tolerated(t: &Test) -> Verdict {
    create(t, &["create", "--detach", "--bundle", "{bundle}", "{id}"]);
    Ok(())
}

fn global_flags_of_the_shim_are_accepted(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    let log = t.dir.join("log.json");
    let globals = ["--debug", "--log", log.to_str().unwrap(), "--log-format", "json", "--rootless=false"];
    let call = |args: &[&str]| t.call(&globals).args(args).ok();
    call(&[
        "create",
        "--bundle",
        b.path.to_str().unwrap(),
        "--pid-file",
        t.dir.join("pid").to_str().unwrap(),
        &id,
    ]);
    call(&["start", &id]);
    call(&["state", &id]);
    call(&["kill", &id, "9"]);
    call(&["delete", "--force", &id]);
    for line in fs::read_to_string(log).unwrap_or_default().lines() {
        let _: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    Ok(())
}

fn global_flags_of_podman_are_accepted(t: &Test) -> Verdict {
    fs::create_dir_all(t.root()).unwrap();
    t.call(&["--cgroup-manager", "cgroupfs", "list"]).ok();
    t.call(&["--log-format=json", "--log", t.dir.join("log").to_str().unwrap(), "list"]).ok();
    Ok(())
}

fn root_with_equals_sign(t: &Test) -> Verdict {
    fs::create_dir_all(t.root()).unwrap();
    let root = format!("--root={}", t.root().display());
    t.bare_call(&[&root, "list"]).ok();
    let root = format!("-root={}", t.root().display());
    t.bare_call(&[&root, "list"]).ok();
    Ok(())
}

fn root_directory_is_made(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let root = t.dir.join("deep/er/root");
    let id = t.fresh_id();
    let call = |args: &[&str]| t.bare_call(&["--root", root.to_str().unwrap()]).args(args).ok();
    call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
    call(&["delete", "--force", &id]);
    Ok(())
}

/// A failing call with a JSON log: its output and the log's lines.
fn logged_failure(t: &Test) -> (Output, Vec<Value>) {
    let log = t.dir.join("log.json");
    let output = t
        .call(&[
            "--log",
            log.to_str().unwrap(),
            "--log-format",
            "json",
            "create",
            "--bundle",
            "/no/such",
            &t.fresh_id(),
        ])
        .output();
    assert!(!output.status.success());
    let text = fs::read_to_string(log).unwrap();
    let lines =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    (output, lines.collect())
}

fn log_json_has_one_object_on_failure(t: &Test) -> Verdict {
    let (output, lines) = logged_failure(t);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "error", "{lines:?}");
    assert!(lines[0]["msg"].as_str().is_some_and(|text| !text.is_empty()), "{lines:?}");
    assert_eq!(output.stdout, "");
    Ok(())
}

fn log_json_is_appended(t: &Test) -> Verdict {
    let _ = logged_failure(t);
    let (_, lines) = logged_failure(t);
    assert_eq!(lines.len(), 2);
    Ok(())
}

fn log_json_time_is_rfc3339(t: &Test) -> Verdict {
    let (_, lines) = logged_failure(t);
    let time = lines[0]["time"].as_str().unwrap();
    assert!(time.len() >= 20 && &time[4..5] == "-" && &time[10..11] == "T" && time.contains(':'), "{time}");
    assert!(time.ends_with('Z') || time[19..].contains(['+', '-']), "{time}");
    Ok(())
}

fn log_is_empty_on_success(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let log = t.dir.join("log.json");
    let id = t.fresh_id();
    let call = |args: &[&str]| t.call(&["--log", log.to_str().unwrap(), "--log-format=json"]).args(args).ok();
    call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
    call(&["start", &id]);
    call(&["delete", "--force", &id]);
    assert_eq!(fs::read_to_string(log).unwrap_or_default(), "");
    Ok(())
}

fn log_text_has_level_and_message(t: &Test) -> Verdict {
    let log = t.dir.join("log");
    t.call(&["--log", log.to_str().unwrap(), "state", &t.fresh_id()]).output().exits(1);
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("level=error") && text.contains("does not exist"), "{text}");
    Ok(())
}

fn log_directory_missing_hides_no_error(t: &Test) -> Verdict {
    // Whether the log is opened at once or for the first line: a failure is still said on standard error.
    let _ = t.call(&["--log", "/no/such/dir/log", "state", &t.fresh_id()]).fails();
    Ok(())
}

fn error_is_one_line_on_stderr_and_in_the_log(t: &Test) -> Verdict {
    let (output, lines) = logged_failure(t);
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    let message = lines[0]["msg"].as_str().unwrap();
    let words = message.rsplit(": ").next().unwrap();
    assert!(output.stderr.contains(words), "{output}: {message}");
    Ok(())
}

fn exit_code_of_an_error_is_1(t: &Test) -> Verdict {
    for args in
        [&["state", "missing"][..], &["start", "missing"], &["kill", "missing"], &["delete", "missing"]]
    {
        let _ = t.call(args).fails().exits(1);
    }
    Ok(())
}

fn spec_writes_a_config_that_runs(t: &Test) -> Verdict {
    let b = t.bundle();
    t.call(&["spec", "--bundle", b.path.to_str().unwrap()]).ok();
    let text = fs::read_to_string(b.path.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["args"][0], "sh");
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["root"]["path"], "rootfs");
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["echo", "hi"]);
    b.patch(|own| *own = config);
    assert_eq!(t.run(&b).ok().text(), "hi");
    Ok(())
}

/// The commands under "Use", pasted: each succeeds.
fn readme_use_works_as_written(t: &Test) -> Verdict {
    t.needs_program("ps")?;
    let (_, rest) = include_str!("../../../README.md").split_once("\n## Use\n").unwrap();
    let (section, _) = rest.split_once("\n### ").unwrap();
    let ours = |line: &&str| ["./sandboxd ", "sed "].iter().any(|begin| line.trim_start().starts_with(begin));
    let script: Vec<&str> = section.lines().filter(ours).collect();
    assert!(script.len() >= 7, "{section}");
    let b = t.bundle();
    let id = t.fresh_id();
    let script = script.join("\n").replace("./sandboxd", "\"$@\"").replace(" web", &format!(" {id}"));
    let script = script.replace(" B", &format!(" {}", b.path.display()));
    let output = t.call::<&str>(&[]).through_sh(&format!("set -e\n{script}")).stdin("exit\n").ok();
    assert!(output.stdout.contains("\"status\": \"running\""), "{output}");
    t.assert_missing(&id);
    Ok(())
}

fn spec_does_not_overwrite(t: &Test) -> Verdict {
    let b = t.bundle();
    b.write();
    let before = fs::read_to_string(b.path.join("config.json")).unwrap();
    t.call(&["spec"]).cwd(&b.path).fails().says("exists");
    assert_eq!(fs::read_to_string(b.path.join("config.json")).unwrap(), before);
    Ok(())
}

fn spec_rootless_has_a_user_namespace(t: &Test) -> Verdict {
    let dir = t.dir.join("spec");
    fs::create_dir(&dir).unwrap();
    t.call(&["spec", "--rootless"]).cwd(&dir).ok();
    let config: Value = serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap()).unwrap();
    let namespaces = config["linux"]["namespaces"].as_array().unwrap();
    assert!(namespaces.iter().any(|namespace| namespace["type"] == "user"));
    assert_eq!(config["linux"]["uidMappings"][0]["containerID"], 0);
    Ok(())
}

fn features_is_a_document(t: &Test) -> Verdict {
    let features = t.bare_call(&["features"]).ok().json();
    assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string(), "{features}");
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(features["hooks"].as_array().unwrap().contains(&hook.into()), "{hook}");
    }
    assert!(features["mountOptions"].as_array().unwrap().contains(&"rro".into()));
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&"user".into()));
    assert!(features["linux"]["capabilities"].as_array().unwrap().contains(&"CAP_KILL".into()));
    assert!(features["linux"]["seccomp"]["enabled"].as_bool().unwrap());
    assert!(features["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean());
    Ok(())
}

fn config_flag_is_another_file(t: &Test) -> Verdict {
    let b = t.sh("echo other");
    b.write();
    fs::rename(b.path.join("config.json"), b.path.join("other.json")).unwrap();
    let id = t.fresh_id();
    let file = b.path.join("other.json");
    let call =
        t.call(&["run", "--config", file.to_str().unwrap(), "--bundle", b.path.to_str().unwrap(), &id]);
    assert_eq!(call.ok().text(), "other");
    Ok(())
}

fn list_bad_format_fails(t: &Test) -> Verdict {
    t.call(&["list", "--format", "no-such"]).fails();
    Ok(())
}

fn ps_options_are_passed(t: &Test) -> Verdict {
    t.needs_program("ps")?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let output = c.call(&["ps"]).args(["-o", "pid,comm"]).ok();
    let lines = output.lines();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"], "{output}");
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        [c.pid().to_string().as_str(), "sleep"],
        "{output}"
    );
    Ok(())
}

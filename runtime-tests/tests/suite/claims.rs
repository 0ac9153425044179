//! What `features` claims, word by word, asked of the kernel: what is listed is done, what is not is refused, and each
//! claim has the test that shows it.

use std::collections::BTreeSet;

use runtime_tests::procfs::{mounts_of, own_namespace, status_of};
use runtime_tests::{Bundle, Case, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let all = cases!["claims":
        mount_options_that_are_listed_are_taken_by_the_kernel,
        namespaces_that_are_listed_are_made,
        capabilities_that_are_listed_are_the_kernels,
        hooks_that_are_listed_are_run,
        seccomp_words_that_are_listed_are_loaded,
        memory_policies_that_are_listed_are_set,
        annotations_that_are_listed_are_those_that_count,
        words_that_are_not_listed_are_refused,
    ];
    all.into_iter().map(Case::only_ours).collect()
}

/// Each leaf of the document has a test among those of the suite.
pub(crate) fn case(all: &[Case]) -> Case {
    let names: BTreeSet<String> = all.iter().map(|case| case.name.clone()).collect();
    Case::new("claims::each_claim_has_its_test", move |t| each_claim_has_its_test(t, &names)).only_ours()
}

fn document(t: &Test) -> Value {
    t.bare_call(&["features"]).ok().json()
}

fn words(document: &Value, pointer: &str) -> Vec<String> {
    let list = document.pointer(pointer).and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!("no {pointer}"));
    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Claims, and the tests that show them; `{}` is the word, in lower case where the test's name has it so.
const SHOWN: &[(&str, &str)] = &[
    ("/ociVersionMin", "cli::features_versions_and_words_are_taken"),
    ("/ociVersionMax", "cli::features_versions_and_words_are_taken"),
    ("/hooks/", "hooks::state_on_stdin_{}"),
    ("/mountOptions/bind", "mounts::bind_directory_is_the_same_inode"),
    ("/mountOptions/rbind", "mounts::rbind_takes_submounts"),
    ("/mountOptions/remount", "mounts::remount_changes_the_mount_that_is_there"),
    ("/mountOptions/idmap", "mounts::idmapped_bind_shows_mapped_owners"),
    ("/mountOptions/ridmap", "mounts::idmapped_bind_maps_the_mounts_below_with_ridmap"),
    ("/mountOptions/tmpcopyup", "mounts::tmpcopyup_copies_the_directory"),
    ("/mountOptions/", "mounts::option_{}"),
    ("/mountOptions/", "mounts::recursive_option_{}"),
    ("/mountOptions/", "mounts::propagation_option_{}"),
    // Opposites: the second of two.
    ("/mountOptions/", "mounts::option_no{}_{}"),
    ("/mountOptions/async", "mounts::option_sync_async"),
    ("/mountOptions/loud", "mounts::option_silent_loud"),
    ("/mountOptions/noiversion", "mounts::option_iversion_noiversion"),
    ("/mountOptions/nolazytime", "mounts::option_lazytime_nolazytime"),
    ("/mountOptions/nostrictatime", "mounts::option_strictatime_nostrictatime"),
    ("/mountOptions/norelatime", "mounts::option_noatime_norelatime"),
    ("/mountOptions/mand", "mounts::option_mand_nomand"),
    ("/mountOptions/nomand", "mounts::option_mand_nomand"),
    ("/linux/namespaces/", "namespaces::new_{}"),
    ("/linux/capabilities/", "claims::capabilities_that_are_listed_are_the_kernels"),
    ("/linux/cgroup/v1", "cgroup::every_hierarchy_has_the_process"),
    ("/linux/cgroup/v2", "cgroup::every_hierarchy_has_the_process"),
    ("/linux/cgroup/systemd", "systemd::limits_are_set_and_stay_at_a_reload"),
    ("/linux/cgroup/systemdUser", "rootless_session::scope_has_the_limits_and_goes"),
    ("/linux/cgroup/rdma", "cgroup::each_limit_of_a_missing_controller_is_refused"),
    ("/linux/seccomp/enabled", "seccomp::filter_is_loaded"),
    ("/linux/seccomp/actions/SCMP_ACT_KILL", "seccomp::kill_is_kill_thread"),
    ("/linux/seccomp/actions/SCMP_ACT_KILL_PROCESS", "seccomp::kill_process_ends_it_with_sigsys"),
    ("/linux/seccomp/actions/SCMP_ACT_KILL_THREAD", "seccomp::kill_thread_ends_it_with_sigsys"),
    ("/linux/seccomp/actions/SCMP_ACT_TRAP", "seccomp::trap_sends_sigsys"),
    ("/linux/seccomp/actions/SCMP_ACT_ERRNO", "seccomp::errno_is_returned"),
    ("/linux/seccomp/actions/SCMP_ACT_TRACE", "seccomp::trace_without_tracer_is_enosys"),
    ("/linux/seccomp/actions/SCMP_ACT_ALLOW", "seccomp::default_errno_allows_the_named_calls"),
    ("/linux/seccomp/actions/SCMP_ACT_LOG", "seccomp::log_lets_it_pass"),
    ("/linux/seccomp/actions/SCMP_ACT_NOTIFY", "seccomp_notify::call_fails_as_the_agent_says"),
    ("/linux/seccomp/operators/SCMP_CMP_NE", "seccomp::argument_not_equal"),
    ("/linux/seccomp/operators/SCMP_CMP_LT", "seccomp::argument_less_and_greater"),
    ("/linux/seccomp/operators/SCMP_CMP_LE", "seccomp::argument_less_and_greater"),
    ("/linux/seccomp/operators/SCMP_CMP_EQ", "seccomp::argument_equal"),
    ("/linux/seccomp/operators/SCMP_CMP_GE", "seccomp::argument_less_and_greater"),
    ("/linux/seccomp/operators/SCMP_CMP_GT", "seccomp::argument_less_and_greater"),
    ("/linux/seccomp/operators/SCMP_CMP_MASKED_EQ", "seccomp::argument_masked_equal"),
    ("/linux/seccomp/archs/", "claims::seccomp_words_that_are_listed_are_loaded"),
    ("/linux/seccomp/knownFlags/", "cli::features_names_are_accepted_in_a_config"),
    (
        "/linux/seccomp/supportedFlags/SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        "seccomp_notify::killable_flag_is_taken",
    ),
    ("/linux/seccomp/supportedFlags/", "claims::seccomp_words_that_are_listed_are_loaded"),
    ("/linux/apparmor/enabled", "apparmor::profile_is_applied_and_enforced"),
    ("/linux/selinux/enabled", "selinux::mount_label_is_that_of_new_file_systems"),
    // On trees of files, by the library's own tests.
    ("/linux/intelRdt/", "cli::features_say_what_is_done"),
    ("/linux/memoryPolicy/", "claims::memory_policies_that_are_listed_are_set"),
    ("/linux/mountExtensions/idmap/enabled", "mounts::idmapped_bind_shows_mapped_owners"),
    ("/linux/netDevices/enabled", "net_devices::device_is_moved_renamed_and_set_up"),
    ("/annotations/", "claims::annotations_that_are_listed_are_those_that_count"),
    ("/potentiallyUnsafeConfigAnnotations/", "claims::annotations_that_are_listed_are_those_that_count"),
];

/// The document's leaves: `/linux/cgroup/v1` of an object, `/hooks/prestart` of a list.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| leaves(value, &format!("{pointer}/{key}"), found));
        }
        Value::Array(items) => {
            found.extend(items.iter().map(|item| format!("{pointer}/{}", item.as_str().unwrap())));
        }
        _ => found.push(pointer.to_owned()),
    }
}

fn each_claim_has_its_test(t: &Test, names: &BTreeSet<String>) -> Verdict {
    let mut claims = Vec::new();
    leaves(&document(t), "", &mut claims);
    let without: Vec<&String> = claims
        .iter()
        .filter(|claim| {
            let shows = |(start, name): &(&str, &str)| {
                let word = claim.rsplit('/').next().unwrap();
                let matches = if start.ends_with('/') { claim.starts_with(start) } else { claim == start };
                matches && names.contains(&name.replace("{}", word))
            };
            !SHOWN.iter().any(shows)
        })
        .collect();
    assert_eq!(without, [] as [&str; 0], "these claims have no test");
    assert!(claims.len() > 150, "{claims:?}");
    Ok(())
}

/// Each on a mount of its own, all in one container: what each does is shown by the tests of `mounts`.
fn mount_options_that_are_listed_are_taken_by_the_kernel(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = t.dir.join("host");
    std::fs::create_dir(&host).unwrap();
    let options = words(&document(t), "/mountOptions");
    for (index, option) in options.iter().enumerate() {
        let point = format!("/mnt/{index}");
        std::fs::create_dir_all(b.inside(&point)).unwrap();
        let source = host.to_str().unwrap();
        match &**option {
            "bind" | "rbind" => b.mount(&point, "bind", source, &[option]),
            "remount" => {
                b.mount(&point, "tmpfs", "tmpfs", &[]).mount(&point, "none", "none", &["remount", "ro"])
            }
            "idmap" | "ridmap" => {
                let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
                b.push(
                    "/mounts",
                    json!({"destination": point, "type": "bind", "source": source,
                        "options": ["rbind", option], "uidMappings": map, "gidMappings": map}),
                )
            }
            _ => b.mount(&point, "tmpfs", "tmpfs", &[option]),
        };
    }
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.ok();
    // What has no effect is said: none of them is unknown.
    let told = output.stderr.lines().filter(|line| !line.contains("iversion") && !line.contains("mand"));
    assert_eq!(told.collect::<Vec<_>>(), [] as [&str; 0]);
    let mounts = mounts_of(t.state(&id)["pid"].as_i64().unwrap().try_into().unwrap());
    for (index, option) in options.iter().enumerate() {
        assert!(mounts.iter().any(|mount| mount.point == format!("/mnt/{index}")), "{option}");
    }
    Ok(())
}

fn namespaces_that_are_listed_are_made(t: &Test) -> Verdict {
    let b = t.bundle();
    let kinds = words(&document(t), "/linux/namespaces");
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    b.set("/linux/namespaces", kinds.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>());
    std::os::unix::fs::chown(b.rootfs(), Some(100_000), Some(100_000)).unwrap();
    b.stays();
    let c = t.start(&b);
    // The kernel has no others.
    let links: BTreeSet<String> = std::fs::read_dir("/proc/self/ns")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("_for_children"))
        .collect();
    assert_eq!(links.len(), kinds.len(), "{links:?}, {kinds:?}");
    for link in links {
        assert_ne!(runtime_tests::procfs::namespace_of(c.pid(), &link), own_namespace(&link), "{link}");
    }
    Ok(())
}

fn capabilities_that_are_listed_are_the_kernels(t: &Test) -> Verdict {
    let listed = words(&document(t), "/linux/capabilities");
    let last: usize =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    assert!(listed.len() > last, "the kernel has {last}, {listed:?}");
    let b = t.bundle();
    b.capabilities(&listed.iter().map(String::as_str).collect::<Vec<_>>()).stays();
    let c = t.start(&b);
    for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(status_of(c.pid(), set), status_of(std::process::id().cast_signed(), "CapBnd"), "{set}");
    }
    Ok(())
}

fn hooks_that_are_listed_are_run(t: &Test) -> Verdict {
    let b = t.bundle();
    let points = words(&document(t), "/hooks");
    let file = t.dir.join("hooks");
    std::fs::write(&file, "").unwrap();
    b.mount("/hooks", "bind", file.to_str().unwrap(), &["bind", "rw"]).writable();
    for point in &points {
        let inside = point == "startContainer";
        let path = if inside { "/hooks" } else { file.to_str().unwrap() };
        let shell = if inside { "/bin/sh" } else { "/usr/bin/sh" };
        b.hook(point, json!({"path": shell, "args": ["sh", "-c", format!("echo {point} >>{path}")]}));
    }
    b.args(&["true"]);
    t.run(&b).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), points);
    Ok(())
}

/// Runs a container under a profile: its filter is there, and only one.
fn runs_under(t: &Test, b: &Bundle, profile: Value) {
    b.set("/linux/seccomp", profile.clone());
    let output = t.output_of(b, "grep -E '^Seccomp' /proc/self/status");
    let lines: Vec<String> = output.lines().iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, ["Seccomp:2", "Seccomp_filters:1"], "{profile}");
}

fn seccomp_words_that_are_listed_are_loaded(t: &Test) -> Verdict {
    let document = document(t);
    let listed = |name: &str| words(&document, &format!("/linux/seccomp/{name}"));
    // Those of this machine's byte order: a filter for both can't be.
    let little = |name: &String| {
        let big = [
            "MIPS",
            "MIPS64",
            "MIPS64N32",
            "PPC",
            "PPC64",
            "S390",
            "S390X",
            "PARISC",
            "PARISC64",
            "M68K",
            "SHEB",
        ];
        !big.contains(&&name["SCMP_ARCH_".len()..])
    };
    let (archs, others): (Vec<String>, Vec<String>) = listed("archs").into_iter().partition(little);
    let b = t.bundle();
    // Each calls something else, that nothing here does.
    let calls =
        ["swapon", "swapoff", "reboot", "acct", "quotactl", "syslog", "vhangup", "settimeofday", "adjtimex"];
    let actions = listed("actions");
    // What needs an agent is shown with one.
    let actions: Vec<&String> = actions.iter().filter(|action| *action != "SCMP_ACT_NOTIFY").collect();
    assert!(actions.len() <= calls.len());
    let mut rules: Vec<Value> = actions
        .iter()
        .zip(calls)
        .filter(|(action, _)| **action != "SCMP_ACT_ALLOW")
        .map(|(action, call)| json!({"names": [call], "action": action}))
        .collect();
    for (number, op) in listed("operators").iter().enumerate() {
        let args = json!([{"index": 0, "value": 1000 + number, "valueTwo": 0, "op": op}]);
        let call = ["kexec_load", "pivot_root", "init_module", "delete_module", "setns", "swapon", "ioperm"]
            [number % 7];
        if call != "swapon" {
            rules.push(
                json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": number + 1, "args": args}),
            );
        }
    }
    let flags: Vec<String> = listed("supportedFlags")
        .into_iter()
        .filter(|flag| flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
        .collect();
    for flag in &flags {
        runs_under(t, &b, json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": rules}));
    }
    runs_under(
        t,
        &b,
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": archs, "flags": flags, "syscalls": rules}),
    );
    // The others are known, and can't be met here.
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": others});
    b.set("/linux/seccomp", profile);
    if !others.is_empty() {
        let _ = t.create_fails(&b).says("byte order").says("/linux/seccomp/architectures");
    }
    Ok(())
}

fn memory_policies_that_are_listed_are_set(t: &Test) -> Verdict {
    if !std::fs::exists("/proc/self/numa_maps").unwrap_or(false) {
        return Err(runtime_tests::Skip::new("the kernel has no memory policies (CONFIG_NUMA)"));
    }
    let document = document(t);
    let run = |policy: Value| {
        let b = t.bundle();
        b.args(&["true"]).set("/linux/memoryPolicy", policy.clone());
        let output = t.run(&b).output();
        // A kernel that does not have it yet says so itself.
        assert!(output.status.success() || output.stderr.contains("set_mempolicy"), "{policy}: {output}");
    };
    for mode in words(&document, "/linux/memoryPolicy/modes") {
        let nodes = !["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&&*mode);
        run(if nodes { json!({"mode": mode, "nodes": "0"}) } else { json!({"mode": mode}) });
    }
    for flag in words(&document, "/linux/memoryPolicy/flags") {
        run(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}));
    }
    Ok(())
}

/// `potentiallyUnsafeConfigAnnotations`: those change something; others are passed on and ignored.
fn annotations_that_are_listed_are_those_that_count(t: &Test) -> Verdict {
    let document = document(t);
    let mut listed = words(&document, "/potentiallyUnsafeConfigAnnotations");
    listed.sort();
    assert_eq!(listed, ["org.sandboxd.landlock.", "org.systemd.property.", "run.oci.keep_original_groups"]);
    let plan = |annotations: Value, manager: &[&str]| {
        let b = t.bundle();
        b.set("/annotations", annotations).write();
        let call = t.bare_call(manager).args(["plan", "--bundle"]).args([&b.path]).args(["same"]);
        call.output().ok().stdout.replace(b.path.to_str().unwrap(), "BUNDLE")
    };
    let without = plan(json!({}), &[]);
    let other = json!({"org.example.key": "value", "org.sandboxd.other": "x", "run.oci.handler": "krun"});
    assert_eq!(plan(other, &[]), without);
    assert_ne!(plan(json!({"org.sandboxd.landlock.ro": "/"}), &[]), without);
    // What systemd is told is shown by its own suite: here, that a malformed one is looked at.
    let b = t.bundle();
    b.set("/annotations", json!({"org.systemd.property.CPUWeight": "no variant"})).write();
    let call = t.bare_call(&["--systemd-cgroup", "plan", "--bundle"]).args([&b.path]);
    let _ = call.fails().says("/annotations/org.systemd.property.CPUWeight");
    // The version is that of the binary, and Landlock what the build has.
    let version = t.bare_call(&["--version"]).ok();
    let own = document["annotations"]["org.sandboxd.version"].as_str().unwrap();
    assert!(version.stdout.contains(own), "{own}: {version}");
    Ok(())
}

/// A word near one that is listed, at each place that has a list.
fn words_that_are_not_listed_are_refused(t: &Test) -> Verdict {
    let seccomp = |field: &str, value: Value| {
        let mut profile = json!({"defaultAction": "SCMP_ACT_ALLOW"});
        profile[field] = value;
        profile
    };
    let rule = |action: &str, op: &str| json!([{"names": ["swapon"], "action": action, "args": [{"index": 0, "value": 1, "op": op}]}]);
    for (pointer, value, named) in [
        ("/linux/namespaces/0/type", json!("mnt"), "/linux/namespaces/0/type"),
        ("/linux/seccomp", seccomp("defaultAction", json!("ALLOW")), "/linux/seccomp/defaultAction"),
        (
            "/linux/seccomp",
            seccomp("architectures", json!(["SCMP_ARCH_AMD64"])),
            "/linux/seccomp/architectures/0",
        ),
        (
            "/linux/seccomp",
            seccomp("flags", json!(["SECCOMP_FILTER_FLAG_NEW_LISTENER"])),
            "/linux/seccomp/flags/0",
        ),
        (
            "/linux/seccomp",
            seccomp("syscalls", rule("SCMP_ACT_USER_NOTIF", "SCMP_CMP_EQ")),
            "/linux/seccomp/syscalls/0/action",
        ),
        (
            "/linux/seccomp",
            seccomp("syscalls", rule("SCMP_ACT_ERRNO", "SCMP_CMP_IN")),
            "/linux/seccomp/syscalls/0/args/0/op",
        ),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_MAX"}), "/linux/memoryPolicy/mode"),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MOVE"]}),
            "/linux/memoryPolicy/flags/0",
        ),
    ] {
        let b = t.bundle();
        b.set(pointer, value);
        let _ = t.create_fails(&b).says(named);
    }
    // An option that is not listed is the file system's, which refuses it; a bind has none to ask.
    for (kind, source, options) in [
        ("tmpfs", "tmpfs", json!(["rnosuch"])),
        ("proc", "proc", json!(["nosuch=1"])),
        ("bind", "/etc", json!(["bind", "nosuch"])),
    ] {
        let b = t.bundle();
        std::fs::create_dir(b.inside("/mnt")).unwrap();
        b.push("/mounts", json!({"destination": "/mnt", "type": kind, "source": source, "options": options}));
        let _ = t.create_fails(&b).says("nosuch").says("/mounts/7");
    }
    Ok(())
}

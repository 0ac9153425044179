//! The systemd cgroup manager: the container's cgroup is a scope, with its limits as properties, and goes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime_tests::cgroup::read;
use runtime_tests::trace::{End, kill_before};
use runtime_tests::wait::{DEADLINE, Process, stretched};
use runtime_tests::{Bundle, Call, Case, Container, Test, Verdict, residue};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    // The longest first: the others run beside it.
    let ours = runtime_tests::cases!("systemd":
        create_killed_leaves_nothing,
        slice_goes_with_its_last_container,
        scope_of_another_state_root_is_left_alone,
        bus_absent_is_said,
    );
    let mut cases: Vec<Case> = ours.into_iter().map(Case::only_ours).collect();
    let common = runtime_tests::cases!("systemd":
        scope_by_default_is_named_by_the_id,
        scope_is_named_by_the_path,
        path_malformed_fails,
        limits_are_set_and_stay_at_a_reload,
        limits_are_there_before_start,
        annotations_set_properties,
        devices_stay_denied_at_a_reload,
        run_returns_the_status_and_leaves_nothing,
        out_of_memory_leaves_no_failed_unit,
        kill_all_reaches_every_process,
        pause_and_resume_stop_the_scope,
        update_holds_at_a_reload,
        create_that_fails_leaves_no_scope,
        user_namespace_and_joined_pid_namespace_work,
    );
    cases.extend(common);
    cases
}

/// The fields of a unit, as systemd has them.
fn show(unit: &str, property: &str) -> String {
    Call::new(["systemctl", "show", "--value", "--property", property, unit]).ok().text().to_owned()
}

fn reload() {
    Call::new(["systemctl", "daemon-reload"]).ok();
}

fn cgroup_path(c: &Container<'_>) -> String {
    let text = c.proc("cgroup");
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

fn directory(c: &Container<'_>) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup{}", cgroup_path(c)))
}

/// Asks until a unit is unloaded: systemd does so in its own time, and tells nobody.
fn assert_gone(unit: &str) {
    let end = Instant::now() + stretched(DEADLINE);
    while show(unit, "LoadState") != "not-found" {
        assert!(Instant::now() < end, "{unit}: {}", Call::new(["systemctl", "status", unit]).output());
    }
}

fn with_resources(t: &Test) -> Bundle {
    let b = t.bundle();
    b.stays().set(
        "/linux/resources",
        json!({
            "memory": {"limit": 50 << 20, "reservation": 20 << 20},
            "cpu": {"shares": 512, "quota": 12345, "period": 100_000, "cpus": "0"},
            "pids": {"limit": 33},
        }),
    );
    b
}

fn scope_by_default_is_named_by_the_id(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let unit = format!("{}-{}.scope", t.runtime.name, c.id);
    assert_eq!(cgroup_path(&c), format!("/system.slice/{unit}"));
    assert_eq!(show(&unit, "ActiveState"), "active");
    assert_eq!(show(&unit, "Delegate"), "yes");
    c.delete_force().ok();
    assert_gone(&unit);
    Ok(())
}

fn scope_is_named_by_the_path(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("system.slice:pre:{name}"));
    let c = t.start(&b);
    assert_eq!(cgroup_path(&c), format!("/system.slice/pre-{name}.scope"));
    c.stop();
    c.delete().ok();
    assert_gone(&format!("pre-{name}.scope"));
    Ok(())
}

fn path_malformed_fails(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.set("/linux/cgroupsPath", format!("/{}", t.fresh_name()));
    let output = t.create_fails(&b);
    output.says("expected cgroupsPath to be of format \"slice:prefix:name\"");
    Ok(())
}

fn limits_are_set_and_stay_at_a_reload(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = with_resources(t);
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    let c = t.start(&b);
    let unit = format!("t-{name}.scope");
    let directory = directory(&c);
    let weight = read(&directory, "cpu.weight");
    let files = [
        ("memory.max", "52428800"),
        ("memory.low", "20971520"),
        ("pids.max", "33"),
        ("cpuset.cpus", "0"),
        ("cpu.weight", &*weight),
    ];
    let check = || {
        for (file, value) in files {
            assert_eq!(read(&directory, file), value, "{file}");
        }
    };
    check();
    assert_eq!(read(&directory, "cpu.max"), "12345 100000");
    assert_eq!(show(&unit, "MemoryMax"), "52428800");
    assert_eq!(show(&unit, "TasksMax"), "33");
    assert_eq!(show(&unit, "AllowedCPUs"), "0");
    assert_eq!(show(&unit, "CPUQuotaPerSecUSec"), "130ms");
    reload();
    // What is set of one unit is written for all of it.
    Call::new(["systemctl", "set-property", "--runtime", &unit, "MemoryHigh=40M"]).ok();
    check();
    assert_eq!(read(&directory, "memory.high"), "41943040");
    Ok(())
}

fn limits_are_there_before_start(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = with_resources(t);
    let c = t.create(&b);
    assert_eq!(read(&directory(&c), "pids.max"), "33");
    Ok(())
}

fn annotations_set_properties(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("system.slice:t:{name}")).set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopUSec": "uint64 7000000",
            "org.systemd.property.Documentation": "['man:words(1)']",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
        }),
    );
    if t.runtime.is_ours() {
        b.unset("/annotations/org.systemd.property.CollectMode");
    }
    let c = t.create(&b);
    let unit = format!("t-{name}.scope");
    assert_eq!(show(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(show(&unit, "Documentation").trim_matches('"'), "man:words(1)");
    c.delete_force().ok();
    b.set("/annotations", json!({"org.systemd.property.TimeoutStopUSec": "no value"}));
    let _ = t.create_fails(&b);
    b.set("/annotations", json!({"org.systemd.property.NoSuchThing": "'x'"}));
    let output = t.create_fails(&b);
    assert!(output.stderr.contains("NoSuchThing"), "{output}");
    Ok(())
}

fn devices_stay_denied_at_a_reload(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.writable().capabilities(&["CAP_MKNOD"]);
    b.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
    // 1:11 is /dev/kmsg, which no default rule allows.
    let look = "cat /tmp/k >/dev/null 2>&1 && echo read || echo denied";
    b.sh(&format!("mknod /tmp/k c 1 11; {look} >/out; read go </in; {look} >/out; exec sleep 1000"));
    let (mut out, mut go) = (b.fifo("/out"), b.fifo("/in"));
    let c = t.start(&b);
    let unit = format!("{}-{}.scope", t.runtime.name, c.id);
    assert_eq!(out.line(), "denied");
    reload();
    Call::new(["systemctl", "set-property", "--runtime", &unit, "MemoryHigh=40M"]).ok();
    go.send("go");
    assert_eq!(out.line(), "denied");
    Ok(())
}

fn run_returns_the_status_and_leaves_nothing(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = t.sh("exit 7");
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    let _ = t.run(&b).output().exits(7);
    assert_gone(&format!("t-{name}.scope"));
    Ok(())
}

fn out_of_memory_leaves_no_failed_unit(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = t.sh("exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    b.set("/linux/resources", json!({"memory": {"limit": 20 << 20, "swap": 20 << 20}}));
    let _ = t.run(&b).output().exits(137);
    assert_gone(&format!("t-{name}.scope"));
    Ok(())
}

fn kill_all_reaches_every_process(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.without_namespace("pid").sh("sleep 1000 & echo $! >/fifo; exec sleep 1000");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    let other = Process::open(fifo.line().parse().unwrap()).unwrap();
    t.call(&["kill", "--all", &c.id, "KILL"]).ok();
    assert!(other.wait_exit(DEADLINE));
    assert_eq!(c.wait(), Some(137));
    c.delete().ok();
    Ok(())
}

fn pause_and_resume_stop_the_scope(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let directory = directory(&c);
    c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    assert_eq!(read(&directory, "cgroup.freeze"), "1");
    c.call(&["resume"]).ok();
    assert_eq!(c.status(), "running");
    c.call(&["pause"]).ok();
    c.delete_force().ok();
    Ok(())
}

fn update_holds_at_a_reload(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = with_resources(t);
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    let c = t.start(&b);
    let unit = format!("t-{name}.scope");
    let directory = directory(&c);
    t.call(&["update", "--memory", "64M", "--pids-limit", "44", "--cpu-quota", "23456", &c.id]).ok();
    let check = || {
        assert_eq!(read(&directory, "memory.max"), "67108864");
        assert_eq!(read(&directory, "pids.max"), "44");
    };
    check();
    assert_eq!(read(&directory, "cpu.max"), "23456 100000");
    assert_eq!((show(&unit, "MemoryMax"), show(&unit, "TasksMax")), ("67108864".into(), "44".into()));
    reload();
    Call::new(["systemctl", "set-property", "--runtime", &unit, "MemoryHigh=40M"]).ok();
    check();
    let _ = t.call(&["update", "--memory", "80M", "--cpuset-cpus", "4000", &c.id]).fails();
    if t.runtime.is_ours() {
        check();
        assert_eq!(show(&unit, "MemoryMax"), "67108864");
    }
    Ok(())
}

fn create_that_fails_leaves_no_scope(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let b = t.bundle();
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}")).mount("/mnt", "no-such-fs", "none", &[]);
    let _ = t.create_fails(&b);
    assert_gone(&format!("t-{name}.scope"));
    Ok(())
}

fn user_namespace_and_joined_pid_namespace_work(t: &Test) -> Verdict {
    t.use_systemd()?;
    let holder = t.bundle();
    holder.stays();
    let first = t.start(&holder);
    let b = with_resources(t);
    b.without_namespace("pid").namespace("pid", Some(format!("/proc/{}/ns/pid", first.pid()).as_ref()));
    let second = t.start(&b);
    assert_eq!(read(&directory(&second), "pids.max"), "33");
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let b = with_resources(t);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let third = t.start(&b);
    assert_eq!(read(&directory(&third), "memory.max"), "52428800");
    Ok(())
}

fn slice_goes_with_its_last_container(t: &Test) -> Verdict {
    t.use_systemd()?;
    let outer = t.token.clone();
    let slice = format!("{outer}-in.slice");
    let start = || {
        let b = t.bundle();
        b.stays().set("/linux/cgroupsPath", format!("{slice}:t:{}", t.fresh_name()));
        t.start(&b)
    };
    let (first, second) = (start(), start());
    assert!(
        cgroup_path(&first).starts_with(&format!("/{outer}.slice/{slice}/t-")),
        "{}",
        cgroup_path(&first)
    );
    first.delete_force().ok();
    assert_eq!(second.status(), "running");
    assert_eq!(show(&slice, "ActiveState"), "active");
    second.delete_force().ok();
    // A slice without a file is always loaded.
    let end = Instant::now() + stretched(DEADLINE);
    for slice in [slice, format!("{outer}.slice")] {
        while show(&slice, "ActiveState") != "inactive" {
            assert!(Instant::now() < end, "{slice} is still active");
        }
    }
    Ok(())
}

fn scope_of_another_state_root_is_left_alone(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("system.slice:t:{}", t.fresh_name()));
    let c = t.start(&b);
    let other = t.dir.join("other");
    let call = |args: &[&str]| {
        let global = ["--root", other.to_str().unwrap(), "--systemd-cgroup"];
        t.bare_call(&global).args(args)
    };
    let _ = call(&["create", "--bundle", b.path.to_str().unwrap(), "x"]).fails();
    call(&["delete", "--force", "x"]).ok();
    assert_eq!(c.status(), "running");
    Ok(())
}

/// How often `create` is killed: the machine of these tests is slow.
const KILLS: usize = 8;

fn create_killed_leaves_nothing(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let unit = format!("t-{name}.scope");
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("system.slice:t:{name}")).write();
    let id = t.fresh_id();
    let create = || t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
    let End::Exited(0, calls) = kill_before(create(), usize::MAX) else { panic!("create failed") };
    t.call(&["delete", "--force", &id]).ok();
    for at in (0..calls).step_by(calls / KILLS + 1) {
        let _ = kill_before(create(), at);
        residue::reap_orphans(t);
        t.call(&["delete", "--force", &id]).ok();
        residue::settle(t, Duration::from_secs(5));
        assert_gone(&unit);
        let left = residue::find(t);
        assert!(left.is_empty(), "killed before its system call {at}:\n{}", left.join("\n"));
    }
    create().ok();
    Ok(())
}

fn bus_absent_is_said(t: &Test) -> Verdict {
    t.use_systemd()?;
    let (call, id) = t.bundle_call("create", &t.bundle(), &[]);
    let output = call.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere").fails();
    output.says("the system bus can't be reached");
    t.assert_missing(&id);
    Ok(())
}

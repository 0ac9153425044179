//! The systemd cgroup manager: the container's cgroup is a scope, with its limits as properties, and goes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime_tests::cgroup::read;
use runtime_tests::trace::{End, kill_before};
use runtime_tests::wait::{DEADLINE, Fifo, Process, stretched};
use runtime_tests::{Bundle, Call, Case, Container, Lane, Skip, Test, Verdict, residue};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    // The longest first: the others run beside it.
    let ours = runtime_tests::cases!("systemd":
        create_killed_leaves_nothing,
        slice_goes_with_its_last_container,
        scope_of_another_state_root_is_left_alone,
        bus_absent_is_said,
        another_pid_namespace_is_refused,
        idle_cgroup_has_no_weight,
        what_systemd_rounds_stays_as_it_was_asked_for,
        out_of_memory_group_stays,
        device_rules_updated_hold_at_a_reload,
        scope_is_in_every_hierarchy,
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
        failed_scope_of_the_name_is_no_obstacle,
        kill_all_reaches_every_process,
        pause_and_resume_stop_the_scope,
        update_holds_at_a_reload,
        update_of_the_quota_keeps_the_period,
        pids_limit_zero_and_collect_mode_are_taken,
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

/// The scope's path, in the hierarchy that systemd has its units in.
fn cgroup_path(c: &Container<'_>) -> String {
    let text = c.proc("cgroup");
    let line = |start| text.lines().find_map(|line| line.split_once(start).map(|(_, path)| path));
    line(":name=systemd:").or_else(|| line("0::")).unwrap_or_default().to_owned()
}

fn directory(t: &Test, c: &Container<'_>, controller: &str) -> PathBuf {
    t.cgroups().directory_of(c.pid(), controller).expect("the controller's cgroup")
}

/// A value for systemd, by which it writes what it was told of the unit once more: of what it has changed on v1, of all
/// on v2.
fn set_another_property(t: &Test, unit: &str) {
    let v1: &[&str] = &["CPUQuota=20%", "TasksMax=55"];
    let properties = if t.lane == Lane::V2 { &["MemoryHigh=40M"] } else { v1 };
    Call::new(["systemctl", "set-property", "--runtime", unit]).args(properties).ok();
}

/// A limit: its controller, and its files with their values on v1 and on v2.
struct Limit(&'static str, (&'static str, &'static str), (&'static str, &'static str));

/// What [`with_resources`] asks for.
const LIMITS: [Limit; 5] = [
    Limit("memory", ("memory.limit_in_bytes", "52428800"), ("memory.max", "52428800")),
    Limit("memory", ("memory.soft_limit_in_bytes", "20971520"), ("memory.low", "20971520")),
    Limit("cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
    Limit("cpu", ("cpu.shares", "512"), ("cpu.weight", "59")),
    PIDS,
];
const PIDS: Limit = Limit("pids", ("pids.max", "33"), ("pids.max", "33"));

#[track_caller]
fn assert_limit(t: &Test, c: &Container<'_>, Limit(controller, v1, v2): &Limit) {
    let cgroups = t.cgroups();
    if cgroups.has(controller) {
        let (file, value) = if cgroups.uses_v2(controller) { v2 } else { v1 };
        assert_eq!(read(&directory(t, c, controller), file), *value, "{file}");
    }
}

/// Quota and period, in µs.
fn bandwidth(t: &Test, c: &Container<'_>) -> String {
    let directory = directory(t, c, "cpu");
    if t.lane == Lane::V2 {
        return read(&directory, "cpu.max");
    }
    format!("{} {}", read(&directory, "cpu.cfs_quota_us"), read(&directory, "cpu.cfs_period_us"))
}

/// Asks until a unit is unloaded: systemd does so in its own time, and tells nobody.
fn assert_gone(unit: &str) {
    let end = Instant::now() + stretched(DEADLINE);
    while show(unit, "LoadState") != "not-found" {
        assert!(Instant::now() < end, "{unit}: {}", Call::new(["systemctl", "status", unit]).output());
    }
}

/// Limits of those controllers that are there.
fn with_resources(t: &Test) -> Bundle {
    let b = t.bundle();
    b.stays().set(
        "/linux/resources",
        json!({"cpu": {"shares": 512, "quota": 12345, "period": 100_000}, "pids": {"limit": 33}}),
    );
    if t.cgroups().has("memory") {
        b.set("/linux/resources/memory", json!({"limit": 50 << 20, "reservation": 20 << 20}));
    }
    if t.cgroups().has("cpuset") {
        b.set("/linux/resources/cpu/cpus", "0");
    }
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
    LIMITS.iter().for_each(|limit| assert_limit(t, &c, limit));
    assert_eq!(bandwidth(t, &c), "12345 100000");
    assert_eq!(show(&unit, "TasksMax"), "33");
    assert_eq!(show(&unit, "CPUQuotaPerSecUSec"), "130ms");
    let cgroups = t.cgroups();
    if t.lane == Lane::V2 {
        assert_eq!(show(&unit, "MemoryMax"), "52428800");
        assert_eq!(show(&unit, "AllowedCPUs"), "0");
    } else {
        assert_eq!(show(&unit, "CPUShares"), "512");
        if cgroups.has("memory") {
            assert_eq!(show(&unit, "MemoryLimit"), "52428800");
        }
    }
    reload();
    set_another_property(t, &unit);
    LIMITS
        .iter()
        .filter(|limit| limit.0 != "pids" || t.lane == Lane::V2)
        .for_each(|limit| assert_limit(t, &c, limit));
    if t.lane == Lane::V2 {
        assert_eq!(read(&directory(t, &c, "memory"), "memory.high"), "41943040");
    } else {
        assert_eq!(read(&directory(t, &c, "pids"), "pids.max"), "55");
    }
    Ok(())
}

fn limits_are_there_before_start(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = with_resources(t);
    let c = t.create(&b);
    LIMITS.iter().for_each(|limit| assert_limit(t, &c, limit));
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
    b.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
    let (mut out, mut go) = look_at_disk(&b, disk()?);
    let c = t.start(&b);
    let unit = format!("{}-{}.scope", t.runtime.name, c.id);
    assert_eq!(out.line(), "denied");
    reload();
    set_another_property(t, &unit);
    if t.lane != Lane::V2 {
        // By this systemd sets the device controller.
        Call::new(["systemctl", "set-property", "--runtime", &unit, "DeviceAllow=/dev/char/1:99 r"]).ok();
    }
    go.send("go");
    assert_eq!(out.line(), "denied");
    Ok(())
}

/// Numbers of the machine's disk, which no default rule allows.
fn disk() -> Result<(u32, u32), Skip> {
    let device = rustix::fs::stat("/").expect("stat /").st_dev;
    match (rustix::fs::major(device), rustix::fs::minor(device)) {
        (0, _) => Err(Skip::new("this machine's root file system is not on a disk")),
        numbers => Ok(numbers),
    }
}

/// Lets a container tell what it can open, now and whenever it is asked. Devices by default are always among it.
fn look_at_disk(b: &Bundle, (major, minor): (u32, u32)) -> (Fifo, Fifo) {
    b.writable().capabilities(&["CAP_MKNOD"]);
    let look = "(head -c 1 /dev/zero >/dev/null && { head -c 512 /tmp/d >/dev/null && echo read || echo denied; } \
                || echo nothing) >/out";
    b.sh(&format!("mknod /tmp/d b {major} {minor}; {look}; while read go </in; do {look}; done"));
    (b.fifo("/out"), b.fifo("/in"))
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
    t.needs_controller("memory")?;
    let name = t.fresh_name();
    let b = t.sh("exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    b.set("/linux/resources", json!({"memory": {"limit": 20 << 20, "swap": 20 << 20}}));
    let _ = t.run(&b).output().exits(137);
    assert_gone(&format!("t-{name}.scope"));
    Ok(())
}

/// What systemd has ended for its time is failed, and stays loaded under its name.
fn failed_scope_of_the_name_is_no_obstacle(t: &Test) -> Verdict {
    t.use_systemd()?;
    let name = t.fresh_name();
    let unit = format!("t-{name}.scope");
    let scope = ["systemd-run", "--scope", "--quiet", "--property=RuntimeMaxSec=1", "--unit"];
    let _ = Call::new(scope).args([&*unit, "sleep", "1000"]).output();
    let begin = Instant::now();
    while show(&unit, "ActiveState") != "failed" {
        assert!(begin.elapsed() < stretched(DEADLINE), "{}", show(&unit, "ActiveState"));
    }
    let b = t.sh("exit 7");
    b.set("/linux/cgroupsPath", format!("system.slice:t:{name}"));
    let _ = t.run(&b).output().exits(7);
    assert_gone(&unit);
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
    c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    if t.lane == Lane::V2 {
        assert_eq!(read(&directory(t, &c, "freezer"), "cgroup.freeze"), "1");
    }
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
    let has_memory = t.cgroups().has("memory");
    let memory: &[&str] = if has_memory { &["--memory", "64M"] } else { &[] };
    t.call(&["update", "--pids-limit", "44", "--cpu-share", "256", "--cpu-quota", "23456"])
        .args(memory)
        .args([&c.id])
        .ok();
    let check = || {
        assert_limit(
            t,
            &c,
            &Limit("memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864")),
        );
        assert_limit(t, &c, &Limit("cpu", ("cpu.shares", "256"), ("cpu.weight", "35")));
        assert_limit(t, &c, &Limit("pids", ("pids.max", "44"), ("pids.max", "44")));
    };
    check();
    assert_eq!(bandwidth(t, &c), "23456 100000");
    assert_eq!(show(&unit, "TasksMax"), "44");
    assert_eq!(show(&unit, "CPUQuotaPerSecUSec"), "240ms");
    let limit = || show(&unit, if t.lane == Lane::V2 { "MemoryMax" } else { "MemoryLimit" });
    if has_memory {
        assert_eq!(limit(), "67108864");
    }
    reload();
    if t.lane == Lane::V2 {
        set_another_property(t, &unit);
    } else {
        Call::new(["systemctl", "set-property", "--runtime", &unit, "CPUQuota=20%"]).ok();
    }
    check();
    if !has_memory {
        return Ok(());
    }
    let _ = t.call(&["update", "--memory", "80M", "--cpuset-cpus", "4000", &c.id]).fails();
    if t.runtime.is_ours() {
        check();
        assert_eq!(limit(), "67108864");
    }
    Ok(())
}

/// systemd knows only what quota and period make together: of the one that is not asked for it is told what counts.
fn update_of_the_quota_keeps_the_period(t: &Test) -> Verdict {
    t.use_systemd()?;
    t.needs_controller("cpu")?;
    let name = t.fresh_name();
    let b = t.bundle();
    b.stays()
        .set("/linux/cgroupsPath", format!("system.slice:t:{name}"))
        .set("/linux/resources", json!({"cpu": {"quota": 20_000, "period": 50_000}}));
    let c = t.start(&b);
    let per_second = || show(&format!("t-{name}.scope"), "CPUQuotaPerSecUSec");
    assert_eq!((bandwidth(t, &c), per_second()), ("20000 50000".to_owned(), "400ms".to_owned()));
    t.call(&["update", "--cpu-quota", "10000", &c.id]).ok();
    assert_eq!((bandwidth(t, &c), per_second()), ("10000 50000".to_owned(), "200ms".to_owned()));
    t.call(&["update", "--cpu-quota", "-1", &c.id]).ok();
    let unlimited = if t.lane == Lane::V2 { "max 50000" } else { "-1 50000" };
    assert_eq!((bandwidth(t, &c), per_second()), (unlimited.to_owned(), "infinity".to_owned()));
    Ok(())
}

/// systemd makes the cgroups of some hierarchies, the runtime the others: init is in all of them, and all are gone.
fn scope_is_in_every_hierarchy(t: &Test) -> Verdict {
    t.use_systemd()?;
    if t.lane == Lane::V2 {
        return Err(Skip::new("there is one hierarchy here"));
    }
    let name = t.fresh_name();
    let slice = format!("{}.slice", t.token);
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("{slice}:t:{name}"));
    let (first, second) = (t.start(&b), {
        b.set("/linux/cgroupsPath", format!("{slice}:t:{name}b"));
        t.start(&b)
    });
    let path = format!("/{slice}/t-{name}.scope");
    let text = first.proc("cgroup");
    for line in text.lines() {
        assert!(line.ends_with(&format!(":{path}")), "{text}");
    }
    let exec = t.call(&["exec", &first.id, "cat", "/proc/self/cgroup"]).ok();
    let inside = exec.text().lines().count();
    assert_eq!(inside, text.lines().count(), "{}", exec.text());
    first.delete_force().ok();
    assert_eq!(second.status(), "running");
    second.delete_force().ok();
    let end = Instant::now() + stretched(DEADLINE);
    loop {
        let left = t.cgroups().directories_named(&t.token);
        if left.is_empty() {
            return Ok(());
        }
        assert!(Instant::now() < end, "{left:?}");
    }
}

/// On v1 the list of devices is also systemd's.
fn device_rules_updated_hold_at_a_reload(t: &Test) -> Verdict {
    t.use_systemd()?;
    let b = t.bundle();
    let (major, minor) = disk()?;
    let (mut out, mut go) = look_at_disk(&b, (major, minor));
    let c = t.start(&b);
    let unit = format!("{}-{}.scope", t.runtime.name, c.id);
    assert_eq!(out.line(), "denied");
    let resources = t.dir.join("resources.json");
    let devices =
        json!({"devices": [{"allow": true, "type": "b", "major": major, "minor": minor, "access": "r"}]});
    std::fs::write(&resources, devices.to_string()).unwrap();
    t.call(&["update", "--resources", resources.to_str().unwrap(), &c.id]).ok();
    reload();
    if t.lane != Lane::V2 {
        Call::new(["systemctl", "set-property", "--runtime", &unit, "DeviceAllow=/dev/char/1:99 r"]).ok();
    }
    go.send("go");
    assert_eq!(out.line(), "read");
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
    assert_limit(t, &second, &PIDS);
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let b = with_resources(t);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let third = t.start(&b);
    LIMITS.iter().for_each(|limit| assert_limit(t, &third, limit));
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

/// systemd sets all limits of a scope whenever it is told of one.
fn what_systemd_rounds_stays_as_it_was_asked_for(t: &Test) -> Verdict {
    t.use_systemd()?;
    t.needs_controller("cpu")?;
    t.needs_controller("pids")?;
    let b = t.bundle();
    let limits = json!({"cpu": {"quota": 12345, "period": 50_000}, "pids": {"limit": 40}});
    b.stays().set("/linux/resources", limits);
    let c = t.start(&b);
    assert_eq!(bandwidth(t, &c), "12345 50000");
    t.call(&["update", "--pids-limit", "50", &c.id]).ok();
    assert_eq!(bandwidth(t, &c), "12345 50000");
    assert_limit(t, &c, &Limit("pids", ("pids.max", "50"), ("pids.max", "50")));
    Ok(())
}

/// A kubelet asks for it with every container.
fn out_of_memory_group_stays(t: &Test) -> Verdict {
    t.use_systemd()?;
    t.needs_controller("memory")?;
    if t.lane != Lane::V2 {
        return Err(Skip::new("only with v2 alone"));
    }
    let b = t.bundle();
    b.stays().set("/linux/resources", json!({"unified": {"memory.oom.group": "1"}}));
    let c = t.start(&b);
    let unit = format!("sandboxd-{}.scope", c.id);
    assert_eq!(show(&unit, "OOMPolicy"), "kill");
    t.call(&["update", "--pids-limit", "50", &c.id]).ok();
    reload();
    set_another_property(t, &unit);
    assert_eq!(read(&directory(t, &c, "memory"), "memory.oom.group"), "1");
    Ok(())
}

/// systemd knows no limit of 0; and CRI-O asks for a mode that is set anyway.
fn pids_limit_zero_and_collect_mode_are_taken(t: &Test) -> Verdict {
    t.use_systemd()?;
    t.needs_controller("pids")?;
    let b = t.bundle();
    b.stays().set("/linux/resources", json!({"pids": {"limit": 0}}));
    b.set("/annotations", json!({"org.systemd.property.CollectMode": "'inactive-or-failed'"}));
    let c = t.start(&b);
    let limit = read(&directory(t, &c, "pids"), "pids.max");
    assert!(limit == "0" || !t.runtime.is_ours(), "{limit}");
    Ok(())
}

/// systemd goes by numbers of processes: from another pid namespace they would be those of others.
fn another_pid_namespace_is_refused(t: &Test) -> Verdict {
    t.use_systemd()?;
    let (call, id) = t.bundle_call("create", &t.bundle(), &[]);
    let output = call.through(["unshare", "--pid", "--fork", "--kill-child"]).fails();
    output.says("systemd is in another pid namespace");
    t.assert_missing(&id);
    Ok(())
}

/// The kernel refuses an idle cgroup's weight, and systemd has made it idle before the limits are written.
fn idle_cgroup_has_no_weight(t: &Test) -> Verdict {
    t.use_systemd()?;
    t.needs_controller("cpu")?;
    let b = t.bundle();
    b.stays().set("/linux/resources", json!({"cpu": {"shares": 512, "idle": 1}}));
    let c = t.start(&b);
    assert_eq!(read(&directory(t, &c, "cpu"), "cpu.idle"), "1");
    Ok(())
}

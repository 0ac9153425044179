//! `update`: each limit, by file and by flag; only what is asked for changes; all of it or nothing; races with the end.

use std::fs;
use std::path::PathBuf;
use std::thread;

use runtime_tests::cgroup::read;
use runtime_tests::disk::{self, Disk};
use runtime_tests::{Case, Container, Lane, Skip, Test, Verdict, cases};
use serde_json::{Value, json};

type Run = fn(&Test) -> Verdict;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["update":
        pids_by_flag_and_by_file,
        memory_limits_with_units,
        memory_raised_above_the_old_swap_limit,
        memory_unlimited,
        cpu_shares_quota_and_period,
        cpu_period_alone_keeps_the_quota,
        cpuset,
        block_io_throttles_by_file,
        resources_from_stdin,
        created_container_can_be_updated,
        paused_container_can_be_updated,
        stopped_container_fails,
        missing_container_fails,
        invalid_values_fail,
        missing_resources_file_fails,
        cache_schema_fails_where_there_is_none,
        empty_resources_change_nothing,
        what_a_hook_allows_stays_where_the_rules_do,
    ];
    let ours: &[(&str, Run)] = &[
        ("cpu_burst_and_idle_by_flag", burst_and_idle),
        ("cpu_real_time_by_flag", real_time),
        ("block_io_weight_by_flag", block_io_weight),
        ("refused_value_takes_back_the_others", refused),
        ("refused_device_rules_take_back_the_others", refused_devices),
        ("device_rules_are_replaced", devices),
        ("device_rules_stay_when_not_asked_for", devices_stay),
        ("device_rules_are_replaced_without_a_gap", devices_without_a_gap),
        ("limit_above_the_usage_is_checked_where_asked", check_before_update),
        ("hugepage_limit_that_create_did_not_set", hugepages),
        ("pids_limit_zero_asks_nothing", pids_zero),
        ("last_of_two_values_for_a_file_stays", two_values),
        ("races_with_exit_and_delete", races),
    ];
    all.extend(ours.iter().map(|(name, run)| Case::new(format!("update::{name}"), run).only_ours()));
    all
}

fn running<'t>(t: &'t Test, resources: &Value) -> Container<'t> {
    let b = t.bundle();
    b.set("/linux/resources", resources.clone()).stays();
    t.start(&b)
}

fn directory(t: &Test, c: &Container<'_>, controller: &str) -> PathBuf {
    t.cgroups().directory_of(c.pid(), controller).unwrap()
}

/// The value of a limit: v1's file, or v2's.
fn value(t: &Test, c: &Container<'_>, controller: &str, v1: &str, v2: &str) -> String {
    read(&directory(t, c, controller), if t.cgroups().uses_v2(controller) { v2 } else { v1 })
}

fn by_file(t: &Test, c: &Container<'_>, resources: &Value) -> runtime_tests::Call {
    let file = t.dir.join(t.fresh_name());
    fs::write(&file, resources.to_string()).unwrap();
    c.call(&["update", "--resources", file.to_str().unwrap()])
}

fn pids_by_flag_and_by_file(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let c = running(t, &json!({"pids": {"limit": 100}}));
    let pids = || value(t, &c, "pids", "pids.max", "pids.max");
    c.call(&["update", "--pids-limit", "20"]).ok();
    assert_eq!(pids(), "20");
    by_file(t, &c, &json!({"pids": {"limit": 30}})).ok();
    assert_eq!(pids(), "30");
    c.call(&["update", "--pids-limit=-1"]).ok();
    assert_eq!(pids(), "max");
    Ok(())
}

fn memory_limits_with_units(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let c = running(t, &json!({"memory": {"limit": 104_857_600}}));
    c.call(&["update", "--memory", "64m", "--memory-reservation", "32M"]).ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(value(t, &c, "memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    by_file(t, &c, &json!({"memory": {"limit": 52_428_800}})).ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "52428800");
    assert_eq!(value(t, &c, "memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    c.call(&["update", "--kernel-memory", "1m", "--memory", "60m"]).ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "62914560");
    Ok(())
}

fn has_swap_limit(t: &Test, c: &Container<'_>) -> Result<(), Skip> {
    let directory = directory(t, c, "memory");
    if ["memory.memsw.limit_in_bytes", "memory.swap.max"].iter().any(|file| directory.join(file).exists()) {
        Ok(())
    } else {
        Err(Skip::new("the kernel has no limit of swap"))
    }
}

fn memory_raised_above_the_old_swap_limit(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let c = running(t, &json!({"memory": {"limit": 52_428_800}}));
    has_swap_limit(t, &c)?;
    let swap = || value(t, &c, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    let v2 = t.cgroups().uses_v2("memory");
    c.call(&["update", "--memory", "64m", "--memory-swap", "64m"]).ok();
    assert_eq!(swap(), if v2 { "0" } else { "67108864" });
    // Both up, then both down: neither may be written in a fixed order on v1.
    c.call(&["update", "--memory", "128m", "--memory-swap", "256m"]).ok();
    assert_eq!(swap(), if v2 { "134217728" } else { "268435456" });
    c.call(&["update", "--memory", "32m", "--memory-swap", "48m"]).ok();
    assert_eq!(swap(), if v2 { "16777216" } else { "50331648" });
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "33554432");
    Ok(())
}

fn memory_unlimited(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let c = running(t, &json!({"memory": {"limit": 52_428_800}}));
    c.call(&["update", "--memory=-1"]).ok();
    let v2 = t.cgroups().uses_v2("memory");
    let unlimited = if v2 { "max" } else { "9223372036854771712" };
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), unlimited);
    Ok(())
}

fn cpu_shares_quota_and_period(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let c = running(t, &json!({}));
    c.call(&["update", "--cpu-share", "1024", "--cpu-quota", "20000", "--cpu-period", "50000"]).ok();
    if t.cgroups().uses_v2("cpu") {
        assert_eq!(value(t, &c, "cpu", "", "cpu.max"), "20000 50000");
        let weight = value(t, &c, "cpu", "", "cpu.weight");
        // The older conversion of shares, of the distribution's runtimes.
        assert!(weight == "100" || (t.runtime.name != "sandboxd" && weight == "39"), "{weight}");
    } else {
        assert_eq!(value(t, &c, "cpu", "cpu.shares", ""), "1024");
        assert_eq!(value(t, &c, "cpu", "cpu.cfs_quota_us", ""), "20000");
        assert_eq!(value(t, &c, "cpu", "cpu.cfs_period_us", ""), "50000");
    }
    c.call(&["update", "--cpu-quota", "-1"]).ok();
    assert_eq!(
        value(t, &c, "cpu", "cpu.cfs_quota_us", "cpu.max"),
        if t.cgroups().uses_v2("cpu") { "max 50000" } else { "-1" }
    );
    Ok(())
}

fn cpu_period_alone_keeps_the_quota(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let c = running(t, &json!({"cpu": {"quota": 30_000, "period": 100_000}}));
    by_file(t, &c, &json!({"cpu": {"period": 60_000}})).ok();
    if t.cgroups().uses_v2("cpu") {
        assert_eq!(value(t, &c, "cpu", "", "cpu.max"), "30000 60000");
    } else {
        assert_eq!(value(t, &c, "cpu", "cpu.cfs_quota_us", ""), "30000");
        assert_eq!(value(t, &c, "cpu", "cpu.cfs_period_us", ""), "60000");
    }
    Ok(())
}

fn cpuset(t: &Test) -> Verdict {
    t.needs_controller("cpuset")?;
    let c = running(t, &json!({}));
    c.call(&["update", "--cpuset-cpus", "0", "--cpuset-mems", "0"]).ok();
    assert_eq!(value(t, &c, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    let output = c.call(&["update", "--cpuset-cpus", "4000"]).fails();
    assert!(output.stderr.contains("cpuset.cpus"), "{output}");
    assert_eq!(value(t, &c, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    Ok(())
}

fn burst_and_idle(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let c = running(t, &json!({"cpu": {"quota": 50_000, "period": 100_000}}));
    c.call(&["update", "--cpu-burst", "20000"]).ok();
    assert_eq!(value(t, &c, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "20000");
    for idle in ["1", "0"] {
        c.call(&["update", "--cpu-idle", idle]).ok();
        assert_eq!(value(t, &c, "cpu", "cpu.idle", "cpu.idle"), idle);
    }
    Ok(())
}

fn real_time(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let c = running(t, &json!({}));
    let real_time = c.call(&["update", "--cpu-rt-period", "500000", "--cpu-rt-runtime", "2000"]);
    if !directory(t, &c, "cpu").join("cpu.rt_runtime_us").exists() {
        let _ = real_time.fails().says("/cpu/realtime");
        return Ok(());
    }
    t.cgroups().groups_real_time()?;
    real_time.ok();
    let files = ["cpu.rt_period_us", "cpu.rt_runtime_us"];
    assert_eq!(files.map(|file| value(t, &c, "cpu", file, file)), ["500000", "2000"]);
    Ok(())
}

/// Whoever schedules the devices has files of its own for it, or none.
fn block_io_weight(t: &Test) -> Verdict {
    let controller = if t.cgroups().v1_root("blkio").is_some() { "blkio" } else { "io" };
    t.needs_controller(controller)?;
    let c = running(t, &json!({}));
    let files = ["blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight"];
    let there = files.iter().find(|file| directory(t, &c, controller).join(file).exists());
    let update = c.call(&["update", "--blkio-weight", "500"]);
    let Some(file) = there else {
        let _ = update.fails().says("/blockIO/weight");
        return Ok(());
    };
    update.ok();
    let text = read(&directory(t, &c, controller), file);
    // v2's scale is another one, from 1 to 10000.
    let numbers =
        if *file == "io.weight" { ["default 4950", "default 4951"] } else { ["500", "default 500"] };
    assert!(numbers.iter().any(|number| text.starts_with(number)), "{file}: {text}");
    Ok(())
}

fn block_io_throttles_by_file(t: &Test) -> Verdict {
    if t.runtime.name == "runc" {
        return Err(Skip::new("runc's update takes no throttles"));
    }
    if t.cgroups().v1_root("blkio").is_none() {
        t.needs_controller("io")?;
    }
    let (major, minor) = disk::any()?;
    let c = running(t, &json!({}));
    let throttle = |rate: u64| json!({"blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": rate}]}});
    let now = || {
        let v1 = t.cgroups().v1_root("blkio").is_some();
        let (controller, file) =
            if v1 { ("blkio", "blkio.throttle.read_bps_device") } else { ("io", "io.max") };
        read(&directory(t, &c, controller), file)
    };
    by_file(t, &c, &throttle(1_048_576)).ok();
    assert!(now().contains("1048576"), "{}", now());
    by_file(t, &c, &throttle(0)).ok();
    assert_eq!(now(), "");
    Ok(())
}

fn resources_from_stdin(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let c = running(t, &json!({}));
    c.call(&["update", "-r", "-"]).stdin(r#"{"pids": {"limit": 44}}"#).ok();
    assert_eq!(value(t, &c, "pids", "pids.max", "pids.max"), "44");
    // As the containerd shim writes it, with flags that don't count beside it.
    c.call(&["update", "--resources=-", "--pids-limit", "7"]).stdin(r#"{"pids": {"limit": 45}}"#).ok();
    assert_eq!(value(t, &c, "pids", "pids.max", "pids.max"), "45");
    Ok(())
}

fn created_container_can_be_updated(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.call(&["update", "--pids-limit", "21"]).ok();
    assert_eq!(value(t, &c, "pids", "pids.max", "pids.max"), "21");
    c.start();
    assert_eq!(c.status(), "running");
    Ok(())
}

fn paused_container_can_be_updated(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let c = running(t, &json!({}));
    c.call(&["pause"]).ok();
    c.call(&["update", "--pids-limit", "22"]).ok();
    assert_eq!(value(t, &c, "pids", "pids.max", "pids.max"), "22");
    assert_eq!(c.status(), "paused");
    Ok(())
}

fn stopped_container_fails(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    c.stop();
    c.call(&["update", "--pids-limit", "22"]).fails().says("container not running");
    Ok(())
}

fn missing_container_fails(t: &Test) -> Verdict {
    t.call(&["update", "--pids-limit", "22", &t.fresh_name()]).fails().says("does not exist");
    Ok(())
}

fn invalid_values_fail(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    for flag in ["memory", "memory-swap", "memory-reservation", "cpu-period", "cpu-quota", "cpu-share"] {
        let output = c.call(&["update", &format!("--{flag}=x")]).fails();
        assert!(output.stderr.contains(&format!("invalid value for {flag}")), "{output}");
    }
    by_file(t, &c, &json!({"pids": {"limit": "many"}})).fails();
    c.call(&["update", "--resources", "-"]).stdin("{").fails();
    Ok(())
}

fn missing_resources_file_fails(t: &Test) -> Verdict {
    let c = running(t, &json!({}));
    c.call(&["update", "--resources", "/no/such/file"]).fails().says("no such file or directory");
    Ok(())
}

fn cache_schema_fails_where_there_is_none(t: &Test) -> Verdict {
    if std::path::Path::new("/sys/fs/resctrl/schemata").exists() {
        return Err(Skip::new("this machine has resctrl"));
    }
    let c = running(t, &json!({}));
    c.call(&["update", "--l3-cache-schema", "L3:0=f"]).fails().says("l3 cache schema is not enabled");
    c.call(&["update", "--mem-bw-schema", "MB:0=50"]).fails().says("memory bandwidth schema is not enabled");
    // Beside a file too, which has no such members.
    let beside = c.call(&["update", "--resources", "-", "--l3-cache-schema", "L3:0=f"]).stdin("{}");
    beside.fails().says("l3 cache schema is not enabled");
    Ok(())
}

fn empty_resources_change_nothing(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let c = running(t, &json!({"memory": {"limit": 52_428_800}}));
    by_file(t, &c, &json!({})).ok();
    c.call(&["update"]).ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "52428800");
    Ok(())
}

/// Of the limits of one call the last is refused: the others are as before.
fn refused(t: &Test) -> Verdict {
    for controller in ["pids", "memory", "cpu", "cpuset"] {
        t.needs_controller(controller)?;
    }
    let c =
        running(t, &json!({"memory": {"limit": 52_428_800}, "pids": {"limit": 50}, "cpu": {"shares": 512}}));
    let snapshot = || {
        [
            value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"),
            value(t, &c, "memory", "memory.soft_limit_in_bytes", "memory.low"),
            value(t, &c, "pids", "pids.max", "pids.max"),
            value(t, &c, "cpu", "cpu.shares", "cpu.weight"),
            value(t, &c, "cpu", "cpu.cfs_quota_us", "cpu.max"),
            value(t, &c, "cpuset", "cpuset.cpus", "cpuset.cpus"),
        ]
    };
    let before = snapshot();
    let everything = json!({
        "memory": {"limit": 33_554_432, "reservation": 16_777_216},
        "pids": {"limit": 60},
        "cpu": {"shares": 2048, "quota": 20_000, "period": 50_000, "cpus": "4000"},
        "blockIO": {"throttleReadBpsDevice": []},
    });
    let output = by_file(t, &c, &everything).fails();
    assert!(output.stderr.contains("cpuset.cpus"), "{output}");
    assert!(output.stderr.contains("/linux/resources/cpu/cpus"), "{output}");
    assert_eq!(snapshot(), before);
    // What is recorded has not changed either: the next one starts from there.
    c.call(&["update", "--pids-limit", "51"]).ok();
    let mut expected = before;
    expected[2] = "51".to_owned();
    assert_eq!(snapshot(), expected);
    Ok(())
}

/// Engines send all limits, `unified` after what it corrects, as often as one of them changes.
fn two_values(t: &Test) -> Verdict {
    let v2 = t.cgroups().uses_v2("hugetlb");
    t.needs_controller("hugetlb")?;
    let both = if v2 && t.lane == Lane::V2 {
        let pages = json!([{"pageSize": "2MB", "limit": 0}]);
        json!({"hugepageLimits": pages, "unified": {"hugetlb.2MB.max": "4194304"}})
    } else {
        let pages = |limit| json!({"pageSize": "2MB", "limit": limit});
        json!({"hugepageLimits": [pages(0), pages(4_194_304)]})
    };
    let b = t.bundle();
    b.stays().set("/linux/resources", both.clone());
    let c = t.start(&b);
    let limit = || value(t, &c, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
    for _ in 0..3 {
        assert_eq!(limit(), "4194304");
        by_file(t, &c, &both).ok();
    }
    Ok(())
}

/// A device that a hook has allowed beside the config's rules, as those of GPUs do, outlives an update with the same rules.
fn what_a_hook_allows_stays_where_the_rules_do(t: &Test) -> Verdict {
    if t.cgroups().v1_root("devices").is_none() {
        return Err(Skip::new("v2 has no list of device rules"));
    }
    let c = running(t, &json!({"devices": denied()}));
    let devices = t.cgroups().directory_of(c.pid(), "devices").unwrap();
    fs::write(devices.join("devices.allow"), "c 10:229 rwm").unwrap();
    by_file(t, &c, &json!({"devices": denied(), "pids": {"limit": 50}})).ok();
    assert!(read(&devices, "devices.list").contains("c 10:229 rwm"));
    Ok(())
}

/// What the container finds that asked itself, at a signal, whether it can open its /dev/fuse.
struct Opener<'t> {
    container: Container<'t>,
    fifo: runtime_tests::wait::Fifo,
}

impl<'t> Opener<'t> {
    fn start(t: &'t Test, rules: Value) -> Self {
        let b = t.bundle();
        b.sh(
            "trap 'if (true </dev/fuse) 2>/dev/null; then echo allowed; else echo denied; fi >/fifo' USR1; \
            echo ready >/fifo; while :; do sleep 1000 & wait $!; done",
        );
        b.set("/linux/resources/devices", rules);
        b.set(
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}]),
        );
        let mut fifo = b.fifo("/fifo");
        let container = t.start(&b);
        assert_eq!(fifo.line(), "ready");
        Self { container, fifo }
    }

    #[track_caller]
    fn finds(&mut self, t: &Test, expected: &str) {
        self.container.kill("USR1").ok();
        let found = self.fifo.line();
        let lists = || -> Vec<_> {
            let of = |directory: &std::path::PathBuf| fs::read_to_string(directory.join("devices.list")).ok();
            t.cgroups().directories_named(&self.container.id).iter().filter_map(of).collect()
        };
        assert_eq!(found, expected, "devices.list: {:?}", lists());
    }
}

fn denied() -> Value {
    json!([{"allow": false, "access": "rwm"}])
}

fn allowed() -> Value {
    json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}])
}

fn devices(t: &Test) -> Verdict {
    let mut opener = Opener::start(t, denied());
    opener.finds(t, "denied");
    let all = json!([{"allow": true, "access": "rwm"}]);
    for (rules, answer) in
        [(allowed(), "allowed"), (denied(), "denied"), (all, "allowed"), (denied(), "denied")]
    {
        by_file(t, &opener.container, &json!({"devices": rules})).ok();
        opener.finds(t, answer);
    }
    Ok(())
}

/// What is allowed before and afterwards, and what is denied, is so meanwhile: the container tries without a pause.
fn devices_without_a_gap(t: &Test) -> Verdict {
    let disk = Disk::blank(&t.dir.join("disk"))?;
    let (major, minor) = disk.numbers();
    let b = t.bundle();
    b.sh("n=0; while [ ! -e /stop ]; do \
           (true </dev/fuse) 2>>/wrong || echo refused >>/wrong; \
           (true </dev/loop) 2>/dev/null && echo allowed >>/wrong; \
           n=$((n + 1)); [ $n = 5 ] && echo ready >/fifo; \
         done; echo $n >/fifo");
    let node = |path: &str, kind: &str, major: u64, minor: u64| json!({"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 438});
    b.set("/linux/devices", json!([node("/dev/fuse", "c", 10, 229), node("/dev/loop", "b", major, minor)]));
    b.set("/linux/resources/devices", allowed()).writable();
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    let mut more = allowed();
    more.as_array_mut()
        .unwrap()
        .push(json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}));
    for _ in 0..10 {
        by_file(t, &c, &json!({"devices": more})).ok();
        by_file(t, &c, &json!({"devices": allowed()})).ok();
    }
    fs::write(b.inside("stop"), "").unwrap();
    let rounds: u32 = fifo.line().trim().parse().unwrap();
    assert!(rounds > 5, "{rounds}");
    assert_eq!(fs::read_to_string(b.inside("wrong")).unwrap_or_default(), "", "of {rounds} rounds");
    Ok(())
}

fn devices_stay(t: &Test) -> Verdict {
    let mut opener = Opener::start(t, denied());
    by_file(t, &opener.container, &json!({"devices": allowed()})).ok();
    by_file(t, &opener.container, &json!({})).ok();
    opener.container.call(&["pause"]).ok();
    opener.container.call(&["resume"]).ok();
    opener.finds(t, "allowed");
    Ok(())
}

/// A limit that is refused after the filter's turn, or before: the filter is the old one in the end.
fn refused_devices(t: &Test) -> Verdict {
    let mut opener = Opener::start(t, denied());
    let unknown = json!({"devices": allowed(), "hugepageLimits": [{"pageSize": "3MB", "limit": 5}], "cpu": {"cpus": "4000"}});
    by_file(t, &opener.container, &unknown).fails();
    opener.finds(t, "denied");
    // v1 can't hold a hole in a wildcard: refused before anything is done.
    if t.lane != Lane::V2 {
        let hole = json!([
            {"allow": true, "type": "c", "major": 10, "access": "rwm"},
            {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        ]);
        let output = by_file(t, &opener.container, &json!({"devices": hole, "pids": {"limit": 77}})).fails();
        assert!(output.stderr.contains("/linux/resources/devices/1"), "{output}");
        assert_ne!(value(t, &opener.container, "pids", "pids.max", "pids.max"), "77");
    }
    Ok(())
}

fn check_before_update(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let c = running(t, &json!({"memory": {"limit": 52_428_800}}));
    let output = by_file(t, &c, &json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}})).fails();
    assert!(output.stderr.contains("rejecting memory limit 4096 <= usage"), "{output}");
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes", "memory.max"), "52428800");
    Ok(())
}

fn hugepages(t: &Test) -> Verdict {
    let hugetlb = t.cgroups().v1_root("hugetlb").is_some()
        || t.cgroups().v2_root().is_some_and(|root| {
            read(root, "cgroup.controllers").split_whitespace().any(|name| name == "hugetlb")
        });
    if !hugetlb {
        return Err(Skip::new("no hugetlb controller in this view"));
    }
    let c = running(t, &json!({}));
    by_file(t, &c, &json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]})).ok();
    let found: Vec<_> = t
        .cgroups()
        .directories_named(&c.id)
        .iter()
        .flat_map(|directory| {
            ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "hugetlb.2MB.limit_in_bytes"]
                .map(|file| directory.join(file))
        })
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    assert!(!found.is_empty() && found.iter().all(|text| text.trim() == "4194304"), "{found:?}");
    Ok(())
}

fn pids_zero(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let c = running(t, &json!({"pids": {"limit": 50}}));
    by_file(t, &c, &json!({"pids": {"limit": 0}, "memory": {}, "cpu": {}})).ok();
    assert_eq!(value(t, &c, "pids", "pids.max", "pids.max"), "50");
    Ok(())
}

/// Each update succeeds or says why not; afterwards nothing is left.
fn races(t: &Test) -> Verdict {
    for round in 0..10 {
        let c = running(t, &json!({}));
        let resources = json!({"pids": {"limit": 100 + round}, "devices": allowed()});
        let mut calls: Vec<_> = (0..3).map(|_| by_file(t, &c, &resources)).collect();
        calls.push(if round % 2 == 0 { c.delete_force() } else { c.kill("KILL") });
        if t.lane == Lane::V2 {
            calls.truncate(4);
        }
        let running: Vec<_> = calls.into_iter().map(runtime_tests::Call::start).collect();
        let threads: Vec<_> = running.into_iter().map(|running| thread::spawn(|| running.wait())).collect();
        for thread in threads {
            let output = thread.join().unwrap();
            let known =
                ["container not running", "does not exist", "no such file or directory", "no such device"];
            let said = known.iter().any(|words| output.stderr.contains(words))
                || output.stderr.contains("cgroup controller pids is not available");
            assert!(output.status.success() || said, "{output}");
        }
        assert!(c.process.wait_exit(runtime_tests::wait::DEADLINE));
        let _ = c.process.reap();
        c.delete_force().ok();
        t.assert_missing(&c.id);
    }
    Ok(())
}

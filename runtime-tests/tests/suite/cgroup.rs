//! cgroups: where they are, limits in place before the process runs, device rules, removal.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use runtime_tests::cgroup::{processes, read};
use runtime_tests::disk::{self, Disk};
use runtime_tests::wait::{DEADLINE, stretched};
use runtime_tests::{Bundle, Case, Container, Lane, Skip, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["cgroup":
        path_absolute_is_below_the_root,
        path_relative_is_used,
        path_absent_is_made_up,
        path_leading_out_stays_below_the_root,
        path_shared_with_a_sibling_container,
        every_hierarchy_has_the_process,
        processes_are_inside_before_start,
        removed_after_run,
        removed_after_delete,
        removed_when_create_fails,
        removed_with_sub_cgroups,
        removed_with_processes_in_sub_cgroups,
        parents_of_the_path_stay,
        memory_limit_is_set,
        memory_is_counted_below_any_parent,
        memory_reservation_is_set,
        memory_swap_is_set,
        memory_unlimited_is_set,
        memory_limit_kills_what_exceeds_it,
        memory_swappiness_is_set,
        memory_oom_killer_is_disabled,
        cpu_shares_quota_and_period_are_set,
        cpu_quota_unlimited_is_set,
        cpu_idle_is_accepted_or_refused,
        cpuset_is_set,
        cpuset_of_nested_path_is_set,
        cpuset_processor_that_is_not_there_fails,
        pids_limit_is_set,
        pids_limit_stops_forks,
        pids_unlimited_is_set,
        pids_limit_absent_is_no_limit,
        blkio_weight_and_throttling_are_set,
        blkio_throttles_of_each_kind_are_set,
        blkio_weights_of_the_group_and_of_a_device_are_set,
        hugetlb_limit_is_set,
        network_class_and_priorities_are_set,
        unified_values_are_written,
        resources_absent_is_no_limit,
        limit_of_a_missing_controller_fails,
        devices_default_are_usable_when_all_is_denied,
        devices_denied_cannot_be_used,
        devices_allowed_can_be_used,
        devices_read_only_rule_is_enforced,
        devices_wildcard_rules_in_order,
        devices_all_allowed,
        devices_list_shows_the_rules,
        namespace_mount_shows_only_its_own,
        disabled_manager_mount_shows_the_runtimes_own,
        mount_below_a_read_only_mount_is_made,
        host_namespace_mount_shows_the_container_cgroup,
        mount_writable_lets_make_sub_cgroups,
        limits_are_there_before_start,
        limits_with_a_relative_path_are_set,
        existing_cgroup_of_another_is_not_removed,
        unified_unknown_file_is_written,
        unified_of_a_missing_controller_fails,
        owner_is_the_users_where_it_is_writable,
        owner_stays_without_delegation,
    ];
    // runc 1.1 knows no burst, no idle and no threaded cgroup beside v1; either leaves out a limit whose controller is missing,
    // now and then.
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("cgroup::{name}"), run).only_ours();
    all.push(ours("below_a_threaded_parent", below_a_threaded_parent));
    all.push(ours("cpu_burst_is_set", cpu_burst_is_set));
    all.push(ours("cpu_idle_is_set_after_shares", cpu_idle_is_set_after_shares));
    all.push(ours("cpu_realtime_is_set_or_refused", cpu_realtime_is_set_or_refused));
    all.push(ours("each_limit_of_a_missing_controller_is_refused", each_limit_of_a_missing_controller));
    all.push(ours("v1_limits_without_a_v2_equal_are_refused", v1_limits_without_a_v2_equal));
    all.push(ours("unified_names_that_lead_out_are_refused", unified_names_that_lead_out));
    all.push(ours("memory_hierarchy_is_the_kernels_only_way", memory_hierarchy));
    all.push(ours("blkio_leaf_weights_that_the_kernel_has_not_are_refused", leaf_weights_are_refused));
    all
}

/// A container that is created in a cgroup of this path.
fn created<'t>(t: &'t Test, b: &Bundle, path: &str) -> Container<'t> {
    b.stays().set("/linux/cgroupsPath", path);
    t.create(b)
}

fn with_resources(t: &Test, resources: &Value) -> Bundle {
    let b = t.bundle();
    b.set("/linux/resources", resources.clone()).stays();
    b
}

/// The directory of the controller that matters for a path test: one that every machine has.
fn any_directory(t: &Test, pid: i32) -> PathBuf {
    let cgroups = t.cgroups();
    let controller =
        ["pids", "memory", "hugetlb"].into_iter().find(|name| cgroups.has(name)).unwrap_or("pids");
    cgroups.directory_of(pid, controller).expect("a cgroup")
}

fn path_absolute_is_below_the_root(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = t.fresh_name();
    let c = created(t, &t.bundle(), &format!("/{name}/sub"));
    let directory = any_directory(t, c.pid());
    assert!(directory.ends_with(format!("{name}/sub")), "{}", directory.display());
    // config-linux.md: an absolute path is relative to the mount point of the hierarchy.
    let root = t.cgroups().roots().find(|root| directory.starts_with(root)).unwrap().to_owned();
    assert_eq!(directory, root.join(&name).join("sub"));
    remove_parents(t, &c, &name);
    Ok(())
}

/// Removes what a test had made above a container's cgroup: the runtime keeps the parents.
fn remove_parents(t: &Test, c: &Container<'_>, name: &str) {
    c.delete_force().ok();
    for directory in t.cgroups().directories_named(name) {
        let _ = fs::remove_dir(directory);
    }
}

fn path_relative_is_used(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = t.fresh_name();
    let c = created(t, &t.bundle(), &name);
    assert!(any_directory(t, c.pid()).ends_with(&name));
    Ok(())
}

fn path_absent_is_made_up(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let directory = any_directory(t, c.pid());
    assert!(directory.to_string_lossy().contains(&c.id), "{}", directory.display());
    Ok(())
}

fn path_leading_out_stays_below_the_root(t: &Test) -> Verdict {
    for path in ["/../../../{}", "../../{}", "/a/../../{}"] {
        let name = t.fresh_name();
        let b = t.bundle();
        b.stays().set("/linux/cgroupsPath", path.replace("{}", &name));
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.output();
        if output.status.success() {
            let c = Container::open(t, &id);
            let directory = any_directory(t, c.pid());
            assert!(!directory.to_string_lossy().contains(".."), "{}", directory.display());
            remove_parents(t, &c, &name);
        } else {
            let _ = output.fails();
        }
    }
    Ok(())
}

fn path_shared_with_a_sibling_container(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = t.fresh_name();
    let one = created(t, &t.bundle(), &format!("/{name}/one"));
    let two = created(t, &t.bundle(), &format!("/{name}/two"));
    one.delete_force().ok();
    assert!(!two.process.has_exited());
    assert_eq!(processes(&any_directory(t, two.pid())), [two.pid()]);
    remove_parents(t, &two, &name);
    Ok(())
}

/// cgroups(7): below a threaded cgroup there are threaded ones only. None lists its processes, and none is killed as one.
fn below_a_threaded_parent(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let Some(root) = t.cgroups().v2_root().map(Path::to_path_buf) else {
        return Err(Skip::new("no hierarchy of v2"));
    };
    let name = t.fresh_name();
    let threaded = root.join(&name).join("threaded");
    fs::create_dir_all(&threaded).unwrap();
    fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let b = t.bundle();
    b.sh("sleep 1000 & sleep 1000 & wait").without_namespace("pid").without_namespace("cgroup");
    b.set("/linux/cgroupsPath", format!("/{name}/threaded/in/c"));
    let c = t.start(&b);
    let directory = threaded.join("in/c");
    assert_eq!(read(&directory, "cgroup.type").trim(), "threaded");
    let threads = || read(&directory, "cgroup.threads").lines().count();
    let end = Instant::now() + stretched(DEADLINE);
    while threads() < 3 {
        assert!(Instant::now() < end, "{} threads", threads());
        std::thread::yield_now();
    }
    let entered = t.call(&["exec", &c.id, "cat", "/proc/self/cgroup"]).ok();
    assert!(entered.text().ends_with(&format!("0::/{name}/threaded/in/c")), "{entered}");
    c.call(&["pause"]).ok();
    c.call(&["resume"]).ok();
    assert_eq!(t.call(&["ps", "-f", "json", &c.id]).ok().text().split(',').count(), 3);
    c.delete_force().ok();
    assert!(!directory.exists(), "it is left");
    fs::remove_dir(&threaded).unwrap();
    fs::remove_dir(root.join(&name)).unwrap();
    Ok(())
}

fn every_hierarchy_has_the_process(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    for line in c.proc("cgroup").lines() {
        let fields: Vec<_> = line.splitn(3, ':').collect();
        // Named hierarchies and a v2 without controllers are the runtime's to leave alone; controllers are not.
        let controller = !fields[1].is_empty() && !fields[1].starts_with("name=");
        if controller && t.cgroups().v1_root(fields[1].split(',').next().unwrap()).is_some() {
            assert!(fields[2].contains(&t.token), "{line}");
        }
    }
    Ok(())
}

fn processes_are_inside_before_start(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let directory = any_directory(t, c.pid());
    assert_eq!(processes(&directory), [c.pid()]);
    c.start();
    assert_eq!(processes(&directory), [c.pid()]);
    Ok(())
}

fn removed_after_run(t: &Test) -> Verdict {
    let _ = t.output_of(&t.bundle(), "true");
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

fn removed_after_delete(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = t.fresh_name();
    let c = created(t, &t.bundle(), &format!("/{name}"));
    c.stop();
    c.delete().ok();
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

fn removed_when_create_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "bind", "/no/such/source", &["bind"]);
    t.create_fails(&b);
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

fn removed_with_sub_cgroups(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for directory in t.cgroups().directories_named(&c.id) {
        fs::create_dir_all(directory.join("sub/sub")).unwrap();
    }
    c.stop();
    c.delete().ok();
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

fn removed_with_processes_in_sub_cgroups(t: &Test) -> Verdict {
    let b = t.bundle();
    b.without_namespace("pid").sh("sleep 1000 & echo $! >/fifo; exec sleep 1000");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    let child: i32 = fifo.line().parse().unwrap();
    for directory in t.cgroups().directories_named(&c.id) {
        let sub = directory.join("sub");
        fs::create_dir(&sub).unwrap();
        // v1's must be filled before a process can enter; v2's is not there.
        if sub.join("cpuset.cpus").exists() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(sub.join(file), read(&directory, file)).unwrap();
            }
        }
        fs::write(sub.join("cgroup.procs"), child.to_string()).unwrap();
    }
    c.delete_force().ok();
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn parents_of_the_path_stay(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = t.fresh_name();
    let parents: Vec<_> = t.cgroups().roots().map(|root| root.join(&name)).collect();
    for parent in &parents {
        fs::create_dir(parent).unwrap();
    }
    let c = created(t, &t.bundle(), &format!("/{name}/sub"));
    c.delete_force().ok();
    let left: Vec<_> = parents.iter().filter(|parent| parent.exists()).cloned().collect();
    for parent in &parents {
        let _ = fs::remove_dir(parent);
    }
    assert_eq!(left, parents);
    Ok(())
}

/// A limit in the file of the hierarchy in use.
struct Limit {
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
}

const fn limit(
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
) -> Limit {
    Limit { controller, v1, v2 }
}

fn limits_are(t: &Test, resources: &Value, limits: &[Limit]) -> Verdict {
    for limit in limits {
        t.needs_controller(limit.controller)?;
    }
    let b = with_resources(t, resources);
    let c = t.create(&b);
    for limit in limits {
        let directory = t.cgroups().directory_of(c.pid(), limit.controller).unwrap();
        let (file, value) = if t.cgroups().uses_v2(limit.controller) { limit.v2 } else { limit.v1 };
        if !file.is_empty() && directory.join(file).exists() {
            assert_eq!(read(&directory, file), value, "{file}");
        }
    }
    Ok(())
}

/// Whoever made the parent may have left it without controllers, such as systemd the cgroup of a service with `Delegate=yes` in
/// which podman makes one (`--cgroups=split`).
fn memory_is_counted_below_any_parent(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    t.needs_controller("memory")?;
    if !t.cgroups().uses_v2("memory") {
        return Err(runtime_tests::Skip::new("memory is not on v2 in this view"));
    }
    let root = t.cgroups().roots().next().unwrap().to_owned();
    let name = t.fresh_name();
    fs::create_dir_all(root.join(&name).join("inner")).unwrap();
    let c = created(t, &t.bundle(), &format!("/{name}/inner/c"));
    let directory = t.cgroups().directory_of(c.pid(), "memory").unwrap();
    assert!(directory.join("memory.current").exists(), "{}", directory.display());
    c.delete_force().ok();
    fs::remove_dir(root.join(&name).join("inner")).unwrap();
    fs::remove_dir(root.join(&name)).unwrap();
    Ok(())
}

fn memory_limit_is_set(t: &Test) -> Verdict {
    let limits = [limit("memory", ("memory.limit_in_bytes", "52428800"), ("memory.max", "52428800"))];
    limits_are(t, &json!({"memory": {"limit": 52_428_800}}), &limits)
}

fn memory_reservation_is_set(t: &Test) -> Verdict {
    let limits = [limit("memory", ("memory.soft_limit_in_bytes", "26214400"), ("memory.low", "26214400"))];
    limits_are(t, &json!({"memory": {"limit": 52_428_800, "reservation": 26_214_400}}), &limits)
}

fn memory_swap_is_set(t: &Test) -> Verdict {
    let limits =
        [limit("memory", ("memory.memsw.limit_in_bytes", "104857600"), ("memory.swap.max", "52428800"))];
    limits_are(t, &json!({"memory": {"limit": 52_428_800, "swap": 104_857_600}}), &limits)
}

fn memory_unlimited_is_set(t: &Test) -> Verdict {
    let limits = [limit("memory", ("memory.limit_in_bytes", "9223372036854771712"), ("memory.max", "max"))];
    limits_are(t, &json!({"memory": {"limit": -1}}), &limits)
}

fn memory_swappiness_is_set(t: &Test) -> Verdict {
    if t.cgroups().uses_v2("memory") {
        return Err(runtime_tests::Skip::new("v2 has no swappiness"));
    }
    let limits = [limit("memory", ("memory.swappiness", "33"), ("", ""))];
    limits_are(t, &json!({"memory": {"limit": 52_428_800, "swappiness": 33}}), &limits)
}

/// `useHierarchy`: Linux has had no other since 5.11, and v2 never.
fn memory_hierarchy(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let hierarchy = |used: bool| with_resources(t, &json!({"memory": {"useHierarchy": used}}));
    let c = t.create(&hierarchy(true));
    let directory = t.cgroups().directory_of(c.pid(), "memory").unwrap();
    if !t.cgroups().uses_v2("memory") {
        assert_eq!(read(&directory, "memory.use_hierarchy"), "1");
    }
    let _ = t.create_fails(&hierarchy(false)).says("/linux/resources/memory/useHierarchy");
    Ok(())
}

fn memory_oom_killer_is_disabled(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    if t.cgroups().uses_v2("memory") {
        return Err(runtime_tests::Skip::new("v2 cannot disable the OOM killer"));
    }
    let c = t.create(&with_resources(t, &json!({"memory": {"limit": 52_428_800, "disableOOMKiller": true}})));
    let directory = t.cgroups().directory_of(c.pid(), "memory").unwrap();
    assert!(read(&directory, "memory.oom_control").contains("oom_kill_disable 1"));
    Ok(())
}

fn memory_limit_kills_what_exceeds_it(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let b = with_resources(t, &json!({"memory": {"limit": 20_971_520, "swap": 20_971_520}}));
    b.sh("exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    let _ = t.run(&b).output().exits(137);
    Ok(())
}

/// Quadratic since runc 1.3.2 and crun 1.24, linear before.
fn weight_of_512_shares(t: &Test) -> &'static str {
    let linear = (t.runtime.name == "runc" && t.runtime.version.starts_with("1.1"))
        || (t.runtime.name == "crun" && t.runtime.version.starts_with("1.8"));
    if linear { "20" } else { "59" }
}

fn cpu_shares_quota_and_period_are_set(t: &Test) -> Verdict {
    let limits = [
        limit("cpu", ("cpu.shares", "512"), ("cpu.weight", weight_of_512_shares(t))),
        limit("cpu", ("cpu.cfs_quota_us", "40000"), ("cpu.max", "40000 50000")),
        limit("cpu", ("cpu.cfs_period_us", "50000"), ("", "")),
    ];
    limits_are(t, &json!({"cpu": {"shares": 512, "quota": 40_000, "period": 50_000}}), &limits)
}

fn cpu_quota_unlimited_is_set(t: &Test) -> Verdict {
    let limits = [limit("cpu", ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 50000"))];
    limits_are(t, &json!({"cpu": {"quota": -1, "period": 50_000}}), &limits)
}

fn cpu_idle_is_accepted_or_refused(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let b = with_resources(t, &json!({"cpu": {"idle": 1}}));
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.output();
    if output.status.success() {
        let c = Container::open(t, &id);
        let directory = t.cgroups().directory_of(c.pid(), "cpu").unwrap();
        assert_eq!(read(&directory, "cpu.idle"), "1");
    } else {
        let _ = output.fails();
    }
    Ok(())
}

fn cpu_burst_is_set(t: &Test) -> Verdict {
    let limits = [
        limit("cpu", ("cpu.cfs_burst_us", "20000"), ("cpu.max.burst", "20000")),
        limit("cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000")),
    ];
    limits_are(t, &json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 20_000}}), &limits)
}

/// An idle cgroup takes no weight any more.
fn cpu_idle_is_set_after_shares(t: &Test) -> Verdict {
    let limits = [limit("cpu", ("cpu.idle", "1"), ("cpu.idle", "1"))];
    limits_are(t, &json!({"cpu": {"shares": 512, "idle": 1}}), &limits)
}

fn cpu_realtime_is_set_or_refused(t: &Test) -> Verdict {
    t.needs_controller("cpu")?;
    let b = with_resources(t, &json!({"cpu": {"realtimePeriod": 500_000, "realtimeRuntime": 2000}}));
    let Some(root) = t.cgroups().v1_root("cpu").map(Path::to_owned) else {
        let _ = t.create_fails(&b).says("/linux/resources/cpu/realtime").says("nothing like it");
        return Ok(());
    };
    if !root.join("cpu.rt_runtime_us").exists() {
        let _ = t.create_fails(&b).says("/linux/resources/cpu/realtime");
        return Ok(());
    }
    t.cgroups().groups_real_time()?;
    let c = t.create(&b);
    let directory = t.cgroups().directory_of(c.pid(), "cpu").unwrap();
    assert_eq!(read(&directory, "cpu.rt_period_us"), "500000");
    assert_eq!(read(&directory, "cpu.rt_runtime_us"), "2000");
    Ok(())
}

fn each_limit_of_a_missing_controller(t: &Test) -> Verdict {
    let mut missing = 0;
    for (controllers, resources, pointer) in [
        (&["memory"][..], json!({"memory": {"limit": 52_428_800}}), "memory"),
        (&["pids"], json!({"pids": {"limit": 10}}), "pids"),
        (&["cpu"], json!({"cpu": {"quota": 10_000, "period": 20_000}}), "cpu"),
        (&["cpuset"], json!({"cpu": {"cpus": "0"}}), "cpu/cpus"),
        (
            &["blkio", "io"],
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}),
            "blockIO",
        ),
        (&["hugetlb"], json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}), "hugepageLimits"),
        (&["net_cls"], json!({"network": {"classID": 5}}), "network/classID"),
        (
            &["net_prio"],
            json!({"network": {"priorities": [{"name": "lo", "priority": 5}]}}),
            "network/priorities",
        ),
        (&["rdma"], json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}), "rdma"),
    ] {
        let cgroups = t.cgroups();
        if controllers.iter().any(|name| cgroups.has(name) || cgroups.v2_has(name)) {
            continue;
        }
        missing += 1;
        let output = t.create_fails(&with_resources(t, &resources));
        let _ = output.says(&format!("/linux/resources/{pointer}")).says("controller");
    }
    if missing == 0 { Err(runtime_tests::Skip::new("every controller is there")) } else { Ok(()) }
}

fn v1_limits_without_a_v2_equal(t: &Test) -> Verdict {
    for (controller, resources, pointer) in [
        ("memory", json!({"memory": {"swappiness": 33}}), "memory/swappiness"),
        ("memory", json!({"memory": {"disableOOMKiller": true}}), "memory/disableOOMKiller"),
        ("memory", json!({"memory": {"kernelTCP": 1_000_000}}), "memory/kernelTCP"),
        ("io", json!({"blockIO": {"leafWeight": 100}}), "blockIO/leafWeight"),
        ("cpu", json!({"cpu": {"realtimeRuntime": 1000}}), "cpu/realtimeRuntime"),
    ] {
        if !t.cgroups().uses_v2(controller) {
            return Err(runtime_tests::Skip::new(format!("{controller} is not on v2 in this view")));
        }
        let output = t.create_fails(&with_resources(t, &resources));
        let _ = output.says(&format!("/linux/resources/{pointer}"));
    }
    Ok(())
}

/// Neither by a path nor by a file that acts on processes.
fn unified_names_that_lead_out(t: &Test) -> Verdict {
    for name in ["../memory.max", "sub/memory.max", "/memory.max", "..", ".", ""] {
        let output = t.create_fails(&with_resources(t, &json!({"unified": {name: "1"}})));
        let _ = output.says("/linux/resources/unified/");
    }
    for name in ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "nodot"] {
        let output = t.create_fails(&with_resources(t, &json!({"unified": {name: "1"}})));
        let _ = output.says(&format!("/linux/resources/unified/{name}"));
    }
    Ok(())
}

fn cpuset_is_set(t: &Test) -> Verdict {
    let limits = [
        limit("cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        limit("cpuset", ("cpuset.mems", "0"), ("cpuset.mems", "0")),
    ];
    limits_are(t, &json!({"cpu": {"cpus": "0", "mems": "0"}}), &limits)
}

fn cpuset_of_nested_path_is_set(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    t.needs_controller("cpuset")?;
    let name = t.fresh_name();
    let b = with_resources(t, &json!({"cpu": {"cpus": "0", "mems": "0"}}));
    let c = created(t, &b, &format!("/{name}/a/b"));
    let directory = t.cgroups().directory_of(c.pid(), "cpuset").unwrap();
    assert_eq!(read(&directory, "cpuset.cpus"), "0");
    remove_parents(t, &c, &name);
    for part in ["a", &name] {
        for directory in t.cgroups().directories_named(&name) {
            let _ = fs::remove_dir(directory.join(part));
            let _ = fs::remove_dir(directory);
        }
    }
    Ok(())
}

fn cpuset_processor_that_is_not_there_fails(t: &Test) -> Verdict {
    t.needs_controller("cpuset")?;
    t.create_fails(&with_resources(t, &json!({"cpu": {"cpus": "4000"}})));
    Ok(())
}

fn pids_limit_is_set(t: &Test) -> Verdict {
    limits_are(
        t,
        &json!({"pids": {"limit": 1000}}),
        &[limit("pids", ("pids.max", "1000"), ("pids.max", "1000"))],
    )
}

fn pids_unlimited_is_set(t: &Test) -> Verdict {
    limits_are(t, &json!({"pids": {"limit": -1}}), &[limit("pids", ("pids.max", "max"), ("pids.max", "max"))])
}

fn pids_limit_absent_is_no_limit(t: &Test) -> Verdict {
    limits_are(t, &json!({}), &[limit("pids", ("pids.max", "max"), ("pids.max", "max"))])
}

fn pids_limit_stops_forks(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let b = with_resources(t, &json!({"pids": {"limit": 8}}));
    b.sh("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo all");
    let output = t.run(&b).output();
    assert!(!output.stdout.contains("all"), "{output}");
    assert!(output.stderr.contains("fork"), "{output}");
    Ok(())
}

fn blkio_weight_and_throttling_are_set(t: &Test) -> Verdict {
    if t.cgroups().v1_root("blkio").is_none() {
        t.needs_controller("io")?;
    }
    let (major, minor) = disk::any()?;
    let b = with_resources(
        t,
        &json!({"blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1_048_576}]}}),
    );
    let c = t.create(&b);
    let v1 = t.cgroups().v1_root("blkio").is_some();
    let directory = t.cgroups().directory_of(c.pid(), if v1 { "blkio" } else { "io" }).unwrap();
    if v1 {
        assert_eq!(read(&directory, "blkio.throttle.read_bps_device"), format!("{major}:{minor} 1048576"));
    } else {
        assert!(read(&directory, "io.max").contains("rbps=1048576"));
    }
    Ok(())
}

/// The controller of block devices in this view, or the skip.
fn block_controller(t: &Test) -> Result<&'static str, runtime_tests::Skip> {
    if t.cgroups().v1_root("blkio").is_some() {
        return Ok("blkio");
    }
    t.needs_controller("io")?;
    Ok("io")
}

fn blkio_throttles_of_each_kind_are_set(t: &Test) -> Verdict {
    let controller = block_controller(t)?;
    let (major, minor) = disk::any()?;
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let c = t.create(&with_resources(
        t,
        &json!({"blockIO": {"throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
            "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400)}}),
    ));
    let directory = t.cgroups().directory_of(c.pid(), controller).unwrap();
    if controller == "io" {
        let expected = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=300 wiops=400");
        assert_eq!(read(&directory, "io.max"), expected);
    } else {
        let files = ["read_bps", "write_bps", "read_iops", "write_iops"];
        let values = files.map(|file| read(&directory, &format!("blkio.throttle.{file}_device")));
        assert_eq!(values, [1_048_576, 2_097_152, 300, 400].map(|rate| format!("{major}:{minor} {rate}")));
    }
    Ok(())
}

/// The scheduler bfq has files of its own for them; without it a device has no weight.
fn blkio_weights_of_the_group_and_of_a_device_are_set(t: &Test) -> Verdict {
    let controller = block_controller(t)?;
    let disk = Disk::blank(&t.dir.join("disk"))?.scheduled_by("bfq")?;
    let (major, minor) = disk.numbers();
    let device = json!({"major": major, "minor": minor, "weight": 300});
    let resources = json!({"blockIO": {"weight": 500, "weightDevice": [device]}});
    let c = t.create(&with_resources(t, &resources));
    let directory = t.cgroups().directory_of(c.pid(), controller).unwrap();
    if controller == "io" {
        let text = read(&directory, "io.bfq.weight");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines, ["default 500".to_owned(), format!("{major}:{minor} 300")]);
    } else {
        assert_eq!(read(&directory, "blkio.bfq.weight"), "500");
        let text = read(&directory, "blkio.bfq.weight_device");
        assert!(text.lines().any(|line| line == format!("{major}:{minor} 300")), "{text}");
    }
    Ok(())
}

/// The scheduler that had them, CFQ, went with Linux 5.0; v2 never had them.
fn leaf_weights_are_refused(t: &Test) -> Verdict {
    let controller = block_controller(t)?;
    let (major, minor) = disk::any()?;
    if controller == "blkio" {
        let c = t.create(&t.bundle());
        let directory = t.cgroups().directory_of(c.pid(), controller).unwrap();
        if directory.join("blkio.leaf_weight").exists() {
            return Err(runtime_tests::Skip::new("the kernel has leaf weights"));
        }
    }
    let device = json!([{"major": major, "minor": minor, "leafWeight": 300}]);
    for (block_io, named) in [
        (json!({"leafWeight": 300}), "/linux/resources/blockIO/leafWeight"),
        (json!({"weightDevice": device}), "/linux/resources/blockIO/weightDevice/0"),
    ] {
        let _ = t.create_fails(&with_resources(t, &json!({"blockIO": block_io}))).says(named);
    }
    Ok(())
}

fn hugetlb_limit_is_set(t: &Test) -> Verdict {
    let limits = [
        limit("hugetlb", ("hugetlb.2MB.limit_in_bytes", "4194304"), ("hugetlb.2MB.max", "4194304")),
        limit("hugetlb", ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")),
    ];
    limits_are(t, &json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]}), &limits)
}

fn network_class_and_priorities_are_set(t: &Test) -> Verdict {
    for controller in ["net_cls", "net_prio"] {
        t.needs_controller(controller)?;
    }
    let priorities = json!([{"name": "lo", "priority": 7}]);
    let network = json!({"network": {"classID": 1_048_577, "priorities": priorities}});
    let c = t.create(&with_resources(t, &network));
    let file =
        |controller: &str, file: &str| read(&t.cgroups().directory_of(c.pid(), controller).unwrap(), file);
    assert_eq!(file("net_cls", "net_cls.classid"), "1048577");
    let priorities = file("net_prio", "net_prio.ifpriomap");
    assert!(priorities.lines().any(|line| line == "lo 7"), "{priorities}");
    Ok(())
}

fn unified_values_are_written(t: &Test) -> Verdict {
    if t.lane != Lane::V2 {
        return Err(runtime_tests::Skip::new("only with v2 alone"));
    }
    t.needs_controller("hugetlb")?;
    let c = t.create(&with_resources(t, &json!({"unified": {"hugetlb.2MB.max": "2097152"}})));
    let directory = t.cgroups().directory_of(c.pid(), "hugetlb").unwrap();
    assert_eq!(read(&directory, "hugetlb.2MB.max"), "2097152");
    Ok(())
}

/// config-linux.md, unified: what the runtime does not know MUST still be written; its controllers are enabled for it.
fn unified_unknown_file_is_written(t: &Test) -> Verdict {
    if t.lane != Lane::V2 {
        return Err(runtime_tests::Skip::new("only with v2 alone"));
    }
    t.needs_controller("hugetlb")?;
    let c = t.create(&with_resources(t, &json!({"unified": {"hugetlb.2MB.rsvd.max": "4194304"}})));
    let directory = t.cgroups().directory_of(c.pid(), "hugetlb").unwrap();
    assert_eq!(read(&directory, "hugetlb.2MB.rsvd.max"), "4194304");
    Ok(())
}

/// config-linux.md, unified: a controller that is not present MUST be an error.
fn unified_of_a_missing_controller_fails(t: &Test) -> Verdict {
    if t.lane != Lane::V2 {
        return Err(runtime_tests::Skip::new("only with v2 alone"));
    }
    let output = t.create_fails(&with_resources(t, &json!({"unified": {"nosuch.max": "1"}})));
    if t.runtime.is_ours() {
        let _ = output.says("/linux/resources/unified/nosuch.max");
    }
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

/// A container of user 5 in a user namespace that begins at 100000, with its cgroups mounted writable.
fn with_writable_cgroups(t: &Test) -> Bundle {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    b.set("/process/user", json!({"uid": 5, "gid": 5})).set("/root/readonly", false).stays();
    std::os::unix::fs::chown(b.rootfs(), Some(100_000), Some(100_000)).unwrap();
    b.without_mount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "nodev", "rw"]);
    b
}

/// The container's directory and each of its files that does not belong to root, with its owner.
fn owners(directory: &Path) -> Vec<(String, u32)> {
    use std::os::unix::fs::MetadataExt;
    let own = (".".to_owned(), fs::metadata(directory).unwrap().uid());
    let entries = fs::read_dir(directory).unwrap().flatten();
    let file = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().uid())
    };
    let mut all: Vec<_> =
        std::iter::once(own).chain(entries.map(file)).filter(|(_, uid)| *uid != 0).collect();
    all.sort();
    all
}

/// config-linux.md, cgroup ownership: the directory and what the kernel lists of its files, nothing else.
fn owner_is_the_users_where_it_is_writable(t: &Test) -> Verdict {
    if t.lane != Lane::V2 {
        return Err(runtime_tests::Skip::new("cgroup v1 can't be delegated"));
    }
    let b = with_writable_cgroups(t);
    let c = t.create(&b);
    let directory = t.cgroups().directory_of(c.pid(), "").unwrap();
    let listed = fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_default();
    let mut wanted: Vec<_> = listed
        .lines()
        .filter(|name| directory.join(name).exists())
        .chain(["."])
        .map(|name| (name.to_owned(), 100_005))
        .collect();
    wanted.sort();
    assert_eq!(owners(&directory), wanted);
    Ok(())
}

/// Not on v1, nor where the cgroups are mounted read-only or not at all, nor without a cgroup namespace of its own.
fn owner_stays_without_delegation(t: &Test) -> Verdict {
    let whole = with_writable_cgroups(t);
    let read_only = with_writable_cgroups(t);
    read_only.without_mount("/sys/fs/cgroup");
    read_only.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "nodev", "ro"]);
    let unmounted = with_writable_cgroups(t);
    unmounted.without_mount("/sys/fs/cgroup");
    let shared = with_writable_cgroups(t);
    shared.without_namespace("cgroup");
    let bundles = [whole, read_only, unmounted, shared];
    for b in &bundles[usize::from(t.lane == Lane::V2)..] {
        let c = t.create(b);
        let directory = any_directory(t, c.pid());
        assert_eq!(owners(&directory), []);
        c.delete_force().ok();
    }
    Ok(())
}

fn resources_absent_is_no_limit(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/linux/resources");
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn limit_of_a_missing_controller_fails(t: &Test) -> Verdict {
    for (controller, resources) in [
        ("memory", json!({"memory": {"limit": 52_428_800}})),
        ("pids", json!({"pids": {"limit": 10}})),
        ("cpu", json!({"cpu": {"quota": 10_000, "period": 20_000}})),
        ("cpuset", json!({"cpu": {"cpus": "0"}})),
    ] {
        if !t.cgroups().has(controller) {
            t.create_fails(&with_resources(t, &resources));
            return Ok(());
        }
    }
    Err(runtime_tests::Skip::new("every controller is there"))
}

fn device_bundle(t: &Test, rules: &Value) -> Bundle {
    let b = t.bundle();
    b.set("/linux/resources/devices", rules.clone());
    b.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"])
        .set("/mounts/1/options", json!(["mode=755"]));
    b
}

fn devices_default_are_usable_when_all_is_denied(t: &Test) -> Verdict {
    let script = "for d in null zero full random urandom; do head -c1 </dev/$d >/dev/null || echo $d; done; \
                  echo x >/dev/null; echo x 2>/dev/null >/dev/full || echo full; [ -c /dev/tty ] && [ -e /dev/ptmx ] && echo tty";
    assert_eq!(t.output_of(&t.bundle(), script).lines(), ["full", "tty"]);
    Ok(())
}

/// `/dev/kmsg` is 1:11 and no default device. Reading needs no privilege that a device rule would not give.
const KMSG: &str = "mknod /dev/k c 1 11 || exit 3; head -c0 </dev/k";

fn devices_denied_cannot_be_used(t: &Test) -> Verdict {
    let b = device_bundle(t, &json!([{"allow": false, "access": "rwm"}]));
    b.sh(KMSG);
    t.run(&b).fails().says("Operation not permitted");
    let b = device_bundle(
        t,
        &json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "m"}]),
    );
    b.sh(KMSG);
    t.run(&b).fails().says("Operation not permitted");
    Ok(())
}

fn devices_allowed_can_be_used(t: &Test) -> Verdict {
    let b = device_bundle(
        t,
        &json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"}]),
    );
    let _ = t.output_of(&b, KMSG);
    Ok(())
}

fn devices_read_only_rule_is_enforced(t: &Test) -> Verdict {
    let b = device_bundle(
        t,
        &json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rm"}]),
    );
    let script = "mknod /dev/f c 10 229 || exit 3; head -c0 </dev/f || exit 4; true >/dev/f && exit 5; true";
    b.sh(script);
    if !Path::new("/sys/dev/char/10:229").exists() {
        return Err(runtime_tests::Skip::new("no device 10:229 (fuse)"));
    }
    t.run(&b).ok();
    Ok(())
}

fn devices_wildcard_rules_in_order(t: &Test) -> Verdict {
    if t.cgroups().v1_root("devices").is_some() {
        return Err(runtime_tests::Skip::new("v1 cannot except a device from a wildcard"));
    }
    let b = device_bundle(
        t,
        &json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "access": "rwm"},
                {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "r"}]),
    );
    b.sh(KMSG);
    t.run(&b).fails().says("Operation not permitted");
    Ok(())
}

fn devices_all_allowed(t: &Test) -> Verdict {
    let b = device_bundle(t, &json!([{"allow": true, "access": "rwm"}]));
    let _ = t.output_of(&b, KMSG);
    Ok(())
}

fn devices_list_shows_the_rules(t: &Test) -> Verdict {
    if t.cgroups().v1_root("devices").is_none() {
        return Err(runtime_tests::Skip::new("v2 has no list of device rules"));
    }
    let b = t.bundle();
    b.stays().push(
        "/linux/resources/devices",
        json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}),
    );
    b.push(
        "/linux/resources/devices",
        json!({"allow": true, "type": "b", "major": 8, "minor": 20, "access": "r"}),
    );
    let c = t.create(&b);
    let list = read(&t.cgroups().directory_of(c.pid(), "devices").unwrap(), "devices.list");
    assert!(list.lines().any(|line| line == "c 10:229 rw"), "{list}");
    assert!(list.lines().any(|line| line == "b 8:20 r"), "{list}");
    assert!(!list.lines().any(|line| line.starts_with("a ")), "{list}");
    Ok(())
}

fn namespace_mount_shows_only_its_own(t: &Test) -> Verdict {
    let v1 = t.lane != Lane::V2;
    let file = if v1 { "/sys/fs/cgroup/pids/cgroup.procs" } else { "/sys/fs/cgroup/cgroup.procs" };
    let output = t.output_of(
        &t.bundle(),
        &format!(
            "cat {file} | head -1; ls -d {}/*{}* 2>/dev/null; :",
            Path::new(file).parent().unwrap().display(),
            t.token
        ),
    );
    assert_eq!(output.lines(), ["1"], "{output}");
    Ok(())
}

fn disabled_manager_mount_shows_the_runtimes_own(t: &Test) -> Verdict {
    let v1 = t.lane != Lane::V2;
    let options_of_the_host = || {
        let mounts = runtime_tests::procfs::mounts_of(std::process::id() as i32);
        mounts.into_iter().filter(|mount| mount.kind == "cgroup2").map(|mount| mount.super_options).next()
    };
    let before = options_of_the_host();
    let run = |b: &Bundle, script: &str| {
        b.sh(script).write();
        let call = t.call(&["--cgroup-manager", "disabled", "run", "--bundle"]);
        call.args([&b.path]).args([t.fresh_id()]).ok().stdout
    };
    let file = if v1 { "/sys/fs/cgroup/pids/cgroup.procs" } else { "/sys/fs/cgroup/cgroup.procs" };
    assert_eq!(run(&t.bundle(), &format!("grep -x 1 {file}")), "1\n");
    let b = t.bundle();
    b.without_namespace("cgroup");
    assert_eq!(run(&b, &format!("ls {file}")), format!("{file}\n"));
    assert_eq!(options_of_the_host(), before);
    Ok(())
}

fn mount_below_a_read_only_mount_is_made(t: &Test) -> Verdict {
    if t.lane == Lane::V2 {
        return Ok(());
    }
    let b = t.bundle();
    b.mount("/sys/fs/cgroup/other", "tmpfs", "tmpfs", &[]);
    let script =
        "touch /sys/fs/cgroup/other/file && ls /sys/fs/cgroup/other; mkdir /sys/fs/cgroup/pids/x 2>&1";
    b.sh(&format!("{script}; :"));
    let output = t.run(&b).ok();
    assert!(output.stdout.starts_with("file\n") && output.stdout.contains("Read-only"), "{output}");
    Ok(())
}

fn host_namespace_mount_shows_the_container_cgroup(t: &Test) -> Verdict {
    if t.lane == Lane::V2 {
        return Err(runtime_tests::Skip::new("v2 without a cgroup namespace is mounted from the root"));
    }
    let b = t.bundle();
    b.without_namespace("cgroup");
    let file = "/sys/fs/cgroup/pids/cgroup.procs";
    // config-linux.md: the cgroup file system that is mounted is that of the container's own cgroup.
    assert_eq!(t.output_of(&b, &format!("head -1 {file}")).text(), "1");
    Ok(())
}

fn mount_writable_lets_make_sub_cgroups(t: &Test) -> Verdict {
    let b = t.bundle();
    b.patch(|config| {
        for mount in config["mounts"].as_array_mut().unwrap() {
            if mount["type"] == "cgroup" {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "relatime"]);
            }
        }
    });
    let directory = if t.lane == Lane::V2 { "/sys/fs/cgroup/sub" } else { "/sys/fs/cgroup/pids/sub" };
    b.sh(&format!(
        "mkdir {directory} && echo $$ >{directory}/cgroup.procs && echo moved >/fifo; exec sleep 1000"
    ));
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "moved");
    c.delete_force().ok();
    assert_eq!(t.cgroups().directories_named(&t.token), Vec::<PathBuf>::new());
    Ok(())
}

fn limits_are_there_before_start(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let b = with_resources(t, &json!({"pids": {"limit": 77}}));
    let c = t.create(&b);
    let directory = t.cgroups().directory_of(c.pid(), "pids").unwrap();
    assert_eq!(read(&directory, "pids.max"), "77");
    c.start();
    assert_eq!(read(&directory, "pids.max"), "77");
    Ok(())
}

fn limits_with_a_relative_path_are_set(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    for controller in ["memory", "pids", "cpu"] {
        t.needs_controller(controller)?;
    }
    let resources = json!({"memory": {"limit": 52_428_800}, "pids": {"limit": 77}, "cpu": {"shares": 512}});
    let b = with_resources(t, &resources);
    let c = created(t, &b, &t.fresh_name());
    let v2 = t.cgroups().uses_v2("memory");
    for (controller, v1_file, v2_file, value) in [
        ("memory", "memory.limit_in_bytes", "memory.max", "52428800"),
        ("pids", "pids.max", "pids.max", "77"),
        ("cpu", "cpu.shares", "cpu.weight", if v2 { weight_of_512_shares(t) } else { "512" }),
    ] {
        let directory = t.cgroups().directory_of(c.pid(), controller).unwrap();
        assert_eq!(read(&directory, if v2 { v2_file } else { v1_file }), value);
    }
    Ok(())
}

fn existing_cgroup_of_another_is_not_removed(t: &Test) -> Verdict {
    // A cgroup with somebody's process in it: joined, or refused; that process is left alone.
    let name = t.fresh_name();
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = bystander.id();
    let cgroups = t.cgroups();
    for root in cgroups.roots() {
        let directory = root.join(&name);
        fs::create_dir(&directory).unwrap();
        if directory.join("cpuset.cpus").exists() && cgroups.v1_root("cpuset") == Some(root) {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(directory.join(file), read(root, file)).unwrap();
            }
        }
        fs::write(directory.join("cgroup.procs"), pid.to_string()).unwrap();
    }
    let b = t.bundle();
    b.stays().set("/linux/cgroupsPath", format!("/{name}"));
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.output();
    if !output.status.success() {
        let _ = output.fails();
    }
    let _ = t.call(&["delete", "--force", &id]).output();
    let alive = bystander.try_wait().unwrap().is_none();
    let _ = bystander.kill();
    let _ = bystander.wait();
    for directory in cgroups.directories_named(&name) {
        let _ = fs::remove_dir(directory);
    }
    assert!(alive, "delete --force killed a process that is not the container's");
    Ok(())
}

//! The plan of cgroups as text: what would be done on hosts with v2, v1 and both.
#![allow(clippy::unwrap_used)]

use sandbox::cgroup::{
    CgroupPath, CurrentLimits, Hierarchies, Mode, PlanError, V1Hierarchy, V2Hierarchy, plan_cgroup,
    plan_change,
};
use sandbox::{CgroupManager, ContainerId};
use spec::Text;
use spec::config::{
    Access, BlockThrottle, BlockWeight, DeviceRule, DeviceRuleKind, HugepageLimit, InterfacePriority, Limit,
    Rdma, Resources,
};

fn v2(controllers: &[&str]) -> V2Hierarchy {
    V2Hierarchy {
        mount_point: "/sys/fs/cgroup".into(),
        own_path: Some("/user/session-1".into()),
        controllers: controllers.iter().map(|&name| name.into()).collect(),
    }
}

fn v1(directory: &str, controllers: &[&str]) -> V1Hierarchy {
    V1Hierarchy {
        mount_point: format!("/sys/fs/cgroup/{directory}").into(),
        own_path: Some("/jobs/7".into()),
        controllers: controllers.iter().map(|&name| name.into()).collect(),
        name: controllers.is_empty().then(|| directory.into()),
    }
}

fn unified() -> Hierarchies {
    Hierarchies {
        v2: Some(v2(&["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"])),
        v1: Vec::new(),
    }
}

fn legacy() -> Hierarchies {
    let v1 = [
        v1("cpu,cpuacct", &["cpu", "cpuacct"]),
        v1("cpuset", &["cpuset"]),
        v1("memory", &["memory"]),
        v1("devices", &["devices"]),
        v1("freezer", &["freezer"]),
        v1("blkio", &["blkio"]),
        v1("pids", &["pids"]),
        v1("net_cls,net_prio", &["net_cls", "net_prio"]),
        v1("systemd", &[]),
    ];
    Hierarchies { v2: None, v1: v1.into() }
}

fn hybrid() -> Hierarchies {
    let mut v2 = v2(&["hugetlb"]);
    v2.mount_point = "/sys/fs/cgroup/unified".into();
    Hierarchies {
        v2: Some(v2),
        v1: vec![v1("memory", &["memory"]), v1("devices", &["devices"]), v1("pids", &["pids"])],
    }
}

fn path(text: Option<&str>) -> CgroupPath {
    let text = text.map(|text| Text::new(text).unwrap());
    CgroupPath::new(text.as_ref(), &ContainerId::new("web-1").unwrap()).unwrap()
}

fn text(value: &str) -> Text {
    Text::new(value).unwrap()
}

fn deny_all() -> DeviceRule {
    let access = Access { read: true, write: true, mknod: true };
    DeviceRule { allow: false, kind: DeviceRuleKind::All, major: None, minor: None, access }
}

fn limits() -> Resources {
    let mut resources =
        Resources { devices: vec![deny_all()], pids: Some(Limit::Value(20)), ..Resources::default() };
    resources.memory.limit = Some(Limit::Value(64 << 20));
    resources.memory.swap = Some(Limit::Value(96 << 20));
    resources.memory.reservation = Some(Limit::Value(32 << 20));
    resources.cpu.shares = Some(512);
    resources.cpu.quota = Some(Limit::Value(50_000));
    resources.cpu.period = Some(100_000);
    resources.cpu.cpus = Some(text("0-1"));
    resources
}

/// The plan without the lines of the default device rules.
fn plan(resources: &Resources, path: &CgroupPath, hierarchies: &Hierarchies) -> String {
    let plan = plan_cgroup(CgroupManager::Cgroupfs, resources, path, hierarchies).unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let lines = plan.value.to_string();
    lines.lines().filter(|line| !line.ends_with(" by default")).map(|line| format!("{line}\n")).collect()
}

fn error(change: impl FnOnce(&mut Resources), hierarchies: &Hierarchies) -> String {
    let mut resources = Resources::default();
    change(&mut resources);
    plan_cgroup(CgroupManager::Cgroupfs, &resources, &path(None), hierarchies).unwrap_err().to_string()
}

#[test]
fn plan_v2_default_config() {
    let hierarchies = Hierarchies { v2: Some(v2(&["cpu", "memory", "pids"])), v1: Vec::new() };
    let plan =
        plan_cgroup(CgroupManager::Cgroupfs, &Resources::default(), &path(None), &hierarchies).unwrap().value;
    assert_eq!(
        plan.to_string(),
        "\
cgroup mkdir /sys/fs/cgroup/user/web-1
cgroup enable cpu in /sys/fs/cgroup/user where it is not another's
cgroup enable memory in /sys/fs/cgroup/user where it is not another's
cgroup enable pids in /sys/fs/cgroup/user where it is not another's
cgroup devices deny all
cgroup devices allow c *:* m by default
cgroup devices allow b *:* m by default
cgroup devices allow c 1:3 rwm by default
cgroup devices allow c 1:8 rwm by default
cgroup devices allow c 1:7 rwm by default
cgroup devices allow c 5:0 rwm by default
cgroup devices allow c 1:5 rwm by default
cgroup devices allow c 1:9 rwm by default
cgroup devices allow c 136:* rwm by default
cgroup devices allow c 5:2 rwm by default
cgroup devices allow c 10:200 rwm by default
cgroup clone into /sys/fs/cgroup/user/web-1
"
    );
}

#[test]
fn plan_v2_limits_converted() {
    let hierarchies = unified();
    let path = path(Some("/machine/web-1"));
    assert_eq!(
        plan(&limits(), &path, &hierarchies),
        "\
cgroup mkdir /sys/fs/cgroup/machine/web-1
cgroup enable cpu in /sys/fs/cgroup/machine from /linux/resources/cpu/shares
cgroup enable cpuset in /sys/fs/cgroup/machine from /linux/resources/cpu/cpus
cgroup enable memory in /sys/fs/cgroup/machine from /linux/resources/memory/limit
cgroup enable pids in /sys/fs/cgroup/machine from /linux/resources/pids/limit
cgroup enable io in /sys/fs/cgroup/machine where it is not another's
cgroup enable hugetlb in /sys/fs/cgroup/machine where it is not another's
cgroup enable rdma in /sys/fs/cgroup/machine where it is not another's
cgroup write /sys/fs/cgroup/machine/web-1/memory.max \"67108864\" from /linux/resources/memory/limit
cgroup write /sys/fs/cgroup/machine/web-1/memory.swap.max \"33554432\" from /linux/resources/memory/swap
cgroup write /sys/fs/cgroup/machine/web-1/memory.low \"33554432\" from /linux/resources/memory/reservation
cgroup write /sys/fs/cgroup/machine/web-1/cpu.weight \"59\" from /linux/resources/cpu/shares
cgroup write /sys/fs/cgroup/machine/web-1/cpu.max \"50000 100000\" from /linux/resources/cpu/quota
cgroup write /sys/fs/cgroup/machine/web-1/cpuset.cpus \"0-1\" from /linux/resources/cpu/cpus
cgroup write /sys/fs/cgroup/machine/web-1/pids.max \"20\" from /linux/resources/pids/limit
cgroup devices deny all
cgroup devices deny a *:* rwm from /linux/resources/devices/0
cgroup clone into /sys/fs/cgroup/machine/web-1
"
    );
}

#[test]
fn plan_v1_limits() {
    let hierarchies = legacy();
    assert_eq!(
        plan(&limits(), &path(Some("web")), &hierarchies),
        "\
cgroup mkdir /sys/fs/cgroup/cpu,cpuacct/jobs/7/web
cgroup write /sys/fs/cgroup/cpu,cpuacct/jobs/7/web/cpu.shares \"512\" from /linux/resources/cpu/shares
cgroup write /sys/fs/cgroup/cpu,cpuacct/jobs/7/web/cpu.cfs_period_us \"100000\" from /linux/resources/cpu/period
cgroup write /sys/fs/cgroup/cpu,cpuacct/jobs/7/web/cpu.cfs_quota_us \"50000\" from /linux/resources/cpu/quota
cgroup enter /sys/fs/cgroup/cpu,cpuacct/jobs/7/web
cgroup mkdir /sys/fs/cgroup/cpuset/jobs/7/web
cgroup fill cpuset.cpus cpuset.mems of /sys/fs/cgroup/cpuset/jobs/7/web from its parent where empty
cgroup write /sys/fs/cgroup/cpuset/jobs/7/web/cpuset.cpus \"0-1\" from /linux/resources/cpu/cpus
cgroup enter /sys/fs/cgroup/cpuset/jobs/7/web
cgroup mkdir /sys/fs/cgroup/memory/jobs/7/web
cgroup write /sys/fs/cgroup/memory/jobs/7/web/memory.limit_in_bytes \"67108864\" from /linux/resources/memory/limit
cgroup write /sys/fs/cgroup/memory/jobs/7/web/memory.memsw.limit_in_bytes \"100663296\" from /linux/resources/memory/swap
cgroup write /sys/fs/cgroup/memory/jobs/7/web/memory.soft_limit_in_bytes \"33554432\" from /linux/resources/memory/reservation
cgroup enter /sys/fs/cgroup/memory/jobs/7/web
cgroup mkdir /sys/fs/cgroup/devices/jobs/7/web
cgroup devices deny all
cgroup enter /sys/fs/cgroup/devices/jobs/7/web
cgroup mkdir /sys/fs/cgroup/freezer/jobs/7/web
cgroup enter /sys/fs/cgroup/freezer/jobs/7/web
cgroup mkdir /sys/fs/cgroup/blkio/jobs/7/web
cgroup enter /sys/fs/cgroup/blkio/jobs/7/web
cgroup mkdir /sys/fs/cgroup/pids/jobs/7/web
cgroup write /sys/fs/cgroup/pids/jobs/7/web/pids.max \"20\" from /linux/resources/pids/limit
cgroup enter /sys/fs/cgroup/pids/jobs/7/web
cgroup mkdir /sys/fs/cgroup/net_cls,net_prio/jobs/7/web
cgroup enter /sys/fs/cgroup/net_cls,net_prio/jobs/7/web
cgroup mkdir /sys/fs/cgroup/systemd/jobs/7/web
cgroup enter /sys/fs/cgroup/systemd/jobs/7/web
"
    );
}

#[test]
fn plan_hybrid_controller_where_it_is() {
    let hierarchies = hybrid();
    let mut resources = Resources { pids: Some(Limit::Max), ..Resources::default() };
    resources.hugepage_limits = vec![HugepageLimit { page_size: text("2MB"), limit_bytes: 4 << 20 }];
    assert_eq!(
        plan(&resources, &path(None), &hierarchies),
        "\
cgroup mkdir /sys/fs/cgroup/memory/jobs/7/web-1
cgroup enter /sys/fs/cgroup/memory/jobs/7/web-1
cgroup mkdir /sys/fs/cgroup/devices/jobs/7/web-1
cgroup devices deny all
cgroup enter /sys/fs/cgroup/devices/jobs/7/web-1
cgroup mkdir /sys/fs/cgroup/pids/jobs/7/web-1
cgroup write /sys/fs/cgroup/pids/jobs/7/web-1/pids.max \"max\" from /linux/resources/pids/limit
cgroup enter /sys/fs/cgroup/pids/jobs/7/web-1
cgroup mkdir /sys/fs/cgroup/unified/user/web-1
cgroup enable hugetlb in /sys/fs/cgroup/unified/user from /linux/resources/hugepageLimits/0
cgroup write /sys/fs/cgroup/unified/user/web-1/hugetlb.2MB.max \"4194304\" from /linux/resources/hugepageLimits/0
cgroup write /sys/fs/cgroup/unified/user/web-1/hugetlb.2MB.rsvd.max \"4194304\" from /linux/resources/hugepageLimits/0
cgroup clone into /sys/fs/cgroup/unified/user/web-1
"
    );
}

#[test]
fn plan_pids_zero_is_zero_and_not_cloned_into() {
    let resources = Resources { pids: Some(Limit::Value(0)), ..Resources::default() };
    let plan = plan(&resources, &path(None), &unified());
    assert!(plan.contains("pids.max \"0\""), "{plan}");
    assert!(plan.ends_with("cgroup enter /sys/fs/cgroup/user/web-1\n"), "{plan}");
}

#[test]
fn plan_other_controllers_v2() {
    let mut resources = Resources::default();
    resources.block_io.weight = Some(500);
    resources.block_io.weight_device =
        vec![BlockWeight { major: 8, minor: 0, weight: Some(100), leaf_weight: None }];
    resources.block_io.read_bps = vec![BlockThrottle { major: 8, minor: 0, rate: 1024 }];
    resources.block_io.write_iops = vec![BlockThrottle { major: 8, minor: 16, rate: 0 }];
    resources.rdma.insert(text("mlx5_1"), Rdma { hca_handles: Some(3), hca_objects: Some(10_000) });
    resources.unified.insert(text("memory.high"), text("1000000"));
    resources.unified.insert(text("io.max"), text("8:0 rbps=1\n8:16 wbps=2\n"));
    resources.unified.insert(text("cgroup.max.depth"), text("3"));
    let plan = plan(&resources, &path(None), &unified());
    let writes: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("cgroup write /sys/fs/cgroup/user/web-1/"))
        .collect();
    assert_eq!(
        writes,
        [
            "io.bfq.weight \"500\" from /linux/resources/blockIO/weight, else io.weight \"4950\"",
            "io.bfq.weight \"8:0 100\" from /linux/resources/blockIO/weightDevice/0, else io.weight \"8:0 910\"",
            "io.max \"8:0 rbps=1024\" from /linux/resources/blockIO/throttleReadBpsDevice/0",
            "io.max \"8:16 wiops=max\" from /linux/resources/blockIO/throttleWriteIOPSDevice/0",
            "rdma.max \"mlx5_1 hca_handle=3 hca_object=10000\" from /linux/resources/rdma/mlx5_1",
            "cgroup.max.depth \"3\" from /linux/resources/unified/cgroup.max.depth",
            "io.max \"8:0 rbps=1\" from /linux/resources/unified/io.max",
            "io.max \"8:16 wbps=2\" from /linux/resources/unified/io.max",
            "memory.high \"1000000\" from /linux/resources/unified/memory.high",
        ]
    );
}

#[test]
fn plan_unified_refuses_what_is_no_file_of_the_cgroup() {
    for name in ["memory.x/../../other/memory.max", "cgroup.procs", "memory"] {
        let mut resources = Resources::default();
        resources.unified.insert(text(name), text("1"));
        let planned = plan_cgroup(CgroupManager::Cgroupfs, &resources, &path(None), &unified());
        let pointer = format!("/linux/resources/unified/{}", name.replace('/', "~1"));
        assert_eq!(planned.unwrap_err().pointer(), Some(&*pointer));
    }
}

#[test]
fn plan_other_controllers_v1() {
    let mut resources = Resources::default();
    resources.block_io.weight = Some(500);
    resources.block_io.read_bps = vec![BlockThrottle { major: 8, minor: 0, rate: 1024 }];
    resources.network.class_id = Some(1_048_577);
    resources.network.priorities = vec![InterfacePriority { name: text("lo"), priority: 5 }];
    resources.memory.swappiness = Some(0);
    resources.memory.disable_oom_killer = Some(true);
    resources.cpu.idle = Some(false);
    let plan = plan(&resources, &path(Some("/x")), &legacy());
    let writes: Vec<&str> =
        plan.lines().filter_map(|line| line.strip_prefix("cgroup write /sys/fs/cgroup/")).collect();
    assert_eq!(
        writes,
        [
            "cpu,cpuacct/x/cpu.idle \"0\" from /linux/resources/cpu/idle",
            "memory/x/memory.swappiness \"0\" from /linux/resources/memory/swappiness",
            "memory/x/memory.oom_control \"1\" from /linux/resources/memory/disableOOMKiller",
            "blkio/x/blkio.weight \"500\" from /linux/resources/blockIO/weight, else blkio.bfq.weight \"500\"",
            "blkio/x/blkio.throttle.read_bps_device \"8:0 1024\" from /linux/resources/blockIO/throttleReadBpsDevice/0",
            "net_cls,net_prio/x/net_cls.classid \"1048577\" from /linux/resources/network/classID",
            "net_cls,net_prio/x/net_prio.ifpriomap \"lo 5\" from /linux/resources/network/priorities/0",
        ]
    );
}

/// The kernel takes no weight of an idle cgroup: none is written beside idle, and first it is made busy.
#[test]
fn plan_idle_before_weight_or_without() {
    let writes = |idle: bool, hierarchies: &Hierarchies| {
        let mut resources = Resources::default();
        (resources.cpu.shares, resources.cpu.idle) = (Some(512), Some(idle));
        let text = plan(&resources, &path(Some("/x")), hierarchies);
        let writes = text.lines().filter(|line| line.starts_with("cgroup write "));
        writes
            .map(|line| {
                line.split(" from ").next().unwrap_or_default().rsplit('/').next().unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(writes(true, &unified()), ["cpu.idle \"1\""]);
    assert_eq!(writes(false, &unified()), ["cpu.idle \"0\"", "cpu.weight \"59\""]);
    assert_eq!(writes(true, &legacy()), ["cpu.idle \"1\""]);
    assert_eq!(writes(false, &legacy()), ["cpu.idle \"0\"", "cpu.shares \"512\""]);
}

/// v2 has quota and period in one file, and systemd is told what they make: both are written.
#[test]
fn change_of_quota_or_period_keeps_the_other() {
    let current =
        CurrentLimits { quota: Some(Limit::Value(20_000)), period: Some(50_000), ..CurrentLimits::default() };
    let written = |change: fn(&mut Resources)| {
        let mut resources = Resources::default();
        change(&mut resources);
        let plan = plan_change(&resources, current, &unified()).unwrap().value;
        plan.v2.iter().map(|write| format!("{} {}", write.file, write.value)).collect::<Vec<_>>()
    };
    assert_eq!(written(|it| it.cpu.quota = Some(Limit::Value(10_000))), ["cpu.max 10000 50000"]);
    assert_eq!(written(|it| it.cpu.quota = Some(Limit::Max)), ["cpu.max max 50000"]);
    assert_eq!(written(|it| it.cpu.period = Some(80_000)), ["cpu.max 20000 80000"]);
    assert_eq!(written(|it| it.cpu.shares = Some(1024)), ["cpu.weight 100"]);
}

#[test]
fn plan_missing_controller_named_with_pointer() {
    let bare = Hierarchies { v2: Some(v2(&[])), v1: Vec::new() };
    let missing = |name: &str, pointer: &str| {
        format!(
            "cgroup controller {name} is not available on this host, needed for /linux/resources/{pointer}"
        )
    };
    assert_eq!(error(|it| it.pids = Some(Limit::Value(5)), &bare), missing("pids", "pids/limit"));
    assert_eq!(error(|it| it.memory.limit = Some(Limit::Value(5)), &bare), missing("memory", "memory/limit"));
    assert_eq!(error(|it| it.cpu.shares = Some(5), &bare), missing("cpu", "cpu/shares"));
    assert_eq!(error(|it| it.cpu.cpus = Some(text("0")), &bare), missing("cpuset", "cpu/cpus"));
    assert_eq!(error(|it| it.block_io.weight = Some(50), &bare), missing("io", "blockIO/weight"));
    assert_eq!(error(|it| it.block_io.weight = Some(50), &hybrid()), missing("blkio", "blockIO/weight"));
    assert_eq!(error(|it| it.network.class_id = Some(1), &unified()), missing("net_cls", "network/classID"));
    let unified_key = |it: &mut Resources| drop(it.unified.insert(text("memory.max"), text("1")));
    assert_eq!(error(unified_key, &bare), missing("memory", "unified/memory.max"));
}

#[test]
fn plan_unlimited_needs_no_controller() {
    let bare = Hierarchies { v2: Some(v2(&[])), v1: Vec::new() };
    let mut resources = Resources { pids: Some(Limit::Max), ..Resources::default() };
    resources.memory.limit = Some(Limit::Max);
    resources.cpu.quota = Some(Limit::Max);
    assert!(!plan(&resources, &path(None), &bare).contains("write"));
}

#[test]
fn plan_without_equivalent_refused() {
    for (change, field) in [
        (
            Box::new(|it: &mut Resources| it.memory.swappiness = Some(0)) as Box<dyn FnOnce(&mut Resources)>,
            "memory/swappiness",
        ),
        (Box::new(|it| it.memory.disable_oom_killer = Some(true)), "memory/disableOOMKiller"),
        (Box::new(|it| it.memory.kernel_tcp = Some(Limit::Value(1))), "memory/kernelTCP"),
        (Box::new(|it| it.cpu.realtime_runtime = Some(1)), "cpu/realtimeRuntime"),
        (Box::new(|it| it.block_io.leaf_weight = Some(10)), "blockIO/leafWeight"),
    ] {
        assert_eq!(
            error(change, &unified()),
            format!("/linux/resources/{field}: cgroup v2 has nothing like it")
        );
    }
}

#[test]
fn plan_unified_elsewhere_or_acting_refused() {
    let one = |key: &'static str| move |it: &mut Resources| drop(it.unified.insert(text(key), text("1")));
    for hierarchies in [legacy(), hybrid()] {
        assert_eq!(
            error(one("memory.max"), &hierarchies),
            "/linux/resources/unified/memory.max: unified needs a host with cgroup v2 alone"
        );
    }
    for key in ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "nodot"] {
        assert!(
            error(one(key), &unified()).starts_with(&format!("/linux/resources/unified/{key}: it is no")),
            "{key}"
        );
    }
}

#[test]
fn plan_kernel_memory_warned_about() {
    for hierarchies in [unified(), legacy()] {
        let mut resources = Resources::default();
        resources.memory.kernel = Some(Limit::Value(1 << 20));
        let plan = plan_cgroup(CgroupManager::Cgroupfs, &resources, &path(None), &hierarchies).unwrap();
        assert_eq!(plan.warnings.len(), 1);
        assert_eq!(plan.warnings[0].pointer.as_deref(), Some("/linux/resources/memory/kernel"));
    }
}

#[test]
fn plan_managers() {
    let of = |manager, resources: &Resources| plan_cgroup(manager, resources, &path(None), &unified());
    assert!(matches!(of(CgroupManager::Systemd, &Resources::default()), Err(PlanError::Systemd(_))));
    let disabled = of(CgroupManager::Disabled, &Resources::default()).unwrap();
    assert!(disabled.value.directories.is_empty() && disabled.warnings.is_empty());
    assert_eq!(of(CgroupManager::Disabled, &limits()).unwrap().warnings.len(), 1);
}

#[test]
fn plan_host_without_cgroups_warns_or_refuses() {
    let none = Hierarchies::default();
    let plan = plan_cgroup(CgroupManager::Cgroupfs, &Resources::default(), &path(None), &none).unwrap();
    assert_eq!((plan.value.mode, plan.value.directories.len(), plan.warnings.len()), (None, 0, 1));
    assert!(error(|it| it.pids = Some(Limit::Value(5)), &none).contains("controller pids"));
    let without_devices = Hierarchies { v1: vec![v1("memory", &["memory"])], v2: None };
    assert!(error(|_| {}, &without_devices).contains("controller devices"));
}

#[test]
fn plan_serialises() {
    let plan = plan_cgroup(CgroupManager::Cgroupfs, &limits(), &path(None), &unified()).unwrap().value;
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["mode"], "unified");
    assert_eq!(json["directories"][0]["writes"][0]["pointer"], "/linux/resources/memory/limit");
    assert_eq!(json["directories"][0]["devices"]["rules"][0]["rule"], "a *:* rwm");
    assert_eq!(plan.mode, Some(Mode::Unified));
}

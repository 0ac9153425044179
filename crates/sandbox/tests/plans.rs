//! Golden plans: a configuration and a host's facts, and what the kernel would be asked, in order. The diff of a golden
//! file is the review of a change. `UPDATE=1 cargo test -p sandbox --test plans` writes them anew.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use sandbox::cgroup::{CgroupPath, Hierarchies, V1Hierarchy, V2Hierarchy, plan_cgroup};
use sandbox::confinement::{Confinement, IdRange};
use sandbox::host::HostFacts;
use sandbox::plan::{ExecPlanRequest, PlanRequest, Purpose, plan, plan_attach, plan_detach, plan_exec};
use sandbox::{CgroupManager, ContainerId, Newlines, SessionKeyring};
use serde_json::{Value, json};
use spec::config::CapabilitySet;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn host(cgroups: Hierarchies) -> HostFacts {
    HostFacts {
        cgroups: Some(cgroups),
        bounding: CapabilitySet::from_bits(u64::MAX),
        ignored_signals: 1 << 12,
        selinux: true,
        landlock_abi: 7,
        resctrl: Some("/sys/fs/resctrl".into()),
        ..HostFacts::default()
    }
}

fn unified() -> Hierarchies {
    let controllers = ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).to_vec();
    let v2 = V2Hierarchy { mount_point: "/sys/fs/cgroup".into(), own_path: Some("/".into()), controllers };
    Hierarchies { v2: Some(v2), v1: Vec::new() }
}

fn legacy() -> Hierarchies {
    let hierarchy = |directory: &str, controllers: &[&str], name: Option<&str>| V1Hierarchy {
        mount_point: format!("/sys/fs/cgroup/{directory}").into(),
        own_path: Some("/".into()),
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        name: name.map(str::to_owned),
    };
    let v1 = vec![
        hierarchy("cpu,cpuacct", &["cpu", "cpuacct"], None),
        hierarchy("cpuset", &["cpuset"], None),
        hierarchy("memory", &["memory"], None),
        hierarchy("devices", &["devices"], None),
        hierarchy("freezer", &["freezer"], None),
        hierarchy("pids", &["pids"], None),
        hierarchy("systemd", &[], Some("systemd")),
    ];
    Hierarchies { v2: None, v1 }
}

/// The plan's text, its warnings first.
fn plan_text(config: &[u8], cgroups: Hierarchies, purpose: Purpose) -> String {
    plan_text_on(config, &host(cgroups), purpose)
}

fn plan_text_on(config: &[u8], host: &HostFacts, purpose: Purpose) -> String {
    let parsed = spec::parse_config(config).unwrap();
    let config = parsed.config;
    let id = ContainerId::new("golden").unwrap();
    let path = CgroupPath::new(config.linux.cgroups_path.as_ref(), &id).unwrap();
    let hierarchies = host.cgroups.as_ref().unwrap();
    let mut cgroup =
        plan_cgroup(CgroupManager::Cgroupfs, &config.linux.resources, &path, hierarchies).unwrap();
    if host.confinement.is_none() {
        cgroup.value.delegate(&config);
    }
    let request = PlanRequest { cgroup: Some(cgroup.value), ..PlanRequest::new(&id, "/bundle", purpose) };
    let plan = plan(&config, host, request).unwrap();
    let parse_warnings = parsed.warnings.iter().map(|it| format!("warning {}: {}\n", it.pointer, it.message));
    let plan_warnings = plan
        .warnings
        .iter()
        .map(|it| format!("warning {}: {}\n", it.pointer.as_deref().unwrap(), it.message));
    parse_warnings.chain(plan_warnings).collect::<String>() + &plan.to_string()
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let difference = golden.lines().zip(text.lines()).find(|(golden, now)| golden != now);
    assert!(
        golden == text,
        "{name} differs from the golden file, first at {difference:?}; UPDATE=1 writes it anew\n{text}"
    );
}

/// `base` with the members of `patch` in place of its own (RFC 7396).
fn merged(base: &Value, patch: &Value) -> Value {
    let (Value::Object(base), Value::Object(patch)) = (base, patch) else { return patch.clone() };
    let mut result = base.clone();
    for (key, value) in patch {
        if value.is_null() {
            result.remove(key);
        } else {
            result.insert(key.clone(), merged(base.get(key).unwrap_or(&Value::Null), value));
        }
    }
    result.into()
}

#[test]
fn bundles_planned_on_v2() {
    for name in ["hello", "shell", "limits", "network", "pod/a", "pod/b"] {
        let config = fs::read(repository().join("bundles").join(name).join("config.json")).unwrap();
        let text = plan_text(&config, unified(), Purpose::Run);
        check(&format!("bundle-{}.plan", name.replace('/', "-")), &text);
    }
}

#[test]
fn default_config_planned_on_v1_and_v2() {
    let config = spec::default_config(None);
    check("default-v2.plan", &plan_text(config.as_bytes(), unified(), Purpose::Create));
    check("default-v1.plan", &plan_text(config.as_bytes(), legacy(), Purpose::Create));
}

#[test]
fn features_planned() {
    let base: Value = serde_json::from_str(
        r#"{"ociVersion": "1.3.0", "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["/bin/true"], "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}"#,
    )
    .unwrap();
    let cases = [
        (
            "id-mapped-mounts",
            json!({"mounts": [
                {"destination": "/own", "type": "bind", "source": "/srv/own", "options": ["rbind", "ridmap"],
                 "uidMappings": [{"containerID": 0, "hostID": 7000, "size": 10}],
                 "gidMappings": [{"containerID": 0, "hostID": 7000, "size": 10}]},
                {"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["bind", "idmap", "ro"]},
                {"destination": "/plain", "type": "bind", "source": "/srv/plain", "options": ["bind"]}],
                "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "user"}],
                    "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
                    "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}]}}),
        ),
        (
            "user-namespace",
            json!({"mounts": [{"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "ro"]}],
                "linux": {"namespaces": [{"type": "mount"}, {"type": "user"}, {"type": "pid"}],
                "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}]}}),
        ),
        (
            "joined-namespaces",
            json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "pid", "path": "/proc/7/ns/pid"},
                {"type": "network", "path": "/run/netns/web"}, {"type": "ipc"}]}}),
        ),
        (
            "joined-user-namespace",
            json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user", "path": "/proc/7/ns/user"},
                {"type": "pid"}, {"type": "time"}], "timeOffsets": {"boottime": {"secs": 5}}}}),
        ),
        (
            "user-namespace-beside-joined",
            json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}, {"type": "pid"},
                {"type": "network", "path": "/run/netns/web"}],
                "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}]}}),
        ),
        ("no-namespaces", json!({"linux": {"namespaces": []}})),
        (
            "terminal-without-mounts",
            json!({"process": {"terminal": true}, "linux": {"namespaces": [{"type": "pid"}]}}),
        ),
        #[cfg(feature = "netdevices")]
        (
            "network-devices",
            json!({"hooks": {"createRuntime": [{"path": "/bin/h"}]},
                "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}],
                "netDevices": {"eth0": {"name": "net0"}, "eth1": {}, "eth2": {"name": "lan%d"}}}}),
        ),
        (
            "mounts",
            json!({"mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro", "size=1m"]},
                {"destination": "/b", "source": "data", "options": ["bind", "rro", "nosuid", "rslave"]},
                {"destination": "/c", "source": "/srv", "options": ["rbind", "rw", "exec", "relatime", "private"]},
                {"destination": "/c", "options": ["bind", "remount", "ro", "noexec"]},
                {"destination": "/d", "type": "overlay", "source": "overlay",
                    "options": [format!("lowerdir=/srv/a\\:b:{}::/srv/data", "/long".repeat(50)), "ro"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid"]}],
                "linux": {"readonlyPaths": ["/srv", "/."]}}),
        ),
        (
            "propagation",
            json!({"mounts": [
                {"destination": "/a", "source": "/srv/a", "options": ["rbind", "rprivate"]},
                {"destination": "/b", "source": "/srv/b", "options": ["rbind", "slave", "rshared"]},
                {"destination": "/c", "type": "tmpfs", "source": "tmpfs"}],
                "linux": {"namespaces": [{"type": "mount"}], "rootfsPropagation": "rslave"}}),
        ),
        (
            "propagation-as-the-roots",
            json!({"mounts": [
                {"destination": "/a", "source": "/srv/a", "options": ["rbind", "rprivate"]},
                {"destination": "/b", "source": "/srv/b", "options": ["rbind", "rslave"]}],
                "linux": {"namespaces": [{"type": "mount"}], "rootfsPropagation": "rslave"}}),
        ),
        (
            "terminal-in-the-hosts-dev",
            json!({"process": {"cwd": "/", "args": ["/bin/true"], "terminal": true},
                "mounts": [{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]},
                    {"destination": "/dev/pts", "type": "devpts"}]}),
        ),
        (
            "process",
            json!({"hostname": "h", "domainname": "d", "process": {"cwd": "/srv", "args": ["server", "-v"],
                "terminal": true, "consoleSize": {"height": 24, "width": 80}, "env": ["PATH=/bin", "A=b"],
                "user": {"uid": 1000, "gid": 100, "umask": 7, "additionalGids": [5, 6]},
                "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN"],
                    "effective": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}], "oomScoreAdj": 100,
                "noNewPrivileges": true},
                "linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "network"}],
                    "sysctl": {"net.ipv4.ip_forward": "1"}, "rootfsPropagation": "shared",
                    "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
                    "devices": [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]}}),
        ),
        (
            "intel-rdt",
            json!({"linux": {"namespaces": [{"type": "mount"}], "intelRdt": {"l3CacheSchema": "L3:0=f",
                "memBwSchema": "MB:0=20", "schemata": ["L2:0=3"], "enableMonitoring": true}}}),
        ),
        (
            "selinux-labels",
            json!({"process": {"cwd": "/", "args": ["/bin/true"], "selinuxLabel": "u:r:p_t:s0"},
                "mounts": [{"destination": "/proc", "type": "proc"},
                    {"destination": "/tmp", "type": "tmpfs", "options": ["size=1m"]},
                    {"destination": "/own", "type": "tmpfs", "options": ["context=\"u:object_r:o_t:s0\""]},
                    {"destination": "/dev/mqueue", "type": "mqueue"},
                    {"destination": "/srv", "type": "bind", "source": "/srv", "options": ["bind"]}],
                "linux": {"mountLabel": "u:object_r:f_t:s0", "maskedPaths": ["/proc/acpi", "/proc/kcore"]}}),
        ),
        (
            "landlock",
            json!({"process": {"cwd": "/", "args": ["/bin/true"], "noNewPrivileges": true},
                "annotations": {"org.sandboxd.landlock.ro": "/usr:/etc", "org.sandboxd.landlock.rw": "/tmp"}}),
        ),
        (
            "hooks-and-filter",
            json!({"hooks": {"createRuntime": [{"path": "/bin/h"}], "createContainer": [{"path": "/bin/h"}],
                "startContainer": [{"path": "/bin/h"}]},
                "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}}}),
        ),
    ];
    for (name, patch) in cases {
        let config = merged(&base, &patch).to_string();
        check(&format!("{name}.plan"), &plan_text(config.as_bytes(), unified(), Purpose::Create));
    }
    let labelled = json!({"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup/other", "type": "tmpfs"}],
        "linux": {"mountLabel": "u:object_r:f_t:s0"}});
    let config = merged(&base, &labelled).to_string();
    check("selinux-labels-v1.plan", &plan_text(config.as_bytes(), legacy(), Purpose::Create));
}

/// An ordinary user of the host.
fn user() -> HostFacts {
    let gids = vec![IdRange { first: 0, size: u32::MAX }];
    let confinement = Confinement { uid: 1000, gid: 100, gids, ..Confinement::default() };
    HostFacts { bounding: CapabilitySet::default(), confinement: Some(confinement), ..host(unified()) }
}

/// Root of a user namespace, as engines start a runtime for an ordinary user.
fn inside() -> HostFacts {
    let confinement = Confinement {
        in_user_namespace: true,
        gids: vec![IdRange { first: 0, size: 1 }],
        setgroups_denied: true,
        oom_score_adj: Some(100),
        ..Confinement::default()
    };
    HostFacts { confinement: Some(confinement), ..host(unified()) }
}

#[test]
fn rootless_planned() {
    let ids = Some(spec::HostIds { uid: 1000, gid: 100 });
    let config = spec::default_config(ids);
    check("rootless-default.plan", &plan_text_on(config.as_bytes(), &user(), Purpose::Create));

    let base: Value = serde_json::from_str(&config).unwrap();
    let range = |own| {
        json!([{"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": 100_000, "size": 65536}])
    };
    let ranges = json!({"process": {"user": {"additionalGids": [5]}},
        "linux": {"uidMappings": range(1000), "gidMappings": range(100)}});
    let config = merged(&base, &ranges).to_string();
    check("rootless-ranges.plan", &plan_text_on(config.as_bytes(), &user(), Purpose::Create));

    let own = json!({"process": {"user": {"additionalGids": [5]}, "oomScoreAdj": -10},
        "mounts": [{"destination": "/proc", "type": "proc"},
            {"destination": "/sys", "type": "sysfs", "options": ["ro", "nosuid"]},
            {"destination": "/dev/pts", "type": "devpts", "options": ["mode=620", "gid=5"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}],
        "linux": {"uidMappings": null, "gidMappings": null,
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}]}});
    let config = merged(&base, &own).to_string();
    check("rootless-inside.plan", &plan_text_on(config.as_bytes(), &inside(), Purpose::Create));
}

/// The runtime opens the device; for a user namespace nobody does.
#[test]
fn file_systems_of_devices_planned() {
    let mut base: Value = serde_json::from_str(&spec::default_config(None)).unwrap();
    base["mounts"] = json!([{"destination": "/a", "type": "tmpfs"},
        {"destination": "/b", "type": "ext4", "source": "/dev/sdb1", "options": ["ro"]}]);
    let host = HostFacts { device_mounts: vec![1], ..host(unified()) };
    let steps = |config: &Value| -> Vec<String> {
        let text = plan_text_on(config.to_string().as_bytes(), &host, Purpose::Create);
        let of_disk = |line: &&str| line.starts_with("mount fstype=ext4");
        text.lines().filter(of_disk).map(str::to_owned).collect()
    };
    let step = "mount fstype=ext4 source=/dev/sdb1 target=/b attributes=ro options=[ro \"\"]";
    assert_eq!(steps(&base), [format!("{step} on_device  # /mounts/1")]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    base["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    base["linux"]["uidMappings"] = map.clone();
    base["linux"]["gidMappings"] = map;
    assert_eq!(steps(&base), [format!("{step}  # /mounts/1")]);
}

#[test]
fn rootless_without_rights_refused() {
    let ids = Some(spec::HostIds { uid: 1000, gid: 100 });
    let base: Value = serde_json::from_str(&spec::default_config(ids)).unwrap();
    let error = |patch: Value| {
        let config = spec::parse_config(merged(&base, &patch).to_string().as_bytes()).unwrap().config;
        let id = ContainerId::new("golden").unwrap();
        let request = PlanRequest::new(&id, "/bundle", Purpose::Create);
        plan(&config, &user(), request).unwrap_err().pointer
    };
    let host_namespaces = json!({"hostname": null, "linux": {"uidMappings": null, "gidMappings": null, "namespaces": [{"type": "mount"}]}});
    assert_eq!(error(host_namespaces), "/linux/namespaces");
    // The only group that is mapped is the caller's: nobody may set it, or leave it.
    assert_eq!(error(json!({"process": {"user": {"additionalGids": [0]}}})), "/process/user/additionalGids");
}

/// The plan of a process in a container of this configuration: its own process once more.
fn exec_plan_text(config: &[u8], session_keyring: SessionKeyring, cgroups: u16) -> String {
    let config = spec::parse_config(config).unwrap().config;
    let id = ContainerId::new("golden").unwrap();
    let request = ExecPlanRequest {
        id: &id,
        init: 7,
        session_keyring,
        newlines: Newlines::AsWritten,
        preserve_fds: 2,
        listen_fds: 1,
        own_streams: 0,
        own_descriptors: 0,
        closed_below: 5,
        cgroups,
        awaits_cgroup: false,
    };
    plan_exec(&config, &host(unified()), &request).unwrap().to_string()
}

#[test]
fn processes_in_containers_planned() {
    let base: Value = serde_json::from_str(&spec::default_config(None)).unwrap();
    let cases = [
        ("exec-default", json!({"process": {"terminal": false}}), 0),
        (
            "exec-process",
            json!({"process": {"terminal": true, "args": ["sh"], "cwd": "/srv", "oomScoreAdj": 100,
                "user": {"uid": 1000, "gid": 100, "additionalGids": [5]},
                "execCPUAffinity": {"initial": "0-1", "final": "64"},
                "scheduler": {"policy": "SCHED_BATCH"}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}},
                "hooks": {"startContainer": [{"path": "/bin/h"}]},
                "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}}}),
            8,
        ),
        (
            "exec-user-namespace",
            json!({"process": {"terminal": false}, "linux": {"namespaces": [{"type": "mount"}, {"type": "user"}, {"type": "time"}],
                "maskedPaths": null, "readonlyPaths": null,
                "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}]}, "hostname": null}),
            0,
        ),
        (
            "exec-no-namespaces",
            json!({"process": {"terminal": false}, "hostname": null, "mounts": [], "root": {"readonly": false},
                "linux": {"namespaces": [], "maskedPaths": null, "readonlyPaths": null}}),
            0,
        ),
    ];
    for (name, patch, cgroups) in cases {
        let config = merged(&base, &patch).to_string();
        let text = exec_plan_text(config.as_bytes(), SessionKeyring::New, cgroups);
        check(&format!("{name}.plan"), &text);
    }
}

#[test]
fn mounts_of_running_containers_planned() {
    let base: Value = serde_json::from_str(&spec::default_config(None)).unwrap();
    let user = json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}]}, "hostname": null});
    let map = json!([{"containerID": 0, "hostID": 7000, "size": 10}]);
    let mounts = json!([
        {"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "ro", "rslave"]},
        {"destination": "/own", "type": "bind", "source": "/srv/own", "options": ["bind", "idmap"],
         "uidMappings": map, "gidMappings": map},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64k", "gid=70000"]},
        {"destination": "/proc/meminfo", "type": "bind", "source": "/srv/meminfo", "options": ["bind"]},
    ]);
    let mounts = mounts.to_string();
    let host = host(unified());
    for (name, patch) in [("attach-default", json!({})), ("attach-user-namespace", user)] {
        let config = spec::parse_config(merged(&base, &patch).to_string().as_bytes()).unwrap().config;
        let added = spec::parse_mounts(mounts.as_bytes()).unwrap().mounts;
        let plan = plan_attach(&config, &host, Path::new("/bundle"), &added).unwrap();
        let warnings = plan.warnings.iter().map(|it| format!("warning {}\n", it.message));
        let mut text = warnings.collect::<String>() + &plan.to_string() + "\nand away\n";
        let destinations = spec::parse_destinations(mounts.as_bytes()).unwrap();
        text += &plan_detach(&config, &host, &destinations).unwrap().to_string();
        check(&format!("{name}.plan"), &text);
    }
}

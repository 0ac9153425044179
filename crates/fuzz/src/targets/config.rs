//! `config.json` to a plan: nothing panics, each error can be shown, what is accepted and written again means the same,
//! and what is planned can be printed and read back by init.

use std::collections::BTreeMap;

use init::step::StepRef;
use init::wire::{Encoder, Reader};
use sandbox::cgroup::{
    CgroupPath, CgroupPlan, Hierarchies, Session, V1Hierarchy, V2Hierarchy, plan_cgroup, plan_systemd,
};
use sandbox::confinement::{Confinement, IdRange};
use sandbox::host::HostFacts;
use sandbox::plan::{PlanRequest, PlannedStep, Purpose, plan};
use sandbox::{CgroupManager, ContainerId, Newlines, RootSwitch, SessionKeyring};
use serde_json::json;
use spec::Config;
use spec::config::CapabilitySet;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![spec::default_config(None).into_bytes()];
    let base = |linux: serde_json::Value, rest: serde_json::Value| {
        let mut config = json!({
            "ociVersion": "1.3.0", "root": { "path": "r" },
            "process": { "cwd": "/", "args": ["/bin/true"], "user": { "uid": 0, "gid": 0 } },
            "linux": linux,
        });
        if let (Some(config), serde_json::Value::Object(rest)) = (config.as_object_mut(), rest) {
            config.extend(rest);
        }
        config.to_string().into_bytes()
    };
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    seeds.push(base(
        json!({ "namespaces": [{ "type": "mount" }, { "type": "user" }], "uidMappings": maps, "gidMappings": maps,
            "timeOffsets": {}, "rootfsPropagation": "rslave", "cgroupsPath": "/a/b" }),
        json!({ "hostname": "h", "domainname": "d", "mounts": [
            { "destination": "/m", "type": "bind", "source": "/s", "options": ["rbind", "ro", "idmap"] },
            { "destination": "/t", "type": "tmpfs", "source": "t", "options": ["size=1k", "tmpcopyup"] }] }),
    ));
    seeds.push(base(
        json!({ "resources": { "memory": { "limit": 1, "swap": 2 }, "cpu": { "shares": 2, "cpus": "0-1" }, "pids": { "limit": 1 },
            "blockIO": { "weight": 10 }, "hugepageLimits": [{ "pageSize": "2MB", "limit": 1 }],
            "devices": [{ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "r" }] },
            "devices": [{ "path": "/dev/a", "type": "c", "major": 1, "minor": 3 }], "sysctl": { "net.core.somaxconn": "1" } }),
        json!({ "hooks": { "createRuntime": [{ "path": "/h", "args": ["h"], "timeout": 1 }] } }),
    ));
    seeds.push(base(
        json!({ "namespaces": [{ "type": "network", "path": "/n" }, { "type": "pid" }], "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{ "names": ["read"],
            "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }] },
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"] }),
        json!({ "annotations": { "a": "b" } }),
    ));
    seeds
}

pub(super) fn run(bytes: &[u8]) {
    let parsed = match spec::parse_config(bytes) {
        Ok(parsed) => parsed,
        Err(violations) => {
            assert!(!violations.one_line().contains('\n'));
            assert_eq!(violations.to_string().lines().count().min(101), violations.count().min(101));
            return;
        }
    };
    let config = parsed.config;
    let written = config.to_json();
    let again = spec::parse_config(written.as_bytes()).expect("what was written is valid");
    assert_eq!(again.config, config);
    for cgroups in [unified(), legacy()] {
        for confinement in [None, Some(confined())] {
            let host = HostFacts {
                cgroups: Some(cgroups.clone()),
                bounding: CapabilitySet::from_bits(u64::MAX),
                confinement,
                ..HostFacts::default()
            };
            plan_on(&config, &host);
        }
    }
}

fn plan_on(config: &Config, host: &HostFacts) {
    let id = id();
    let Some(hierarchies) = &host.cgroups else { return };
    let Ok(path) = CgroupPath::new(config.linux.cgroups_path.as_ref(), &id) else { return };
    let cgroup = match plan_cgroup(CgroupManager::Cgroupfs, &config.linux.resources, &path, hierarchies) {
        Ok(cgroup) => cgroup.value,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    check_directories(&cgroup);
    for (purpose, root_switch) in [(Purpose::Create, RootSwitch::Pivot), (Purpose::Run, RootSwitch::Move)] {
        let request = PlanRequest {
            id: &id,
            bundle: "/bundle".into(),
            purpose,
            root_switch,
            session_keyring: SessionKeyring::New,
            newlines: Newlines::default(),
            preserve_fds: 0,
            listen_fds: 0,
            own_streams: 0,
            own_descriptors: 0,
            closed_below: 0,
            cgroup: Some(cgroup.clone()),
        };
        match plan(config, host, request) {
            Ok(plan) => {
                assert!(plan.to_string().lines().count() >= plan.steps.len());
                check_encoding(&plan.steps);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Init reads as many steps as were written, and to the end.
pub(super) fn check_encoding(steps: &[PlannedStep]) {
    let mut encoder = Encoder::default();
    steps.iter().for_each(|planned| planned.step.encode(&mut encoder));
    let mut reader = Reader::new(&encoder.bytes);
    for planned in steps {
        assert!(StepRef::decode(&mut reader).is_some(), "{} can't be read", planned.step.name());
    }
    assert!(reader.is_empty(), "bytes after the last step");
}

/// No cgroup of a container is outside of its hierarchy, or the hierarchy's root.
fn check_directories(cgroup: &CgroupPlan) {
    for directory in &cgroup.directories {
        let path = directory.path();
        assert!(path.starts_with("/sys/fs/cgroup"), "{}", path.display());
        let is_plain = |part: std::path::Component<'_>| !matches!(part, std::path::Component::ParentDir);
        assert!(path.components().all(is_plain), "{}", path.display());
    }
}

pub(super) fn systemd_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "user.slice:sandboxd:a\nTimeoutStopSec\nuint64 12\nCollect\n'a \\'b'\nAllowed\n['a', 'b']",
        ":a:b\nX\ntrue\nSec\n1",
        "a-b-c.slice:p:n.service\nName\n[1, 2]\nEmpty\n@as []",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// `cgroupsPath` in the first line, then names and values of properties in GVariant's text format.
pub(super) fn run_systemd(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let path = lines.next().and_then(spec::Text::new);
    let mut annotations = BTreeMap::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        annotations.insert(format!("org.systemd.property.{name}"), value.to_owned());
    }
    let resources = spec::config::Resources::default();
    match plan_systemd(&resources, path.as_ref(), &id(), &annotations, Session::System, &unified()) {
        Ok(planned) => {
            check_directories(&planned.value);
            let unit = planned.value.unit.expect("a scope is a unit");
            assert!(!format!("{unit:?}").is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(super) fn id() -> ContainerId {
    ContainerId::new("fuzzed").expect("a valid id")
}

pub(super) fn unified() -> Hierarchies {
    let controllers = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"].map(str::to_owned).to_vec();
    let v2 = V2Hierarchy { mount_point: "/sys/fs/cgroup".into(), own_path: Some("/own".into()), controllers };
    Hierarchies { v2: Some(v2), v1: Vec::new() }
}

fn legacy() -> Hierarchies {
    let names =
        ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "blkio", "hugetlb", "net_cls"];
    let v1 = names.map(|name| V1Hierarchy {
        mount_point: format!("/sys/fs/cgroup/{name}").into(),
        own_path: Some("/".into()),
        controllers: vec![name.to_owned()],
        name: None,
    });
    Hierarchies { v2: None, v1: v1.into() }
}

fn confined() -> Confinement {
    let gids = vec![IdRange { first: 0, size: 1 }, IdRange { first: 1, size: 65536 }];
    Confinement { uid: 1000, gid: 1000, in_user_namespace: true, gids, ..Confinement::default() }
}

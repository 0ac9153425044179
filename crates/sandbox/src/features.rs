//! The specification's features document, from what the planner does: each claim is a small configuration that can be
//! planned, or can't.
//!
//! Runs in the runtime. Pure, but for the kernel's word on seccomp flags.

use std::collections::BTreeMap;

use spec::Config;
use spec::config::Resources;
use spec::features::{Cgroup, Enabled, Features, IntelRdt, MountExtensions};

use crate::cgroup::{CgroupPath, Hierarchies, Session, V1Hierarchy, V2Hierarchy, plan_cgroup, plan_systemd};
use crate::host::HostFacts;
use crate::plan::{KEEP_GROUPS, LANDLOCK_PREFIX, PlanRequest, Purpose, plan};
use crate::{CgroupManager, ContainerId, sys};

/// Flags of `seccomp(2)`, by the name in the config.
const SECCOMP_FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2),
    // Only together with NEW_LISTENER.
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1 << 5 | 1 << 3),
];

/// What this build can do, whatever the host (runtime-spec, `features.md` and `features-linux.md`).
pub fn features() -> Features {
    let mut features = Features::understood();
    let id_maps = can_plan(ID_MAPPED);
    if let Some(options) = &mut features.mount_options {
        options.retain(|option| id_maps || !matches!(&**option, "idmap" | "ridmap"));
    }
    let enabled = |enabled| Some(Enabled { enabled: Some(enabled) });
    if let Some(linux) = &mut features.linux {
        linux.cgroup = Some(cgroup());
        if let Some(seccomp) = &mut linux.seccomp {
            seccomp.enabled = Some(true);
            if let Some(actions) = &mut seccomp.actions {
                let notify = can_plan(NOTIFY);
                actions.retain(|action| notify || action != "SCMP_ACT_NOTIFY");
            }
            let supported = SECCOMP_FLAGS.iter().filter(|(_, flag)| sys::takes_seccomp_flag(*flag));
            seccomp.supported_flags = Some(supported.map(|(name, _)| (*name).to_owned()).collect());
        }
        // Labels are written where the host's kernel has the module.
        linux.apparmor = enabled(true);
        linux.selinux = enabled(true);
        let can = |rdt: &str| Some(can_plan(&INTEL_RDT.replace(r#"{"closID": "c"}"#, rdt)));
        linux.intel_rdt = Some(IntelRdt {
            enabled: Some(can_plan(INTEL_RDT)),
            schemata: can(r#"{"schemata": ["L3:0=f"]}"#),
            monitoring: can(r#"{"enableMonitoring": true}"#),
        });
        linux.mount_extensions = Some(MountExtensions { idmap: enabled(id_maps) });
        linux.net_devices = enabled(can_plan(NET_DEVICES));
    }
    features.potentially_unsafe_config_annotations = Some(annotations());
    let landlock = can_plan(LANDLOCK).to_string();
    features.annotations.insert("org.sandboxd.landlock.enabled".to_owned(), landlock);
    features
}

/// Annotations of a config that change what is done.
fn annotations() -> Vec<String> {
    let systemd = cfg!(feature = "systemd").then(|| crate::cgroup::SYSTEMD_ANNOTATIONS.to_owned());
    [LANDLOCK_PREFIX, KEEP_GROUPS].map(str::to_owned).into_iter().chain(systemd).collect()
}

const LANDLOCK: &str = r#"{"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"cwd": "/", "args": ["a"]},
    "linux": {"namespaces": [{"type": "mount"}]}, "annotations": {"org.sandboxd.landlock.ro": "/"}}"#;
const ID_MAPPED: &str = r#"{"ociVersion": "1.2.0", "root": {"path": "r"},
    "linux": {"namespaces": [{"type": "mount"}]},
    "mounts": [{"destination": "/m", "source": "/m", "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]}"#;
const NOTIFY: &str = r#"{"ociVersion": "1.2.0", "root": {"path": "r"},
    "process": {"cwd": "/", "args": ["a"]},
    "linux": {"namespaces": [{"type": "mount"}], "seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/l", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}}}"#;
const INTEL_RDT: &str = r#"{"ociVersion": "1.2.0", "root": {"path": "r"},
    "linux": {"namespaces": [{"type": "mount"}], "intelRdt": {"closID": "c"}}}"#;
const NET_DEVICES: &str = r#"{"ociVersion": "1.3.0", "root": {"path": "r"},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], "netDevices": {"eth0": {}}}}"#;

fn can_plan(config: &str) -> bool {
    let Ok(parsed) = spec::parse_config(config.as_bytes()) else { return false };
    let Ok(id) = ContainerId::new("features") else { return false };
    let request = PlanRequest::new(&id, "/b", Purpose::Create);
    plan(&parsed.config, &HostFacts::with_everything(), request).is_ok()
}

fn cgroup() -> Cgroup {
    let controllers = || ["devices", "freezer", "memory", "rdma"].map(str::to_owned).to_vec();
    let v1 = Hierarchies {
        v2: None,
        v1: vec![V1Hierarchy {
            mount_point: "/c".into(),
            own_path: Some("/".into()),
            controllers: controllers(),
            name: None,
        }],
    };
    let v2 = Hierarchies {
        v2: Some(V2Hierarchy {
            mount_point: "/c".into(),
            own_path: Some("/".into()),
            controllers: controllers(),
        }),
        v1: Vec::new(),
    };
    let none = "{}";
    let rdma = r#"{"rdma": {"mlx5_1": {"hcaHandles": 1}}}"#;
    Cgroup {
        v1: Some(can_plan_cgroup(CgroupManager::Cgroupfs, none, &v1)),
        v2: Some(can_plan_cgroup(CgroupManager::Cgroupfs, none, &v2)),
        systemd: Some(can_plan_systemd(Session::System, &v2)),
        systemd_user: Some(can_plan_systemd(Session::User(1000), &v2)),
        rdma: Some(can_plan_cgroup(CgroupManager::Cgroupfs, rdma, &v2)),
    }
}

fn can_plan_cgroup(manager: CgroupManager, resources: &str, hierarchies: &Hierarchies) -> bool {
    let config = format!(r#"{{"ociVersion": "1.2.0", "linux": {{"resources": {resources}}}}}"#);
    let parsed: Option<Config> = spec::parse_config(config.as_bytes()).ok().map(|parsed| parsed.config);
    let resources = parsed.map_or_else(Resources::default, |config| config.linux.resources);
    let path = ContainerId::new("features").ok().and_then(|id| CgroupPath::new(None, &id).ok());
    path.is_some_and(|path| plan_cgroup(manager, &resources, &path, hierarchies).is_ok())
}

fn can_plan_systemd(session: Session, hierarchies: &Hierarchies) -> bool {
    let (resources, annotations) = (Resources::default(), BTreeMap::new());
    cfg!(feature = "systemd")
        && ContainerId::new("features")
            .is_ok_and(|id| plan_systemd(&resources, None, &id, &annotations, session, hierarchies).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_follow_the_planner() {
        let features = features();
        let options = features.mount_options.unwrap();
        let linux = features.linux.unwrap();
        let id_maps = linux.mount_extensions.unwrap().idmap.unwrap().enabled.unwrap();
        assert_eq!(options.iter().any(|option| option == "idmap"), id_maps);
        assert_eq!(features.annotations["org.sandboxd.landlock.enabled"], "true");
        let annotations = features.potentially_unsafe_config_annotations.unwrap();
        assert!(annotations.contains(&"org.sandboxd.landlock.".to_owned()));
        let systemd = annotations.contains(&"org.systemd.property.".to_owned());
        assert_eq!(systemd, cfg!(feature = "systemd"));
        let rdt = linux.intel_rdt.unwrap();
        assert_eq!((rdt.enabled, rdt.schemata, rdt.monitoring), (Some(true), Some(true), Some(true)));
        let cgroup = linux.cgroup.unwrap();
        assert_eq!((cgroup.v1, cgroup.v2, cgroup.rdma), (Some(true), Some(true), Some(true)));
        let systemd = Some(cfg!(feature = "systemd"));
        assert_eq!((cgroup.systemd, cgroup.systemd_user), (systemd, systemd));
        let seccomp = linux.seccomp.unwrap();
        // Every kernel from the floor on has the first three.
        assert!(seccomp.supported_flags.unwrap().len() >= 3);
        assert!(seccomp.actions.unwrap().iter().any(|action| action == "SCMP_ACT_NOTIFY"));
        assert!(can_plan(
            &ID_MAPPED.replace(", \"idmap\"", "").replace("uidMappings", "a").replace("gidMappings", "b")
        ));
        assert!(can_plan(&NET_DEVICES.replace("netDevices", "unknown")));
        assert!(can_plan(&INTEL_RDT.replace("intelRdt", "unknown")));
        assert!(can_plan(
            &NOTIFY.replace("SCMP_ACT_NOTIFY", "SCMP_ACT_LOG").replace("listenerPath", "unknown")
        ));
    }
}

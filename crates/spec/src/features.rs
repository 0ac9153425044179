//! The `features` document: what a runtime can do, whatever the host (runtime-spec, `features.md`, `features-linux.md`).
//!
//! Runs anywhere; pure. An absent value means "unknown", not "no".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// The oldest version of the specification that is understood.
    pub oci_version_min: String,
    /// The newest.
    pub oci_version_max: String,
    /// The hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Vec<String>>,
    /// The mount options, less those that only a file system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<Vec<String>>,
    /// What is particular to Linux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
    /// What else the implementation says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Annotations of a config that change what the runtime does; with a `.` at the end a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub potentially_unsafe_config_annotations: Option<Vec<String>>,
}

/// `linux`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    /// The kinds of namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// The capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// Control groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    /// System call filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// AppArmor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<Enabled>,
    /// SELinux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<Enabled>,
    /// Intel Resource Director Technology.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt>,
    /// NUMA memory policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy>,
    /// What mounts can do besides their options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_extensions: Option<MountExtensions>,
    /// Network devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_devices: Option<Enabled>,
}

/// Whether something is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// Whether it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `cgroup`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cgroup {
    /// Version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1: Option<bool>,
    /// Version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v2: Option<bool>,
    /// Through systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systemd: Option<bool>,
    /// Through a user's systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systemd_user: Option<bool>,
    /// The rdma controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rdma: Option<bool>,
}

/// `seccomp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// Whether it is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// The operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operators: Option<Vec<String>>,
    /// The architectures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archs: Option<Vec<String>>,
    /// The flags that are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_flags: Option<Vec<String>>,
    /// Those of them that this kernel takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supported_flags: Option<Vec<String>>,
}

/// `intelRdt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntelRdt {
    /// Whether it is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether `schemata` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemata: Option<bool>,
    /// Whether `enableMonitoring` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<bool>,
}

/// `memoryPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryPolicy {
    /// The modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<Vec<String>>,
    /// The flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
}

/// `mountExtensions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountExtensions {
    /// Id-mapped mounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idmap: Option<Enabled>,
}

impl Features {
    /// What this crate understands: versions, hooks, mount options, and the lists of names under `linux`. Whether the
    /// runtime can also do it (`cgroup`, `seccomp.enabled`, …) is for the runtime to fill in.
    pub fn understood() -> Self {
        use crate::config::names::{Flags, MEMORY_POLICY_FLAGS};
        use crate::config::{
            Action, Architecture, Capability, Comparison, FilterFlags, HookPoint, MemoryPolicyMode,
            NamespaceKind,
        };
        fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Vec<String>> {
            Some(names.into_iter().map(str::to_owned).collect())
        }
        let flags = |flags: Flags| names(flags.iter().map(|(name, _)| *name));
        let seccomp = Seccomp {
            enabled: None,
            actions: names(Action::NAMES),
            operators: names(Comparison::NAMES),
            archs: names(Architecture::ALL.iter().map(|architecture| architecture.name())),
            known_flags: names(FilterFlags::NAMES),
            supported_flags: None,
        };
        let memory_policy = MemoryPolicy {
            modes: names(MemoryPolicyMode::ALL.iter().map(|mode| mode.name())),
            flags: flags(MEMORY_POLICY_FLAGS),
        };
        let linux = Linux {
            namespaces: names(NamespaceKind::ALL.map(NamespaceKind::name)),
            capabilities: names(Capability::all().map(Capability::name)),
            seccomp: Some(seccomp),
            memory_policy: Some(memory_policy),
            ..Linux::default()
        };
        Self {
            oci_version_min: "1.0.0".into(),
            oci_version_max: crate::VERSION.into(),
            hooks: names(HookPoint::ALL.map(HookPoint::name)),
            mount_options: names(crate::mount_options()),
            linux: Some(linux),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_understood_name_what_the_spec_names() {
        let text = serde_json::to_string(&Features::understood()).unwrap();
        for name in [
            "\"ociVersionMax\":\"1.3.0\"",
            "\"rro\"",
            "\"user\"",
            "SCMP_ARCH_RISCV64",
            "MPOL_LOCAL",
            "poststop",
        ] {
            assert!(text.contains(name), "{name}");
        }
        assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), Features::understood());
    }

    #[test]
    fn features_of_the_spec_are_read() {
        let text = r#"{"ociVersionMin": "1.0.0", "ociVersionMax": "1.1.0-rc.2", "linux": {
            "cgroup": {"v1": true, "systemdUser": true}, "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true}, "intelRdt": {"enabled": true, "monitoring": true}}}"#;
        let linux = serde_json::from_str::<Features>(text).unwrap().linux.unwrap();
        assert_eq!(linux.cgroup.unwrap().systemd_user, Some(true));
        assert_eq!(linux.mount_extensions.unwrap().idmap.unwrap().enabled, Some(true));
        assert_eq!(linux.intel_rdt.unwrap().monitoring, Some(true));
    }
}

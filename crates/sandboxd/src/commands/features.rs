//! `features`: what this build can do, whatever the host (runtime-spec, `features.md`).

use spec::features::{Cgroup, Enabled, Features, IntelRdt, MountExtensions};

use crate::error::Result;

pub(crate) fn features() -> Result<u8> {
    crate::print(&(serde_json::to_string_pretty(&document())? + "\n"))
}

/// What the specification's crate understands, less what is still to come.
fn document() -> Features {
    let is = |enabled| Some(Enabled { enabled: Some(enabled) });
    let mut features = Features::understood();
    if let Some(options) = &mut features.mount_options {
        options.retain(|option| !matches!(&**option, "idmap" | "ridmap"));
    }
    if let Some(linux) = &mut features.linux {
        linux.cgroup = Some(Cgroup {
            v1: Some(true),
            v2: Some(true),
            systemd: Some(false),
            systemd_user: Some(false),
            rdma: None,
        });
        if let Some(seccomp) = &mut linux.seccomp {
            seccomp.enabled = Some(true);
            if let Some(actions) = &mut seccomp.actions {
                actions.retain(|action| action != "SCMP_ACT_NOTIFY");
            }
        }
        linux.apparmor = is(true);
        linux.selinux = is(true);
        linux.intel_rdt = Some(IntelRdt { enabled: Some(false), ..IntelRdt::default() });
        linux.mount_extensions = Some(MountExtensions { idmap: is(false) });
        linux.net_devices = is(false);
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_what_callers_read() {
        let features = serde_json::to_value(document()).unwrap();
        let linux = &features["linux"];
        assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], false);
        assert_eq!(linux["cgroup"]["v2"], true);
        let has =
            |list: &serde_json::Value, name: &str| list.as_array().unwrap().iter().any(|item| item == name);
        assert!(has(&features["mountOptions"], "rro"));
        assert!(has(&linux["namespaces"], "user"));
    }
}

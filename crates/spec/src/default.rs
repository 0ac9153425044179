//! The config that `spec` prints: the one to begin with.
//!
//! Runs anywhere; pure. As runc's, less its ambient capabilities, which no kernel grants without inheritable ones.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use crate::words::{command, text};
use crate::{Config, Violations, parse_config};

/// The ids of the user that a rootless container belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostIds {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
}

/// A `config.json` that runs `sh` on a terminal; for a user without privileges where `rootless` says whose it is.
pub fn default_config(rootless: Option<HostIds>) -> String {
    default_config_on(rootless, CgroupVersion::V2)
}

/// The host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// v1, with or without a v2 hierarchy beside it.
    V1,
    /// v2 alone.
    V2,
}

/// [`default_config`], as runc has it for a host of this kind: with v1 it has no cgroup namespace.
pub fn default_config_on(rootless: Option<HostIds>, cgroups: CgroupVersion) -> String {
    let text = include_str!("default_config.json");
    if rootless.is_none() && cgroups == CgroupVersion::V2 {
        return text.to_owned();
    }
    let Ok(mut config) = serde_json::from_str(text) else { return text.to_owned() };
    if let Some(ids) = rootless {
        make_rootless(&mut config, ids);
    }
    if cgroups == CgroupVersion::V1
        && let Some(namespaces) = config["linux"]["namespaces"].as_array_mut()
    {
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    }
    to_tabs(&config)
}

impl Config {
    /// The configuration of [`default_config`], of this root file system (absolute, or relative to the bundle), with this
    /// command in place of a shell, and without a terminal.
    ///
    /// # Errors
    /// There is no command; or a word or the path has a NUL, or is not UTF-8.
    pub fn of_command<W: AsRef<OsStr>>(
        rootfs: impl AsRef<Path>,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, Violations> {
        let args = command(words)?;
        let mut config = parse_config(default_config(None).as_bytes())?.config;
        config.root.path = text("/root/path", rootfs.as_ref().as_os_str(), "config.md#root")?;
        if let Some(process) = &mut config.process {
            process.terminal = None;
            process.args = args;
        }
        Ok(config)
    }
}

/// A new user namespace in place of the network namespace, which such a user could not connect to anything.
fn make_rootless(config: &mut Value, ids: HostIds) {
    let linux = &mut config["linux"];
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
    }
    linux["uidMappings"] = json!([{ "containerID": 0, "hostID": ids.uid, "size": 1 }]);
    linux["gidMappings"] = json!([{ "containerID": 0, "hostID": ids.gid, "size": 1 }]);
    // Its cgroup is the caller's: there may be none to write to.
    linux.as_object_mut().map(|linux| linux.remove("resources"));
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            // The kernel gives a sysfs only to the owner of the network namespace.
            *mount = json!({
                "destination": "/sys",
                "type": "none",
                "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            });
        }
        if let Some(options) = mount["options"].as_array_mut() {
            // Only one group is mapped.
            options.retain(|option| !option.as_str().is_some_and(|option| option.starts_with("gid=")));
        }
    }
}

/// Indented as runc does it.
fn to_tabs(config: &Value) -> String {
    use serde::Serialize;
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // Neither the value nor the writer can fail.
    let _ = config.serialize(&mut serializer);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Id, MountKind};

    #[test]
    fn default_config_is_valid_without_a_warning() {
        let parsed = parse_config(default_config(None).as_bytes()).unwrap();
        assert_eq!(parsed.warnings, []);
        let process = parsed.config.process.unwrap();
        assert_eq!(&*process.args[0], "sh");
        assert!(process.terminal.is_some() && process.no_new_privileges);
        assert_eq!(process.capabilities.permitted.iter().count(), 3);
        assert_eq!(parsed.config.hostname.as_deref(), Some("sandboxd"));
    }

    #[test]
    fn default_config_for_a_user_maps_only_that_user() {
        let text = default_config(Some(HostIds { uid: 1000, gid: 100 }));
        let parsed = parse_config(text.as_bytes()).unwrap();
        assert_eq!(parsed.warnings, []);
        let linux = &parsed.config.linux;
        assert!(linux.namespaces.user.is_some() && linux.namespaces.network.is_none());
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 100));
        assert_eq!(parsed.config.process.as_ref().unwrap().user.uid, Id::ROOT);
        let sys = parsed.config.mounts.iter().find(|mount| &**mount.destination == "/sys").unwrap();
        assert!(matches!(sys.kind, MountKind::Bind { recursive: true, .. }));
        assert!(!text.contains("gid="));
    }
}

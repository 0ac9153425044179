//! Delegation of a container's cgroup to the user of its process (config-linux.md, Cgroup ownership; cgroups(7),
//! "Delegation"): on v2 alone, where the container has a cgroup namespace of its own and mounts its cgroups writable.
//!
//! [`plan_owner`] is pure; the rest runs in the runtime, before init is in the cgroup. Limits stay root's: only what the
//! kernel says that can be given away is.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Uid};
use rustix::io::Errno;
use serde::Serialize;
use spec::Config;
use spec::config::{IdMapping, MountKind, attribute};

use super::error::CgroupError;
use super::file;

/// The kernel's list of files, one a line.
const DELEGATE: &str = "/sys/kernel/cgroup/delegate";
/// The specification's list, where the kernel has none.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Whose the cgroup will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerPlan {
    /// User id on the host.
    pub uid: u32,
    /// The mount that asks for it, as JSON pointer.
    pub pointer: String,
}

/// The owner that the config asks for; `None` where it stays who makes it.
pub fn plan_owner(config: &Config) -> Option<OwnerPlan> {
    let own_namespace = config.linux.namespaces.cgroup.as_ref().is_some_and(|it| it.path.is_none());
    let is_writable = |mount: &spec::config::Mount| {
        matches!(mount.kind, MountKind::Cgroup)
            && mount.destination.trim_end_matches('/') == "/sys/fs/cgroup"
            && mount.attributes.set & attribute::RDONLY == 0
    };
    let mount = config.mounts.iter().position(is_writable).filter(|_| own_namespace)?;
    let user = config.process.as_ref()?.user.uid.get();
    let uid = match &config.linux.namespaces.user {
        None => user,
        Some(_) => host_id(user, &config.linux.uid_mappings)?,
    };
    (uid != 0).then(|| OwnerPlan { uid, pointer: format!("/mounts/{mount}") })
}

/// The id on the host of one in the container.
fn host_id(id: u32, mappings: &[IdMapping]) -> Option<u32> {
    let mapping = mappings.iter().find(|it| id >= it.container_id && id - it.container_id < it.size)?;
    Some(mapping.host_id + (id - mapping.container_id))
}

/// Gives the cgroup to the user.
///
/// # Errors
/// [`CgroupError::Call`]
pub(super) fn change_owner(
    directory: BorrowedFd<'_>,
    path: &Path,
    owner: &OwnerPlan,
) -> Result<(), CgroupError> {
    let call = |path: &Path, source| CgroupError::Call { call: "fchownat", path: path.into(), source };
    chown(directory, "", owner.uid).map_err(|source| call(path, source))?;
    let listed = match file::read_list_path(Path::new(DELEGATE)) {
        Ok(listed) => Some(listed),
        Err(error) if file::is_errno(&error, Errno::NOENT) => None,
        Err(source) => return Err(CgroupError::Call { call: "read", path: DELEGATE.into(), source }),
    };
    for name in files(listed.as_deref()) {
        match chown(directory, name, owner.uid) {
            // Of a controller that is not enabled, or of a newer kernel than the list is of.
            Err(error) if file::is_errno(&error, Errno::NOENT) => {}
            result => result.map_err(|source| call(&path.join(name), source))?,
        }
    }
    Ok(())
}

/// Names of files in the cgroup, and nothing else.
fn files(listed: Option<&str>) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| !name.is_empty() && !name.contains('/') && !matches!(*name, "." | "..");
    listed.unwrap_or(FILES).lines().map(str::trim).filter(is_name)
}

fn chown(directory: BorrowedFd<'_>, name: &str, uid: u32) -> io::Result<()> {
    let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    Ok(rustix::fs::chownat(directory, name, Some(Uid::from_raw(uid)), None, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(change: impl FnOnce(&mut serde_json::Value)) -> Option<OwnerPlan> {
        let map = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
        let mut config = serde_json::json!({
            "ociVersion": "1.3.0",
            "root": {"path": "r"},
            "process": {"cwd": "/", "args": ["a"], "user": {"uid": 5, "gid": 5}},
            "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}],
            "linux": {
                "namespaces": [{"type": "mount"}, {"type": "cgroup"}, {"type": "user"}],
                "uidMappings": map, "gidMappings": map,
            },
        });
        change(&mut config);
        plan_owner(&spec::parse_config(config.to_string().as_bytes()).unwrap().config)
    }

    #[test]
    fn owner_is_the_mapped_user() {
        let plan = owner(|_| {}).unwrap();
        assert_eq!((plan.uid, &*plan.pointer), (100_005, "/mounts/0"));
        let plan = owner(|config| {
            config["linux"] = serde_json::json!({"namespaces": [{"type": "mount"}, {"type": "cgroup"}]});
        });
        assert_eq!(plan.unwrap().uid, 5);
    }

    #[test]
    fn owner_stays_without_a_reason_to_change() {
        let absent = [
            owner(|config| config["mounts"][0]["options"] = serde_json::json!(["ro"])),
            owner(|config| config["mounts"][0]["destination"] = "/sys/fs/other".into()),
            owner(|config| config["linux"]["namespaces"][1]["path"] = "/proc/1/ns/cgroup".into()),
            owner(|config| config["linux"]["namespaces"][1]["type"] = "uts".into()),
            owner(|config| {
                config["process"]["user"]["uid"] = 0.into();
                config["linux"]["uidMappings"][0]["hostID"] = 0.into();
            }),
        ];
        assert_eq!(absent, [const { None }; 5]);
    }

    #[test]
    fn list_absent_is_the_specifications() {
        let names = |listed| files(listed).collect::<Vec<_>>();
        assert_eq!(names(None), ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]);
        assert_eq!(names(Some("memory.reclaim\n\n../x\n..\n")), ["memory.reclaim"]);
    }
}

//! The configs that are measured.

use std::path::Path;

use serde_json::{Value, json};

use crate::lane::Lane;

/// The distribution's default profile of podman, in its own format.
const PODMAN_PROFILE: &str = "/usr/share/containers/seccomp.json";

/// A profile of the same kind, in the specification's format, for machines without podman.
const OWN_PROFILE: &str = include_str!("../../../sandbox/tests/seccomp/default-profile.json");

/// Files that engines make and mount.
pub(super) const ENGINE_FILES: [&str; 4] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/run/.containerenv"];

/// Which controllers a lane has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controllers {
    pub(super) memory: bool,
    pub(super) pids: bool,
}

impl Controllers {
    pub(super) fn probe(lane: Lane) -> Self {
        let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let has = |name: &str| match lane {
            Lane::V2 => unified.split_whitespace().any(|controller| controller == name),
            Lane::V1 | Lane::Hybrid => Path::new("/sys/fs/cgroup").join(name).is_dir(),
        };
        Self { memory: has("memory"), pids: has("pids") }
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &str) -> Value {
    let options: Vec<&str> = options.split(',').collect();
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

/// The default spec, as `runc spec` and its kin print it, without a terminal. Its version is one that the oldest runtime
/// here accepts.
pub(super) fn default_spec(rootfs: &Path, args: &[&str]) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": rootfs, "readonly": true },
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
            mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": namespaces.map(|kind| json!({ "type": kind })),
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// Where the `index`th bind mount goes.
pub(super) fn mount_point(index: usize) -> String {
    format!("/mnt/{index}")
}

/// The config with `count` bind mounts more, as volumes are given. In the network of the host: a namespace that is made beside
/// the mounts would hide the cost of the first.
pub(super) fn with_mounts(mut config: Value, source: &Path, count: usize) -> Value {
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    if let Some(mounts) = config["mounts"].as_array_mut() {
        let source = source.to_string_lossy();
        mounts
            .extend((0..count).map(|index| mount(&mount_point(index), "bind", &source, "rbind,ro,rprivate")));
    }
    config
}

/// A line of shell that becomes one of `count` processes, after it has said so.
pub(super) fn forking(count: usize) -> String {
    format!(
        "i=1; while [ $i -lt {count} ]; do sleep 1000000 & i=$((i+1)); done; echo ready; exec sleep 1000000"
    )
}

/// What podman 4 writes for `podman run IMAGE /bin/true` as root, but for its hooks and with limits that need no
/// privilege of the host.
pub(super) fn podman(rootfs: &Path, files: &Path, controllers: &Controllers) -> Value {
    let mut config = default_spec(rootfs, &["/bin/true"]);
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    ];
    config["process"]["capabilities"] =
        json!({ "bounding": capabilities, "effective": capabilities, "permitted": capabilities });
    config["process"]["env"] = json!([
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM=xterm",
        "container=podman",
        "HOME=/root",
        "HOSTNAME=bench",
    ]);
    config["process"]["noNewPrivileges"] = false.into();
    config["root"]["readonly"] = false.into();
    config["annotations"] = json!({
        "io.container.manager": "libpod",
        "io.podman.annotations.autoremove": "FALSE",
        "io.podman.annotations.init": "FALSE",
        "io.podman.annotations.privileged": "FALSE",
        "io.podman.annotations.publish-all": "FALSE",
        "org.opencontainers.image.stopSignal": "15",
    });
    if let Some(mounts) = config["mounts"].as_array_mut() {
        for destination in ENGINE_FILES {
            let name = Path::new(destination).file_name().unwrap_or_default();
            let source = files.join(name);
            mounts.push(mount(destination, "bind", &source.to_string_lossy(), "bind,rprivate"));
        }
    }
    config["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "0 0" });
    if controllers.pids {
        config["linux"]["resources"]["pids"]["limit"] = 2048.into();
    }
    let profile = std::fs::read(PODMAN_PROFILE).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let profile = profile.map_or_else(
        || serde_json::from_str(OWN_PROFILE).unwrap_or_default(),
        |profile: Value| resolve_profile(&profile, &capabilities),
    );
    config["linux"]["seccomp"] = profile;
    config
}

/// An engine's profile as the specification has it: the rules that hold for these capabilities on this architecture.
fn resolve_profile(profile: &Value, capabilities: &[&str]) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (architecture, name) = match std::env::consts::ARCH {
        "aarch64" => ("arm64", "SCMP_ARCH_AARCH64"),
        _ => ("amd64", "SCMP_ARCH_X86_64"),
    };
    let own = list(&profile["archMap"]).into_iter().find(|entry| entry["architecture"] == name);
    let mut architectures = vec![json!(name)];
    architectures.extend(own.map(|entry| list(&entry["subArchitectures"])).unwrap_or_default());
    let names = |value: &Value, key: &str| {
        let names = list(&value[key]).into_iter().filter_map(|name| name.as_str().map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    let has = |capability: &String| capabilities.contains(&capability.as_str());
    let holds = |rule: &Value| {
        let (with, without) = (&rule["includes"], &rule["excludes"]);
        let arches = names(with, "arches");
        (arches.is_empty() || arches.iter().any(|arch| arch == architecture))
            && names(with, "caps").iter().all(has)
            && !names(without, "arches").iter().any(|arch| arch == architecture)
            && !names(without, "caps").iter().any(has)
    };
    let rules = list(&profile["syscalls"]).into_iter().filter(holds).map(|rule| {
        let mut kept = json!({ "names": rule["names"], "action": rule["action"] });
        for key in ["args", "errnoRet"] {
            if !rule[key].is_null() {
                kept[key] = rule[key].clone();
            }
        }
        kept
    });
    let mut resolved = json!({
        "defaultAction": profile["defaultAction"],
        "architectures": architectures,
        "syscalls": rules.collect::<Vec<_>>(),
    });
    if !profile["defaultErrnoRet"].is_null() {
        resolved["defaultErrnoRet"] = profile["defaultErrnoRet"].clone();
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_rules_by_capability() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
            "syscalls": [
                { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {} },
                { "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_BPF"] } },
                { "names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_CHROOT"] } },
                { "names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": { "caps": ["CAP_BPF"] } },
                { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_CHROOT"] } },
            ],
        });
        let resolved = resolve_profile(&profile, &["CAP_SYS_CHROOT"]);
        let names: Vec<_> =
            resolved["syscalls"].as_array().unwrap().iter().map(|rule| &rule["names"][0]).collect();
        assert_eq!(names, ["read", "chroot", "bpf"]);
        assert_eq!(resolved["defaultErrnoRet"], 38);
        assert_eq!(resolved["syscalls"][2]["errnoRet"], 1);
    }

    #[test]
    fn own_profile_is_one() {
        let profile: Value = serde_json::from_str(OWN_PROFILE).unwrap();
        assert!(profile["syscalls"].as_array().is_some_and(|rules| !rules.is_empty()));
    }
}

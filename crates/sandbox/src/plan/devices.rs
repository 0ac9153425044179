//! Device nodes and the links in `/dev`.
//!
//! Pure.

use init::Step;
use init::sys::flag;
use spec::Config;
use spec::config::{Device, DeviceKind, Id, Mount, MountKind, Propagation, PropagationKind};
use spec::{AbsolutePath, Text};

use super::namespace_plan::NamespacePlan;
use super::{Steps, confined};
use crate::host::HostFacts;

/// What every container has (config-linux.md, default devices): name, major, minor.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// What every container has (runtime-linux.md, dev symbolic links), and the multiplexer of its own devpts.
const DEFAULT_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

fn default_device(name: &str, major: u32, minor: u32) -> Option<Device> {
    Some(Device {
        path: AbsolutePath::new(Text::new(name)?)?,
        kind: DeviceKind::Character,
        major,
        minor,
        mode: 0o666,
        uid: Id::ROOT,
        gid: Id::ROOT,
    })
}

/// Whether the host's `/dev` is the container's: then nothing is made in it.
pub(super) fn host_dev(config: &Config) -> bool {
    config.mounts.iter().any(|mount| is_dev(mount) && matches!(mount.kind, MountKind::Bind { .. }))
}

fn is_dev(mount: &Mount) -> bool {
    mount.destination.trim_end_matches('/') == "/dev"
}

/// Whether what is mounted in the host's `/dev` could reach the host, by the propagation that the config asks for.
pub(super) fn shares_dev(config: &Config) -> bool {
    let shared = |propagation: &Propagation| propagation.kind == PropagationKind::Shared;
    config.linux.rootfs_propagation.as_ref().is_some_and(shared)
        || config.mounts.iter().any(|mount| is_dev(mount) && mount.propagation.iter().any(shared))
}

pub(super) fn plan_devices(steps: &mut Steps, config: &Config, host: &HostFacts, namespaces: &NamespacePlan) {
    if host_dev(config) {
        return;
    }
    let bound = confined::in_user_namespace(host, namespaces);
    let devices = &config.linux.devices;
    steps.push("/linux/devices", Step::EnterDirectory { path: "/dev".into() });
    for (name, major, minor) in DEFAULT_DEVICES {
        // One that the config lists too is made as the config says.
        if !devices.iter().any(|device| &**device.path.as_text() == name)
            && let Some(device) = default_device(name, major, minor)
        {
            plan_device(steps, "/linux/devices".to_owned(), &device, bound);
        }
    }
    for (name, target) in DEFAULT_LINKS {
        steps.push("/linux/devices", Step::MakeLink { name: name.into(), target: target.into() });
    }
    let mut entered = "/dev";
    for (index, device) in devices.iter().enumerate() {
        // Engines list all of the host's for a privileged container; this one is the link to the container's own devpts.
        if &**device.path == "/dev/ptmx" {
            continue;
        }
        let pointer = format!("/linux/devices/{index}");
        let (parent, _) = split_parent(&device.path);
        if parent != entered {
            steps.push(pointer.clone(), Step::EnterDirectory { path: parent.into() });
            entered = parent;
        }
        plan_device(steps, pointer, device, bound);
    }
}

/// The directory and the name.
fn split_parent(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

fn plan_device(steps: &mut Steps, pointer: String, device: &Device, bound: bool) {
    let (_, name) = split_parent(&device.path);
    let kind = match device.kind {
        DeviceKind::Character => flag::S_IFCHR,
        DeviceKind::Block => flag::S_IFBLK,
        DeviceKind::Fifo => flag::S_IFIFO,
    };
    let (mode, major, minor) = (kind | device.mode, device.major, device.minor);
    let step = if bound && device.kind != DeviceKind::Fifo {
        Step::BindNode { name: name.into(), source: (&**device.path).into(), mode, major, minor }
    } else {
        let (uid, gid) = (device.uid.get(), device.gid.get());
        Step::MakeNode { name: name.into(), mode, major, minor, uid, gid }
    };
    steps.push(pointer, step);
}

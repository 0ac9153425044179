//! `linux`.

use serde_json::{Map, Value};

use super::resources::write_resources;
use super::seccomp::write_seccomp;
use super::{Object, list, strings, write_mapping};
use crate::check::list::format_list;
use crate::check::options::propagation_name;
use crate::config::names::{MEMORY_POLICY_FLAGS, flag_names};
use crate::config::{
    Device, DeviceKind, IntelRdt, Linux, MemoryPolicy, NamespaceKind, Namespaces, NetDevice, Resources,
    TimeOffset,
};

pub(super) fn write_linux(linux: &Linux) -> Value {
    let offset = |offset: TimeOffset| {
        Object::default().with("secs", offset.seconds).with("nanosecs", offset.nanoseconds)
    };
    let offsets = Object::default()
        .with_some("monotonic", linux.time_offsets.monotonic.map(offset))
        .with_some("boottime", linux.time_offsets.boottime.map(offset));
    let sysctl: Map<String, Value> =
        linux.sysctl.iter().map(|it| (it.key.to_string(), (&*it.value).into())).collect();
    let net_devices: Map<String, Value> =
        linux.net_devices.iter().map(|(name, device)| (name.to_string(), write_net_device(device))).collect();
    let resources = (linux.resources != Resources::default()).then(|| write_resources(&linux.resources));
    let personality = linux.personality.map(|domain| Object::default().with("domain", domain.name()));
    Object::default()
        .with_filled("namespaces", write_namespaces(&linux.namespaces))
        .with_filled("uidMappings", list(&linux.uid_mappings, write_mapping))
        .with_filled("gidMappings", list(&linux.gid_mappings, write_mapping))
        .with_filled("timeOffsets", offsets)
        .with_filled("devices", list(&linux.devices, write_device))
        .with_filled("netDevices", net_devices)
        .with_some("cgroupsPath", linux.cgroups_path.as_deref())
        .with_some("resources", resources)
        .with_some("intelRdt", linux.intel_rdt.as_ref().map(write_intel_rdt))
        .with_some("memoryPolicy", linux.memory_policy.as_ref().map(write_memory_policy))
        .with_some("personality", personality)
        .with_some("rootfsPropagation", linux.rootfs_propagation.map(propagation_name))
        .with_some("seccomp", linux.seccomp.as_ref().map(write_seccomp))
        .with_filled("sysctl", sysctl)
        .with_filled("maskedPaths", strings(linux.masked_paths.iter().map(|path| path.as_text())))
        .with_filled("readonlyPaths", strings(linux.readonly_paths.iter().map(|path| path.as_text())))
        .with_some("mountLabel", linux.mount_label.as_deref())
        .into()
}

/// In the order of their indices.
fn write_namespaces(namespaces: &Namespaces) -> Value {
    let mut entries: Vec<_> = NamespaceKind::ALL
        .into_iter()
        .filter_map(|kind| namespaces.get(kind).map(|namespace| (namespace.index, kind, namespace)))
        .collect();
    entries.sort_by_key(|(index, ..)| *index);
    let entry = |(_, kind, namespace): &(usize, NamespaceKind, &crate::config::Namespace)| {
        let path = namespace.path.as_ref().map(|path| &***path);
        Object::default().with("type", kind.name()).with_some("path", path).into()
    };
    list(&entries, entry)
}

fn write_device(device: &Device) -> Value {
    let (kind, numbers) = match device.kind {
        DeviceKind::Character => ("c", Some((device.major, device.minor))),
        DeviceKind::Block => ("b", Some((device.major, device.minor))),
        DeviceKind::Fifo => ("p", None),
    };
    Object::default()
        .with("type", kind)
        .with("path", &**device.path)
        .with_some("major", numbers.map(|(major, _)| major))
        .with_some("minor", numbers.map(|(_, minor)| minor))
        .with("fileMode", device.mode)
        .with("uid", device.uid.get())
        .with("gid", device.gid.get())
        .into()
}

fn write_net_device(device: &NetDevice) -> Value {
    Object::default().with_some("name", device.name.as_deref()).into()
}

fn write_intel_rdt(rdt: &IntelRdt) -> Object {
    Object::default()
        .with_some("closID", rdt.clos_id.as_deref())
        .with_filled("schemata", strings(&rdt.schemata))
        .with_some("l3CacheSchema", rdt.l3_cache_schema.as_deref())
        .with_some("memBwSchema", rdt.mem_bw_schema.as_deref())
        .with_some("enableMonitoring", rdt.enable_monitoring.then_some(true))
}

fn write_memory_policy(policy: &MemoryPolicy) -> Object {
    let nodes = (!policy.nodes.is_empty()).then(|| format_list(&policy.nodes));
    Object::default()
        .with("mode", policy.mode.name())
        .with_some("nodes", nodes)
        .with_filled("flags", flag_names(MEMORY_POLICY_FLAGS, policy.flags.into()))
}

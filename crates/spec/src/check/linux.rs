//! `linux`.

use std::collections::BTreeMap;

use super::network::check_net_devices;
use super::options::propagation_by_name;
use super::process::check_list;
use super::resources::{MAJOR_MAX, MINOR_MAX, check_resources};
use super::seccomp::check_seccomp;
use super::sysctl::check_sysctl;
use super::{check_flags, climbs};
use crate::config::names::MEMORY_POLICY_FLAGS;
use crate::config::{
    Device, DeviceKind, Id, IdMapping, IntelRdt, Linux, MemoryPolicy, MemoryPolicyMode, Namespace,
    NamespaceKind, Namespaces, Personality, Propagation, TimeOffset, TimeOffsets,
};
use crate::field::{Field, Object};
use crate::report::{Report, quote};
use crate::{AbsolutePath, Text};

const CLAUSE: &str = "config-linux.md";
const NAMESPACES: &str = "config-linux.md#namespaces";
const MAPPINGS: &str = "config-linux.md#user-namespace-mappings";
const DEVICES: &str = "config-linux.md#devices";
/// How many lines the kernel takes (user_namespaces(7)).
pub(super) const MAX_MAPPINGS: usize = 340;

/// Checks `linux`; absent is all defaults.
pub(super) fn check_linux(field: Field<'_, '_>, report: &mut Report) -> Option<Linux> {
    let known = &[
        "namespaces",
        "uidMappings",
        "gidMappings",
        "timeOffsets",
        "devices",
        "netDevices",
        "cgroupsPath",
        "resources",
        "intelRdt",
        "memoryPolicy",
        "personality",
        "rootfsPropagation",
        "seccomp",
        "sysctl",
        "maskedPaths",
        "readonlyPaths",
        "mountLabel",
    ];
    if !field.is_present() {
        return Some(Linux::default());
    }
    let linux = field.object(report, CLAUSE, known)?;
    let namespaces = check_namespaces(linux.field("namespaces").of(NAMESPACES), report);
    let uid_mappings = check_mappings(linux.field("uidMappings").of(MAPPINGS), report);
    let gid_mappings = check_mappings(linux.field("gidMappings").of(MAPPINGS), report);
    let time_offsets = check_time_offsets(linux.field("timeOffsets"), report);
    let devices = check_devices(linux.field("devices").of(DEVICES), report);
    let net_devices = check_net_devices(linux.field("netDevices"), report);
    let cgroups_path = check_cgroups_path(linux.field("cgroupsPath"), report);
    let resources = check_resources(linux.field("resources"), report);
    let intel_rdt = check_intel_rdt(linux.field("intelRdt"), report);
    let memory_policy = check_memory_policy(linux.field("memoryPolicy"), report);
    let personality = check_personality(linux.field("personality"), report);
    let rootfs_propagation = check_propagation(linux.field("rootfsPropagation"), report);
    let seccomp = check_seccomp(linux.field("seccomp"), report);
    let sysctl = check_sysctl(linux.field("sysctl"), &namespaces, report);
    let masked_paths = check_masked(linux.field("maskedPaths").of("config-linux.md#masked-paths"), report);
    let readonly_paths =
        check_paths(linux.field("readonlyPaths").of("config-linux.md#readonly-paths"), report);
    let mount_label = linux.field("mountLabel").of("config-linux.md#mount-label").text_if_set(report);
    Some(Linux {
        namespaces,
        uid_mappings: uid_mappings?,
        gid_mappings: gid_mappings?,
        time_offsets,
        devices,
        net_devices: net_devices?,
        cgroups_path,
        resources: resources?,
        intel_rdt,
        memory_policy,
        personality,
        rootfs_propagation,
        seccomp,
        sysctl: sysctl?,
        masked_paths,
        readonly_paths,
        mount_label,
    })
}

fn check_namespaces(field: Field<'_, '_>, report: &mut Report) -> Namespaces {
    let mut namespaces = Namespaces::default();
    for (index, item) in field.items(report).enumerate() {
        let Some(entry) = item.object(report, NAMESPACES, &["type", "path"]) else { continue };
        let type_field = entry.field("type").required(report);
        let kind = type_field.name::<NamespaceKind>(report);
        let path_field = entry.field("path");
        let path = path_field.str_if_set(report).and_then(|_| path_field.absolute_path(report));
        let Some(kind) = kind else { continue };
        let slot = namespaces.get_mut(kind);
        if slot.is_some() {
            type_field.violate(report, "must be there once");
        } else {
            *slot = Some(Namespace { path, index });
        }
    }
    namespaces
}

/// Absent is the empty list; `None` where a mapping is wrong.
pub(super) fn check_mappings(field: Field<'_, '_>, report: &mut Report) -> Option<Vec<IdMapping>> {
    let items = field.items(report);
    if items.len() > MAX_MAPPINGS {
        report.violate(field.at, items.len(), "must have at most 340 entries (user_namespaces(7))", MAPPINGS);
        return None;
    }
    let mappings = field.checked(report, check_mapping)?;
    let container: Vec<(u32, u32)> = mappings.iter().map(|it| (it.container_id, it.size)).collect();
    let host: Vec<(u32, u32)> = mappings.iter().map(|it| (it.host_id, it.size)).collect();
    for (side, mut ranges) in [("in the container", container), ("on the host", host)] {
        ranges.sort_unstable();
        for pair in ranges.windows(2).filter(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            let found = format!("{}+{} and {}+{}", pair[0].0, pair[0].1, pair[1].0, pair[1].1);
            report.violate(field.at, found, format!("must not overlap {side}"), MAPPINGS);
        }
    }
    Some(mappings)
}

fn check_mapping(field: Field<'_, '_>, report: &mut Report) -> Option<IdMapping> {
    let mapping = field.object(report, MAPPINGS, &["containerID", "hostID", "size"])?;
    let size_field = mapping.field("size").required(report);
    let size = size_field.u32(report);
    if size == Some(0) {
        size_field.violate(report, "must be at least 1");
    }
    let [container_id, host_id] = ["containerID", "hostID"].map(|name| {
        let first_field = mapping.field(name).required(report);
        let first = first_field.id(report)?.get();
        // The last id of a range is at most 2³²−2: 2³²−1 is no id.
        if size.is_some_and(|size| first.checked_add(size).is_none()) {
            first_field
                .violate(report, format!("must leave room for {} ids below 4294967295", size.unwrap_or(0)));
            return None;
        }
        Some(first)
    });
    Some(IdMapping { container_id: container_id?, host_id: host_id?, size: size.filter(|size| *size > 0)? })
}

fn check_time_offsets(field: Field<'_, '_>, report: &mut Report) -> TimeOffsets {
    const CLAUSE: &str = "config-linux.md#offset-for-time-namespace";
    let mut offsets = TimeOffsets::default();
    for (clock, value) in field.of(CLAUSE).entries(report) {
        let offset = value.object(report, CLAUSE, &["secs", "nanosecs"]).map(|offset| TimeOffset {
            seconds: offset.field("secs").i64(report).unwrap_or(0),
            nanoseconds: offset.field("nanosecs").within(report, 0, 999_999_999).unwrap_or(0) as u32,
        });
        match clock {
            "monotonic" => offsets.monotonic = offset,
            "boottime" => offsets.boottime = offset,
            _ => report.violate(value.at, quote(clock), "must be monotonic or boottime", CLAUSE),
        }
    }
    offsets
}

fn check_devices(field: Field<'_, '_>, report: &mut Report) -> Vec<Device> {
    let mut devices: Vec<Device> = Vec::new();
    let mut earlier: BTreeMap<AbsolutePath, usize> = BTreeMap::new();
    for item in field.items(report) {
        let Some(device) = check_device(item, report) else { continue };
        match earlier.get(&device.path) {
            None => {
                earlier.insert(device.path.clone(), devices.len());
                devices.push(device);
            }
            Some(index) if devices[*index] == device => {
                report.warn(item.at, format!("{} is listed before: ignored", quote(&device.path)));
            }
            Some(_) => item.violate(report, "must not be another device at the same path"),
        }
    }
    devices
}

fn check_device(field: Field<'_, '_>, report: &mut Report) -> Option<Device> {
    let known = &["type", "path", "major", "minor", "fileMode", "uid", "gid"];
    let device = field.object(report, DEVICES, known)?;
    let type_field = device.field("type").required(report);
    let kind = type_field.str(report).and_then(|letter| match letter {
        "c" | "u" => Some(DeviceKind::Character),
        "b" => Some(DeviceKind::Block),
        "p" => Some(DeviceKind::Fifo),
        _ => {
            type_field.violate(report, "must be c or u (character), b (block) or p (FIFO)");
            None
        }
    });
    let path = check_device_path(device.field("path").required(report), report);
    let mut number = |name: &'static str, max: i64| {
        if kind == Some(DeviceKind::Fifo) {
            return Some(0);
        }
        device.field(name).required(report).within(report, 0, max).map(|number| number as u32)
    };
    let (major, minor) = (number("major", MAJOR_MAX), number("minor", MINOR_MAX));
    let mode = check_file_mode(&device, report);
    let uid = device.field("uid").id(report).unwrap_or(Id::ROOT);
    let gid = device.field("gid").id(report).unwrap_or(Id::ROOT);
    Some(Device { path: path?, kind: kind?, major: major?, minor: minor?, mode, uid, gid })
}

/// A path ends in the device's name; slashes after it say nothing.
fn check_device_path(field: Field<'_, '_>, report: &mut Report) -> Option<AbsolutePath> {
    let path = field.absolute_path(report)?;
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        field.violate(report, "must end in the device's name");
    }
    Text::new(trimmed).and_then(AbsolutePath::new)
}

/// Engines copy `st_mode` of the host's device: the type in it says nothing new.
fn check_file_mode(device: &Object<'_, '_>, report: &mut Report) -> u32 {
    let mode = device.field("fileMode").within(report, 0, 0o177_777);
    mode.map_or(0o666, |mode| mode as u32 & 0o7777)
}

fn check_cgroups_path(field: Field<'_, '_>, report: &mut Report) -> Option<Text> {
    let field = field.of("config-linux.md#cgroups-path");
    let path = field.text_if_set(report)?;
    if climbs(&path) || path.contains(|c: char| c.is_control()) {
        field.violate(report, "must have neither `..` components nor control characters");
    } else if path.split('/').all(|component| matches!(component, "" | ".")) {
        field.violate(report, "must name a cgroup below the root");
    }
    Some(path)
}

fn check_intel_rdt(field: Field<'_, '_>, report: &mut Report) -> Option<IntelRdt> {
    const CLAUSE: &str = "config-linux.md#intelrdt";
    let known = &["closID", "schemata", "l3CacheSchema", "memBwSchema", "enableMonitoring"];
    let rdt = field.object(report, CLAUSE, known)?;
    let clos_field = rdt.field("closID");
    let clos_id = clos_field.text_if_set(report);
    if clos_id
        .as_deref()
        .is_some_and(|id| id != "/" && (matches!(id, "." | "..") || id.contains(['/', '\n'])))
    {
        clos_field.violate(report, "must be / or the name of a directory");
    }
    let l3_cache_schema = check_line(rdt.field("l3CacheSchema"), report);
    let mem_bw_schema = check_line(rdt.field("memBwSchema"), report);
    let schemata_field = rdt.field("schemata");
    let schemata = schemata_field.items(report).filter_map(|item| check_line(item, report)).collect();
    if l3_cache_schema.as_deref().is_some_and(|schema| !schema.starts_with("L3:")) {
        report.warn(rdt.field("l3CacheSchema").at, "should start with L3:");
    }
    if mem_bw_schema.as_deref().is_some_and(|schema| !schema.starts_with("MB:")) {
        rdt.field("memBwSchema").violate(report, "must start with MB:");
    }
    let enable_monitoring = rdt.field("enableMonitoring").bool(report).unwrap_or(false);
    Some(IntelRdt { clos_id, schemata, l3_cache_schema, mem_bw_schema, enable_monitoring })
}

/// One line of the file `schemata`; the empty string asks nothing.
fn check_line(field: Field<'_, '_>, report: &mut Report) -> Option<Text> {
    let line = field.text_if_set(report)?;
    if line.contains('\n') {
        field.violate(report, "must be one line");
    }
    Some(line)
}

/// The combinations that `set_mempolicy(2)` refuses are violations.
fn check_memory_policy(field: Field<'_, '_>, report: &mut Report) -> Option<MemoryPolicy> {
    const CLAUSE: &str = "config-linux.md#memory-policy";
    let policy = field.object(report, CLAUSE, &["mode", "nodes", "flags"])?;
    let mode = policy.field("mode").required(report).name::<MemoryPolicyMode>(report);
    let nodes_field = policy.field("nodes");
    let nodes = check_list(nodes_field, report);
    let named = nodes_field.str_if_set(&mut Report::default()).is_some();
    let flags_field = policy.field("flags");
    let flags = check_flags(flags_field, report, MEMORY_POLICY_FLAGS);
    let (mode, flags) = (mode?, flags? as u32);
    match mode {
        MemoryPolicyMode::Default | MemoryPolicyMode::Local if named => {
            let count = nodes.as_ref().map_or(0, Vec::len);
            let rule =
                format!("must be empty with {} (the mode requires 0 nodes but got {count})", mode.name());
            nodes_field.violate(report, rule);
        }
        MemoryPolicyMode::Default | MemoryPolicyMode::Local | MemoryPolicyMode::Preferred => {}
        _ if !named => {
            nodes_field.violate(report, format!("must name at least one node with {}", mode.name()));
        }
        _ => {}
    }
    let both = (1 << 14) | (1 << 15);
    if flags & both == both {
        let rule = "must not have both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES";
        flags_field.violate(report, rule);
    } else if flags & both != 0 && !named {
        flags_field.violate(report, "must be absent where there are no nodes");
    }
    Some(MemoryPolicy { mode, nodes: nodes.unwrap_or_default(), flags })
}

fn check_personality(field: Field<'_, '_>, report: &mut Report) -> Option<Personality> {
    const CLAUSE: &str = "config-linux.md#personality";
    let personality = field.object(report, CLAUSE, &["domain", "flags"])?;
    let domain = personality.field("domain").required(report).name(report);
    let flags = personality.field("flags");
    if flags.items(report).len() > 0 {
        flags.violate(report, "must be empty: no flags are supported");
    }
    domain
}

fn check_propagation(field: Field<'_, '_>, report: &mut Report) -> Option<Propagation> {
    let field = field.of("config-linux.md#rootfs-mount-propagation");
    let propagation = propagation_by_name(field.str_if_set(report)?);
    if propagation.is_none() {
        field.violate(report, "must be shared, slave, private or unbindable, or one of these with r before");
    }
    propagation
}

fn check_masked(field: Field<'_, '_>, report: &mut Report) -> Vec<AbsolutePath> {
    field
        .items(report)
        .filter_map(|item| {
            let path = item.absolute_path(report)?;
            if path.split('/').all(|component| matches!(component, "" | "." | "..")) {
                item.violate(report, "must not be the root: nothing of the container would be left");
            }
            Some(path)
        })
        .collect()
}

fn check_paths(field: Field<'_, '_>, report: &mut Report) -> Vec<AbsolutePath> {
    field.items(report).filter_map(|item| item.absolute_path(report)).collect()
}

//! `linux.resources`.

mod block_io;
mod cpu;
mod devices;
mod memory;

use std::collections::{BTreeMap, BTreeSet};

use super::network;
use crate::Text;
use crate::config::{HugepageLimit, InterfacePriority, Limit, Network, Rdma, Resources};
use crate::field::{Field, text};
use crate::report::{Report, quote};

const CLAUSE: &str = "config-linux.md#control-groups";

/// Device numbers that the kernel can hold: 12 bits and 20 bits.
pub(super) const MAJOR_MAX: i64 = (1 << 12) - 1;
pub(super) const MINOR_MAX: i64 = (1 << 20) - 1;

/// Checks `resources`; absent is no limit at all.
pub(crate) fn check_resources(field: Field<'_, '_>, report: &mut Report) -> Option<Resources> {
    let known =
        &["devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified"];
    if !field.is_present() {
        return Some(Resources::default());
    }
    let resources = field.object(report, CLAUSE, known)?;
    let devices = devices::check_device_rules(resources.field("devices"), report);
    let memory = memory::check_memory(resources.field("memory"), report);
    let cpu = cpu::check_cpu(resources.field("cpu"), report);
    let pids = check_pids(resources.field("pids"), report);
    let block_io = block_io::check_block_io(resources.field("blockIO"), report);
    let hugepage_limits = check_hugepage_limits(resources.field("hugepageLimits"), report);
    let network = check_network(resources.field("network"), report);
    let rdma = check_rdma(resources.field("rdma"), report);
    let unified = check_unified(resources.field("unified"), report);
    Some(Resources { devices, memory, cpu, pids, block_io, hugepage_limits, network, rdma, unified })
}

/// −1 is no limit; other negative numbers mean nothing.
fn check_limit(field: Field<'_, '_>, report: &mut Report) -> Option<Limit> {
    let limit = field.i64(report)?;
    match u64::try_from(limit) {
        Ok(limit) => Some(Limit::Value(limit)),
        Err(_) if limit == -1 => Some(Limit::Max),
        Err(_) => {
            field.violate(report, "must be -1 (no limit), 0 or more");
            None
        }
    }
}

fn check_pids(field: Field<'_, '_>, report: &mut Report) -> Option<Limit> {
    let pids = field.object(report, "config-linux.md#pids", &["limit"])?;
    check_limit(pids.field("limit"), report)
}

fn check_hugepage_limits(field: Field<'_, '_>, report: &mut Report) -> Vec<HugepageLimit> {
    const CLAUSE: &str = "config-linux.md#huge-page-limits";
    let mut limits = Vec::new();
    let mut seen = BTreeSet::new();
    for item in field.of(CLAUSE).items(report) {
        let Some(entry) = item.object(report, CLAUSE, &["pageSize", "limit"]) else { continue };
        let size_field = entry.field("pageSize").required(report);
        let limit_bytes = entry.field("limit").required(report).u64(report);
        let Some(page_size) = size_field.text(report) else { continue };
        if !is_page_size(&page_size) {
            size_field.violate(report, "must be a size such as 64KB, 2MB or 1GB");
        }
        if !seen.insert(page_size.clone()) {
            size_field.violate(report, "must be there once");
        }
        if let Some(limit_bytes) = limit_bytes {
            limits.push(HugepageLimit { page_size, limit_bytes });
        }
    }
    limits
}

fn is_page_size(size: &str) -> bool {
    let digits = size.strip_suffix('B').and_then(|size| size.strip_suffix(['K', 'M', 'G']));
    digits.is_some_and(|digits| {
        !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn check_network(field: Field<'_, '_>, report: &mut Report) -> Network {
    const CLAUSE: &str = "config-linux.md#network";
    let Some(network) = field.object(report, CLAUSE, &["classID", "priorities"]) else {
        return Network::default();
    };
    let class_id = network.field("classID").u32(report);
    let mut priorities = Vec::new();
    for item in network.field("priorities").items(report) {
        let Some(entry) = item.object(report, CLAUSE, &["name", "priority"]) else { continue };
        let name_field = entry.field("name").required(report);
        let name = name_field.text(report);
        if name.as_deref().is_some_and(|name| !network::is_interface_name(name)) {
            name_field.violate(report, network::NAME_RULE);
        }
        let priority = entry.field("priority").required(report).u32(report);
        if let (Some(name), Some(priority)) = (name, priority) {
            priorities.push(InterfacePriority { name, priority });
        }
    }
    Network { class_id, priorities }
}

fn check_rdma(field: Field<'_, '_>, report: &mut Report) -> BTreeMap<Text, Rdma> {
    const CLAUSE: &str = "config-linux.md#rdma";
    let mut devices = BTreeMap::new();
    for (name, value) in field.of(CLAUSE).entries(report) {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            report.violate(value.at, quote(name), "must be the name of a device", CLAUSE);
        }
        let value = value.required(report);
        let Some(entry) = value.object(report, CLAUSE, &["hcaHandles", "hcaObjects"]) else { continue };
        let (handles, objects) = (entry.field("hcaHandles"), entry.field("hcaObjects"));
        if !handles.is_present() && !objects.is_present() {
            entry.violate(report, "neither", "must have hcaHandles or hcaObjects");
        }
        let limits = Rdma { hca_handles: handles.u32(report), hca_objects: objects.u32(report) };
        devices.insert(text(name), limits);
    }
    devices
}

fn check_unified(field: Field<'_, '_>, report: &mut Report) -> BTreeMap<Text, Text> {
    const CLAUSE: &str = "config-linux.md#unified";
    let mut files = BTreeMap::new();
    for (name, value) in field.of(CLAUSE).entries(report) {
        if matches!(name, "" | "." | "..") || name.contains('/') {
            report.violate(value.at, quote(name), "must be the name of a file in the cgroup", CLAUSE);
        }
        if let Some(content) = value.required(report).text(report) {
            files.insert(text(name), content);
        }
    }
    files
}

//! `linux.netDevices`, and the names of network interfaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::Text;
use crate::config::NetDevice;
use crate::field::{Field, text};
use crate::report::{Report, quote};

const CLAUSE: &str = "config-linux.md#network-devices";
pub(super) const NAME_RULE: &str =
    "must be the name of a network interface: 1 to 15 bytes, no '/', ':' or white space, not '.' or '..'";

pub(super) fn check_net_devices(
    field: Field<'_, '_>,
    report: &mut Report,
) -> Option<BTreeMap<Text, NetDevice>> {
    let field = field.of(CLAUSE);
    let mut devices = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (host_name, value) in field.entries(report) {
        if !is_interface_name(host_name) {
            report.violate(value.at, quote(host_name), NAME_RULE, CLAUSE);
        }
        // An absent value asks nothing special of the device.
        let device = value.object(report, CLAUSE, &["name"]);
        let name = device.and_then(|device| {
            let field = device.field("name");
            let name = field.text_if_set(report)?;
            // `%d` stands for a number that the kernel chooses.
            if !is_interface_name(&name.replacen("%d", "0", 1)) {
                field.violate(report, NAME_RULE);
            }
            Some(name)
        });
        let inside = name.as_deref().unwrap_or(host_name);
        if !inside.contains("%d") && !names.insert(inside.to_owned()) {
            report.violate(value.at, quote(inside), "must have a name of its own in the container", CLAUSE);
        }
        devices.insert(text(host_name), NetDevice { name });
    }
    Some(devices)
}

/// As the kernel's `dev_valid_name`, and no template.
pub(super) fn is_interface_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name
            .bytes()
            .any(|b| matches!(b, b'/' | b':' | b'%') || b.is_ascii_whitespace() || b.is_ascii_control())
}

//! `linux.resources.devices`: the list of allowed devices.

use super::{MAJOR_MAX, MINOR_MAX};
use crate::config::{Access, DeviceRule, DeviceRuleKind};
use crate::field::Field;
use crate::report::Report;

const CLAUSE: &str = "config-linux.md#allowed-device-list";
const ALL: Access = Access { read: true, write: true, mknod: true };

pub(super) fn check_device_rules(field: Field<'_, '_>, report: &mut Report) -> Vec<DeviceRule> {
    let field = field.of(CLAUSE);
    let mut rules = Vec::new();
    for item in field.items(report) {
        let Some(rule) = check_rule(item, report) else { continue };
        let whole = rule.major.is_none() && rule.minor.is_none() && rule.access == ALL;
        if rule.kind == DeviceRuleKind::All && !whole {
            // cgroup v1 would read such a line as "everything": two rules say what is meant.
            rules.push(DeviceRule { kind: DeviceRuleKind::Character, ..rule });
            rules.push(DeviceRule { kind: DeviceRuleKind::Block, ..rule });
        } else {
            rules.push(rule);
        }
    }
    rules
}

fn check_rule(field: Field<'_, '_>, report: &mut Report) -> Option<DeviceRule> {
    let rule = field.object(report, CLAUSE, &["allow", "type", "major", "minor", "access"])?;
    let allow = rule.field("allow").required(report).bool(report);
    let type_field = rule.field("type");
    let kind = match type_field.str_if_set(report) {
        None | Some("a") => DeviceRuleKind::All,
        Some("c") => DeviceRuleKind::Character,
        Some("b") => DeviceRuleKind::Block,
        Some(_) => {
            type_field.violate(report, "must be a (all), c (character) or b (block)");
            DeviceRuleKind::All
        }
    };
    let major = check_number(rule.field("major"), MAJOR_MAX, report);
    let minor = check_number(rule.field("minor"), MINOR_MAX, report);
    let access_field = rule.field("access");
    let access = match access_field.str_if_set(report) {
        None => ALL,
        Some(letters) if letters.bytes().all(|letter| b"rwma".contains(&letter)) => {
            if letters.contains('a') {
                // Written for "all", as the type is; runc leaves it out too.
                report.warn(access_field.at, "a is no access, and left out: all of them are rwm");
            }
            let has = |letter| letters.contains(letter);
            Access { read: has('r'), write: has('w'), mknod: has('m') }
        }
        Some(_) => {
            access_field.violate(report, "must be composed of r (read), w (write) and m (mknod)");
            ALL
        }
    };
    Some(DeviceRule { allow: allow?, kind, major, minor, access })
}

/// A number, or any: absent or −1.
fn check_number(field: Field<'_, '_>, max: i64, report: &mut Report) -> Option<u32> {
    field.within(report, -1, max).and_then(|number| u32::try_from(number).ok())
}

//! Limits in systemd's words: each file of the cgroup that it manages, as its property (systemd.resource-control(5)).
//! Pure.
//!
//! What a value means was decided when the write was planned.

use serde::Serialize;
use spec::config::{Access, DeviceRule, DeviceRuleKind, Resources};

use super::super::device::Line;
use super::super::device_plan::{DeviceFilter, DevicePlan};
use super::super::planner::Write;
use super::super::record::Version;
use crate::Warning;

/// A property of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Property {
    /// Its name on the bus.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The field of the config that it comes from, as JSON pointer; empty for none.
    pub pointer: String,
}

/// A value on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    U8(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    U32s(Vec<u32>),
    /// `as`
    Texts(Vec<String>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
}

impl Property {
    pub(super) fn new(name: &str, value: Value, pointer: &str) -> Self {
        Self { name: name.to_owned(), value, pointer: pointer.to_owned() }
    }
}

pub(super) const TASKS_MAX: &str = "TasksMax";

/// v1: CPU quota and period, of which systemd makes one value.
pub(in super::super) const V1_BANDWIDTH: [&str; 2] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"];

/// The properties that say what the writes do. A file that systemd knows nothing of has none.
pub(in super::super) fn of_writes<'a>(
    writes: impl IntoIterator<Item = (Version, &'a Write)>,
) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    let [mut quota, mut period] = [None; 2];
    for (version, write) in writes {
        let value = write.value.trim();
        let of_write = match version {
            Version::V2 => of_v2_write(&write.file, value),
            Version::V1 => of_v1_write(&write.file, value),
        };
        for (name, value) in of_write {
            // The last write of a file holds.
            properties.retain(|property| property.name != name);
            properties.push(Property::new(name, value, &write.pointer));
        }
        if write.file == V1_BANDWIDTH[0] {
            quota = Some(write);
        } else if write.file == V1_BANDWIDTH[1] {
            period = Some(write);
        }
    }
    if let Some(write) = quota.or(period) {
        let value = |write: Option<&Write>| write.map(|write| write.value.trim().to_owned());
        let of_both = bandwidth(value(quota).as_deref(), value(period).as_deref()).unwrap_or_default();
        properties
            .extend(of_both.into_iter().map(|(name, value)| Property::new(name, value, &write.pointer)));
    }
    properties
}

/// Whether all processes go when memory is out, which systemd decides once for all, when the scope is started.
pub(super) fn of_oom_group(resources: &Resources) -> Option<Property> {
    const FILE: &str = "memory.oom.group";
    let policy = match resources.unified.iter().find(|(file, _)| &***file == FILE)?.1.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    let value = Value::Text(policy.to_owned());
    Some(Property::new("OOMPolicy", value, &format!("/linux/resources/unified/{FILE}")))
}

/// v1: which devices may be used, in systemd's words: it would else allow all of them when it sets the controller again.
/// A warning where it has no words.
pub(in super::super) fn of_devices(filter: &DeviceFilter) -> (Vec<Property>, Option<Warning>) {
    let DeviceFilter::Files { allow, exceptions } = filter else { return (Vec::new(), None) };
    let (sayable, unsayable): (Vec<&DevicePlan>, Vec<&DevicePlan>) = if *allow {
        (Vec::new(), exceptions.iter().collect())
    } else {
        exceptions.iter().partition(|plan| device(&plan.rule).is_some())
    };
    let list = sayable.iter().filter_map(|plan| device(&plan.rule)).collect();
    let policy = if *allow { "auto" } else { "strict" };
    let property = |name, value| Property::new(name, value, "/linux/resources/devices");
    let properties = vec![
        property("DevicePolicy", Value::Text(policy.to_owned())),
        // What was allowed before is first taken away.
        property(DEVICE_ALLOW, Value::Pairs(Vec::new())),
        property(DEVICE_ALLOW, Value::Pairs(list)),
    ];
    let warning = unsayable.first().map(|plan| Warning {
        pointer: plan.pointer.clone(),
        message: format!(
            "systemd has no property for {} {}: it holds until systemd sets the device controller again",
            if *allow { "all devices but" } else { "a minor number of all majors," },
            Line(&plan.rule)
        ),
    });
    (properties, warning)
}

const DEVICE_ALLOW: &str = "DeviceAllow";

/// A rule of what is allowed as systemd has it (systemd.resource-control(5), DeviceAllow=): the names in `/dev/char` and
/// `/dev/block` are taken as numbers, whether they are there or not.
fn device(rule: &DeviceRule) -> Option<(String, String)> {
    let kind = match rule.kind {
        DeviceRuleKind::Block => "block",
        DeviceRuleKind::Character => "char",
        DeviceRuleKind::All => return None,
    };
    let specifier = match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, None) => format!("{kind}-*"),
        (None, Some(_)) => return None,
    };
    let Access { read, write, mknod } = rule.access;
    let access = [(read, 'r'), (write, 'w'), (mknod, 'm')];
    Some((specifier, access.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect()))
}

/// systemd clamps nothing: it refuses what is not between these (`CGROUP_CPU_SHARES_*`, `CGROUP_BLKIO_WEIGHT_*`).
fn of_v1_write(file: &str, value: &str) -> Vec<(&'static str, Value)> {
    let between = |name, least: u64, most: u64| {
        value.parse().ok().map(|number: u64| (name, Value::U64(number.clamp(least, most))))
    };
    let limit = |name| parse_limit(value).map(|limit| (name, Value::U64(limit)));
    let property = match file {
        "memory.limit_in_bytes" => limit("MemoryLimit"),
        "pids.max" => tasks_max(value),
        "cpu.shares" => between("CPUShares", 2, 1 << 18),
        "blkio.weight" => between("BlockIOWeight", 10, 1000),
        _ => None,
    };
    property.into_iter().collect()
}

fn of_v2_write(file: &str, value: &str) -> Vec<(&'static str, Value)> {
    let limit = |name| parse_limit(value).map(|limit| vec![(name, Value::U64(limit))]);
    let set = |name| parse_set(value).map(|bits| vec![(name, Value::Bytes(bits))]);
    let properties = match file {
        "memory.max" => limit("MemoryMax"),
        "memory.high" => limit("MemoryHigh"),
        "memory.low" => limit("MemoryLow"),
        "memory.min" => limit("MemoryMin"),
        "memory.swap.max" => limit("MemorySwapMax"),
        "pids.max" => tasks_max(value).map(|property| vec![property]),
        "cpu.weight" => limit("CPUWeight"),
        // An idle cgroup's weight is 0 for systemd (252 and newer).
        "cpu.idle" if value == "1" => Some(vec![("CPUWeight", Value::U64(0))]),
        "cpu.max" => {
            let mut words = value.split_whitespace();
            bandwidth(words.next(), words.next())
        }
        "cpuset.cpus" => set("AllowedCPUs"),
        "cpuset.mems" => set("AllowedMemoryNodes"),
        "io.weight" => limit("IOWeight"),
        _ => None,
    };
    properties.unwrap_or_default()
}

/// systemd knows no limit of 0; the file takes it.
fn tasks_max(value: &str) -> Option<(&'static str, Value)> {
    parse_limit(value).map(|limit| (TASKS_MAX, Value::U64(limit.max(1))))
}

/// `max`, on v1 -1, is all ones. A value that is not a number is left to the kernel, which refuses it when it is written.
fn parse_limit(value: &str) -> Option<u64> {
    if matches!(value, "max" | "-1") { Some(u64::MAX) } else { value.parse().ok() }
}

/// Quota and period in µs. systemd takes the quota per second, in steps of 10 ms.
fn bandwidth(quota: Option<&str>, period: Option<&str>) -> Option<Vec<(&'static str, Value)>> {
    const DEFAULT_PERIOD: u64 = 100_000;
    const STEP: u64 = 10_000;
    let period = period.map(str::parse::<u64>).transpose().ok()?;
    let mut properties = Vec::new();
    if let Some(quota) = quota {
        let per_second = match parse_limit(quota)? {
            u64::MAX => u64::MAX,
            quota => {
                let exact = quota.checked_mul(1_000_000)? / period.unwrap_or(DEFAULT_PERIOD).max(1);
                exact.next_multiple_of(STEP)
            }
        };
        properties.push(("CPUQuotaPerSecUSec", Value::U64(per_second)));
    }
    properties.extend(period.map(|period| ("CPUQuotaPeriodUSec", Value::U64(period))));
    Some(properties)
}

/// `0-3,8` as bits, the lowest first.
fn parse_set(list: &str) -> Option<Vec<u8>> {
    /// More CPUs than the kernel can be built for.
    const MOST: usize = 1 << 16;
    let mut bits: Vec<u8> = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        bits.resize(bits.len().max(last / 8 + 1), 0);
        (first..=last).for_each(|bit| bits[bit / 8] |= 1 << (bit % 8));
    }
    (!bits.is_empty()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_properties() {
        for (file, value, expected) in [
            ("memory.max", "max", vec![("MemoryMax", Value::U64(u64::MAX))]),
            ("pids.max", "42", vec![("TasksMax", Value::U64(42))]),
            (
                "cpu.max",
                "15000 100000",
                vec![
                    ("CPUQuotaPerSecUSec", Value::U64(150_000)),
                    ("CPUQuotaPeriodUSec", Value::U64(100_000)),
                ],
            ),
            ("cpu.max", "12345", vec![("CPUQuotaPerSecUSec", Value::U64(130_000))]),
            (
                "cpu.max",
                "max 50000",
                vec![
                    ("CPUQuotaPerSecUSec", Value::U64(u64::MAX)),
                    ("CPUQuotaPeriodUSec", Value::U64(50_000)),
                ],
            ),
            ("cpuset.cpus", "0-1,9", vec![("AllowedCPUs", Value::Bytes(vec![0b11, 0b10]))]),
            ("cpu.idle", "1", vec![("CPUWeight", Value::U64(0))]),
            ("cpu.idle", "0", vec![]),
            ("cpuset.cpus", "3-1", vec![]),
            ("hugetlb.2MB.max", "0", vec![]),
            ("memory.max", "nonsense", vec![]),
        ] {
            assert_eq!(of_v2_write(file, value), expected, "{file} {value}");
        }
    }

    fn v1_write(file: &str, value: &str) -> Write {
        super::super::super::planner::write(file, value, "/p")
    }

    #[test]
    fn v1_files_as_properties() {
        let of = |writes: &[Write]| -> Vec<(String, Value)> {
            let properties = of_writes(writes.iter().map(|write| (Version::V1, write)));
            properties.into_iter().map(|property| (property.name, property.value)).collect()
        };
        let number = |name: &str, value| (name.to_owned(), Value::U64(value));
        let writes = [
            v1_write("memory.limit_in_bytes", "4096"),
            v1_write("memory.memsw.limit_in_bytes", "8192"),
            v1_write("cpu.shares", "1"),
            v1_write("cpu.cfs_period_us", "50000"),
            v1_write("cpu.cfs_quota_us", "12345"),
            v1_write("cpuset.cpus", "0"),
            v1_write("cpu.idle", "1"),
        ];
        let expected = [
            number("MemoryLimit", 4096),
            number("CPUShares", 2),
            number("CPUQuotaPerSecUSec", 250_000),
            number("CPUQuotaPeriodUSec", 50_000),
        ];
        assert_eq!(of(&writes), expected);
        assert_eq!(of(&[v1_write("cpu.cfs_quota_us", "-1")]), [number("CPUQuotaPerSecUSec", u64::MAX)]);
        assert_eq!(of(&[v1_write("memory.limit_in_bytes", "-1")]), [number("MemoryLimit", u64::MAX)]);
    }

    #[test]
    fn devices_as_properties() {
        let rules = |texts: &[&str]| -> Vec<DevicePlan> {
            let rule = super::super::super::device::tests::rule;
            texts.iter().map(|text| DevicePlan { rule: rule(text), pointer: Some("/p".into()) }).collect()
        };
        let exceptions = rules(&["allow c 1:3 rwm", "allow b 8:* r", "allow c *:* m"]);
        let (properties, warning) = of_devices(&DeviceFilter::Files { allow: false, exceptions });
        let pairs = [("/dev/char/1:3", "rwm"), ("block-8", "r"), ("char-*", "m")];
        let pairs = pairs.map(|(device, access)| (device.to_owned(), access.to_owned())).to_vec();
        assert_eq!(properties[0].value, Value::Text("strict".to_owned()));
        assert_eq!(
            (&properties[1].value, &properties[2].value),
            (&Value::Pairs(vec![]), &Value::Pairs(pairs))
        );
        assert_eq!(warning, None);
        for (allow, text) in [(true, "deny c 1:3 r"), (false, "allow c *:3 r")] {
            let (_, warning) = of_devices(&DeviceFilter::Files { allow, exceptions: rules(&[text]) });
            assert_eq!(warning.unwrap().pointer.as_deref(), Some("/p"));
        }
        let (properties, warning) = of_devices(&DeviceFilter::Files { allow: true, exceptions: Vec::new() });
        assert_eq!((&properties[0].value, warning), (&Value::Text("auto".to_owned()), None));
    }
}

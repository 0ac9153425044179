//! Limits in systemd's words: each file of the cgroup that it manages, as its property (systemd.resource-control(5)).
//! Pure.
//!
//! What a value means was decided when the write was planned.

use serde::Serialize;

use super::super::plan::Write;

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
}

impl Property {
    pub(super) fn new(name: &str, value: Value, pointer: &str) -> Self {
        Self { name: name.to_owned(), value, pointer: pointer.to_owned() }
    }
}

pub(super) const TASKS_MAX: &str = "TasksMax";

/// The properties that say what the writes do. A file that systemd knows nothing of has none.
pub(super) fn of_writes(writes: &[Write]) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    for write in writes {
        for (name, value) in of_write(&write.file, write.value.trim()) {
            // The last write of a file holds.
            properties.retain(|property| property.name != name);
            properties.push(Property::new(name, value, &write.pointer));
        }
    }
    properties
}

fn of_write(file: &str, value: &str) -> Vec<(&'static str, Value)> {
    let limit = |name| parse_limit(value).map(|limit| vec![(name, Value::U64(limit))]);
    let set = |name| parse_set(value).map(|bits| vec![(name, Value::Bytes(bits))]);
    let properties = match file {
        "memory.max" => limit("MemoryMax"),
        "memory.high" => limit("MemoryHigh"),
        "memory.low" => limit("MemoryLow"),
        "memory.min" => limit("MemoryMin"),
        "memory.swap.max" => limit("MemorySwapMax"),
        "pids.max" => limit(TASKS_MAX),
        "cpu.weight" => limit("CPUWeight"),
        // An idle cgroup's weight is 0 for systemd (252 and newer).
        "cpu.idle" if value == "1" => Some(vec![("CPUWeight", Value::U64(0))]),
        "cpu.max" => bandwidth(value),
        "cpuset.cpus" => set("AllowedCPUs"),
        "cpuset.mems" => set("AllowedMemoryNodes"),
        "io.weight" => limit("IOWeight"),
        _ => None,
    };
    properties.unwrap_or_default()
}

/// `max` is all ones. A value that is not a number is left to the kernel, which refuses it when it is written.
fn parse_limit(value: &str) -> Option<u64> {
    if value == "max" { Some(u64::MAX) } else { value.parse().ok() }
}

/// `cpu.max`: quota and period in µs. systemd takes the quota per second, in steps of 10 ms.
fn bandwidth(value: &str) -> Option<Vec<(&'static str, Value)>> {
    const DEFAULT_PERIOD: u64 = 100_000;
    const STEP: u64 = 10_000;
    let mut words = value.split_whitespace();
    let quota = words.next()?;
    let period = words.next().map(str::parse::<u64>).transpose().ok()?;
    let per_second = match quota {
        "max" => u64::MAX,
        quota => {
            let quota: u64 = quota.parse().ok()?;
            let exact = quota.checked_mul(1_000_000)? / period.unwrap_or(DEFAULT_PERIOD).max(1);
            exact.next_multiple_of(STEP)
        }
    };
    let mut properties = vec![("CPUQuotaPerSecUSec", Value::U64(per_second))];
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
            assert_eq!(of_write(file, value), expected, "{file} {value}");
        }
    }
}

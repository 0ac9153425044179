//! `update`: the limits of a file or of flags, as the specification's document; the library does the rest.

use sandbox::ContainerId;
use sandbox::probe::probe_resctrl;
use serde_json::{Value, json};
use spec::ParsedResources;
use spec::config::Resources;

use super::Session;
use super::document::read;
use crate::args::update::Update;
use crate::error::{Error, Result};

pub(crate) fn update(session: &Session<'_>, arguments: &Update) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let resources = match &arguments.resources {
        Some(path) => parse(session, &read(path)?)?,
        None => {
            for (flag, value) in [
                ("kernel-memory", &arguments.kernel_memory),
                ("kernel-memory-tcp", &arguments.kernel_memory_tcp),
            ] {
                if value.is_some() {
                    session.warn_about(format_args!("--{flag} is ignored: Linux has no such limit any more"));
                }
            }
            parse(session, document(arguments)?.to_string().as_bytes())?
        }
    };
    let runtime = session.runtime()?;
    let schemata = schemata(arguments)?;
    let replaced = if schemata.is_empty() { Vec::new() } else { runtime.update_schemata(&id, &schemata)? };
    match runtime.update(&id, &resources) {
        Ok(outcome) => session.accept(outcome),
        Err(error) => {
            // All or nothing.
            if !replaced.is_empty() {
                runtime.update_schemata(&id, &replaced)?;
            }
            return Err(error.into());
        }
    }
    Ok(0)
}

fn parse(session: &Session<'_>, bytes: &[u8]) -> Result<Resources> {
    let ParsedResources { resources, warnings } =
        spec::parse_resources(bytes).map_err(sandbox::Error::from)?;
    for spec::Warning { pointer, message } in warnings {
        session.warn(&sandbox::Warning { pointer: Some(pointer), message });
    }
    Ok(resources)
}

/// Lines for the class of service. Unlike other flags they count beside --resources too, as with runc: the file has no such
/// members.
fn schemata(arguments: &Update) -> Result<Vec<String>> {
    let asked = [
        ("l3-cache-schema", "Intel RDT/CAT: l3 cache schema", &arguments.l3_cache_schema),
        ("mem-bw-schema", "Intel RDT/MBA: memory bandwidth schema", &arguments.mem_bw_schema),
    ];
    let mut lines = Vec::new();
    for (flag, what, line) in asked {
        let Some(line) = line.as_ref().filter(|line| !line.is_empty()) else {
            continue;
        };
        if probe_resctrl()?.is_none() {
            return Err(Error::NotEnabled { what, reason: "no resctrl file system is mounted" });
        }
        if line.contains('\n') {
            return Err(invalid(flag, line));
        }
        lines.push(line.clone());
    }
    Ok(lines)
}

/// The flags as a document; an empty value is one that is not given.
fn document(arguments: &Update) -> Result<Value> {
    let mut document = json!({});
    let number = |flag, text: &str| integer(flag, text);
    for (section, name, flag, value, parse) in [
        ("blockIO", "weight", "blkio-weight", &arguments.blkio_weight, number as Parse),
        ("cpu", "period", "cpu-period", &arguments.cpu_period, number),
        ("cpu", "quota", "cpu-quota", &arguments.cpu_quota, number),
        ("cpu", "burst", "cpu-burst", &arguments.cpu_burst, number),
        ("cpu", "shares", "cpu-share", &arguments.cpu_share, number),
        ("cpu", "realtimePeriod", "cpu-rt-period", &arguments.cpu_rt_period, number),
        ("cpu", "realtimeRuntime", "cpu-rt-runtime", &arguments.cpu_rt_runtime, number),
        ("cpu", "cpus", "cpuset-cpus", &arguments.cpuset_cpus, text),
        ("cpu", "mems", "cpuset-mems", &arguments.cpuset_mems, text),
        ("cpu", "idle", "cpu-idle", &arguments.cpu_idle, number),
        ("memory", "limit", "memory", &arguments.memory, bytes),
        ("memory", "reservation", "memory-reservation", &arguments.memory_reservation, bytes),
        ("memory", "swap", "memory-swap", &arguments.memory_swap, bytes),
        ("pids", "limit", "pids-limit", &arguments.pids_limit, number),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            document[section][name] = parse(flag, value)?;
        }
    }
    Ok(document)
}

type Parse = fn(&'static str, &str) -> Result<Value>;

fn invalid(flag: &'static str, text: &str) -> Error {
    Error::InvalidValue { flag, value: text.to_owned() }
}

fn integer(flag: &'static str, text: &str) -> Result<Value> {
    let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
    number.map_err(|_| invalid(flag, text))
}

fn text(_: &'static str, text: &str) -> Result<Value> {
    Ok(text.into())
}

/// As go-units' `RAMInBytes`: a number, a unit in powers of 1024, an `i`, a `b`; or -1.
fn bytes(flag: &'static str, text: &str) -> Result<Value> {
    if text == "-1" {
        return Ok((-1).into());
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let exponent = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid(flag, text)),
    };
    let factor = 1u64 << (10 * exponent);
    if let Ok(number) = number.parse::<u64>() {
        let bytes = number.checked_mul(factor).filter(|bytes| i64::try_from(*bytes).is_ok());
        return bytes.map(Value::from).ok_or_else(|| invalid(flag, text));
    }
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(((number * factor as f64) as i64).into()),
        _ => Err(invalid(flag, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_table() {
        for (text, expected) in [
            ("0", 0i64),
            ("1", 1),
            ("-1", -1),
            ("64k", 64 << 10),
            ("64K", 64 << 10),
            ("64kb", 64 << 10),
            ("64 KiB", 64 << 10),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("2Gb", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(bytes("memory", text).unwrap(), expected, "{text}");
        }
        for text in ["", "x", "-2", "1x", "1kk", "1..5", "99999999999g", "m"] {
            assert!(bytes("memory", text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_become_the_document() {
        let flag = |text: &str| Some(text.to_owned());
        let arguments = Update {
            memory: flag("64m"),
            memory_swap: flag("-1"),
            cpu_quota: flag("-1"),
            cpuset_cpus: flag("0-1"),
            pids_limit: flag("20"),
            cpu_share: flag(""),
            ..Update::default()
        };
        let expected = json!({
            "memory": {"limit": 64 << 20, "swap": -1},
            "cpu": {"quota": -1, "cpus": "0-1"},
            "pids": {"limit": 20},
        });
        assert_eq!(document(&arguments).unwrap(), expected);
        let error = document(&Update { cpu_period: flag("x"), ..Update::default() }).unwrap_err();
        assert_eq!(error.to_string(), "invalid value for cpu-period: \"x\"");
    }
}

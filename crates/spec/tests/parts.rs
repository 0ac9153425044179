//! Documents that are a part of a configuration: `exec --process FILE`, `update --resources FILE`,
//! `mounts add ID FILE`.

use spec::config::Limit;
use spec::{parse_destinations, parse_mounts, parse_process, parse_resources};

#[test]
fn process_alone_is_read_and_written() {
    let text = br#"{"cwd": "/", "args": ["id"], "user": {"uid": 1000, "gid": 5}, "NoNewPrivileges": true,
        "capabilities": {"bounding": ["CAP_FLY"]}}"#;
    let parsed = parse_process(text).unwrap();
    let pointers: Vec<&str> = parsed.warnings.iter().map(|warning| &*warning.pointer).collect();
    assert_eq!(pointers, ["/NoNewPrivileges", "/capabilities/bounding/0"]);
    assert_eq!(parsed.process.user.uid.get(), 1000);
    assert_eq!(parse_process(parsed.process.to_json().as_bytes()).unwrap().process, parsed.process);
}

#[test]
fn process_alone_that_breaks_rules_is_refused_at_its_own_pointers() {
    let violations = parse_process(br#"{"cwd": "x", "args": [], "user": {"uid": -1}}"#).unwrap_err();
    let pointers: Vec<&str> = violations.iter().map(|violation| &*violation.pointer).collect();
    assert_eq!(pointers, ["/user/uid", "/args", "/cwd"]);
    assert!(parse_process(b"null").unwrap_err().to_string().starts_with("the document: must be an object"));
}

#[test]
fn resources_alone_are_read_and_written() {
    let parsed = parse_resources(br#"{"memory": {"swap": -1}, "pids": {"limit": 0}}"#).unwrap();
    assert_eq!(parsed.warnings, []);
    assert_eq!(parsed.resources.memory.swap, Some(Limit::Max));
    assert_eq!(parsed.resources.pids, Some(Limit::Value(0)));
    assert_eq!(parse_resources(parsed.resources.to_json().as_bytes()).unwrap().resources, parsed.resources);
}

#[test]
fn resources_alone_that_break_rules_are_refused() {
    let violations = parse_resources(br#"{"cpu": {"cpus": "x"}, "memory": {"limit": -5}}"#).unwrap_err();
    assert_eq!(violations.count(), 2);
    assert!(violations.first().pointer == "/memory/limit");
    assert!(parse_resources(b"null").is_err());
}

#[test]
fn mounts_alone_are_read() {
    let parsed = parse_mounts(
        br#"[{"destination": "a", "type": "tmpfs"}, {"destination": "/b", "source": "/s", "options": ["rbind"]}]"#,
    )
    .unwrap();
    let pointers: Vec<&str> = parsed.warnings.iter().map(|warning| &*warning.pointer).collect();
    assert_eq!(pointers, ["/0/destination"]);
    let destinations: Vec<&str> = parsed.mounts.iter().map(|mount| &**mount.destination).collect();
    assert_eq!(destinations, ["/a", "/b"]);
    assert_eq!(parse_mounts(b"[]").unwrap().mounts, []);
}

#[test]
fn mounts_alone_that_break_rules_are_refused_at_their_own_pointers() {
    let violations = parse_mounts(br#"[{"destination": "/a"}, {"type": "tmpfs"}, 3]"#).unwrap_err();
    let pointers: Vec<&str> = violations.iter().map(|violation| &*violation.pointer).collect();
    assert_eq!(pointers, ["/0/type", "/1/destination", "/2"]);
    assert!(parse_mounts(br#"{"mounts": []}"#).is_err());
}

#[test]
fn destinations_need_nothing_else() {
    let text = br#"[{"destination": "/a"}, {"destination": "/b", "type": "bind", "options": ["no-such"]}]"#;
    let destinations = parse_destinations(text).unwrap();
    let destinations: Vec<&str> = destinations.iter().map(|path| &***path).collect();
    assert_eq!(destinations, ["/a", "/b"]);
    let violations = parse_destinations(br#"[{"source": "/a"}, {"destination": 1}]"#).unwrap_err();
    let pointers: Vec<&str> = violations.iter().map(|violation| &*violation.pointer).collect();
    assert_eq!(pointers, ["/0/destination", "/1/destination"]);
}

//! Huge documents: refused or read in less than a second, in not much more memory than their text.
//!
//! One test in a program of its own, so that its peak of memory is the parser's.

use std::time::{Duration, Instant};

use spec::parse_config;

/// Resident memory of this process: now (`VmRSS`), or its peak (`VmHWM`).
fn memory_bytes(which: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process can read its status");
    let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("the line is in it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

fn repeated(head: &str, item: &str, count: usize, tail: &str) -> String {
    let mut text = String::with_capacity(head.len() + item.len() * count + tail.len());
    text += head;
    (0..count).for_each(|_| text += item);
    text + tail
}

#[test]
fn huge_documents_cost_little() {
    let numbered = |count: usize, item: fn(usize) -> String| -> String { (0..count).map(item).collect() };
    let process = r#""ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"cwd": "/""#;
    // Title, document, whether it is valid.
    let documents: Vec<(&str, String, bool)> = vec![
        ("a string of 100 MiB", repeated("{\"hostname\": \"", "0123456789", 10 << 20, "\"}"), false),
        ("a string of 15 MiB", repeated("{\"hostname\": \"", "0123456789", 3 << 19, "\"}"), false),
        ("depth 100000", "[".repeat(100_000), false),
        ("depth 100000 of objects", "{\"a\":".repeat(100_000), false),
        ("a million mounts", repeated("{\"mounts\": [", "{},", 1 << 20, "{}]}"), false),
        ("half a million mounts", repeated("{\"mounts\": [", "{},", 500_000, "{}]}"), false),
        (
            "a million variables",
            repeated(&format!("{{{process}, \"env\": ["), "\"A=1\",", 1 << 20, "\"\"]}}"),
            false,
        ),
        (
            "100000 variables",
            repeated(
                &format!("{{{process}, \"args\": [\"a\"], \"env\": ["),
                "\"A=1234567890\",",
                100_000,
                "\"B=\"]}}",
            ),
            true,
        ),
        (
            "8 MiB of annotations",
            format!(
                "{{{process}, \"args\": [\"a\"]}}, \"annotations\": {{\"a\": \"{}\"}}}}",
                "x".repeat(8 << 20)
            ),
            true,
        ),
        (
            "200000 unknown properties",
            format!("{{{}\"a\": 1}}", numbered(200_000, |n| format!("\"unknown{n}\": 0,"))),
            false,
        ),
        (
            "100000 devices at different paths, twice",
            format!(
                "{{\"linux\": {{\"devices\": [{}{{}}]}}}}",
                numbered(80_000, |n| format!(
                    "{{\"type\":\"c\",\"path\":\"/{}\",\"major\":{},\"minor\":3}},",
                    n % 40_000,
                    n / 40_000
                ))
            ),
            false,
        ),
        (
            "100000 sizes of huge pages",
            format!(
                "{{\"linux\": {{\"resources\": {{\"hugepageLimits\": [{}{{}}]}}}}}}",
                numbered(100_000, |n| format!("{{\"pageSize\":\"{}MB\",\"limit\":1}},", n + 1))
            ),
            false,
        ),
        (
            "a long list of wide ranges",
            repeated("{\"linux\": {\"memoryPolicy\": {\"nodes\": \"", "0-65535,", 1 << 20, "0\"}}}"),
            false,
        ),
        ("a long number", repeated("{\"a\": ", "1", 8 << 20, "}"), false),
        ("escapes", repeated("{\"hostname\": \"", "\\u00e9", 1 << 20, "\"}"), false),
    ];
    let seconds = if cfg!(debug_assertions) { 10 } else { 1 };
    for (title, text, valid) in &documents {
        // The peak begins anew (proc_pid_clear_refs(5)).
        std::fs::write("/proc/self/clear_refs", "5").expect("a process can clear its own");
        let (before, start) = (memory_bytes("VmRSS:"), Instant::now());
        let parsed = parse_config(text.as_bytes());
        let (time, memory) = (start.elapsed(), memory_bytes("VmHWM:").saturating_sub(before));
        let error =
            parsed.as_ref().err().map(|violations| violations.first().to_string()).unwrap_or_default();
        println!("{title}: {time:?}, {} KiB: {error:.120}", memory >> 10);
        assert_eq!(parsed.is_ok(), *valid, "{title}: {error}");
        assert!(error.len() < 1000, "{title}");
        assert!(time < Duration::from_secs(seconds), "{title}: {time:?}");
        assert!(memory < (64 << 20) + text.len().min(16 << 20), "{title}: {memory} bytes");
    }
}

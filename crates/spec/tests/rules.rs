//! Every rule, accepted and refused: `tests/rules/*.rules`.
//!
//! A case is a title (`# …`), a JSON merge patch (RFC 7396) over [`BASE`] in the lines after it, and after `=>` what comes
//! of it: the violations, or the warnings and what the patch changed in the meaning (again as a merge patch, of the
//! configuration as it is written). `UPDATE=1 cargo test -p sandbox-spec --test rules` writes what comes of them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A container with all namespaces that need nothing else.
const BASE: &str = r#"{
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [
        {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
    ]}
}"#;

#[test]
fn rules_are_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut cases, mut wrong) = (0, String::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut written = String::new();
        for case in text.split("\n# ").map(|case| case.strip_prefix("# ").unwrap_or(case)) {
            let (title, rest) = case.split_once('\n').unwrap();
            let (patch, expected) = rest.split_once("=>\n").unwrap_or((rest, ""));
            let found = run(patch).unwrap_or_else(|error| panic!("{}: {title}: {error}", file.display()));
            if found.trim_end() != expected.trim_end() {
                let name = file.file_name().unwrap().display();
                writeln!(wrong, "{name}: {title}\nexpected:\n{expected}\nfound:\n{found}").unwrap();
            }
            write!(written, "# {title}\n{}\n=>\n{found}\n", patch.trim_end()).unwrap();
            cases += 1;
        }
        if update {
            std::fs::write(&file, written).unwrap();
        }
    }
    assert!(cases > 250, "only {cases} cases");
    assert!(update || wrong.is_empty(), "{wrong}");
}

/// What comes of a patch, one line each.
fn run(patch: &str) -> Result<String, serde_json::Error> {
    let mut document: Value = serde_json::from_str(BASE)?;
    merge(&mut document, serde_json::from_str(patch)?);
    let parsed = match spec::parse_config(document.to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(violations) => return Ok(format!("{violations}\n")),
    };
    let written = parsed.config.to_json();
    let again = spec::parse_config(written.as_bytes()).expect("what was written is valid");
    assert_eq!(again.config, parsed.config, "what was written means the same");
    let base = spec::parse_config(BASE.as_bytes()).expect("the base is valid").config.to_json();
    let base: Value = serde_json::from_str(&base)?;
    let mut lines = String::new();
    for warning in parsed.warnings {
        lines += &format!("warning {warning}\n");
    }
    let changed = changes(&base, &serde_json::from_str(&written)?);
    lines += &changed.map_or("valid\n".to_owned(), |changed| format!("valid {changed}\n"));
    Ok(lines)
}

/// RFC 7396. A `null` that is to stay is written `"@null"`.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(target) = target else { return };
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.remove(&key)),
                    value => merge(target.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        Value::String(text) if text == "@null" => *target = Value::Null,
        patch => *target = patch,
    }
}

/// The merge patch that leads from one to the other.
fn changes(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        let change = old.get(key).map_or(Some(value.clone()), |old| changes(old, value));
        patch.extend(change.map(|change| (key.clone(), change)));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

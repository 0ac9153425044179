//! Errors that teach: for each of the common mistakes what is said, where in the config it is, and what to do.
//!
//! Each mistake is made for real; `tests/errors/NAME.txt` has what is printed then and the keys of the log's line.
//! Where a cgroup view says it otherwise, `NAME.VIEW.txt` has its words. `UPDATE=1` writes what has changed.

mod bundle;
mod cgroup;
mod command;
mod life;
mod mounts;
mod process;
mod user;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use runtime_tests::{Bundle, Call, Case, Lane, Output, Skip, Test, Verdict};
use serde_json::Value;

/// A mistake: its name, and a call that makes it.
type Mistake = (&'static str, fn(&Test) -> Result<Call, Skip>);

/// Takes what has changed, with `UPDATE=1`.
static UPDATES: OnceLock<Sender<(PathBuf, String)>> = OnceLock::new();

/// Words by which callers tell errors from each other (podman, containerd, CRI-O, Docker): a hint must not have them.
const PATTERNS: [&str; 14] = [
    "permission denied",
    "operation not permitted",
    "executable file not found",
    "no such file or directory",
    "open executable",
    "not a directory",
    "process already finished",
    "container not running",
    "no such process",
    "does not exist",
    "already exists",
    "invalid process",
    "flag needs an argument",
    "not supported",
];

pub(crate) fn cases() -> Vec<Case> {
    if std::env::var_os("UPDATE").is_some() {
        UPDATES.get_or_init(write_updates);
    }
    let all = [
        bundle::MISTAKES,
        command::MISTAKES,
        mounts::MISTAKES,
        process::MISTAKES,
        cgroup::MISTAKES,
        life::MISTAKES,
    ];
    let case = |(name, make): &Mistake| {
        let (name, make) = (*name, *make);
        Case::new(format!("errors::{name}"), move |t| check(t, name, make)).only_ours()
    };
    let user = |(name, make): &user::Mistake| {
        let (name, make) = (*name, *make);
        Case::new(format!("errors::{name}"), move |t| judge(t, name, &make(t)?)).only_ours()
    };
    all.into_iter().flatten().map(case).chain(user::MISTAKES.iter().map(user)).collect()
}

/// A thread that writes files. It is made before the lane is entered, in which the machine's files are read-only, and
/// stays outside.
fn write_updates() -> Sender<(PathBuf, String)> {
    let (sender, updates) = channel::<(PathBuf, String)>();
    std::thread::spawn(move || updates.iter().for_each(|(file, text)| fs::write(file, text).unwrap()));
    sender
}

/// A call with a JSON log.
fn call(t: &Test, args: &[&str]) -> Call {
    let log = log_file(t);
    t.call(&["--log", log.to_str().unwrap(), "--log-format", "json"]).args(args)
}

/// The same, and warnings go into the log too.
fn call_verbosely(t: &Test, args: &[&str]) -> Call {
    call(t, &["--log-level", "warning"]).args(args)
}

/// `VERB --bundle B ID`.
fn with_bundle(t: &Test, verb: &str, bundle: &Bundle) -> Call {
    bundle.write();
    call(t, &[verb, "--bundle", bundle.path.to_str().unwrap(), &t.fresh_id()])
}

/// `create` of a bundle.
fn create(t: &Test, bundle: &Bundle) -> Result<Call, Skip> {
    Ok(with_bundle(t, "create", bundle))
}

/// `run` of a bundle.
fn run(t: &Test, bundle: &Bundle) -> Result<Call, Skip> {
    Ok(with_bundle(t, "run", bundle))
}

/// `create` of the default bundle after a change.
fn create_with(t: &Test, change: impl FnOnce(&Bundle) -> &Bundle) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.stays();
    change(&bundle);
    create(t, &bundle)
}

fn log_file(t: &Test) -> PathBuf {
    t.dir.join("log.json")
}

fn check(t: &Test, name: &str, make: fn(&Test) -> Result<Call, Skip>) -> Verdict {
    judge(t, name, &make(t)?.output())
}

fn judge(t: &Test, name: &str, output: &Output) -> Verdict {
    let log = fs::read_to_string(log_file(t)).unwrap_or_default();
    let mut text = output.stderr.clone();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if !output.status.success() {
        assert_eq!(output.stderr.lines().count(), 1, "one line on stderr: {output}");
        assert_eq!(lines.len(), 1, "one object in the log: {log}");
        let message = lines[0]["msg"].as_str().unwrap();
        assert_eq!(output.stderr, format!("sandboxd: error: {message}\n"));
        let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
        assert!(["level", "msg", "time"].iter().all(|key| keys.iter().any(|known| known == key)), "{log}");
        assert!(log.starts_with("{\"level\":\"error\",\"msg\":"), "{log}");
    }
    for line in &lines {
        check_hint(line);
        for (key, value) in line.as_object().unwrap() {
            match key.as_str() {
                "time" | "hint" => {}
                "level" | "msg" if line["level"] == "error" => {}
                _ => writeln!(text, "{key}: {value}").unwrap(),
            }
        }
    }
    compare(t, name, &normal(t, &text));
    Ok(())
}

/// A hint ends the message, is a key of its own, and has none of the words that callers look for.
fn check_hint(line: &Value) {
    let message = line["msg"].as_str().unwrap();
    match line.get("hint") {
        Some(hint) => {
            let hint = hint.as_str().unwrap();
            assert!(message.ends_with(&format!("; hint: {hint}")), "{line}");
            let found = PATTERNS.iter().find(|pattern| hint.to_lowercase().contains(**pattern));
            assert_eq!(found, None, "{hint}");
        }
        None => assert!(!message.contains("hint:"), "{line}"),
    }
}

/// The text without what differs from run to run: the scratch directory, the id, pids, how much is in use, where v1 has the
/// cgroup.
fn normal(t: &Test, text: &str) -> String {
    let mut text = text.replace(t.dir.to_str().unwrap(), "$DIR").replace(&t.token, "ID");
    for controller in ["cpu", "cpuset"] {
        text = text.replace(&format!("/sys/fs/cgroup/{controller}/"), "/sys/fs/cgroup/");
    }
    without_number(&without_number(&text, "pid ", "PID"), "usage ", "BYTES")
}

/// The text with `word` in place of each number after `mark`.
fn without_number(text: &str, mark: &str, word: &str) -> String {
    let mut normal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let (before, after) = rest.split_at(at + mark.len());
        normal.push_str(before);
        rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
        if rest.len() < after.len() {
            normal.push_str(word);
        }
    }
    normal + rest
}

fn compare(t: &Test, name: &str, actual: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let common = directory.join(format!("{name}.txt"));
    let view = match t.lane {
        Lane::Hybrid => "hybrid",
        Lane::V1 => "v1",
        Lane::V2 => "v2",
    };
    let own = directory.join(format!("{name}.{view}.txt"));
    let file = if own.exists() { own.clone() } else { common };
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(!actual.is_empty(), "nothing was said");
    if let Some(updates) = UPDATES.get() {
        let file = if expected.is_empty() || t.lane == Lane::Hybrid { file } else { own };
        if expected != actual {
            updates.send((file, actual.to_owned())).unwrap();
        }
        return;
    }
    assert_eq!(actual, expected, "{} (UPDATE=1 writes it anew)", file.display());
}

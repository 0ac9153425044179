//! The command line as callers see it, as far as it needs neither root nor a container.
//!
//! The help texts are golden files: `SNAPSHOTS=overwrite cargo test -p sandboxd` writes them anew.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

fn sandboxd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandboxd")).args(arguments).output().unwrap()
}

/// Exit code, stdout, stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = sandboxd(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A directory of one test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn help_of_every_command_is_the_golden_text() {
    let commands = [
        "",
        "create",
        "start",
        "run",
        "exec",
        "state",
        "list",
        "ps",
        "kill",
        "delete",
        "pause",
        "resume",
        "update",
        "events",
        "checkpoint",
        "restore",
        "mounts",
        "spec",
        "plan",
        "features",
        "info",
        "completion",
    ];
    for command in commands {
        let name = if command.is_empty() { "sandboxd" } else { command };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{name}.txt"));
        let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let (code, stdout, stderr) = run(&arguments);
        assert_eq!((code, stderr.as_str()), (0, ""), "{command}");
        snapbox::assert_data_eq!(stdout, snapbox::Data::read_from(&path, None));
    }
}

#[test]
fn help_in_any_form_is_the_same() {
    let create = run(&["create", "--help"]);
    for arguments in [&["create", "-h"][..], &["help", "create"], &["create", "-help"], &["-h", "create"]] {
        assert_eq!(run(arguments), create, "{arguments:?}");
    }
    let whole = run(&["--help"]);
    for arguments in [&[][..], &["-h"], &["help"], &["h"]] {
        assert_eq!(run(arguments), whole, "{arguments:?}");
    }
}

#[test]
fn version_has_the_shape_of_runcs() {
    for arguments in [&["--version"], &["-v"], &["-version"]] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stderr.as_str()), (0, ""));
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(lines[0], concat!("sandboxd version ", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("commit: "), "{stdout}");
        assert_eq!(lines[2..], ["spec: 1.3.0"]);
    }
}

/// What an invalid id is told.
const ID_HINT: &str =
    "; hint: an id is 1 to 1024 of the characters A-Z a-z 0-9 _ + . - and does not begin with -";

#[test]
fn misuse_is_one_line_on_stderr() {
    let table: &[(&[&str], i32, &str)] = &[
        (&["create", "-b"], 1, "create: flag needs an argument: -b"),
        (&["--root"], 1, "flag needs an argument: --root"),
        (&["restore", "--lsm-mount-context"], 1, "restore: flag needs an argument: --lsm-mount-context"),
        (
            &["create", "--bundel", "x", "a"],
            1,
            "create x: flag provided but not defined: --bundel; did you mean --bundle?",
        ),
        (
            &["exec", "-eA=1", "a", "env"],
            255,
            "exec a: flag provided but not defined: -eA; hint: `--help` after a command lists its flags",
        ),
        (
            &["kill", "-9", "a"],
            1,
            "kill a: flag provided but not defined: -9; hint: a signal follows the id: `kill ID 9`",
        ),
        (
            &["exec", "-it", "a", "sh"],
            255,
            "exec a: flag provided but not defined: -it; hint: standard input is passed on always; -t gives a terminal",
        ),
        (
            &["run", "-i", "a"],
            1,
            "run a: flag provided but not defined: -i; hint: standard input is passed on always; /process/terminal gives a terminal",
        ),
        (
            &["create", "-x", "a"],
            1,
            "create a: flag provided but not defined: -x; hint: `--help` after a command lists its flags",
        ),
        (&["rum", "a"], 1, "No help topic for 'rum': no such command; did you mean run?"),
        (
            &["exec", "-e", "A", "a", "env"],
            255,
            "exec a: --env \"A\": invalid environment variable: must be NAME=VALUE",
        ),
        (
            &["--bogus", "list"],
            1,
            "flag provided but not defined: --bogus; hint: `--help` after a command lists its flags",
        ),
        (&["stat", "a"], 1, "No help topic for 'stat': no such command; did you mean state?"),
        (
            &["create"],
            1,
            "create: requires exactly 1 argument(s); hint: call it as `sandboxd create [OPTIONS] ID`",
        ),
        (
            &["state", "a", "b"],
            1,
            "state a: requires exactly 1 argument(s); hint: call it as `sandboxd state ID`",
        ),
        (
            &["kill"],
            1,
            "kill: requires a minimum of 1 argument(s); hint: call it as `sandboxd kill [OPTIONS] ID [SIGNAL]`",
        ),
        (
            &["kill", "a", "9", "b"],
            1,
            "kill a: requires a maximum of 2 argument(s); hint: call it as `sandboxd kill [OPTIONS] ID [SIGNAL]`",
        ),
        (&["run", "--detach=maybe", "a"], 1, "run: invalid boolean value \"maybe\" for --detach"),
        (
            &["list", "-f", "yaml"],
            1,
            "list: invalid value 'yaml' for '--format <FORMAT>' [possible values: table, json]",
        ),
        (
            &["create", "--preserve-fds", "x", "a"],
            1,
            "create a: invalid value 'x' for '--preserve-fds <N>': invalid digit found in string",
        ),
        (
            &["--log-format", "xml", "list"],
            1,
            "list: invalid value 'xml' for '--log-format <FORMAT>' [possible values: text, json]",
        ),
        (
            &["kill", "a", "BOGUS"],
            1,
            "kill a: unknown signal \"BOGUS\"; hint: `kill -l` of a shell lists the names; numbers do as well",
        ),
        (&["create", "../a"], 1, &format!("create ../a: invalid container ID format: \"../a\"{ID_HINT}")),
        (&["state", "a\nb"], 1, &format!("state a\\nb: invalid container ID format: \"a\\nb\"{ID_HINT}")),
        (
            &["exec"],
            255,
            "exec: requires a minimum of 1 argument(s); hint: call it as `sandboxd exec [OPTIONS] ID [COMMAND]...`",
        ),
    ];
    for (arguments, code, message) in table {
        assert_eq!(
            run(arguments),
            (*code, String::new(), format!("sandboxd: error: {message}\n")),
            "{arguments:?}"
        );
    }
}

#[test]
fn file_of_mounts_missing_fails() {
    let (code, stdout, stderr) = run(&["mounts", "add", "a", "/no/such"]);
    let message = "sandboxd: error: mounts a: open /no/such: no such file or directory\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (1, "", message));
}

#[test]
fn error_in_a_json_log_is_one_object_and_appended() {
    let directory = Directory::new("json-log");
    let log = directory.path("log");
    for id in ["a", "b"] {
        let (code, stdout, stderr) =
            run(&["--log", &log, "--log-format=json", "update", "--cpu-period=x", id]);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert_eq!(stderr, format!("sandboxd: error: update {id}: invalid value for cpu-period: \"x\"\n"));
    }
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, id) in lines.iter().zip(["a", "b"]) {
        let start = format!(
            r#"{{"level":"error","msg":"update {id}: invalid value for cpu-period: \"x\"","time":"2"#
        );
        assert!(line.starts_with(&start) && line.ends_with("Z\"}"), "{line}");
    }
}

#[test]
fn error_in_a_text_log_is_logruss_line() {
    let directory = Directory::new("text-log");
    let log = directory.path("log");
    // A global flag is one after the command, too.
    run(&["update", "--cpu-period=x", "a", "-log", &log]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("time=\"2"), "{text}");
    assert!(
        text.trim_end().ends_with(r#"Z" level=error msg="update a: invalid value for cpu-period: \"x\"""#),
        "{text}"
    );
}

#[test]
fn misuse_is_logged_where_the_flags_before_it_say() {
    let directory = Directory::new("misuse-log");
    let log = directory.path("log");
    run(&["--log", &log, "--log-format", "json", "create", "-b"]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with(r#"{"level":"error","msg":"create: flag needs an argument: -b","#), "{text}");
}

#[test]
fn json_without_a_log_file_is_the_line_on_stderr() {
    let (code, stdout, stderr) = run(&["--log-format", "json", "update", "--cpu-period=x", "a"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with(
            r#"{"level":"error","msg":"update a: invalid value for cpu-period: \"x\"","time":""#
        ),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn log_that_cant_be_written_does_not_hide_the_error() {
    let (code, _, stderr) = run(&["--log", "/dev/null/log", "update", "--cpu-period=x", "a"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("sandboxd: error: log /dev/null/log: "), "{stderr}");
    assert!(stderr.ends_with("sandboxd: error: update a: invalid value for cpu-period: \"x\"\n"), "{stderr}");
}

#[test]
fn trace_that_cant_be_written_is_an_error_before_the_command() {
    let directory = Directory::new("trace_that_cant_be_written");
    let file = directory.path("absent/trace");
    let bundle = directory.path("");
    let (code, _, stderr) = run(&["--trace", &file, "spec", "--bundle", &bundle]);
    let expected = format!("sandboxd: error: spec: open the trace {file}: no such file or directory\n");
    assert_eq!((code, stderr), (1, expected));
    assert!(!fs::exists(directory.path("config.json")).unwrap());
}

#[test]
fn trace_that_fails_at_the_end_is_a_warning() {
    let directory = Directory::new("trace_that_fails");
    let (code, _, stderr) = run(&["--trace", "/dev/full", "spec", "--bundle", &directory.path("")]);
    let expected = "sandboxd: warning: spec: write the trace /dev/full: no space left on device\n";
    assert_eq!((code, stderr.as_str()), (0, expected));
    assert!(fs::exists(directory.path("config.json")).unwrap());
}

#[test]
fn traces_of_several_commands_have_files_of_their_own() {
    let directory = Directory::new("traces_of_several_commands");
    let file = directory.path("%c.json");
    let _ = run(&["--trace", &file, "spec", "--bundle", &directory.path("")]);
    let _ = run(&["--trace", &file, "features"]);
    for command in ["spec", "features"] {
        let text = fs::read_to_string(directory.path(&format!("{command}.json"))).unwrap();
        assert!(text.contains("traceEvents"), "{command}: {text}");
    }
}

#[test]
fn spec_writes_a_config_and_overwrites_none() {
    for flags in [&["spec"][..], &["spec", "--rootless"]] {
        let directory = Directory::new(if flags.len() == 1 { "spec" } else { "spec-rootless" });
        let bundle = directory.path("");
        let arguments: Vec<&str> = flags.iter().copied().chain(["--bundle", &bundle]).collect();
        assert_eq!(run(&arguments), (0, String::new(), String::new()));
        let path = directory.path("config.json");
        let config = fs::read(&path).unwrap();
        let (code, stdout, stderr) = run(&arguments);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert_eq!(stderr, format!("sandboxd: error: spec: file {path} exists, remove it first\n"));
        assert_eq!(fs::read(&path).unwrap(), config);
    }
}

#[test]
fn spec_does_not_write_through_a_symbolic_link() {
    let directory = Directory::new("spec-link");
    symlink(directory.path("target"), directory.path("config.json")).unwrap();
    let (code, _, _) = run(&["spec", "-b", &directory.path("")]);
    assert_eq!(code, 1);
    assert!(!fs::exists(directory.path("target")).unwrap());
}

#[test]
fn completion_names_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, stderr) = run(&["completion", shell]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        assert!(stdout.contains("create") && stdout.contains("pid-file"), "{shell}");
    }
}

/// What `spec` writes.
const STARTER: &str = include_str!("../../spec/src/default_config.json");

#[test]
fn terminal_and_console_socket_must_fit_together() {
    let directory = Directory::new("terminal-rules");
    let bundle = directory.path("");
    let config = |terminal| {
        let text = STARTER.replace("\"terminal\": true", &format!("\"terminal\": {terminal}"));
        fs::write(directory.path("config.json"), text).unwrap();
    };
    let cannot_allocate = "cannot allocate tty if runc will detach without setting console socket";
    let cannot_use = "cannot use console socket if runc will not detach or allocate tty";

    config(true);
    for arguments in [&["create", "a", "-b", &bundle][..], &["run", "-d", "a", "-b", &bundle]] {
        let (code, _, stderr) = run(arguments);
        assert!(code == 1 && stderr.contains(cannot_allocate), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = run(&["run", "a", "-b", &bundle, "--console-socket", "/dev/null/socket"]);
    assert!(code == 1 && stderr.contains(cannot_use), "{stderr}");

    config(false);
    for command in ["create", "run"] {
        let (code, _, stderr) = run(&[command, "a", "-b", &bundle, "--console-socket", "/dev/null/socket"]);
        assert!(code == 1 && stderr.contains(cannot_use), "{command}: {stderr}");
    }
}

#[test]
fn violations_of_the_config_are_one_line() {
    let directory = Directory::new("violations");
    fs::write(directory.path("config.json"), r#"{"ociVersion":"1.0.2","process":{"args":[]}}"#).unwrap();
    let (code, stdout, stderr) = run(&["create", "a", "-b", &directory.path("")]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with("sandboxd: error: create a: invalid configuration: "), "{stderr}");
    assert!(stderr.contains("/root: ") && stderr.contains("; /process/"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn plan_is_printed_and_nothing_is_done() {
    let directory = Directory::new("plan");
    let bundle = directory.path("");
    assert_eq!(run(&["spec", "-b", &bundle]).0, 0);
    let (code, text, _) = run(&["plan", "-b", &bundle, "--root", "/dev/null/root"]);
    assert_eq!(code, 0);
    assert!(text.lines().any(|line| line.starts_with("execute ")), "{text}");
    let (code, json, stderr) = run(&["plan", "-b", &bundle, "--format", "json", "a"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["steps"].is_array());
}

#[test]
fn features_are_a_document() {
    let (code, stdout, stderr) = run(&["features"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["ociVersionMax"], "1.3.0");
}

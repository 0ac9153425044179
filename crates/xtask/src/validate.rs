//! `validate`: the validation suite of opencontainers/runtime-tools, from a checkout that its user has built.
//!
//! Each test is a program that drives `$RUNTIME` and prints TAP. A pass is exit status 0, a plan and no `not ok`. What
//! doesn't pass must have its proved reason in `docs/validation-reasons.json`, and what has one must not pass.
//!
//! The whole run is in a private mount namespace where the root file system is read-only: one of the tests asks for a
//! container without a mount namespace, and the suite removes its bundles recursively. What a runtime under test mounts
//! in the wrong place must neither stay on the machine nor lead such a removal out of the bundle.

mod leftovers;
mod reasons;
mod tap;
mod vm;

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use lexopt::prelude::*;

use self::leftovers::Leftovers;
use self::reasons::Reasons;
use self::tap::Verdict;
use crate::error::{Context, Failure, Result};
use crate::lane::{self, Lane};
use crate::process::{find_program, output_of, wait_until};
use crate::{build, project};

/// Longest time that a test may take. The longest takes 20 seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a test that may lose a race is run, until it passes.
const MOST_TRIES: u32 = 3;

/// What the command line says.
#[derive(Debug, Default)]
struct Request {
    suite: PathBuf,
    lane: Option<Lane>,
    runtime: Option<PathBuf>,
    peer: Option<String>,
    tests: Vec<String>,
    in_vm: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut request = Request::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("suite") => request.suite = parser.value()?.into(),
            Long("cgroup") => request.lane = Some(parser.value()?.parse()?),
            Long("runtime") => request.runtime = Some(parser.value()?.into()),
            Long("against") => request.peer = Some(parser.value()?.string()?),
            Long("vm") => request.in_vm = true,
            Value(test) => request.tests.push(test.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

/// Entry of the task.
pub(crate) fn main(parser: lexopt::Parser) -> Result<ExitCode> {
    let request = parse(parser)?;
    let suite = request.suite.canonicalize().context("--suite DIR: a built checkout of runtime-tools")?;
    let tests = select(find_tests(&suite)?, &request.tests)?;
    project::check_root()?;
    if request.in_vm {
        return vm::run(&suite, &tests, &request);
    }
    let binary = match &request.runtime {
        Some(runtime) => runtime.canonicalize().context(runtime.display())?,
        None => build::build_static()?,
    };
    let lane = match request.lane {
        Some(lane) => lane,
        None => lane::read_current()?,
    };
    lane::enter(lane)?;
    let mut runtimes = vec![("sandboxd".to_owned(), binary)];
    if let Some(peer) = request.peer {
        let program = find_program(&peer).ok_or_else(|| Failure::new(format!("{peer} is not installed")))?;
        runtimes.push((name_of(&program), program));
    }
    let reasons = Reasons::read(&project::root().join("docs/validation-reasons.json"))?;
    let mut columns = Vec::new();
    for (name, program) in runtimes {
        columns.push((name, run_all(&suite, &tests, &program, &reasons)?));
    }
    Ok(report(&suite, lane, &tests, &columns, &reasons))
}

fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `validation/NAME/NAME.t`, by name.
fn find_tests(suite: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let directory = suite.join("validation");
    let entries = std::fs::read_dir(&directory).context(directory.display())?.flatten();
    let named = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let program = entry.path().join(format!("{name}.t"));
        (name, program)
    });
    let tests: BTreeMap<_, _> = named.filter(|(_, program)| program.is_file()).collect();
    if tests.is_empty() || !suite.join("runtimetest").is_file() {
        let advice = "run `make runtimetest validation-executables` there";
        return Err(Failure::new(format!("{}: not built: {advice}", suite.display())));
    }
    Ok(tests)
}

fn select(tests: BTreeMap<String, PathBuf>, wanted: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    if let Some(unknown) = wanted.iter().find(|name| !tests.contains_key(*name)) {
        return Err(Failure::new(format!("the suite has no test {unknown}")));
    }
    Ok(tests.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)).collect())
}

/// Runs the tests with one runtime, and removes what they leave.
fn run_all(
    suite: &Path,
    tests: &BTreeMap<String, PathBuf>,
    runtime: &Path,
    reasons: &Reasons,
) -> Result<Vec<Verdict>> {
    let (scratch, leftovers) = Leftovers::prepare()?;
    // The suite knows no global flag: what it calls is the runtime with a state directory of its own.
    let command = scratch.join("runtime");
    let root = scratch.join("state");
    let script = format!("#!/bin/sh\nexec '{}' --root '{}' \"$@\"\n", runtime.display(), root.display());
    std::fs::write(&command, script).context("write the runtime's command")?;
    std::fs::set_permissions(&command, Permissions::from_mode(0o755)).context("make it executable")?;
    let verdicts = tests.iter().map(|(name, program)| {
        let tries = if reasons.has_race(name) { MOST_TRIES } else { 1 };
        let mut verdict = None;
        for number in 1..=tries {
            let current = run_one(suite, program, &command, &scratch).context(name)?;
            eprintln!("{:6}{name}, try {number} of {tries}", if current.passed() { "pass" } else { "FAIL" });
            delete_containers(&command);
            if verdict.insert(current).passed() {
                break;
            }
        }
        verdict.ok_or_else(|| Failure::new("no try"))
    });
    let verdicts = verdicts.collect::<Result<Vec<_>>>();
    leftovers.remove()?;
    verdicts
}

fn run_one(suite: &Path, test: &Path, runtime: &Path, scratch: &Path) -> Result<Verdict> {
    let outputs = [scratch.join("stdout"), scratch.join("stderr")];
    let [stdout, stderr] = outputs.each_ref().map(File::create);
    let mut command = Command::new(test);
    command.current_dir(suite).env("RUNTIME", runtime).env("TMPDIR", scratch).process_group(0);
    command.stdin(Stdio::null()).stdout(stdout.context("stdout")?).stderr(stderr.context("stderr")?);
    let mut running = command.spawn().context(test.display())?;
    let status = wait_until(&mut running, LIMIT)?;
    let [stdout, stderr] = outputs.map(|file| std::fs::read(file).unwrap_or_default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Verdict::parse(status, &text(&stdout), text(&stderr)))
}

/// Deletes the containers that a test has left.
fn delete_containers(runtime: &Path) {
    let listed = output_of(Command::new(runtime).args(["list", "--quiet"])).unwrap_or_default();
    for id in listed.split_whitespace() {
        let _ = Command::new(runtime).args(["delete", "--force", id]).stderr(Stdio::null()).status();
    }
}

/// Prints the table; the last column is why ours doesn't pass.
fn report(
    suite: &Path,
    lane: Lane,
    tests: &BTreeMap<String, PathBuf>,
    columns: &[(String, Vec<Verdict>)],
    reasons: &Reasons,
) -> ExitCode {
    let mut problems = Vec::new();
    let mut row = format!("{:36}", "test");
    columns.iter().for_each(|(name, _)| row.push_str(&format!("{name:10}")));
    println!("{row}reason, cgroup {lane}");
    for (index, name) in tests.keys().enumerate() {
        let mut row = format!("{name:36}");
        for (_, verdicts) in columns {
            row.push_str(&format!("{:10}", if verdicts[index].passed() { "pass" } else { "FAIL" }));
        }
        let ours = &columns[0].1[index];
        match reasons.explain(suite, lane, name, ours) {
            Ok(reason) => row.push_str(reason),
            Err(problem) => {
                row.push_str(&format!("?? {problem}"));
                problems.push(format!("{name}: {problem}"));
            }
        }
        println!("{}", row.trim_end());
    }
    for (name, verdicts) in columns {
        let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
        println!("{name}: {passed} of {} pass on cgroup {lane}", verdicts.len());
    }
    if problems.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} not explained:\n{}", problems.len(), problems.join("\n"));
    ExitCode::FAILURE
}

//! The same in the virtual machine, which has cgroup v2 with every controller: this program runs there once more, with what
//! it needs of the suite.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::Request;
use super::reasons::Reasons;
use crate::error::{Context, Failure, Result};
use crate::lane::Lane;
use crate::process::run as run_command;
use crate::vm::{Image, Job, Suite, boot, shell_line};
use crate::{build, project};

/// Where it is in the virtual machine: as in the work tree.
const ROOT: &str = "/job/tree";

/// About eight times the time that it takes without emulation.
const LIMIT: Duration = Duration::from_secs(1800);

/// Runs the tests there: the exit status of the run.
pub(super) fn run(suite: &Path, tests: &BTreeMap<String, PathBuf>, request: &Request) -> Result<ExitCode> {
    let image = Image::get(Suite::default(), false).map_err(crate::debian::Unavailable::into_failure)?;
    let runtime = request.runtime.clone().map_or_else(build::build_static, Ok)?;
    let lane = request.lane.unwrap_or(Lane::V2);
    let lane_name = lane.to_string();
    let program = format!("{ROOT}/xtask");
    let words = [
        &*program,
        "validate",
        "--suite",
        "/job/suite",
        "--runtime",
        "/job/bin/sandboxd",
        "--cgroup",
        &lane_name,
    ];
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    if let Some(peer) = &request.peer {
        words.extend(["--against".into(), peer.into()]);
    }
    words.extend(request.tests.iter().map(OsString::from));
    let mut job = Job::new(format!("CARGO_MANIFEST_DIR={ROOT}/crates/xtask {}", shell_line(&words)?))?;
    job.limit = LIMIT;
    job.cgroup = lane;
    job.copy(&runtime, "bin/sandboxd")?;
    let scratch = job.directory().join("job");
    let this = std::env::current_exe().context("this program")?;
    copy(&this, &scratch.join("tree/xtask"))?;
    let reasons = project::root().join("docs/validation-reasons.json");
    copy(&reasons, &scratch.join("tree/docs/validation-reasons.json"))?;
    copy_suite(suite, tests, &Reasons::read(&reasons)?, &scratch.join("suite"))?;
    Ok(ExitCode::from(boot(&image, &job, &mut |line| println!("{line}"))?))
}

/// The programs of the tests, what they unpack and run in containers, and the files in which the proofs of reasons are.
fn copy_suite(
    suite: &Path,
    tests: &BTreeMap<String, PathBuf>,
    reasons: &Reasons,
    target: &Path,
) -> Result<()> {
    let mut command = Command::new("cp");
    command.current_dir(suite).args(["-a", "--parents", "runtimetest"]);
    for entry in fs::read_dir(suite).context(suite.display())?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("rootfs-") {
            command.arg(name);
        }
    }
    for program in tests.values() {
        command.arg(program.strip_prefix(suite).context(program.display())?);
    }
    command.args(reasons.files().into_iter().filter(|file| suite.join(file).is_file()));
    fs::create_dir_all(target).context(target.display())?;
    run_command(command.arg(target))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().ok_or_else(|| Failure::new("no directory"))?;
    fs::create_dir_all(parent).context(parent.display())?;
    fs::copy(from, to).map(drop).context(from.display())
}

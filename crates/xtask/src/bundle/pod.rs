//! The pod: `a` makes the namespaces, `b` joins three of them by `/proc/PID/ns`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitCode, Stdio};

use serde_json::Value;

use super::{run_foreground, scratch};
use crate::error::{Context, Failure, Result};
use crate::process::{output_of, run as run_command};

/// What stands for the process id of `a` in the config of `b`.
const PLACEHOLDER: &str = "/proc/PID/";

/// Runs `a` in the background, `b` in the foreground, and removes both.
pub(super) fn run(runtime: &Path, bundle: &Path) -> Result<ExitCode> {
    let id = format!("pod-a-{}", std::process::id());
    let mut create = Command::new(runtime);
    create.args(["create", "--bundle"]).arg(bundle.join("a")).arg(&id);
    // The container writes to what `create` had as its standard output.
    let mut created = create.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("create")?;
    let output = created.stdout.take();
    let status = created.wait().context("create")?;
    if !status.success() {
        return Err(Failure::new(format!("create of the pod's first container: {status}")));
    }
    let guard = Started { runtime: runtime.to_owned(), id: id.clone() };
    let state = output_of(Command::new(runtime).args(["state", &id]))?;
    let state: Value = serde_json::from_str(&state).context("state")?;
    let pid = state["pid"].as_i64().ok_or_else(|| Failure::new("state has no pid"))?;
    run_command(Command::new(runtime).args(["start", &id]))?;
    wait_for_line(output)?;
    let filled = fill(bundle, pid)?;
    let code = run_foreground(runtime, &filled, &format!("pod-b-{}", std::process::id()));
    drop(guard);
    code
}

/// Waits until the container says that it listens.
fn wait_for_line(output: Option<ChildStdout>) -> Result<()> {
    let mut line = String::new();
    if let Some(output) = output {
        BufReader::new(output).read_line(&mut line).context("read the container's output")?;
    }
    if line.is_empty() { Err(Failure::new("the pod's first container ended")) } else { Ok(()) }
}

/// A copy of the bundle `b` with the process id filled in.
fn fill(bundle: &Path, pid: i64) -> Result<PathBuf> {
    let config = bundle.join("b/config.json");
    let text = std::fs::read_to_string(&config).context(config.display())?;
    let text = text.replace(PLACEHOLDER, &format!("/proc/{pid}/"));
    let mut config: Value = serde_json::from_str(&text).context("b/config.json")?;
    config["root"]["path"] = bundle.join("rootfs").to_string_lossy().into();
    let filled = scratch("pod-b")?;
    std::fs::write(filled.join("config.json"), config.to_string()).context("write config.json")?;
    Ok(filled)
}

/// Deletes the container when it goes.
struct Started {
    runtime: PathBuf,
    id: String,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Err(failure) = run_command(Command::new(&self.runtime).args(["delete", "--force", &self.id])) {
            eprintln!("xtask: {failure}");
        }
    }
}

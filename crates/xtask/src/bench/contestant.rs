//! Who is measured, on what.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::error::{Context, Failure, Result};
use crate::lane::{Lane, mounts_below, v1_hierarchies};
use crate::process::{capture, find_program, rendered, run};
use crate::{bundle, project};

/// The id of every container here; each runtime has a state directory of its own.
const ID: &str = "sandboxd-bench";

/// The bundle, and where the runtimes keep their state.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) bundle: PathBuf,
    state: PathBuf,
    floor: PathBuf,
    lane: Lane,
}

impl Arena {
    pub(super) fn prepare(lane: Lane) -> Result<Self> {
        let bundle = bundle::scratch("bench")?;
        bundle::populate(&bundle.join("rootfs"))?;
        let config = bundle.join("config.json");
        std::fs::write(&config, default_config().to_string()).context(config.display())?;
        let floor = bundle::scratch("bin")?.join("floor");
        super::compile_floor(&floor)?;
        let state = PathBuf::from(format!("/run/sandboxd-bench-{}", std::process::id()));
        std::fs::create_dir(&state).context(state.display())?;
        // What /run is on hosts; here it may be a disk. For all contestants, in this lane's mount namespace.
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0711", "sandboxd-bench"]).arg(&state))?;
        Ok(Self { bundle, state, floor, lane })
    }

    /// Removes the state directories, unless something is mounted in there.
    pub(super) fn remove(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.state))?;
        if let Some(point) = mounts_below(&self.state)?.first() {
            return Err(Failure::new(format!("{} is mounted: nothing is removed", point.display())));
        }
        std::fs::remove_dir(&self.state).context(self.state.display())
    }
}

/// The default spec, as `runc spec` and its kin print it, with `/bin/true` and without a terminal. Its version is one
/// that the oldest runtime here accepts.
fn default_config() -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &str| {
        let options: Vec<&str> = options.split(',').collect();
        json!({ "destination": destination, "type": kind, "source": source, "options": options })
    };
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
            mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": namespaces.map(|kind| json!({ "type": kind })),
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// One that is measured: the floor, or a runtime.
#[derive(Debug)]
pub(super) struct Contestant {
    name: String,
    version: String,
    program: PathBuf,
    /// Arguments before the verb; for the floor all of them.
    arguments: Vec<String>,
    bundle: String,
    is_floor: bool,
}

/// All that can run the bundle; for the others a sentence each.
pub(super) fn enter_all(arena: &Arena, also: &[String]) -> (Vec<Contestant>, Vec<String>) {
    let mut contestants = Vec::new();
    let mut absent = Vec::new();
    let mut consider = |found: Result<Contestant>| match found.and_then(|one| one.run().map(|()| one)) {
        Ok(contestant) => contestants.push(contestant),
        Err(failure) => absent.push(failure.to_string()),
    };
    consider(Contestant::floor(arena));
    consider(Contestant::runtime(arena, "sandboxd", Some(project::binary())));
    for name in ["crun", "runc"].into_iter().chain(also.iter().map(String::as_str)) {
        consider(Contestant::runtime(arena, name, find_program(name)));
    }
    (contestants, absent)
}

impl Contestant {
    fn floor(arena: &Arena) -> Result<Self> {
        let rootfs = arena.bundle.join("rootfs").to_string_lossy().into_owned();
        let mut arguments = vec![rootfs];
        if arena.lane == Lane::V2 {
            arguments.extend(["v2".to_owned(), format!("/sys/fs/cgroup/{ID}")]);
        } else {
            arguments.push("v1".into());
            let hierarchies = v1_hierarchies()?;
            arguments.extend(hierarchies.iter().map(|point| point.join(ID).to_string_lossy().into_owned()));
        }
        let program = arena.floor.clone();
        Ok(Self {
            name: "floor".into(),
            version: String::new(),
            program,
            arguments,
            bundle: String::new(),
            is_floor: true,
        })
    }

    fn runtime(arena: &Arena, name: &str, program: Option<PathBuf>) -> Result<Self> {
        let program = program.filter(|program| program.exists());
        let program = program.ok_or_else(|| Failure::new(format!("{name} is not installed")))?;
        let version = version_of(&program)?;
        let name = program.file_name().map_or(name.into(), |name| name.to_string_lossy());
        let state = arena.state.join(name.as_ref()).to_string_lossy().into_owned();
        let bundle = arena.bundle.to_string_lossy().into_owned();
        let arguments = vec!["--root".into(), state];
        Ok(Self { name: name.into_owned(), version, program, arguments, bundle, is_floor: false })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) const fn is_floor(&self) -> bool {
        self.is_floor
    }

    /// A command of it: a verb with its arguments; the floor has no verbs.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(words);
        command
    }

    /// The command that runs the container to its end.
    pub(super) fn run_command(&self) -> Command {
        if self.is_floor { self.command(&[]) } else { self.command(&["run", "--bundle", &self.bundle, ID]) }
    }

    /// Runs the container to its end.
    pub(super) fn run(&self) -> Result<()> {
        spawn_and_wait(&mut self.run_command())
    }

    /// `create && start && delete --force`.
    pub(super) fn cycle(&self) -> Result<()> {
        self.create()?;
        spawn_and_wait(&mut self.command(&["start", ID]))?;
        self.delete()
    }

    /// `create`.
    pub(super) fn create(&self) -> Result<()> {
        spawn_and_wait(&mut self.command(&["create", "--bundle", &self.bundle, ID]))
    }

    /// `delete --force`.
    pub(super) fn delete(&self) -> Result<()> {
        spawn_and_wait(&mut self.command(&["delete", "--force", ID]))
    }

    /// The process of the created container.
    pub(super) fn state_pid(&self) -> Result<i64> {
        let output = capture(&mut self.command(&["state", ID]))?;
        let state: Value =
            serde_json::from_slice(&output.stdout).context(format_args!("state of {}", self.name))?;
        state["pid"].as_i64().ok_or_else(|| Failure::new(format!("{}: state has no pid", self.name)))
    }
}

/// Runs a command; on failure once more, to show what it says.
fn spawn_and_wait(command: &mut Command) -> Result<()> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if quiet.status().context(rendered(quiet))?.success() {
        return Ok(());
    }
    let output = capture(command.stderr(Stdio::piped()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "{}: {}",
        rendered(command),
        text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message")
    )))
}

/// The last word of the first line of `--version`.
fn version_of(program: &Path) -> Result<String> {
    let output = capture(Command::new(program).arg("--version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.split_whitespace().last().unwrap_or("unknown").to_owned())
}

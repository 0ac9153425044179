//! One system call of a command fails, each in turn: the command works all the same, or says why not; nothing is left, and
//! nobody else notices.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::errno::Errno;
use runtime_tests::bystander::Bystander;
use runtime_tests::command::Call;
use runtime_tests::inject::fail_at;
use runtime_tests::step::Whose;
use runtime_tests::system_call::SystemCall;
use runtime_tests::world::{World, thorough};
use runtime_tests::{Bundle, Case, Lane, Skip, Test, Verdict, residue};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, verb: fn() -> Verb, whose: Whose| {
        Case::new(format!("faults::{name}"), move |t: &Test| sweep(t, &verb(), whose)).only_ours()
    };
    let mut all = vec![
        case("errno_at_each_call_of_create", create, Whose::Command),
        case("errno_at_each_call_of_init_in_create", create, Whose::Made),
        case("errno_at_each_call_of_start", start, Whose::Command),
        case("errno_at_each_call_of_run", run, Whose::Command),
        case("errno_at_each_call_of_exec", exec, Whose::Command),
        case("errno_at_each_call_of_the_process_in_exec", exec, Whose::Made),
        case("errno_at_each_call_of_kill", kill, Whose::Command),
        case("errno_at_each_call_of_update", update, Whose::Command),
        case("errno_at_each_call_of_pause", pause, Whose::Command),
        case("errno_at_each_call_of_resume", resume, Whose::Command),
        case("errno_at_each_call_of_delete", delete, Whose::Command),
        case("errno_at_each_call_of_delete_force", delete_force, Whose::Command),
    ];
    let denied = [
        ("create", create as fn() -> Verb),
        ("exec", exec),
        ("kill", kill),
        ("update", update),
        ("pause", pause),
        ("delete_force", delete_force),
    ];
    all.extend(denied.map(|(name, verb)| {
        Case::new(format!("faults::f38_calls_that_a_filter_denies_to_{name}"), move |t: &Test| {
            deny(t, &verb())
        })
        .only_ours()
    }));
    all
}

/// Calls that are tried of each command, unless all are.
const SAMPLE: usize = 16;

/// A command, and what there is when it has worked, and when it has not.
struct Verb {
    /// What is done before.
    before: &'static [&'static [&'static str]],
    /// The words before the id.
    command: &'static [&'static str],
    /// The words after it.
    after_id: &'static [&'static str],
    /// What the state may be afterwards, when it works.
    works: &'static [&'static str],
    /// And when it fails with a word of its own.
    fails: &'static [&'static str],
}

const GONE: &str = "gone";
const CREATE: &[&str] = &["create", "--bundle", "BUNDLE"];
const START: &[&str] = &["start"];
const PAUSE: &[&str] = &["pause"];
/// Not a command: its init is killed.
const STOP: &[&str] = &["STOP"];

fn create() -> Verb {
    Verb { before: &[], command: CREATE, after_id: &[], works: &["created"], fails: &[GONE] }
}

fn run() -> Verb {
    let command = &["run", "--detach", "--bundle", "BUNDLE"];
    Verb { before: &[], command, after_id: &[], works: &["running"], fails: &[GONE] }
}

fn start() -> Verb {
    let fails = &["created", "stopped"];
    Verb { before: &[CREATE], command: START, after_id: &[], works: &["running"], fails }
}

fn exec() -> Verb {
    let after_id = &["true"];
    Verb { before: &[CREATE, START], command: &["exec"], after_id, works: &["running"], fails: &["running"] }
}

fn kill() -> Verb {
    let works = &["stopped", "running"];
    Verb { before: &[CREATE, START], command: &["kill"], after_id: &["KILL"], works, fails: works }
}

fn update() -> Verb {
    let command = &["update", "--resources", "RESOURCES"];
    Verb { before: &[CREATE, START], command, after_id: &[], works: &["running"], fails: &["running"] }
}

fn pause() -> Verb {
    Verb { before: &[CREATE, START], command: PAUSE, after_id: &[], works: &["paused"], fails: &["running"] }
}

fn resume() -> Verb {
    Verb {
        before: &[CREATE, PAUSE],
        command: &["resume"],
        after_id: &[],
        works: &["created"],
        fails: &["paused", "created"],
    }
}

fn delete() -> Verb {
    Verb {
        before: &[CREATE, STOP],
        command: &["delete"],
        after_id: &[],
        works: &[GONE],
        fails: &["stopped", GONE],
    }
}

fn delete_force() -> Verb {
    let fails = &["running", "stopped", GONE];
    Verb { before: &[CREATE, START], command: &["delete", "--force"], after_id: &[], works: &[GONE], fails }
}

struct Sweep<'t> {
    t: &'t Test,
    verb: &'t Verb,
    bundle: Bundle,
    resources: std::path::PathBuf,
    id: String,
}

impl Sweep<'_> {
    fn call(&self, words: &[&str]) -> Call {
        let word = |word: &&str| match *word {
            "BUNDLE" => self.bundle.path.clone().into_os_string(),
            "RESOURCES" => self.resources.clone().into_os_string(),
            word => word.into(),
        };
        self.t.call(&words.iter().map(word).collect::<Vec<_>>()).args([&self.id])
    }

    fn prepare(&self) {
        for words in self.verb.before {
            if *words == STOP {
                runtime_tests::Container::open(self.t, &self.id).stop();
            } else {
                self.call(words).ok();
            }
        }
    }

    fn command(&self) -> Call {
        self.call(self.verb.command).args(self.verb.after_id)
    }

    fn status(&self) -> Result<String, String> {
        let output = self.t.call(&["state", &self.id]).output();
        match output.status.success() {
            true => Ok(output.json()["status"].as_str().unwrap_or_default().to_owned()),
            false if output.has_said("does not exist") => Ok(GONE.to_owned()),
            false => Err(format!("state has no answer: {output}")),
        }
    }
}

fn begin<'t>(t: &'t Test, verb: &'t Verb) -> Result<Sweep<'t>, Skip> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Skip::new("system calls are made to fail on x86_64 alone"));
    }
    if t.lane != Lane::Hybrid && !thorough() && t.runtime.is_ours() {
        return Err(Skip::new("calls are made to fail on the hybrid lane, or with THOROUGH=1"));
    }
    let bundle = t.bundle();
    bundle.stays().write();
    let resources = t.dir.join("resources");
    std::fs::write(
        &resources,
        r#"{"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}"#,
    )
    .unwrap();
    Ok(Sweep { t, verb, bundle, resources, id: t.fresh_id() })
}

fn sweep(t: &Test, verb: &Verb, whose: Whose) -> Verdict {
    let sweep = begin(t, verb)?;
    let mut bystander = Bystander::start(t);
    // How many calls there are, of a run in which none fails.
    sweep.prepare();
    let clean = fail_at(sweep.command(), usize::MAX, whose);
    assert_eq!(clean.status, Some(0), "without a fault: {clean:?}");
    t.call(&["delete", "--force", &sweep.id]).ok();
    let world = World::of_machine(t);
    let step = if thorough() { 1 } else { clean.calls.div_ceil(SAMPLE) };
    let mut findings = Vec::new();
    for at in (step / 2..clean.calls).step_by(step) {
        sweep.prepare();
        let injected = fail_at(sweep.command(), at, whose);
        let Some(failed) = injected.failed else {
            t.call(&["delete", "--force", &sweep.id]).ok();
            continue;
        };
        residue::reap_orphans(t);
        let mut found = judge(&sweep, &failed, injected.status, &injected.output);
        found.extend(aftermath(&sweep, &world, &mut bystander));
        let place = format!("call {at} ({} → {})", failed.name, failed.errno);
        if std::env::var_os("VERBOSE").is_some() {
            eprintln!("{place}: {:?} {}", injected.status, injected.output.trim());
        }
        findings.extend(found.into_iter().map(|found| format!("{place}: {found}")));
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    // The id is free.
    sweep.call(CREATE).ok();
    sweep.call(START).ok();
    t.call(&["delete", "--force", &sweep.id]).ok();
    Ok(())
}

/// Deletes by force; what is left, and what has changed.
fn aftermath(sweep: &Sweep<'_>, world: &World, bystander: &mut Bystander) -> Vec<String> {
    let t = sweep.t;
    let mut found = Vec::new();
    let deleted = t.call(&["delete", "--force", &sweep.id]).output();
    if !deleted.status.success() {
        found.push(format!("delete --force: {deleted}"));
    }
    residue::settle(t, Duration::from_secs(10));
    found.extend(residue::find(t).into_iter().map(|left| format!("left behind: {left}")));
    found.extend(machine_changes(t, world));
    found.extend(bystander.harm());
    found
}

/// Calls that a filter around the runtime may deny, as an engine's in whose container it runs.
const DENIED: [&str; 26] = [
    "openat2",
    "clone3",
    "fsopen",
    "fsconfig",
    "fsmount",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "close_range",
    "pidfd_open",
    "pidfd_send_signal",
    "memfd_create",
    "keyctl",
    "statx",
    "execveat",
    "setns",
    "mount",
    "pivot_root",
    "faccessat2",
    "bpf",
    "prlimit64",
    "sethostname",
    "flock",
    "socketpair",
    "unshare",
    "capset",
];

/// No weaker mode: what works is as it is without the filter.
fn deny(t: &Test, verb: &Verb) -> Verdict {
    let sweep = begin(t, verb)?;
    let mut bystander = Bystander::start(t);
    sweep.prepare();
    sweep.command().ok();
    let as_usual = confinement(&sweep);
    t.call(&["delete", "--force", &sweep.id]).ok();
    let world = World::of_machine(t);
    let mut findings = Vec::new();
    for name in DENIED {
        let call = SystemCall::named(name).unwrap();
        let errnos: &[Errno] = if thorough() { &[Errno::ENOSYS, Errno::EPERM] } else { &[Errno::ENOSYS] };
        for errno in errnos {
            let failed = SystemCall { errno: *errno, ..call };
            sweep.prepare();
            let output = sweep.command().denied(call, *errno).output();
            residue::reap_orphans(t);
            let status = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
            let mut found = judge(&sweep, &failed, status, &output.stderr);
            if status == Some(0) {
                let now = confinement(&sweep);
                // One that was killed may be there for a moment.
                if now != as_usual && !now.is_empty() && !as_usual.is_empty() {
                    found.push(format!("works otherwise: {as_usual:#?} → {now:#?}"));
                }
            }
            found.extend(aftermath(&sweep, &world, &mut bystander));
            let place = format!("{name} → {errno}");
            if std::env::var_os("VERBOSE").is_some() {
                eprintln!("{place}: {status:?} {}", output.stderr.trim());
            }
            findings.extend(found.into_iter().map(|found| format!("{place}: {found}")));
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    Ok(())
}

/// What holds a container's init, as far as it is the same for each of this bundle; empty where there is none.
fn confinement(sweep: &Sweep<'_>) -> Vec<String> {
    let output = sweep.t.call(&["state", &sweep.id]).output();
    let pid = if output.status.success() { output.json()["pid"].as_i64().unwrap_or(0) } else { 0 };
    if pid == 0 {
        return Vec::new();
    }
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let of_status = ["Cap", "NoNewPrivs", "Groups", "Uid", "Gid", "SigBlk", "SigIgn"];
    let mut lines: Vec<String> = read("status")
        .lines()
        .filter(|line| of_status.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect();
    let mounts = runtime_tests::procfs::parse_mountinfo(&read("mountinfo"));
    lines.extend(mounts.iter().map(|mount| format!("{} {} {:?}", mount.point, mount.kind, mount.options)));
    lines.push(format!(
        "limits {}",
        read("limits").lines().filter(|line| line.contains("open files")).collect::<String>()
    ));
    lines
}

/// What is another on the machine since. Engines and neighbours on the machine turn forwarding on and off.
fn machine_changes(t: &Test, world: &World) -> Vec<String> {
    let mut changes = world.changes(&World::of_machine(t));
    changes.retain(|line| !line.contains("setting net/"));
    changes
}

/// Calls of which a program that can't make them can only abort: those of its memory, and of its start.
const MEMORY: [&str; 12] = [
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "brk",
    "madvise",
    "sigaltstack",
    "poll",
    "rt_sigaction",
    "arch_prctl",
    "set_tid_address",
    "getrandom",
];

/// As the C library says it, which is what people search for.
fn words_of(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn judge(sweep: &Sweep<'_>, failed: &SystemCall, status: Option<i32>, output: &str) -> Vec<String> {
    let mut found = Vec::new();
    let now = match sweep.status() {
        Ok(now) => now,
        Err(error) => return vec![error],
    };
    let allowed = match status {
        None => return vec![format!("no end in time: {output}")],
        Some(0) => sweep.verb.works,
        Some(status) => {
            // The loader of a program that isn't static speaks for itself.
            if output.contains("error while loading shared libraries") || output.contains("thread-local") {
                return found;
            }
            // A command that runs a process has 255 for its own failures.
            let aborts = status >= 128 && status != 255;
            if aborts && !MEMORY.contains(&failed.name) {
                found.push(format!("died with status {status}: {output}"));
            }
            let text = output.to_lowercase();
            if text.trim().is_empty() && !aborts {
                found.push("failed without a word".to_owned());
            } else if !aborts && !text.contains(&words_of(failed.errno)) && !text.contains(failed.name) {
                found.push(format!("says neither the errno nor the call: {output}"));
            }
            if aborts { return found } else { sweep.verb.fails }
        }
    };
    // Whoever waits at the gate of a created container can't go on waiting then: nobody asks any more.
    let waits = failed.name == "accept4" && now == "stopped";
    if !allowed.contains(&&*now) && !waits {
        found.push(format!("status {status:?}, and the container is {now}: {output}"));
    }
    found
}

//! Hooks: when they run, where, what they are told, and what their failure means.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime_tests::command::Running;
use runtime_tests::wait::{Fifo, Process};
use runtime_tests::{Bundle, Case, Test, Verdict, cases};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The points in the order in which they are reached.
const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["hooks":
        order_is_the_specifications,
        order_within_a_point_is_the_configs,
        run_once_at_create_start_delete,
        args_are_passed_exactly,
        args_absent_is_the_path_alone,
        env_is_exactly_the_configs,
        env_absent_is_empty,
        path_relative_fails,
        working_directory_is_the_bundle_or_the_root,
        namespaces_are_the_points,
        create_container_runs_before_the_root_is_switched,
        start_container_runs_in_the_containers_root,
        start_container_has_no_more_rights_than_the_process,
        start_container_runs_under_the_filter,
        create_runtime_sees_the_mounts_but_not_the_process,
        timeout_kills_the_hook,
        timeout_not_reached_is_no_failure,
        timeout_beyond_the_clock_is_none,
        timeout_zero_or_negative_fails,
        large_annotations_reach_the_hook,
        hook_that_does_not_read_is_no_failure,
        hook_that_keeps_its_output_open_does_not_hang,
        what_a_hook_leaves_may_go_on_printing,
        poststop_runs_although_the_process_has_failed,
        poststop_runs_on_delete_force,
        poststop_runs_when_a_hook_of_create_fails,
        run_runs_all_of_them,
        failure_of_one_stops_the_later_ones_of_its_point,
        failure_says_the_hook,
        several_poststop_failures_do_not_stop_each_other,
    ];
    // Hooks of others are in their caller's process group: what a terminal sends reaches them too.
    for (name, run) in [
        ("signal_ends_the_hook_of_a_creation", interrupted_creation as fn(&Test) -> Verdict),
        ("signal_ends_the_hook_of_start_and_delete", interrupted_later),
        ("signal_that_is_ignored_ends_no_hook", ignored_signal),
    ] {
        all.push(Case::new(format!("hooks::{name}"), run).only_ours());
    }
    for point in POINTS {
        all.push(Case::new(format!("hooks::state_on_stdin_{point}"), move |t| state_on_stdin(t, point)));
        all.push(Case::new(format!("hooks::failure_of_{point}"), move |t| failure(t, point)));
        all.push(Case::new(format!("hooks::timeout_at_{point}"), move |t| timeout(t, point)));
        all.push(Case::new(format!("hooks::missing_program_at_{point}"), move |t| missing(t, point)));
    }
    all
}

/// A hook of a shell script. The shell is the host's, but where the point runs in the container's root: there it is
/// busybox, at the same path.
fn script(text: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", text], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})
}

/// Appends words to a log that is at the same path in the container and outside.
struct Log {
    path: PathBuf,
}

impl Log {
    fn new(t: &Test, b: &Bundle) -> Self {
        let directory = t.dir.join("log");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let path = directory.to_str().unwrap();
        b.mount(path, "bind", path, &["bind", "rw"]);
        Self { path: directory.join("log") }
    }

    fn hook(&self, word: &str) -> Value {
        script(&format!("echo {word} >>{}", self.path.display()))
    }

    fn words(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }
}

fn all_points(b: &Bundle, log: &Log) {
    for point in POINTS {
        b.hook(point, log.hook(point));
    }
}

fn order_is_the_specifications(t: &Test) -> Verdict {
    let b = t.bundle();
    let log = Log::new(t, &b);
    all_points(&b, &log);
    b.sh(&format!("echo process >>{}", log.path.display()));
    let c = t.create(&b);
    assert_eq!(log.words(), POINTS[..3]);
    c.start();
    assert_eq!(c.wait(), Some(0));
    let mut words = log.words();
    // The process and poststart run at the same time.
    words.retain(|word| word != "process");
    assert_eq!(words, POINTS[..5]);
    let position = |word: &str| log.words().iter().position(|each| each == word);
    assert!(position("startContainer") < position("process"), "{:?}", log.words());
    c.delete().ok();
    words = log.words();
    words.retain(|word| word != "process");
    assert_eq!(words, POINTS);
    Ok(())
}

fn order_within_a_point_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    for point in POINTS {
        for number in 1..=3 {
            b.hook(point, log.hook(&format!("{point}{number}")));
        }
    }
    t.start(&b).delete_force().ok();
    let wanted: Vec<_> =
        POINTS.iter().flat_map(|point| (1..=3).map(move |number| format!("{point}{number}"))).collect();
    assert_eq!(log.words(), wanted);
    Ok(())
}

fn run_once_at_create_start_delete(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    all_points(&b, &log);
    let c = t.start(&b);
    let _ = c.call(&["start"]).fails();
    let _ = c.state();
    c.delete_force().ok();
    c.delete_force().ok();
    assert_eq!(log.words(), POINTS);
    Ok(())
}

/// What a hook leaves in a file beside the bundle.
fn kept(t: &Test, command: &str) -> (String, PathBuf) {
    let file = t.dir.join(t.fresh_name());
    (format!("{command} >{}", file.display()), file)
}

fn args_are_passed_exactly(t: &Test) -> Verdict {
    let b = t.bundle();
    let (command, file) = kept(t, "printf '[%s]' \"$0\" \"$@\"");
    b.hook(
        "createRuntime",
        json!({"path": "/bin/sh", "args": ["anything", "-c", command, "zero", "a b", "", "ü"]}),
    );
    b.stays();
    let _ = t.create(&b);
    assert_eq!(fs::read_to_string(file).unwrap(), "[zero][a b][][ü]");
    Ok(())
}

fn args_absent_is_the_path_alone(t: &Test) -> Verdict {
    let b = t.bundle();
    let file = t.dir.join("args");
    let program = t.dir.join("hook");
    fs::write(&program, format!("#!/bin/sh\necho $# >{}\n", file.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    b.hook("createRuntime", json!({"path": program})).stays();
    let _ = t.create(&b);
    assert_eq!(fs::read_to_string(file).unwrap(), "0\n");
    Ok(())
}

fn env_of_hook(t: &Test, env: Option<Value>) -> Vec<String> {
    let b = t.bundle();
    let (command, file) = kept(t, "cat /proc/self/environ | tr '\\0' '\\n'");
    let mut hook = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("export PATH=/usr/bin:/bin; exec {command}")]});
    if let Some(env) = env {
        hook["env"] = env;
    }
    b.hook("createRuntime", hook).stays();
    b.push("/process/env", json!("CONTAINERS=1"));
    let (call, _) = t.bundle_call("create", &b, &[]);
    call.env("CALLERS", "1").ok();
    let text = fs::read_to_string(file).unwrap();
    // What the shell itself sets is not the hook's environment.
    let own = ["PWD=", "SHLVL=", "_=", "OLDPWD=", "PATH="];
    text.lines().filter(|line| !own.iter().any(|each| line.starts_with(each))).map(str::to_owned).collect()
}

fn env_is_exactly_the_configs(t: &Test) -> Verdict {
    assert_eq!(env_of_hook(t, Some(json!(["A=1", "B=two words"]))), ["A=1", "B=two words"]);
    Ok(())
}

fn env_absent_is_empty(t: &Test) -> Verdict {
    assert_eq!(env_of_hook(t, None), Vec::<String>::new());
    assert_eq!(env_of_hook(t, Some(json!([]))), Vec::<String>::new());
    Ok(())
}

fn path_relative_fails(t: &Test) -> Verdict {
    // config.md: the path MUST be absolute.
    let b = t.bundle();
    b.hook("createRuntime", json!({"path": "true"}));
    t.create_fails(&b);
    Ok(())
}

fn working_directory_is_the_bundle_or_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    let points = ["prestart", "createRuntime", "createContainer"];
    for point in points {
        b.hook(point, script(&format!("pwd >>{}", log.path.display())));
    }
    let c = t.create(&b);
    let (bundle, rootfs) = (b.path.to_str().unwrap(), b.rootfs());
    assert_eq!(log.words(), [bundle, bundle, rootfs.to_str().unwrap()]);
    c.delete_force().ok();
    Ok(())
}

fn state_on_stdin(t: &Test, point: &str) -> Verdict {
    let b = t.bundle();
    b.stays().set("/annotations", json!({"org.example.key": "value"}));
    let log = Log::new(t, &b);
    let file = log.path.with_extension(point);
    b.hook(point, script(&format!("cat >{}", file.display())));
    let c = t.start(&b);
    let pid = c.pid();
    c.delete_force().ok();
    let text = fs::read_to_string(&file).unwrap_or_default();
    let state: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert_eq!(state["id"], c.id);
    assert_eq!(state["bundle"], b.path.to_str().unwrap());
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state}");
    let status = state["status"].as_str().unwrap();
    let wanted: &[&str] = match point {
        // The specification's validation suite wants `created`, as crun says; runc says `creating`.
        "prestart" => &["creating", "created"],
        "createRuntime" | "createContainer" => &["creating"],
        "startContainer" => &["created"],
        "poststart" => &["running"],
        _ => &["stopped"],
    };
    assert!(wanted.contains(&status), "status at {point}: {state}");
    let told = state["pid"].as_i64().unwrap_or_default() as i32;
    match point {
        "prestart" | "createRuntime" | "poststart" => assert_eq!(told, pid, "{state}"),
        "poststop" => assert_eq!(told, 0, "{state}"),
        // In the container's namespaces: the pid as it is there, or outside.
        _ => assert!(told == pid || told == 1, "{state}"),
    }
    Ok(())
}

fn namespaces_are_the_points(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    for point in POINTS {
        let file = log.path.with_extension(point);
        b.hook(
            point,
            script(&format!(
                "readlink /proc/self/ns/net >{0}; readlink /proc/self/ns/uts >>{0}",
                file.display()
            )),
        );
    }
    let c = t.start(&b);
    let inside = ["net", "uts"].map(|kind| runtime_tests::procfs::namespace_of(c.pid(), kind));
    let outside = ["net", "uts"].map(runtime_tests::procfs::own_namespace);
    c.delete_force().ok();
    for point in POINTS {
        let text = fs::read_to_string(log.path.with_extension(point)).unwrap();
        let seen: Vec<_> = text.lines().collect();
        let wanted = if ["createContainer", "startContainer"].contains(&point) { &inside } else { &outside };
        assert_eq!(seen, wanted, "{point}");
    }
    Ok(())
}

fn create_container_runs_before_the_root_is_switched(t: &Test) -> Verdict {
    // Its path is resolved in the runtime namespace: a program of the host's is there, in the container's mount namespace.
    let b = t.bundle();
    b.stays();
    let program = t.dir.join("hook");
    let file = t.dir.join("seen");
    fs::write(&program, format!("#!/bin/sh\nreadlink /proc/self/ns/mnt >{}\n", file.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    b.hook("createContainer", json!({"path": program, "env": ["PATH=/usr/bin:/bin"]}));
    let c = t.create(&b);
    let seen = fs::read_to_string(file).unwrap();
    assert_eq!(seen.trim(), runtime_tests::procfs::namespace_of(c.pid(), "mnt"));
    Ok(())
}

fn start_container_runs_in_the_containers_root(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().stays();
    fs::write(b.inside("/only-inside"), "").unwrap();
    b.hook("startContainer", script("[ -e /only-inside ] && echo $$ >/seen"));
    let c = t.create(&b);
    assert!(!b.inside("/seen").exists(), "startContainer ran at create");
    c.start();
    assert!(b.inside("/seen").exists());
    Ok(())
}

/// What it executes is a file of the image's: with the runtime's rights it would have the host.
fn start_container_has_no_more_rights_than_the_process(t: &Test) -> Verdict {
    let b = t.bundle();
    let look = |file: &str| {
        format!(
            "{{ grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/cgroup; \
             ulimit -n; }} >{file}"
        )
    };
    b.writable().sh(&look("/process"));
    b.set("/process/noNewPrivileges", json!(true));
    b.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 78}]));
    b.set("/process/user", json!({"uid": 0, "gid": 3, "additionalGids": [5]}));
    b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    b.hook("startContainer", script(&look("/hook")));
    let (call, _) = t.bundle_call("run", &b, &[]);
    call.ok();
    let seen = fs::read_to_string(b.inside("/hook")).unwrap();
    assert!(seen.contains("Seccomp:\t2"), "{seen}");
    assert_eq!(seen, fs::read_to_string(b.inside("/process")).unwrap());
    Ok(())
}

fn start_container_runs_under_the_filter(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().stays();
    b.set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]));
    let syscalls = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]);
    b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls}));
    b.hook("startContainer", json!({"path": "/bin/mkdir", "args": ["mkdir", "/made"]}));
    let (call, _) = t.bundle_call("run", &b, &[]);
    let failed = call.fails();
    assert!(failed.stderr.contains("error running"), "{failed}");
    assert!(failed.stderr.contains("bad system call"), "{failed}");
    assert!(!b.inside("/made").exists());
    Ok(())
}

fn create_runtime_sees_the_mounts_but_not_the_process(t: &Test) -> Verdict {
    // At createRuntime the namespaces are there; at poststart the process runs.
    let b = t.bundle();
    b.stays();
    let (command, file) =
        kept(t, "sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | { read p; readlink /proc/$p/ns/net; }");
    b.hook("createRuntime", script(&command));
    let c = t.create(&b);
    let seen = fs::read_to_string(file).unwrap();
    assert_eq!(seen.trim(), runtime_tests::procfs::namespace_of(c.pid(), "net"));
    Ok(())
}

fn failure(t: &Test, point: &str) -> Verdict {
    fails_at(t, point, script("exit 7"))
}

fn timeout(t: &Test, point: &str) -> Verdict {
    let mut hook = script("exec sleep 1000");
    hook["timeout"] = json!(1);
    let before = Instant::now();
    fails_at(t, point, hook)?;
    assert!(before.elapsed() >= Duration::from_secs(1));
    Ok(())
}

/// What a hook that fails comes to at its point.
fn fails_at(t: &Test, point: &str, hook: Value) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    b.hook(point, hook);
    b.hook("poststop", log.hook("poststop"));
    let (call, id) = t.bundle_call("create", &b, &[]);
    let created = call.output();
    if ["prestart", "createRuntime", "createContainer"].contains(&point) {
        let _ = created.fails();
        t.assert_missing(&id);
        assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
        return Ok(());
    }
    let _ = created.ok();
    let c = runtime_tests::Container::open(t, &id);
    let started = c.call(&["start"]).output();
    match point {
        "startContainer" => {
            let _ = started.fails();
            assert!(
                c.process.wait_exit(runtime_tests::wait::DEADLINE),
                "the process lives after a failed start"
            );
        }
        // runtime.md: a warning is logged, and the life cycle goes on.
        _ => {
            let _ = started.ok();
            assert_eq!(c.status(), "running");
        }
    }
    c.delete_force().ok();
    t.assert_missing(&id);
    assert_eq!(log.words(), ["poststop"]);
    Ok(())
}

fn missing(t: &Test, point: &str) -> Verdict {
    let b = t.bundle();
    b.stays().hook(point, json!({"path": "/no/such/hook"}));
    let (call, id) = t.bundle_call("create", &b, &[]);
    let created = call.output();
    if ["prestart", "createRuntime", "createContainer"].contains(&point) {
        let _ = created.fails().says("no such file or directory");
        t.assert_missing(&id);
    } else if created.status.success() {
        let started = t.call(&["start", &id]).output();
        assert_eq!(started.status.success(), point != "startContainer", "{started}");
        t.call(&["delete", "--force", &id]).ok();
    }
    Ok(())
}

fn failure_of_one_stops_the_later_ones_of_its_point(t: &Test) -> Verdict {
    let b = t.bundle();
    let log = Log::new(t, &b);
    b.hook("createRuntime", log.hook("first")).hook("createRuntime", script("exit 1"));
    b.hook("createRuntime", log.hook("second")).hook("createContainer", log.hook("third"));
    t.create_fails(&b);
    assert_eq!(log.words(), ["first"]);
    Ok(())
}

fn failure_says_the_hook(t: &Test) -> Verdict {
    let b = t.bundle();
    b.hook("createRuntime", script("echo reason-of-the-hook >&2; exit 9"));
    let output = t.create_fails(&b).says("hook");
    assert!(output.stderr.contains('9') || output.stderr.contains("reason-of-the-hook"), "{output}");
    Ok(())
}

fn several_poststop_failures_do_not_stop_each_other(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    b.hook("poststop", script("exit 1")).hook("poststop", log.hook("second"));
    let c = t.start(&b);
    c.delete_force().ok();
    assert_eq!(log.words(), ["second"]);
    Ok(())
}

fn timeout_kills_the_hook(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut hook = script("exec sleep 1000");
    hook["timeout"] = json!(1);
    b.hook("createRuntime", hook);
    let before = Instant::now();
    t.create_fails(&b);
    assert!(before.elapsed() < Duration::from_secs(10));
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn timeout_not_reached_is_no_failure(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut hook = script("true");
    hook["timeout"] = json!(10);
    b.hook("createRuntime", hook).stays();
    let _ = t.create(&b);
    Ok(())
}

fn timeout_beyond_the_clock_is_none(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut hook = script("true");
    hook["timeout"] = json!(i64::MAX);
    b.hook("createRuntime", hook).stays();
    let _ = t.create(&b);
    Ok(())
}

fn timeout_zero_or_negative_fails(t: &Test) -> Verdict {
    // config.md: the timeout MUST be greater than zero.
    for timeout in [0, -1] {
        let b = t.bundle();
        let mut hook = script("true");
        hook["timeout"] = json!(timeout);
        b.hook("createRuntime", hook);
        t.create_fails(&b);
    }
    Ok(())
}

fn large_annotations_reach_the_hook(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/annotations", json!({"big": "x".repeat(200_000)}));
    let (command, file) = kept(t, "wc -c");
    b.hook("createRuntime", script(&command));
    let _ = t.create(&b);
    let count: usize = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert!(count > 200_000, "{count}");
    Ok(())
}

fn hook_that_does_not_read_is_no_failure(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/annotations", json!({"big": "x".repeat(200_000)}));
    b.hook("createRuntime", script("exit 0"));
    b.hook("poststop", script("exec <&-; exit 0"));
    let c = t.create(&b);
    c.delete_force().ok();
    Ok(())
}

fn hook_that_keeps_its_output_open_does_not_hang(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let file = t.dir.join("daemon");
    // A hook that leaves a daemon with its output behind is done when it exits.
    b.hook("createRuntime", script(&format!("sleep 1000 & echo $! >{}", file.display())));
    let (call, _) = t.bundle_call("create", &b, &[]);
    let output = call.deadline(Duration::from_secs(8)).start();
    let in_time = output.process.wait_exit(Duration::from_secs(6));
    let pid: i32 = fs::read_to_string(file).unwrap_or_default().trim().parse().unwrap_or(0);
    if let Ok(daemon) = runtime_tests::wait::Process::open(pid) {
        daemon.signal(rustix::process::Signal::KILL);
    }
    let _ = output.wait().ok();
    assert!(in_time, "create waited for the daemon that the hook left");
    Ok(())
}

/// crun gives it /dev/null; a pipe that nobody reads would end it (SIGPIPE), or hold it once it is full.
fn what_a_hook_leaves_may_go_on_printing(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let [go, done] = ["go", "done"].map(|name| t.dir.join(name));
    let (mut gate, mut answer) = (Fifo::create(&go), Fifo::create(&done));
    b.hook(
        "createRuntime",
        script(&format!(
            "{{ read go <{0}; echo late; head -c 200000 /dev/zero; echo goes on >{1}; }} & exit 0",
            go.display(),
            done.display()
        )),
    );
    let c = t.create(&b);
    gate.send("go");
    assert_eq!(answer.line().trim(), "goes on");
    c.delete_force().ok();
    Ok(())
}

/// A hook that tells its pid and goes on for ever, and what it tells.
struct Endless {
    fifo: Fifo,
    hook: Value,
}

impl Endless {
    fn new(t: &Test, b: &Bundle) -> Self {
        let log = Log::new(t, b);
        let path = log.path.with_file_name("fifo");
        let hook = script(&format!("echo $$ >{}; exec sleep 1000", path.display()));
        Self { fifo: Fifo::create(&path), hook }
    }

    /// Waits for the hook, ends the runtime's wait, and holds what must have ended with it.
    fn interrupt(&mut self, runtime: &Running, signal: Signal) -> Process {
        let hook = Process::open(self.fifo.line().parse().unwrap()).unwrap();
        runtime.process.signal(signal);
        hook
    }
}

fn interrupted_creation(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut endless = Endless::new(t, &b);
    let log = t.dir.join("poststop");
    b.stays().hook("createRuntime", endless.hook.clone());
    b.hook("poststop", script(&format!("echo >{}", log.display())));
    let cases = [
        ("create", &[][..], Signal::INT),
        ("create", &[], Signal::TERM),
        ("run", &["--detach"], Signal::HUP),
        ("run", &[], Signal::INT),
        ("run", &[], Signal::QUIT),
    ];
    for (verb, flags, signal) in cases {
        let (call, id) = t.bundle_call(verb, &b, flags);
        let running = call.start();
        let hook = endless.interrupt(&running, signal);
        let _ = running.wait().fails().exits(1).says("createRuntime hook #0").says("interrupted");
        assert!(hook.has_exited(), "{verb}: the hook lives");
        t.assert_missing(&id);
        fs::remove_file(&log).expect("poststop hooks run");
        assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new(), "{verb}");
    }
    Ok(())
}

fn interrupted_later(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut endless = Endless::new(t, &b);
    b.stays().hook("poststop", endless.hook.clone());
    let c = t.start(&b);
    c.stop();
    let running = c.delete().start();
    let hook = endless.interrupt(&running, Signal::INT);
    // As with any other failure of it.
    let _ = running.wait().ok().says("interrupted");
    assert!(hook.has_exited(), "the hook lives");
    t.assert_missing(&c.id);

    b.unset("/hooks").hook("poststart", endless.hook.clone());
    let c = t.create(&b);
    let running = c.call(&["start"]).start();
    let _ = endless.interrupt(&running, Signal::INT);
    let _ = running.wait().ok().says("interrupted");
    assert_eq!(c.status(), "running");
    Ok(())
}

/// `nohup`, or a shell's background: who ignores a signal does not mean it.
fn ignored_signal(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let [told, go] = ["told", "go"].map(|name| t.dir.join(name));
    let (mut told_fifo, mut go_fifo) = (Fifo::create(&told), Fifo::create(&go));
    b.hook("createRuntime", script(&format!("echo >{}; read go <{}", told.display(), go.display())));
    let (call, _) = t.bundle_call("create", &b, &[]);
    let running = call.through_sh("trap '' INT HUP; exec \"$@\"").start();
    let _ = told_fifo.line();
    running.process.signal(Signal::INT);
    running.process.signal(Signal::HUP);
    go_fifo.send("go");
    let _ = running.wait().ok();
    Ok(())
}

fn poststop_runs_although_the_process_has_failed(t: &Test) -> Verdict {
    let b = t.sh("exit 3");
    let log = Log::new(t, &b);
    b.hook("poststop", log.hook("poststop"));
    let c = t.start(&b);
    assert_eq!(c.wait(), Some(3));
    assert_eq!(log.words(), Vec::<String>::new(), "poststop ran before delete");
    c.delete().ok();
    assert_eq!(log.words(), ["poststop"]);
    Ok(())
}

/// runtime.md, life cycle: it goes on at step 12 then, the container's destruction; step 13 is the poststop hooks.
fn poststop_runs_when_a_hook_of_create_fails(t: &Test) -> Verdict {
    for point in &POINTS[..3] {
        let b = t.bundle();
        b.stays();
        let log = t.dir.join(format!("log-{point}"));
        b.hook(point, script("exit 7"));
        b.hook("poststop", script(&format!("cat >{}", log.display())));
        let (call, id) = t.bundle_call("create", &b, &[]);
        let _ = call.fails();
        t.assert_missing(&id);
        let state: Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
        assert_eq!((&state["id"], &state["status"]), (&json!(id), &json!("stopped")), "{point}");
    }
    Ok(())
}

fn poststop_runs_on_delete_force(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let log = Log::new(t, &b);
    b.hook("poststop", log.hook("poststop"));
    t.create(&b).delete_force().ok();
    assert_eq!(log.words(), ["poststop"]);
    Ok(())
}

fn run_runs_all_of_them(t: &Test) -> Verdict {
    let b = t.sh("true");
    let log = Log::new(t, &b);
    all_points(&b, &log);
    t.run(&b).ok();
    assert_eq!(log.words(), POINTS);
    Ok(())
}

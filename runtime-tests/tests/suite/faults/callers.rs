//! Callers and neighbours that leave the runtime odd things: signals, limits, sockets nobody serves, records of what is gone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use runtime_tests::cgroup::Hierarchies;
use runtime_tests::clock::jumping;
use runtime_tests::command::Call;
use runtime_tests::procfs::{all_pids, link_of, status_of};
use runtime_tests::record::resealed;
use runtime_tests::step::{Whose, step};
use runtime_tests::wait::{Fifo, Process};
use runtime_tests::{Case, Container, Skip, Test, Verdict, residue};
use rustix::process::Signal;
use serde_json::{Value, json};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    vec![
        case("f06_start_that_fails_leaves_no_process", failed_start),
        case("f08_init_that_is_killed", init_killed),
        case("f13_kill_all_of_a_container_that_was_replaced", kill_replaced),
        case("f14_cgroup_made_later_at_the_same_path_is_left_alone", cgroup_made_later),
        case("f23_hooks_that_misbehave", hooks_misbehave),
        case("f23_hook_that_deletes_its_own_container", hook_deletes),
        case("f23_hook_whose_launch_fails_half_way_does_not_hang", hook_launch_killed),
        case("f25_console_socket_that_nobody_accepts", console_backlog),
        case("f25_console_socket_that_nobody_reads", console_unread),
        case("f31_no_file_may_be_written", no_file_size),
        case("f31_few_descriptors", few_descriptors),
        case("f31_little_address_space", little_address_space),
        case("f32_output_that_is_full", full_output),
        case("f36_wall_clock_that_jumps", jumping_clock),
        case("f31_few_descriptors_for_the_commands_after_create", few_descriptors_later),
        case("f32_caller_ignores_sigchld", ignored_sigchld),
        case("f33_record_of_another_boot", other_boot),
        case("f45_log_to_a_fifo_without_reader", log_fifo),
        case("f45_pid_file_that_is_a_fifo_or_a_link", pid_file_fifo),
        case("f45_pidfd_socket_that_is_closed_leaves_nothing", pidfd_socket_closed),
    ]
}

/// What a failed command must not have left.
#[track_caller]
pub(super) fn assert_nothing_left(t: &Test, about: &str) {
    residue::settle(t, Duration::from_secs(10));
    let left = residue::find(t);
    assert!(left.is_empty(), "{about}; left behind:\n{}", left.join("\n"));
}

fn failed_start(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().hook("startContainer", json!({"path": "/bin/false"}));
    let c = t.create(&b);
    c.call(&["start"]).fails().says("startContainer");
    assert!(c.process.has_exited(), "init is alive after a start that has failed");
    assert_eq!(c.status(), "stopped");
    c.delete_force().ok();
    // One that doesn't end by itself: it was stopped while the hook ran.
    let b = t.bundle();
    let stop = "kill -STOP 1; exit 1";
    b.stays().hook("startContainer", json!({"path": "/bin/sh", "args": ["sh", "-c", stop]}));
    let c = t.create(&b);
    c.call(&["start"]).fails();
    assert!(c.process.has_exited(), "init is alive after a start that has failed");
    c.delete_force().ok();
    assert_nothing_left(t, "start failed");
    Ok(())
}

/// Up to some call the command takes the new container for its own, since it has not looked yet; from then on the new one is
/// left alone.
/// Init is killed while it prepares the container, before it is started, and while it is: that is what is said.
fn init_killed(t: &Test) -> Verdict {
    let stays = || {
        let b = t.bundle();
        b.stays();
        b
    };
    let b = stays();
    let kill = r#"kill -9 "$(tr -d '\n' | sed 's/.*"pid": *\([0-9]*\).*/\1/')""#;
    b.hook("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", kill]}));
    let (call, id) = t.bundle_call("create", &b, &[]);
    call.fails().says("init ended").says("killed by signal 9");
    t.assert_missing(&id);
    assert_nothing_left(t, "init was killed during create");

    let c = t.create(&stays());
    c.process.signal(Signal::KILL);
    assert!(c.process.wait_exit(Duration::from_secs(10)));
    c.call(&["start"]).fails().says("stopped");
    c.delete_force().ok();
    assert_nothing_left(t, "init was killed before start");

    let b = stays();
    let mut ready = b.fifo("ready");
    let wait = "echo ready >/ready; sleep 1000";
    b.hook("startContainer", json!({"path": "/bin/sh", "args": ["sh", "-c", wait]}));
    let c = t.create(&b);
    let starting = c.call(&["start"]).start();
    assert_eq!(ready.line(), "ready");
    c.process.signal(Signal::KILL);
    // The hook is in init's pid namespace, and ends with it.
    starting.wait().fails().says("startContainer").says("killed by signal 9");
    assert_eq!(c.status(), "stopped");
    c.delete_force().ok();
    assert_nothing_left(t, "init was killed during start");
    Ok(())
}

fn kill_replaced(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    let create = || t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
    let mut was_left_alone = false;
    for at in 0..200 {
        create().ok();
        let kill = t.call(&["kill", "--all", &id, "KILL"]);
        let stepped = step(kill, at, Whose::Command, || {
            t.call(&["delete", "--force", &id]).ok();
            create().ok();
        });
        if !stepped.reached {
            assert!(was_left_alone, "no call after the record is read, of {at}: {}", stepped.output);
            t.call(&["delete", "--force", &id]).ok();
            return Ok(());
        }
        let record = fs::read_to_string(t.root().join(&id).join("state.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        let killed = is_killed(record["init"]["pid"].as_i64().unwrap() as i32);
        assert!(!(was_left_alone && killed), "replaced at call {at}, and killed in place of the old one");
        was_left_alone = !killed;
        t.call(&["delete", "--force", &id]).ok();
    }
    panic!("more than 200 calls that take a path")
}

/// Whether the process has ended, or is about to: between the two it shows for a moment neither a signal nor its end.
fn is_killed(pid: i32) -> bool {
    let Ok(process) = Process::open(pid) else { return true };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        u64::from_str_radix(line.trim(), 16).unwrap_or(0) & (1 << 8) != 0
    };
    status.is_empty()
        || pending("SigPnd:")
        || pending("ShdPnd:")
        || process.wait_exit(Duration::from_millis(100))
}

/// The cgroup that is there now was made by somebody else, at the path of the container's.
fn cgroup_made_later(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let directories = t.cgroups().directories_named(&c.id);
    assert!(!directories.is_empty());
    c.stop();
    for directory in directories.iter().rev() {
        wait_gone_and_remove(directory);
    }
    for directory in &directories {
        fs::create_dir(directory).unwrap();
    }
    let inodes = |list: &[std::path::PathBuf]| -> Vec<u64> {
        list.iter().map(|directory| fs::metadata(directory).map_or(0, |it| it.ino())).collect()
    };
    let before = inodes(&directories);
    // A neighbour's process in one of them.
    let mut neighbour = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let has_member = enter(&directories, neighbour.id());
    for scope in [&["kill", "--all", &c.id, "KILL"][..], &["delete", "--force", &c.id]] {
        let _ = t.call(scope).output();
    }
    let alive = neighbour.try_wait().unwrap().is_none();
    let after = inodes(&directories);
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    for directory in &directories {
        wait_gone_and_remove(directory);
    }
    assert!(has_member, "nobody could be put into the new cgroups");
    assert!(alive, "the neighbour was killed");
    assert_eq!(before, after, "the neighbour's cgroups");
    t.assert_missing(&c.id);
    Ok(())
}

fn enter(directories: &[std::path::PathBuf], pid: u32) -> bool {
    directories.iter().any(|directory| fs::write(directory.join("cgroup.procs"), pid.to_string()).is_ok())
}

fn wait_gone_and_remove(directory: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(error) = fs::remove_dir(directory) {
        if error.kind() == std::io::ErrorKind::NotFound {
            return;
        }
        assert!(Instant::now() < end, "{}: {error}", directory.display());
        std::thread::yield_now();
    }
}

/// Killed at a message of its own: before it is executed (its first, the socket), and when it has made the process that goes
/// on in its place (its second), so that who that is, is never said.
fn hook_launch_killed(t: &Test) -> Verdict {
    t.needs_program("strace")?;
    let killed = |call: Call, at: u32| {
        let inject = format!("inject=sendmsg:signal=KILL:when={at}");
        let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", &inject];
        let before = Instant::now();
        let output = call.through(strace).deadline(Duration::from_secs(60)).output();
        assert!(before.elapsed() < Duration::from_secs(40), "it took {:?}", before.elapsed());
        residue::reap_orphans(t);
        output
    };
    let b = t.bundle();
    b.stays().hook("poststart", json!({"path": "/bin/true"}));
    let c = t.create(&b);
    killed(c.call(&["start"]), 1).ok().says("hook");
    assert_eq!(c.status(), "running");
    c.delete_force().ok();
    assert_nothing_left(t, "the launch of a hook was killed");

    if t.uses_systemd() {
        return Err(Skip::new(
            "what the runtime says to systemd are messages, too; one was killed, that of poststart",
        ));
    }
    let b = t.bundle();
    b.stays().hook("createContainer", json!({"path": "/bin/true"}));
    let (call, id) = t.bundle_call("create", &b, &[]);
    killed(call, 1).fails();
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "the launch of init was killed");

    let (call, id) = t.bundle_call("create", &b, &[]);
    // Nobody can wait for the one that was made: the container's pid namespace, which it is in, ends after `create`.
    killed(call, 2).fails().says("hook");
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "the process in between was killed");
    Ok(())
}

/// Hooks that stop themselves, print without end, leave children, ask the runtime for the container or remove its record.
fn hooks_misbehave(t: &Test) -> Verdict {
    let with = |script: &str, timeout: u32| {
        let b = t.bundle();
        let args = ["sh", "-c", script];
        let env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
        let hook = json!({"path": "/bin/sh", "args": args, "env": env, "timeout": timeout});
        b.stays().hook("createRuntime", hook);
        t.bundle_call("create", &b, &[])
    };
    let children = "sleep 4711.25 & sleep 4711.25 & wait";
    for script in ["kill -STOP $$", "exec yes", children] {
        let before = Instant::now();
        let (call, id) = with(script, 1);
        call.fails().says("it took longer than its timeout");
        assert!(before.elapsed() < Duration::from_secs(20), "{script}: it took {:?}", before.elapsed());
        t.assert_missing(&id);
        assert_nothing_left(t, script);
    }
    // Its working directory is the bundle, and theirs.
    let is_left = |pid: &i32| link_of(*pid, "cwd").is_some_and(|directory| directory.starts_with(&t.dir));
    let end = Instant::now() + Duration::from_secs(10);
    while all_pids().iter().any(is_left) {
        assert!(Instant::now() < end, "a hook's children are left");
        std::thread::yield_now();
    }

    let (root, said) = (t.root(), t.dir.join("said"));
    let id = r#"id=$(tr -d '\n' | sed 's/.*"id": *"\([^"]*\)".*/\1/')"#;
    let ask =
        format!("{} --root {} state $id >{} 2>&1", t.runtime.path.display(), root.display(), said.display());
    let (call, created) = with(&format!("{id}; {ask}"), 30);
    call.ok();
    let state: Value = serde_json::from_slice(&fs::read(&said).unwrap()).unwrap();
    assert_eq!((state["id"].as_str(), state["status"].as_str()), (Some(&*created), Some("creating")));
    t.call(&["delete", "--force", &created]).ok();

    let (call, removed) = with(&format!("{id}; rm -rf {}/$id", root.display()), 30);
    call.fails();
    t.assert_missing(&removed);
    assert_nothing_left(t, "a hook has removed the record");
    Ok(())
}

/// `create` waits for the hook, and the hook for `create`: until a deadline, and then it is said. The container is whole.
fn hook_deletes(t: &Test) -> Verdict {
    let said = t.dir.join("said");
    let b = t.bundle();
    let id = r#"id=$(tr -d '\n' | sed 's/.*"id": *"\([^"]*\)".*/\1/')"#;
    let delete = format!(
        "{} --root {} delete --force $id >{} 2>&1",
        t.runtime.path.display(),
        t.root().display(),
        said.display()
    );
    let args = ["sh", "-c", &format!("{id}; if {delete}; then exit 1; fi")];
    let env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    b.stays().hook("createRuntime", json!({"path": "/bin/sh", "args": args, "env": env, "timeout": 40}));
    let (call, id) = t.bundle_call("create", &b, &[]);
    call.ok();
    let said = fs::read_to_string(&said).unwrap();
    assert!(said.contains("waits for this command, which a hook of its own called"), "{said}");
    let c = Container::open(t, &id);
    assert_eq!(c.start().status(), "running");
    c.delete_force().ok();
    assert_nothing_left(t, "a hook that deletes its own container");
    Ok(())
}

fn terminal(t: &Test) -> runtime_tests::Bundle {
    let b = t.bundle();
    b.stays().set("/process/terminal", true);
    b
}

fn console_backlog(t: &Test) -> Verdict {
    let b = terminal(t);
    let path = t.dir.join("console");
    let _listener = UnixListener::bind(&path).unwrap();
    // Connections that wait to be accepted, until there is no place for more.
    let mut waiting = Vec::new();
    loop {
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
        if rustix::net::connect(&socket, &address).is_err() {
            break;
        }
        waiting.push(socket);
    }
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", path.to_str().unwrap()]);
    let before = Instant::now();
    call.deadline(Duration::from_secs(40)).fails().says("console socket");
    assert!(before.elapsed() < Duration::from_secs(30));
    t.assert_missing(&id);
    drop(waiting);
    assert_nothing_left(t, "nobody accepted");
    Ok(())
}

/// The message fits into the socket: that nobody reads it is the caller's affair.
fn console_unread(t: &Test) -> Verdict {
    let b = terminal(t);
    let path = t.dir.join("console");
    let listener = UnixListener::bind(&path).unwrap();
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", path.to_str().unwrap()]);
    call.deadline(Duration::from_secs(40)).ok();
    t.call(&["delete", "--force", &id]).ok();
    // One that is full.
    drop(listener);
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", path.to_str().unwrap()]);
    let running = call.deadline(Duration::from_secs(40)).start();
    let (stream, _) = listener.accept().unwrap();
    drop::<UnixStream>(stream);
    // Closed at once: it says so, or had sent it already.
    let output = running.wait();
    if !output.status.success() {
        let _ = output.fails();
    }
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "nobody read");
    Ok(())
}

fn no_file_size(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let mut said = Fifo::create(&t.dir.join("said"));
    for verb in ["create", "run"] {
        let (call, id) = t.bundle_call(verb, &b, &[]);
        // What it prints would be a file too.
        let script = format!("ulimit -f 0; exec \"$@\" 2>{}", t.dir.join("said").display());
        let status = call.through_sh(&script).output().status;
        assert_eq!(status.code(), Some(1), "{verb} ended with {status}");
        let line = said.line();
        assert!(line.contains("too large"), "{line}");
        t.assert_missing(&id);
    }
    assert_nothing_left(t, "no file may be written");
    Ok(())
}

/// Works, or is refused with a word, and leaves nothing.
fn few_descriptors(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]).unset("/process/rlimits");
    for most in (3..16).chain([20, 32, 48, 64, 256]) {
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.through_sh(&format!("ulimit -n {most}; exec \"$@\"")).output();
        if output.status.success() {
            t.call(&["delete", "--force", &id]).ok();
        } else {
            assert!(most < 64, "{most} descriptors are not enough: {output}");
            let output = output.fails();
            let why = output.stderr.to_lowercase();
            assert!(why.contains("open file") || why.contains("error 24"), "{most} descriptors: {output}");
            // With few enough not even what was made can be opened again.
            t.call(&["delete", "--force", &id]).ok();
            assert!(!t.root().join(&id).exists(), "its directory is left with {most} descriptors");
        }
    }
    assert_nothing_left(t, "few descriptors");
    Ok(())
}

/// From what the program itself can be started with: works, or is refused with a word, and leaves nothing.
fn little_address_space(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]).unset("/process/rlimits");
    let within = |call: Call, kib: u32| call.through_sh(&format!("ulimit -v {kib}; exec \"$@\"")).output();
    let starts = |kib: &u32| within(t.bare_call(&["--version"]), *kib).status.success();
    let least = (1..256).map(|mib| mib << 10).find(starts).expect("it can't be started with 256 MiB");
    let (mut works, mut refused) = (0, 0);
    for kib in (0..8).map(|step| least + step * 256).chain([least * 2, least * 8]) {
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = within(call, kib);
        if output.status.success() {
            works += 1;
        } else {
            // The wait for systemd has a thread.
            let says = |short| output.stderr.contains(short);
            let is_said =
                says("memory") || t.uses_systemd() && says("a thread that ends the wait can't be started");
            assert!(output.status.code() == Some(1) && is_said, "{kib} KiB: {output}");
            refused += 1;
        }
        t.call(&["delete", "--force", &id]).ok();
    }
    assert!(works > 0, "with none of these, but {refused} refusals");
    assert_nothing_left(t, "little address space");
    Ok(())
}

/// What it can't print is an error where there is something to print, and nothing else suffers.
fn full_output(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let full = |call: Call| call.through_sh("exec \"$@\" >/dev/full").output();
    let all_full = |call: Call| call.through_sh("exec \"$@\" >/dev/full 2>/dev/full").output();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let created = all_full(call);
    assert!(created.status.success(), "{created}");
    for command in [&["state", &id][..], &["list"], &["ps", &id], &["features"]] {
        full(t.call(command)).exits(1).fails().says("no space left on device");
        let said = all_full(t.call(command));
        assert_eq!(said.status.code(), Some(1), "{command:?}: {said}");
    }
    // Refused, and nobody can be told why.
    let again = all_full(t.call(&["create", "--bundle"]).args([&b.path]).args([&id]));
    assert_eq!(again.status.code(), Some(1), "{again}");
    for command in [&["start", &id][..], &["kill", &id, "KILL"], &["delete", "--force", &id]] {
        let done = all_full(t.call(command));
        assert!(done.status.success(), "{command:?}: {done}");
    }
    t.assert_missing(&id);
    assert_nothing_left(t, "output that is full");
    Ok(())
}

/// Each command on a container that runs: it works, or says that there are too few, and the container is there whole, or
/// gone. What can't be read for want of a descriptor is not damaged.
fn few_descriptors_later(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().unset("/process/rlimits");
    let resources = t.dir.join("resources");
    fs::write(&resources, json!({"devices": [{"allow": false, "access": "rwm"}]}).to_string()).unwrap();
    let resources = resources.to_str().unwrap();
    let mut complete = false;
    for most in (3..16).chain([20, 32, 64]) {
        let few = |call: Call| call.through_sh(&format!("ulimit -n {most}; exec \"$@\"")).output();
        let c = t.start(&b);
        let commands: [&[&str]; 7] = [
            &["state", &c.id],
            &["pause", &c.id],
            &["resume", &c.id],
            &["exec", &c.id, "true"],
            &["update", "--resources", resources, &c.id],
            &["kill", &c.id, "0"],
            &["delete", "--force", &c.id],
        ];
        complete = true;
        for words in commands {
            let about = format!("{} with {most} descriptors", words[0]);
            let output = few(t.call(words));
            if !output.status.success() {
                complete = false;
                let why = output.stderr.to_lowercase();
                assert!(why.contains("open file") || why.contains("error 24"), "{about}: {output}");
                if words[0] == "pause" && c.status() != "paused" {
                    c.call(&["pause"]).ok();
                }
                if words[0] == "resume" && c.status() != "running" {
                    c.call(&["resume"]).ok();
                }
            }
            if t.call(&["state", &c.id]).output().status.success() {
                continue;
            }
            assert!(words[0] == "delete", "{about}: it is gone: {output}");
            assert!(
                c.process.wait_exit(Duration::from_secs(10)),
                "{about}: it is gone, and init alive: {output}"
            );
            let left = t.cgroups().directories_named(&c.id);
            assert!(left.is_empty(), "{about}: it is gone, and not its cgroups: {left:?}");
        }
        c.delete_force().ok();
    }
    assert!(complete, "64 descriptors are not enough");
    assert_nothing_left(t, "few descriptors");
    Ok(())
}

fn ignored_sigchld(t: &Test) -> Verdict {
    let ignoring = |call: Call| call.through_sh("trap '' CHLD; exec \"$@\"");
    let b = t.bundle();
    b.args(&["sh", "-c", "exit 7"]);
    for point in ["createRuntime", "createContainer", "poststop"] {
        b.hook(point, json!({"path": "/bin/true"}));
    }
    let (call, _) = t.bundle_call("run", &b, &[]);
    let output = ignoring(call).output().exits(7);
    assert!(!output.stderr.contains("hook"), "{output}");
    let failing = t.bundle();
    failing.stays().hook("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}));
    let (call, _) = t.bundle_call("create", &failing, &[]);
    let output = ignoring(call).fails();
    assert!(output.stderr.contains("exit status 3"), "{output}");
    // What the container gets is as if nothing had been ignored.
    let b = t.bundle();
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    ignoring(call).ok();
    ignoring(t.call(&["start", &id])).ok();
    let c = Container::open(t, &id);
    assert_eq!(u64::from_str_radix(&status_of(c.pid(), "SigIgn"), 16), Ok(0));
    let output = ignoring(c.call(&["exec"]).args(["sh", "-c", "exit 9"])).output();
    output.exits(9);
    c.delete_force().ok();
    Ok(())
}

/// What waits or decides goes by another clock: the wall clock is for the moment of creation and for the log.
fn jumping_clock(t: &Test) -> Verdict {
    if !cfg!(target_arch = "x86_64") {
        return Err(Skip::new("the wall clock is changed on x86_64 alone"));
    }
    let log = t.dir.join("log");
    let jumps = |words: &[&str]| {
        let call = t.call(&["--log", log.to_str().unwrap()]).args(words);
        let jumped = jumping(call);
        assert_eq!(jumped.waits, [] as [i64; 0], "{words:?} waits for a time of the wall clock");
        jumped
    };
    let works = |words: &[&str]| {
        let jumped = jumps(words);
        assert_eq!(jumped.status, 0, "{words:?}: {}", jumped.output);
        jumped
    };
    let b = t.bundle();
    // It is not over at once, and it is in time.
    b.stays()
        .hook("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.3"], "timeout": 30}));
    b.write();
    let bundle = b.path.to_str().unwrap();
    let id = t.fresh_id();
    let created = works(&["create", "--bundle", bundle, &id]);
    assert!(created.looks > 0, "the clock that jumps is not the one that is looked at");
    let c = Container::open(t, &id);
    let neighbour = t.create(&b);
    let year = |c: &Container| c.call(&["state"]).ok().json()["created"].as_str().unwrap()[..4].to_owned();
    assert!(year(&c) > year(&neighbour), "it is not created in another year");
    neighbour.delete_force().ok();
    let resources = t.dir.join("resources");
    fs::write(&resources, json!({"devices": [{"allow": false, "access": "rwm"}]}).to_string()).unwrap();
    let commands: [&[&str]; 9] = [
        &["start", &id],
        &["state", &id],
        &["list"],
        &["exec", &id, "true"],
        &["pause", &id],
        &["resume", &id],
        &["update", "--resources", resources.to_str().unwrap(), &id],
        &["kill", &id, "0"],
        &["ps", &id],
    ];
    for words in commands {
        assert_eq!(works(words).looks, 0, "{words:?}: of the wall clock");
    }
    // Init is waited for.
    assert_eq!(works(&["delete", "--force", &id]).looks, 0);
    t.assert_missing(&id);
    assert!(c.process.wait_exit(Duration::from_secs(10)));
    let _ = c.process.reap();
    // A hook's time is over when it is over, and not before.
    let slow = t.bundle();
    slow.stays()
        .hook("createRuntime", json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}));
    slow.write();
    let before = Instant::now();
    let jumped = jumps(&["create", "--bundle", slow.path.to_str().unwrap(), &t.fresh_id()]);
    assert_ne!(jumped.status, 0, "{}", jumped.output);
    assert!(before.elapsed() >= Duration::from_secs(1), "its time was over after {:?}", before.elapsed());
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("hook"), "{said}");
    assert_nothing_left(t, "the clock jumped");
    Ok(())
}

/// A record that another boot has left: its pid and its cgroup are somebody else's now.
fn other_boot(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let victim = Process::open(c.pid()).unwrap();
    let directory = t.root().join(&c.id);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for name in ["state.json", "intent.json"] {
        let path = directory.join(name);
        let record = fs::read_to_string(&path).unwrap();
        let changed = record.replacen(boot.trim(), "11111111-2222-3333-4444-555555555555", 1);
        assert_ne!(changed, record, "{name} has no boot id");
        fs::write(&path, resealed(changed.into_bytes())).unwrap();
    }
    assert_eq!(c.status(), "stopped");
    c.kill("KILL").fails();
    let _ = t.call(&["kill", "--all", &c.id, "KILL"]).output();
    assert!(!victim.has_exited(), "killed by a record of another boot");
    let cgroups = t.cgroups().directories_named(&c.id).len();
    c.delete_force().ok();
    t.assert_missing(&c.id);
    assert!(!victim.has_exited(), "killed by a record of another boot");
    assert_eq!(Hierarchies::mounted().directories_named(&c.id).len(), cgroups, "cgroups of this boot");
    victim.signal(Signal::KILL);
    assert!(victim.wait_exit(Duration::from_secs(10)));
    let _ = victim.reap();
    for directory in t.cgroups().directories_named(&c.id).iter().rev() {
        wait_gone_and_remove(directory);
    }
    Ok(())
}

fn log_fifo(t: &Test) -> Verdict {
    let path = t.dir.join("log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let before = Instant::now();
    let log = ["--log", path.to_str().unwrap()];
    t.bare_call(&log).args(["state", "nothing"]).fails().says("does not exist");
    let b = t.bundle();
    b.stays();
    b.write();
    let id = t.fresh_id();
    let call = t.bare_call(&log).args(["--root"]).args([t.root()]);
    call.args(["create", "--bundle", b.path.to_str().unwrap(), &id]).ok();
    assert!(before.elapsed() < Duration::from_secs(15));
    // With a reader it gets the line.
    let mut reader = Fifo::create(&t.dir.join("log2"));
    let log = ["--log", t.dir.join("log2").to_str().unwrap()].map(str::to_owned);
    let _ = t.bare_call(&log).args(["state", "nothing"]).fails();
    assert!(reader.line().contains("does not exist"));
    Ok(())
}

fn pid_file_fifo(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let link = t.dir.join("link");
    std::os::unix::fs::symlink(t.canary().join("secret"), &link).unwrap();
    let fifo = t.dir.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for path in [fifo, link] {
        let c = t.create_with(&b, &["--pid-file", path.to_str().unwrap()]);
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{} is not replaced", path.display());
        assert_eq!(fs::read_to_string(&path).unwrap(), c.pid().to_string());
        c.delete_force().ok();
    }
    Ok(())
}

/// The very last step fails: the container, its process and its pid file are gone, and the poststop hooks have taken back what
/// those of its creation have done.
fn pidfd_socket_closed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let (socket, pid_file) = (t.dir.join("pidfd"), t.dir.join("pid"));
    let listener = UnixListener::bind(&socket).unwrap();
    let flags = ["--pid-file", pid_file.to_str().unwrap(), "--pidfd-socket", socket.to_str().unwrap()];
    let mut gate = Fifo::create(&t.dir.join("gate"));
    let wait = format!("read word <{}", t.dir.join("gate").display());
    b.hook("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", wait]}));
    let taken_back = t.dir.join("taken-back");
    let take_back = format!("echo >{}", taken_back.display());
    b.hook("poststop", json!({"path": "/bin/sh", "args": ["sh", "-c", take_back]}));
    for verb in [&["create"][..], &["run", "--detach"]] {
        let mut flags = flags.to_vec();
        flags.extend(&verb[1..]);
        let (call, id) = t.bundle_call(verb[0], &b, &flags);
        // It connects before it does anything, and sends at the end; between the two a hook waits.
        let running = call.start();
        drop(listener.accept().unwrap());
        gate.send("go");
        let output = running.wait().fails();
        assert!(output.stderr.contains("pidfd"), "{output}");
        t.assert_missing(&id);
        assert!(!pid_file.exists(), "the pid file is left");
        fs::remove_file(&taken_back).expect("poststop hooks run");
        assert_nothing_left(t, "the pidfd could not be sent");
    }
    Ok(())
}

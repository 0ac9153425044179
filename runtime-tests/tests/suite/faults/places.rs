//! State roots that are full or read-only, calls that race, cgroups that are not as they should be.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use runtime_tests::cgroup::processes;
use runtime_tests::step::{Stepped, Whose, step_before};
use runtime_tests::trace::{End, kill_before};
use runtime_tests::wait::DEADLINE;
use runtime_tests::world::times;
use runtime_tests::{Bundle, Call, Case, Container, Output, Skip, Test, Verdict};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::json;

use super::callers::assert_nothing_left;
use crate::security::refused;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    vec![
        case("f09_state_root_without_space", no_space),
        case("f09_state_root_that_fills_up", fills_up),
        case("f09_state_root_that_is_read_only", read_only),
        case("f10_many_creations_of_one_id", many_creations),
        case("f10_creation_that_is_overtaken_at_the_lock", overtaken_creation),
        case("f11_many_deletions_of_one_id", many_deletions),
        case("f12_deletion_while_it_is_created", deletion_of_creating),
        case("f13_commands_whose_container_is_replaced_before_the_lock", replaced_before_lock),
        case("f14_cgroups_of_its_own_are_removed", many_cgroups),
        case("f14_process_of_another_is_named", outsider),
        case("f15_cgroup_that_was_frozen_inside", frozen_inside),
        case("f16_pause_that_is_killed_is_no_obstacle", killed_pause),
        case("f17_cgroups_that_are_there_before", cgroups_before),
        case("f18_controllers_that_are_missing", missing_controllers),
        case("f18_cgroups_that_are_read_only", read_only_cgroups),
    ]
}

/// A small file system of its own for a state root.
struct Small {
    path: PathBuf,
}

impl Small {
    fn mount(t: &Test, options: &str) -> Self {
        let path = t.dir.join("small");
        fs::create_dir_all(&path).unwrap();
        let options = std::ffi::CString::new(format!("mode=700,{options}")).unwrap();
        mount("small", &path, "tmpfs", MountFlags::empty(), &*options).unwrap();
        Self { path }
    }

    fn call(&self, t: &Test, words: &[&str]) -> Call {
        t.bare_call(&["--root".as_ref(), self.path.as_os_str()]).args(words)
    }

    fn create(&self, t: &Test, b: &Bundle, id: &str) -> Call {
        self.call(t, &["create", "--bundle", b.path.to_str().unwrap(), id])
    }

    fn names(&self) -> Vec<std::ffi::OsString> {
        fs::read_dir(&self.path).unwrap().flatten().map(|entry| entry.file_name()).collect()
    }

    fn set_flags(&self, flags: MountFlags) {
        mount_remount(&self.path, flags, c"").unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// Refused before anything is done, until there is enough.
fn no_space(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    for option in ["size=4k,nr_inodes", "nr_inodes=100,size"] {
        let mut refusals = 0;
        for amount in 1..40 {
            // Of pages a tmpfs has whole ones: the config and the records take a few.
            let options = match option {
                "nr_inodes=100,size" => format!("{option}={}k", amount * 4),
                option => format!("{}={amount}", option.replace("size=4k", "size=1m")),
            };
            let small = Small::mount(t, &options);
            let id = t.fresh_name();
            let output = small.create(t, &b, &id).output();
            if output.status.success() {
                small.call(t, &["start", &id]).ok();
                small.call(t, &["delete", "--force", &id]).ok();
                assert_eq!(small.names(), Vec::<std::ffi::OsString>::new(), "{options}");
                break;
            }
            refusals += 1;
            let output = refused(output).says("no space left on device");
            assert_eq!(small.names(), Vec::<std::ffi::OsString>::new(), "{options}: {output}");
            drop(small);
            assert_nothing_left(t, &options);
        }
        assert!(refusals > 0, "{option}: nothing was refused");
        assert!(refusals < 39, "{option}: nothing works");
    }
    assert_nothing_left(t, "state roots without space");
    Ok(())
}

/// What ends a container needs no space.
fn fills_up(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let small = Small::mount(t, "size=256k");
    let fill = || {
        use std::io::Write as _;
        let mut file = fs::File::create(small.path.join("-ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    let resources = t.dir.join("resources");
    fs::write(&resources, json!({"devices": [{"allow": false, "access": "rwm"}]}).to_string()).unwrap();
    for end in [&["delete", "--force"][..], &["kill"]] {
        let id = t.fresh_name();
        small.create(t, &b, &id).ok();
        fill();
        small.call(t, &["start", &id]).ok();
        // What can't be recorded is not done: the old values count.
        let update = small.call(t, &["update", "--resources", resources.to_str().unwrap(), &id]).output();
        let _ = refused(update).says("no space left on device");
        small.call(t, &["pause", &id]).ok();
        small.call(t, &["resume", &id]).ok();
        small.call(t, &["exec", &id, "true"]).ok();
        let pid = small.call(t, &["state", &id]).ok().json()["pid"].as_i64().unwrap() as i32;
        let init = runtime_tests::wait::Process::open(pid).unwrap();
        small.call(t, &[end, &[&id]].concat()).args(if end[0] == "kill" { &["KILL"][..] } else { &[] }).ok();
        assert!(init.wait_exit(DEADLINE));
        let _ = init.reap();
        small.call(t, &["delete", "--force", &id]).ok();
        assert_eq!(small.names(), ["-ballast"]);
        fs::remove_file(small.path.join("-ballast")).unwrap();
    }
    drop(small);
    assert_nothing_left(t, "a state root that filled up");
    Ok(())
}

fn read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let small = Small::mount(t, "size=1m");
    let (id, other) = (t.fresh_name(), t.fresh_name());
    small.create(t, &b, &id).ok();
    small.set_flags(MountFlags::RDONLY);
    let _ = refused(small.create(t, &b, &other).output()).says("read-only file system");
    let state = small.call(t, &["state", &id]).ok().json();
    assert_eq!(state["status"], "created");
    assert!(small.call(t, &["list", "--quiet"]).ok().lines().contains(&&*id));
    small.call(t, &["kill", &id, "KILL"]).ok();
    let init = state["pid"].as_i64().unwrap() as i32;
    if let Ok(init) = runtime_tests::wait::Process::open(init) {
        assert!(init.wait_exit(DEADLINE));
        let _ = init.reap();
    }
    let _ = refused(small.call(t, &["delete", &id]).output()).says("read-only file system");
    small.set_flags(MountFlags::empty());
    small.call(t, &["delete", &id]).ok();
    assert_eq!(small.names(), Vec::<std::ffi::OsString>::new());
    drop(small);
    assert_nothing_left(t, "a read-only state root");
    Ok(())
}

/// Makes the calls at once; their outputs, in order.
fn at_once(calls: Vec<Call>) -> Vec<Output> {
    let running: Vec<_> =
        calls.into_iter().map(|call| call.deadline(Duration::from_secs(60)).start()).collect();
    let threads: Vec<_> = running.into_iter().map(|it| std::thread::spawn(|| it.wait())).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn many_creations(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    for _ in 0..times(2, 20) {
        let id = t.fresh_id();
        let create = || t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        let outputs = at_once((0..50).map(|_| create()).collect());
        let (won, lost): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|it| it.status.success());
        assert_eq!(won.len(), 1, "{} of 50 have created it", won.len());
        for output in lost {
            let _ = refused(output).says("already exists");
        }
        let c = Container::open(t, &id);
        assert_eq!(c.start().status(), "running");
        c.delete_force().ok();
        assert_nothing_left(t, "50 creations of one id");
    }
    Ok(())
}

/// Between making the directory, or finding one in which nothing is recorded, and locking it, another creation or a
/// deletion is faster.
fn overtaken_creation(t: &Test) -> Verdict {
    needs_x86()?;
    let b = t.bundle();
    b.stays().write();
    let call = |words: &[&str], id: &str| t.call(words).args([id]);
    let create = |id: &str| call(&["create", "--bundle", b.path.to_str().unwrap()], id);
    for is_found in [false, true] {
        let prepared = || {
            let id = t.fresh_id();
            if is_found {
                fs::create_dir_all(t.root().join(&id)).unwrap();
                fs::set_permissions(t.root(), fs::Permissions::from_mode(0o700)).unwrap();
            }
            id
        };
        // Another creation: it wins, and what it made is whole.
        let id = prepared();
        let stepped = step_before_lock(create(&id), || drop(create(&id).ok()));
        assert!(stepped.reached, "no lock is taken: {}", stepped.output);
        assert!(stepped.status != 0 && stepped.output.contains("already exists"), "{}", stepped.output);
        let winner = Container::open(t, &id);
        assert_eq!(winner.start().status(), "running");
        winner.delete_force().ok();
        // What takes it for gone, and removes it: creation begins again.
        let id = prepared();
        let stepped = step_before_lock(create(&id), || drop(call(&["delete", "--force"], &id).ok()));
        assert_eq!((stepped.reached, stepped.status), (true, 0), "{}", stepped.output);
        let made = Container::open(t, &id);
        assert_eq!(made.start().status(), "running");
        made.delete_force().ok();
        assert_nothing_left(t, "a creation that was overtaken");
    }
    Ok(())
}

/// A command finds its container; before it has the lock, that one is deleted, and there is another of its id: which it
/// leaves alone.
fn replaced_before_lock(t: &Test) -> Verdict {
    needs_x86()?;
    let b = t.bundle();
    b.stays().write();
    let commands: [&[&str]; 6] = [
        &["start"],
        &["pause"],
        &["resume"],
        &["update", "--pids-limit", "99"],
        &["delete"],
        &["delete", "--force"],
    ];
    for command in commands {
        let id = t.fresh_id();
        let create = || t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        create().ok();
        let stepped = step_before_lock(t.call(command).args([&id]), || {
            t.call(&["delete", "--force", &id]).ok();
            create().ok();
        });
        assert!(stepped.reached, "{command:?} takes no lock: {}", stepped.output);
        if command.contains(&"--force") {
            assert_eq!(stepped.status, 0, "{command:?}: {}", stepped.output);
        } else {
            assert!(stepped.status != 0, "{command:?}");
            assert!(stepped.output.contains("does not exist"), "{command:?}: {}", stepped.output);
        }
        let other = Container::open(t, &id);
        assert_eq!(other.status(), "created", "{command:?}");
        assert_eq!(other.start().status(), "running", "{command:?}");
        other.delete_force().ok();
    }
    assert_nothing_left(t, "commands whose container was replaced");
    Ok(())
}

/// Stops before the lock is taken.
fn step_before_lock(call: Call, change: impl FnOnce()) -> Stepped {
    step_before(call, "flock", 0, Whose::Command, change)
}

fn needs_x86() -> Result<(), Skip> {
    if cfg!(target_arch = "x86_64") { Ok(()) } else { Err(Skip::new("its calls are known by x86's numbers")) }
}

/// Each says that it is done, or that there is no such container; the poststop hook runs once.
fn many_deletions(t: &Test) -> Verdict {
    let log = t.dir.join("log");
    let b = t.bundle();
    b.stays();
    let script = format!("echo once >>{}", log.display());
    b.hook("poststop", json!({"path": "/bin/sh", "args": ["sh", "-c", script]}));
    for _ in 0..times(2, 20) {
        let _ = fs::remove_file(&log);
        let c = t.start(&b);
        let mut calls: Vec<_> = (0..20).map(|_| c.delete_force()).collect();
        calls.insert(3, c.kill("KILL"));
        calls.insert(5, c.call(&["state"]));
        calls.insert(9, c.call(&["state"]));
        calls.push(c.call(&["state"]));
        for output in at_once(calls) {
            let words = ["does not exist", "container not running"];
            let said = words.iter().any(|words| output.stderr.contains(words));
            assert!(output.status.success() || said, "{output}");
        }
        assert!(c.process.wait_exit(DEADLINE));
        let _ = c.process.reap();
        t.assert_missing(&c.id);
        assert_eq!(fs::read_to_string(&log).unwrap(), "once\n", "runs of the poststop hook");
        assert_nothing_left(t, "20 deletions of one id");
    }
    Ok(())
}

/// One after the other, whatever creation has come to: it fails, or the container is there whole, or gone.
fn deletion_of_creating(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let events = ["", "intent.json", "start.sock", "state.json"];
    for round in 0..times(12, 200) {
        let id = t.fresh_id();
        let event = t.root().join(&id).join(events[round % events.len()]);
        let creating = t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]).start();
        // What has been seen may be gone again by now; then it has ended.
        while !event.exists() && !creating.process.has_exited() {
            std::thread::yield_now();
        }
        let deleted = t.call(&["delete", "--force", &id]).output();
        let created = creating.wait();
        assert!(deleted.status.success(), "{deleted}");
        let state = t.call(&["state", &id]).output();
        if state.status.success() {
            assert!(created.status.success(), "it is there, and creation has failed: {created}");
            t.call(&["start", &id]).ok();
        } else if !created.status.success() {
            let _ = refused(created);
        }
        t.call(&["delete", "--force", &id]).ok();
        assert_nothing_left(t, &format!("deleted when there was {}", event.display()));
    }
    Ok(())
}

/// The directory of a container in the hierarchy by which it is frozen, and the file and the words for it.
fn freezer(t: &Test, c: &Container<'_>) -> (PathBuf, &'static str, &'static str) {
    let directory = t.cgroups().directory_of(c.pid(), "freezer").unwrap();
    if t.cgroups().v1_root("freezer").is_some() {
        (directory, "freezer.state", "FROZEN")
    } else {
        (directory, "cgroup.freeze", "1")
    }
}

fn many_cgroups(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for directory in t.cgroups().directories_named(&c.id) {
        fs::create_dir_all(directory.join("one/two/three")).unwrap();
    }
    let (directory, ..) = freezer(t, &c);
    for number in 0..times(200, 1000) {
        fs::create_dir(directory.join(format!("many{number}"))).unwrap();
    }
    // Init itself has moved into one that is three levels down.
    fs::write(directory.join("one/two/three/cgroup.procs"), c.pid().to_string()).unwrap();
    // One for threads alone, where v2 is.
    if let Some(root) = t.cgroups().v2_root() {
        let own = root.join(directory.strip_prefix(t.cgroups().v1_root("freezer").unwrap_or(root)).unwrap());
        let threaded = own.join("threaded");
        if fs::create_dir(&threaded).is_ok() {
            let _ = fs::write(threaded.join("cgroup.type"), "threaded");
        }
    }
    let began = Instant::now();
    c.delete_force().ok();
    assert!(began.elapsed() < DEADLINE, "it took {:?}", began.elapsed());
    assert!(c.process.wait_exit(DEADLINE));
    let _ = c.process.reap();
    assert_nothing_left(t, "a container with cgroups of its own");
    Ok(())
}

/// Somebody else's process in the cgroup of a container that has stopped.
struct Outsider(Child);

impl Outsider {
    fn enter(directory: &Path) -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self(child)
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its processes have ended with its pid namespace: who is in its cgroup is not its own, and not to be killed.
fn outsider(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    // Each waits for a deadline.
    for below in &["sub", ""][..times(1, 2)] {
        let c = t.start(&b);
        let directory = freezer(t, &c).0.join(below);
        fs::create_dir_all(&directory).unwrap();
        c.stop();
        let mut outsider = Outsider::enter(&directory);
        let pid = outsider.0.id();
        let _ = refused(c.delete().deadline(Duration::from_secs(60)).output()).says(&pid.to_string());
        assert!(outsider.0.try_wait().unwrap().is_none(), "it was killed");
        assert_eq!(c.status(), "stopped");
        drop(outsider);
        c.delete().ok();
        assert_nothing_left(t, "a neighbour was in its cgroup");
    }
    Ok(())
}

/// The container has frozen its cgroup, or one below with its process in it.
fn frozen_inside(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for below in ["", "sub", "sub/sub"] {
        for kill in [false, true] {
            let c = t.start(&b);
            let (directory, file, word) = freezer(t, &c);
            let directory = directory.join(below);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("cgroup.procs"), c.pid().to_string()).unwrap();
            fs::write(directory.join(file), word).unwrap();
            if kill {
                c.kill("KILL").ok();
                assert!(c.process.wait_exit(DEADLINE), "killed while {below:?} was frozen: it lives on");
                let _ = c.process.reap();
            }
            c.delete_force().ok();
            assert!(c.process.wait_exit(DEADLINE), "deleted while {below:?} was frozen: it lives on");
            let _ = c.process.reap();
            assert_nothing_left(t, &format!("{below:?} was frozen"));
        }
    }
    Ok(())
}

/// Whatever a pause that was killed has left, the next command goes on from it.
fn killed_pause(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let mut c = t.start(&b);
    let mut states = std::collections::BTreeSet::new();
    for at in (0..1000).step_by(times(5, 1)) {
        let end = kill_before(c.call(&["pause"]), at);
        if let End::Exited(status, _) = end {
            assert_eq!(status, 0, "pause failed by itself");
        }
        let status = c.status();
        states.insert(status.clone());
        match (at % 2, &*status) {
            (_, "running") => drop(c.call(&["pause"]).ok()),
            (_, "paused") => {}
            (_, other) => panic!("{end:?} at {at}: {other}"),
        }
        if at % 2 == 0 {
            c.call(&["resume"]).ok();
            assert_eq!(c.status(), "running");
        } else {
            c.kill("KILL").ok();
            assert_eq!(c.wait(), Some(128 + 9), "{end:?} at {at}");
            c.delete().ok();
            c = t.start(&b);
        }
        if matches!(end, End::Exited(..)) {
            assert_eq!(states.len(), 2, "it was never killed between the two: {states:?}");
            c.delete_force().ok();
            assert_nothing_left(t, "pauses that were killed");
            return Ok(());
        }
    }
    panic!("more than 1000 system calls")
}

/// An empty cgroup is used and not removed; one that is in use, or not ours, is left alone.
fn cgroups_before(t: &Test) -> Verdict {
    let path = |name: &str| format!("/{name}");
    let v1_freezer = t.cgroups().v1_root("freezer").map(Path::to_owned);
    let root = v1_freezer.clone().or_else(|| t.cgroups().v2_root().map(Path::to_owned)).unwrap();
    for kind in ["empty", "occupied", "frozen", "foreign"] {
        let name = t.fresh_name();
        let directory = root.join(&name);
        fs::create_dir(&directory).unwrap();
        let inode = fs::metadata(&directory).unwrap().ino();
        let freeze = |frozen| {
            let (file, words) = if v1_freezer.is_some() {
                ("freezer.state", ["THAWED", "FROZEN"])
            } else {
                ("cgroup.freeze", ["0", "1"])
            };
            fs::write(directory.join(file), words[usize::from(frozen)]).unwrap();
        };
        let mut outsider = None;
        match kind {
            "occupied" => outsider = Some(Outsider::enter(&directory)),
            "frozen" => freeze(true),
            "foreign" => std::os::unix::fs::chown(&directory, Some(4242), Some(4242)).unwrap(),
            _ => {}
        }
        let b = t.bundle();
        b.stays().set("/linux/cgroupsPath", path(&name));
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.output();
        if kind == "empty" {
            let _ = output.ok();
            let c = Container::open(t, &id);
            assert_eq!(c.start().status(), "running");
            c.delete_force().ok();
            assert!(c.process.wait_exit(DEADLINE));
            let _ = c.process.reap();
        } else {
            let output = refused(output);
            assert!(output.stderr.contains(&name), "{kind}: it does not name the cgroup: {output}");
            t.assert_missing(&id);
        }
        if let Some(outsider) = &mut outsider {
            assert!(outsider.0.try_wait().unwrap().is_none(), "{kind}: the neighbour was killed");
            assert_eq!(processes(&directory), [outsider.0.id().cast_signed()], "{kind}: who is in it");
        }
        if kind == "frozen" {
            freeze(false);
        }
        drop(outsider);
        assert_eq!(
            fs::metadata(&directory).map_or(0, |it| it.ino()),
            inode,
            "{kind}: it is not there any more"
        );
        let end = Instant::now() + DEADLINE;
        while fs::remove_dir(&directory).is_err() {
            assert!(Instant::now() < end, "{} can't be removed", directory.display());
            std::thread::yield_now();
        }
        assert_nothing_left(t, kind);
    }
    Ok(())
}

/// Through a shell in a mount namespace of its own, which changes the machine's mounts first.
fn with_mounts(call: Call, script: &str) -> Call {
    call.through(["unshare", "--mount", "--propagation", "private"]).through(["sh", "-c", script, "sh"])
}

/// A limit that nobody can keep is refused by its controller's name; without one it runs.
fn missing_controllers(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let limits = [
        ("pids", "/linux/resources/pids", json!({"limit": 20})),
        ("memory", "/linux/resources/memory", json!({"limit": 64 << 20})),
        ("cpu", "/linux/resources/cpu", json!({"shares": 100})),
    ];
    for (controller, pointer, value) in limits {
        let root = t.cgroups().v1_root(controller).map(Path::to_owned);
        let script = match &root {
            Some(root) => format!("umount {} && exec \"$@\"", root.display()),
            None if t.cgroups().uses_v2(controller) => continue,
            None => "exec \"$@\"".to_owned(),
        };
        let b = t.bundle();
        b.stays().set(pointer, value);
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = refused(with_mounts(call, &script).output());
        assert!(output.stderr.contains(controller), "{output}");
        assert!(output.stderr.contains("/linux/resources"), "{output}");
        t.assert_missing(&id);
        let b = t.bundle();
        b.stays();
        let (call, id) = t.bundle_call("create", &b, &[]);
        with_mounts(call, &script).ok();
        let c = Container::open(t, &id);
        with_mounts(c.call(&["start"]), &script).ok();
        assert_eq!(c.status(), "running");
        c.delete_force().ok();
        assert_nothing_left(t, &format!("without {controller}"));
    }
    Ok(())
}

fn read_only_cgroups(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let mut script = String::new();
    for root in t.cgroups().roots() {
        script.push_str(&format!("mount -o remount,bind,ro {} && ", root.display()));
    }
    script.push_str("exec \"$@\"");
    let b = t.bundle();
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = refused(with_mounts(call, &script).output()).says("read-only file system");
    assert!(output.stderr.contains("cgroup"), "{output}");
    t.assert_missing(&id);
    assert_nothing_left(t, "read-only cgroups");
    // One that is there already can be looked at and ended by signal all the same.
    let c = t.start(&b);
    with_mounts(c.call(&["state"]), &script).ok();
    with_mounts(c.kill("KILL"), &script).ok();
    assert!(c.process.wait_exit(DEADLINE));
    let _ = c.process.reap();
    let _ = refused(with_mounts(c.delete(), &script).deadline(Duration::from_secs(60)).output());
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
    assert_nothing_left(t, "read-only cgroups");
    Ok(())
}

//! Faults: the runtime killed at every system call of a command, then those of its callers, its host and its containers.
//! Whatever fails, `delete --force` leaves nothing, and the id is free.

mod callers;
mod crash;
mod errno;
mod inputs;
mod payloads;
mod places;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use runtime_tests::cgroup::read;
use runtime_tests::command::Call;
use runtime_tests::procfs::mounts_of;
use runtime_tests::trace::{End, kill_before};
use runtime_tests::{Bundle, Case, Test, Verdict, residue};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    let mut all = callers::cases();
    all.extend(crash::cases());
    all.extend(errno::cases());
    all.extend(inputs::cases());
    all.extend(places::cases());
    all.extend(payloads::cases());
    all.extend([
        case("create_killed_at_every_system_call", create_killed),
        case("create_with_hooks_killed_at_every_system_call", create_with_hooks_killed),
        case("create_in_a_user_namespace_killed_at_every_system_call", create_in_user_namespace_killed),
        case("start_killed_at_every_system_call", start_killed),
        case("delete_killed_at_every_system_call", delete_killed),
        case("kill_killed_at_every_system_call", kill_killed),
        case("pause_killed_at_every_system_call", pause_killed),
        case("resume_killed_at_every_system_call", resume_killed),
        case("update_killed_at_every_system_call", update_killed),
        case("mounts_add_killed_at_every_system_call", mounts_add_killed),
        case("run_detached_killed_at_every_system_call", run_killed),
    ]);
    all
}

/// More than a command makes; one that makes more is a loop.
const MOST_CALLS: usize = 5000;

/// At how many of its calls a command of another runtime is killed: it may make thousands.
const SAMPLE_OF_OTHERS: usize = 64;

/// How long what a killed runtime leaves running may take to end, once it was deleted.
const SETTLE: Duration = Duration::from_secs(5);

/// From one call at which a command is killed to the next: ours is killed at each, another's at a sample. `clean` makes the
/// command without a fault.
fn stride(t: &Test, clean: impl FnOnce() -> End) -> usize {
    if t.runtime.is_ours() {
        return 1;
    }
    match clean() {
        End::Exited(0, calls) => calls.div_ceil(SAMPLE_OF_OTHERS),
        end => panic!("without a fault: {end:?}"),
    }
}

/// Kills a command at each of its system calls in turn. Before each, `prepare` makes the container that it is about.
fn kill_everywhere(
    t: &Test,
    prepare: impl Fn(&str),
    command: impl Fn(&str) -> Call,
    bundle: &Bundle,
) -> Verdict {
    let id = t.fresh_id();
    let stride = stride(t, || {
        prepare(&id);
        let end = kill_before(command(&id), usize::MAX);
        // A command that deletes has left nothing to delete.
        let _ = t.call(&["delete", "--force", &id]).output();
        residue::settle(t, SETTLE);
        end
    });
    for at in (0..MOST_CALLS).step_by(stride) {
        prepare(&id);
        let end = kill_before(command(&id), at);
        let place = match &end {
            End::Killed(number) => format!("killed before its system call {at} (number {number})"),
            End::Exited(..) => "not killed".to_owned(),
        };
        residue::reap_orphans(t);
        // What can be asked of it is answered: a state, or that there is none.
        let state = t.call(&["state", &id]).output();
        assert!(
            state.status.success() || state.has_said("does not exist"),
            "{place}: state has neither an answer nor says that it does not exist: {state}"
        );
        let status = serde_json::from_str(&state.stdout).unwrap_or(Value::Null)["status"].clone();
        if !matches!(status.as_str(), Some("created" | "running" | "paused")) {
            // Whoever was to make it one of these is gone, and init ends with that.
            residue::settle(t, SETTLE);
            let alive = residue::pids(t);
            assert!(alive.is_empty(), "{place}: it is {status}, and {alive:?} do not end by themselves");
        }
        let deleted = t.call(&["delete", "--force", &id]).output();
        assert!(deleted.status.success(), "{place}: {deleted}");
        residue::settle(t, SETTLE);
        let left = residue::find(t);
        if !left.is_empty() {
            std::thread::sleep(SETTLE);
            let later = residue::find(t).join("\n");
            let left = left.join("\n");
            panic!("{place}, then {deleted}; left behind:\n{left}\nafter {SETTLE:?}:\n{later}");
        }
        t.call(&["create", "--bundle", bundle.path.to_str().unwrap(), &id]).ok();
        if at % 8 == 0 {
            t.call(&["start", &id]).ok();
        }
        t.call(&["delete", "--force", &id]).ok();
        residue::settle(t, SETTLE);
        if let End::Exited(status, calls) = end {
            assert_eq!(status, 0, "the command failed by itself");
            // How many there are depends on when events arrive: this run had no more than were tried.
            assert!(calls <= at);
            assert!(at > 30, "only {at} system calls: is this the command's own process?");
            return Ok(());
        }
    }
    panic!("more than {MOST_CALLS} system calls")
}

fn create(t: &Test, bundle: &Bundle, id: &str) -> Call {
    t.call(&["create", "--bundle", bundle.path.to_str().unwrap(), id])
}

fn make_running(t: &Test, bundle: &Bundle, id: &str) {
    create(t, bundle, id).ok();
    t.call(&["start", id]).ok();
}

fn create_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    kill_everywhere(t, |_| (), |id| create(t, &b, id), &b)
}

fn create_with_hooks_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let hook = t.dir.join("hook");
    fs::write(&hook, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    for point in ["createRuntime", "createContainer", "poststop"] {
        b.hook(point, json!({"path": hook}));
    }
    b.write();
    let pid_file = t.dir.join("pid");
    let flags = ["--pid-file", pid_file.to_str().unwrap()];
    kill_everywhere(
        t,
        |_| (),
        |id| t.call(&["create", "--bundle", b.path.to_str().unwrap()]).args(flags).args([id]),
        &b,
    )
}

fn create_in_user_namespace_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    b.stays().write();
    kill_everywhere(t, |_| (), |id| create(t, &b, id), &b)
}

fn start_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    kill_everywhere(t, |id| drop(create(t, &b, id).ok()), |id| t.call(&["start", id]), &b)
}

fn delete_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    kill_everywhere(t, |id| make_running(t, &b, id), |id| t.call(&["delete", "--force", id]), &b)
}

fn kill_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    kill_everywhere(t, |id| make_running(t, &b, id), |id| t.call(&["kill", id, "KILL"]), &b)
}

fn run_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let run = |id: &str| t.call(&["run", "--detach", "--bundle", b.path.to_str().unwrap(), id]);
    kill_everywhere(t, |_| (), run, &b)
}

fn pause_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    kill_everywhere(t, |id| make_running(t, &b, id), |id| t.call(&["pause", id]), &b)
}

fn resume_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let prepare = |id: &str| {
        create(t, &b, id).ok();
        t.call(&["pause", id]).ok();
    };
    kill_everywhere(t, prepare, |id| t.call(&["resume", id]), &b)
}

/// Each value is the old one or the new one; an update that is not killed makes them all old again.
fn update_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let pids = t.cgroups().has("pids");
    let limits = |limit: u64, minor: u64| {
        let allow = json!({"allow": true, "type": "c", "major": 10, "minor": minor, "access": "rw"});
        let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}, allow]});
        if pids {
            resources["pids"] = json!({"limit": limit});
            resources["memory"] = json!({"reservation": limit << 20});
        }
        resources
    };
    b.set("/linux/resources", limits(50, 229));
    let (before, after) = (t.dir.join("before"), t.dir.join("after"));
    fs::write(&before, limits(50, 229).to_string()).unwrap();
    fs::write(&after, limits(60, 228).to_string()).unwrap();
    let update =
        |file: &std::path::Path, id: &str| t.call(&["update", "--resources", file.to_str().unwrap(), id]);
    let c = t.start(&b);
    let now = || {
        let of = |controller| t.cgroups().directory_of(c.pid(), controller).unwrap();
        let file = if t.cgroups().uses_v2("memory") { "memory.low" } else { "memory.soft_limit_in_bytes" };
        pids.then(|| (read(&of("pids"), "pids.max"), read(&of("memory"), file)))
    };
    let stride = stride(t, || kill_before(update(&after, &c.id), usize::MAX));
    update(&before, &c.id).ok();
    for at in (0..MOST_CALLS).step_by(stride) {
        let end = kill_before(update(&after, &c.id), at);
        if let Some((pids, memory)) = now() {
            assert!(["50", "60"].contains(&&*pids), "{end:?} at {at}: {pids}");
            assert!(["52428800", "62914560"].contains(&&*memory), "{end:?} at {at}: {memory}");
        }
        if let End::Exited(status, _) = end {
            assert_eq!((status, at > 50), (0, true), "the command failed by itself");
            c.delete_force().ok();
            return Ok(());
        }
        update(&before, &c.id).ok();
        if let Some((pids, memory)) = now() {
            assert_eq!((&*pids, &*memory), ("50", "52428800"));
        }
    }
    panic!("more than {MOST_CALLS} system calls")
}

/// A container has all of the mounts or none, and nothing is left on the host.
fn mounts_add_killed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for name in ["one", "two"] {
        fs::create_dir(b.inside(name)).unwrap();
    }
    let file = t.dir.join("mounts");
    let tmpfs = json!({"destination": "/one", "type": "tmpfs", "source": "tmpfs"});
    let bind = json!({"destination": "/two", "type": "bind", "source": t.dir, "options": ["bind", "ro"]});
    fs::write(&file, json!([tmpfs, bind]).to_string()).unwrap();
    let c = t.start(&b);
    let mounts = |action: &str| t.call(&["mounts", action, &c.id]).args([&file]);
    let added = || mounts_of(c.pid()).iter().filter(|it| ["/one", "/two"].contains(&&*it.point)).count();
    for at in 0..MOST_CALLS {
        let end = kill_before(mounts("add"), at);
        // What it has started goes on alone, and ends: then its fate is known.
        let over = Instant::now() + SETTLE;
        while !host_processes(t, &c).is_empty() && Instant::now() < over {
            residue::reap_orphans(t);
            std::thread::yield_now();
        }
        assert_eq!(host_processes(t, &c), Vec::<i32>::new(), "{end:?} at {at}");
        let there = added();
        assert!(matches!(there, 0 | 2), "{end:?} at {at}: {there} of two mounts");
        if there == 2 {
            mounts("remove").ok();
            assert_eq!(added(), 0);
        }
        if let End::Exited(status, _) = end {
            assert_eq!((status, at > 30, there), (0, true, 2), "the command failed by itself");
            c.delete_force().ok();
            return Ok(());
        }
    }
    panic!("more than {MOST_CALLS} system calls")
}

/// Processes of the test other than the container's init.
fn host_processes(t: &Test, c: &runtime_tests::Container<'_>) -> Vec<i32> {
    residue::pids(t).into_iter().filter(|pid| *pid != c.pid()).collect()
}

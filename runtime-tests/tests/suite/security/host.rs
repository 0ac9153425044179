//! What of the host could be reached while a container is made, joined, frozen or ended: its files by the processes that
//! join, its settings through a `/proc` of the image, its mounts, its libraries.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use runtime_tests::cgroup::processes;
use runtime_tests::procfs::{all_pids, link_of, namespace_of};
use runtime_tests::race::exchange;
use runtime_tests::step::{Whose, step, step_before};
use runtime_tests::trace::{End, kill_before};
use runtime_tests::wait::Process;
use runtime_tests::world::{World, thorough, times};
use runtime_tests::{Case, Container, Lane, Test, Verdict};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use serde_json::json;

use super::races::on_one_lane;
use super::refused;

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t03_joining_process_is_not_to_be_had", joining_process),
        case("t03_joining_process_in_a_user_namespace_is_not_to_be_had", joining_in_user_namespace),
        case("t15_parameters_through_a_proc_of_the_image", image_proc),
        case("t15_parameters_through_a_proc_of_the_host_with_mounts_in_it", covered_proc),
        case("t20_mounts_of_the_host_stay", host_mounts),
        case("t20_mounts_of_a_host_that_shares_all_stay", shared_host),
        case("t32_no_library_of_the_image_is_loaded", image_libraries),
        case("t40_frozen_containers_can_be_ended", frozen),
    ]
}

/// Root of a container, who may trace, looks at every process that it sees as long as an exec joins.
fn joining_process(t: &Test) -> Verdict {
    on_one_lane(t)?;
    let secret = t.canary().join("secret");
    let b = t.bundle();
    b.writable().capabilities(&["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"]);
    b.set("/process/noNewPrivileges", false);
    let found = b.inside("/tmp/found");
    let mut passes = b.fifo("/tmp/passes");
    fs::write(&found, "").unwrap();
    // Each descriptor, root and directory of each process but its own; links that don't begin with one of the container's
    // own names are noted, too.
    let script = format!(
        "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] && continue; \
         cat $p/root{0} $p/cwd{0} $p/cwd/../../../../../../..{0} >>/tmp/found 2>/dev/null; \
         for f in $p/fd/*; do [ -d $f/ ] || continue; cat $f{0} $f/../../../../../../..{0} >>/tmp/found 2>/dev/null; \
         done; done; echo pass >/tmp/passes; done",
        secret.display()
    );
    b.sh(&script);
    let c = t.start(&b);
    let _ = passes.line();
    let check = |about: &str| {
        let text = fs::read_to_string(&found).unwrap();
        assert!(!text.contains(&t.token), "{about}: the container has read a file of the host");
    };
    for number in 0..times(10, 300) {
        c.call(&["exec"]).args(["true"]).ok();
        check(&format!("exec {number}"));
    }
    // Stopped before each call that takes a path, until the container has looked at everything.
    for at in (0..200).step_by(times(3, 1)) {
        let stepped = step(c.call(&["exec"]).args(["true"]), at, Whose::Made, || {
            while !passes.is_silent() {
                let _ = passes.line();
            }
            let _ = (passes.line(), passes.line());
        });
        assert_eq!(stepped.status, 0, "call {at}: {}", stepped.output);
        check(&format!("call {at}"));
        if !stepped.reached {
            break;
        }
    }
    // It would have seen: a descriptor of the host that the caller wants the process to have.
    let call = c.call(&["exec", "--detach", "--preserve-fds", "1"]).args(["sleep", "1000"]);
    call.through(["sh", "-c", "exec 3</; exec \"$@\"", "sh"]).ok();
    let end = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(&found).unwrap().contains(&t.token) {
        assert!(Instant::now() < end, "the container does not look as it should");
        let _ = passes.line();
    }
    c.delete_force().ok();
    Ok(())
}

/// A process that has joined a user namespace belongs to its root, who may trace there, and may see it: before it has closed
/// what it holds of the host, and become somebody of that namespace.
fn joining_in_user_namespace(t: &Test) -> Verdict {
    let bundle = |user: Option<&Path>| {
        let b = t.bundle();
        b.stays().capabilities(&["CAP_SYS_PTRACE"]).without_namespace("pid").namespace("user", user);
        if user.is_none() {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        b.without_mount("/proc").mount("/proc", "bind", "/proc", &["rbind"]);
        fs::create_dir(b.inside("/mnt")).unwrap();
        let mut path = b.rootfs();
        while path.starts_with(&t.dir) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.pop();
        }
        b
    };
    let c = t.start(&bundle(None));
    let user = namespace_of(c.pid(), "user");
    let look = |pids: &[i32]| {
        let script =
            format!("for p in {pids:?}; do readlink /proc/${{p%,}}/exe; done; true").replace(['[', ']'], "");
        t.call(&["exec", "--cap", "CAP_SYS_PTRACE", &c.id]).args(["sh", "-c", &script]).ok().text().to_owned()
    };
    assert!(look(&[c.pid()]).contains("busybox"), "the container does not look as it should");
    let second = bundle(Some(Path::new(&format!("/proc/{}/ns/user", c.pid()))));
    let mounts = t.dir.join("mounts");
    fs::write(&mounts, json!([{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}]).to_string())
        .unwrap();
    let (create, id) = t.bundle_call("create", &second, &[]);
    let commands = [
        ("create", create),
        ("exec", c.call(&["exec"]).args(["true"])),
        ("mounts add", t.call(&["mounts", "add", &c.id]).args([&mounts])),
    ];
    for (name, call) in commands {
        let mut seen = Vec::new();
        // The first thing that it does in the namespace is to become its root.
        let stepped = step_before(call, "setresgid", 0, Whose::Made, || {
            let is_inits = |pid: i32| {
                link_of(pid, "exe").is_some_and(|exe| exe.to_string_lossy().starts_with("/memfd:"))
            };
            let joined = |pid: i32| is_inits(pid) && namespace_of(pid, "user") == user;
            seen = all_pids().into_iter().filter(|pid| joined(*pid)).collect();
            assert_eq!(look(&seen), "", "{name}: the container sees what {seen:?} executes");
        });
        assert_eq!((stepped.reached, stepped.status), (true, 0), "{name}: {}", stepped.output);
        assert_eq!(seen.len(), 1, "{name}: which process has joined? {seen:?}");
        t.call(&["delete", "--force", &id]).ok();
    }
    Ok(())
}

/// The image's own `/proc`, whose files are links out, is not what parameters and labels are written through.
fn image_proc(t: &Test) -> Verdict {
    on_one_lane(t)?;
    let written = t.canary().join("secret");
    let fake = |directory: &Path| {
        let names = [
            "sys/net/ipv4/ip_unprivileged_port_start",
            "self/oom_score_adj",
            "thread-self/oom_score_adj",
            "self/attr/exec",
            "self/attr/apparmor/exec",
            "self/fd/3",
        ];
        for name in names {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(&written, path).unwrap();
        }
    };
    let world = World::of_machine(t);
    for mounted in [true, false] {
        let b = t.bundle();
        b.stays().set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "77"}));
        b.set("/process/oomScoreAdj", 777).unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
        if !mounted {
            b.without_mount("/proc");
        }
        let (own, spare) = (b.inside("/proc"), b.inside("/spare"));
        fake(&own);
        fs::create_dir(&spare).unwrap();
        fake(&spare);
        let link = b.inside("/link");
        symlink(t.canary(), &link).unwrap();
        let mut created = 0;
        for (other, sample) in [(&spare, times(16, 1)), (&link, times(8, 1))] {
            for at in (0..1000).step_by(sample) {
                let (call, id) = t.bundle_call("create", &b, &[]);
                let stepped = step(call, at, Whose::Made, || exchange(&own, other));
                if stepped.status == 0 {
                    let c = Container::open(t, &id);
                    c.start();
                    assert_eq!(c.proc("oom_score_adj").trim(), "777", "call {at}");
                    let value = in_network_of(&c, "/proc/sys/net/ipv4/ip_unprivileged_port_start");
                    assert_eq!(value, "77", "call {at}");
                    c.delete_force().ok();
                    created += 1;
                } else {
                    assert!(
                        stepped.status < 128 && !stepped.output.is_empty(),
                        "call {at}: {}",
                        stepped.output
                    );
                    t.assert_missing(&id);
                }
                world.assert_same_but_containers(t, &format!("call {at}, /proc mounted: {mounted}"));
                if !stepped.reached {
                    break;
                }
                exchange(&own, other);
            }
        }
        assert!(created > 10, "{created} containers were created");
    }
    world.assert_same(t, "a /proc of the image");
    Ok(())
}

/// Who may not mount a procfs has the host's (a user namespace, without pids of its own). What covers a part of it, as where
/// the runtime is in a container itself, is not written to in its place.
fn covered_proc(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let fake = t.dir.join("fake");
    let file = fake.join("net/ipv4/ip_unprivileged_port_start");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    // What the runtime itself reads there.
    fs::create_dir_all(fake.join("kernel/random")).unwrap();
    fs::copy("/proc/sys/kernel/random/boot_id", fake.join("kernel/random/boot_id")).unwrap();
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let script = format!("mount --bind {} /proc/sys && exec \"$@\"", fake.display());
    for covered in [false, true] {
        fs::write(&file, "as it was").unwrap();
        let b = t.bundle();
        b.stays().namespace("user", None).without_namespace("pid").without_mount("/proc");
        b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map.clone());
        b.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
        b.set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "77"}));
        let (call, id) = t.bundle_call("create", &b, &[]);
        if covered {
            let output = refused(call.through(["unshare", "-m"]).through_sh(&script).output());
            let _ = output.says("ip_unprivileged_port_start");
            t.assert_missing(&id);
        } else {
            call.ok();
            let c = Container::open(t, &id);
            assert_eq!(in_network_of(&c, "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "77");
            c.delete_force().ok();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "as it was", "covered: {covered}");
    }
    Ok(())
}

/// A parameter in a container's network namespace.
fn in_network_of(c: &Container<'_>, path: &str) -> String {
    let namespace = format!("--net=/proc/{}/ns/net", c.pid());
    runtime_tests::Call::new(["nsenter", &namespace, "cat", path]).ok().text().to_owned()
}

/// As systemd has it: every mount of the host is shared, its root too, which the container's old root is a peer of.
fn shared_host(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let (before, after) = (t.dir.join("before"), t.dir.join("after"));
    let script = format!(
        "mount --make-rshared / && cat /proc/self/mountinfo >{} && \"$@\"; status=$?
        cat /proc/self/mountinfo >{}; exit $status",
        before.display(),
        after.display()
    );
    for propagation in [None, Some("private"), Some("rslave"), Some("shared"), Some("rshared")] {
        let b = t.bundle();
        b.args(&["true"]);
        if let Some(propagation) = propagation {
            b.set("/linux/rootfsPropagation", propagation);
        }
        t.run(&b).through(["unshare", "-m"]).through_sh(&script).ok();
        let mounts = |file: &Path| fs::read_to_string(file).unwrap();
        assert!(mounts(&before).contains(" shared:"));
        assert_eq!(mounts(&before), mounts(&after), "rootfsPropagation {propagation:?}");
    }
    Ok(())
}

/// The host's mounts, and who gets what is mounted on them, stay as they are: whatever the containers' propagation is, and
/// though the list changes all the time.
fn host_mounts(t: &Test) -> Verdict {
    let shared = t.dir.join("shared");
    fs::create_dir(&shared).unwrap();
    mount("tmpfs", &shared, "tmpfs", MountFlags::empty(), None).unwrap();
    mount_change(&shared, MountPropagationFlags::SHARED).unwrap();
    for name in ["a", "b"] {
        fs::create_dir(shared.join(name)).unwrap();
        mount("tmpfs", shared.join(name), "tmpfs", MountFlags::empty(), None).unwrap();
    }
    let come_and_go = shared.join("come");
    fs::create_dir(&come_and_go).unwrap();
    let bundles: Vec<_> =
        [None, Some("private"), Some("rslave"), Some("shared"), Some("rshared"), Some("unbindable")]
            .into_iter()
            .map(|propagation| {
                let b = t.bundle();
                b.stays();
                // The root is on the shared mount, and a part of it is a mount of the container's.
                let root = shared.join(b.path.file_name().unwrap());
                fs::create_dir(&root).unwrap();
                fs::rename(b.rootfs(), b.path.join("old")).unwrap();
                copy_tree(&b.path.join("old"), &root);
                b.set("/root/path", root.to_str().unwrap());
                b.mount("/tmp", "bind", shared.to_str().unwrap(), &["rbind", "rshared"]);
                b.mount("/tmp/come", "tmpfs", "tmpfs", &[]);
                match propagation {
                    Some(propagation) => b.set("/linux/rootfsPropagation", propagation),
                    None => b.without_namespace("mount").patch(|config| config["mounts"] = json!([])),
                };
                if propagation.is_none() {
                    b.unset("/linux/maskedPaths").unset("/linux/readonlyPaths").set("/root/readonly", false);
                }
                b
            })
            .collect();
    let world = World::of_machine(t);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    let _ = mount("tmpfs", &come_and_go, "tmpfs", MountFlags::empty(), None);
                }
                while unmount(&come_and_go, UnmountFlags::DETACH).is_ok() {}
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut created = [0; 6];
            for _ in 0..times(3, 50) {
                let calls: Vec<_> = bundles.iter().map(|b| t.bundle_call("create", b, &[])).collect();
                let running: Vec<_> = calls.into_iter().map(|(call, id)| (call.start(), id)).collect();
                for (index, (running, id)) in running.into_iter().enumerate() {
                    let output = running.wait();
                    if output.status.success() {
                        t.call(&["delete", "--force", &id]).ok();
                        created[index] += 1;
                    } else {
                        let _ = output.fails();
                    }
                }
            }
            assert!(!created.contains(&0), "some were never created: {created:?}");
        }));
        done.store(true, Ordering::Relaxed);
        coming.join().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    world.assert_same(t, "mounts");
    for name in ["a", "b", ""] {
        unmount(shared.join(name), UnmountFlags::DETACH).unwrap();
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "cp");
}

/// Once the root is switched, no process of the runtime's opens what a C library would look for: there is none in them.
fn image_libraries(t: &Test) -> Verdict {
    on_one_lane(t)?;
    t.needs_program("strace")?;
    let names = [
        "/etc/ld.so.preload",
        "/etc/ld.so.cache",
        "/etc/nsswitch.conf",
        "/lib/libnss_files.so.2",
        "/lib/libnss_evil.so.2",
        "/lib/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/usr/lib/locale/locale-archive",
        "/etc/localtime",
    ];
    let b = t.bundle();
    for name in names {
        fs::create_dir_all(b.inside(name).parent().unwrap()).unwrap();
        fs::write(b.inside(name), "passwd: evil\n").unwrap();
    }
    // The home directory is looked up in the image.
    b.args(&["true"]).set("/process/env", json!(["PATH=/bin"])).set("/process/user/uid", 1000);
    let trace = t.dir.join("trace");
    let calls = "trace=open,openat,openat2,execve,execveat,pivot_root";
    let tracing = |call: runtime_tests::Call| {
        call.through(["strace", "-f", "-qq", "-s", "200", "-e", calls, "-o", trace.to_str().unwrap()])
    };
    let check = |what: &str, mark: &str| {
        let text = fs::read_to_string(&trace).unwrap();
        // Each process from its own switch on, to the program of the container.
        let mut switched: Vec<&str> = Vec::new();
        let mut seen = 0;
        for line in text.lines() {
            let Some((pid, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if call.starts_with(mark) || call.contains("/memfd:") || call.starts_with("execveat(") {
                switched.push(pid);
                seen += 1;
            } else if call.starts_with("execve(") {
                switched.retain(|known| *known != pid);
            } else if switched.contains(&pid) {
                let library = call.contains(".so") || names.iter().any(|name| call.contains(&name[1..]));
                assert!(!library, "{what}: {line}");
            }
        }
        assert!(seen > 0, "{what}: no switch of the root in\n{text}");
        assert!(!text.contains("libnss"), "{what}: a name service of the image or the host");
    };
    tracing(t.run(&b)).ok();
    check("run", "pivot_root(");
    b.stays();
    let c = t.start(&b);
    tracing(c.call(&["exec", "--user", "1000"]).args(["true"])).ok();
    check("exec", "execveat(");
    Ok(())
}

/// A container whose cgroup, or one below it, is frozen: by itself, or by a runtime that was killed before it let it go.
fn frozen(t: &Test) -> Verdict {
    let cgroups = t.cgroups();
    if !cgroups.has("freezer") && cgroups.v2_root().is_none() {
        return Err(runtime_tests::Skip::new("nothing can be frozen in this view"));
    }
    let (file, freeze) =
        if cgroups.has("freezer") { ("freezer.state", "FROZEN") } else { ("cgroup.freeze", "1") };
    let b = t.bundle();
    b.sh("sleep 1000 & sleep 1000 & wait");
    let members = |c: &Container<'_>| {
        let directory = cgroups.directory_of(c.pid(), "freezer").unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while processes(&directory).len() < 3 {
            assert!(Instant::now() < end, "the processes are not there");
            std::thread::yield_now();
        }
        (directory.clone(), processes(&directory))
    };
    let ends = |c: &Container<'_>, pids: &[i32], about: &str| {
        let held: Vec<_> = pids.iter().filter_map(|pid| Process::open(*pid).ok()).collect();
        let begin = Instant::now();
        c.delete_force().ok();
        for process in &held {
            assert!(process.wait_exit(Duration::from_secs(10)), "{about}: process {} lives", process.pid);
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{about}: it took {:?}", begin.elapsed());
        t.assert_missing(&c.id);
    };
    // Frozen as a whole, and a part of it three levels below.
    for below in ["", "one/two/three"] {
        for kill_first in [false, true] {
            let c = t.start(&b);
            let (directory, pids) = members(&c);
            let at = directory.join(below);
            fs::create_dir_all(&at).unwrap();
            if !below.is_empty() {
                let last = pids.iter().max().unwrap().to_string();
                fs::write(at.join("cgroup.procs"), last).unwrap();
            }
            fs::write(at.join(file), freeze).unwrap();
            if kill_first {
                c.kill("KILL").ok();
            }
            ends(&c, &pids, &format!("{below:?} is frozen"));
        }
    }
    // The runtime is killed before each of its calls, so also between freezing and letting go.
    for command in [&["pause"][..], &["kill", "--all"], &["delete", "--force"]] {
        let sample = if thorough() {
            1
        } else if t.lane == Lane::Hybrid {
            11
        } else {
            29
        };
        for at in (0..2000).step_by(sample) {
            let c = t.start(&b);
            let (_, pids) = members(&c);
            let call = c.call(command);
            let call = if command[0] == "kill" { call.args(["KILL"]) } else { call };
            let end = kill_before(call, at);
            let about = format!("{} killed at call {at}", command[0]);
            if command[0] == "pause" {
                // Whatever was reached: it can be let go, and be told to end.
                let _ = c.call(&["resume"]).output();
                assert_eq!(c.status(), "running", "{about}");
            }
            ends(&c, &pids, &about);
            if matches!(end, End::Exited(..)) {
                break;
            }
        }
    }
    Ok(())
}

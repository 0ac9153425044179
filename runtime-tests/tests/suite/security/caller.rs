//! What callers leave lying about, and what containers and local users make of what the runtime opens, records and runs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use runtime_tests::procfs::{link_of, status_of};
use runtime_tests::world::World;
use runtime_tests::{Bundle, Case, Container, Test, Verdict};
use serde_json::json;

use super::{Made, refused, try_create};

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t02_init_shares_no_page_with_the_host", sealed_init),
        case("t04_working_directory_by_descriptor", directory_by_descriptor),
        case("t05_descriptors_of_the_caller", descriptors),
        case("t21_exec_adds_no_inheritable_capability", exec_capabilities),
        case("t22_capabilities_that_are_left_out", omitted_capabilities),
        case("t23_user_of_exec", exec_user),
        case("t24_groups_of_the_caller", groups),
        case("t31_environment_of_hooks", hook_environment),
        case("t35_oddities_of_the_caller", oddities),
        case("t37_ids_that_are_paths", odd_ids),
        case("t38_state_that_others_could_have_made", foreign_state),
        case("t39_config_changed_after_create", config_changed),
        case("t41_many_masks_are_one_file_system", many_masks),
    ]
}

/// A created container executes a sealed memfd, and maps no file of the host.
fn sealed_init(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let exe = fs::metadata(format!("/proc/{}/exe", c.pid())).unwrap();
    let binary = fs::metadata(&t.runtime.path).unwrap();
    assert_ne!((exe.dev(), exe.ino()), (binary.dev(), binary.ino()));
    let link = link_of(c.pid(), "exe").unwrap();
    assert!(link.to_string_lossy().starts_with("/memfd:"), "{}", link.display());
    let opened = fs::File::open(format!("/proc/{}/exe", c.pid())).unwrap();
    let seals = rustix::fs::fcntl_get_seals(&opened).unwrap();
    let wanted = rustix::fs::SealFlags::SEAL
        | rustix::fs::SealFlags::SHRINK
        | rustix::fs::SealFlags::GROW
        | rustix::fs::SealFlags::WRITE;
    assert!(seals.contains(wanted), "{seals:?}");
    for line in c.proc("maps").lines() {
        let file = line.split_whitespace().nth(5).unwrap_or_default();
        let own = file.is_empty() || file.starts_with('[') || file.starts_with("/memfd:");
        assert!(own, "a mapping of {line}");
    }
    assert!(fs::OpenOptions::new().write(true).open(format!("/proc/{}/exe", c.pid())).is_err());
    Ok(())
}

/// The working directory or the program is named by a descriptor of whoever started it.
fn directory_by_descriptor(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let canary = t.canary();
    let tool = t.dir.join("tool");
    fs::write(&tool, format!("#!/bin/sh\necho ran >{}\n", t.dir.join("ran").display())).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let leak = "exec 3</ 4<\"$0\" 5<.. 6</ 7</ 8</ 9</; exec \"$@\"";
    let leaking = |call: runtime_tests::Call| call.through(["sh", "-c", leak, canary.to_str().unwrap()]);
    let running = t.bundle();
    running.stays();
    let c = t.start(&running);
    let b = t.bundle();
    for number in 3..20 {
        symlink(format!("/proc/self/fd/{number}"), b.inside(&format!("/x{number}"))).unwrap();
        let directories = [
            format!("/proc/self/fd/{number}"),
            format!("/proc/self/fd/{number}/../.."),
            format!("/x{number}"),
            format!("/proc/thread-self/fd/{number}"),
        ];
        // Each by one of the two ways in turn: it is about the descriptors, and those are the same.
        for (index, directory) in directories.iter().enumerate() {
            let show = ["sh", "-c", "readlink /proc/self/cwd; ls -a . | head -3"];
            let output = if (index + number) % 2 == 0 {
                b.set("/process/cwd", directory.as_str()).args(&show);
                leaking(t.run(&b)).output()
            } else {
                leaking(c.call(&["exec", "--cwd", directory])).args(show).output()
            };
            if output.status.success() {
                assert!(
                    !output.stdout.contains("(unreachable)") && !output.stdout.contains("secret"),
                    "{output}"
                );
            } else {
                let _ = output.fails();
            }
        }
    }
    let b = t.bundle();
    for number in [3, 4, 5, 9] {
        for prefix in ["self", "thread-self"] {
            let path = format!("/proc/{prefix}/fd/{number}/../../../../../..{}", tool.display());
            b.args(&[&path]);
            let _ = leaking(t.run(&b)).fails();
        }
    }
    assert!(!t.dir.join("ran").exists(), "a program of the host was run");
    // A directory of the host that the caller hands over, and means to: the process may have it, and not begin in it.
    let preserve = ["--preserve-fds", "2"];
    for directory in ["/proc/self/fd/3", "/proc/self/fd/4", "/x3"] {
        let b = t.bundle();
        symlink("/proc/self/fd/3", b.inside("/x3")).unwrap();
        b.set("/process/cwd", directory).args(&["readlink", "/proc/self/cwd"]);
        let _ = leaking(t.bundle_call("run", &b, &preserve).0).fails();
        let exec = c.call(&["exec", "--cwd", directory, "--preserve-fds", "2"]);
        let _ = leaking(exec).args(["readlink", "/proc/self/cwd"]).fails();
    }
    c.delete_force().ok();
    world.assert_same(t, "descriptors in paths");
    Ok(())
}

/// Numbers of a process's descriptors.
fn numbers(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut numbers: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

const LEAK: &str = "exec 3</ 4</tmp 5</dev/null 6>/dev/null 7</ 8</ 9</; exec \"$@\"";

fn descriptors(t: &Test) -> Verdict {
    let b = t.bundle();
    let list = "ls /proc/self/fd | tr '\\n' ' '";
    b.sh(list);
    // The listing itself holds one more, the directory.
    assert_eq!(t.run(&b).through_sh(LEAK).ok().text(), "0 1 2 3");
    let (call, _) = t.bundle_call("run", &b, &["--preserve-fds", "2"]);
    assert_eq!(call.through_sh(LEAK).ok().text(), "0 1 2 3 4 5");
    let seen = t.dir.join("hook");
    let inits = t.dir.join("init");
    let script = format!(
        "ls /proc/self/fd | tr '\\n' ' ' >{}; pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); \
         cd /proc/$pid/fd && for each in *; do readlink $each; done >{}",
        seen.display(),
        inits.display()
    );
    let b = t.bundle();
    b.stays().hook(
        "createRuntime",
        json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}),
    );
    let (call, id) = t.bundle_call("create", &b, &[]);
    call.through_sh(LEAK).ok();
    let c = Container::open(t, &id);
    // What it holds when `create` has returned: three streams, and the socket that `start` knocks at.
    let held = numbers(c.pid());
    assert_eq!(held.len(), 4, "{held:?}");
    for number in &held[3..] {
        let link = link_of(c.pid(), &format!("fd/{number}")).unwrap();
        assert!(link.to_string_lossy().starts_with("socket:"), "{number} is {}", link.display());
    }
    // Nor does it while it prepares the container.
    let inits = fs::read_to_string(&inits).unwrap();
    assert!(inits.lines().count() > 3 && !inits.lines().any(|link| link == "/tmp"), "{inits}");
    let in_hook = fs::read_to_string(&seen).unwrap();
    assert_eq!(in_hook.trim(), "0 1 2 3", "descriptors of the hook");
    c.start();
    let executed = c.call(&["exec"]).through_sh(LEAK).args(["sh", "-c", list]).ok();
    assert_eq!(executed.text(), "0 1 2 3");
    Ok(())
}

fn sets(status: &str) -> Vec<(String, u64)> {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .map(|name| {
            let value = runtime_tests::procfs::status_field(status, name);
            ((*name).to_owned(), u64::from_str_radix(&value, 16).unwrap())
        })
        .collect()
}

fn exec_capabilities(t: &Test) -> Verdict {
    const NET_ADMIN: u64 = 1 << 12;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let before = sets(&c.call(&["exec"]).args(["cat", "/proc/self/status"]).ok().stdout);
    let output = c.call(&["exec", "--cap", "CAP_NET_ADMIN"]).args(["cat", "/proc/self/status"]).ok();
    for ((name, old), (_, new)) in before.into_iter().zip(sets(&output.stdout)) {
        let wanted = if matches!(&*name, "CapInh" | "CapAmb") { 0 } else { old | NET_ADMIN };
        assert_eq!(new, wanted, "{name}");
    }
    let process = json!({
        "args": ["cat", "/proc/self/status"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"],
        "capabilities": {"bounding": ["CAP_NET_ADMIN"], "effective": ["CAP_NET_ADMIN"], "permitted": ["CAP_NET_ADMIN"]},
    });
    let file = t.dir.join("process");
    fs::write(&file, process.to_string()).unwrap();
    let output = c.call(&["exec", "--process", file.to_str().unwrap()]).ok();
    for (name, new) in sets(&output.stdout) {
        assert_eq!(new, if matches!(&*name, "CapInh" | "CapAmb") { 0 } else { NET_ADMIN }, "{name}");
    }
    Ok(())
}

fn omitted_capabilities(t: &Test) -> Verdict {
    let rows = [
        (None, [0, 0, 0, 0, 0]),
        (Some(json!({})), [0, 0, 0, 0, 0]),
        (Some(json!({"bounding": ["CAP_KILL"]})), [0, 0, 0, 1 << 5, 0]),
        (Some(json!({"bounding": ["CAP_KILL", "CAP_NOT_THERE"]})), [0, 0, 0, 1 << 5, 0]),
    ];
    for (capabilities, wanted) in rows {
        let b = t.bundle();
        match &capabilities {
            None => b.unset("/process/capabilities"),
            Some(capabilities) => b.set("/process/capabilities", capabilities.clone()),
        };
        b.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(&["cat", "/proc/self/status"]);
        let output = t.run(&b).ok();
        let found: Vec<u64> = sets(&output.stdout).into_iter().map(|(_, set)| set).collect();
        assert_eq!(found, wanted, "{capabilities:?}");
        let warned = output.stderr.contains("CAP_NOT_THERE");
        assert_eq!(warned, format!("{capabilities:?}").contains("CAP_NOT_THERE"), "{output}");
    }
    ambient_left_out(t)
}

/// The ambient set is empty where none is asked for: also what the caller has in it, and what init needs at first in a new
/// user namespace.
fn ambient_left_out(t: &Test) -> Verdict {
    t.needs_program("setpriv")?;
    let kill = json!(["CAP_KILL"]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    for (in_user_namespace, uid) in [(false, 0), (false, 1000), (true, 0), (true, 1000)] {
        let b = t.bundle();
        b.set("/process/capabilities", json!({"bounding": kill, "permitted": kill, "inheritable": kill}));
        b.set("/process/user", json!({"uid": uid, "gid": uid})).args(&["cat", "/proc/self/status"]);
        if in_user_namespace {
            b.namespace("user", None).set("/linux/uidMappings", map.clone());
            b.set("/linux/gidMappings", map.clone());
        }
        let caller = ["setpriv", "--inh-caps", "+kill", "--ambient-caps", "+kill"];
        let output = t.run(&b).through(caller).ok();
        let found: Vec<u64> = sets(&output.stdout).into_iter().map(|(_, set)| set).collect();
        // Of root execve makes the others.
        let of_root = if uid == 0 { 1 << 5 } else { 0 };
        assert_eq!(found, [1 << 5, of_root, of_root, 1 << 5, 0], "{uid}, {in_user_namespace}: {output}");
    }
    Ok(())
}

/// Numbers are numbers, and nothing else is.
fn exec_user(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::write(b.inside("/etc/passwd"), "root:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\nname:x:7:7::/:/bin/sh\n")
        .unwrap();
    b.stays().capabilities(&["CAP_SETUID"]);
    let c = t.start(&b);
    let rows = [
        ("0", Some("0:0")),
        ("1", Some("1:0")),
        ("1:1", Some("1:1")),
        ("65534", Some("65534:0")),
        ("4294967294", Some("4294967294:0")),
        ("4294967295", None),
        ("4294967296", None),
        ("18446744073709551616", None),
        ("-1", None),
        ("0x1", None),
        ("1e0", None),
        ("1:", None),
        (":1", None),
        (" 1", None),
        ("1 ", None),
        ("1:-1", None),
    ];
    for (user, wanted) in rows {
        let output = c.call(&["exec", "-u", user]).args(["sh", "-c", "echo $(id -u):$(id -g)"]).output();
        match wanted {
            Some(ids) => assert_eq!(output.ok().text(), ids, "{user:?}"),
            None => drop(output.fails()),
        }
    }
    Ok(())
}

fn groups(t: &Test) -> Verdict {
    t.needs_program("setpriv")?;
    let b = t.bundle();
    b.stays();
    assert_without_groups(t, &b);
    Ok(())
}

/// Neither a container of this bundle nor what is executed in it has groups of the runtime's caller.
pub(crate) fn assert_without_groups(t: &Test, b: &Bundle) {
    let (call, id) = t.bundle_call("create", b, &[]);
    call.through(["setpriv", "--groups", "4242,27"]).ok();
    let c = Container::open(t, &id);
    c.start();
    assert_eq!(status_of(c.pid(), "Groups"), "");
    let executed = c.call(&["exec"]).args(["cat", "/proc/self/status"]);
    let output = executed.through(["setpriv", "--groups", "4242"]).ok();
    assert_eq!(runtime_tests::procfs::status_field(&output.stdout, "Groups"), "");
}

/// A hook has the environment that its config gives it, never the container's or the runtime's.
fn hook_environment(t: &Test) -> Verdict {
    for point in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        for (env, wanted) in [(None, ""), (Some(json!([])), ""), (Some(json!(["A=b"])), "A=b")] {
            let b = t.bundle();
            let seen = t.dir.join(t.fresh_name());
            let script = format!("/bin/cat /proc/self/environ >{}", seen.display());
            let mut hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
            if let Some(env) = env {
                hook["env"] = env;
            }
            b.stays().hook(point, hook);
            b.push("/process/env", json!("LD_PRELOAD=/proc/self/cwd/x.so"));
            b.push("/process/env", json!("PATH=/evil"));
            b.args(&["/bin/sleep", "1000"]);
            let c = t.start(&b);
            c.delete_force().ok();
            let environment = fs::read(&seen).unwrap();
            // The shell adds where it is.
            let text = String::from_utf8_lossy(&environment);
            let own: Vec<&str> =
                text.split('\0').filter(|it| !it.is_empty() && !it.starts_with("PWD=")).collect();
            let text = own.join(" ");
            assert_eq!(text, wanted, "{point}");
        }
    }
    Ok(())
}

fn oddities(t: &Test) -> Verdict {
    t.needs_program("python3")?;
    let b = t.bundle();
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let odd = "import os,signal,sys\n\
               for s in range(1,65):\n\
               \x20try: signal.signal(s, signal.SIG_IGN)\n\
               \x20except (OSError, ValueError): pass\n\
               signal.pthread_sigmask(signal.SIG_BLOCK, range(1,65))\n\
               os.umask(0o777)\n\
               os.nice(10)\n\
               for f in (0,1,2): os.close(f)\n\
               os.execv(sys.argv[1], sys.argv[1:])\n";
    call.through(["python3", "-c", odd]).ok();
    t.call(&["start", &id]).ok();
    let c = Container::open(t, &id);
    for field in ["SigBlk", "SigIgn"] {
        assert_eq!(u64::from_str_radix(&status_of(c.pid(), field), 16), Ok(0), "{field}");
    }
    assert_eq!(status_of(c.pid(), "Umask"), "0022");
    assert_eq!(numbers(c.pid()), [0, 1, 2]);
    let mode = fs::metadata(t.root().join(&id)).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can look into the state");
    Ok(())
}

fn odd_ids(t: &Test) -> Verdict {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let b = t.bundle();
    b.stays().write();
    let bundle = b.path.to_str().unwrap();
    let world = World::of_machine(t);
    let mut ids: Vec<OsString> =
        ["", ".", "..", "a/b", "../x", "/etc", "a\nb", "é", "a b", "a\\b", "-x", "--"]
            .iter()
            .map(|id| OsString::from(*id))
            .collect();
    ids.extend([256, 1025].map(|length| "n".repeat(length).into()));
    ids.push(OsString::from_vec(vec![b'a', 0xff]));
    ids.push(t.canary().into());
    let commands: &[&[&str]] = &[
        &["create", "--bundle", bundle],
        &["run", "--bundle", bundle],
        &["start"],
        &["state"],
        &["kill"],
        &["delete"],
        &["delete", "--force"],
        &["pause"],
        &["resume"],
        &["ps"],
        &["exec"],
    ];
    for id in &ids {
        for command in commands {
            let call = t.call(command).args(["--".as_ref(), id.as_os_str()]);
            let call = if command[0] == "exec" { call.args(["true"]) } else { call };
            let output = call.output();
            assert!(!output.status.success(), "{id:?}: {output}");
            assert!(output.status.code().is_some() && !output.stderr.contains("panicked"), "{output}");
            // One rule says so, before anything is looked for: but where no text is one, or no directory can be called so.
            let ruled =
                id.to_str().is_none() || id.len() == 256 || output.stderr.contains("invalid container ID");
            assert!(ruled, "{id:?}: {output}");
        }
    }
    world.assert_same(t, "ids");
    Ok(())
}

/// Makes something at a path.
type Make = fn(&Path, &Test);

/// A root that another user made or could change, and what lies in a root of ours.
fn foreign_state(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let at = |root: &Path, args: &[&str]| t.bare_call(&["--root"]).args([root]).args(args);
    let (foreign, loose, link) = (t.dir.join("foreign"), t.dir.join("loose"), t.dir.join("link"));
    fs::create_dir(&foreign).unwrap();
    std::os::unix::fs::chown(&foreign, Some(65534), Some(65534)).unwrap();
    fs::create_dir(&loose).unwrap();
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(t.canary(), &link).unwrap();
    for root in [&foreign, &loose, &link] {
        for args in [&["state", "x"][..], &["list"], &["kill", "x"], &["delete", "--force", "x"]] {
            let _ = refused(at(root, args).output());
        }
    }
    let root = t.dir.join("own");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(t.canary(), root.join("link")).unwrap();
    let entries: &[(&str, Make)] = &[
        ("record-link", |path, t| symlink(t.canary().join("secret"), path).unwrap()),
        ("record-fifo", |path, _| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        }),
        ("record-huge", |path, _| fs::File::create(path).unwrap().set_len(10 << 30).unwrap()),
        ("record-directory", |path, _| fs::create_dir(path).unwrap()),
        ("record-text", |path, _| fs::write(path, "{").unwrap()),
    ];
    for (name, make) in entries {
        fs::create_dir(root.join(name)).unwrap();
        make(&root.join(name).join("state.json"), t);
    }
    // Records that are links to those of a container which lives.
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    // A record says whose it is, so it has the same id.
    let borrowed = root.join(&c.id);
    fs::create_dir(&borrowed).unwrap();
    for entry in fs::read_dir(t.root().join(&c.id)).unwrap().flatten() {
        symlink(entry.path(), borrowed.join(entry.file_name())).unwrap();
    }
    for args in [&["state", &c.id][..], &["kill", &c.id, "KILL"], &["exec", &c.id, "true"]] {
        let _ = at(&root, args).fails();
    }
    let _ = at(&root, &["delete", "--force", &c.id]).output();
    assert_eq!(c.status(), "running", "by a record that is a link");
    // A container's directory that is a link to its own.
    let _ = fs::remove_dir_all(&borrowed);
    symlink(t.root().join(&c.id), &borrowed).unwrap();
    for args in [&["state", &c.id][..], &["kill", &c.id, "KILL"], &["exec", &c.id, "true"], &["pause", &c.id]]
    {
        let _ = at(&root, args).fails();
    }
    let _ = at(&root, &["delete", "--force", &c.id]).output();
    assert_eq!(c.status(), "running", "by a directory that is a link");
    c.delete_force().ok();
    let listed = at(&root, &["list"]).output();
    assert!(listed.status.code().is_some(), "{listed}");
    for name in entries.iter().map(|(name, _)| *name).chain(["link"]) {
        let _ = at(&root, &["state", name]).fails();
        let _ = at(&root, &["kill", name]).fails();
        let deleted = at(&root, &["delete", "--force", name]).output();
        assert!(deleted.status.code().is_some() && !deleted.stderr.contains("panicked"), "{deleted}");
    }
    world.assert_same(t, "a state root");
    Ok(())
}

/// What was read at `create` counts.
fn config_changed(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    b.set("/process/noNewPrivileges", false)
        .capabilities(&["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"])
        .set("/process/user/uid", 12)
        .write();
    c.start();
    let output = c.call(&["exec"]).args(["cat", "/proc/self/status"]).ok();
    let field = |name| runtime_tests::procfs::status_field(&output.stdout, name);
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Uid"), "0\t0\t0\t0");
    assert_eq!(u64::from_str_radix(&field("CapEff"), 16).unwrap() & (1 << 21 | 1 << 19), 0);
    Ok(())
}

fn many_masks(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut masked = Vec::new();
    for index in 0..256 {
        let path = format!("/masked/{index}");
        fs::create_dir_all(b.inside(&path)).unwrap();
        masked.push(path);
    }
    b.stays().set("/linux/maskedPaths", json!(masked));
    let Made::Created(c) = try_create(t, &b, &[]) else { panic!("256 masks are refused") };
    let mut devices: Vec<u64> =
        masked.iter().map(|path| fs::metadata(c.inside(path)).unwrap().dev()).collect();
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices.len(), 1, "file systems for 256 masks");
    assert!(fs::write(c.inside("/masked/7/x"), "").is_err());
    let before = std::time::Instant::now();
    c.delete_force().ok();
    assert!(before.elapsed() < std::time::Duration::from_secs(10));
    Ok(())
}

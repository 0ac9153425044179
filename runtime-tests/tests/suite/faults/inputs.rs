//! Configs that are none, bundles that are not what they seem, odd root file systems, gates that others have touched, hooks
//! that fail.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use runtime_tests::wait::{DEADLINE, stretched};
use runtime_tests::world::times;
use runtime_tests::{Bundle, Case, Container, Output, Skip, Test, Verdict};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use serde_json::{Value, json};

use super::callers::assert_nothing_left;
use crate::security::refused;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    vec![
        case("f19_config_that_ends_anywhere", config_ends),
        case("f19_texts_that_are_no_config", no_config),
        case("f19_configs_that_are_huge", huge_configs),
        case("f19_nul_in_each_string", nul_in_strings),
        case("f20_config_that_is_no_file", config_no_file),
        case("f20_bundle_that_goes_away", bundle_goes),
        case("f21_root_with_special_files_as_destinations", special_destinations),
        case("f21_root_on_odd_file_systems", odd_file_systems),
        case("f21_root_that_is_unmounted_meanwhile", root_unmounted),
        case("f21_root_with_many_entries", many_entries),
        case("f22_gate_that_is_gone_or_another", gate_replaced),
        case("f22_gate_that_says_half", gate_half),
        case("f24_hook_that_fails_at_each_point", hooks_fail),
    ]
}

/// `create` of a config as text: with little address space, so that it is a matter of memory too.
fn create_text(t: &Test, b: &Bundle, id: &str, text: &[u8]) -> Output {
    fs::write(b.path.join("config.json"), text).unwrap();
    let call = t.call(&["create", "--bundle", b.path.to_str().unwrap(), id]);
    let began = Instant::now();
    let output = call.through_sh("ulimit -v 400000; exec \"$@\"").output();
    assert!(began.elapsed() < stretched(Duration::from_secs(10)), "it took {:?}", began.elapsed());
    output
}

fn config_ends(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let text = b.config().to_string();
    let id = t.fresh_id();
    for end in (0..text.len()).step_by(times(41, 1)) {
        let _ = refused(create_text(t, &b, &id, &text.as_bytes()[..end]));
    }
    create_text(t, &b, &id, text.as_bytes()).ok();
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "configs that end early");
    Ok(())
}

/// Each is refused, in a word.
fn no_config(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let good = b.config().to_string();
    let mut texts: Vec<Vec<u8>> =
        ["", "null", "[]", "{}", "0", "\"\"", "{\"ociVersion\":", "\u{feff}{}", "{} {}"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    texts.push(format!("\u{feff}{good}").into_bytes());
    texts.push(format!("{good}x").into_bytes());
    texts.push(format!("{good}{good}").into_bytes());
    texts.push(["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes());
    texts.push(
        good.replacen("\"cwd\"", "\"deep\":DEEP,\"cwd\"", 1)
            .replace("DEEP", &"[".repeat(100_000))
            .into_bytes(),
    );
    texts.push(good.replacen("\"cwd\":\"/\"", "\"cwd\":\"/\",\"cwd\":\"/\"", 1).into_bytes());
    texts.push(good.replacen("\"cwd\":\"/\"", "\"cwd\":\"/\\ud800\"", 1).into_bytes());
    texts.push(good.replacen("\"uid\":0", "\"uid\":1e309", 1).into_bytes());
    texts.push(good.replacen("\"uid\":0", "\"uid\":-0.5", 1).into_bytes());
    texts.push(good.replacen("\"uid\":0", "\"uid\":18446744073709551616", 1).into_bytes());
    texts.push(good.replacen("\"uid\":0", "\"uid\":-1", 1).into_bytes());
    texts.push(good.replacen("\"uid\":0", "\"uid\":\"0\"", 1).into_bytes());
    texts.push(good.replacen("RLIMIT_NOFILE", "RLIMIT_NOTHING", 1).into_bytes());
    texts.push(good.replacen("{\"type\":\"ipc\"}", "{\"type\":\"ipcs\"}", 1).into_bytes());
    let mut invalid = good.clone().into_bytes();
    let at = good.find("container").unwrap();
    invalid[at] = 0xff;
    texts.push(invalid);
    for text in texts {
        assert_ne!(text, good.as_bytes(), "a change that changed nothing");
        let id = t.fresh_id();
        let output = create_text(t, &b, &id, &text);
        let head = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        assert!(!output.status.success(), "{head}");
        let _ = refused(output);
        t.assert_missing(&id);
    }
    // What is unknown is passed over; what is almost known is warned of.
    let id = t.fresh_id();
    let near =
        good.replacen("\"noNewPrivileges\"", "\"NoNewPrivileges\":true,\"zz\":1,\"noNewPrivileges\"", 1);
    let output = create_text(t, &b, &id, near.as_bytes()).ok();
    assert!(output.stderr.contains("NoNewPrivileges"), "no warning: {output}");
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "texts that are no config");
    Ok(())
}

/// Refused with a word, or made; never a crash, and not for long.
fn huge_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    // As text: a million values take this harness longer than the runtime.
    let with = |pointer: &str, text: &str| {
        let mut config = b.config();
        *config.pointer_mut(pointer).unwrap() = "HERE".into();
        config.to_string().replacen("\"HERE\"", text, 1).into_bytes()
    };
    let list = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count - 1));
    let mount = r#"{"destination":"/tmp","type":"tmpfs","source":"tmpfs"}"#;
    let texts = [
        ("a string of 100 MiB", with("/process/cwd", &format!("\"{}\"", "/x".repeat(50 << 20)))),
        ("a million variables", with("/process/env", &list("\"NAME=value\"", 1_000_000))),
        ("a million mounts", with("/mounts", &list(mount, 1_000_000))),
        ("an argument of 1 MiB", with("/process/args", &format!("[\"true\",\"{}\"]", "x".repeat(1 << 20)))),
    ];
    for (what, text) in texts {
        let id = t.fresh_id();
        let output = create_text(t, &b, &id, &text);
        if output.status.success() {
            // execve says so, which is at start.
            let started = t.call(&["start", &id]).output();
            assert!(started.status.success() || !started.stderr.is_empty(), "{what}");
            t.call(&["delete", "--force", &id]).ok();
        } else {
            let _ = refused(output);
            t.assert_missing(&id);
        }
        assert_nothing_left(t, what);
    }
    Ok(())
}

/// The pointers of all strings.
fn strings(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(pointer.to_owned()),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| strings(item, &format!("{pointer}/{index}"), found));
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                strings(field, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

fn nul_in_strings(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/annotations", json!({"a": "b"}));
    let config = b.config();
    let mut pointers = Vec::new();
    strings(&config, "", &mut pointers);
    let id = t.fresh_id();
    for pointer in pointers.iter().step_by(times(2, 1)) {
        let mut config = config.clone();
        let place = config.pointer_mut(pointer).unwrap();
        *place = format!("{}\0", place.as_str().unwrap()).into();
        let output = create_text(t, &b, &id, config.to_string().as_bytes());
        assert!(!output.status.success(), "{pointer} may have a NUL");
        let output = refused(output);
        assert!(output.stderr.contains(pointer.as_str()), "{pointer}: it does not say where: {output}");
    }
    assert_nothing_left(t, "strings with a NUL");
    Ok(())
}

fn config_no_file(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let path = b.path.join("config.json");
    let good = fs::read(&path).unwrap();
    let kinds = ["fifo", "directory", "loop", "zero", "dangling", "socket", "sparse"];
    for kind in kinds {
        fs::remove_file(&path).unwrap();
        match kind {
            "fifo" => mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap(),
            "directory" => fs::create_dir(&path).unwrap(),
            "loop" => symlink("config.json", &path).unwrap(),
            "zero" => symlink("/dev/zero", &path).unwrap(),
            "dangling" => symlink("nothing", &path).unwrap(),
            "socket" => drop(UnixDatagram::bind(&path).unwrap()),
            _ => fs::File::create(&path).unwrap().set_len(10 << 30).unwrap(),
        }
        let id = t.fresh_id();
        let began = Instant::now();
        let call = t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        let output = refused(call.output());
        let named = if kind == "sparse" { "the document" } else { "config.json" };
        assert!(output.stderr.contains(named), "{kind}: {output}");
        assert!(began.elapsed() < stretched(Duration::from_secs(10)), "{kind} took {:?}", began.elapsed());
        t.assert_missing(&id);
        if kind == "directory" {
            fs::remove_dir(&path).unwrap();
            fs::write(&path, "").unwrap();
        }
    }
    fs::remove_file(&path).unwrap();
    fs::write(&path, good).unwrap();
    assert_nothing_left(t, "configs that are no files");
    Ok(())
}

/// Between reading the config and using the bundle it is changed, or removed.
fn bundle_goes(t: &Test) -> Verdict {
    use runtime_tests::step::{Whose, step};
    let mut failed = 0;
    for at in (0..200).step_by(times(6, 1)) {
        let b = t.bundle();
        b.stays().write();
        let id = t.fresh_id();
        let create = t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        let stepped = step(create, at, Whose::Command, || {
            fs::write(b.path.join("config.json"), "{}").unwrap();
            fs::rename(b.rootfs(), b.path.join("elsewhere")).unwrap();
        });
        if stepped.status == 0 {
            // It had all that it needs.
            t.call(&["start", &id]).ok();
        } else {
            assert!(stepped.status == 1 && !stepped.output.trim().is_empty(), "call {at}: {stepped:?}");
            failed += 1;
            t.assert_missing(&id);
        }
        t.call(&["delete", "--force", &id]).ok();
        assert_nothing_left(t, &format!("the bundle went away before call {at}"));
        if !stepped.reached {
            assert!(failed > 0, "it never noticed");
            return Ok(());
        }
    }
    panic!("more than 200 calls that take a path")
}

/// Where a file is to be bound, or a device or a link made, there is something else: refused, or made beside it.
fn special_destinations(t: &Test) -> Verdict {
    let destinations =
        ["/etc/hosts", "/dev/null", "/dev/console", "/dev/ptmx", "/dev/fd", "/dev/core", "/dev/stdin"];
    for destination in destinations {
        for kind in ["fifo", "socket", "directory", "file"] {
            for own_dev in [true, false] {
                let b = t.bundle();
                b.stays();
                if !own_dev {
                    for inside in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
                        b.without_mount(inside);
                    }
                }
                if destination == "/etc/hosts" {
                    b.mount(
                        "/etc/hosts",
                        "bind",
                        t.canary().join("secret").to_str().unwrap(),
                        &["bind", "ro"],
                    );
                }
                let path = b.inside(destination);
                match kind {
                    "fifo" => mkfifo(&path, Mode::from_bits_truncate(0o666)).unwrap(),
                    "socket" => drop(UnixDatagram::bind(&path).unwrap()),
                    "directory" => fs::create_dir(&path).unwrap(),
                    _ => fs::write(&path, "of the image").unwrap(),
                }
                let (call, id) = t.bundle_call("create", &b, &[]);
                let output = call.output();
                if output.status.success() {
                    t.call(&["start", &id]).ok();
                } else {
                    let _ = refused(output);
                    t.assert_missing(&id);
                }
                t.call(&["delete", "--force", &id]).ok();
                assert!(
                    kind != "file" || fs::read(&path).unwrap() == b"of the image",
                    "{destination} of the image was written"
                );
            }
        }
        assert_nothing_left(t, destination);
    }
    Ok(())
}

/// A mount of a test that goes with it.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn odd_file_systems(t: &Test) -> Verdict {
    let kinds = ["nosuid,nodev", "noexec", "ro", "ro without mount points", "overlay", "immutable", "/"];
    for kind in kinds {
        let b = t.bundle();
        b.stays();
        let mut mounts = Vec::new();
        let own = |flags: MountFlags| {
            mount_bind(b.rootfs(), b.rootfs()).unwrap();
            mount_remount(b.rootfs(), MountFlags::BIND | flags, c"").unwrap();
            Mounted(b.rootfs())
        };
        let mut unlocked = None;
        match kind {
            "nosuid,nodev" => mounts.push(own(MountFlags::NOSUID | MountFlags::NODEV)),
            "noexec" => mounts.push(own(MountFlags::NOEXEC)),
            "ro" => mounts.push(own(MountFlags::RDONLY)),
            "ro without mount points" => {
                fs::remove_dir(b.inside("proc")).unwrap();
                mounts.push(own(MountFlags::RDONLY));
            }
            "overlay" => {
                for name in ["upper", "work", "merged"] {
                    fs::create_dir(b.path.join(name)).unwrap();
                }
                // A whiteout, and a directory that hides what is below.
                let upper = b.path.join("upper");
                let device = nix::sys::stat::makedev(0, 0);
                let whiteout = nix::sys::stat::SFlag::S_IFCHR;
                nix::sys::stat::mknod(&upper.join("home"), whiteout, Mode::empty(), device).unwrap();
                let options = format!(
                    "lowerdir={},upperdir={},workdir={}",
                    b.rootfs().display(),
                    upper.display(),
                    b.path.join("work").display()
                );
                let merged = b.path.join("merged");
                let options = std::ffi::CString::new(options).unwrap();
                if mount("overlay", &merged, "overlay", MountFlags::empty(), &*options).is_err() {
                    return Err(Skip::new("no overlay on this file system"));
                }
                b.set("/root/path", "merged");
                mounts.push(Mounted(merged));
            }
            "immutable" => {
                // A mount point that can't be made there.
                b.mount("/etc/made", "tmpfs", "tmpfs", &[]);
                let set = std::process::Command::new("chattr").arg("+i").arg(b.inside("etc")).output();
                if !set.is_ok_and(|output| output.status.success()) {
                    continue;
                }
                unlocked = Some(b.inside("etc"));
            }
            _ => drop(b.set("/root/path", "/")),
        }
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.output();
        let refusals = ["noexec", "ro without mount points", "immutable"];
        if output.status.success() {
            assert!(!refusals.contains(&kind), "{kind}: {output}");
            let started = t.call(&["start", &id]).output();
            assert!(started.status.success() || !started.stderr.trim().is_empty(), "{kind}: {started}");
        } else {
            assert!(refusals.contains(&kind) || kind == "/", "{kind}: {output}");
            let _ = refused(output);
            t.assert_missing(&id);
        }
        t.call(&["delete", "--force", &id]).ok();
        if let Some(path) = unlocked {
            assert!(!path.join("made").exists());
            assert!(std::process::Command::new("chattr").arg("-i").arg(path).status().unwrap().success());
        }
        drop(mounts);
        assert_nothing_left(t, kind);
    }
    Ok(())
}

/// Its root's mount is taken away before each call that takes a path: it fails with a word, or works on what it holds.
fn root_unmounted(t: &Test) -> Verdict {
    use runtime_tests::step::{Whose, step};
    for at in (0..300).step_by(times(20, 1)) {
        let b = t.bundle();
        b.stays();
        let place = t.dir.join("place");
        fs::create_dir_all(&place).unwrap();
        mount_bind(b.rootfs(), &place).unwrap();
        let mounted = Mounted(place.clone());
        b.set("/root/path", place.to_str().unwrap()).write();
        let id = t.fresh_id();
        let create = t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        let stepped = step(create, at, Whose::Made, || unmount(&place, UnmountFlags::DETACH).unwrap());
        drop(mounted);
        if stepped.status != 0 {
            assert!(stepped.status == 1 && !stepped.output.trim().is_empty(), "call {at}: {stepped:?}");
            t.assert_missing(&id);
        }
        t.call(&["delete", "--force", &id]).ok();
        assert_nothing_left(t, &format!("the root was unmounted before call {at}"));
        if !stepped.reached {
            return Ok(());
        }
    }
    Ok(())
}

fn many_entries(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let directory = b.inside("etc");
    for number in 0..times(5_000, 1_000_000) {
        fs::write(directory.join(format!("file{number}")), "").unwrap();
    }
    b.mount("/etc/made", "tmpfs", "tmpfs", &["tmpcopyup"]).mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let began = Instant::now();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.deadline(Duration::from_secs(120)).output();
    if !output.status.success() {
        let _ = refused(output);
    }
    t.call(&["delete", "--force", &id]).ok();
    assert!(began.elapsed() < stretched(Duration::from_secs(120)));
    assert_nothing_left(t, "a root with many entries");
    Ok(())
}

/// `start` with a gate that is not the container's says so; the container can be deleted.
fn gate_replaced(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for kind in ["gone", "file", "fifo", "link", "directory", "another's", "nobody's"] {
        let c = t.create(&b);
        let gate = t.root().join(&c.id).join("start.sock");
        fs::remove_file(&gate).unwrap();
        let mut server = None;
        match kind {
            "gone" => {}
            "file" => fs::write(&gate, "").unwrap(),
            "fifo" => mkfifo(&gate, Mode::from_bits_truncate(0o600)).unwrap(),
            "link" => symlink(t.canary().join("secret"), &gate).unwrap(),
            "directory" => fs::create_dir(&gate).unwrap(),
            "another's" => server = Some(listen(&gate)),
            _ => drop(listen(&gate)),
        }
        let began = Instant::now();
        let output = c.call(&["start"]).deadline(Duration::from_secs(60)).output();
        assert!(began.elapsed() < stretched(Duration::from_secs(30)), "{kind} took {:?}", began.elapsed());
        drop(server);
        let _ = refused(output);
        c.delete_force().ok();
        assert!(c.process.wait_exit(DEADLINE), "{kind}: init is alive");
        let _ = c.process.reap();
        assert_nothing_left(t, kind);
    }
    Ok(())
}

/// A socket of the gate's type that nobody serves.
fn listen(path: &Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    // The path may be too long for an address: by the directory's descriptor it is short.
    let directory = fs::File::open(path.parent().unwrap()).unwrap();
    let short = format!("/proc/self/fd/{}/start.sock", std::os::fd::AsRawFd::as_raw_fd(&directory));
    bind(&socket, &SocketAddrUnix::new(short).unwrap()).unwrap();
    listen(&socket, 1).unwrap();
    socket
}

fn connect(path: &Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let directory = fs::File::open(path.parent().unwrap()).unwrap();
    let short = format!("/proc/self/fd/{}/start.sock", std::os::fd::AsRawFd::as_raw_fd(&directory));
    connect(&socket, &SocketAddrUnix::new(short).unwrap()).unwrap();
    socket
}

/// Who may open the gate is its owner alone; what he does there instead of `start` does not make a container that runs
/// without limits, or one that can't be deleted.
fn gate_half(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().hook("startContainer", json!({"path": "/bin/true"}));
    for kind in ["opened and closed", "opened and kept", "a message of 0 bytes", "a long message"] {
        let c = t.create(&b);
        let directory = t.root().join(&c.id);
        assert_eq!(
            fs::metadata(&directory).unwrap().permissions().mode() & 0o77,
            0,
            "others may reach the gate"
        );
        let socket = connect(&directory.join("start.sock"));
        let message: &[u8] = match kind {
            "a message of 0 bytes" => b"",
            "a long message" => &[7; 4096],
            _ => b"",
        };
        if kind.contains("message") {
            let _ = rustix::net::send(&socket, message, rustix::net::SendFlags::NOSIGNAL);
        }
        let kept = (kind == "opened and kept").then_some(socket);
        let began = Instant::now();
        let output = c.call(&["start"]).deadline(Duration::from_secs(60)).output();
        assert!(began.elapsed() < stretched(Duration::from_secs(30)), "{kind} took {:?}", began.elapsed());
        drop(kept);
        if !output.status.success() {
            let _ = refused(output);
        }
        c.delete_force().ok();
        assert!(c.process.wait_exit(DEADLINE), "{kind}: init is alive");
        let _ = c.process.reap();
        assert_nothing_left(t, kind);
    }
    Ok(())
}

/// Before the process: the command fails, and all is taken back, with the poststop hooks. After it: a warning.
fn hooks_fail(t: &Test) -> Verdict {
    let log = t.dir.join("log");
    let points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    for point in points {
        let script = |text: String| json!({"path": "/bin/sh", "args": ["sh", "-c", text]});
        let b = t.bundle();
        b.stays().hook(point, script("exit 3".to_owned()));
        b.hook("poststop", script(format!("echo poststop >>{}", log.display())));
        for verb in ["create", "run"] {
            let _ = fs::remove_file(&log);
            fs::File::create(&log).unwrap().flush().unwrap();
            let flags: &[&str] = if verb == "run" { &["--detach"] } else { &[] };
            let (call, id) = t.bundle_call(verb, &b, flags);
            let mut output = call.output();
            let mut command = verb;
            if verb == "create" && output.status.success() {
                command = "start";
                output = t.call(&["start", &id]).output();
            }
            let fails = !point.starts_with("post");
            assert_eq!(output.status.success(), !fails, "{point}, {verb}: {output}");
            if point != "poststop" {
                assert!(output.stderr.contains(point), "{point}, {verb}: it is not named: {output}");
            }
            if fails && command != "start" {
                // As if it had never been.
                t.assert_missing(&id);
                assert_eq!(fs::read_to_string(&log).unwrap(), "poststop\n", "{point}, {verb}");
                assert_nothing_left(t, &format!("{point} failed at {verb}"));
            } else if !fails {
                assert_eq!(Container::open(t, &id).status(), "running");
            }
            let deleted = t.call(&["delete", "--force", &id]).ok();
            assert!(point != "poststop" || deleted.stderr.contains("poststop"), "no warning: {deleted}");
            assert_eq!(fs::read_to_string(&log).unwrap(), "poststop\n", "{point}, {verb}");
            assert_nothing_left(t, &format!("{point} failed at {verb}"));
            // The id is free.
            let other = t.bundle();
            other.stays().write();
            t.call(&["create", "--bundle", other.path.to_str().unwrap(), &id]).ok();
            t.call(&["start", &id]).ok();
            t.call(&["delete", "--force", &id]).ok();
        }
    }
    Ok(())
}

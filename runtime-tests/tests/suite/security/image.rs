//! What the author of an image can do: links, odd files and odd names, before the container is created.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use runtime_tests::lease::Lease;
use runtime_tests::procfs::{mount_at, mounts_of};
use runtime_tests::tty::ConsoleSocket;
use runtime_tests::world::World;
use runtime_tests::{Bundle, Case, Test, Verdict};
use serde_json::{Value, json};

use super::{Made, refused, try_create};

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t06_long_and_odd_paths", odd_paths),
        case("t07_hostile_destinations", hostile_destinations),
        case("t08_fake_proc_and_sys", fake_proc_and_sys),
        case("t11_masks_are_the_hosts_null_device", masks),
        case("t11_null_device_of_the_host_that_is_none", host_null),
        case("t12_console_of_a_fake_devpts", fake_devpts),
        case("t12_file_in_place_of_ptmx_is_not_opened", unopened_ptmx),
        case("t13_console_link_makes_no_file", console_link),
        case("t14_null_device_of_the_image", null_device),
        case("t16_dev_that_is_a_link", dev_link),
        case("t18_nothing_of_the_runtimes_in_the_root", root_untouched),
        case("t42_files_that_the_runtime_reads", files_read),
    ]
}

fn make_node(path: &Path, kind: SFlag, major: u64, minor: u64) {
    let mode = Mode::from_bits_truncate(0o666);
    mknod(path, kind, mode, makedev(major, minor)).unwrap();
}

/// The end of a chain of changes.
fn ignore(_: &Bundle) {}

fn make_fifo(path: &Path) {
    nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o666)).unwrap();
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(status) if status.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Chains of links and names at the limits, as a mount's destination, working directory, program and device.
fn odd_paths(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let chain = |b: &Bundle, length: usize| {
        fs::create_dir(b.inside("/end")).unwrap();
        for index in 0..length {
            let target = if index + 1 == length { "/end".into() } else { format!("/link{}", index + 1) };
            symlink(target, b.inside(&format!("/link{index}"))).unwrap();
        }
        "/link0".to_owned()
    };
    let long_target = |b: &Bundle| {
        symlink(format!("/{}end", "./".repeat(2045)), b.inside("/long")).unwrap();
        fs::create_dir(b.inside("/end")).unwrap();
        "/long".to_owned()
    };
    let longest_name = |b: &Bundle| {
        let name = format!("/{}", "n".repeat(255));
        fs::create_dir(b.inside(&name)).unwrap();
        name
    };
    type Make = Box<dyn Fn(&Bundle) -> String>;
    let rows: Vec<(&str, Make)> = vec![
        ("39 links", Box::new(move |b| chain(b, 39))),
        ("40 links", Box::new(move |b| chain(b, 40))),
        ("41 links", Box::new(move |b| chain(b, 41))),
        ("a target of 4095 bytes", Box::new(long_target)),
        ("a name of 255 bytes", Box::new(longest_name)),
        ("a name of 256 bytes", Box::new(|_| format!("/{}", "n".repeat(256)))),
        ("a path of 5000 bytes", Box::new(|_| "/d".repeat(2500))),
        ("a path of 4095 bytes", Box::new(|_| format!("/d{}", "/".repeat(4093)))),
        (
            "two links in a ring",
            Box::new(|b| {
                symlink("/b", b.inside("/a")).unwrap();
                symlink("/a", b.inside("/b")).unwrap();
                "/a".into()
            }),
        ),
        ("double slashes", Box::new(|_| "//tmp//x".into())),
        ("dots", Box::new(|_| "/./tmp/./x/.".into())),
        ("parents at the end", Box::new(|_| "/tmp/x/..".into())),
        (
            "parents that lead out",
            Box::new(|t| format!("/..{}", "/..".repeat(20)) + &t.path.to_string_lossy()),
        ),
    ];
    for (name, make) in &rows {
        for place in ["mount", "cwd", "program", "device"] {
            let b = t.bundle();
            b.stays().writable();
            let path = make(&b);
            match place {
                "mount" => b.mount(&path, "tmpfs", "tmpfs", &[]),
                "cwd" => b.set("/process/cwd", path.as_str()),
                "program" => b.args(&[&path]),
                _ => b.push(
                    "/linux/devices",
                    json!({"path": format!("{path}/node"), "type": "c", "major": 1, "minor": 3}),
                ),
            };
            if let Made::Created(c) = try_create(t, &b, &[]) {
                let started = c.call(&["start"]).output();
                assert!(started.status.code().is_some(), "{name} as {place}: {started}");
                if started.status.success() && place == "mount" {
                    let points: Vec<_> = mounts_of(c.pid()).into_iter().map(|mount| mount.point).collect();
                    assert!(points.iter().all(|point| !point.contains("canary")), "{name}: {points:?}");
                }
                c.delete_force().ok();
            }
            assert!(!t.canary().join("node").exists());
        }
    }
    world.assert_same(t, "odd paths");
    Ok(())
}

/// A way to spoil a destination. `path` is the destination in the image, and may be there already.
type Spoil = fn(&Test, &Bundle, &str);

const SPOILT: &[(&str, Spoil)] = &[
    ("absolute_link", |t, b, at| symlink(t.canary(), b.inside(at)).unwrap()),
    ("relative_link", |t, b, at| {
        symlink(format!("../../../../../../../..{}", t.canary().display()), b.inside(at)).unwrap();
    }),
    ("dangling_link", |t, b, at| symlink(t.canary().join("made"), b.inside(at)).unwrap()),
    ("loop", |_, b, at| symlink(at, b.inside(at)).unwrap()),
    ("link_to_the_secret", |t, b, at| symlink(t.canary().join("secret"), b.inside(at)).unwrap()),
    ("link_in_the_middle", |t, b, at| {
        // The first component is a link out of the root; what the destination names is missing behind it.
        let first = at.trim_start_matches('/').split('/').next().unwrap();
        remove(&b.inside(first));
        symlink(t.canary(), b.inside(first)).unwrap();
    }),
    ("fifo", |_, b, at| make_fifo(&b.inside(at))),
    ("socket", |_, b, at| {
        // An address has at most 107 bytes.
        let short = b.path.join("s");
        let _ = fs::remove_file(&short);
        drop(UnixListener::bind(&short).unwrap());
        fs::rename(&short, b.inside(at)).unwrap();
    }),
    ("device", |_, b, at| make_node(&b.inside(at), SFlag::S_IFCHR, 1, 5)),
    ("file", |_, b, at| fs::write(b.inside(at), "of the image").unwrap()),
    ("closed_directory", |_, b, at| {
        fs::create_dir(b.inside(at)).unwrap();
        fs::set_permissions(b.inside(at), fs::Permissions::from_mode(0o000)).unwrap();
    }),
];

/// The mounts whose destinations are spoilt: destination, and the mount, of a source directory of the host.
fn destinations(source: &Path) -> Vec<(&'static str, Value)> {
    let text = source.to_str().unwrap();
    let file = source.join("file");
    let mount = |at: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": source, "options": options});
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let mut mapped = mount("/mapped", "bind", text, &["bind"]);
    mapped["uidMappings"] = map.clone();
    mapped["gidMappings"] = map;
    vec![
        ("/proc", mount("/proc", "proc", "proc", &[])),
        ("/sys", mount("/sys", "sysfs", "sysfs", &["ro"])),
        ("/sys/fs/cgroup", mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"])),
        ("/dev", mount("/dev", "tmpfs", "tmpfs", &["mode=755"])),
        ("/dev/pts", mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"])),
        ("/dev/shm", mount("/dev/shm", "tmpfs", "shm", &["size=1m"])),
        ("/dev/mqueue", mount("/dev/mqueue", "mqueue", "mqueue", &[])),
        ("/run", mount("/run", "tmpfs", "tmpfs", &[])),
        ("/data", mount("/data", "bind", text, &["bind"])),
        ("/etc/hosts", mount("/etc/hosts", "bind", file.to_str().unwrap(), &["bind"])),
        ("/run/below", mount("/run/below", "bind", text, &["bind"])),
        ("/data/a/b", mount("/data/a/b", "bind", text, &["rbind", "ro"])),
        ("/cgroup", mount("/cgroup", "cgroup", "cgroup", &["ro", "nosuid"])),
        ("/mapped", mapped),
    ]
}

/// Each destination spoilt in each way: a bundle of its own, with that mount alone in it.
fn hostile_destinations(t: &Test) -> Verdict {
    let source = t.dir.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "of the host").unwrap();
    let world = World::of_machine(t);
    let mut bundles = 0;
    for (destination, mount) in destinations(&source) {
        for (name, spoil) in SPOILT {
            bundles += 1;
            let b = t.bundle();
            b.stays()
                .set("/mounts", json!([mount]))
                .unset("/linux/maskedPaths")
                .unset("/linux/readonlyPaths");
            let place = b.inside(destination);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            remove(&place);
            spoil(t, &b, destination);
            match try_create(t, &b, &[]) {
                Made::Refused => {}
                Made::Created(c) => {
                    for mount in mounts_of(c.pid()) {
                        assert!(!mount.root.ends_with("/canary"), "{destination} as {name}: {mount:?}");
                    }
                    c.delete_force().ok();
                }
            }
            if fs::symlink_metadata(&place).is_ok_and(|status| status.is_dir()) {
                fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
            }
            let kept = fs::read_to_string(t.canary().join("secret")).unwrap();
            assert_eq!(kept, t.token, "{destination} as {name}");
            assert_eq!(fs::read_dir(t.canary()).unwrap().count(), 1, "{destination} as {name}");
            fs::remove_dir_all(&b.path).unwrap();
        }
    }
    assert!(bundles >= 140, "{bundles} bundles");
    world.assert_same(t, "hostile destinations");
    Ok(())
}

/// A `/proc` or `/sys` that is none: refused, however it is written.
fn fake_proc_and_sys(t: &Test) -> Verdict {
    let volume = t.dir.join("volume");
    fs::create_dir_all(volume.join("self/attr")).unwrap();
    let volume = volume.to_str().unwrap();
    let world = World::of_machine(t);
    type Prepare<'a> = Box<dyn Fn(&Bundle) + 'a>;
    let replace = |b: &Bundle, name: &str, target: &str| {
        remove(&b.inside(name));
        symlink(target, b.inside(name)).unwrap();
        fs::create_dir_all(b.inside(target)).unwrap();
    };
    let bind = |at: &'static str| -> Prepare<'_> {
        Box::new(move |b| ignore(b.mount(at, "bind", volume, &["bind"])))
    };
    let tmpfs =
        |at: &'static str| -> Prepare<'_> { Box::new(move |b| ignore(b.mount(at, "tmpfs", "tmpfs", &[]))) };
    let refused_rows: Vec<(&str, Prepare<'_>)> = vec![
        ("proc is a link", Box::new(|b| replace(b, "proc", "/bad"))),
        ("sys is a link", Box::new(|b| replace(b, "sys", "/bad"))),
        (
            "proc is a file",
            Box::new(|b| {
                remove(&b.inside("proc"));
                fs::write(b.inside("proc"), "").unwrap();
            }),
        ),
        (
            "proc is a FIFO",
            Box::new(|b| {
                remove(&b.inside("proc"));
                make_fifo(&b.inside("proc"));
            }),
        ),
        ("a volume at /proc", bind("/proc")),
        ("a volume at /proc/", bind("/proc/")),
        ("a volume at //proc", bind("//proc")),
        ("a volume at /./proc/.", bind("/./proc/.")),
        ("a volume at /tmp/../proc", bind("/tmp/../proc")),
        ("a volume at /proc/self", bind("/proc/self")),
        ("a volume at /proc/self/attr", bind("/proc/self/attr")),
        ("a volume at /proc/sys", bind("/proc/sys")),
        ("a tmpfs at /proc", tmpfs("/proc")),
        ("a tmpfs at /proc/", tmpfs("/proc/")),
        ("a tmpfs at //proc/sys", tmpfs("//proc/sys")),
        (
            "a volume through a link to /proc",
            Box::new(|b| {
                symlink("/proc", b.inside("/link")).unwrap();
                b.mount("/link", "bind", volume, &["bind"]);
            }),
        ),
        (
            "a tmpfs through a link to /proc",
            Box::new(|b| {
                symlink("/proc", b.inside("/link")).unwrap();
                b.mount("/link", "tmpfs", "tmpfs", &[]);
            }),
        ),
        (
            "a tmpfs through a link to a directory of /proc",
            Box::new(|b| {
                symlink("/proc/sys", b.inside("/link")).unwrap();
                b.mount("/link", "tmpfs", "tmpfs", &[]);
            }),
        ),
        (
            "a volume through a link to /proc, where none is mounted",
            Box::new(|b| {
                symlink("/proc", b.inside("/link")).unwrap();
                b.without_mount("/proc").unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
                b.mount("/link", "bind", volume, &["bind"]);
            }),
        ),
        (
            "a volume through a link, before /proc is mounted",
            Box::new(|b| {
                symlink("/proc", b.inside("/link")).unwrap();
                b.patch(|config| {
                    let mount = json!({"destination": "/link", "type": "bind", "source": volume, "options": ["bind"]});
                    config["mounts"].as_array_mut().unwrap().insert(0, mount);
                });
            }),
        ),
        ("a part of /proc at /proc", Box::new(|b| ignore(b.mount("/proc", "bind", "/proc/sys", &["bind"])))),
    ];
    for (name, prepare) in refused_rows {
        let b = t.bundle();
        b.stays();
        prepare(&b);
        let Made::Refused = try_create(t, &b, &[]) else { panic!("{name}: it is not refused") };
    }
    // What is allowed: files that show the machine's size, and a whole procfs.
    let file = t.dir.join("cpuinfo");
    fs::write(&file, "two processors\n").unwrap();
    for at in ["/proc/cpuinfo", "/proc//meminfo"] {
        let b = t.bundle();
        b.stays().mount(at, "bind", file.to_str().unwrap(), &["bind"]);
        let c = t.start(&b);
        let seen = c.call(&["exec"]).args(["cat", at]).ok();
        assert_eq!(seen.text(), "two processors");
        let proc = c.call(&["exec"]).args(["stat", "-c", "%i", "/proc"]).ok();
        assert_eq!(proc.text(), "1");
        let over: Vec<_> =
            mounts_of(c.pid()).into_iter().filter(|mount| mount.point.starts_with("/proc")).collect();
        assert_eq!(mount_at(&over, "/proc").kind, "proc");
        let asked = over.iter().filter(|mount| mount.kind != "proc" && mount.kind != "tmpfs").count();
        assert!(asked <= 1 + 10, "{over:?}");
        c.delete_force().ok();
    }
    world.assert_same(t, "fake proc and sys");
    Ok(())
}

/// Makes something at a path, of the image or of a volume.
type MakeAt = fn(&Test, &Path);

/// Makes a file of the image.
type MakeFile = fn(&Path);

/// What stands for `/dev/null` in the image, in a `/dev` that nothing is mounted on, or in a volume on it.
const NULLS: &[(&str, MakeAt)] = &[
    ("link_to_core_pattern", |_, at| symlink("/proc/sys/kernel/core_pattern", at).unwrap()),
    ("link_to_kcore", |_, at| symlink("/proc/kcore", at).unwrap()),
    ("link_to_the_secret", |t, at| symlink(t.canary().join("secret"), at).unwrap()),
    ("dangling_link", |t, at| symlink(t.canary().join("made"), at).unwrap()),
    ("file", |_, at| fs::write(at, "of the image").unwrap()),
    ("fifo", |_, at| make_fifo(at)),
    ("zero", |_, at| make_node(at, SFlag::S_IFCHR, 1, 5)),
    ("directory", |_, at| fs::create_dir(at).unwrap()),
];

/// The config's `/dev` is the image's, or a volume.
fn with_own_dev(t: &Test, volume: bool) -> (Bundle, std::path::PathBuf) {
    let b = t.bundle();
    b.stays().writable().patch(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    if !volume {
        return (b, std::path::PathBuf::new());
    }
    let directory = t.dir.join(t.fresh_name());
    fs::create_dir(&directory).unwrap();
    b.mount("/dev", "bind", directory.to_str().unwrap(), &["bind", "rw"]);
    (b, directory)
}

fn masks(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    for volume in [false, true] {
        for (name, make) in NULLS {
            let (b, directory) = with_own_dev(t, volume);
            let dev = if volume { directory } else { b.inside("/dev") };
            make(t, &dev.join("null"));
            b.set(
                "/linux/maskedPaths",
                json!(["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]),
            );
            if let Made::Created(c) = try_create(t, &b, &[]) {
                for masked in ["kcore", "keys", "timer_list"] {
                    let path = c.inside(&format!("/proc/{masked}"));
                    let Ok(status) = fs::symlink_metadata(&path) else { continue };
                    assert_eq!(
                        (status.rdev(), status.mode() & 0o170_000),
                        (makedev(1, 3), 0o020_000),
                        "{name}"
                    );
                }
                let firmware = c.inside("/sys/firmware");
                if firmware.exists() {
                    assert_eq!(fs::read_dir(&firmware).unwrap().count(), 0);
                    let refused = fs::write(firmware.join("x"), "").unwrap_err();
                    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
                }
                assert!(!c.proc("mountinfo").contains("core_pattern"));
                c.delete_force().ok();
            }
            world.assert_same(t, name);
        }
    }
    Ok(())
}

/// Where the host's own is something else (the runtime is in a container whose author could put it there), nothing is
/// masked with that.
fn host_null(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let world = World::of_machine(t);
    let file = t.dir.join("no-null");
    fs::write(&file, "text").unwrap();
    for (name, source) in [("a file", file.to_str().unwrap()), ("/dev/zero", "/dev/zero")] {
        let b = t.bundle();
        b.stays().set("/linux/maskedPaths", json!(["/proc/version"]));
        let (call, id) = t.bundle_call("create", &b, &[]);
        let prepared = format!("mount --bind {source} /dev/null && exec \"$@\"");
        let _ = refused(call.through(["unshare", "-m"]).through_sh(&prepared).output());
        t.assert_missing(&id);
        world.assert_same(t, name);
    }
    Ok(())
}

/// `/dev/pts` is a volume of the image's author, with a `ptmx` of his.
fn fake_devpts(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let volume = t.dir.join("pts");
    type Prepare<'a> = Box<dyn Fn(&Bundle) + 'a>;
    let fake = |b: &Bundle| {
        b.without_mount("/dev/pts").mount("/dev/pts", "bind", volume.to_str().unwrap(), &["bind"]);
        fs::create_dir(&volume).unwrap();
    };
    let own_dev = |b: &Bundle| {
        b.writable().patch(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["destination"] != "/dev");
        });
    };
    let rows: Vec<(&str, Prepare<'_>)> = vec![
        ("no devpts", Box::new(|b| ignore(b.without_mount("/dev/pts")))),
        (
            "ptmx is a FIFO",
            Box::new(|b| {
                fake(b);
                make_fifo(&volume.join("ptmx"));
            }),
        ),
        (
            "ptmx is a file",
            Box::new(|b| {
                fake(b);
                fs::write(volume.join("ptmx"), "").unwrap();
            }),
        ),
        (
            "ptmx is the host's multiplexer's number",
            Box::new(|b| {
                fake(b);
                make_node(&volume.join("ptmx"), SFlag::S_IFCHR, 5, 2);
            }),
        ),
        (
            "dev/ptmx is a link out",
            Box::new(|b| {
                own_dev(b);
                symlink(t.canary().join("x"), b.inside("/dev/ptmx")).unwrap();
            }),
        ),
        (
            "console is a link",
            Box::new(|b| {
                own_dev(b);
                symlink(t.canary().join("secret"), b.inside("/dev/console")).unwrap();
            }),
        ),
        (
            "console is a directory",
            Box::new(|b| {
                own_dev(b);
                fs::create_dir(b.inside("/dev/console")).unwrap();
            }),
        ),
        (
            "console is a FIFO",
            Box::new(|b| {
                own_dev(b);
                make_fifo(&b.inside("/dev/console"));
            }),
        ),
    ];
    for (name, prepare) in rows {
        let _ = fs::remove_dir_all(&volume);
        let b = t.bundle();
        b.stays().set("/process/terminal", true);
        prepare(&b);
        let socket = ConsoleSocket::listen(&t.dir.join(t.fresh_name()));
        let before = Instant::now();
        if let Made::Created(c) = try_create(t, &b, &["--console-socket", socket.path.to_str().unwrap()]) {
            let console = mount_at(&mounts_of(c.pid()), "/dev/console");
            assert_eq!(console.kind, "devpts", "{name}");
            c.delete_force().ok();
        }
        assert!(before.elapsed() < Duration::from_secs(15), "{name} took {:?}", before.elapsed());
        world.assert_same(t, name);
    }
    Ok(())
}

/// What the image has in place of the multiplexer is looked at, and not opened: that alone may have an effect.
fn unopened_ptmx(t: &Test) -> Verdict {
    let b = t.bundle();
    let volume = t.dir.join("pts");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("ptmx"), "").unwrap();
    b.stays().set("/process/terminal", true);
    b.without_mount("/dev/pts").mount("/dev/pts", "bind", volume.to_str().unwrap(), &["bind"]);
    let lease = Lease::take(&volume.join("ptmx"));
    let socket = ConsoleSocket::listen(&t.dir.join(t.fresh_name()));
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", socket.path.to_str().unwrap()]);
    let output = call.output();
    assert!(lease.is_held(), "it was opened for writing: {output}");
    let _ = refused(output);
    t.assert_missing(&id);
    Ok(())
}

fn console_link(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    for own_dev in [false, true] {
        let b = t.bundle();
        b.stays().set("/process/terminal", true);
        if own_dev {
            b.writable().patch(|config| {
                config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
            });
        }
        symlink(t.canary().join("made-by-the-runtime"), b.inside("/dev/console")).unwrap();
        let socket = ConsoleSocket::listen(&t.dir.join(t.fresh_name()));
        if let Made::Created(c) = try_create(t, &b, &["--console-socket", socket.path.to_str().unwrap()]) {
            c.delete_force().ok();
        }
        world.assert_same(t, "a link at /dev/console");
    }
    Ok(())
}

/// The runtime replaces the null device that it was given by the container's: only where that is one.
fn null_device(t: &Test) -> Verdict {
    let owned = t.dir.join("owned");
    fs::write(&owned, "of the host").unwrap();
    let before = fs::metadata(&owned).unwrap();
    let world = World::of_machine(t);
    let rows: &[(&str, MakeAt)] = &[
        ("file", |_, at| fs::write(at, "of the image").unwrap()),
        ("link_to_a_mount", |_, at| symlink("/mounted", at).unwrap()),
        ("fifo", |_, at| make_fifo(at)),
        ("socket", |t, at| {
            let short = t.dir.join("s");
            drop(UnixListener::bind(&short).unwrap());
            fs::rename(&short, at).unwrap();
        }),
        ("zero", |_, at| make_node(at, SFlag::S_IFCHR, 1, 5)),
    ];
    for volume in [false, true] {
        for (name, make) in rows {
            let (b, directory) = with_own_dev(t, volume);
            let dev = if volume { directory } else { b.inside("/dev") };
            make(t, &dev.join("null"));
            b.mount("/mounted", "bind", owned.to_str().unwrap(), &["bind"]);
            b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
            b.args(&["sh", "-c", "stat -L -c %t:%T /proc/self/fd/0; echo too >&2"]);
            // Its standard input is the null device; output goes to the caller's files.
            let (call, id) = t.bundle_call("run", &b, &[]);
            let output = call.deadline(Duration::from_secs(20)).output();
            if output.status.success() {
                assert_eq!((output.text(), output.stderr.trim()), ("1:3", "too"), "{name}");
            } else {
                let _ = refused(output);
                t.assert_missing(&id);
            }
            let after = fs::metadata(&owned).unwrap();
            assert_eq!(
                (before.uid(), before.gid(), before.mode(), before.ctime(), before.size()),
                (after.uid(), after.gid(), after.mode(), after.ctime(), after.size()),
                "{name}: the file of the host was changed"
            );
        }
    }
    world.assert_same(t, "the null device of an image");
    Ok(())
}

/// `/dev` and directories in it are links out of the root.
fn dev_link(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let canary = t.canary();
    let up = format!("../../../../../../..{}", canary.display());
    let tun = json!([{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]);
    let mapper = json!([{"path": "/dev/mapper/x", "type": "b", "major": 7, "minor": 0}]);
    for target in [canary.to_str().unwrap(), &up] {
        for place in ["/dev", "/dev/net", "/dev/mapper"] {
            for (tmpfs, user) in [(true, false), (false, false), (true, true), (false, true)] {
                let b = t.bundle();
                b.stays().writable();
                if !tmpfs {
                    b.patch(|config| {
                        let mounts = config["mounts"].as_array_mut().unwrap();
                        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
                    });
                }
                if user {
                    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
                    b.namespace("user", None);
                    b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
                }
                b.set("/linux/devices", if place == "/dev/mapper" { mapper.clone() } else { tun.clone() });
                remove(&b.inside(place));
                symlink(target, b.inside(place)).unwrap();
                if let Made::Created(c) = try_create(t, &b, &[]) {
                    c.delete_force().ok();
                }
                world.assert_same(t, &format!("{place} is a link to {target}, tmpfs {tmpfs}, user {user}"));
            }
        }
    }
    Ok(())
}

/// Every name in the root, with what it is.
fn names_below(path: &Path, root: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(path).unwrap().flatten() {
        let status = entry.metadata().unwrap();
        let name = entry.path();
        into.push(format!(
            "{} {:o} {}",
            name.strip_prefix(root).unwrap().display(),
            status.mode(),
            status.ino()
        ));
        if status.is_dir() {
            names_below(&name, root, into);
        }
    }
}

/// After a container's life the root has what it had, and the mount points that the config asked for.
fn root_untouched(t: &Test) -> Verdict {
    let list = |b: &Bundle| {
        let mut names = Vec::new();
        names_below(&b.rootfs(), &b.rootfs(), &mut names);
        names.sort();
        names
    };
    let world = World::of_machine(t);
    for hostile in [false, true] {
        let b = t.bundle();
        b.stays().writable();
        fs::create_dir(b.inside("/mnt")).unwrap();
        b.mount("/mnt/asked/for", "tmpfs", "tmpfs", &[]);
        if hostile {
            for name in
                [".sandboxd", "start.sock", "state.json", "intent.json", "notify", ".pivot_root", "oldroot"]
            {
                symlink(t.canary().join("made"), b.inside(name)).unwrap();
            }
        }
        let before = list(&b);
        let c = t.start(&b);
        c.call(&["exec"]).args(["true"]).ok();
        c.delete_force().ok();
        let after = list(&b);
        let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
        assert!(gone.is_empty(), "{gone:?}");
        assert!(new.iter().all(|line| line.starts_with("mnt/asked")), "{new:?}");
        world.assert_same(t, "a container's life");
    }
    Ok(())
}

/// `/etc/passwd` and `/etc/group` that never end, or never begin.
fn files_read(t: &Test) -> Verdict {
    let rows: &[(&str, MakeFile)] = &[
        ("fifo", |at| make_fifo(at)),
        ("zero", |at| make_node(at, SFlag::S_IFCHR, 1, 5)),
        ("sparse", |at| fs::File::create(at).unwrap().set_len(100 << 30).unwrap()),
        ("directory", |at| fs::create_dir(at).unwrap()),
        ("link_out", |at| symlink("/proc/1/root/etc/passwd", at).unwrap()),
        ("loop", |at| symlink(at.file_name().unwrap(), at).unwrap()),
    ];
    for (name, make) in rows {
        let b = t.bundle();
        for file in ["/etc/passwd", "/etc/group"] {
            fs::remove_file(b.inside(file)).unwrap();
            make(&b.inside(file));
        }
        b.stays();
        let before = Instant::now();
        let c = t.start(&b);
        assert!(c.proc("environ").contains("HOME="), "{name}");
        for user in ["0", "1000:1000", "name"] {
            let output = c.call(&["exec", "--user", user]).args(["true"]).output();
            if !output.status.success() {
                let _ = refused(output);
            }
        }
        c.delete_force().ok();
        assert!(before.elapsed() < Duration::from_secs(15), "{name} took {:?}", before.elapsed());
    }
    fifo_unopened(t);
    // What the process has open is not the image's, though a link of the image's leads to it.
    let b = t.bundle();
    fs::remove_file(b.inside("/etc/passwd")).unwrap();
    symlink("/proc/self/fd/0", b.inside("/etc/passwd")).unwrap();
    b.sh("echo $HOME").set("/process/env", json!(["PATH=/bin"]));
    let users = t.dir.join("users");
    fs::write(&users, "root:x:0:0::/of-the-callers-file:/bin/sh\n").unwrap();
    assert_eq!(t.run(&b).stdin_file(fs::File::open(users).unwrap()).ok().text(), "/");
    Ok(())
}

/// To open a special file can do something already: a writer waits at this one until somebody does.
fn fifo_unopened(t: &Test) {
    let b = t.bundle();
    let passwd = b.inside("/etc/passwd");
    fs::remove_file(&passwd).unwrap();
    make_fifo(&passwd);
    let waiting = {
        let passwd = passwd.clone();
        std::thread::spawn(move || drop(fs::File::options().write(true).open(passwd).unwrap()))
    };
    b.args(&["true"]).patch(|config| config["process"]["env"] = json!([]));
    t.run(&b).ok();
    let opened = waiting.is_finished();
    // Whoever opens it for reading and writing waits for nobody, and lets the writer go on.
    let reader = fs::File::options().read(true).write(true).open(&passwd).unwrap();
    waiting.join().unwrap();
    drop(reader);
    assert!(!opened, "a FIFO of the image's was opened");
}

//! Racing neighbours: what a path leads to is exchanged before each system call that takes one, in turn.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use runtime_tests::procfs::mounts_of;
use runtime_tests::race::{Flip, exchange};
use runtime_tests::step::{Stepped, Whose, step, step_before};
use runtime_tests::world::{World, times};
use runtime_tests::{Bundle, Case, Container, Lane, Skip, Test, Verdict};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t01_binary_is_not_to_be_had", binary),
        case("t09_links_exchanged_below_a_volume", mounts_below_volume),
        case("t10_missing_destinations_below_a_volume", made_below_volume),
        case("t11_null_device_exchanged", null_exchanged),
        case("t17_masks_below_a_volume", masks_below_volume),
    ]
}

/// Steppers are heavy: where the cgroups are does not matter to them.
pub(super) fn on_one_lane(t: &Test) -> Result<(), Skip> {
    if t.lane == Lane::Hybrid || runtime_tests::world::thorough() {
        Ok(())
    } else {
        Err(Skip::new("the stepper runs on the hybrid lane, or with THOROUGH=1"))
    }
}

/// Creates with a change before each path-taking call of init, or of a sample of them; looks at what came of each.
fn step_creation(
    t: &Test,
    b: &Bundle,
    change: impl Fn(),
    undo: impl Fn(),
    check: impl Fn(Option<&Container<'_>>),
) {
    const MOST_CALLS: usize = 1000;
    let sample = times(4, 1);
    for at in (0..MOST_CALLS).step_by(sample) {
        let (call, id) = t.bundle_call("create", b, &[]);
        let stepped = step(call, at, Whose::Made, &change);
        let Stepped { reached, status, output } = &stepped;
        assert!(*status < 128, "call {at}: ended by a signal: {output}");
        if *status == 0 {
            let c = Container::open(t, &id);
            check(Some(&c));
            c.delete_force().ok();
        } else {
            assert!(!output.trim().is_empty(), "call {at}: failed without a word");
            check(None);
            t.assert_missing(&id);
        }
        if *reached {
            undo();
        } else {
            assert!(at > 20, "only {at} calls of init: {output}");
            return;
        }
    }
    panic!("more than {MOST_CALLS} calls");
}

/// A volume with a directory `a` and a link out of it, `link`.
fn volume(t: &Test, target: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let volume = t.dir.join(t.fresh_name());
    fs::create_dir_all(volume.join("a")).unwrap();
    symlink(target, volume.join("link")).unwrap();
    (volume.clone(), volume.join("a"), volume.join("link"))
}

fn outside(t: &Test) -> [PathBuf; 2] {
    let up = format!("../../../../../../..{}", t.canary().display());
    [t.canary(), up.into()]
}

fn assert_inside(t: &Test, c: &Container<'_>) {
    for mount in mounts_of(c.pid()) {
        assert!(!mount.root.ends_with("/canary"), "the canary is mounted: {mount:?}");
    }
    let secret = c.inside(t.canary().join("secret").to_str().unwrap());
    assert!(!secret.exists(), "the canary is visible at {}", secret.display());
}

fn mounts_below_volume(t: &Test) -> Verdict {
    on_one_lane(t)?;
    // Where the mounts would find their places, outside.
    let like = t.dir.join("like");
    for name in ["b", "c"] {
        fs::create_dir_all(like.join(name)).unwrap();
    }
    let world = World::of_machine(t);
    for target in outside(t).into_iter().chain([like]) {
        let (volume, a, link) = volume(t, &target);
        let b = t.bundle();
        b.stays().mount("/v", "bind", volume.to_str().unwrap(), &["rbind"]);
        b.mount("/v/a/b", "tmpfs", "tmpfs", &[]).mount("/v/a/c", "bind", volume.to_str().unwrap(), &["bind"]);
        let swap = || exchange(&a, &link);
        // A mount that was made elsewhere is not among the container's.
        let both_inside = |c: &Container<'_>| {
            assert_inside(t, c);
            let mounts = mounts_of(c.pid());
            let ends = |end: &str| mounts.iter().filter(|mount| mount.point.ends_with(end)).count();
            assert_eq!((ends("/b"), ends("/c")), (1, 1), "mounts of the container: {mounts:?}");
        };
        step_creation(t, &b, swap, swap, |c| {
            let _ = c.map(both_inside);
            world.assert_same_but_containers(t, "a link below a volume");
        });
        // And as it would be in life.
        let flip = Flip::start(a.clone(), link.clone());
        for _ in 0..times(10, 500) {
            let (call, id) = t.bundle_call("create", &b, &[]);
            if call.output().status.success() {
                let c = Container::open(t, &id);
                both_inside(&c);
                c.delete_force().ok();
            }
        }
        assert!(flip.times() > 0);
        drop(flip);
        world.assert_same(t, "links exchanged below a volume");
    }
    Ok(())
}

fn made_below_volume(t: &Test) -> Verdict {
    on_one_lane(t)?;
    let file = t.dir.join("file");
    fs::write(&file, "").unwrap();
    let world = World::of_machine(t);
    let (volume, a, link) = volume(t, &t.canary());
    let b = t.bundle();
    b.stays().mount("/v", "bind", volume.to_str().unwrap(), &["rbind"]);
    b.mount("/v/a/directory", "bind", volume.to_str().unwrap(), &["bind"]);
    b.mount("/v/a/file", "bind", file.to_str().unwrap(), &["bind"]);
    b.push("/linux/devices", json!({"path": "/v/a/d/node", "type": "c", "major": 1, "minor": 3}));
    b.set("/process/cwd", "/v/a/cwd");
    let reset = || {
        exchange(&a, &link);
        fs::remove_dir_all(&a).unwrap();
        fs::create_dir(&a).unwrap();
    };
    step_creation(
        t,
        &b,
        || exchange(&a, &link),
        reset,
        |c| {
            let _ = c.map(|c| assert_inside(t, c));
            world.assert_same_but_containers(t, "something missing below a volume");
        },
    );
    world.assert_same(t, "destinations that are missing");
    step_replacing_what_was_made(t, &b, &a);
    world.assert_same(t, "destinations that are replaced as soon as they are made");
    Ok(())
}

/// What init has made of the missing destinations becomes links out of the volume, before it opens any of them.
fn step_replacing_what_was_made(t: &Test, b: &Bundle, volume: &Path) {
    const MOST_CALLS: usize = 200;
    let replace = || {
        for made in fs::read_dir(volume).unwrap().flatten().map(|entry| entry.path()) {
            let is_directory = fs::symlink_metadata(&made).is_ok_and(|status| status.is_dir());
            let _ = if is_directory { fs::remove_dir_all(&made) } else { fs::remove_file(&made) };
            let _ = symlink(t.canary(), &made);
        }
    };
    let mut refused = 0;
    for at in 0..MOST_CALLS {
        let (call, id) = t.bundle_call("create", b, &[]);
        let stepped = step_before(call, "openat", at, Whose::Made, replace);
        if stepped.status == 0 {
            let c = Container::open(t, &id);
            assert_inside(t, &c);
            c.delete_force().ok();
        } else {
            assert!(stepped.status < 128 && !stepped.output.trim().is_empty(), "call {at}: {stepped:?}");
            refused += 1;
            t.assert_missing(&id);
        }
        fs::remove_dir_all(volume).unwrap();
        fs::create_dir(volume).unwrap();
        if !stepped.reached {
            assert!(refused > 0, "nothing was replaced between making and opening, in {at} calls");
            return;
        }
    }
    panic!("more than {MOST_CALLS} calls of openat");
}

/// The container's `/dev` is a volume; its null device is another file from some moment on.
fn null_exchanged(t: &Test) -> Verdict {
    on_one_lane(t)?;
    let world = World::of_machine(t);
    let others: &[fn(&Test, &Path)] = &[
        |_, at| {
            mknod(at, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5)).unwrap();
        },
        |t, at| symlink(t.canary().join("secret"), at).unwrap(),
        |_, at| nix::unistd::mkfifo(at, Mode::from_bits_truncate(0o666)).unwrap(),
    ];
    for other in others {
        let dev = t.dir.join(t.fresh_name());
        fs::create_dir(&dev).unwrap();
        let (null, spare) = (dev.join("null"), dev.join("spare"));
        mknod(&null, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
        other(t, &spare);
        let b = t.bundle();
        b.stays().patch(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        });
        b.mount("/dev", "bind", dev.to_str().unwrap(), &["bind", "rw"]);
        b.set("/linux/maskedPaths", json!(["/proc/kcore", "/proc/keys", "/proc/timer_list"]));
        let swap = || exchange(&null, &spare);
        step_creation(t, &b, swap, swap, |c| {
            let Some(c) = c else { return };
            let input = fs::metadata(format!("/proc/{}/fd/0", c.pid())).unwrap();
            assert!(input.file_type().is_char_device() && input.rdev() == makedev(1, 3), "{input:?}");
            for masked in ["kcore", "keys", "timer_list"] {
                // Not every kernel has each.
                let Ok(status) = fs::metadata(c.inside(&format!("/proc/{masked}"))) else { continue };
                assert_eq!(status.rdev(), makedev(1, 3), "{masked}");
            }
        });
        world.assert_same(t, "the null device was exchanged");
    }
    Ok(())
}

fn masks_below_volume(t: &Test) -> Verdict {
    on_one_lane(t)?;
    let world = World::of_machine(t);
    let (volume, a, link) = volume(t, &t.canary());
    fs::write(a.join("secret"), "of the volume").unwrap();
    fs::create_dir(a.join("directory")).unwrap();
    let b = t.bundle();
    b.stays().mount("/v", "bind", volume.to_str().unwrap(), &["rbind"]);
    b.set("/linux/maskedPaths", json!(["/v/a/secret", "/v/a/directory"]));
    b.set("/linux/readonlyPaths", json!(["/v/a"]));
    let swap = || exchange(&a, &link);
    step_creation(t, &b, swap, swap, |c| {
        if let Some(c) = c {
            assert_inside(t, c);
            // Wherever the directory is by now: what was masked is, and what was not never was the canary's.
            for mount in mounts_of(c.pid()).iter().filter(|mount| mount.point.starts_with("/v/")) {
                assert!(!mount.point.contains("canary"), "{mount:?}");
            }
        }
        world.assert_same_but_containers(t, "masks below a volume");
    });
    world.assert_same(t, "masks below a volume");
    Ok(())
}

/// A process of the container that tries to open for writing whatever is executed in it, while the runtime enters it.
fn binary(t: &Test) -> Verdict {
    let b = t.bundle();
    symlink("/proc/self/exe", b.inside("/bin/e1")).unwrap();
    fs::write(b.inside("/bin/e2"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(b.inside("/bin/e2"), fs::Permissions::from_mode(0o755)).unwrap();
    b.capabilities(&["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    b.mount("/tmp", "tmpfs", "tmpfs", &[]);
    b.sh("while :; do for exe in /proc/[0-9]*/exe; do (echo x >>$exe) 2>/dev/null && readlink $exe >>/tmp/won; done; done");
    let before = (fs::read(&t.runtime.path).unwrap(), fs::metadata(&t.runtime.path).unwrap());
    let c = t.start(&b);
    for _ in 0..times(10, 200) {
        for program in ["/bin/e1", "/bin/e2"] {
            let _ = c.call(&["exec"]).args([program]).output();
        }
    }
    assert!(!c.inside("/tmp/won").exists(), "{:?}", fs::read_to_string(c.inside("/tmp/won")));
    c.delete_force().ok();
    for program in ["/bin/e1", "/bin/e2"] {
        let b = t.bundle();
        symlink("/proc/self/exe", b.inside("/bin/e1")).unwrap();
        fs::write(b.inside("/bin/e2"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(b.inside("/bin/e2"), fs::Permissions::from_mode(0o755)).unwrap();
        b.args(&[program]);
        for _ in 0..times(3, 50) {
            let _ = t.run(&b).output();
        }
    }
    let after = (fs::read(&t.runtime.path).unwrap(), fs::metadata(&t.runtime.path).unwrap());
    assert!(before.0 == after.0, "the runtime's binary has changed");
    assert_eq!((before.1.ino(), before.1.mtime_nsec()), (after.1.ino(), after.1.mtime_nsec()));
    Ok(())
}

//! `mounts add` and `mounts remove`: what a running container gets and loses, all of it or nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use runtime_tests::command::Output;
use runtime_tests::procfs::{mount_at, mounts_of};
use runtime_tests::{Bundle, Case, Container, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    cases!["live_mounts":
        bind_is_added_and_removed,
        bind_of_a_file_is_added_and_removed,
        tmpfs_is_added_with_its_options,
        destination_missing_is_made,
        destination_missing_in_a_readonly_root_fails,
        several_are_added_one_in_the_other,
        source_missing_adds_none,
        later_destination_that_fails_adds_none,
        destination_without_a_mount_removes_none,
        created_container_gets_one,
        paused_container_gets_one,
        stopped_container_fails,
        missing_container_fails,
        document_invalid_fails,
        action_unknown_fails,
        kinds_of_creation_are_refused,
        root_is_refused,
        container_without_mount_namespace_is_refused,
        propagation_is_set,
        processes_see_them_at_once,
        user_namespace_root_owns_them,
        user_namespace_gets_what_the_hosts_root_reaches,
        user_namespace_cannot_clear_flags_of_the_host,
        idmapped_bind_takes_the_containers_maps,
        destination_through_links_stays_inside,
        destination_through_a_magic_link_fails,
        destination_swapped_meanwhile_stays_inside,
        proc_is_for_a_procfs,
    ]
}

/// `mounts ACTION ID FILE`.
fn mounts(t: &Test, action: &str, c: &Container<'_>, document: &Value) -> Output {
    let file = t.dir.join(t.fresh_name());
    fs::write(&file, document.to_string()).unwrap();
    t.call(&["mounts", action, &c.id]).args([file]).output()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output}");
}

#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?}: {output}");
    }
}

fn tmpfs(destination: &str) -> Value {
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=700"]})
}

fn bind(t: &Test, destination: &str, options: &[&str]) -> (PathBuf, Value) {
    let source = t.dir.join(t.fresh_name());
    fs::create_dir(&source).unwrap();
    fs::write(source.join("mark"), destination).unwrap();
    let mount = json!({"destination": destination, "type": "bind", "source": source, "options": options});
    (source, mount)
}

/// A bundle with a read-only root and the directories `/mnt` and `/mnt2`.
fn bundle(t: &Test) -> Bundle {
    let b = t.bundle();
    for name in ["mnt", "mnt2"] {
        fs::create_dir(b.inside(name)).unwrap();
    }
    b.stays();
    b
}

fn is_mounted(c: &Container<'_>, point: &str) -> bool {
    mounts_of(c.pid()).iter().any(|mount| mount.point == point)
}

fn bind_is_added_and_removed(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let (_, mount) = bind(t, "/mnt", &["bind", "ro", "noexec"]);
    succeeds(&mounts(t, "add", &c, &json!([mount])));
    let made = mount_at(&mounts_of(c.pid()), "/mnt");
    assert!(made.has("ro") && made.has("noexec"), "{made:?}");
    assert_eq!(fs::read_to_string(c.inside("/mnt/mark")).unwrap(), "/mnt");
    succeeds(&mounts(t, "remove", &c, &json!([{"destination": "/mnt"}])));
    assert!(!is_mounted(&c, "/mnt"));
    Ok(())
}

fn bind_of_a_file_is_added_and_removed(t: &Test) -> Verdict {
    let b = bundle(t);
    fs::write(b.inside("/mnt/file"), "the image's").unwrap();
    let c = t.start(&b);
    let file = t.dir.join("file");
    fs::write(&file, "the host's").unwrap();
    let mount = json!([{"destination": "/mnt/file", "type": "bind", "source": file, "options": ["bind"]}]);
    succeeds(&mounts(t, "add", &c, &mount));
    assert_eq!(fs::read_to_string(c.inside("/mnt/file")).unwrap(), "the host's");
    succeeds(&mounts(t, "remove", &c, &mount));
    assert_eq!(fs::read_to_string(c.inside("/mnt/file")).unwrap(), "the image's");
    Ok(())
}

fn tmpfs_is_added_with_its_options(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let options = json!(["nosuid", "size=64k", "mode=751"]);
    let mount = json!([{"destination": "/mnt", "type": "tmpfs", "source": "fast", "options": options}]);
    succeeds(&mounts(t, "add", &c, &mount));
    let made = mount_at(&mounts_of(c.pid()), "/mnt");
    assert!(made.has("nosuid") && made.super_has("size=64k"), "{made:?}");
    assert_eq!(fs::metadata(c.inside("/mnt")).unwrap().permissions().mode() & 0o7777, 0o751);
    Ok(())
}

fn destination_missing_is_made(t: &Test) -> Verdict {
    let b = bundle(t);
    b.writable();
    let c = t.start(&b);
    succeeds(&mounts(t, "add", &c, &json!([tmpfs("/a/b/c"), bind(t, "/mnt/d", &["rbind"]).1])));
    assert!(is_mounted(&c, "/a/b/c") && is_mounted(&c, "/mnt/d"));
    Ok(())
}

fn destination_missing_in_a_readonly_root_fails(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let words = if t.runtime.is_ours() { &["(from /0)", "read-only file system"][..] } else { &[] };
    fails(&mounts(t, "add", &c, &json!([tmpfs("/missing")])), words);
    Ok(())
}

fn several_are_added_one_in_the_other(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let (source, outer) = bind(t, "/mnt", &["rbind"]);
    fs::create_dir(source.join("inner")).unwrap();
    let document = json!([outer, tmpfs("/mnt/inner"), tmpfs("/mnt2")]);
    succeeds(&mounts(t, "add", &c, &document));
    for point in ["/mnt", "/mnt/inner", "/mnt2"] {
        assert!(is_mounted(&c, point), "{point}");
    }
    if t.runtime.is_ours() {
        succeeds(&mounts(t, "remove", &c, &document));
        for point in ["/mnt", "/mnt/inner", "/mnt2"] {
            assert!(!is_mounted(&c, point), "{point}");
        }
    }
    Ok(())
}

fn source_missing_adds_none(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let missing = json!({"destination": "/mnt2", "type": "bind", "source": "/no/such", "options": ["bind"]});
    let words = if t.runtime.is_ours() { &["/no/such (from /1)", "no such file"][..] } else { &["/no/such"] };
    fails(&mounts(t, "add", &c, &json!([tmpfs("/mnt"), missing])), words);
    assert!(!is_mounted(&c, "/mnt"));
    Ok(())
}

fn later_destination_that_fails_adds_none(t: &Test) -> Verdict {
    let b = bundle(t);
    fs::write(b.inside("/file"), "").unwrap();
    let c = t.start(&b);
    let file = t.dir.join("file");
    fs::write(&file, "").unwrap();
    let file = json!({"destination": "/file", "type": "bind", "source": file, "options": ["bind"]});
    let (_, bound) = bind(t, "/mnt2", &["bind"]);
    fails(
        &mounts(t, "add", &c, &json!([tmpfs("/mnt"), file, bound, tmpfs("/mnt2"), tmpfs("/missing")])),
        &[],
    );
    for point in ["/mnt", "/file", "/mnt2"] {
        assert!(!is_mounted(&c, point), "{point}");
    }
    Ok(())
}

fn destination_without_a_mount_removes_none(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    succeeds(&mounts(t, "add", &c, &json!([tmpfs("/mnt")])));
    let words = if t.runtime.is_ours() { &["(from /1)"][..] } else { &[] };
    fails(&mounts(t, "remove", &c, &json!([{"destination": "/mnt"}, {"destination": "/mnt2"}])), words);
    assert!(is_mounted(&c, "/mnt"));
    // The second of the same is not there any more when its turn comes: the first is put back.
    fails(&mounts(t, "remove", &c, &json!([{"destination": "/mnt"}, {"destination": "/mnt"}])), &[]);
    assert!(is_mounted(&c, "/mnt"));
    Ok(())
}

fn created_container_gets_one(t: &Test) -> Verdict {
    let b = bundle(t);
    b.args(&["sh", "-c", "cat /mnt/mark >/fifo; exec sleep 1000"]);
    let mut fifo = b.fifo("/fifo");
    let c = t.create(&b);
    let (source, mount) = bind(t, "/mnt", &["bind"]);
    fs::write(source.join("mark"), "before start\n").unwrap();
    succeeds(&mounts(t, "add", &c, &json!([mount])));
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(fifo.line(), "before start");
    Ok(())
}

fn paused_container_gets_one(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    c.call(&["pause"]).ok();
    succeeds(&mounts(t, "add", &c, &json!([tmpfs("/mnt")])));
    assert!(is_mounted(&c, "/mnt"));
    assert_eq!(c.status(), "paused");
    c.call(&["resume"]).ok();
    assert!(is_mounted(&c, "/mnt"));
    Ok(())
}

fn stopped_container_fails(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    c.stop();
    for action in ["add", "remove"] {
        fails(&mounts(t, action, &c, &json!([tmpfs("/mnt")])), &["not running"]);
    }
    Ok(())
}

fn missing_container_fails(t: &Test) -> Verdict {
    let file = t.dir.join("mounts");
    fs::write(&file, "[]").unwrap();
    for action in ["add", "remove"] {
        t.call(&["mounts", action, &t.fresh_name()]).args([&file]).fails().says("does not exist");
    }
    Ok(())
}

fn document_invalid_fails(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    fails(&mounts(t, "add", &c, &json!({"mounts": [tmpfs("/mnt")]})), &["array"]);
    if t.runtime.is_ours() {
        let violation = "invalid mounts: /1/destination: is required";
        fails(&mounts(t, "add", &c, &json!([tmpfs("/mnt"), {"type": "tmpfs"}])), &[violation]);
        fails(&mounts(t, "remove", &c, &json!([tmpfs("/mnt"), {}])), &[violation]);
        t.call(&["mounts", "add", &c.id, "/no/such"]).fails().says("/no/such: no such file");
        t.call(&["mounts", "add", &c.id, "-"]).stdin(&json!([tmpfs("/mnt2")]).to_string()).ok();
        assert!(is_mounted(&c, "/mnt2"));
    }
    assert!(!is_mounted(&c, "/mnt"));
    Ok(())
}

fn action_unknown_fails(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let _ = t.call(&["mounts", "change", &c.id, "/no/such"]).fails();
    Ok(())
}

fn kinds_of_creation_are_refused(t: &Test) -> Verdict {
    if !t.runtime.is_ours() {
        return Ok(());
    }
    let c = t.start(&bundle(t));
    let mount = |fstype: &str, options: &[&str]| json!([tmpfs("/mnt2"), {"destination": "/mnt", "type": fstype, "source": fstype, "options": options}]);
    for (document, pointer) in [
        (mount("proc", &[]), "/1/type"),
        (mount("sysfs", &[]), "/1/type"),
        (mount("mqueue", &[]), "/1/type"),
        (mount("cgroup", &[]), "/1/type"),
        (mount("tmpfs", &["remount", "ro"]), "/1/options"),
        (mount("tmpfs", &["tmpcopyup"]), "/1/options"),
    ] {
        fails(&mounts(t, "add", &c, &document), &[&format!("(from {pointer})")]);
    }
    assert!(!is_mounted(&c, "/mnt2"));
    Ok(())
}

fn root_is_refused(t: &Test) -> Verdict {
    if !t.runtime.is_ours() {
        return Ok(());
    }
    let b = bundle(t);
    symlink("..", b.inside("/link")).unwrap();
    let c = t.start(&b);
    let before = mounts_of(c.pid()).len();
    for action in ["add", "remove"] {
        for destination in ["/", "/..", "/mnt/../."] {
            fails(&mounts(t, action, &c, &json!([tmpfs(destination)])), &["(from /0/destination)"]);
        }
    }
    fails(&mounts(t, "remove", &c, &json!([{"destination": "/link"}])), &["(from /0)"]);
    assert_eq!(mounts_of(c.pid()).len(), before);
    Ok(())
}

fn container_without_mount_namespace_is_refused(t: &Test) -> Verdict {
    if !t.runtime.is_ours() {
        return Ok(());
    }
    let b = bundle(t);
    b.without_namespace("mount").patch(|config| {
        config["mounts"] = json!([]);
        for key in ["maskedPaths", "readonlyPaths"] {
            config["linux"][key] = json!([]);
        }
    });
    b.unset("/process/noNewPrivileges").set("/root/readonly", false);
    let c = t.start(&b);
    fails(&mounts(t, "add", &c, &json!([tmpfs("/mnt")])), &["no mount namespace of its own"]);
    Ok(())
}

fn propagation_is_set(t: &Test) -> Verdict {
    let c = t.start(&bundle(t));
    let (_, mount) = bind(t, "/mnt", &["rbind", "rshared"]);
    succeeds(&mounts(t, "add", &c, &json!([mount])));
    assert!(mount_at(&mounts_of(c.pid()), "/mnt").is_shared());
    Ok(())
}

fn processes_see_them_at_once(t: &Test) -> Verdict {
    let b = bundle(t);
    b.sh("while read line; do cat /mnt/mark >/out; done </in");
    let mut input = b.fifo("/in");
    let mut output = b.fifo("/out");
    let c = t.start(&b);
    let (source, mount) = bind(t, "/mnt", &["bind"]);
    fs::write(source.join("mark"), "there\n").unwrap();
    succeeds(&mounts(t, "add", &c, &json!([mount])));
    input.send("go");
    assert_eq!(output.line(), "there");
    Ok(())
}

/// In a user namespace whose root the bundle's directories let pass.
fn in_user_namespace(t: &Test) -> Bundle {
    let b = bundle(t);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let mut path = b.rootfs();
    while path.starts_with(&t.dir) || path == t.dir {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o055)).unwrap();
        path.pop();
    }
    b
}

fn user_namespace_root_owns_them(t: &Test) -> Verdict {
    let c = t.start(&in_user_namespace(t));
    // A directory that only the host's root may enter.
    let (source, bound) = bind(t, "/mnt2", &["bind"]);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    succeeds(&mounts(t, "add", &c, &json!([tmpfs("/mnt"), bound])));
    assert_eq!(fs::metadata(c.inside("/mnt")).unwrap().uid(), 100_000);
    assert_eq!(fs::metadata(c.inside("/mnt2")).unwrap().uid(), 0);
    succeeds(&mounts(t, "remove", &c, &json!([{"destination": "/mnt"}, {"destination": "/mnt2"}])));
    assert!(!is_mounted(&c, "/mnt") && !is_mounted(&c, "/mnt2"));
    Ok(())
}

fn user_namespace_gets_what_the_hosts_root_reaches(t: &Test) -> Verdict {
    let c = t.start(&in_user_namespace(t));
    let (source, mut bound) = bind(t, "/mnt", &["rbind"]);
    let inner = source.join("inner");
    fs::create_dir(&inner).unwrap();
    chown(&source, Some(1500), Some(1500)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    bound["source"] = json!(inner);
    succeeds(&mounts(t, "add", &c, &json!([bound])));
    assert!(is_mounted(&c, "/mnt"));
    Ok(())
}

fn user_namespace_cannot_clear_flags_of_the_host(t: &Test) -> Verdict {
    let c = t.start(&in_user_namespace(t));
    let (source, bound) = bind(t, "/mnt", &["bind"]);
    rustix::mount::mount_bind(&source, &source).unwrap();
    let remount = rustix::mount::MountFlags::RDONLY | rustix::mount::MountFlags::BIND;
    let made = rustix::mount::mount_remount(&source, remount, "");
    let added = mounts(t, "add", &c, &json!([bound]));
    rustix::mount::unmount(&source, rustix::mount::UnmountFlags::DETACH).unwrap();
    made.unwrap();
    succeeds(&added);
    assert!(mount_at(&mounts_of(c.pid()), "/mnt").has("ro"));
    let remount = ["mount", "-o", "remount,bind,rw", "/mnt"];
    t.call(&["exec", "--cap", "CAP_SYS_ADMIN", &c.id]).args(remount).output().exits(1).says("denied");
    assert!(mount_at(&mounts_of(c.pid()), "/mnt").has("ro"));
    Ok(())
}

fn idmapped_bind_takes_the_containers_maps(t: &Test) -> Verdict {
    let c = t.start(&in_user_namespace(t));
    let (source, bound) = bind(t, "/mnt", &["bind", "idmap"]);
    chown(source.join("mark"), Some(1000), Some(1000)).unwrap();
    succeeds(&mounts(t, "add", &c, &json!([bound])));
    let owners = t.call(&["exec", &c.id]).args(["stat", "-c", "%u %g", "/mnt/mark"]).ok();
    assert_eq!(owners.text(), "1000 1000");
    Ok(())
}

fn destination_through_links_stays_inside(t: &Test) -> Verdict {
    let b = bundle(t);
    b.writable();
    let canary = t.canary();
    symlink(&canary, b.inside("/absolute")).unwrap();
    symlink("../../../../../../../../../../../../..", b.inside("/up")).unwrap();
    let c = t.start(&b);
    let climbing = format!("/up{}", canary.display());
    succeeds(&mounts(t, "add", &c, &json!([tmpfs("/absolute/x"), tmpfs(&format!("{climbing}/y"))])));
    assert!(is_mounted(&c, &format!("{}/x", canary.display())));
    assert!(is_mounted(&c, &format!("{}/y", canary.display())));
    assert!(!canary.join("x").exists() && !canary.join("y").exists());
    Ok(())
}

fn destination_through_a_magic_link_fails(t: &Test) -> Verdict {
    let b = bundle(t);
    b.writable();
    symlink("/proc/self/cwd", b.inside("/link")).unwrap();
    let c = t.start(&b);
    let before = mounts_of(c.pid()).len();
    fails(&mounts(t, "add", &c, &json!([tmpfs("/link/x")])), &[]);
    assert_eq!(mounts_of(c.pid()).len(), before);
    Ok(())
}

fn destination_swapped_meanwhile_stays_inside(t: &Test) -> Verdict {
    let b = bundle(t);
    b.writable();
    fs::create_dir(b.inside("/place")).unwrap();
    symlink(t.dir.join("elsewhere"), b.inside("/way")).unwrap();
    b.sh("while :; do mv /place /kept; mv /way /place; mv /place /way; mv /kept /place; done");
    fs::create_dir(t.dir.join("elsewhere")).unwrap();
    let c = t.start(&b);
    for _ in 0..40 {
        let added = mounts(t, "add", &c, &json!([tmpfs("/place/x")]));
        if added.status.success() {
            let inside = |mount: &runtime_tests::procfs::Mount| mount.point.ends_with("/x");
            assert!(mounts_of(c.pid()).iter().any(inside), "{added}");
        }
    }
    assert_eq!(fs::read_dir(t.dir.join("elsewhere")).unwrap().count(), 0);
    Ok(())
}

/// Where no procfs is mounted on `/proc` nothing else is, either: what later writes there would go astray.
fn proc_is_for_a_procfs(t: &Test) -> Verdict {
    if !t.runtime.is_ours() {
        return Ok(());
    }
    let b = bundle(t);
    b.without_mount("/proc").set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    symlink("proc", b.inside("/link")).unwrap();
    let c = t.start(&b);
    let before = mounts_of(c.pid()).len();
    for destination in ["/proc", "/link", "/mnt/../proc/."] {
        fails(&mounts(t, "add", &c, &json!([tmpfs("/mnt"), tmpfs(destination)])), &["(from /1"]);
        fails(&mounts(t, "add", &c, &json!([bind(t, destination, &["bind"]).1])), &["(from /0"]);
    }
    assert_eq!(mounts_of(c.pid()).len(), before);
    Ok(())
}

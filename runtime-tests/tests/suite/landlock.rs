//! Landlock by annotation: what is not named can't be used, by the process and by those that are executed later.

use runtime_tests::{Bundle, Case, Skip, Test, Verdict};
use serde_json::json;

use crate::namespaces::user_bundle;

const READ_ONLY: &str = "/annotations/org.sandboxd.landlock.ro";
const READ_WRITE: &str = "/annotations/org.sandboxd.landlock.rw";

pub(crate) fn cases() -> Vec<Case> {
    // The annotations are ours.
    let ours =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("landlock::{name}"), run).only_ours();
    vec![
        ours("what_is_not_named_is_denied", what_is_not_named_is_denied),
        ours("without_annotations_nothing_is_restricted", without_annotations_nothing_is_restricted),
        ours("another_user_without_no_new_privileges_is_restricted", another_user_is_restricted),
        ours("user_namespace_is_restricted", user_namespace_is_restricted),
        ours("exec_is_restricted_too", exec_is_restricted_too),
        ours("command_that_is_not_named_cannot_be_started", command_that_is_not_named_cannot_be_started),
        ours("few_descriptors_are_enough", few_descriptors_are_enough),
        ours("missing_path_fails", missing_path_fails),
        ours("path_through_a_magic_link_fails", path_through_a_magic_link_fails),
        ours("mistakes_are_refused", mistakes_are_refused),
    ]
}

pub(crate) fn needs_landlock(t: &Test) -> Result<(), Skip> {
    let info = t.bare_call(&["info", "--format", "json"]).ok().json();
    let landlock = &info["security"]["Landlock"];
    if landlock["available"] == true { Ok(()) } else { Err(Skip::new(landlock["detail"].to_string())) }
}

/// A root to write to, with `/secret/f`, `/etc/f` and `/data`, which everybody may use.
fn prepare(b: &Bundle) {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    b.writable();
    for directory in ["/secret", "/data", "/etc"] {
        let path = b.inside(directory);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("f"), "content\n").unwrap();
        std::fs::set_permissions(path.join("f"), Permissions::from_mode(0o666)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    }
}

fn restrict(b: &Bundle) {
    b.set(READ_ONLY, "/bin:/etc:/proc").set(READ_WRITE, "/data:/dev/null");
}

/// What can be used, one word each.
const SCRIPT: &str = "try() { name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo $name; fi; }
    try read-etc cat /etc/f
    try write-etc sh -c 'echo x >>/etc/f'
    try read-data cat /data/f
    try write-data sh -c 'echo x >/data/g'
    try make-data mkdir /data/d
    try rename-data mv /data/g /data/d/g
    try remove-data rm -r /data/d
    try execute-data sh -c 'cp /bin/busybox /data/busybox && /data/busybox true'
    try read-secret cat /secret/f
    try list-secret ls /secret
    try write-secret sh -c 'echo x >/secret/g'
    try make-secret mkdir /secret/d
    try steal-secret mv /secret/f /data/stolen
    try list-root ls /";

const ALLOWED: [&str; 6] =
    ["read-etc", "read-data", "write-data", "make-data", "remove-data", "execute-data"];

fn assert_restricted(lines: &[&str]) {
    // Landlock of Linux before 5.19 denies what moves a file between directories.
    let lines: Vec<&str> = lines.iter().copied().filter(|line| *line != "rename-data").collect();
    assert_eq!(lines, ALLOWED);
}

fn what_is_not_named_is_denied(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    restrict(&b);
    assert_restricted(&t.output_of(&b, SCRIPT).lines());
    // Reading and writing apart.
    let b = t.bundle();
    prepare(&b);
    b.set(READ_ONLY, "/").set(READ_WRITE, "/dev/null");
    let output = t.output_of(&b, SCRIPT);
    assert_eq!(output.lines(), ["read-etc", "read-data", "read-secret", "list-secret", "list-root"]);
    Ok(())
}

fn without_annotations_nothing_is_restricted(t: &Test) -> Verdict {
    let b = t.bundle();
    prepare(&b);
    b.set("/annotations/org.example", "x");
    let output = t.output_of(&b, SCRIPT);
    assert_eq!(output.lines().len(), 14, "{output}");
    Ok(())
}

fn another_user_is_restricted(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    restrict(&b);
    b.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/noNewPrivileges", false);
    assert_restricted(&t.output_of(&b, SCRIPT).lines());
    // The right to restrict is not passed on.
    let output = t.output_of(&b, "grep -E 'Cap(Eff|Prm)' /proc/self/status");
    assert!(output.lines().iter().all(|line| line.ends_with("0000000000000000")), "{output}");
    Ok(())
}

fn user_namespace_is_restricted(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = user_bundle(t);
    prepare(&b);
    restrict(&b);
    assert_restricted(&t.output_of(&b, SCRIPT).lines());
    Ok(())
}

fn exec_is_restricted_too(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    restrict(&b);
    b.stays();
    let c = t.start(&b);
    assert_restricted(&c.call(&["exec"]).args(["sh", "-c", SCRIPT]).ok().lines());
    Ok(())
}

fn command_that_is_not_named_cannot_be_started(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    b.set(READ_WRITE, "/data").args(&["/bin/true"]);
    let _ = t.run(&b).fails().says("permission denied");
    let c = t.create(&b);
    let _ = c.call(&["start"]).fails().says("permission denied");
    Ok(())
}

fn few_descriptors_are_enough(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    b.set(READ_ONLY, "/").set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 20}]));
    for number in 0..40 {
        b.push("/mounts", json!({"destination": format!("/m{number}"), "type": "tmpfs", "source": "tmpfs"}));
    }
    assert_eq!(
        t.output_of(&b, "cat /etc/f; echo x 2>/dev/null >/data/f || echo denied").lines(),
        ["content", "denied"]
    );
    Ok(())
}

fn missing_path_fails(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    b.set(READ_ONLY, "/bin:/no/such/path");
    let _ = t.create_fails(&b).says("/no/such/path").says(READ_ONLY).says("no such file");
    Ok(())
}

fn mistakes_are_refused(t: &Test) -> Verdict {
    for (annotation, value) in
        [("/annotations/org.sandboxd.landlock.r", "/"), (READ_ONLY, "bin"), (READ_WRITE, "/bin:")]
    {
        let b = t.bundle();
        b.set(annotation, value);
        let _ = t.create_fails(&b).says(annotation);
    }
    Ok(())
}

/// A link of the image's to what the process has open: the rule would be about a file that is not the container's.
fn path_through_a_magic_link_fails(t: &Test) -> Verdict {
    needs_landlock(t)?;
    let b = t.bundle();
    prepare(&b);
    std::os::unix::fs::symlink("/proc/self/fd/0", b.inside("/link")).unwrap();
    restrict(&b);
    b.set(READ_WRITE, "/data:/link");
    let input = std::fs::File::open(t.canary()).unwrap();
    let _ = t.run(&b).stdin_file(input).fails().says("too many levels of symbolic links");
    Ok(())
}

//! Mistakes with the command that the container runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use runtime_tests::{Bundle, Call, Skip, Test};
use serde_json::json;

use crate::landlock;

use super::{Mistake, call, create, run};

pub(super) const MISTAKES: &[Mistake] = &[
    ("command_not_in_path", |t| command(t, "no-such-command")),
    ("command_missing", |t| command(t, "/bin/no-such-command")),
    ("command_is_a_directory", |t| command(t, "/etc")),
    ("command_not_executable", |t| program(t, b"#!/bin/sh\n", 0o644)),
    ("command_of_another_architecture", |t| {
        // EM_AARCH64 where it isn't, EM_X86_64 where it is.
        let machine = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        header[16] = 2;
        header[18] = machine;
        program(t, &header, 0o755)
    }),
    ("command_of_no_known_format", |t| program(t, b"echo hello\n", 0o755)),
    ("command_interpreter_missing", |t| program(t, b"#!/usr/bin/no-such-interpreter -e\n", 0o755)),
    ("command_interpreter_ends_in_carriage_return", |t| program(t, b"#!/bin/sh\r\necho\r\n", 0o755)),
    ("command_loader_missing", |t| {
        let dynamic = fs::read("/usr/bin/env").unwrap();
        program(t, &dynamic, 0o755)
    }),
    ("command_not_allowed_by_landlock", |t| {
        landlock::needs_landlock(t)?;
        let bundle = t.bundle();
        bundle.set("/annotations/org.sandboxd.landlock.ro", "/etc").args(&["sleep", "1"]);
        run(t, &bundle)
    }),
    ("command_on_a_noexec_mount", |t| {
        let bundle = t.bundle();
        let source = t.dir.join("tools");
        fs::create_dir(&source).unwrap();
        write(&source.join("tool"), b"#!/bin/sh\n", 0o755);
        bundle.mount("/mnt", "bind", source.to_str().unwrap(), &["bind", "noexec"]).args(&["/mnt/tool"]);
        run(t, &bundle)
    }),
    ("command_not_for_this_user", |t| {
        let bundle = t.bundle();
        write(&bundle.inside("/bin/tool"), b"#!/bin/sh\n", 0o700);
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(&["/bin/tool"]);
        run(t, &bundle)
    }),
    ("command_missing_at_start", |t| {
        // Looked for at create: it goes away in between.
        let bundle = t.bundle();
        write(&bundle.inside("/bin/tool"), b"#!/bin/sh\n", 0o755);
        bundle.args(&["/bin/tool"]);
        let container = t.create(&bundle);
        fs::remove_file(bundle.inside("/bin/tool")).unwrap();
        Ok(call(t, &["start", &container.id]))
    }),
    ("cwd_is_a_file", |t| {
        let bundle = t.bundle();
        bundle.set("/process/cwd", "/etc/passwd");
        create(t, &bundle)
    }),
    ("cwd_missing_in_a_readonly_root", |t| {
        let bundle = t.bundle();
        bundle.set("/process/cwd", "/proc/absent");
        create(t, &bundle)
    }),
    ("cwd_not_for_this_user", |t| {
        let bundle = t.bundle();
        fs::set_permissions(bundle.inside("/root"), fs::Permissions::from_mode(0o700)).unwrap();
        bundle.set("/process/cwd", "/root").set("/process/user", json!({"uid": 1000, "gid": 1000}));
        // Nor for the root of its user namespace, whom it does not belong to.
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        create(t, &bundle)
    }),
];

fn command(t: &Test, name: &str) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.args(&[name]);
    run(t, &bundle)
}

fn program(t: &Test, content: &[u8], mode: u32) -> Result<Call, Skip> {
    let bundle: Bundle = t.bundle();
    write(&bundle.inside("/bin/tool"), content, mode);
    bundle.args(&["/bin/tool"]);
    run(t, &bundle)
}

fn write(path: &std::path::Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

//! Devices: the default nodes and links, those of the config.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use runtime_tests::{Bundle, Case, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    cases!["devices":
        default_nodes_are_there,
        default_links_are_there,
        default_nodes_without_a_dev_mount,
        character_block_and_fifo_are_made,
        type_u_is_a_character_device,
        path_with_slashes_at_its_end_is_made,
        mode_and_owner_are_the_configs,
        mode_absent_is_0666,
        path_missing_parents_are_made,
        path_outside_dev_is_made,
        unknown_type_fails,
        numbers_missing_fail,
        default_device_in_the_config_is_accepted,
        ptmx_in_the_config_stays_the_containers_own,
        duplicate_with_other_numbers_fails_or_the_last_wins,
        network_device_tun_is_usable_when_allowed,
        another_file_at_the_path_fails,
        same_device_at_the_path_is_taken,
        device_of_the_host_stays_as_it_is,
    ]
}

fn default_nodes_are_there(t: &Test) -> Verdict {
    let script =
        "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$d; done";
    let kind = "character special file";
    assert_eq!(
        t.output_of(&t.bundle(), script).lines(),
        [
            format!("/dev/null {kind} 1:3 666 0:0"),
            format!("/dev/zero {kind} 1:5 666 0:0"),
            format!("/dev/full {kind} 1:7 666 0:0"),
            format!("/dev/random {kind} 1:8 666 0:0"),
            format!("/dev/urandom {kind} 1:9 666 0:0"),
            format!("/dev/tty {kind} 5:0 666 0:0"),
        ]
    );
    Ok(())
}

fn default_links_are_there(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done");
    let lines = output.lines();
    assert_eq!(lines[..4], ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]);
    assert!(["pts/ptmx", "/dev/pts/ptmx"].contains(&lines[4]), "{output}");
    Ok(())
}

fn default_nodes_without_a_dev_mount(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable();
    b.patch(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    assert_eq!(
        t.output_of(&b, "echo x >/dev/null; stat -c %t:%T /dev/null; readlink /dev/fd").lines(),
        ["1:3", "/proc/self/fd"]
    );
    Ok(())
}

fn with_devices(t: &Test, devices: &Value) -> Bundle {
    let b = t.bundle();
    b.set("/linux/devices", devices.clone()).stays();
    b
}

fn character_block_and_fifo_are_made(t: &Test) -> Verdict {
    let b = with_devices(
        t,
        &json!([
            {"type": "c", "path": "/dev/test1", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 1, "gid": 2},
            {"type": "b", "path": "/dev/test2", "major": 8, "minor": 666, "fileMode": 0o640, "uid": 0, "gid": 6},
            {"type": "p", "path": "/dev/test3", "fileMode": 0o622},
        ]),
    );
    let script = "stat -c '%F %t:%T %a %u:%g' /dev/test1 /dev/test2; stat -c '%F %a' /dev/test3";
    assert_eq!(
        t.output_of(&b, script).lines(),
        ["character special file a:e5 600 1:2", "block special file 8:29a 640 0:6", "fifo 622"]
    );
    Ok(())
}

fn type_u_is_a_character_device(t: &Test) -> Verdict {
    let b = with_devices(t, &json!([{"type": "u", "path": "/dev/test", "major": 10, "minor": 229}]));
    let c = t.create(&b);
    assert!(fs::metadata(c.inside("/dev/test")).unwrap().file_type().is_char_device());
    Ok(())
}

fn path_with_slashes_at_its_end_is_made(t: &Test) -> Verdict {
    let b = with_devices(t, &json!([{"type": "c", "path": "/dev/test//", "major": 10, "minor": 229}]));
    let c = t.create(&b);
    assert!(fs::metadata(c.inside("/dev/test")).unwrap().file_type().is_char_device());
    Ok(())
}

fn mode_and_owner_are_the_configs(t: &Test) -> Verdict {
    for (mode, uid, gid) in [(0o777, 5, 6), (0o000, 0, 0), (0o1666, 7, 0)] {
        let b = with_devices(
            t,
            &json!([{"type": "c", "path": "/dev/test", "major": 1, "minor": 3, "fileMode": mode, "uid": uid, "gid": gid}]),
        );
        let c = t.create(&b);
        let meta = fs::metadata(c.inside("/dev/test")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, uid, gid));
    }
    Ok(())
}

fn mode_absent_is_0666(t: &Test) -> Verdict {
    let b = with_devices(t, &json!([{"type": "c", "path": "/dev/test", "major": 1, "minor": 3}]));
    let c = t.create(&b);
    let mode = fs::metadata(c.inside("/dev/test")).unwrap().mode() & 0o7777;
    assert!([0o666, 0].contains(&mode), "{mode:o}");
    Ok(())
}

fn path_missing_parents_are_made(t: &Test) -> Verdict {
    let b = with_devices(
        t,
        &json!([{"type": "c", "path": "/dev/net/deep/test", "major": 1, "minor": 3, "fileMode": 438}]),
    );
    let c = t.create(&b);
    assert_eq!(fs::metadata(c.inside("/dev/net/deep/test")).unwrap().rdev(), nix::sys::stat::makedev(1, 3));
    Ok(())
}

fn path_outside_dev_is_made(t: &Test) -> Verdict {
    let b = with_devices(
        t,
        &json!([{"type": "c", "path": "/etc/test", "major": 1, "minor": 3, "fileMode": 438}]),
    );
    let c = t.create(&b);
    assert_eq!(fs::metadata(c.inside("/etc/test")).unwrap().rdev(), nix::sys::stat::makedev(1, 3));
    Ok(())
}

fn unknown_type_fails(t: &Test) -> Verdict {
    let _ = t
        .create_fails(&with_devices(t, &json!([{"type": "x", "path": "/dev/test", "major": 1, "minor": 3}])));
    Ok(())
}

fn numbers_missing_fail(t: &Test) -> Verdict {
    // config-linux.md: major and minor are REQUIRED unless the type is p.
    let _ = t.create_fails(&with_devices(t, &json!([{"type": "c", "path": "/dev/test"}])));
    Ok(())
}

fn default_device_in_the_config_is_accepted(t: &Test) -> Verdict {
    let b = with_devices(
        t,
        &json!([{"type": "c", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 438}]),
    );
    assert_eq!(t.output_of(&b, "echo x >/dev/null; stat -c %a /dev/null").text(), "666");
    Ok(())
}

fn ptmx_in_the_config_stays_the_containers_own(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/devices", json!([{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]));
    let output = t.output_of(&b, "readlink /dev/ptmx");
    assert!(["pts/ptmx", "/dev/pts/ptmx"].contains(&output.text()), "{output}");
    Ok(())
}

fn duplicate_with_other_numbers_fails_or_the_last_wins(t: &Test) -> Verdict {
    let device =
        |minor| json!({"type": "c", "path": "/dev/test", "major": 1, "minor": minor, "fileMode": 438});
    let b = with_devices(t, &json!([device(3), device(5)]));
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.output();
    if output.status.success() {
        let c = runtime_tests::Container::open(t, &id);
        let made = fs::metadata(c.inside("/dev/test")).unwrap().rdev();
        assert!([nix::sys::stat::makedev(1, 3), nix::sys::stat::makedev(1, 5)].contains(&made));
    } else {
        let _ = output.fails();
    }
    Ok(())
}

/// A `/dev` of the image's own, with this device asked for in it.
fn with_own_dev(t: &Test) -> Bundle {
    let b = t.bundle();
    b.patch(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    let device = json!({"type": "c", "path": "/dev/test", "major": 1, "minor": 5, "fileMode": 438});
    b.writable().set("/linux/devices", json!([device]));
    b
}

/// config-linux.md, devices: a file that does not match the requested device MUST be an error.
fn another_file_at_the_path_fails(t: &Test) -> Verdict {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    type Make = fn(&std::path::Path);
    let others: [(&str, Make); 4] = [
        ("file", |path| fs::write(path, "").unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("other device", |path| mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3)).unwrap()),
        ("other kind", |path| mknod(path, SFlag::S_IFBLK, Mode::S_IRWXU, makedev(1, 5)).unwrap()),
    ];
    for (_, make) in others {
        let b = with_own_dev(t);
        make(&b.inside("/dev/test"));
        t.create_fails(&b);
    }
    Ok(())
}

fn same_device_at_the_path_is_taken(t: &Test) -> Verdict {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let b = with_own_dev(t);
    mknod(&b.inside("/dev/test"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).unwrap();
    assert_eq!(t.output_of(&b, "head -c 3 /dev/test | wc -c").text(), "3");
    Ok(())
}

/// Through a bind mount it is the host's node that is at the path.
fn device_of_the_host_stays_as_it_is(t: &Test) -> Verdict {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let host = t.dir.join("host");
    fs::create_dir(&host).unwrap();
    let node = host.join("node");
    mknod(&node, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
    for options in [&["rbind"][..], &["rbind", "ro"]] {
        let device = json!({"path": "/dev/host/node", "type": "c", "major": 1, "minor": 3, "uid": 5, "gid": 6,
                            "fileMode": 438});
        let b = with_devices(t, &json!([device]));
        b.mount("/dev/host", "bind", host.to_str().unwrap(), options);
        assert_eq!(t.output_of(&b, "stat -c '%u:%g %a' /dev/host/node").text(), "0:0 400");
        let found = fs::metadata(&node).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (0, 0, 0o400));
    }
    Ok(())
}

fn network_device_tun_is_usable_when_allowed(t: &Test) -> Verdict {
    if !std::path::Path::new("/sys/dev/char/10:200").exists() {
        return Err(runtime_tests::Skip::new("no device 10:200 (tun)"));
    }
    let b = with_devices(
        t,
        &json!([{"type": "c", "path": "/dev/net/tun", "major": 10, "minor": 200, "fileMode": 438}]),
    );
    b.push(
        "/linux/resources/devices",
        json!({"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm"}),
    );
    let _ = t.output_of(&b, "head -c0 </dev/net/tun");
    Ok(())
}

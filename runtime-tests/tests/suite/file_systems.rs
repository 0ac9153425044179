//! Mounts of overlay and of file systems in user space: by the runtime, and of the host's bound into a container.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use runtime_tests::fuse::{CONTENT, Mounted, serve};
use runtime_tests::procfs::{mount_at, mounts_of};
use runtime_tests::{Bundle, Case, Test, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    cases!["file_systems":
        overlay_writes_to_its_upper_directory,
        overlay_of_lower_directories_alone_is_read_only,
        overlay_of_many_layers,
        overlay_read_only_is_so_itself,
        overlay_in_a_user_namespace,
        overlay_below_the_root_of_the_container,
        fuse_is_mounted_with_a_descriptor_of_the_caller,
        fuse_of_the_host_is_bound,
        fuse_that_others_may_use_is_bound_into_a_user_namespace,
        fuse_file_is_bound_on_a_file,
    ]
}

/// A directory of the test with a file of its name in it, and one that each has.
fn layer(t: &Test, name: &str) -> PathBuf {
    let path = t.dir.join(name);
    fs::create_dir(&path).unwrap();
    fs::write(path.join(name), name).unwrap();
    fs::write(path.join("all"), name).unwrap();
    path
}

fn directory(t: &Test, name: &str) -> PathBuf {
    let path = t.dir.join(name);
    fs::create_dir(&path).unwrap();
    path
}

fn option(name: &str, path: &std::path::Path) -> String {
    format!("{name}={}", path.display())
}

fn overlay(b: &Bundle, options: &[String]) {
    fs::create_dir(b.inside("/mnt")).unwrap();
    b.mount("/mnt", "overlay", "overlay", &options.iter().map(String::as_str).collect::<Vec<_>>());
}

fn overlay_writes_to_its_upper_directory(t: &Test) -> Verdict {
    let b = t.bundle();
    let (lower, upper, work) = (layer(t, "lower"), directory(t, "upper"), directory(t, "work"));
    overlay(&b, &[option("lowerdir", &lower), option("upperdir", &upper), option("workdir", &work)]);
    let output = t.output_of(&b, "cat /mnt/lower; echo changed >/mnt/all; rm /mnt/lower; ls /mnt");
    assert_eq!(output.text(), "lowerall");
    assert_eq!(fs::read_to_string(upper.join("all")).unwrap(), "changed\n");
    assert_eq!(fs::read_to_string(lower.join("all")).unwrap(), "lower");
    assert!(lower.join("lower").exists());
    Ok(())
}

fn overlay_of_lower_directories_alone_is_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    let (above, below) = (layer(t, "above"), layer(t, "below"));
    let lower = format!("lowerdir={}:{}", above.display(), below.display());
    overlay(&b, &[lower, "nosuid".to_owned(), "nodev".to_owned()]);
    b.sh("ls /mnt; cat /mnt/all; touch /mnt/new");
    let output = t.run(&b).fails().says("Read-only file system");
    assert_eq!(output.lines(), ["above", "all", "below", "above"]);
    b.stays();
    let mount = mount_at(&mounts_of(t.start(&b).pid()), "/mnt");
    assert!(mount.kind == "overlay" && mount.has("nosuid") && mount.has("nodev"), "{mount:?}");
    Ok(())
}

fn overlay_of_many_layers(t: &Test) -> Verdict {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = kernel.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
        return Err(runtime_tests::Skip::new("the kernel takes layers one by one since 6.7"));
    }
    let b = t.bundle();
    // The last has a colon in its name, which is written with a backslash.
    let layers: Vec<_> = (0..12).map(|number| layer(t, &format!("layer-{number:02}"))).collect();
    let odd = layer(t, "la:yer");
    let escaped = odd.display().to_string().replace(':', "\\:");
    let paths: Vec<_> = layers.iter().map(|layer| layer.display().to_string()).chain([escaped]).collect();
    let (upper, work) = (directory(t, "upper"), directory(t, "work"));
    let lower = format!("lowerdir={}", paths.join(":"));
    assert!(lower.len() > 256);
    overlay(&b, &[lower, option("upperdir", &upper), option("workdir", &work)]);
    let output = t.output_of(&b, "cat /mnt/all /mnt/la:yer; echo; ls /mnt | wc -l; echo x >/mnt/new");
    assert_eq!(output.lines(), ["layer-00la:yer", "14"]);
    assert!(upper.join("new").exists());
    Ok(())
}

fn overlay_read_only_is_so_itself(t: &Test) -> Verdict {
    let b = t.bundle();
    let (lower, upper, work) = (layer(t, "lower"), directory(t, "upper"), directory(t, "work"));
    let options =
        [option("lowerdir", &lower), option("upperdir", &upper), option("workdir", &work), "ro".to_owned()];
    overlay(&b, &options);
    b.stays();
    let mount = mount_at(&mounts_of(t.start(&b).pid()), "/mnt");
    assert!(mount.has("ro") && mount.super_options.iter().any(|option| option == "ro"), "{mount:?}");
    Ok(())
}

fn overlay_in_a_user_namespace(t: &Test) -> Verdict {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let (lower, upper, work) = (layer(t, "lower"), directory(t, "upper"), directory(t, "work"));
    for path in [&lower, &upper, &work, &lower.join("lower"), &lower.join("all"), &b.rootfs()] {
        chown(path, Some(100_000), Some(100_000)).unwrap();
    }
    overlay(&b, &[option("lowerdir", &lower), option("upperdir", &upper), option("workdir", &work)]);
    let output = t.output_of(&b, "cat /mnt/lower; echo changed >/mnt/all; stat -c ' %u %g' /mnt/all");
    assert_eq!(output.text(), "lower 0 0");
    assert_eq!(fs::read_to_string(upper.join("all")).unwrap(), "changed\n");
    Ok(())
}

/// What an engine does: the root itself is an overlay, with further mounts in it.
fn overlay_below_the_root_of_the_container(t: &Test) -> Verdict {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    struct Root(PathBuf);
    impl Drop for Root {
        fn drop(&mut self) {
            let _ = unmount(&self.0, UnmountFlags::DETACH);
        }
    }
    let b = t.bundle();
    let (upper, work, merged) = (directory(t, "upper"), directory(t, "work"), directory(t, "merged"));
    let options = [option("lowerdir", &b.rootfs()), option("upperdir", &upper), option("workdir", &work)];
    let options = std::ffi::CString::new(options.join(",")).unwrap();
    mount("overlay", &merged, "overlay", MountFlags::empty(), &*options).unwrap();
    let _merged = Root(merged.clone());
    b.set("/root/path", merged.to_str().unwrap()).writable();
    b.mount("/made/by/the/runtime", "tmpfs", "tmpfs", &[]);
    let output = t.output_of(&b, "echo x >/new; grep ' / / ' /proc/self/mountinfo | sed 's/.* - //'");
    assert!(output.text().starts_with("overlay "), "{output}");
    // The image stays as it is.
    assert!(upper.join("new").exists() && upper.join("made/by/the/runtime").exists());
    assert!(!b.inside("new").exists() && !b.inside("made").exists());
    Ok(())
}

fn fuse_is_mounted_with_a_descriptor_of_the_caller(t: &Test) -> Verdict {
    let b = t.bundle();
    let device = serve()?;
    fs::create_dir(b.inside("/mnt")).unwrap();
    b.mount("/mnt", "fuse", "user-space", &["fd=3", "rootmode=40000", "user_id=0", "group_id=0", "nosuid"]);
    b.sh("cat /mnt/mark; grep -c '/mnt .* - fuse' /proc/self/mountinfo");
    let (call, _) = t.bundle_call("run", &b, &["--preserve-fds", "1"]);
    let output = call.stdin_file(device.into()).through_sh("exec 3<&0; : | \"$@\"").ok();
    assert_eq!(output.stdout, format!("{CONTENT}1\n"));
    Ok(())
}

fn fuse_of_the_host_is_bound(t: &Test) -> Verdict {
    let b = t.bundle();
    let path = t.dir.join("fuse");
    let _mounted = Mounted::at(&path, "")?;
    b.mount("/mnt", "bind", path.to_str().unwrap(), &["bind", "ro", "nosuid", "nodev"]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark").stdout, CONTENT);
    b.stays();
    let mount = mount_at(&mounts_of(t.start(&b).pid()), "/mnt");
    let flags = ["ro", "nosuid", "nodev"];
    assert!(mount.kind == "fuse" && flags.iter().all(|flag| mount.has(flag)), "{mount:?}");
    Ok(())
}

fn fuse_that_others_may_use_is_bound_into_a_user_namespace(t: &Test) -> Verdict {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    chown(b.rootfs(), Some(100_000), Some(100_000)).unwrap();
    let path = t.dir.join("fuse");
    let _mounted = Mounted::at(&path, ",allow_other,default_permissions")?;
    b.mount("/mnt", "bind", path.to_str().unwrap(), &["rbind"]);
    let output = t.output_of(&b, "cat /mnt/mark; stat -c '%u %g' /mnt/mark");
    assert_eq!(output.stdout, format!("{CONTENT}65534 65534\n"));
    Ok(())
}

fn fuse_file_is_bound_on_a_file(t: &Test) -> Verdict {
    let b = t.bundle();
    let path = t.dir.join("fuse");
    let _mounted = Mounted::at(&path, "")?;
    fs::write(b.inside("/etc/mark"), "image\n").unwrap();
    b.mount("/etc/mark", "bind", path.join("mark").to_str().unwrap(), &["bind", "ro"]);
    assert_eq!(t.output_of(&b, "cat /etc/mark").stdout, CONTENT);
    Ok(())
}

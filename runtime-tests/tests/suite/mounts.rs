//! Mounts: the specification's option table, binds, propagation, destinations, what the root looks like.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use runtime_tests::disk::Disk;
use runtime_tests::procfs::{Mount, mount_at, mounts_of, parse_mountinfo};
use runtime_tests::{Bundle, Case, Skip, Test, Verdict, cases};
use rustix::fs::{major, minor};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["mounts":
        order_is_the_configs,
        bind_directory_is_the_same_inode,
        bind_file_is_the_same_inode,
        bind_device_and_socket_work,
        bind_relative_source_is_relative_to_the_bundle,
        bind_source_missing_fails,
        bind_does_not_take_submounts,
        rbind_takes_submounts,
        bind_ro_leaves_submounts_and_source_writable,
        bind_keeps_the_flags_of_its_source,
        bind_keeps_the_access_times_of_its_source,
        bind_with_options_drops_flags_that_none_names,
        bind_in_a_user_namespace_keeps_locked_flags,
        bind_in_a_user_namespace_of_what_the_hosts_root_reaches,
        bind_in_a_joined_user_namespace_of_what_the_hosts_root_reaches,
        many_binds_in_a_user_namespace_work,
        tmpfs_mode_is_an_option_that_shows,
        bind_type_none_needs_the_option,
        bind_of_the_read_only_canary_is_not_writable,
        rro_makes_submounts_read_only,
        recursive_options_reach_submounts,
        remount_changes_the_mount_that_is_there,
        destination_missing_is_created,
        destination_missing_file_is_created_for_a_file,
        destination_relative_is_below_the_root,
        destination_symlink_is_resolved_in_the_root,
        destination_symlink_in_the_middle_is_resolved_in_the_root,
        destination_dot_dot_stays_in_the_root,
        destination_absent_fails,
        nested_mounts_are_all_visible,
        same_destination_twice_the_later_is_on_top,
        destinations_below_a_new_file_system,
        tmpfs_options_are_applied,
        tmpfs_mode_of_the_directory_is_kept_without_option,
        tmpcopyup_copies_the_directory,
        tmpcopyup_read_only_is_read_only,
        tmpfs_root_is_as_its_options_say,
        unknown_type_fails,
        file_system_of_a_device_needs_no_device_rule,
        default_file_systems_are_there,
        default_proc_is_this_pid_namespaces,
        default_sys_is_read_only,
        cgroup_mount_is_read_only,
        masked_file_reads_empty,
        masked_directory_is_empty_and_read_only,
        masked_missing_path_is_no_failure,
        masked_symlink_is_no_way_out,
        readonly_path_cannot_be_written,
        readonly_directory_stays_readable_with_its_submounts,
        readonly_missing_path_is_no_failure,
        readonly_path_root_is_read_only,
        masked_paths_absent_masks_nothing,
        root_readonly_is_read_only,
        root_writable_is_writable,
        root_absolute_path_is_taken_as_it_is,
        root_is_a_mount_of_its_own,
        root_old_root_is_gone,
        root_keeps_the_host_untouched,
        no_pivot_works,
        no_pivot_leaves_no_whole_proc,
        tmpfs_read_only_holds_later_mounts_and_devices,
        masked_path_twice_is_masked_once,
        no_pivot_hides_the_host,
        propagation_of_the_root_private_by_default,
        propagation_host_mounts_do_not_arrive_in_private,
        propagation_host_mounts_arrive_in_slave,
        propagation_container_mounts_reach_the_host_in_shared,
        propagation_options_of_one_mount_add_up,
        propagation_of_a_mount_holds_whatever_the_roots,
        no_mounts_in_the_config_works,
        many_mounts_work,
        special_characters_in_paths,
        idmapped_bind_shows_mapped_owners,
        idmapped_bind_in_a_user_namespace_keeps_owners,
        idmapped_bind_by_an_option_shows_mapped_owners,
        bind_with_options_of_a_named_volume_works,
        idmapped_bind_takes_the_containers_maps,
        idmapped_bind_maps_the_mounts_below_with_ridmap,
        idmapped_bind_of_a_file_system_without_owners_is_refused,
        bind_of_a_mount_of_the_container,
        bind_of_a_mount_of_the_container_in_a_user_namespace,
        idmapped_bind_of_a_mount_of_the_container,
        idmapped_bind_of_a_mount_of_the_container_in_a_user_namespace,
        source_in_the_root_leads_out_by_no_link,
        destination_below_the_roots_place_is_one_of_the_root,
        idmap_without_mappings_or_user_namespace_fails,
        idmap_of_users_or_groups_alone_fails,
    ];
    let below = "mounts::readonly_path_covers_what_is_mounted_below";
    all.push(Case::new(below, readonly_path_covers_what_is_mounted_below).only_ours());
    all.push(Case::new("mounts::masked_path_root_fails", masked_path_root_fails).only_ours());
    for option in OPTIONS {
        let name = format!("mounts::option_{}", option.given.join("_").replace(['=', '%'], "_"));
        all.push(Case::new(name, move |t| option_is_applied(t, option)));
    }
    for kind in ["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"] {
        all.push(Case::new(format!("mounts::propagation_option_{kind}"), move |t| {
            propagation_option(t, kind)
        }));
    }
    for kind in ["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave"] {
        all.push(Case::new(format!("mounts::root_propagation_{kind}"), move |t| root_propagation(t, kind)));
    }
    for option in RECURSIVE {
        all.push(Case::new(format!("mounts::recursive_option_{}", option.0), move |t| {
            recursive_option(t, option)
        }));
    }
    for (index, (name, _)) in HOSTILE.iter().enumerate() {
        for target in ["tmpfs", "bind", "file"] {
            let name = format!("mounts::hostile_destination_{name}_{target}");
            all.push(Case::new(name, move |t| hostile_destination(t, HOSTILE[index].1, target)));
        }
    }
    all
}

/// An option of the specification's table on a tmpfs, and what mountinfo shows of it.
struct OptionRow {
    given: &'static [&'static str],
    shows: &'static [&'static str],
    lacks: &'static [&'static str],
}

const fn row(
    given: &'static [&'static str],
    shows: &'static [&'static str],
    lacks: &'static [&'static str],
) -> OptionRow {
    OptionRow { given, shows, lacks }
}

const OPTIONS: &[OptionRow] = &[
    row(&["ro"], &["ro"], &["rw"]),
    row(&["rw"], &["rw"], &["ro"]),
    row(&["ro", "rw"], &["rw"], &["ro"]),
    row(&["nosuid"], &["nosuid"], &[]),
    row(&["nosuid", "suid"], &[], &["nosuid"]),
    row(&["nodev"], &["nodev"], &[]),
    row(&["nodev", "dev"], &[], &["nodev"]),
    row(&["noexec"], &["noexec"], &[]),
    row(&["noexec", "exec"], &[], &["noexec"]),
    row(&["noatime"], &["noatime"], &["relatime"]),
    row(&["nodiratime"], &["nodiratime"], &[]),
    row(&["nodiratime", "diratime"], &[], &["nodiratime"]),
    row(&["relatime"], &["relatime"], &["noatime"]),
    row(&["strictatime"], &[], &["noatime", "relatime"]),
    row(&["noatime", "atime"], &[], &["noatime"]),
    row(&["noatime", "norelatime"], &["noatime"], &["relatime"]),
    row(&["strictatime", "nostrictatime"], &["relatime"], &["noatime"]),
    row(&["sync"], &["sync"], &[]),
    row(&["sync", "async"], &[], &["sync"]),
    row(&["dirsync"], &["dirsync"], &[]),
    row(&["lazytime"], &["lazytime"], &[]),
    row(&["lazytime", "nolazytime"], &[], &["lazytime"]),
    row(&["mand", "nomand"], &[], &["mand"]),
    row(&["silent"], &[], &[]),
    row(&["silent", "loud"], &[], &[]),
    row(&["iversion"], &[], &[]),
    row(&["iversion", "noiversion"], &[], &[]),
    row(&["defaults"], &["rw"], &["nosuid", "nodev", "noexec"]),
    row(&["nosymfollow"], &["nosymfollow"], &[]),
    row(&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
    row(&["acl"], &[], &[]),
    row(&["noacl"], &[], &[]),
    row(&["size=64k"], &["size=64k"], &[]),
    row(&["mode=1711"], &["mode=1711"], &[]),
    row(&["uid=7", "gid=8"], &["uid=7", "gid=8"], &[]),
    row(&["nr_inodes=100"], &["nr_inodes=100"], &[]),
    row(
        &["ro", "nosuid", "nodev", "noexec", "noatime"],
        &["ro", "nosuid", "nodev", "noexec", "noatime"],
        &[],
    ),
];

/// A started container's mounts as its own mount namespace shows them.
fn mounts_in(t: &Test, b: &Bundle) -> Vec<Mount> {
    b.stays();
    let c = t.start(b);
    mounts_of(c.pid())
}

fn option_is_applied(t: &Test, option: &OptionRow) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.inside("/mnt")).unwrap();
    b.mount("/mnt", "tmpfs", "tmpfs", option.given);
    let mount = mount_at(&mounts_in(t, &b), "/mnt");
    assert_eq!(mount.kind, "tmpfs");
    for shown in option.shows {
        assert!(mount.has(shown) || mount.super_has(shown), "{shown} is missing of {mount:?}");
    }
    for lacking in option.lacks {
        // Both fields say `rw`; only the mount's own says whether it can be written.
        assert!(!mount.has(lacking), "{lacking} is in {mount:?}");
    }
    Ok(())
}

fn order_is_the_configs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable();
    b.mount("/a", "tmpfs", "one", &[]).mount("/b", "tmpfs", "two", &[]).mount("/c", "tmpfs", "three", &[]);
    let mounts = mounts_in(t, &b);
    let order: Vec<_> = mounts
        .iter()
        .filter(|m| ["/a", "/b", "/c"].contains(&m.point.as_str()))
        .map(|m| m.source.clone())
        .collect();
    assert_eq!(order, ["one", "two", "three"]);
    Ok(())
}

/// A directory on the host with a file `mark` in it.
fn source(t: &Test, name: &str) -> PathBuf {
    let path = t.dir.join(name);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("mark"), format!("{name}\n")).unwrap();
    path
}

/// A mount of the test, gone at its end.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn tmpfs_at(path: PathBuf, mark: &str) -> Mounted {
    fs::create_dir_all(&path).unwrap();
    mount("tmpfs", &path, "tmpfs", MountFlags::empty(), c"").unwrap();
    fs::write(path.join("mark"), format!("{mark}\n")).unwrap();
    Mounted(path)
}

fn bind(b: &Bundle, source: &std::path::Path, destination: &str, options: &[&str]) {
    let mut all = vec!["bind"];
    if options.contains(&"rbind") {
        all.clear();
    }
    all.extend(options);
    b.mount(destination, "bind", source.to_str().unwrap(), &all);
}

fn bind_directory_is_the_same_inode(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    bind(&b, &host, "/mnt", &["rw"]);
    let output = t.output_of(&b, "cat /mnt/mark; echo new >/mnt/new");
    assert_eq!(output.text(), "host");
    assert_eq!(fs::read_to_string(host.join("new")).unwrap(), "new\n");
    Ok(())
}

fn bind_file_is_the_same_inode(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    fs::write(b.inside("/etc/file"), "image\n").unwrap();
    bind(&b, &host.join("mark"), "/etc/file", &[]);
    assert_eq!(t.output_of(&b, "cat /etc/file; echo changed >/etc/file").text(), "host");
    assert_eq!(fs::read_to_string(host.join("mark")).unwrap(), "changed\n");
    assert_eq!(fs::read_to_string(b.inside("/etc/file")).unwrap(), "image\n");
    Ok(())
}

fn bind_device_and_socket_work(t: &Test) -> Verdict {
    let b = t.bundle();
    let socket = t.dir.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    bind(&b, std::path::Path::new("/dev/null"), "/mnt/null", &[]);
    bind(&b, &socket, "/mnt/socket", &[]);
    let script = "stat -c %F /mnt/null /mnt/socket; echo x >/mnt/null";
    assert_eq!(t.output_of(&b, script).lines(), ["character special file", "socket"]);
    Ok(())
}

fn bind_relative_source_is_relative_to_the_bundle(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.path.join("data")).unwrap();
    fs::write(b.path.join("data/mark"), "bundle\n").unwrap();
    b.mount("/mnt", "bind", "data", &["bind"]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark").text(), "bundle");
    Ok(())
}

fn bind_source_missing_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    bind(&b, &t.dir.join("missing"), "/mnt", &[]);
    t.create_fails(&b).says("no such file or directory");
    Ok(())
}

fn bind_does_not_take_submounts(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    let _sub = tmpfs_at(host.join("sub"), "sub");
    bind(&b, &host, "/mnt", &[]);
    assert_eq!(t.output_of(&b, "ls /mnt/sub").text(), "");
    Ok(())
}

fn rbind_takes_submounts(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    let _sub = tmpfs_at(host.join("sub"), "sub");
    bind(&b, &host, "/mnt", &["rbind"]);
    assert_eq!(t.output_of(&b, "cat /mnt/sub/mark").text(), "sub");
    Ok(())
}

fn bind_ro_leaves_submounts_and_source_writable(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    let _sub = tmpfs_at(host.join("sub"), "sub");
    bind(&b, &host, "/mnt", &["rbind", "ro"]);
    b.sh("echo x >/mnt/sub/new && echo written; echo x >/mnt/new");
    assert_eq!(t.run(&b).fails().says("Read-only file system").text(), "written");
    fs::write(host.join("after"), "").unwrap();
    Ok(())
}

fn bind_keeps_the_flags_of_its_source(t: &Test) -> Verdict {
    let b = t.bundle();
    let path = t.dir.join("host");
    fs::create_dir(&path).unwrap();
    mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, c"").unwrap();
    let _host = Mounted(path.clone());
    bind(&b, &path, "/mnt", &[]);
    let mount = mount_at(&mounts_in(t, &b), "/mnt");
    assert!(mount.has("nosuid") && mount.has("nodev") && mount.has("noexec"), "{mount:?}");
    Ok(())
}

/// As of mount(8), on which it is no option to have none of them.
fn bind_keeps_the_access_times_of_its_source(t: &Test) -> Verdict {
    let b = t.bundle();
    let path = t.dir.join("host");
    fs::create_dir(&path).unwrap();
    mount("tmpfs", &path, "tmpfs", MountFlags::NOATIME, c"").unwrap();
    let _host = Mounted(path.clone());
    let kept: [&[&str]; 4] = [&[], &["ro"], &["atime"], &["norelatime"]];
    for (index, options) in kept.into_iter().enumerate() {
        bind(&b, &path, &format!("/kept{index}"), options);
    }
    bind(&b, &path, "/other", &["relatime"]);
    let mounts = mounts_in(t, &b);
    for (index, options) in kept.into_iter().enumerate() {
        assert!(mount_at(&mounts, &format!("/kept{index}")).has("noatime"), "{options:?}");
    }
    assert!(mount_at(&mounts, "/other").has("relatime"));
    Ok(())
}

fn restricted_source(t: &Test) -> Mounted {
    let path = t.dir.join("host");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o755)).unwrap();
    mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, c"").unwrap();
    Mounted(path)
}

fn bind_with_options_drops_flags_that_none_names(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = restricted_source(t);
    bind(&b, &host.0, "/mnt", &["ro", "nodev"]);
    let mount = mount_at(&mounts_in(t, &b), "/mnt");
    assert!(mount.has("ro") && mount.has("nodev"), "{mount:?}");
    assert!(!mount.has("nosuid") && !mount.has("noexec"), "{mount:?}");
    Ok(())
}

fn bind_in_a_user_namespace_keeps_locked_flags(t: &Test) -> Verdict {
    let host = restricted_source(t);
    // Whoever looks the source up.
    for source in [host.0.clone(), private_source(t, &host)] {
        let b = super::namespaces::user_bundle(t);
        bind(&b, &source, "/mnt", &["ro"]);
        let mount = mount_at(&mounts_in(t, &b), "/mnt");
        assert!(["ro", "nodev", "nosuid", "noexec"].iter().all(|flag| mount.has(flag)), "{mount:?}");
        // What is asked for and can't be had is an error.
        let b = super::namespaces::user_bundle(t);
        bind(&b, &source, "/mnt", &["ro", "exec"]);
        t.create_fails(&b).says("operation not permitted");
    }
    Ok(())
}

/// A directory with a file `mark`, below one that only its owner, another user, may enter; and a link that leads there.
fn private_source(t: &Test, host: &Mounted) -> PathBuf {
    let private = host.0.join("private");
    fs::create_dir_all(private.join("data")).unwrap();
    fs::write(private.join("data/mark"), "host\n").unwrap();
    std::os::unix::fs::chown(&private, Some(1500), Some(1500)).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(private.join("data"), t.dir.join("link")).unwrap();
    t.dir.join("link")
}

fn bind_in_a_user_namespace_of_what_the_hosts_root_reaches(t: &Test) -> Verdict {
    let b = super::namespaces::user_bundle(t);
    let host = restricted_source(t);
    let link = private_source(t, &host);
    bind(&b, &link, "/mnt", &["rbind"]);
    bind(&b, &host.0.join("private/data/mark"), "/file", &[]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark /file").text(), "host\nhost");
    Ok(())
}

fn bind_in_a_joined_user_namespace_of_what_the_hosts_root_reaches(t: &Test) -> Verdict {
    let first = super::namespaces::user_bundle(t);
    first.stays();
    let other = t.start(&first);
    let b = super::namespaces::user_bundle(t);
    b.set("/linux/uidMappings", serde_json::Value::Null).set("/linux/gidMappings", serde_json::Value::Null);
    b.namespace("user", Some(std::path::Path::new(&format!("/proc/{}/ns/user", other.pid()))));
    let host = restricted_source(t);
    let link = private_source(t, &host);
    bind(&b, &link, "/mnt", &["rbind"]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark").text(), "host");
    Ok(())
}

fn many_binds_in_a_user_namespace_work(t: &Test) -> Verdict {
    let b = super::namespaces::user_bundle(t);
    let host = source(t, "host");
    fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o755)).unwrap();
    for number in 0..520 {
        bind(&b, &host.join("mark"), &format!("/mnt/{number}"), &["ro"]);
    }
    assert_eq!(t.output_of(&b, "cat /mnt/* | wc -l").text(), "520");
    Ok(())
}

fn tmpfs_mode_is_an_option_that_shows(t: &Test) -> Verdict {
    let b = t.bundle();
    let directory = b.rootfs().join("mnt");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    b.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let text = t.output_of(&b, "grep ' /mnt ' /proc/self/mountinfo; stat -c %a /mnt").text().to_owned();
    assert!(text.contains("mode=750") && text.ends_with("750"), "{text}");
    Ok(())
}

fn bind_type_none_needs_the_option(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    b.mount("/mnt", "none", host.to_str().unwrap(), &["rbind", "ro"]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark").text(), "host");
    Ok(())
}

fn bind_of_the_read_only_canary_is_not_writable(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    bind(&b, &t.canary(), "/mnt", &["ro", "nosuid", "nodev", "noexec"]);
    b.sh("echo x >/mnt/secret; echo x >/mnt/new; rm /mnt/secret; chmod 777 /mnt/secret; ls /mnt");
    assert_eq!(t.run(&b).ok().text(), "secret");
    Ok(())
}

fn rro_makes_submounts_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    let _sub = tmpfs_at(host.join("sub"), "sub");
    bind(&b, &host, "/mnt", &["rbind", "rro"]);
    b.sh("cat /mnt/sub/mark; echo x >/mnt/sub/new");
    assert_eq!(t.run(&b).fails().says("Read-only file system").text(), "sub");
    Ok(())
}

fn recursive_options_reach_submounts(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    let _sub = tmpfs_at(host.join("sub"), "sub");
    bind(&b, &host, "/mnt", &["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"]);
    let mounts = mounts_in(t, &b);
    for point in ["/mnt", "/mnt/sub"] {
        let mount = mount_at(&mounts, point);
        for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
            assert!(mount.has(option), "{option} is missing of {mount:?}");
        }
    }
    Ok(())
}

/// `MS_NOSYMFOLLOW` of mount(2), which has no name there.
const NOSYMFOLLOW: MountFlags = MountFlags::from_bits_retain(256);

/// A recursive option, the flags of the source tree, and what a submount shows or lacks of it.
type Recursive = (&'static str, MountFlags, Result<&'static str, &'static str>);

const RECURSIVE: &[Recursive] = &[
    ("rro", MountFlags::empty(), Ok("ro")),
    ("rrw", MountFlags::RDONLY, Err("ro")),
    ("rnosuid", MountFlags::empty(), Ok("nosuid")),
    ("rsuid", MountFlags::NOSUID, Err("nosuid")),
    ("rnodev", MountFlags::empty(), Ok("nodev")),
    ("rdev", MountFlags::NODEV, Err("nodev")),
    ("rnoexec", MountFlags::empty(), Ok("noexec")),
    ("rexec", MountFlags::NOEXEC, Err("noexec")),
    ("rnodiratime", MountFlags::empty(), Ok("nodiratime")),
    ("rdiratime", MountFlags::NODIRATIME, Err("nodiratime")),
    ("rnoatime", MountFlags::empty(), Ok("noatime")),
    ("ratime", MountFlags::NOATIME, Err("noatime")),
    ("rrelatime", MountFlags::NOATIME, Ok("relatime")),
    ("rnorelatime", MountFlags::RELATIME, Err("noatime")),
    ("rstrictatime", MountFlags::NOATIME, Err("noatime")),
    ("rnostrictatime", MountFlags::STRICTATIME, Ok("relatime")),
    ("rnosymfollow", MountFlags::empty(), Ok("nosymfollow")),
    ("rsymfollow", NOSYMFOLLOW, Err("nosymfollow")),
];

fn recursive_option(t: &Test, (option, flags, wanted): &Recursive) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    fs::create_dir(host.join("sub")).unwrap();
    mount("tmpfs", host.join("sub"), "tmpfs", *flags, c"").unwrap();
    let _sub = Mounted(host.join("sub"));
    bind(&b, &host, "/mnt", &["rbind", option]);
    let mount = mount_at(&mounts_in(t, &b), "/mnt/sub");
    match wanted {
        Ok(shown) => assert!(mount.has(shown), "{option}: {shown} is missing of {mount:?}"),
        Err(lacking) => assert!(!mount.has(lacking), "{option}: {lacking} is in {mount:?}"),
    }
    Ok(())
}

fn remount_changes_the_mount_that_is_there(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    bind(&b, &host, "/mnt", &[]);
    b.mount("/mnt", "bind", host.to_str().unwrap(), &["bind", "remount", "ro", "nosuid"]);
    let mounts = mounts_in(t, &b);
    assert_eq!(mounts.iter().filter(|mount| mount.point == "/mnt").count(), 1);
    let mount = mount_at(&mounts, "/mnt");
    assert!(mount.has("ro") && mount.has("nosuid"), "{mount:?}");
    Ok(())
}

fn destination_missing_is_created(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/new/deep/dir", "tmpfs", "tmpfs", &[]);
    assert_eq!(
        t.output_of(&b, "stat -c %F /new/deep/dir; stat -f -c %T /new/deep/dir").lines(),
        ["directory", "tmpfs"]
    );
    assert!(b.inside("/new/deep/dir").is_dir());
    assert_eq!(fs::metadata(b.inside("/new")).unwrap().permissions().mode() & 0o7777, 0o755);
    Ok(())
}

fn destination_missing_file_is_created_for_a_file(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    bind(&b, &host.join("mark"), "/new/deep/file", &[]);
    assert_eq!(t.output_of(&b, "cat /new/deep/file").text(), "host");
    let made = fs::metadata(b.inside("/new/deep/file")).unwrap();
    assert!(made.is_file() && made.size() == 0);
    Ok(())
}

fn destination_relative_is_below_the_root(t: &Test) -> Verdict {
    // config.md: the destination MUST be absolute; for compatibility a relative one is taken below `/`, or refused.
    let b = t.bundle();
    b.mount("mnt", "tmpfs", "tmpfs", &[]).sh("stat -f -c %T /mnt");
    let output = t.run(&b).output();
    if output.status.success() {
        assert_eq!(output.text(), "tmpfs");
    } else {
        let _ = output.fails();
    }
    Ok(())
}

fn destination_symlink_is_resolved_in_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.inside("/target")).unwrap();
    symlink("/target", b.inside("/link")).unwrap();
    symlink(format!("..{}", t.canary().display()), b.inside("/out")).unwrap();
    b.mount("/link", "tmpfs", "tmpfs", &[]).mount("/out", "tmpfs", "tmpfs", &[]);
    let mounts = mounts_in(t, &b);
    assert_eq!(mount_at(&mounts, "/target").kind, "tmpfs");
    assert_eq!(mount_at(&mounts, t.canary().to_str().unwrap()).kind, "tmpfs");
    Ok(())
}

fn destination_symlink_in_the_middle_is_resolved_in_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir_all(b.inside("/a/b")).unwrap();
    symlink("/a", b.inside("/link")).unwrap();
    b.mount("/link/b/new", "tmpfs", "tmpfs", &[]);
    assert_eq!(mount_at(&mounts_in(t, &b), "/a/b/new").kind, "tmpfs");
    Ok(())
}

fn destination_dot_dot_stays_in_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/etc/../../../../mnt", "tmpfs", "tmpfs", &[]);
    assert_eq!(mount_at(&mounts_in(t, &b), "/mnt").kind, "tmpfs");
    Ok(())
}

fn destination_absent_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.push("/mounts", json!({"type": "tmpfs", "source": "tmpfs"}));
    t.create_fails(&b);
    Ok(())
}

fn nested_mounts_are_all_visible(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    b.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/a", "tmpfs", "tmpfs", &[]);
    bind(&b, &host, "/mnt/a/b", &[]);
    bind(&b, &host.join("mark"), "/mnt/a/file", &[]);
    assert_eq!(t.output_of(&b, "cat /mnt/a/b/mark /mnt/a/file").lines(), ["host", "host"]);
    Ok(())
}

fn same_destination_twice_the_later_is_on_top(t: &Test) -> Verdict {
    let b = t.bundle();
    bind(&b, &source(t, "one"), "/mnt", &[]);
    bind(&b, &source(t, "two"), "/mnt", &[]);
    assert_eq!(t.output_of(&b, "cat /mnt/mark").text(), "two");
    Ok(())
}

fn destinations_below_a_new_file_system(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "tmpfs", "tmpfs", &[]);
    for source in ["below", "above"] {
        b.mount("/mnt/a", "tmpfs", source, &["mode=711"]);
    }
    bind(&b, &source(t, "inner"), "/mnt/b", &[]);
    bind(&b, &t.dir.join("inner/mark"), "/mnt/file", &[]);
    b.mount("/mnt/c/../d", "tmpfs", "tmpfs", &["mode=733"]);
    let script =
        "stat -c %a /mnt/a /mnt/d; cat /mnt/b/mark /mnt/file; grep -c ' /mnt/a ' /proc/self/mountinfo";
    assert_eq!(t.output_of(&b, script).lines(), ["711", "733", "inner", "inner", "2"]);

    // Covered, by another of its names: what comes later lies in what covers it.
    let b = t.bundle();
    symlink("/mnt", b.inside("/other")).unwrap();
    let host = source(t, "host");
    b.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/a", "tmpfs", "tmpfs", &[]);
    bind(&b, &host, "/other", &[]);
    b.mount("/mnt/b", "tmpfs", "tmpfs", &["mode=711"]);
    assert_eq!(
        t.output_of(&b, "cat /mnt/mark; stat -c %a /mnt/b; ls /mnt").lines(),
        ["host", "711", "b", "mark"]
    );
    assert!(host.join("b").is_dir());
    Ok(())
}

fn tmpfs_options_are_applied(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "tmpfs", "tmpfs", &["size=65536", "mode=1750", "uid=3", "gid=4", "noexec"]);
    let script =
        "stat -c '%a %u %g' /mnt; dd if=/dev/zero of=/mnt/x bs=4096 count=17 2>/dev/null || echo full";
    assert_eq!(t.output_of(&b, script).lines(), ["1750 3 4", "full"]);
    Ok(())
}

/// Device rules are for the container's processes: what the config mounts is the runtime's to open. The device itself stays
/// out of reach.
fn file_system_of_a_device_needs_no_device_rule(t: &Test) -> Verdict {
    for option in ["rw", "ro"] {
        let disk = Disk::ext4(&t.dir.join(option))?;
        let device = fs::metadata(disk.path()).unwrap().rdev();
        let node = json!({"path": "/dev/disk", "type": "b", "major": major(device), "minor": minor(device)});
        let b = t.bundle();
        b.set("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}]));
        b.set("/linux/devices", json!([node]));
        b.mount("/mnt", "ext4", disk.path().to_str().unwrap(), &[option, "noatime"]);
        let script = "grep ' /mnt ' /proc/self/mountinfo; ls /mnt; touch /mnt/new && echo written
            head -c 1 /dev/disk >/dev/null && echo read; true";
        let output = t.output_of(&b, script);
        let text = output.text();
        assert!(text.contains(" - ext4 ") && text.contains("lost+found"), "{text}");
        assert_eq!(text.contains("written"), option == "rw", "{text}");
        assert!(!text.contains("\nread"), "the device is within reach: {text}");
    }
    Ok(())
}

fn tmpfs_mode_of_the_directory_is_kept_without_option(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.inside("/mnt")).unwrap();
    fs::set_permissions(b.inside("/mnt"), fs::Permissions::from_mode(0o1770)).unwrap();
    b.mount("/mnt", "tmpfs", "tmpfs", &[]);
    assert_eq!(t.output_of(&b, "stat -c %a /mnt").text(), "1770");
    Ok(())
}

fn tmpcopyup_copies_the_directory(t: &Test) -> Verdict {
    let b = t.bundle();
    let dir = b.inside("/data");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/file"), "image\n").unwrap();
    fs::set_permissions(dir.join("sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(dir.join("sub/file"), Some(5), Some(6)).unwrap();
    symlink("sub/file", dir.join("link")).unwrap();
    b.mount("/data", "tmpfs", "tmpfs", &["rw", "tmpcopyup"]);
    b.capabilities(&["CAP_DAC_OVERRIDE"]);
    let script = "cat /data/link; stat -c '%a %u %g' /data/sub/file; readlink /data/link; \
                  echo new >/data/sub/file; stat -f -c %T /data";
    assert_eq!(t.output_of(&b, script).lines(), ["image", "640 5 6", "sub/file", "tmpfs"]);
    assert_eq!(fs::read_to_string(dir.join("sub/file")).unwrap(), "image\n");
    Ok(())
}

/// The root of a tmpfs has the permissions of the directory that it hides, unless its options say which, and the owner that
/// these say: copied or not, read-only or not.
fn tmpfs_root_is_as_its_options_say(t: &Test) -> Verdict {
    for (options, expected) in [
        (&[][..], "750 0 0"),
        (&["mode=700"], "700 0 0"),
        (&["uid=7", "gid=8"], "750 7 8"),
        (&["uid=7", "mode=1777"], "1777 7 0"),
    ] {
        for more in [&[][..], &["ro"], &["tmpcopyup"], &["tmpcopyup", "ro"]] {
            let b = t.sh("stat -c '%a %u %g' /data");
            let dir = b.inside("/data");
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
            std::os::unix::fs::chown(&dir, Some(5), Some(6)).unwrap();
            let options = [options, more].concat();
            b.mount("/data", "tmpfs", "tmpfs", &options);
            assert_eq!(t.run(&b).ok().text(), expected, "{options:?}");
        }
    }
    Ok(())
}

/// It is writable while the copy is made, and not afterwards.
fn tmpcopyup_read_only_is_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    let dir = b.inside("/data");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "image\n").unwrap();
    b.mount("/data", "tmpfs", "tmpfs", &["ro", "tmpcopyup"]);
    let script = "cat /data/file; echo new >/data/new || echo refused";
    assert_eq!(t.output_of(&b, script).lines(), ["image", "refused"]);
    Ok(())
}

fn unknown_type_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "no-such-fs", "none", &[]);
    t.create_fails(&b);
    Ok(())
}

fn default_file_systems_are_there(t: &Test) -> Verdict {
    let mounts = mounts_in(t, &t.bundle());
    for (point, kind) in [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/dev/mqueue", "mqueue"),
        ("/sys", "sysfs"),
    ] {
        assert_eq!(mount_at(&mounts, point).kind, kind, "{point}");
    }
    let dev = mount_at(&mounts, "/dev");
    assert!(dev.has("nosuid") && !dev.has("relatime") && dev.super_has("mode=755"), "{dev:?}");
    let pts = mount_at(&mounts, "/dev/pts");
    assert!(pts.has("noexec") && pts.super_has("ptmxmode=666") && pts.super_has("gid=5"), "{pts:?}");
    Ok(())
}

fn default_proc_is_this_pid_namespaces(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "ls -d /proc/[0-9]* | head -1; cat /proc/1/comm; :");
    assert_eq!(output.lines(), ["/proc/1", "sh"]);
    Ok(())
}

fn default_sys_is_read_only(t: &Test) -> Verdict {
    let b = t.sh("mkdir /sys/x 2>&1; f=/sys/kernel/mm/lru_gen/enabled; [ -e $f ] || f=/sys/kernel/profiling; v=$(cat $f); echo $v >$f");
    t.run(&b).fails().says("Read-only file system");
    Ok(())
}

fn cgroup_mount_is_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_DAC_OVERRIDE", "CAP_CHOWN"]);
    let script = "ls /sys/fs/cgroup | wc -l; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -d $d ] && mkdir $d/x 2>/dev/null \
                  && echo made $d; done; for f in $(find /sys/fs/cgroup -name cgroup.procs); do echo 1 2>/dev/null >$f && echo wrote $f; done; :";
    let output = t.output_of(&b, script);
    let lines = output.lines();
    assert_eq!(lines.len(), 1, "{output}");
    assert_ne!(lines[0], "0");
    Ok(())
}

fn masked_file_reads_empty(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::write(b.inside("/etc/masked"), "secret").unwrap();
    b.set("/linux/maskedPaths", json!(["/proc/kcore", "/etc/masked"]));
    assert_eq!(t.output_of(&b, "cat /etc/masked /proc/kcore; echo end").text(), "end");
    assert_eq!(fs::read_to_string(b.inside("/etc/masked")).unwrap(), "secret");
    Ok(())
}

fn masked_directory_is_empty_and_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().capabilities(&["CAP_DAC_OVERRIDE"]);
    fs::create_dir_all(b.inside("/masked/sub")).unwrap();
    fs::write(b.inside("/masked/file"), "secret").unwrap();
    b.set("/linux/maskedPaths", json!(["/masked"]));
    b.sh("ls -A /masked; echo x >/masked/file");
    assert_eq!(t.run(&b).fails().says("Read-only file system").text(), "");
    Ok(())
}

fn masked_missing_path_is_no_failure(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/maskedPaths", json!(["/no/such/path"]));
    assert_eq!(t.output_of(&b, "ls -d /no; echo end").text(), "end");
    Ok(())
}

fn masked_symlink_is_no_way_out(t: &Test) -> Verdict {
    let b = t.bundle();
    symlink(t.canary().join("secret"), b.inside("/link")).unwrap();
    b.set("/linux/maskedPaths", json!(["/link"])).sh("echo ran");
    // It leads to nothing inside the root: nothing to mask, or an error; the host's file stays as it is.
    let _ = t.run(&b).output();
    Ok(())
}

fn readonly_path_cannot_be_written(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable().set("/linux/readonlyPaths", json!(["/etc", "/proc/sys"]));
    b.sh("cat /etc/passwd >/dev/null || echo unreadable; echo x >/etc/passwd; echo x >/tmp/ok && echo ok; v=$(cat /proc/sys/kernel/pid_max); echo $v >/proc/sys/kernel/pid_max");
    let output = t.run(&b).fails().says("Read-only file system");
    assert_eq!(output.text(), "ok");
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output}");
    Ok(())
}

fn readonly_directory_stays_readable_with_its_submounts(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "tmpfs", "tmpfs", &[]);
    bind(&b, &source(t, "host"), "/mnt/sub", &[]);
    b.set("/linux/readonlyPaths", json!(["/mnt"]));
    assert_eq!(t.output_of(&b, "cat /mnt/sub/mark").text(), "host");
    Ok(())
}

/// runc and crun leave it as it was mounted.
fn readonly_path_covers_what_is_mounted_below(t: &Test) -> Verdict {
    let b = t.bundle();
    b.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/sub", "tmpfs", "tmpfs", &[]);
    b.set("/linux/readonlyPaths", json!(["/mnt"]));
    let script = "for at in /mnt /mnt/sub; do (echo x >$at/file) 2>/dev/null || echo refused; done";
    assert_eq!(t.output_of(&b, script).lines(), ["refused", "refused"]);
    Ok(())
}

fn readonly_path_root_is_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    // The working directory is made before.
    b.writable()
        .set("/linux/readonlyPaths", json!(["/"]))
        .set("/process/cwd", "/made")
        .set("/process/oomScoreAdj", 500);
    let script = "! touch /file 2>/dev/null && echo read-only; cat /proc/self/oom_score_adj; pwd";
    assert_eq!(t.output_of(&b, script).lines(), ["read-only", "500", "/made"]);
    Ok(())
}

fn masked_path_root_fails(t: &Test) -> Verdict {
    for root in ["/", "/./..", "//"] {
        let b = t.bundle();
        b.set("/linux/maskedPaths", json!(["/proc/kcore", root]));
        t.create_fails(&b).says("/linux/maskedPaths/1");
    }
    Ok(())
}

fn readonly_missing_path_is_no_failure(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/readonlyPaths", json!(["/no/such/path"]));
    assert_eq!(t.output_of(&b, "ls -d /no 2>/dev/null; echo end").text(), "end");
    Ok(())
}

fn masked_paths_absent_masks_nothing(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    let mounts = mounts_in(t, &b);
    let below: Vec<_> = mounts.iter().filter(|mount| mount.point.starts_with("/proc/")).collect();
    assert!(below.is_empty(), "{below:#?}");
    Ok(())
}

fn root_readonly_is_read_only(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_DAC_OVERRIDE"]).sh("echo x >/new");
    t.run(&b).fails().says("Read-only file system");
    assert!(mount_at(&mounts_in(t, &b), "/").has("ro"));
    Ok(())
}

fn root_writable_is_writable(t: &Test) -> Verdict {
    let b = t.bundle();
    b.writable();
    let _ = t.output_of(&b, "echo x >/new");
    assert_eq!(fs::read_to_string(b.inside("/new")).unwrap(), "x\n");
    b.patch(|config| {
        config["root"].as_object_mut().unwrap().remove("readonly");
    });
    let _ = t.output_of(&b, "echo y >/new");
    assert_eq!(fs::read_to_string(b.inside("/new")).unwrap(), "y\n");
    Ok(())
}

fn root_absolute_path_is_taken_as_it_is(t: &Test) -> Verdict {
    let b = t.bundle();
    let elsewhere = t.dir.join("elsewhere");
    fs::rename(b.rootfs(), &elsewhere).unwrap();
    b.set("/root/path", elsewhere.to_str().unwrap());
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn root_is_a_mount_of_its_own(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let inside = fs::metadata(c.inside("/")).unwrap();
    let outside = fs::metadata(b.rootfs()).unwrap();
    assert_eq!((inside.dev(), inside.ino()), (outside.dev(), outside.ino()));
    assert!(mount_at(&mounts_of(c.pid()), "/").root.ends_with("/rootfs"));
    Ok(())
}

fn root_old_root_is_gone(t: &Test) -> Verdict {
    let b = t.bundle();
    let mounts = mounts_in(t, &b);
    let own = parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo").unwrap());
    let kinds = ["/", "/proc", "/dev", "/sys"];
    for mount in &mounts {
        let known = mount.point == "/" || kinds[1..].iter().any(|kind| mount.point.starts_with(kind));
        assert!(known, "a mount that is not the config's: {mount:?}");
    }
    assert!(own.len() > 1);
    Ok(())
}

fn root_keeps_the_host_untouched(t: &Test) -> Verdict {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let b = t.bundle();
    b.stays().set("/linux/rootfsPropagation", "rslave");
    let c = t.start(&b);
    let relevant = |text: &str| {
        let own = |mount: &Mount| !mount.point.contains("runtime-tests-") || mount.point.contains(&t.token);
        parse_mountinfo(text).into_iter().filter(own).collect::<Vec<_>>()
    };
    assert_eq!(relevant(&fs::read_to_string("/proc/self/mountinfo").unwrap()), relevant(&before));
    c.delete_force().ok();
    assert_eq!(relevant(&fs::read_to_string("/proc/self/mountinfo").unwrap()), relevant(&before));
    Ok(())
}

fn no_pivot_works(t: &Test) -> Verdict {
    let b = t.sh("echo $$; cat /proc/self/comm");
    let (call, _) = t.bundle_call("run", &b, &["--no-pivot"]);
    assert_eq!(call.ok().lines(), ["1", "cat"]);
    Ok(())
}

/// With a whole procfs anywhere in the mount namespace a user namespace may mount another, without masks.
fn no_pivot_leaves_no_whole_proc(t: &Test) -> Verdict {
    let b = t.bundle();
    b.capabilities(&["CAP_SYS_ADMIN"]);
    b.sh("mkdir /tmp/p; unshare -mrpf mount -t proc none /tmp/p && echo mounted || echo refused");
    let (call, _) = t.bundle_call("run", &b, &["--no-pivot"]);
    assert_eq!(call.ok().text(), "refused");
    Ok(())
}

fn tmpfs_read_only_holds_later_mounts_and_devices(t: &Test) -> Verdict {
    let b = t.bundle();
    b.patch(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let dev = mounts.iter_mut().find(|mount| mount["destination"] == "/dev").unwrap();
        dev["options"].as_array_mut().unwrap().push(json!("ro"));
    });
    let script = "grep ' /dev ' /proc/mounts | cut -d' ' -f4 | cut -c1-2; ls -d /dev/pts/ptmx; echo x >/dev/null; \
                  touch /dev/new 2>&1 | grep -c Read-only";
    assert_eq!(t.output_of(&b, script).lines(), ["ro", "/dev/pts/ptmx", "1"]);
    Ok(())
}

fn masked_path_twice_is_masked_once(t: &Test) -> Verdict {
    let b = t.bundle();
    fs::create_dir(b.inside("/masked")).unwrap();
    b.set("/linux/maskedPaths", json!(["/masked", "/masked"]));
    assert_eq!(t.output_of(&b, "grep -c ' /masked ' /proc/mounts").text(), "1");
    Ok(())
}

fn no_pivot_hides_the_host(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create_with(&b, &["--no-pivot"]);
    c.start();
    let points: Vec<_> = mounts_of(c.pid()).into_iter().map(|mount| mount.point).collect();
    assert!(points.contains(&"/".to_owned()) && points.contains(&"/proc".to_owned()), "{points:?}");
    assert!(!points.iter().any(|point| point.contains("runtime-tests-")), "{points:?}");
    Ok(())
}

fn propagation_option(t: &Test, kind: &str) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    mount_bind(&host, &host).unwrap();
    let _host = Mounted(host.clone());
    mount_change(&host, MountPropagationFlags::SHARED).unwrap();
    bind(&b, &host, "/mnt", &["rbind", kind]);
    let mount = mount_at(&mounts_in(t, &b), "/mnt");
    match kind.trim_start_matches('r') {
        "shared" => assert!(mount.is_shared(), "{mount:?}"),
        "slave" => assert!(mount.is_slave() && !mount.is_shared(), "{mount:?}"),
        "private" => assert!(!mount.is_slave() && !mount.is_shared(), "{mount:?}"),
        _ => assert!(mount.propagation.iter().any(|each| each == "unbindable"), "{mount:?}"),
    }
    Ok(())
}

fn root_propagation(t: &Test, kind: &str) -> Verdict {
    let b = t.bundle();
    let root = b.rootfs();
    mount_bind(&root, &root).unwrap();
    let _root = Mounted(root.clone());
    mount_change(&root, MountPropagationFlags::SHARED).unwrap();
    b.set("/linux/rootfsPropagation", kind);
    let mount = mount_at(&mounts_in(t, &b), "/");
    match kind.trim_start_matches('r') {
        "shared" => assert!(mount.is_shared(), "{mount:?}"),
        "slave" => assert!(mount.is_slave() && !mount.is_shared(), "{mount:?}"),
        "private" => assert!(!mount.is_slave() && !mount.is_shared(), "{mount:?}"),
        _ => assert!(mount.propagation.iter().any(|each| each == "unbindable"), "{mount:?}"),
    }
    Ok(())
}

fn propagation_of_the_root_private_by_default(t: &Test) -> Verdict {
    let mount = mount_at(&mounts_in(t, &t.bundle()), "/");
    assert!(!mount.is_shared(), "{mount:?}");
    Ok(())
}

/// A shared directory on the host, bound into the container with a propagation; after `on_host` or `inside` mounts
/// something below it, who sees it?
fn shared_source(t: &Test) -> (PathBuf, Mounted) {
    let host = source(t, "host");
    mount_bind(&host, &host).unwrap();
    let mounted = Mounted(host.clone());
    mount_change(&host, MountPropagationFlags::SHARED).unwrap();
    fs::create_dir(host.join("late")).unwrap();
    (host, mounted)
}

fn host_mount_arrives(t: &Test, kind: &str) -> bool {
    let b = t.bundle();
    let (host, _mounted) = shared_source(t);
    bind(&b, &host, "/mnt", &["rbind", kind]);
    b.stays().set("/linux/rootfsPropagation", "rslave");
    let c = t.start(&b);
    let _late = tmpfs_at(host.join("late"), "late");
    mounts_of(c.pid()).iter().any(|mount| mount.point == "/mnt/late")
}

fn propagation_host_mounts_do_not_arrive_in_private(t: &Test) -> Verdict {
    assert!(!host_mount_arrives(t, "rprivate"));
    Ok(())
}

fn propagation_host_mounts_arrive_in_slave(t: &Test) -> Verdict {
    assert!(host_mount_arrives(t, "rslave"));
    Ok(())
}

fn propagation_container_mounts_reach_the_host_in_shared(t: &Test) -> Verdict {
    let b = t.bundle();
    let (host, _mounted) = shared_source(t);
    bind(&b, &host, "/mnt", &["rbind", "rshared"]);
    b.capabilities(&["CAP_SYS_ADMIN"]).set("/linux/rootfsPropagation", "shared");
    let mut fifo = b.fifo("/fifo");
    b.sh("mount -t tmpfs tmpfs /mnt/late; echo done >/fifo; exec sleep 1000");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "done");
    let late = host.join("late");
    let own = parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo").unwrap());
    let _late = Mounted(late.clone());
    assert!(own.iter().any(|mount| mount.point == late.to_str().unwrap()));
    c.delete_force().ok();
    Ok(())
}

/// What the optional fields of mountinfo say of `/mnt`, a bind of a shared directory with these options.
fn propagation_of_bind(t: &Test, root: Option<&str>, options: &[&str]) -> String {
    let b = t.bundle();
    let host = t.dir.join(t.fresh_name());
    fs::create_dir(&host).unwrap();
    mount_bind(&host, &host).unwrap();
    let _host = Mounted(host.clone());
    mount_change(&host, MountPropagationFlags::SHARED).unwrap();
    bind(&b, &host, "/mnt", options);
    if let Some(root) = root {
        b.set("/linux/rootfsPropagation", root);
    }
    b.stays();
    let c = t.start(&b);
    let mount = mount_at(&mounts_of(c.pid()), "/mnt");
    c.delete_force().ok();
    let kinds = mount.propagation.iter().map(|group| group.split(':').next().unwrap());
    kinds.collect::<Vec<_>>().join(" ")
}

fn propagation_options_of_one_mount_add_up(t: &Test) -> Verdict {
    for (options, shown) in [
        (["rbind", "slave", "shared"], "shared master"),
        (["rbind", "rslave", "rshared"], "shared master"),
        (["rbind", "shared", "slave"], "master"),
        (["rbind", "shared", "private"], ""),
        (["rbind", "private", "shared"], "shared"),
        (["rbind", "rprivate", "runbindable"], "unbindable"),
        (["rbind", "unbindable", "private"], ""),
    ] {
        assert_eq!(propagation_of_bind(t, None, &options), shown, "{options:?}");
    }
    Ok(())
}

/// An engine gives each volume its own propagation, and the root one that reaches all mounts.
fn propagation_of_a_mount_holds_whatever_the_roots(t: &Test) -> Verdict {
    for (root, option, shown) in [
        ("rslave", "shared", "shared master"),
        ("rslave", "slave", "master"),
        ("rslave", "private", ""),
        ("rslave", "unbindable", "unbindable"),
        // What is private to begin with has no master.
        ("rprivate", "shared", "shared"),
        ("rprivate", "slave", ""),
        ("rprivate", "private", ""),
        ("rprivate", "unbindable", "unbindable"),
        ("rshared", "shared", "shared"),
        ("rshared", "slave", "master"),
        ("rshared", "private", ""),
        ("rshared", "unbindable", "unbindable"),
    ] {
        assert_eq!(propagation_of_bind(t, Some(root), &["rbind", option]), shown, "{root}, {option}");
    }
    Ok(())
}

fn no_mounts_in_the_config_works(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/mounts").unset("/linux/maskedPaths").unset("/linux/readonlyPaths").writable();
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn many_mounts_work(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    for number in 0..200 {
        bind(&b, &host, &format!("/mnt/{number}"), &["ro"]);
    }
    assert_eq!(t.output_of(&b, "cat /mnt/*/mark | wc -l").text(), "200");
    Ok(())
}

fn special_characters_in_paths(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "ho st,ü:\\");
    bind(&b, &host, "/mn t,:ü\\", &["ro"]);
    assert_eq!(t.output_of(&b, "cat '/mn t,:ü\\/mark'").stdout, "ho st,ü:\\\n");
    Ok(())
}

fn idmapped_bind_shows_mapped_owners(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    std::os::unix::fs::chown(host.join("mark"), Some(1000), Some(1000)).unwrap();
    let map = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
    b.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": host, "options": ["bind", "idmap"],
               "uidMappings": map, "gidMappings": map}),
    );
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /mnt/mark").text(), "5000 5000");
    Ok(())
}

/// In crun's form, as podman passes it on.
fn idmapped_bind_by_an_option_shows_mapped_owners(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    std::os::unix::fs::chown(host.join("mark"), Some(1000), Some(7)).unwrap();
    bind(&b, &host, "/mnt", &["idmap=uids=0-100000-10#1000-5000-10;gids=0-6000-10"]);
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /mnt/mark").text(), "5000 6007");
    Ok(())
}

fn bind_with_options_of_a_named_volume_works(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    bind(&b, &host, "/mnt", &["rbind", "nocopy", "ro"]);
    bind(&b, &host, "/opt", &["copy"]);
    assert_eq!(
        t.output_of(&b, "cat /mnt/mark /opt/mark; touch /mnt/x 2>/dev/null || echo ro").lines(),
        ["host", "host", "ro"]
    );
    Ok(())
}

/// A bundle in a user namespace, and a directory of the host whose file belongs to 1000, mounted at /mnt.
fn idmapped_in_a_user_namespace(t: &Test, mount: serde_json::Value) -> Bundle {
    let b = t.bundle();
    let ids = |size: u32| json!([{"containerID": 0, "hostID": 100_000, "size": size}]);
    b.namespace("user", None).set("/linux/uidMappings", ids(65536)).set("/linux/gidMappings", ids(65536));
    let host = source(t, "host");
    std::os::unix::fs::chown(host.join("mark"), Some(1000), Some(1000)).unwrap();
    fs::create_dir(b.inside("/mnt")).unwrap();
    let mut mount = mount;
    mount["source"] = json!(host);
    b.push("/mounts", mount);
    b
}

fn idmapped_bind_in_a_user_namespace_keeps_owners(t: &Test) -> Verdict {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let b = idmapped_in_a_user_namespace(
        t,
        json!({"destination": "/mnt", "type": "bind", "options": ["bind", "idmap"],
               "uidMappings": map, "gidMappings": map}),
    );
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /mnt/mark").text(), "1000 1000");
    Ok(())
}

fn idmapped_bind_takes_the_containers_maps(t: &Test) -> Verdict {
    let mount = json!({"destination": "/mnt", "type": "bind", "options": ["bind", "idmap", "ro"]});
    let b = idmapped_in_a_user_namespace(t, mount);
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /mnt/mark; ! echo x > /mnt/mark").text(), "1000 1000");
    Ok(())
}

/// A directory of the host, mounted at /first, and what is there by then, at /second: who owns its file of the host's 1000.
fn owners_of_a_mount_of_the_container(t: &Test, b: &Bundle, map: Option<&serde_json::Value>) -> String {
    let host = source(t, "host");
    std::os::unix::fs::chown(host.join("mark"), Some(1000), Some(1000)).unwrap();
    fs::create_dir(b.inside("/first")).unwrap();
    fs::create_dir(b.inside("/second")).unwrap();
    bind(b, &host, "/first", &[]);
    let mut mount =
        json!({"destination": "/second", "type": "bind", "source": b.inside("/first"), "options": ["rbind"]});
    if let Some(map) = map {
        mount["options"] = json!(["rbind", "idmap"]);
        mount["uidMappings"] = map.clone();
        mount["gidMappings"] = map.clone();
    }
    b.push("/mounts", mount);
    t.output_of(b, "stat -c '%u %g' /second/mark").text().to_owned()
}

fn in_a_user_namespace(t: &Test) -> Bundle {
    let b = t.bundle();
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids);
    b
}

fn bind_of_a_mount_of_the_container(t: &Test) -> Verdict {
    assert_eq!(owners_of_a_mount_of_the_container(t, &t.bundle(), None), "1000 1000");
    Ok(())
}

fn bind_of_a_mount_of_the_container_in_a_user_namespace(t: &Test) -> Verdict {
    // Nobody's: the host's 1000 is not mapped.
    assert_eq!(owners_of_a_mount_of_the_container(t, &in_a_user_namespace(t), None), "65534 65534");
    Ok(())
}

fn idmapped_bind_of_a_mount_of_the_container(t: &Test) -> Verdict {
    let map = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
    assert_eq!(owners_of_a_mount_of_the_container(t, &t.bundle(), Some(&map)), "5000 5000");
    Ok(())
}

fn idmapped_bind_of_a_mount_of_the_container_in_a_user_namespace(t: &Test) -> Verdict {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    assert_eq!(owners_of_a_mount_of_the_container(t, &in_a_user_namespace(t), Some(&map)), "1000 1000");
    Ok(())
}

fn source_in_the_root_leads_out_by_no_link(t: &Test) -> Verdict {
    let b = t.bundle();
    symlink(t.canary(), b.inside("/out")).unwrap();
    bind(&b, &b.inside("/out"), "/mnt", &[]);
    b.sh("cat /mnt/secret");
    let (call, _) = t.bundle_call("run", &b, &[]);
    let output = call.output();
    assert!(!output.stdout.contains(&t.token), "{output}");
    Ok(())
}

fn destination_below_the_roots_place_is_one_of_the_root(t: &Test) -> Verdict {
    let b = t.bundle();
    let host = source(t, "host");
    bind(&b, &host, b.inside("/mnt/below").to_str().unwrap(), &[]);
    assert_eq!(t.output_of(&b, "cat /mnt/below/mark").stdout, "host\n");
    Ok(())
}

/// config.md, Linux mount options: then an error MUST be returned.
fn idmap_without_mappings_or_user_namespace_fails(t: &Test) -> Verdict {
    for option in ["idmap", "ridmap"] {
        let b = t.bundle();
        bind(&b, &source(t, option), "/mnt", &["rbind", option]);
        t.create_fails(&b);
    }
    Ok(())
}

/// config.md, POSIX-platform mounts: the one MUST be specified along with the other.
fn idmap_of_users_or_groups_alone_fails(t: &Test) -> Verdict {
    for (key, other) in [("uidMappings", "gidMappings"), ("gidMappings", "uidMappings")] {
        let b = t.bundle();
        let host = source(t, key);
        let mut mount =
            json!({"destination": "/mnt", "type": "bind", "source": host, "options": ["bind", "idmap"]});
        mount[key] = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
        b.push("/mounts", mount);
        let output = t.create_fails(&b);
        if t.runtime.is_ours() {
            let _ = output.says(other);
        }
    }
    Ok(())
}

fn idmapped_bind_maps_the_mounts_below_with_ridmap(t: &Test) -> Verdict {
    let map = json!([{"containerID": 1000, "hostID": 5000, "size": 10}]);
    for (option, below) in [("idmap", "1000"), ("ridmap", "5000")] {
        let b = t.bundle();
        let host = source(t, option);
        let inner = source(t, &format!("{option}-below"));
        std::fs::create_dir(host.join("inner")).unwrap();
        for file in [&host, &inner] {
            std::os::unix::fs::chown(file.join("mark"), Some(1000), Some(1000)).unwrap();
        }
        rustix::mount::mount_bind(&inner, host.join("inner")).unwrap();
        let _inner = Mounted(host.join("inner"));
        b.push(
            "/mounts",
            json!({"destination": "/mnt", "type": "bind", "source": host, "options": ["rbind", option],
                   "uidMappings": map, "gidMappings": map}),
        );
        let owners = t.output_of(&b, "stat -c %u /mnt/mark /mnt/inner/mark");
        assert_eq!(owners.text(), format!("5000\n{below}"), "{option}");
    }
    Ok(())
}

fn idmapped_bind_of_a_file_system_without_owners_is_refused(t: &Test) -> Verdict {
    let b = t.bundle();
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
    b.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": "/proc/sys", "options": ["bind", "idmap"],
               "uidMappings": map, "gidMappings": map}),
    );
    let error = t.run(&b).fails();
    if t.runtime.is_ours() {
        assert!(
            error.stderr.contains("(from /mounts/") && error.stderr.contains("MOUNT_ATTR_IDMAP"),
            "{error:?}"
        );
    }
    Ok(())
}

/// What an image can put at a mount's destination.
type Hostility = fn(&Test, &Bundle);

const HOSTILE: &[(&str, Hostility)] = &[
    ("absolute_link", |t, b| symlink(t.canary(), b.inside("/mnt")).unwrap()),
    ("relative_link", |t, b| {
        symlink(format!("../../../../../..{}", t.canary().display()), b.inside("/mnt")).unwrap()
    }),
    ("dangling_link", |t, b| symlink(t.canary().join("made"), b.inside("/mnt")).unwrap()),
    ("link_loop", |_, b| {
        symlink("/mnt", b.inside("/loop")).unwrap();
        symlink("/loop", b.inside("/mnt")).unwrap();
    }),
    ("link_to_file", |t, b| symlink(t.canary().join("secret"), b.inside("/mnt")).unwrap()),
    ("fifo", |_, b| drop(b.fifo("/mnt"))),
    ("socket", |_, b| drop(std::os::unix::net::UnixListener::bind(b.inside("/mnt")).unwrap())),
    ("file", |_, b| fs::write(b.inside("/mnt"), "image").unwrap()),
    ("device", |_, b| {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        let null = nix::sys::stat::makedev(1, 3);
        nix::sys::stat::mknod(&b.inside("/mnt"), nix::sys::stat::SFlag::S_IFCHR, mode, null).unwrap();
    }),
    ("directory", |_, b| fs::create_dir(b.inside("/mnt")).unwrap()),
    ("closed_directory", |_, b| {
        fs::create_dir(b.inside("/mnt")).unwrap();
        fs::set_permissions(b.inside("/mnt"), fs::Permissions::from_mode(0o000)).unwrap();
    }),
];

/// Whatever the image has at the destination: it is refused in a word, or mounted inside the root.
fn hostile_destination(t: &Test, hostility: Hostility, target: &str) -> Verdict {
    let b = t.bundle();
    hostility(t, &b);
    let host = source(t, "host");
    match target {
        "tmpfs" => b.mount("/mnt", "tmpfs", "tmpfs", &["size=64k"]),
        "bind" => b.mount("/mnt", "bind", host.to_str().unwrap(), &["bind"]),
        _ => b.mount("/mnt", "bind", host.join("mark").to_str().unwrap(), &["bind"]),
    };
    b.stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.output();
    if !output.status.success() {
        let _ = output.fails();
        t.assert_missing(&id);
        return Ok(());
    }
    let own = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!own.contains(t.canary().to_str().unwrap()), "mounted on the host's canary");
    let c = runtime_tests::Container::open(t, &id);
    let inside = mounts_of(c.pid());
    let extra = inside.iter().filter(|mount| {
        let known = ["/proc", "/dev", "/sys"].iter().any(|known| mount.point.starts_with(known));
        mount.point != "/" && !known
    });
    let extra: Vec<_> = extra.collect();
    if extra.len() > 1 {
        return Err(Skip::new(format!("more than one mount: {extra:?}")));
    }
    Ok(())
}

//! Mistakes with mounts, devices, namespaces and id maps.

use std::fs;
use std::path::Path;

use runtime_tests::{Bundle, Skip, Test};
use serde_json::json;

use super::{Mistake, call_verbosely, create, create_with};

pub(super) const MISTAKES: &[Mistake] = &[
    ("bind_source_missing", |t| create_with(t, |b| b.mount("/mnt", "bind", "/no/such/source", &["rbind"]))),
    ("bind_file_on_a_directory", |t| create_with(t, |b| b.mount("/etc", "bind", "/etc/passwd", &["bind"]))),
    ("bind_directory_on_a_file", |t| create_with(t, |b| b.mount("/etc/passwd", "bind", "/usr", &["bind"]))),
    ("mount_type_unknown", |t| create_with(t, |b| b.mount("/mnt", "nosuchfs", "none", &[]))),
    ("mount_option_unknown", |t| create_with(t, |b| b.mount("/mnt", "tmpfs", "tmpfs", &["nosuchoption"]))),
    ("mount_option_value_invalid", |t| create_with(t, |b| b.mount("/mnt", "tmpfs", "tmpfs", &["size=many"]))),
    ("mount_destination_on_a_readonly_mount", |t| {
        let source = t.dir.join("data");
        fs::create_dir(&source).unwrap();
        create_with(t, |b| {
            b.mount("/mnt", "bind", source.to_str().unwrap(), &["bind", "ro"]);
            b.mount("/mnt/absent", "tmpfs", "tmpfs", &[])
        })
    }),
    ("mount_destination_below_a_file", |t| {
        create_with(t, |b| b.mount("/etc/passwd/x", "tmpfs", "tmpfs", &[]))
    }),
    ("mount_destination_relative", |t| {
        let bundle = t.bundle();
        bundle.mount("../../outside", "tmpfs", "tmpfs", &[]).write();
        let bundle = bundle.path.to_str().unwrap().to_owned();
        Ok(call_verbosely(t, &["create", "--bundle", &bundle, &t.fresh_id()]))
    }),
    ("mount_proc_without_pid_namespace", |t| in_user_namespace(t, |b| b.without_namespace("pid"))),
    ("mount_sysfs_without_network_namespace", |t| in_user_namespace(t, |b| b.without_namespace("network"))),
    ("mounts_without_mount_namespace", |t| create_with(t, |b| b.without_namespace("mount"))),
    ("device_below_a_file", |t| {
        create_with(t, |b| {
            b.push("/linux/devices", json!({"path": "/etc/passwd/x", "type": "c", "major": 1, "minor": 3}))
        })
    }),
    ("device_without_the_right", |t| {
        t.needs_program("setpriv")?;
        let call = create_with(t, |b| {
            b.push("/linux/devices", json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}))
        })?;
        Ok(call.through(["setpriv", "--bounding-set", "-mknod", "--inh-caps", "-mknod"]))
    }),
    ("device_type_unknown", |t| {
        create_with(t, |b| {
            b.push("/linux/devices", json!({"path": "/dev/x", "type": "disk", "major": 1, "minor": 3}))
        })
    }),
    ("namespace_type_unknown", |t| create_with(t, |b| b.namespace("net", None))),
    ("namespace_twice", |t| create_with(t, |b| b.push("/linux/namespaces", json!({"type": "uts"})))),
    ("namespace_path_missing", |t| {
        create_with(t, |b| b.namespace("network", Some(Path::new("/run/netns/no-such"))))
    }),
    ("namespace_path_of_another_kind", |t| {
        create_with(t, |b| b.namespace("network", Some(Path::new("/proc/self/ns/uts"))))
    }),
    ("namespace_path_of_no_namespace", |t| {
        create_with(t, |b| b.namespace("network", Some(Path::new("/etc/passwd"))))
    }),
    ("hostname_without_uts_namespace", |t| create_with(t, |b| b.without_namespace("uts"))),
    ("id_maps_overlap", |t| {
        in_user_namespace(t, |b| {
            b.push("/linux/uidMappings", json!({"containerID": 10, "hostID": 200_000, "size": 10}))
        })
    }),
    ("id_maps_missing", |t| {
        in_user_namespace(t, |b| b.unset("/linux/uidMappings").unset("/linux/gidMappings"))
    }),
    ("id_map_without_user_namespace", |t| {
        create_with(t, |b| {
            b.push("/linux/uidMappings", json!({"containerID": 0, "hostID": 100_000, "size": 10}))
        })
    }),
    ("id_map_lacks_root", |t| {
        let map = json!([{"containerID": 7, "hostID": 100_000, "size": 10}]);
        in_user_namespace(t, |b| {
            b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
            b.set("/process/user", json!({"uid": 7, "gid": 7}))
        })
    }),
    ("id_map_lacks_the_user", |t| {
        in_user_namespace(t, |b| b.set("/process/user", json!({"uid": 70_000, "gid": 0})))
    }),
    ("root_not_reachable_for_the_mapped_user", |t| {
        let bundle = user_namespace(t);
        let root = bundle.rootfs();
        fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        bundle.stays();
        create(t, &bundle)
    }),
];

fn user_namespace(t: &Test) -> Bundle {
    let bundle = t.bundle();
    bundle.namespace("user", None);
    for map in ["/linux/uidMappings", "/linux/gidMappings"] {
        bundle.push(map, json!({"containerID": 0, "hostID": 100_000, "size": 65_536}));
    }
    bundle
}

fn in_user_namespace(t: &Test, change: impl FnOnce(&Bundle) -> &Bundle) -> Result<runtime_tests::Call, Skip> {
    let bundle = user_namespace(t);
    bundle.stays();
    change(&bundle);
    create(t, &bundle)
}

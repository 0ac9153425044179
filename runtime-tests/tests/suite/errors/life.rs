//! Mistakes with the command line and with a container's life.

use std::fs;

use runtime_tests::{Call, Skip, Test};

use super::{Mistake, call, create_with};

pub(super) const MISTAKES: &[Mistake] = &[
    ("id_invalid", |t| {
        let bundle = t.bundle();
        bundle.write();
        Ok(call(t, &["create", "--bundle", bundle.path.to_str().unwrap(), "web/1"]))
    }),
    ("id_in_use", |t| {
        let bundle = t.bundle();
        bundle.stays();
        let container = t.create(&bundle);
        Ok(call(t, &["create", "--bundle", bundle.path.to_str().unwrap(), &container.id]))
    }),
    ("container_missing", |t| Ok(call(t, &["state", &t.fresh_name()]))),
    ("start_of_a_running_container", |t| after_start(t, &["start"])),
    ("start_of_a_stopped_container", |t| after_end(t, &["start"])),
    ("delete_of_a_running_container", |t| after_start(t, &["delete"])),
    ("kill_of_a_stopped_container", |t| after_end(t, &["kill"])),
    ("signal_unknown", |t| Ok(call(t, &["kill", &t.fresh_name(), "SIGNOTHING"]))),
    ("state_damaged", |t| {
        let id = t.fresh_id();
        fs::create_dir_all(t.root().join(&id)).unwrap();
        fs::write(t.root().join(&id).join("state.json"), "{").unwrap();
        Ok(call(t, &["state", &id]))
    }),
    ("state_root_is_a_file", |t| {
        fs::write(t.dir.join("file"), "").unwrap();
        Ok(call(t, &["--root", t.dir.join("file").to_str().unwrap(), "list"]))
    }),
    ("state_root_not_ours", |t| {
        t.needs_program("setpriv")?;
        let map = serde_json::json!([{"containerID": 0, "hostID": 65_534, "size": 1}]);
        let call = create_with(t, |b| {
            b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
        })?;
        let words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        fs::write(t.dir.join("log.json"), "").unwrap();
        std::os::unix::fs::chown(t.dir.join("log.json"), Some(65_534), Some(65_534)).unwrap();
        Ok(call.through(words))
    }),
    ("command_unknown", |t| Ok(call(t, &["rum"]))),
    ("flag_unknown", |t| Ok(call(t, &["create", "--bundel", "x", "id"]))),
    ("flag_without_value", |t| Ok(call(t, &["create", "--bundle"]))),
    ("id_not_given", |t| Ok(call(t, &["create"]))),
];

fn after_start(t: &Test, words: &[&str]) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.stays();
    let container = t.start(&bundle);
    Ok(call(t, words).args([&container.id]))
}

fn after_end(t: &Test, words: &[&str]) -> Result<Call, Skip> {
    let bundle = t.bundle();
    bundle.stays();
    let container = t.start(&bundle);
    container.stop();
    Ok(call(t, words).args([&container.id]))
}

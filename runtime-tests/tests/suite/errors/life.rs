//! Mistakes with the command line and with a container's life.

use std::fs;

use runtime_tests::{Call, Container, Skip, Test};

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
    ("kill_with_the_signal_first", |t| Ok(call(t, &["kill", "-9", &t.fresh_name()]))),
    ("resume_of_a_running_container", |t| after_start(t, &["resume"])),
    ("pause_of_a_stopped_container", |t| after_end(t, &["pause"])),
    ("pause_of_a_paused_container", |t| {
        let container = running(t);
        container.call(&["pause"]).ok();
        Ok(call(t, &["pause", &container.id]))
    }),
    ("update_of_a_stopped_container", |t| after_end(t, &["update", "--memory", "64m"])),
    ("update_value_invalid", |t| after_start(t, &["update", "--memory", "64x"])),
    ("update_resources_missing", |t| after_start(t, &["update", "--resources", "/no/such/resources.json"])),
    ("update_resources_of_another_type", |t| {
        let container = running(t);
        let resources = "{\"memory\": {\"limit\": \"64m\"}}";
        Ok(call(t, &["update", "--resources", "-", &container.id]).stdin(resources))
    }),
    ("events_interval_without_a_unit", |t| after_start(t, &["events", "--interval", "5"])),
    ("exec_in_a_stopped_container", |t| {
        let container = running(t);
        container.stop();
        Ok(call(t, &["exec", &container.id, "true"]))
    }),
    ("exec_in_a_paused_container", |t| {
        let container = running(t);
        container.call(&["pause"]).ok();
        Ok(call(t, &["exec", &container.id, "true"]))
    }),
    ("exec_without_a_command", |t| exec(t, &[], &[])),
    ("exec_command_not_in_path", |t| exec(t, &[], &["no-such-command"])),
    ("exec_option_of_the_command_first", |t| exec(t, &["--interactive"], &["sh"])),
    ("exec_user_by_name", |t| exec(t, &["--user", "www-data"], &["true"])),
    ("exec_environment_without_a_value", |t| exec(t, &["--env", "DEBUG"], &["true"])),
    ("exec_working_directory_relative", |t| exec(t, &["--cwd", "srv"], &["true"])),
    ("exec_working_directory_missing", |t| exec(t, &["--cwd", "/no/such/directory"], &["true"])),
    ("exec_cgroup_missing", |t| exec(t, &["--cgroup", "no-such-cgroup"], &["true"])),
    ("exec_process_file_missing", |t| exec(t, &["--process", "/no/such/process.json"], &[])),
    ("exec_terminal_without_console_socket", |t| exec(t, &["--tty", "--detach"], &["true"])),
    ("signal_unknown", |t| Ok(call(t, &["kill", &t.fresh_name(), "SIGNOTHING"]))),
    ("state_damaged", |t| {
        let id = t.fresh_id();
        fs::create_dir_all(t.root().join(&id)).unwrap();
        fs::write(t.root().join(&id).join("state.json"), "{").unwrap();
        Ok(call(t, &["state", &id]))
    }),
    ("state_of_another_runtime", |t| {
        let (root, id) = (t.dir.join("of-another"), t.fresh_name());
        fs::create_dir_all(root.join(&id)).unwrap();
        fs::write(root.join(&id).join("state.json"), "{\"init_process_pid\":4711}").unwrap();
        Ok(call(t, &["--root", root.to_str().unwrap(), "delete", "--force", &id]))
    }),
    ("state_root_is_a_file", |t| {
        fs::write(t.dir.join("file"), "").unwrap();
        Ok(call(t, &["--root", t.dir.join("file").to_str().unwrap(), "list"]))
    }),
    ("state_root_is_a_link", |t| {
        std::os::unix::fs::symlink("/tmp", t.dir.join("link")).unwrap();
        Ok(call(t, &["--root", t.dir.join("link").to_str().unwrap(), "list"]))
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

fn running(t: &Test) -> Container<'_> {
    let bundle = t.bundle();
    bundle.stays();
    t.start(&bundle)
}

fn exec(t: &Test, flags: &[&str], command: &[&str]) -> Result<Call, Skip> {
    let container = running(t);
    Ok(call(t, &["exec"]).args(flags).args([&container.id]).args(command))
}

fn after_start(t: &Test, words: &[&str]) -> Result<Call, Skip> {
    let container = running(t);
    Ok(call(t, words).args([&container.id]))
}

fn after_end(t: &Test, words: &[&str]) -> Result<Call, Skip> {
    let container = running(t);
    container.stop();
    Ok(call(t, words).args([&container.id]))
}

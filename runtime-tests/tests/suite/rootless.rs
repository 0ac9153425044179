//! An ordinary user runs containers: with the runtime itself, and inside a user namespace as engines do.

use std::fs;
use std::os::unix::fs::MetadataExt;

use runtime_tests::procfs::parse_mountinfo;
use runtime_tests::tty::Master;
use runtime_tests::user::{FIRST_SUBORDINATE, ID, KEPT_GROUPS};
use runtime_tests::wait::{DEADLINE, Process};
use runtime_tests::{Call, Case, Lane, Skip, Test, User, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!("rootless":
        spec_rootless_runs_as_it_comes,
        map_own_id_only,
        map_ranges_with_groups,
        map_range_of_others_fails,
        groups_without_a_map_fail,
        without_a_user_namespace_fails,
        life_of_a_container,
        exec_joins_the_user_namespace,
        exec_inside_a_user_namespace,
        volumes_and_read_only,
        devices_masks_and_read_only_root,
        inside_a_user_namespace_without_another,
        inside_a_user_namespace_with_another,
        inside_locked_flags_stay,
        limit_without_a_cgroup_fails,
        cgroups_path_without_permission_fails,
        limit_in_a_delegated_cgroup,
    );
    let ours = cases!("rootless":
        oom_score_not_lowered_goes_on,
        map_many_lines,
        annotation_keeps_the_callers_groups,
        annotation_does_not_keep_roots_groups,
        map_to_another_than_root,
        exec_as_another_than_root,
        state_root_is_the_users_own,
        without_runtime_directory_says_so,
        helper_missing_says_so,
        host_namespaces_bind_their_file_systems,
        kill_all_without_a_cgroup,
        no_cgroup_is_a_warning,
    );
    all.extend(ours.into_iter().map(Case::only_ours));
    all
}

fn user(t: &Test) -> Result<User<'_>, Skip> {
    if t.runtime.name == "crun" && t.lane == Lane::Hybrid {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    User::create(t, &t.runtime.path)
}

fn spec_rootless_runs_as_it_comes(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let user = user(t)?;
    let bundle = user.bundle();
    user.runtime(&["spec", "--rootless", "--bundle"]).args([&bundle.path]).ok();
    let (mut master, peer) = Master::pair();
    let running = user
        .runtime(&["run", "--bundle"])
        .args([&bundle.path])
        .args([t.fresh_name()])
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer)
        .start();
    master.type_line("echo at-$(id -u)-; exit 7");
    let _ = master.until("at-0-");
    let _ = running.wait().exits(7);
    Ok(())
}

fn map_own_id_only(t: &Test) -> Verdict {
    let user = user(t)?;
    let output = user
        .run(&user.bundle(), "id -u; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups")
        .ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "4242", "1", "0", "4242", "1", "deny"]);
    Ok(())
}

fn map_ranges_with_groups(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    user.map(&bundle, 65536);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}));
    let output =
        user.run(&bundle, "id -u; id -g; grep Groups /proc/self/status; cat /proc/self/uid_map").ok();
    let first = FIRST_SUBORDINATE.to_string();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["1000", "1000", "Groups:", "5", "6", "0", "4242", "1", "1", &first, "65535"]);
    Ok(())
}

fn map_many_lines(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let single = |n: u32| json!({"containerID": n, "hostID": FIRST_SUBORDINATE + 2 * n, "size": 1});
    let map: Vec<_> = (0..200).map(single).collect();
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.set("/process/user", json!({"uid": 0, "gid": 0}));
    // The bundle is the user's, whom this map has no name for.
    Call::new(["chmod", "-R", "a+rX"]).args([&bundle.path]).ok();
    assert_eq!(user.run(&bundle, "wc -l </proc/self/uid_map").ok().text(), "200");
    Ok(())
}

fn map_range_of_others_fails(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    user.map(&bundle, 65536);
    bundle.set("/linux/uidMappings/1/hostID", 700_000);
    let output = user.run(&bundle, "true").fails();
    if t.runtime.is_ours() {
        let _ = output.says("newuidmap").says("not allowed").says("/etc/subuid");
    }
    Ok(())
}

fn groups_without_a_map_fail(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.set("/process/user/additionalGids", json!([0]));
    let _ = user.run(&bundle, "true").fails();
    Ok(())
}

fn without_a_user_namespace_fails(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings");
    let _ = user.run(&bundle, "true").fails();
    Ok(())
}

fn life_of_a_container(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.stays();
    let (call, id) = user.bundle_call("create", &bundle, &[]);
    call.ok();
    let state = || user.runtime(&["state", &id]).ok().json();
    assert_eq!(state()["status"], "created");
    if t.runtime.is_ours() {
        assert_eq!(state()["owner"], "tester");
    }
    let init = Process::open(state()["pid"].as_i64().unwrap_or_default() as i32).unwrap();
    user.runtime(&["start", &id]).ok();
    assert_eq!(state()["status"], "running");
    assert_eq!(user.runtime(&["list", "--quiet"]).ok().text(), id);
    let _ = user.runtime(&["delete", &id]).fails();
    user.runtime(&["kill", &id, "KILL"]).ok();
    assert!(init.wait_exit(DEADLINE));
    assert_eq!(state()["status"], "stopped");
    user.runtime(&["delete", &id]).ok();
    let (call, id) = user.bundle_call("run", &bundle, &["--detach"]);
    call.ok();
    user.runtime(&["delete", "--force", &id]).ok();
    user.runtime(&["state", &id]).fails().says("does not exist");
    Ok(())
}

/// The words that a script executed in the container prints.
fn exec_words(exec: Call) -> Vec<String> {
    exec.ok().stdout.split_whitespace().map(str::to_owned).collect()
}

fn exec_joins_the_user_namespace(t: &Test) -> Verdict {
    let user = user(t)?;
    for size in [1, 65536] {
        let bundle = user.bundle();
        user.map(&bundle, size);
        bundle.stays();
        let (call, id) = user.bundle_call("run", &bundle, &["--detach"]);
        call.ok();
        let exec =
            user.runtime(&["exec", &id, "sh", "-c", "id -u; wc -l </proc/self/uid_map; cat /proc/1/comm"]);
        assert_eq!(exec_words(exec), ["0", if size == 1 { "1" } else { "2" }, "sleep"]);
        let _ = user.runtime(&["exec", &id, "sh", "-c", "exit 7"]).output().exits(7);
        if size > 1 {
            let exec = user.runtime(&["exec", "--user", "1000:1000", &id, "id", "-u"]);
            assert_eq!(exec_words(exec), ["1000"]);
        }
        user.runtime(&["delete", "--force", &id]).ok();
    }
    Ok(())
}

fn exec_inside_a_user_namespace(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    without_user_namespace(&bundle);
    bundle.stays().write();
    let id = t.fresh_name();
    let script =
        "\"$0\" run --detach --bundle \"$1\" \"$2\" && \"$0\" exec \"$2\" sh -c 'id -u; cat /proc/1/comm'
        code=$?; \"$0\" delete --force \"$2\"; exit $code";
    let call = user.call(&["sh", "-c", script]).args([&user.runtime, &bundle.path]).args([&id]);
    assert_eq!(exec_words(inside(call)), ["0", "sleep"]);
    Ok(())
}

fn exec_as_another_than_root(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let map = json!([{"containerID": 1000, "hostID": ID, "size": 1}]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).stays();
    let (call, id) = user.bundle_call("run", &bundle, &["--detach"]);
    call.ok();
    assert_eq!(exec_words(user.runtime(&["exec", &id, "id", "-u"])), ["1000"]);
    Ok(())
}

fn volumes_and_read_only(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let volume = user.home.join("volume");
    user.call(&["mkdir", volume.to_str().unwrap()]).ok();
    bundle.mount("/mnt", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
    bundle.mount("/opt", "bind", volume.to_str().unwrap(), &["rbind", "ro", "nosuid", "nodev"]);
    let script = "echo kept >/mnt/file; cat /opt/file; echo no 2>/dev/null >/opt/other || echo refused";
    assert_eq!(user.run(&bundle, script).ok().lines(), ["kept", "refused"]);
    assert_eq!(fs::metadata(volume.join("file")).unwrap().uid(), ID);
    Ok(())
}

const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// What `podman run --group-add keep-groups` asks for: a file that only the user's group may read can be read, by `exec` too.
fn annotation_keeps_the_callers_groups(t: &Test) -> Verdict {
    const GROUP: u32 = 4711;
    let user = user(t)?;
    user.write_for_group(&user.home.join("shared"), GROUP);
    let bundle = user.bundle();
    bundle.mount("/mnt", "bind", user.home.to_str().unwrap(), &["rbind", "ro"]);
    for maps in [1, 65536] {
        user.map(&bundle, maps);
        let read = |groups: &str| {
            let run =
                user.run(&bundle, "cat /mnt/shared 2>/dev/null || echo refused").env(KEPT_GROUPS, groups);
            run.ok().text().to_owned()
        };
        let groups = GROUP.to_string();
        bundle.set("/annotations", json!({}));
        // Where they can't be changed (setgroups is denied) they stay in any case.
        assert_eq!(read(&groups), if maps == 1 { "shared" } else { "refused" });
        bundle.set("/annotations", json!({KEEP_GROUPS: "1"}));
        assert_eq!(read(&groups), "shared");
        assert_eq!(read(""), "refused");
    }
    bundle.stays().write();
    let id = t.fresh_name();
    user.runtime(&["run", "--detach", "--bundle"]).args([&bundle.path]).args([&id]).ok();
    let exec = user.runtime(&["exec", &id, "cat", "/mnt/shared"]).env(KEPT_GROUPS, GROUP.to_string());
    assert_eq!(exec.ok().text(), "shared");
    user.runtime(&["delete", "--force", &id]).ok();
    Ok(())
}

/// The annotation may be an image's.
fn annotation_does_not_keep_roots_groups(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/annotations", json!({KEEP_GROUPS: "1"})).sh("id -G");
    let output = t.run(&b).through(["setpriv", "--groups", "4711"]).ok();
    assert_eq!(output.text(), "0");
    output.says(&format!("ignored: the runtime is root of the host, whose groups are not given away (from /annotations/{KEEP_GROUPS})"));
    Ok(())
}

fn devices_masks_and_read_only_root(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let script = "test -c /dev/null && echo x >/dev/null && echo null
        echo x 2>/dev/null >/dev/full || echo full
        head -c 4 /dev/zero | wc -c
        test -s /proc/kcore || echo masked
        echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo sealed
        touch /file 2>/dev/null || echo read-only";
    let output = user.run(&bundle, script).ok();
    assert_eq!(output.lines(), ["null", "full", "4", "masked", "sealed", "read-only"]);
    Ok(())
}

/// Starts the call as root of a user namespace with all of the user's ids, as `podman unshare` would.
fn inside(call: Call) -> Call {
    let maps = ["--map-root-user", "--map-users=500000,1,65535", "--map-groups=500000,1,65535"];
    let unshare = Call::new(["unshare", "--help"]).output().stdout;
    assert!(unshare.contains("--map-users"), "an unshare that maps ranges");
    call.inside(["unshare", "--user", "--mount"].into_iter().chain(maps))
}

/// The namespaces that the user's config has, but the user namespace.
fn without_user_namespace(bundle: &runtime_tests::Bundle) {
    bundle.without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings");
}

fn inside_a_user_namespace_without_another(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    without_user_namespace(&bundle);
    bundle.set("/process/user/additionalGids", json!([7]));
    let output =
        inside(user.run(&bundle, "id -u; grep Groups /proc/self/status; test -c /dev/null && echo null"))
            .ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "Groups:", "7", "null"]);
    Ok(())
}

fn inside_a_user_namespace_with_another(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let map =
        json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 1, "size": 1000}]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let output = inside(user.run(&bundle, "id -u; cat /proc/self/uid_map")).ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "0", "1", "1", "1", "1000"]);
    Ok(())
}

/// `/run` of the lane is nosuid and nodev: in a user namespace these can't be taken away.
fn inside_locked_flags_stay(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    without_user_namespace(&bundle);
    bundle.mount("/mnt", "bind", "/run", &["rbind", "ro"]);
    let output = inside(user.run(&bundle, "cat /proc/self/mountinfo")).ok();
    let mounts = parse_mountinfo(&output.stdout);
    let mount = mounts.iter().find(|mount| mount.point == "/mnt").unwrap();
    assert!(["ro", "nosuid", "nodev"].iter().all(|flag| mount.has(flag)), "{mount:?}");
    Ok(())
}

fn limit_without_a_cgroup_fails(t: &Test) -> Verdict {
    if t.lane == Lane::V2 {
        return Err(Skip::new("the user has a delegated cgroup in this view"));
    }
    t.needs_controller("pids")?;
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.set("/linux/resources", json!({"pids": {"limit": 10}}));
    let output = user.run(&bundle, "true").fails();
    if t.runtime.is_ours() {
        let _ = output.says("/linux/resources/pids/limit").says("delegated");
    }
    Ok(())
}

fn cgroups_path_without_permission_fails(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.set("/linux/cgroupsPath", format!("/{}", t.fresh_name()));
    let _ = user.run(&bundle, "true").fails().says("permission denied");
    Ok(())
}

fn limit_in_a_delegated_cgroup(t: &Test) -> Verdict {
    if t.lane != Lane::V2 {
        return Err(Skip::new("cgroup v1 can't be delegated"));
    }
    let user = user(t)?;
    let delegated = user.cgroup.clone().unwrap();
    let controllers = fs::read_to_string(delegated.join("cgroup.controllers")).unwrap();
    let has = |name: &str| controllers.split_whitespace().any(|controller| controller == name);
    let (limit, file, value) = if has("pids") {
        (json!({"pids": {"limit": 11}}), "pids.max", "11")
    } else if has("hugetlb") {
        (json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 2_097_152}]}), "hugetlb.2MB.max", "2097152")
    } else {
        return Err(Skip::new("no controller to delegate"));
    };
    let bundle = user.bundle();
    bundle.set("/linux/resources", limit).stays();
    let (call, id) = user.bundle_call("run", &bundle, &["--detach"]);
    call.ok();
    let pid = user.runtime(&["state", &id]).ok().json()["pid"].as_i64().unwrap();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let below = cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let directory = t.cgroups().v2_root().unwrap().join(below);
    assert!(directory.starts_with(&delegated), "{cgroup}");
    assert_eq!(fs::read_to_string(directory.join(file)).unwrap().trim(), value);
    user.runtime(&["delete", "--force", &id]).ok();
    assert!(!directory.exists());
    Ok(())
}

fn oom_score_not_lowered_goes_on(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.set("/process/oomScoreAdj", -500);
    assert_eq!(user.run(&bundle, "cat /proc/self/oom_score_adj").ok().text(), "0");
    Ok(())
}

fn map_to_another_than_root(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let map = json!([{"containerID": 1000, "hostID": ID, "size": 1}]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(
        user.run(&bundle, "id -u; id -g; test -w /dev/null && echo null").ok().lines(),
        ["1000", "1000", "null"]
    );
    Ok(())
}

fn state_root_is_the_users_own(t: &Test) -> Verdict {
    let user = user(t)?;
    user.runtime(&["list"]).ok();
    let status = fs::metadata(user.runtime_directory().join("sandboxd")).unwrap();
    assert_eq!((status.uid(), status.mode() & 0o7777), (ID, 0o1700));
    let root = user.home.join("open");
    user.call(&["mkdir", "-m", "777", root.to_str().unwrap()]).ok();
    user.runtime(&["--root", root.to_str().unwrap(), "list"]).fails().says("others can write to it");
    user.runtime(&["--root", "/run", "list"]).fails().says("belongs to user 0");
    Ok(())
}

fn without_runtime_directory_says_so(t: &Test) -> Verdict {
    let user = user(t)?;
    user.runtime(&["list"]).env("XDG_RUNTIME_DIR", "").fails().says("XDG_RUNTIME_DIR").says("--root");
    Ok(())
}

fn helper_missing_says_so(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    user.map(&bundle, 2);
    let call = user.run(&bundle, "true").inside(["env", "PATH=/nowhere"]);
    let _ = call.fails().says("newuidmap").says("not found").says("uidmap");
    Ok(())
}

fn host_namespaces_bind_their_file_systems(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    bundle.set("/linux/namespaces", json!([{"type": "mount"}, {"type": "user"}])).unset("/hostname");
    bundle.without_mount("/sys").mount("/sys", "sysfs", "sysfs", &["ro"]);
    bundle.set("/process/oomScoreAdj", 300);
    let output =
        user.run(&bundle, "test -d /proc/self && test -d /sys/kernel && cat /proc/self/oom_score_adj").ok();
    assert_eq!(output.text(), "300");
    let _ = output.says("/proc of the host is bound").says("/sys of the host is bound");
    Ok(())
}

fn kill_all_without_a_cgroup(t: &Test) -> Verdict {
    if t.lane == Lane::V2 {
        return Err(Skip::new("the user has a delegated cgroup in this view"));
    }
    let user = user(t)?;
    let bundle = user.bundle();
    let mut ready = bundle.fifo("/tmp/ready");
    fs::set_permissions(bundle.inside("/tmp/ready"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .unwrap();
    bundle.sh("sh -c 'trap \"echo child; exit\" USR1; echo ready >/tmp/ready; while :; do sleep 1; done' &
        trap : USR1; wait; wait; exit 5");
    bundle.writable();
    let (call, id) = user.bundle_call("run", &bundle, &[]);
    let running = call.start();
    assert_eq!(ready.line(), "ready");
    assert!(user.runtime(&["ps", "--format", "json", &id]).ok().json().as_array().unwrap().len() >= 2);
    user.runtime(&["kill", "--all", &id, "USR1"]).ok();
    let output = running.wait().exits(5);
    assert!(output.stdout.contains("child"), "{output}");
    Ok(())
}

fn no_cgroup_is_a_warning(t: &Test) -> Verdict {
    let user = user(t)?;
    let bundle = user.bundle();
    let output = user.run(&bundle, "true").ok();
    if t.lane == Lane::V2 {
        assert_eq!(output.stderr, "");
    } else {
        let _ = output.says("warning").says("gets no cgroup").says("permission denied");
    }
    let _ = user.run(&bundle, "true").inside(["env"]).ok();
    let output = user.runtime(&["--cgroup-manager", "disabled", "run", "--bundle"]).args([&bundle.path]);
    assert_eq!(output.args([t.fresh_name()]).ok().stderr, "");
    let forbidden = user.runtime(&["--rootless", "false", "run", "--bundle"]).args([&bundle.path]);
    if t.lane != Lane::V2 {
        let _ = forbidden.args([t.fresh_name()]).fails().says("permission denied");
    }
    Ok(())
}

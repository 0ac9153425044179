//! What a configuration may name that is not the container's: parameters, ids, cgroups and units of the host, in numbers and
//! sizes at the limits.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use runtime_tests::cgroup::processes;
use runtime_tests::procfs::mounts_of;
use runtime_tests::test::TOKEN_VARIABLE;
use runtime_tests::world::World;
use runtime_tests::{Bundle, Case, Lane, Test, Verdict};
use serde_json::{Value, json};

use super::{Made, refused, try_create};

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t25_maps_at_the_limits", id_maps),
        case("t27_parameters_of_the_host", sysctl),
        case("t28_cgroups_of_others", foreign_cgroups),
        case("t28_cgroup_mounts_that_are_read_only", readonly_cgroups),
        case("t29_unit_properties_by_annotation", unit_properties),
        case("t30_sizes_that_overflow", sizes),
    ]
}

fn line(container: u64, host: u64, size: u64) -> Value {
    json!({"containerID": container, "hostID": host, "size": size})
}

/// Maps of a user namespace: exactly what was asked for, or a refusal.
fn id_maps(t: &Test) -> Verdict {
    const NO_ID: u64 = u32::MAX as u64;
    let longest: Vec<Value> = (0..340).map(|index| line(index, 1000 + 2 * index, 1)).collect();
    let mut longer = longest.clone();
    longer.push(line(340, 200_000, 1));
    // The kernel takes less than a page.
    let page: Vec<Value> = (0..340).map(|index| line(index, 1_000_000 + 2 * index, 1)).collect();
    let taken = [
        longest,
        vec![line(0, 100_000, 1), line(1, 100_001, 65_535)],
        vec![line(1000, 101_000, 1), line(0, 100_000, 1)],
        vec![line(0, 100_000, 1), line(1, NO_ID - 1, 1)],
        vec![line(0, 100_000, 1), line(NO_ID - 1, 100_001, 1)],
    ];
    let wrong = [
        longer,
        page,
        vec![],
        vec![line(0, 100_000, 0)],
        vec![line(0, 100_000, 10), line(9, 200_000, 1)],
        vec![line(0, 100_000, 10), line(10, 100_009, 1)],
        vec![line(0, 100_000, 10), line(0, 100_000, 10)],
        vec![line(0, 100_000, 1), line(1, NO_ID, 1)],
        vec![line(0, 100_000, 1), line(NO_ID, 100_001, 1)],
        vec![line(0, 100_000, 1), line(1, NO_ID - 1, 2)],
        vec![line(0, 100_000, NO_ID + 1)],
        vec![line(0, NO_ID + 1, 1)],
        // Nobody is root.
        vec![line(1, 100_000, 10)],
    ];
    let with = |map: &[Value]| {
        let b = t.bundle();
        b.stays().namespace("user", None).set("/linux/uidMappings", map).set("/linux/gidMappings", map);
        b
    };
    for map in taken {
        let b = with(&map);
        for path in [b.path.clone(), b.rootfs(), t.dir.clone()] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let c = t.create(&b);
        let mut wanted: Vec<Vec<u64>> = map.iter().map(numbers).collect();
        wanted.sort_unstable();
        for file in ["uid_map", "gid_map"] {
            let text = c.proc(file);
            let parse = |line: &str| line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            let mut found: Vec<Vec<u64>> = text.lines().map(parse).collect();
            found.sort_unstable();
            assert_eq!(found, wanted, "{file}");
        }
        assert_eq!(c.proc("setgroups").trim(), "allow");
        c.delete_force().ok();
    }
    let world = World::of_machine(t);
    for map in wrong {
        let b = with(&map);
        let Made::Refused = try_create(t, &b, &[]) else { panic!("taken: {map:?}") };
    }
    // The process's own ids must be in the maps.
    let map = [line(0, 100_000, 10)];
    for (field, value) in [("uid", json!(10)), ("gid", json!(10)), ("additionalGids", json!([10]))] {
        let b = with(&map);
        b.set(&format!("/process/user/{field}"), value);
        if let Made::Created(c) = try_create(t, &b, &[]) {
            let _ = refused(c.call(&["start"]).output());
            c.delete_force().ok();
        }
    }
    world.assert_same(t, "id maps");
    Ok(())
}

fn numbers(line: &Value) -> Vec<u64> {
    ["containerID", "hostID", "size"].iter().map(|name| line[*name].as_u64().unwrap()).collect()
}

/// Kernel parameters that are not the container's own, in every spelling.
fn sysctl(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let value = format!("|{}", t.canary().join("secret").display());
    let keys = [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "net/../kernel/core_pattern",
        "net./../kernel.core_pattern",
        "net.ipv4.../.../.../kernel/core_pattern",
        "net/./../kernel/core_pattern",
        "net//../kernel/core_pattern",
        "/proc/sys/kernel/core_pattern",
        "/kernel/core_pattern",
        "net/ipv4/../../kernel/core_pattern",
        "fs.mqueue./../../kernel.core_pattern",
        "fs/mqueue/../suid_dumpable",
        "kernel.modprobe",
        "kernel.shmmax.",
        "kernel.shmmax/",
        ".net.ipv4.ip_forward",
        "Kernel.core_pattern",
        "kernel.core_pattern\n",
        "kernel.core_pattern ",
        " net.ipv4.ip_forward",
        "net\t.ipv4.ip_forward",
        "net",
        "net.",
        "",
        "vm.overcommit_memory",
        "fs.suid_dumpable",
        "user.max_user_namespaces",
        "kernel.sysrq",
        "dev.tty.legacy_tiocsti",
    ];
    let refuses = |what: &str, change: &dyn Fn(&Bundle)| {
        let b = t.bundle();
        b.stays();
        change(&b);
        let Made::Refused = try_create(t, &b, &[]) else { panic!("not refused: {what:?}") };
    };
    for key in keys {
        refuses(key, &|b| {
            b.set("/linux/sysctl", json!({key: value}));
        });
    }
    let nul = "net.ipv4.ip_forward\0x";
    refuses(nul, &|b| {
        b.set("/linux/sysctl", json!({nul: "1"}));
    });
    for value in ["1\n", "1\0", "1\n2", &"1".repeat(1 << 20)] {
        refuses("a value", &|b| {
            b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": value}));
        });
    }
    let of_namespaces = [
        ("network", "net", "net.ipv4.ip_forward"),
        ("ipc", "ipc", "kernel.shmmax"),
        ("ipc", "ipc", "fs.mqueue.msg_max"),
        ("uts", "uts", "kernel.domainname"),
    ];
    for (kind, file, key) in of_namespaces {
        refuses(key, &|b| {
            b.without_namespace(kind).unset("/hostname").set("/linux/sysctl", json!({key: "4097"}));
        });
        // The host's, by path: whoever looks, and the machine's first process.
        for process in ["self", "1", "thread-self"] {
            let path = PathBuf::from(format!("/proc/{process}/ns/{file}"));
            refuses(key, &|b| {
                b.unset("/hostname").namespace(kind, Some(&path)).set("/linux/sysctl", json!({key: "4097"}));
            });
        }
    }
    // Two spellings of one parameter: which would count?
    refuses("twice", &|b| {
        b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "0", "net/ipv4/ip_forward": "1"}));
    });
    world.assert_same(t, "kernel parameters");
    // A namespace of the container's, and one that it joins and that is not the host's.
    let b = t.bundle();
    b.stays().set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel/shmmax": "4097"}));
    let c = t.start(&b);
    let seen =
        c.call(&["exec"]).args(["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax"]).ok();
    assert_eq!(seen.lines(), ["1", "4097"]);
    let joining = t.bundle();
    let network = PathBuf::from(format!("/proc/{}/ns/net", c.pid()));
    joining.namespace("network", Some(&network)).set("/linux/sysctl", json!({"net.ipv4.ip_forward": "0"}));
    joining.args(&["cat", "/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(t.run(&joining).ok().text(), "0");
    c.delete_force().ok();
    world.assert_same(t, "kernel parameters of the container's");
    Ok(())
}

/// A cgroup with a process in it, which is not any container's.
struct Bystander {
    directories: Vec<PathBuf>,
    process: Child,
}

impl Bystander {
    fn create(t: &Test, name: &str) -> Self {
        let cgroups = t.cgroups();
        let mut process = Command::new("sleep")
            .arg("1000")
            .env(TOKEN_VARIABLE, &t.token)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut directories = Vec::new();
        for root in cgroups.roots() {
            let directory = root.join(name);
            fs::create_dir(&directory).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = fs::read_to_string(root.join(file)) {
                    fs::write(directory.join(file), all.trim()).unwrap();
                }
            }
            fs::write(directory.join("cgroup.procs"), process.id().to_string()).unwrap();
            directories.push(directory);
        }
        assert!(process.try_wait().unwrap().is_none());
        Self { directories, process }
    }

    #[track_caller]
    fn assert_alone(&mut self, about: &str) {
        assert!(self.process.try_wait().unwrap().is_none(), "{about}: another's process was killed");
        for directory in &self.directories {
            let found = processes(directory);
            let wanted = [self.process.id().cast_signed()];
            assert_eq!(found, wanted, "{about}: processes of {}", directory.display());
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for directory in &self.directories {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Paths of cgroups that lead out of where they begin, or to a cgroup that is another's.
fn foreign_cgroups(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let name = format!("{}-foreign", t.token);
    let mut bystander = Bystander::create(t, &name);
    let world = World::of_machine(t);
    let up = format!("/x/../{name}");
    let deep = format!("/{}", "d/".repeat(2048));
    let long = format!("/{}", "n".repeat(256));
    let link = t.dir.join("link");
    std::os::unix::fs::symlink(&bystander.directories[0], &link).unwrap();
    let other = format!("/{name}");
    let others = format!("//./{name}/.");
    let paths = [
        "..",
        "../x",
        "/..",
        "/../x",
        "a/../../b",
        "/",
        "//",
        ".",
        "/.",
        "/a\nb",
        "/a\0b",
        &*up,
        &*deep,
        &*long,
        &*other,
        &*others,
    ];
    for path in paths {
        let b = t.bundle();
        b.stays().set("/linux/cgroupsPath", path);
        let Made::Refused = try_create(t, &b, &[]) else { panic!("not refused: {path:?}") };
        bystander.assert_alone(path);
    }
    world.assert_same(t, "paths of cgroups");
    // The names of a path are cgroups', wherever a file of that name leads to.
    let b = t.bundle();
    let named = format!("/{}-own/{}", t.token, link.display().to_string().replace('/', "_"));
    b.stays().set("/linux/cgroupsPath", &*named);
    let c = t.start(&b);
    let subs = ["..", "/..", "../x", "a/../..", "/../../", "x", "a\nb", "/"];
    let escape = format!("../../{name}");
    for sub in subs.into_iter().chain([&*escape]) {
        let output = c.call(&["exec", "--cgroup", sub]).args(["cat", "/proc/self/cgroup"]).output();
        if output.status.success() {
            assert_eq!(sub, "/", "joined: {output}");
        } else {
            let _ = output.fails();
        }
        bystander.assert_alone(sub);
    }
    for args in [&["kill", "--all"][..], &["pause"], &["resume"]] {
        let call = c.call(args);
        let _ = if args[0] == "kill" { call.args(["CONT"]) } else { call }.output();
        bystander.assert_alone(args[0]);
    }
    c.delete_force().ok();
    bystander.assert_alone("delete --force");
    world.assert_same(t, "a container beside another's cgroup");
    Ok(())
}

/// Every write below a cgroup mount that is to be read-only fails with EROFS, with each kind of namespace.
fn readonly_cgroups(t: &Test) -> Verdict {
    let script = "for at in $(find /sys/fs/cgroup -name cgroup.procs -o -name release_agent -o -name notify_on_release \
                  -o -name cgroup.subtree_control | head -300); do echo 0 2>/dev/null >\"$at\" && echo \"wrote $at\"; done; \
                  for at in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $at/made 2>/dev/null && echo \"made $at/made\"; \
                  mount -o remount,rw $at 2>/dev/null && echo \"remounted $at\"; done; \
                  (echo >/sys/fs/cgroup/made) 2>&1; echo done";
    for own_cgroups in [true, false] {
        for own_users in [false, true] {
            if !own_cgroups && t.lane == Lane::V2 && own_users {
                // What is bound then is the host's whole tree, as on the others; the machine's other tests are in it.
                continue;
            }
            let b = t.bundle();
            b.sh(script);
            if !own_cgroups {
                b.without_namespace("cgroup");
            }
            if own_users {
                let map = json!([line(0, 100_000, 65_536)]);
                b.namespace("user", None);
                b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
            } else {
                b.capabilities(&["CAP_DAC_OVERRIDE", "CAP_CHOWN"]);
            }
            let (call, _) = t.bundle_call("run", &b, &[]);
            let output = call.output();
            let text = output.ok();
            assert!(text.stdout.contains("Read-only file system"), "{own_cgroups} {own_users}: {text}");
            assert!(!text.stdout.contains("wrote"), "{own_cgroups} {own_users}: {text}");
            assert!(!text.stdout.contains("made /"), "{own_cgroups} {own_users}: {text}");
            assert!(!text.stdout.contains("remounted"), "{own_cgroups} {own_users}: {text}");
            b.stays();
            let c = t.start(&b);
            let mounts = mounts_of(c.pid());
            let views: Vec<_> = mounts.iter().filter(|mount| mount.kind.starts_with("cgroup")).collect();
            assert!(!views.is_empty() && views.iter().all(|mount| mount.has("ro")), "{views:?}");
            c.delete_force().ok();
        }
    }
    Ok(())
}

/// Annotations that systemd would take as properties: the runtime's own are refused, and what is malformed.
fn unit_properties(t: &Test) -> Verdict {
    let rows = [
        ("Delegate", "true"),
        ("Slice", "'-.slice'"),
        ("PIDs", "[uint32 1]"),
        ("Description", "'another'"),
        ("CollectMode", "'inactive'"),
        ("TimeoutStopUSec", "uint64"),
        ("TimeoutStopUSec", "uint64 -1"),
        ("TimeoutStopSec", "uint64 18446744073709551615"),
        ("TimeoutStopSec", "'soon'"),
        ("ExecStopPost", "[('/bin/sh', ['sh'], false)]"),
        ("ExecStopPost", "@a(sasb) []"),
        ("Bad Name", "1"),
        ("bad.name", "1"),
        ("A\n", "1"),
        ("", "1"),
        ("Wants", "['a.service"),
        ("Wants", "['a.service',,]"),
        ("Wants", "'a\\x00'"),
        ("After", "\u{0}"),
    ];
    let world = World::of_machine(t);
    for (name, value) in rows {
        let b = t.bundle();
        b.stays().set("/annotations", json!({format!("org.systemd.property.{name}"): value}));
        b.set("/linux/cgroupsPath", format!("system.slice:test:{}", t.fresh_name())).write();
        // Planned, so that no systemd is asked and none is needed.
        let plan = t.call(&["--systemd-cgroup", "plan", "--bundle"]).args([&b.path]).output();
        let _ = refused(plan);
    }
    world.assert_same(t, "properties of units");
    // Without systemd they are annotations like others.
    if t.uses_systemd() {
        return Ok(());
    }
    let b = t.bundle();
    b.args(&["echo", "ran"]).set("/annotations", json!({"org.systemd.property.ExecStopPost": "'x'"}));
    assert_eq!(t.run(&b).ok().text(), "ran");
    Ok(())
}

/// Lists and texts beyond what a message's length field of 16 bits could say: all of it takes effect, or it is refused.
fn sizes(t: &Test) -> Verdict {
    let world = World::of_machine(t);
    let long_path = format!("/{}", "p".repeat(65_530));
    for kind in ["network", "ipc", "uts", "mount"] {
        let b = t.bundle();
        b.stays().unset("/hostname").namespace(kind, Some(long_path.as_ref()));
        let Made::Refused = try_create(t, &b, &[]) else { panic!("a path of 65531 bytes is joined") };
    }
    let b = t.bundle();
    b.patch(|config| {
        let env = config["process"]["env"].as_array_mut().unwrap();
        env.extend((0..100_000).map(|index| json!(format!("V{index}=1"))));
    });
    // A shell would take long to read them.
    b.args(&["cat", "/proc/self/environ"]);
    let output = t.run(&b).output();
    if output.status.success() {
        let entries =
            output.stdout.split('\0').filter(|entry| entry.starts_with('V') && entry.ends_with("=1"));
        assert_eq!(entries.count(), 100_000);
    } else {
        let _ = refused(output);
    }
    let b = t.bundle();
    b.args(&["echo", "ran"]).set("/annotations", json!({"a": "x".repeat(8 << 20)}));
    let seen = t.dir.join("seen");
    let script = format!("wc -c >{}", seen.display());
    b.hook("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", script]}));
    assert_eq!(t.run(&b).ok().text(), "ran");
    let length: usize = fs::read_to_string(&seen).unwrap().trim().parse().unwrap();
    assert!(length > 8 << 20, "the hook got {length} bytes of the state");
    let count = runtime_tests::world::times(300, 2000);
    let b = t.bundle();
    b.patch(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let mount = |index| json!({"destination": format!("/tmp/m{index}"), "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"]});
        mounts.extend((0..count).map(mount));
    });
    b.writable().stays();
    let c = t.start(&b);
    let found = mounts_of(c.pid()).iter().filter(|mount| mount.point.starts_with("/tmp/m")).count();
    assert_eq!(found, count, "mounts");
    let last = fs::metadata(c.inside(&format!("/tmp/m{}", count - 1))).unwrap();
    assert_ne!(last.dev(), fs::metadata(c.inside("/tmp")).unwrap().dev());
    c.delete_force().ok();
    world.assert_same(t, "sizes");
    Ok(())
}

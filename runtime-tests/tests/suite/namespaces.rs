//! Namespaces: new, inherited, joined by path, in combination; user namespaces; what belongs to one.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use runtime_tests::procfs::{namespace_of, own_namespace, status_field, status_of};
use runtime_tests::wait::{DEADLINE, Process};
use runtime_tests::{Bundle, Call, Case, Container, Skip, Test, Verdict, cases};
use rustix::process::Signal;
use serde_json::json;

/// The specification's types, and the kernel's names of them.
const KINDS: [(&str, &str); 8] = [
    ("mount", "mnt"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("user", "user"),
    ("time", "time"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["namespaces":
        duplicate_type_fails,
        unknown_type_fails,
        path_missing_fails,
        path_relative_fails,
        path_of_another_type_fails,
        path_that_is_no_namespace_fails,
        all_new_at_once,
        all_joined_at_once,
        joined_pid_namespace_sees_its_processes,
        joined_pid_namespace_and_new_mount_namespace,
        joined_user_and_network_namespaces,
        joined_user_without_setgroups,
        joined_mount_namespace_needs_no_pivot,
        shared_pid_namespace_delete_reaches_all,
        shared_pid_namespace_kill_reaches_all,
        inherited_pid_namespace_is_the_hosts,
        network_new_has_only_lo_and_it_is_up,
        network_joined_has_its_interfaces,
        uts_hostname_is_set,
        uts_domainname_is_set,
        uts_domainname_and_the_same_sysctl_are_set,
        uts_hostname_without_namespace_fails_or_is_not_the_hosts,
        uts_no_hostname_keeps_the_hosts,
        ipc_new_has_no_segments,
        ipc_sysctl_is_set,
        net_sysctl_is_set,
        uts_sysctl_is_set,
        sysctl_with_slashes_is_set,
        sysctl_not_namespaced_fails,
        sysctl_of_an_inherited_namespace_fails,
        sysctl_leading_out_fails,
        cgroup_new_has_its_root_at_the_containers_cgroup,
        user_maps_are_the_configs,
        user_process_is_root_inside_and_mapped_outside,
        user_process_of_another_id,
        user_root_file_system_shows_mapped_owners,
        user_root_file_system_keeps_its_owners,
        user_capabilities_are_inside_only,
        user_setgroups_works_for_a_privileged_caller,
        user_several_maps_are_written,
        user_default_devices_work,
        user_without_mappings_fails_or_maps_nothing,
        user_mappings_without_namespace_fail_or_map_nothing,
        user_with_every_other_namespace,
        user_owns_the_other_namespaces,
        user_beside_a_joined_network,
        user_beside_a_joined_pid,
        user_unmapped_process_id_fails,
        time_offsets_are_set,
        time_offsets_without_namespace_fail,
        linux_section_absent_works,
        namespaces_empty_shares_everything,
    ];
    for (kind, short) in KINDS {
        if !["user", "time"].contains(&kind) {
            all.push(Case::new(format!("namespaces::new_{kind}"), move |t| new(t, kind, short)));
            all.push(Case::new(format!("namespaces::joined_{kind}"), move |t| joined(t, kind, short)));
            all.push(Case::new(format!("namespaces::inherited_{kind}"), move |t| inherited(t, kind, short)));
        }
    }
    all.push(Case::new("namespaces::new_user", new_user));
    all.push(Case::new("namespaces::user_limits_above_the_runtimes", user_limits));
    // runc 1.1 refuses them.
    let ours = [
        ("sysctl_of_the_user_namespace_is_set", user_sysctl as fn(&Test) -> Verdict),
        ("sysctl_beside_a_proc_of_pids_alone_is_set", sysctl_beside_pids),
        ("sysctl_of_the_domain_name_in_a_user_namespace_is_set", domainname_by_sysctl),
    ];
    all.extend(ours.map(|(name, run)| Case::new(format!("namespaces::{name}"), run).only_ours()));
    all.push(Case::new("namespaces::joined_user", joined_user));
    all.push(Case::new("namespaces::new_time", |t| new(t, "time", "time")));
    all.push(Case::new("namespaces::joined_time", |t| joined(t, "time", "time")));
    all.push(Case::new("namespaces::inherited_time", |t| inherited(t, "time", "time")));
    all
}

/// A process that holds namespaces open.
pub(crate) struct Holder(Child);

impl Holder {
    /// `unshare FLAGS sleep`, once it has them.
    pub(crate) fn new(t: &Test, flags: &[&str]) -> Self {
        let ready = t.dir.join(t.fresh_name());
        let mut fifo = runtime_tests::wait::Fifo::create(&ready);
        let child = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "echo ready >\"$0\"; exec sleep 1000"])
            .arg(&ready)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(fifo.line(), "ready");
        Self(child)
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// The process that is in a new pid namespace: the holder's child.
    fn child(&self) -> i32 {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    pub(crate) fn path(&self, short: &str) -> PathBuf {
        format!("/proc/{}/ns/{short}", self.pid()).into()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MAP: &[(&str, u32)] = &[("containerID", 0), ("hostID", 100_000), ("size", 65536)];

fn map() -> serde_json::Value {
    json!([MAP.iter().map(|&(key, value)| (key, value)).collect::<std::collections::BTreeMap<_, _>>()])
}

/// A bundle in a user namespace, its root file system owned by the mapped root.
pub(crate) fn user_bundle(t: &Test) -> Bundle {
    let b = t.bundle();
    b.namespace("user", None).set("/linux/uidMappings", map()).set("/linux/gidMappings", map());
    shift(&b.rootfs());
    b
}

fn shift(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(100_000), Some(100_000)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap().path();
            // The busybox binary is hard-linked into every bundle: it stays root's, and is executable for all.
            if !entry.ends_with("busybox") {
                shift(&entry);
            }
        }
    }
}

fn has_kind(short: &str) -> bool {
    std::path::Path::new("/proc/self/ns").join(short).exists()
}

fn new(t: &Test, kind: &str, short: &str) -> Verdict {
    if !has_kind(short) {
        return Err(runtime_tests::Skip::new(format!("the kernel has no {kind} namespaces")));
    }
    let b = t.bundle();
    b.stays().namespace(kind, None);
    let c = t.start(&b);
    assert_ne!(namespace_of(c.pid(), short), own_namespace(short));
    Ok(())
}

fn inherited(t: &Test, kind: &str, short: &str) -> Verdict {
    let b = t.bundle();
    b.stays().without_namespace(kind);
    match kind {
        "uts" => drop(b.unset("/hostname")),
        "mount" => {
            // Without a mount namespace the runtime must not change the root of the caller's: crun and runc refuse.
            let (call, id) = t.bundle_call("create", &b, &[]);
            let output = call.output();
            if !output.status.success() {
                let _ = output.fails();
                t.assert_missing(&id);
                return Ok(());
            }
            let c = runtime_tests::Container::open(t, &id);
            assert_eq!(namespace_of(c.pid(), short), own_namespace(short));
            return Ok(());
        }
        "network" => {
            // sysfs belongs to the network namespace: another's cannot be mounted by a container in a user namespace,
            // by root it can.
        }
        _ => {}
    }
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), short), own_namespace(short));
    Ok(())
}

fn joined(t: &Test, kind: &str, short: &str) -> Verdict {
    t.needs_program("unshare")?;
    if !has_kind(short) {
        return Err(runtime_tests::Skip::new(format!("the kernel has no {kind} namespaces")));
    }
    let flags: &[&str] = match kind {
        "pid" => &["--pid", "--fork", "--kill-child"],
        "mount" => &["--mount", "--propagation", "private"],
        "network" => &["--net"],
        "time" => &["--time", "--fork", "--kill-child"],
        _ => &[&format!("--{kind}")],
    };
    let holder = Holder::new(t, flags);
    let pid = if ["pid", "time"].contains(&kind) { holder.child() } else { holder.pid() };
    let b = t.bundle();
    b.stays().namespace(kind, Some(format!("/proc/{pid}/ns/{short}").as_ref()));
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), short), namespace_of(pid, short));
    assert_ne!(namespace_of(c.pid(), short), own_namespace(short));
    c.delete_force().ok();
    // A pid namespace ends only when its processes are reaped, and this one's parent is the test.
    c.wait();
    Ok(())
}

fn new_user(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.stays();
    let c = t.start(&b);
    assert_ne!(namespace_of(c.pid(), "user"), own_namespace("user"));
    Ok(())
}

fn user_holder(t: &Test, more: &[&str]) -> Holder {
    let holder = Holder::new(t, &[&["--user"], more].concat());
    map_ids(&holder);
    holder
}

fn map_ids(holder: &Holder) {
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", holder.pid()), "0 100000 65536").unwrap();
    }
}

fn joined_user(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = user_holder(t, &[]);
    let b = t.bundle();
    shift(&b.rootfs());
    b.stays().namespace("user", Some(&holder.path("user"))).set("/process/oomScoreAdj", 300);
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), "user"), namespace_of(holder.pid(), "user"));
    assert_eq!(status_of(c.pid(), "Uid"), "100000\t100000\t100000\t100000");
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", c.pid())).unwrap();
    assert_eq!(score, "300\n");
    assert_eq!(c.call(&["exec"]).args(["cat", "/proc/self/oom_score_adj"]).ok().text(), "300");
    Ok(())
}

/// Whoever made it has given up setgroups(2) for all in it: a process has no groups there, those of the runtime's caller
/// least of all.
fn joined_user_without_setgroups(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    t.needs_program("setpriv")?;
    let holder = Holder::new(t, &["--user"]);
    fs::write(format!("/proc/{}/setgroups", holder.pid()), "deny").unwrap();
    map_ids(&holder);
    let b = t.bundle();
    shift(&b.rootfs());
    b.stays().namespace("user", Some(&holder.path("user")));
    crate::security::assert_without_groups(t, &b);
    b.set("/process/user/additionalGids", json!([7]));
    t.create_fails(&b).says("setgroups");
    Ok(())
}

fn duplicate_type_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.push("/linux/namespaces", json!({"type": "pid"}));
    t.create_fails(&b);
    Ok(())
}

fn unknown_type_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.push("/linux/namespaces", json!({"type": "no-such"}));
    t.create_fails(&b);
    Ok(())
}

fn path_missing_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.namespace("network", Some("/no/such/ns".as_ref()));
    t.create_fails(&b).says("no such file or directory");
    Ok(())
}

fn path_relative_fails(t: &Test) -> Verdict {
    // config-linux.md: the path MUST be absolute.
    let b = t.bundle();
    fs::write(b.path.join("ns"), "").unwrap();
    b.namespace("network", Some("ns".as_ref()));
    t.create_fails(&b);
    Ok(())
}

fn path_of_another_type_fails(t: &Test) -> Verdict {
    // config-linux.md: MUST generate an error if the path is not associated with a namespace of that type.
    for (kind, short) in
        [("network", "ipc"), ("ipc", "net"), ("uts", "mnt"), ("pid", "uts"), ("cgroup", "user")]
    {
        let b = t.bundle();
        b.namespace(kind, Some(format!("/proc/self/ns/{short}").as_ref()));
        t.create_fails(&b);
    }
    Ok(())
}

fn path_that_is_no_namespace_fails(t: &Test) -> Verdict {
    for path in ["/dev/null", "/proc/self/stat", "/"] {
        let b = t.bundle();
        b.namespace("network", Some(path.as_ref()));
        t.create_fails(&b);
    }
    Ok(())
}

fn all_new_at_once(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for (kind, short) in KINDS {
        let same = namespace_of(c.pid(), short) == own_namespace(short);
        assert_eq!(same, ["user", "time"].contains(&kind), "{kind}");
    }
    Ok(())
}

fn all_joined_at_once(t: &Test) -> Verdict {
    let first = t.bundle();
    first.stays();
    let first = t.start(&first);
    let b = t.bundle();
    b.stays().unset("/hostname").unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    for (kind, short) in KINDS {
        if !["user", "time", "mount"].contains(&kind) {
            b.namespace(kind, Some(format!("/proc/{}/ns/{short}", first.pid()).as_ref()));
        }
    }
    let c = t.start(&b);
    for (kind, short) in KINDS {
        let same = namespace_of(c.pid(), short) == namespace_of(first.pid(), short);
        assert_eq!(same, kind != "mount", "{kind}");
    }
    c.delete_force().ok();
    // A pid namespace ends only when its processes are reaped, and this one's parent is the test.
    c.wait();
    Ok(())
}

fn joined_pid_namespace_sees_its_processes(t: &Test) -> Verdict {
    let first = t.bundle();
    first.stays();
    let first = t.start(&first);
    let b = t.bundle();
    b.namespace("pid", Some(format!("/proc/{}/ns/pid", first.pid()).as_ref()));
    let output = t.output_of(&b, "echo $$; cat /proc/1/cmdline | tr '\\0' ' '");
    assert_ne!(output.lines()[0], "1");
    assert_eq!(output.lines()[1], "sleep 1000");
    assert!(!first.process.has_exited(), "the namespace's pid 1 was killed");
    Ok(())
}

fn joined_pid_namespace_and_new_mount_namespace(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = Holder::new(t, &["--pid", "--fork", "--kill-child"]);
    let b = t.bundle();
    b.stays().namespace("pid", Some(format!("/proc/{}/ns/pid", holder.child()).as_ref()));
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), "pid"), namespace_of(holder.child(), "pid"));
    c.kill("KILL").ok();
    c.wait();
    c.delete().ok();
    Ok(())
}

fn joined_user_and_network_namespaces(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = user_holder(t, &["--net", "--ipc"]);
    let b = t.bundle();
    shift(&b.rootfs());
    b.stays();
    for (kind, short) in [("user", "user"), ("network", "net"), ("ipc", "ipc")] {
        b.namespace(kind, Some(&holder.path(short)));
    }
    let c = t.start(&b);
    for short in ["user", "net", "ipc"] {
        assert_eq!(namespace_of(c.pid(), short), namespace_of(holder.pid(), short));
    }
    Ok(())
}

fn joined_mount_namespace_needs_no_pivot(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = Holder::new(t, &["--mount", "--propagation", "private"]);
    let b = t.bundle();
    b.namespace("mount", Some(&holder.path("mnt")));
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn shared_pid_namespace_kill_reaches_all(t: &Test) -> Verdict {
    // KILL ends the container: also who would outlive init, and who has.
    for of_init_first in [false, true] {
        let b = t.bundle();
        b.without_namespace("pid").sh("sleep 1000 & echo $! >/fifo; exec sleep 1000");
        let mut fifo = b.fifo("/fifo");
        let c = t.start(&b);
        let other = Process::open(fifo.line().parse().unwrap()).unwrap();
        if of_init_first {
            Process::open(c.pid()).unwrap().signal(Signal::KILL);
            c.wait();
        }
        t.call(&["kill", &c.id, "KILL"]).ok();
        assert!(other.wait_exit(DEADLINE), "killed init first: {of_init_first}");
        c.wait();
        c.delete().ok();
    }
    Ok(())
}

fn shared_pid_namespace_delete_reaches_all(t: &Test) -> Verdict {
    // Without a pid namespace the end of init does not end its children: delete must.
    let b = t.bundle();
    b.without_namespace("pid")
        .sh("trap '' TERM; (trap '' TERM HUP; sleep 1000) & sleep 1000 & echo ready >/fifo; exec sleep 1000");
    let mut fifo = b.fifo("/fifo");
    let c = t.start(&b);
    assert_eq!(fifo.line(), "ready");
    c.delete_force().ok();
    assert_eq!(runtime_tests::residue::find(t), Vec::<String>::new());
    Ok(())
}

fn inherited_pid_namespace_is_the_hosts(t: &Test) -> Verdict {
    let b = t.bundle();
    b.without_namespace("pid").stays();
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), "pid"), own_namespace("pid"));
    assert_eq!(t.output_of(&b, "[ $$ -gt 1 ] && echo other").text(), "other");
    Ok(())
}

fn network_new_has_only_lo_and_it_is_up(t: &Test) -> Verdict {
    let output = t.output_of(
        &t.bundle(),
        "ls /sys/class/net; ip -o link show lo; ping -c1 -W2 127.0.0.1 >/dev/null; echo $?",
    );
    assert_eq!(output.lines()[0], "lo");
    assert!(output.lines()[1].contains(",UP"), "{output}");
    Ok(())
}

fn network_joined_has_its_interfaces(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    t.needs_program("ip")?;
    let holder = Holder::new(t, &["--net"]);
    let add = format!(
        "nsenter --net=/proc/{}/ns/net ip link add joined0 type veth peer name joined1",
        holder.pid()
    );
    assert!(Command::new("sh").args(["-c", &add]).status().unwrap().success());
    let b = t.bundle();
    b.namespace("network", Some(&holder.path("net")));
    assert_eq!(t.output_of(&b, "ls /sys/class/net | tr '\\n' ' '").text(), "joined0 joined1 lo");
    Ok(())
}

fn uts_hostname_is_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/hostname", "a-name.example");
    assert_eq!(t.output_of(&b, "hostname; cat /proc/sys/kernel/hostname").lines(), ["a-name.example"; 2]);
    Ok(())
}

fn uts_domainname_is_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/domainname", "example.org");
    assert_eq!(t.output_of(&b, "cat /proc/sys/kernel/domainname").text(), "example.org");
    Ok(())
}

fn uts_hostname_without_namespace_fails_or_is_not_the_hosts(t: &Test) -> Verdict {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let b = t.bundle();
    b.without_namespace("uts").set("/hostname", before.trim());
    t.create_fails(&b);
    Ok(())
}

fn uts_no_hostname_keeps_the_hosts(t: &Test) -> Verdict {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let b = t.bundle();
    b.unset("/hostname");
    assert_eq!(t.output_of(&b, "hostname").text(), before.trim());
    Ok(())
}

fn ipc_new_has_no_segments(t: &Test) -> Verdict {
    assert_eq!(t.output_of(&t.bundle(), "cat /proc/sysvipc/shm | wc -l").text(), "1");
    Ok(())
}

fn sysctl_value(t: &Test, key: &str, value: &str, file: &str) -> String {
    let b = t.bundle();
    b.set("/linux/sysctl", json!({key: value}));
    t.output_of(&b, &format!("cat /proc/sys/{file}")).text().to_owned()
}

fn ipc_sysctl_is_set(t: &Test) -> Verdict {
    assert_eq!(sysctl_value(t, "kernel.shmmax", "12345678", "kernel/shmmax"), "12345678");
    assert_eq!(sysctl_value(t, "fs.mqueue.msg_max", "7", "fs/mqueue/msg_max"), "7");
    Ok(())
}

fn net_sysctl_is_set(t: &Test) -> Verdict {
    assert_eq!(sysctl_value(t, "net.ipv4.ip_forward", "1", "net/ipv4/ip_forward"), "1");
    Ok(())
}

fn uts_domainname_and_the_same_sysctl_are_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/domainname", "example.org");
    b.set("/linux/sysctl", json!({"kernel.domainname": "example.org"}));
    assert_eq!(t.output_of(&b, "cat /proc/sys/kernel/domainname").text(), "example.org");
    Ok(())
}

fn uts_sysctl_is_set(t: &Test) -> Verdict {
    assert_eq!(sysctl_value(t, "kernel.domainname", "by.sysctl", "kernel/domainname"), "by.sysctl");
    Ok(())
}

fn user_sysctl(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.set("/linux/sysctl", json!({"user.max_mnt_namespaces": "7"}));
    assert_eq!(t.output_of(&b, "cat /proc/sys/user/max_mnt_namespaces").text(), "7");
    Ok(())
}

/// As Docker Engine asks for `--domainname`, with remapped users too.
fn domainname_by_sysctl(t: &Test) -> Verdict {
    for b in [t.bundle(), user_bundle(t)] {
        b.set("/linux/sysctl", json!({"kernel.domainname": "d.e"}));
        assert_eq!(t.output_of(&b, "cat /proc/sys/kernel/domainname").text(), "d.e");
        b.set("/linux/sysctl", json!({"kernel.domainname": "x".repeat(65)}));
        t.create_fails(&b).says("/linux/sysctl/kernel.domainname");
    }
    Ok(())
}

/// It is set through another procfs than the container's.
fn sysctl_beside_pids(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().set("/mounts/0/options", json!(["subset=pid"]));
    b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    let c = t.start(&b);
    assert!(!c.inside("/proc/sys").exists());
    let network = format!("--net=/proc/{}/ns/net", c.pid());
    let output = Call::new(["nsenter", &network, "cat", "/proc/sys/net/ipv4/ip_forward"]).ok();
    assert_eq!(output.text(), "1");
    Ok(())
}

/// What only root of the host may set, of a process that is in a user namespace: from `create` and from `exec`.
fn user_limits(t: &Test) -> Verdict {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = u64::from_str_radix(&status_field(&status, "CapEff"), 16).unwrap();
    if effective & CAP_SYS_RESOURCE == 0 {
        return Err(Skip::new("only CAP_SYS_RESOURCE raises limits, which this machine's root hasn't got"));
    }
    let b = user_bundle(t);
    b.stays().set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 2000, "hard": 3000}]));
    b.set("/process/oomScoreAdj", -500);
    let lower = ["prlimit", "--nofile=1000:1000", "choom", "-n", "-100", "--"];
    let (call, id) = t.bundle_call("run", &b, &["--detach"]);
    call.through(lower).ok();
    let c = Container::open(t, &id);
    let script = "grep 'open files' /proc/self/limits; cat /proc/self/oom_score_adj";
    let output = c.call(&["exec"]).args(["sh", "-c", script]).through(lower).ok();
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["Max", "open", "files", "2000", "3000", "files", "-500"]);
    let limits = c.proc("limits");
    assert!(
        limits.lines().any(|line| line.split_whitespace().collect::<Vec<_>>()[..5] == words[..5]),
        "{limits}"
    );
    assert_eq!(c.proc("oom_score_adj").trim(), "-500");
    Ok(())
}

fn sysctl_with_slashes_is_set(t: &Test) -> Verdict {
    assert_eq!(sysctl_value(t, "net/ipv4/conf/lo/forwarding", "1", "net/ipv4/conf/lo/forwarding"), "1");
    Ok(())
}

fn sysctl_fails(t: &Test, key: &str, value: &str) {
    let b = t.bundle();
    b.set("/linux/sysctl", json!({key: value}));
    t.create_fails(&b);
}

fn sysctl_not_namespaced_fails(t: &Test) -> Verdict {
    // The host's own value: a runtime that writes it changes nothing.
    for key in ["kernel.pid_max", "vm.swappiness", "fs.file-max"] {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        sysctl_fails(t, key, fs::read_to_string(path).unwrap().trim());
    }
    Ok(())
}

fn sysctl_of_an_inherited_namespace_fails(t: &Test) -> Verdict {
    for (namespace, key) in [("ipc", "kernel.shmmni"), ("network", "net.core.somaxconn")] {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let value = fs::read_to_string(path).unwrap();
        let b = t.bundle();
        b.without_namespace(namespace).set("/linux/sysctl", json!({key: value.trim()}));
        t.create_fails(&b);
    }
    Ok(())
}

fn sysctl_leading_out_fails(t: &Test) -> Verdict {
    let max = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    for key in ["net/../kernel/pid_max", "net/ipv4/../../kernel/pid_max", "../kernel/pid_max"] {
        sysctl_fails(t, key, max.trim());
    }
    Ok(())
}

fn cgroup_new_has_its_root_at_the_containers_cgroup(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "cat /proc/self/cgroup");
    for line in output.lines() {
        assert!(line.ends_with(":/"), "{output}");
    }
    Ok(())
}

fn user_maps_are_the_configs(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.stays();
    let c = t.start(&b);
    for file in ["uid_map", "gid_map"] {
        let text = c.proc(file);
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    }
    Ok(())
}

fn user_several_maps_are_written(t: &Test) -> Verdict {
    let b = user_bundle(t);
    let several = json!([
        {"containerID": 0, "hostID": 100_000, "size": 1},
        {"containerID": 1, "hostID": 200_000, "size": 10},
        {"containerID": 100, "hostID": 300_000, "size": 5},
    ]);
    b.stays().set("/linux/uidMappings", several.clone()).set("/linux/gidMappings", several);
    b.set("/mounts/2/options", json!(["newinstance", "ptmxmode=0666"]));
    let c = t.start(&b);
    let text = c.proc("uid_map");
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "1", "1", "200000", "10", "100", "300000", "5"]);
    Ok(())
}

fn user_process_is_root_inside_and_mapped_outside(t: &Test) -> Verdict {
    let b = user_bundle(t);
    assert_eq!(t.output_of(&b, "id -u; id -g").lines(), ["0", "0"]);
    b.stays();
    let c = t.start(&b);
    assert_eq!(status_of(c.pid(), "Uid"), "100000\t100000\t100000\t100000");
    assert_eq!(status_of(c.pid(), "Gid"), "100000\t100000\t100000\t100000");
    Ok(())
}

fn user_process_of_another_id(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5]}));
    assert_eq!(t.output_of(&b, "id -u; id -g; id -G").lines(), ["1000", "1000", "1000 5"]);
    Ok(())
}

fn user_root_file_system_shows_mapped_owners(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.writable();
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /etc/passwd; echo x >/new").text(), "0 0");
    assert_eq!(fs::metadata(b.inside("/new")).unwrap().uid(), 100_000);
    Ok(())
}

/// config-linux.md, user namespace mappings: the runtime SHOULD NOT modify the ownership of referenced file systems.
fn user_root_file_system_keeps_its_owners(t: &Test) -> Verdict {
    let b = user_bundle(t);
    let owned = b.inside("/etc/owned");
    fs::write(&owned, "").unwrap();
    let owners = |b: &Bundle| {
        let of = |path: std::path::PathBuf| fs::metadata(path).map(|status| (status.uid(), status.gid()));
        ["/", "/etc", "/etc/owned", "/bin/busybox"].map(|path| of(b.inside(path)).unwrap())
    };
    std::os::unix::fs::chown(&owned, Some(7), Some(8)).unwrap();
    let before = owners(&b);
    assert_eq!(t.output_of(&b, "stat -c '%u %g' /etc/owned").text(), "65534 65534");
    assert_eq!(owners(&b), before);
    Ok(())
}

fn user_capabilities_are_inside_only(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.capabilities(&["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_MKNOD"]);
    let script = "ip link set lo down && echo net; mknod /dev/sda b 8 0 2>/dev/null || echo no-device";
    assert_eq!(t.output_of(&b, script).lines(), ["net", "no-device"]);
    Ok(())
}

fn user_setgroups_works_for_a_privileged_caller(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.stays().set("/process/user/additionalGids", json!([5, 6]));
    let c = t.start(&b);
    assert_eq!(status_of(c.pid(), "Groups"), "100005 100006");
    Ok(())
}

fn user_default_devices_work(t: &Test) -> Verdict {
    let b = user_bundle(t);
    let script = "echo x >/dev/null && head -c1 /dev/zero | wc -c; stat -c %F /dev/null /dev/urandom; ls -l /dev/ptmx | grep -c pts/ptmx";
    assert_eq!(
        t.output_of(&b, script).lines(),
        ["1", "character special file", "character special file", "1"]
    );
    Ok(())
}

fn user_without_mappings_fails_or_maps_nothing(t: &Test) -> Verdict {
    let b = t.bundle();
    b.namespace("user", None);
    t.create_fails(&b);
    Ok(())
}

fn user_mappings_without_namespace_fail_or_map_nothing(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/uidMappings", map()).set("/linux/gidMappings", map()).stays();
    let (call, id) = t.bundle_call("create", &b, &[]);
    let output = call.output();
    if output.status.success() {
        let c = runtime_tests::Container::open(t, &id);
        assert_eq!(namespace_of(c.pid(), "user"), own_namespace("user"));
        assert_eq!(status_of(c.pid(), "Uid"), "0\t0\t0\t0");
    } else {
        let _ = output.fails();
        t.assert_missing(&id);
    }
    Ok(())
}

fn user_unmapped_process_id_fails(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.set("/process/user", json!({"uid": 70_000, "gid": 0}));
    let (call, _) = t.bundle_call("run", &b, &[]);
    call.fails();
    Ok(())
}

fn user_with_every_other_namespace(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.stays();
    let c = t.start(&b);
    for (kind, short) in KINDS {
        let same = namespace_of(c.pid(), short) == own_namespace(short);
        assert_eq!(same, kind == "time", "{kind}");
    }
    Ok(())
}

fn user_owns_the_other_namespaces(t: &Test) -> Verdict {
    let b = user_bundle(t);
    b.stays();
    assert_owned_by_its_user(&t.start(&b), &["net", "ipc", "uts", "mnt", "pid", "cgroup"]);
    Ok(())
}

/// These namespaces belong to the container's user namespace.
fn assert_owned_by_its_user(c: &Container<'_>, shorts: &[&str]) {
    let user = File::open(format!("/proc/{}/ns/user", c.pid())).unwrap().metadata().unwrap();
    for short in shorts {
        let owner = owner_of(&format!("/proc/{}/ns/{short}", c.pid()));
        assert_eq!(owner, (user.dev(), user.ino()), "{short}");
    }
}

/// The joined one is the host's: it takes the host's rights, which the new user namespace takes away.
fn user_beside_a_joined_network(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = Holder::new(t, &["--net", "--uts"]);
    let b = user_bundle(t);
    b.stays().namespace("network", Some(&holder.path("net"))).namespace("uts", Some(&holder.path("uts")));
    // A sysfs takes rights over the network namespace.
    b.without_mount("/sys").unset("/hostname");
    let c = t.start(&b);
    for short in ["net", "uts"] {
        assert_eq!(namespace_of(c.pid(), short), namespace_of(holder.pid(), short), "{short}");
    }
    let map = fs::read_to_string(format!("/proc/{}/uid_map", c.pid())).unwrap();
    assert_eq!(map.split_whitespace().nth(1), Some("100000"));
    assert_owned_by_its_user(&c, &["ipc", "mnt", "pid", "cgroup"]);
    Ok(())
}

fn user_beside_a_joined_pid(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let holder = Holder::new(t, &["--pid", "--fork", "--kill-child"]);
    let b = user_bundle(t);
    b.stays().namespace("pid", Some(format!("/proc/{}/ns/pid", holder.child()).as_ref()));
    // A procfs takes rights over the pid namespace.
    b.without_mount("/proc").mount("/proc", "bind", "/proc", &["rbind"]);
    let c = t.start(&b);
    assert_eq!(namespace_of(c.pid(), "pid"), namespace_of(holder.child(), "pid"));
    assert_ne!(namespace_of(c.pid(), "user"), own_namespace("user"));
    c.delete_force().ok();
    c.wait();
    Ok(())
}

/// The user namespace that owns a namespace: NS_GET_USERNS, ioctl_ns(2).
fn owner_of(path: &str) -> (u64, u64) {
    use std::os::fd::AsFd;
    let namespace = File::open(path).unwrap();
    let owner = File::from(runtime_tests::sys::owning_user_namespace(namespace.as_fd()).unwrap());
    let meta = owner.metadata().unwrap();
    (meta.dev(), meta.ino())
}

fn time_offsets_are_set(t: &Test) -> Verdict {
    let b = t.bundle();
    b.namespace("time", None).set(
        "/linux/timeOffsets",
        json!({"monotonic": {"secs": 86400, "nanosecs": 500}, "boottime": {"secs": 172_800, "nanosecs": 0}}),
    );
    let output = t.output_of(&b, "cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime");
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "86400", "500", "boottime", "172800", "0"], "{output}");
    let host: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let inside: f64 = words[6].parse().unwrap();
    assert!((inside - host - 172_800.0).abs() < 30.0, "{inside} against {host}");
    Ok(())
}

fn time_offsets_without_namespace_fail(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/linux/timeOffsets", json!({"boottime": {"secs": 1, "nanosecs": 0}}));
    t.create_fails(&b);
    Ok(())
}

fn linux_section_absent_works(t: &Test) -> Verdict {
    // Then nothing is new, and without a mount namespace there is no root to switch to: refused, or run in it.
    let b = t.bundle();
    b.unset("/linux").unset("/mounts").unset("/hostname").writable().sh("echo hi");
    let (call, _) = t.bundle_call("run", &b, &[]);
    let output = call.output();
    if output.status.success() {
        assert_eq!(output.text(), "hi");
    } else {
        let _ = output.fails();
    }
    Ok(())
}

fn namespaces_empty_shares_everything(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/hostname").set("/linux/namespaces", json!([{"type": "mount"}])).stays();
    let c = t.start(&b);
    for (kind, short) in KINDS {
        let same = namespace_of(c.pid(), short) == own_namespace(short);
        assert_eq!(same, kind != "mount", "{kind}");
    }
    Ok(())
}

//! Configurations by chance, from a seed: valid ones, of what both runtimes know.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::resource::{Resource, getrlimit};
use runtime_tests::{Bundle, Lane, Runtime, Test};
use serde_json::{Value, json};

/// What the host and the other runtime can do.
pub(super) struct Abilities {
    controllers: Vec<&'static str>,
    /// A directory of the host for binds, with `sub/file`.
    source: String,
    /// crun's, and of its version.
    domainname: bool,
    seccomp: bool,
    /// Of the root: `rprivate` is runc's word, the specification's are without the `r`.
    recursive_propagation: bool,
    /// libcontainer writes each line of an id map by itself, which the kernel refuses.
    several_maps: bool,
    /// Whether a container without `cgroupsPath` gets the same one.
    same_default_cgroup: bool,
    lane: Lane,
    /// In the names of the test's cgroups.
    token: String,
}

impl Abilities {
    pub(super) fn of(t: &Test, other: &Runtime) -> Self {
        let source = t.dir.join("source");
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("sub/file"), "content\n").unwrap();
        fs::set_permissions(source.join("sub"), fs::Permissions::from_mode(0o777)).unwrap();
        let cgroups = t.cgroups();
        let known = ["memory", "pids", "cpu", "cpuset", "blkio", "hugetlb"];
        Self {
            controllers: known.into_iter().filter(|name| cgroups.has(name)).collect(),
            source: source.to_str().unwrap().to_owned(),
            domainname: other.name != "runc",
            seccomp: other.name != "libcontainer",
            recursive_propagation: other.name != "libcontainer",
            several_maps: other.name != "libcontainer",
            same_default_cgroup: other.name == "runc",
            lane: t.lane,
            token: t.token.clone(),
        }
    }
}

/// `SplitMix64`.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Each with one chance in two, in their order.
    fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.once_in(2)).collect()
    }
}

/// The world as the process sees it, each line with what it is of before it. It may share namespaces with the machine, and
/// have rights there: nothing of it changes anything but files of the container.
const PROBE: &str = r#"exec 2>&1
say() { while IFS= read -r line; do echo "$what|$line"; done; }
what=status; grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Umask|SigBlk|SigIgn)' /proc/self/status | say
what=limits; tail -n +2 /proc/self/limits | say
what=maps; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups | say
what=score; cat /proc/self/oom_score_adj | say
what=personality; cat /proc/self/personality | say
what=affinity; grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status | say
what=cgroup; cat /proc/self/cgroup | say
what=namespace; for n in cgroup ipc mnt net pid time user uts; do echo "$n $(readlink /proc/self/ns/$n)"; done | say
what=name; (cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname) | say
what=env; env | say
what=cwd; pwd | say
what=fd; ls /proc/self/fd | tr '\n' ' ' | sed 's/$/\n/' | say
what=dev; find /dev ! -path '/dev/pts/*' | xargs stat -c '%N %F %a %u:%g %t:%T' | say
what=root; stat -c '%n %F %a %u:%g' / /proc /sys /dev /etc /mnt /new /new/deep | say
what=mount; cat /proc/self/mountinfo | say
what=write; for d in / /dev /proc/sys/kernel/domainname /sys/fs/cgroup /mnt /mnt/sub /new /new/deep /tmp /run /etc; do
  if [ -d $d ]; then touch $d/.probe 2>/dev/null && { echo "$d written"; rm -f $d/.probe; } || echo "$d not"; fi; done | say
what=masked; for f in /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware /proc/acpi /etc/passwd; do
  if [ -d $f ]; then echo "$f $(ls -a $f 2>/dev/null | wc -l)"; else echo "$f $(head -c 4 $f 2>/dev/null | wc -c)"; fi; done | say
what=sysctl; for f in net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range kernel/shmmni kernel/msgmax fs/mqueue/msg_max; do
  echo "$f $(cat /proc/sys/$f 2>&1)"; done | say
what=net; ls /sys/class/net 2>/dev/null | say; cat /proc/net/dev | cut -d: -f1 | say
what=limit; for f in memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.swappiness pids/pids.max cpu/cpu.shares \
  cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems blkio/blkio.weight devices/devices.list \
  unified/hugetlb.2MB.max hugetlb.2MB.max pids.max memory.max cpu.max cpuset.cpus; do
  [ -r /sys/fs/cgroup/$f ] && sed "s|^|$f |" /sys/fs/cgroup/$f; done | say
what=device; for d in /dev/null /dev/zero /dev/full /dev/random /dev/tty /dev/extra-c /dev/extra-u /dev/extra-b; do
  said=$(head -c 1 $d 2>&1 >/dev/null) && echo "$d read" || echo "$d ${said##*: }"; done | say
what=call; for c in 'mkdir /tmp/d' 'chmod 700 /tmp' 'ln -s a /tmp/l' 'sync' 'uname -s' 'chown 0 /tmp' 'mkfifo /tmp/f' 'mknod /tmp/n c 1 3' \
  'mount -t tmpfs none /mnt' 'kill -0 1' 'chroot / true'; do $c >/dev/null 2>/dev/null && echo "$c done" || echo "$c not"; done | say
what=process; cut -d' ' -f1,5,6,7,8 /proc/1/stat | say; cat /proc/1/comm | say
exit 0
"#;

/// Fills a bundle.
pub(super) fn config(random: &mut Random, b: &Bundle, can: &Abilities) {
    for directory in ["tmp", "mnt", "run", "etc"] {
        let _ = fs::create_dir(b.inside(directory));
    }
    fs::write(b.inside("etc/file"), "image\n").unwrap();
    fs::set_permissions(b.inside("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    b.sh(PROBE);
    b.set("/root/readonly", random.once_in(2));
    namespaces(random, b, can);
    user(random, b);
    capabilities(random, b);
    limits_of_the_process(random, b);
    mounts(random, b, can);
    paths(random, b);
    devices(random, b);
    resources(random, b, can);
    if can.seccomp && random.once_in(3) {
        seccomp(random, b);
    }
    if random.once_in(2) {
        b.set("/annotations", json!({"org.example.key": "value"}));
    }
}

fn namespaces(random: &mut Random, b: &Bundle, can: &Abilities) {
    for (kind, times) in [("network", 4), ("ipc", 4), ("uts", 4), ("cgroup", 3)] {
        if random.once_in(times) {
            b.without_namespace(kind);
            match kind {
                "uts" => drop(b.unset("/hostname")),
                "ipc" => drop(b.without_mount("/dev/mqueue")),
                _ => {}
            }
        }
    }
    let has = |kind: &str| {
        let config = b.config();
        config["linux"]["namespaces"].as_array().unwrap().iter().any(|each| each["type"] == kind)
    };
    if has("uts") && random.once_in(2) {
        b.set("/hostname", random.one(&["a", "name.example", "x-1"]));
        if can.domainname && random.once_in(2) {
            b.set("/domainname", "example.org");
        }
    }
    if random.once_in(2) {
        let mut sysctl = serde_json::Map::new();
        if has("network") {
            for (key, value) in random.some(&[
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.ip_unprivileged_port_start", "80"),
                ("net.ipv4.ping_group_range", "0 100"),
            ]) {
                sysctl.insert(key.to_owned(), value.into());
            }
        }
        if has("ipc") {
            for (key, value) in random.some(&[
                ("kernel.shmmni", "100"),
                ("kernel.msgmax", "4000"),
                ("fs.mqueue.msg_max", "20"),
            ]) {
                sysctl.insert(key.to_owned(), value.into());
            }
        }
        b.set("/linux/sysctl", sysctl);
    }
    // A new sysfs needs a network namespace that the user namespace owns.
    if has("network") && has("ipc") && has("cgroup") && random.once_in(4) {
        let several = random.once_in(2) && can.several_maps;
        let map = if several {
            json!([{"containerID": 0, "hostID": 100_000, "size": 10}, {"containerID": 10, "hostID": 300_000, "size": 65_000}])
        } else {
            json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}])
        };
        b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        // Its root makes the destinations that are missing.
        std::os::unix::fs::chown(b.rootfs(), Some(100_000), Some(100_000)).unwrap();
    }
}

fn user(random: &mut Random, b: &Bundle) {
    let (uid, gid) = (random.one(&[0, 0, 1, 1000, 60_000]), random.one(&[0, 1, 1000]));
    b.set("/process/user", json!({"uid": uid, "gid": gid}));
    if random.once_in(2) {
        b.set("/process/user/additionalGids", random.some(&[4, 5, 27, 1000, 50_000]));
    }
    if random.once_in(2) {
        b.set("/process/user/umask", random.one(&[0, 0o22, 0o77, 0o27]));
    }
    b.set("/process/cwd", random.one(&["/", "/tmp", "/etc", "/dev"]));
    for variable in random.some(&["A=1", "B=", "C=two words", "HOME=/tmp", "LANG=C.UTF-8"]) {
        b.push("/process/env", variable.into());
    }
    b.set("/process/noNewPrivileges", random.once_in(2));
}

fn capabilities(random: &mut Random, b: &Bundle) {
    const NAMES: [&str; 12] = [
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
        "CAP_SYS_CHROOT",
    ];
    let bounding = random.some(&NAMES);
    let permitted = random.some(&bounding);
    let effective = random.some(&permitted);
    let mut sets = json!({"bounding": bounding, "permitted": permitted, "effective": effective});
    if random.once_in(2) {
        let inheritable = random.some(&permitted);
        let ambient = random.some(&inheritable);
        sets["inheritable"] = inheritable.into();
        sets["ambient"] = ambient.into();
    }
    b.set("/process/capabilities", sets);
}

fn limits_of_the_process(random: &mut Random, b: &Bundle) {
    let kinds = [
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, 512_u64),
        ("RLIMIT_CORE", Resource::RLIMIT_CORE, 0),
        ("RLIMIT_STACK", Resource::RLIMIT_STACK, 8 << 20),
        ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, 1 << 30),
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, 64 << 10),
        ("RLIMIT_CPU", Resource::RLIMIT_CPU, 1000),
        ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE, 1000),
        ("RLIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING, 100),
    ];
    let mut limits: Vec<Value> = Vec::new();
    for (name, resource, least) in random.some(&kinds) {
        // No hard limit can be raised everywhere.
        let (_, most) = getrlimit(resource).expect("getrlimit");
        let hard = least.max(least.saturating_mul(2).min(most)).min(most);
        let soft = if random.once_in(2) { hard } else { least.min(hard) };
        limits.push(json!({"type": name, "soft": soft, "hard": hard}));
    }
    b.set("/process/rlimits", limits);
    if random.once_in(3) {
        b.set("/process/oomScoreAdj", random.one(&[0, 100, 900]));
    }
}

fn mounts(random: &mut Random, b: &Bundle, can: &Abilities) {
    // `mode`, `relatime` and `strictatime` are given where a runtime's default is known to be another.
    if random.once_in(2) {
        let size = random.one(&["size=64k", "size=1m"]);
        let mode = random.one(&["mode=755", "mode=1777", "mode=700"]);
        let mut options = vec![size, mode];
        options.extend(random.some(&["nosuid", "nodev", "noexec", "noatime", "nodiratime"]));
        b.mount("/run", "tmpfs", "tmpfs", &options);
    }
    if random.once_in(2) {
        let mut options = vec![random.one(&["bind", "rbind"])];
        options.extend(random.some(&["nosuid", "nodev", "noexec"]));
        options.push(random.one(&["ro", "rw"]));
        if random.once_in(3) {
            options.push(random.one(&["private", "rprivate"]));
        }
        b.mount("/mnt", "bind", &can.source, &options);
        if random.once_in(2) {
            b.mount("/mnt/sub", "tmpfs", "none", &["mode=755", random.one(&["ro", "rw"])]);
        }
    }
    if !b.config()["root"]["readonly"].as_bool().unwrap() || random.once_in(3) {
        b.mount("/new/deep", "tmpfs", "deep", &["mode=755", "size=64k"]);
    }
    if random.once_in(3) {
        let file = format!("{}/sub/file", can.source);
        b.mount("/etc/file", "bind", &file, &["bind", random.one(&["ro", "rw"])]);
    }
    if random.once_in(4) {
        b.without_mount("/dev/shm");
    }
    if random.once_in(4) {
        b.without_mount("/sys/fs/cgroup");
    } else if random.once_in(3) && can.lane == Lane::V2 {
        b.without_mount("/sys/fs/cgroup").mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "nodev", "noexec"],
        );
    }
    if random.once_in(4) {
        b.set(
            "/linux/rootfsPropagation",
            random.one(if can.recursive_propagation { &["private", "rprivate"] } else { &["private"] }),
        );
    }
}

fn paths(random: &mut Random, b: &Bundle) {
    b.set("/linux/maskedPaths", random.some(&super::normal::MASKED));
    let readonly =
        ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/etc", "/no/such"];
    b.set("/linux/readonlyPaths", random.some(&readonly));
}

fn devices(random: &mut Random, b: &Bundle) {
    let config = b.config();
    let in_user_namespace = config["linux"]["uidMappings"].is_array();
    if in_user_namespace {
        // There they are binds of the host's, which has no such ones.
        return;
    }
    let mode = |random: &mut Random| random.one(&[0o666, 0o600, 0o640]);
    let owner = |random: &mut Random| random.one(&[0, 5, 1000]);
    for (kind, path, major, minor) in random.some(&[
        ("c", "/dev/extra-c", 1, 3),
        ("u", "/dev/extra-u", 1, 5),
        ("b", "/dev/extra-b", 7, 200),
        ("p", "/dev/extra-p", 0, 0),
        ("c", "/dev/below/extra", 1, 7),
    ]) {
        let mut device = json!({"type": kind, "path": path, "fileMode": mode(random), "uid": owner(random), "gid": owner(random)});
        if kind != "p" {
            device["major"] = major.into();
            device["minor"] = minor.into();
        }
        b.push("/linux/devices", device);
        if kind != "p" && random.once_in(2) {
            let access = random.one(&["r", "rw", "rwm"]);
            let kind = if kind == "u" { "c" } else { kind };
            b.push(
                "/linux/resources/devices",
                json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access}),
            );
        }
    }
}

fn resources(random: &mut Random, b: &Bundle, can: &Abilities) {
    let has = |name: &str| can.controllers.contains(&name);
    if has("memory") && random.once_in(2) {
        b.set("/linux/resources/memory", json!({"limit": random.one(&[64_u64 << 20, 256 << 20])}));
        if random.once_in(2) {
            b.set("/linux/resources/memory/reservation", 32 << 20);
        }
    }
    if has("pids") && random.once_in(2) {
        b.set("/linux/resources/pids", json!({"limit": random.one(&[100, 1000])}));
    }
    if has("cpu") && random.once_in(2) {
        b.set("/linux/resources/cpu/shares", random.one(&[512, 2048]));
        b.set("/linux/resources/cpu/quota", random.one(&[190_000, 150_000]));
        b.set("/linux/resources/cpu/period", 100_000);
    }
    if has("cpuset") && random.once_in(3) {
        b.set("/linux/resources/cpu/cpus", "0");
    }
    if has("hugetlb") && can.lane == Lane::V2 && random.once_in(3) {
        b.set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4 << 20}]));
    }
    // Where it is absent, each has a place of its own.
    if !can.same_default_cgroup || random.once_in(3) {
        b.set("/linux/cgroupsPath", format!("/{}-{}", can.token, random.one(&["one", "two"])));
    }
}

fn seccomp(random: &mut Random, b: &Bundle) {
    let errno =
        |names: &[&str], errno: u32| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno});
    let rules = [
        errno(&["mkdir", "mkdirat"], 1),
        errno(&["chmod", "fchmodat", "fchmodat2"], 13),
        errno(&["symlink", "symlinkat"], 95),
        errno(&["sync"], 1),
        errno(&["uname"], 38),
        errno(&["chown", "fchownat", "lchown"], 1),
        errno(&["mknod", "mknodat"], 1),
    ];
    let picked: Vec<Value> = rules.into_iter().filter(|_| random.once_in(2)).collect();
    b.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": picked}),
    );
}

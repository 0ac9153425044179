//! Cgroups on the real kernel, as root: made, limited, entered, frozen, killed, removed; seen as v2, v1 and hybrid.
//!
//! The views are private mount namespaces of the test's thread: the machine's mounts stay as they are.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use sandbox::cgroup::{
    Cgroup, CgroupError, CgroupPath, CgroupPlan, CgroupRecord, Hierarchies, Hierarchy, Mode, OwnPaths,
    plan_cgroup, probe_hierarchies,
};
use sandbox::{CgroupManager, ContainerId};
use spec::Text;
use spec::config::{Access, DeviceRule, DeviceRuleKind, Limit, Resources};

/// Runs a test in each view of the host's cgroups that can be had.
fn in_views(views: &[Mode], test: fn(&Hierarchies)) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    for &view in views {
        let run = std::thread::spawn(move || match enter_view(view) {
            Some(hierarchies) => test(&hierarchies),
            None => eprintln!("skipped: this host can't show {view:?} cgroups"),
        });
        if let Err(panic) = run.join() {
            eprintln!("in view {view:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Puts this thread into a mount namespace with this view.
fn enter_view(view: Mode) -> Option<Hierarchies> {
    const AT: &str = "/sys/fs/cgroup";
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let host = probe_hierarchies(OwnPaths::Read).unwrap();
    match (view, host.mode()?) {
        (wanted, is) if wanted == is => {}
        (Mode::Unified, Mode::Hybrid) => {
            // Out of the way of what is unmounted, in a directory that is only here.
            mount(none, "/mnt", Some("tmpfs"), MsFlags::empty(), none).unwrap();
            fs::create_dir("/mnt/v2").unwrap();
            let v2 = host.v2.as_ref()?;
            mount(Some(&v2.mount_point), "/mnt/v2", none, MsFlags::MS_BIND, none).unwrap();
            umount2(AT, MntFlags::MNT_DETACH).unwrap();
            mount(Some("/mnt/v2"), AT, none, MsFlags::MS_MOVE, none).unwrap();
        }
        (Mode::Legacy, Mode::Hybrid) => {
            umount2(&host.v2.as_ref()?.mount_point, MntFlags::MNT_DETACH).unwrap()
        }
        _ => return None,
    }
    let hierarchies = probe_hierarchies(OwnPaths::Read).unwrap();
    assert_eq!(hierarchies.mode(), Some(view));
    Some(hierarchies)
}

/// A path of a test's own, absolute: `/sandbox-test-PID-N/…`.
struct Place {
    top: String,
    hierarchies: Hierarchies,
}

impl Place {
    fn new(hierarchies: &Hierarchies) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            top: format!("sandbox-test-{}-{number}", std::process::id()),
            hierarchies: hierarchies.clone(),
        }
    }

    fn plan(&self, below: &str, resources: &Resources) -> CgroupPlan {
        let path = Text::new(format!("/{}{below}", self.top)).unwrap();
        let path = CgroupPath::new(Some(&path), &ContainerId::new("x").unwrap()).unwrap();
        let plan = plan_cgroup(CgroupManager::Cgroupfs, resources, &path, &self.hierarchies).unwrap();
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
        plan.value
    }

    fn create(&self, below: &str, resources: &Resources) -> Cgroup {
        let plan = self.plan(below, resources);
        Cgroup::create(plan.probe_claim().unwrap()).unwrap().value
    }

    fn mount_points(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.hierarchies.v1.iter().map(|it| &*it.mount_point);
        v1.chain(self.hierarchies.v2.iter().map(|it| &*it.mount_point))
    }

    /// What is left of it.
    fn left(&self) -> Vec<PathBuf> {
        self.mount_points().map(|it| it.join(&self.top)).filter(|it| it.exists()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|it| it.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(path);
        }
        // After a failed test.
        self.left().iter().for_each(|path| remove(path));
    }
}

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn shell(script: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// One that waits until its input ends.
    fn sleeper() -> Self {
        Self::shell("read line")
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn enter(cgroup: &Cgroup, process: &Process) {
    let pid = process.pid().to_string();
    for procs in cgroup.procs_fds() {
        fs::File::from(procs.try_clone_to_owned().unwrap()).write_all(pid.as_bytes()).unwrap();
    }
    if let Some(v2) = cgroup.v2_fd() {
        // The descriptor of the thread: the namespace is the thread's too.
        fs::write(format!("/proc/thread-self/fd/{}/cgroup.procs", v2.as_raw_fd()), pid).unwrap();
    }
}

fn enter_path(path: &Path, process: &Process) {
    fs::write(path.join("cgroup.procs"), process.pid().to_string()).unwrap();
}

fn within(duration: Duration) -> Instant {
    Instant::now() + duration
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);
const ALL: [Mode; 3] = [Mode::Hybrid, Mode::Unified, Mode::Legacy];

/// The container's cgroup in the hierarchy of a controller.
fn directory(cgroup: &Cgroup, controller: &str) -> PathBuf {
    let directories = &cgroup.record().directories;
    let v1 = directories.iter().find(|it| match &it.hierarchy {
        Hierarchy::V1(names) => names.iter().any(|name| name == controller),
        Hierarchy::V2 => false,
    });
    let v2 = || directories.iter().find(|it| it.hierarchy == Hierarchy::V2);
    v1.or_else(v2).unwrap().path.clone()
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

#[test]
fn whole_life_in_each_view() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("/a/b", &Resources::default());
        assert_eq!(cgroup.processes().unwrap(), Vec::<i32>::new());
        let mut process = Process::sleeper();
        enter(&cgroup, &process);
        assert_eq!(cgroup.processes().unwrap(), [process.pid()]);
        let entered = fs::read_to_string(format!("/proc/{}/cgroup", process.pid())).unwrap();
        let count = entered.lines().filter(|line| line.ends_with(&format!("/{}/a/b", place.top))).count();
        assert_eq!(count, cgroup.record().directories.len(), "{entered}");

        // As another command does it, from what is stored.
        let record = serde_json::to_string(cgroup.record()).unwrap();
        drop(cgroup);
        let cgroup = Cgroup::open(serde_json::from_str::<CgroupRecord>(&record).unwrap()).unwrap();
        cgroup.kill_all().unwrap();
        cgroup.wait_empty(within(LONG)).unwrap();
        assert!(!process.0.wait().unwrap().success());
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
        // Again, as after a crash in the middle.
        cgroup.kill_all().unwrap();
        cgroup.wait_empty(within(SHORT)).unwrap();
        cgroup.remove(within(SHORT)).unwrap();
        cgroup.thaw().unwrap();
        assert!(!cgroup.is_frozen().unwrap());
    });
}

#[test]
fn limits_in_place_before_any_process() {
    in_views(&[Mode::Hybrid, Mode::Legacy], |hierarchies| {
        let place = Place::new(hierarchies);
        let mut resources = Resources { pids: Some(Limit::Value(20)), ..Resources::default() };
        resources.memory.limit = Some(Limit::Value(64 << 20));
        resources.memory.swap = Some(Limit::Value(96 << 20));
        resources.memory.reservation = Some(Limit::Value(32 << 20));
        resources.memory.swappiness = Some(10);
        resources.cpu.shares = Some(512);
        resources.cpu.quota = Some(Limit::Value(50_000));
        resources.cpu.period = Some(200_000);
        resources.cpu.burst = Some(10_000);
        resources.cpu.cpus = Some(Text::new("0").unwrap());
        let cgroup = place.create("/a/b", &resources);
        for (controller, file, value) in [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.memsw.limit_in_bytes", "100663296"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("memory", "memory.swappiness", "10"),
            ("pids", "pids.max", "20"),
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "200000"),
            ("cpu", "cpu.cfs_burst_us", "10000"),
            ("cpuset", "cpuset.cpus", "0"),
        ] {
            assert_eq!(read(directory(&cgroup, controller).join(file)), value, "{file}");
        }
        let cpuset = directory(&cgroup, "cpuset");
        let root = hierarchies.v1.iter().find(|it| it.controllers == ["cpuset"]).unwrap().mount_point.clone();
        assert_eq!(read(cpuset.join("cpuset.mems")), read(root.join("cpuset.mems")));
        assert_eq!(read(cpuset.parent().unwrap().join("cpuset.cpus")), read(root.join("cpuset.cpus")));
        let process = Process::sleeper();
        enter(&cgroup, &process);
        drop(process);
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn v2_limits_in_place_before_any_process() {
    in_views(&[Mode::Unified], |hierarchies| {
        let v2 = hierarchies.v2.as_ref().unwrap();
        if !["cpu", "cpuset", "memory", "pids", "io"]
            .iter()
            .all(|&name| v2.controllers.iter().any(|it| it == name))
        {
            eprintln!("skipped: not all controllers are on v2 here");
            return;
        }
        let place = Place::new(hierarchies);
        let mut resources = Resources { pids: Some(Limit::Value(20)), ..Resources::default() };
        resources.memory.limit = Some(Limit::Value(64 << 20));
        resources.memory.swap = Some(Limit::Value(96 << 20));
        resources.memory.reservation = Some(Limit::Value(32 << 20));
        resources.cpu.shares = Some(512);
        resources.cpu.quota = Some(Limit::Value(50_000));
        resources.cpu.period = Some(200_000);
        resources.cpu.burst = Some(10_000);
        resources.cpu.cpus = Some(Text::new("0").unwrap());
        resources.unified.insert(Text::new("memory.high").unwrap(), Text::new("50331648").unwrap());
        let cgroup = place.create("/a/b", &resources);
        let path = directory(&cgroup, "memory");
        for (file, value) in [
            ("memory.max", "67108864"),
            ("memory.swap.max", "33554432"),
            ("memory.low", "33554432"),
            ("memory.high", "50331648"),
            ("pids.max", "20"),
            ("cpu.weight", "59"),
            ("cpu.max", "50000 200000"),
            ("cpu.max.burst", "10000"),
            ("cpuset.cpus", "0"),
        ] {
            assert_eq!(read(path.join(file)), value, "{file}");
        }
        // What the host has is there for the container's own sub-cgroups and statistics.
        let controllers = read(path.join("cgroup.controllers"));
        assert!(
            v2.controllers.iter().all(|it| controllers.split(' ').any(|name| name == it)),
            "{controllers}"
        );
        let process = Process::sleeper();
        enter(&cgroup, &process);
        drop(process);
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn v2_controller_that_parent_cannot_give_named() {
    in_views(&[Mode::Unified], |hierarchies| {
        let v2 = hierarchies.v2.as_ref().unwrap();
        if !v2.controllers.iter().any(|it| it == "memory") {
            eprintln!("skipped: no memory controller on v2");
            return;
        }
        let place = Place::new(hierarchies);
        let top = v2.mount_point.join(&place.top);
        fs::create_dir(&top).unwrap();
        let process = Process::sleeper();
        enter_path(&top, &process);
        let mut resources = Resources::default();
        resources.memory.limit = Some(Limit::Value(64 << 20));
        let plan = place.plan("/a", &resources);
        let error = Cgroup::create(plan.probe_claim().unwrap()).unwrap_err().to_string();
        let expected = format!(
            "cgroup controller memory can't be enabled in {} (for /linux/resources/memory/limit): it has processes of \
             its own (device or resource busy)",
            top.display()
        );
        assert_eq!(error, expected);
        assert!(!top.join("a").exists());
        // Without a limit nothing has to be enabled in it.
        let plan = place.plan("/a", &Resources::default());
        let outcome = Cgroup::create(plan.probe_claim().unwrap()).unwrap();
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
        outcome.value.remove(within(LONG)).unwrap();
    });
}

#[test]
fn v2_controllers_enabled_for_limit() {
    in_views(&[Mode::Hybrid, Mode::Unified], |hierarchies| {
        let v2 = hierarchies.v2.as_ref().unwrap();
        let sizes: Vec<_> = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().collect();
        if !v2.controllers.iter().any(|name| name == "hugetlb") || sizes.is_empty() {
            eprintln!("skipped: no hugetlb controller on v2");
            return;
        }
        let place = Place::new(hierarchies);
        let mut resources = Resources::default();
        let limit = |size: &str| spec::config::HugepageLimit {
            page_size: Text::new(size).unwrap(),
            limit_bytes: 4 << 20,
        };
        resources.hugepage_limits = vec![limit("2MB")];
        let cgroup = place.create("/a/b", &resources);
        let path = directory(&cgroup, "hugetlb");
        assert_eq!(read(path.join("hugetlb.2MB.max")), "4194304");
        assert_eq!(read(path.join("hugetlb.2MB.rsvd.max")), "4194304");
        cgroup.remove(within(LONG)).unwrap();

        resources.hugepage_limits = vec![limit("3MB")];
        let plan = place.plan("/a/b", &resources);
        let error = Cgroup::create(plan.probe_claim().unwrap()).unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/hugepageLimits/0"));
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn devices_filtered() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let rule = |allow, major: Option<u32>, minor, write| DeviceRule {
            allow,
            kind: if major.is_none() { DeviceRuleKind::All } else { DeviceRuleKind::Character },
            major,
            minor,
            access: Access { read: true, write, mknod: write },
        };
        // kmsg (1:11) may be read, not written; the port device (1:4) nothing.
        let devices = vec![rule(false, None, None, true), rule(true, Some(1), Some(11), false)];
        let resources = Resources { devices, ..Resources::default() };
        let mut cgroup = place.create("", &resources);
        cgroup.restrict_devices().unwrap();
        let script = "read line
            echo x > /dev/null || echo null
            true < /dev/zero || echo zero
            true < /dev/kmsg || echo kmsg
            true 2> /dev/null > /dev/kmsg || echo write-kmsg
            true 2> /dev/null < /dev/port || echo port";
        let mut process = Process::shell(script);
        enter(&cgroup, &process);
        drop(process.0.stdin.take());
        let child = std::mem::replace(&mut process.0, Command::new("true").spawn().unwrap());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "write-kmsg\nport\n", "{output:?}");
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn enters_by_writing_zero() {
    in_views(&[Mode::Hybrid, Mode::Legacy], |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let index =
            cgroup.record().directories.iter().position(|it| it.path == directory(&cgroup, "pids")).unwrap();
        let procs = cgroup.procs_fds().nth(index).unwrap().try_clone_to_owned().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo 0; grep :pids: /proc/self/cgroup >&2"])
            .stdout(procs)
            .stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let entered = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(entered.ends_with(&format!(":/{}\n", place.top)), "{entered}");
        cgroup.remove(within(LONG)).unwrap();
    });
}

#[test]
fn refused_value_leaves_nothing() {
    in_views(&[Mode::Hybrid, Mode::Legacy], |hierarchies| {
        let place = Place::new(hierarchies);
        let mut resources = Resources::default();
        resources.cpu.cpus = Some(Text::new("4000").unwrap());
        let plan = place.plan("/a/b", &resources);
        let error = Cgroup::create(plan.probe_claim().unwrap()).unwrap_err();
        assert_eq!(error.pointer(), Some("/linux/resources/cpu/cpus"), "{error}");
        assert!(error.to_string().starts_with("write \"4000\" to /"), "{error}");
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn existing_cgroup_empty_reused_and_left() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        for mount_point in place.mount_points() {
            fs::create_dir(mount_point.join(&place.top)).unwrap();
        }
        let cgroup = place.create("", &Resources::default());
        fs::create_dir_all(directory(&cgroup, "pids").join("x/y")).unwrap();
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left().len(), cgroup.record().directories.len(), "made by another");
        assert!(!directory(&cgroup, "pids").join("x").exists(), "made by the container");
    });
}

#[test]
fn existing_cgroup_in_use_refused() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let mut process = Process::sleeper();
        let owner = place.create("/a", &Resources::default());
        // Below it, where only a look into the depth finds it.
        let below = directory(&owner, "memory").join("b");
        fs::create_dir(&below).unwrap();
        enter_path(&below, &process);
        let plan = place.plan("/a", &Resources::default());
        match plan.probe_claim() {
            Err(CgroupError::Occupied { pids, .. }) => assert_eq!(pids, [process.pid()]),
            other => panic!("{other:?}"),
        }
        assert!(process.is_alive());
        drop(process);
        owner.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

/// A process would stand still in it before it could say anything.
#[test]
fn new_cgroup_below_a_frozen_one_refused() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let above = place.create("/a", &Resources::default());
        above.freeze(None, within(LONG)).unwrap();
        let plan = place.plan("/a/b", &Resources::default());
        let error = Cgroup::create(plan.probe_claim().unwrap()).unwrap_err().to_string();
        assert!(error.contains("frozen"), "{error}");
        assert!(place.mount_points().all(|it| !it.join(&place.top).join("a/b").exists()));
        above.thaw().unwrap();
        let below = place.create("/a/b", &Resources::default());
        below.remove(within(LONG)).unwrap();
        above.remove(within(LONG)).unwrap();
    });
}

/// The last container of another maker takes its parent away, after it was looked at and before anything is in it.
#[test]
fn parent_that_goes_meanwhile_is_made_again() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let first = place.create("/parent/one", &Resources::default());
        let plan = place.plan("/parent/two", &Resources::default());
        let claim = plan.probe_claim().unwrap();
        first.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
        let second = Cgroup::create(claim).unwrap().value;
        let made = |it: &Path| it.join(&place.top).join("parent/two").exists();
        assert!(place.mount_points().filter(|it| made(it)).count() == second.record().directories.len());
        second.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn existing_cgroup_frozen_refused() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let owner = place.create("", &Resources::default());
        owner.freeze(None, within(LONG)).unwrap();
        let plan = place.plan("", &Resources::default());
        assert!(matches!(plan.probe_claim(), Err(CgroupError::Frozen { .. })));
        owner.remove(within(LONG)).unwrap();
    });
}

#[test]
fn intent_removes_what_was_made_so_far() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let plan = place.plan("/a/b", &Resources::default());
        let intent = plan.probe_claim().unwrap().record().clone();
        let paths = intent.directories.iter().flat_map(|it| it.made_parents.iter().rev().chain([&it.path]));
        let paths: Vec<_> = paths.collect();
        for so_far in 0..=paths.len() {
            paths[..so_far].iter().for_each(|path| fs::create_dir(path).unwrap());
            let cgroup = Cgroup::open(intent.clone()).unwrap();
            cgroup.kill_all().unwrap();
            cgroup.remove(within(LONG)).unwrap();
            assert_eq!(place.left(), [] as [PathBuf; 0], "{so_far}");
        }
    });
}

#[test]
fn parents_made_removed_unless_shared() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let first = place.create("/pod/one", &Resources::default());
        let second = place.create("/pod/two", &Resources::default());
        assert_eq!(first.record().directories[0].made_parents.len(), 2);
        assert_eq!(second.record().directories[0].made_parents.len(), 0);
        second.remove(within(LONG)).unwrap();
        assert_eq!(place.left().len(), first.record().directories.len());
        first.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn nested_cgroups_killed_and_removed() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let (mut here, mut deep) = (Process::sleeper(), Process::sleeper());
        enter(&cgroup, &here);
        enter(&cgroup, &deep);
        for directory in &cgroup.record().directories {
            let below = directory.path.join("x/y/z");
            fs::create_dir_all(&below).unwrap();
            for number in 0..50 {
                fs::create_dir(directory.path.join(format!("many-{number}"))).unwrap();
            }
            for name in ["cpuset.cpus", "cpuset.mems"] {
                for path in ["x", "x/y", "x/y/z"] {
                    let file = directory.path.join(path).join(name);
                    if directory.hierarchy != Hierarchy::V2 && file.exists() {
                        fs::write(file, read(directory.path.join(name))).unwrap();
                    }
                }
            }
            enter_path(&below, &deep);
        }
        let mut pids = [here.pid(), deep.pid()];
        pids.sort_unstable();
        assert_eq!(cgroup.processes().unwrap(), pids);
        cgroup.kill_all().unwrap();
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
        assert!(!here.0.wait().unwrap().success() && !deep.0.wait().unwrap().success());
    });
}

#[test]
fn thousand_cgroups_below_removed() {
    in_views(&[Mode::Unified, Mode::Legacy], |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let top = directory(&cgroup, "freezer");
        for number in 0..1000 {
            fs::create_dir(top.join(format!("x{number}"))).unwrap();
        }
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn threaded_cgroup_below_killed_and_removed() {
    in_views(&[Mode::Hybrid, Mode::Unified], |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let v2 = &cgroup.record().directories.iter().find(|it| it.hierarchy == Hierarchy::V2).unwrap().path;
        let mut process = Process::sleeper();
        enter(&cgroup, &process);
        let below = v2.join("threads");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("cgroup.type"), "threaded").unwrap();
        fs::write(below.join("cgroup.threads"), process.pid().to_string()).unwrap();
        assert_eq!(cgroup.processes().unwrap(), [process.pid()]);
        cgroup.kill_all().unwrap();
        cgroup.remove(within(LONG)).unwrap();
        assert!(!process.0.wait().unwrap().success());
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn existing_cgroup_of_another_user_refused() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        for mount_point in place.mount_points() {
            fs::create_dir(mount_point.join(&place.top)).unwrap();
            std::os::unix::fs::chown(mount_point.join(&place.top), Some(65_534), None).unwrap();
        }
        let plan = place.plan("", &Resources::default());
        assert!(matches!(plan.probe_claim(), Err(CgroupError::Foreign { uid: 65_534, .. })));
    });
}

#[test]
fn frozen_by_container_itself_killed() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let mut process = Process::sleeper();
        enter(&cgroup, &process);
        for directory in &cgroup.record().directories {
            let below = directory.path.join("sub");
            for (file, value) in [("cgroup.freeze", "1"), ("freezer.state", "FROZEN")] {
                if directory.path.join(file).exists() {
                    fs::create_dir(&below).unwrap();
                    enter_path(&below, &process);
                    fs::write(below.join(file), value).unwrap();
                }
            }
        }
        cgroup.kill_all().unwrap();
        cgroup.wait_empty(within(LONG)).unwrap();
        assert!(!process.0.wait().unwrap().success());
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn frozen_stands_still_and_is_killed() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let mut process = Process::shell("read line; echo $line; read line");
        enter(&cgroup, &process);
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.freeze(None, within(LONG)).unwrap();
        assert!(cgroup.is_frozen().unwrap());
        cgroup.thaw().unwrap();
        assert!(!cgroup.is_frozen().unwrap());
        process.0.stdin.as_mut().unwrap().write_all(b"runs\n").unwrap();
        let mut answer = [0; 5];
        std::io::Read::read_exact(process.0.stdout.as_mut().unwrap(), &mut answer).unwrap();
        assert_eq!(&answer, b"runs\n");
        cgroup.freeze(None, within(LONG)).unwrap();
        cgroup.kill_all().unwrap();
        cgroup.remove(within(LONG)).unwrap();
        assert!(!process.0.wait().unwrap().success());
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn fork_bomb_killed() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        // Each lives for a moment and has two children; bounded by what is made of them at once.
        let script =
            "read line; f() { n=$1; [ $n -gt 6 ] && exec sleep 1000; f $((n+1)) & f $((n+1)) & wait; }; f 0";
        let mut process = Process::shell(script);
        enter(&cgroup, &process);
        drop(process.0.stdin.take());
        let deadline = within(LONG);
        while cgroup.processes().unwrap().len() < 10 {
            assert!(Instant::now() < deadline);
        }
        cgroup.kill_all().unwrap();
        cgroup.remove(within(LONG)).unwrap();
        assert!(!process.0.wait().unwrap().success());
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn outsider_named_and_not_killed() {
    in_views(&ALL, |hierarchies| {
        let place = Place::new(hierarchies);
        let cgroup = place.create("", &Resources::default());
        let mut process = Process::sleeper();
        enter(&cgroup, &process);
        for wait in [Cgroup::wait_empty, Cgroup::remove] {
            match wait(&cgroup, within(SHORT)) {
                Err(CgroupError::StillPopulated { pids, .. }) => assert_eq!(pids, [process.pid()]),
                other => panic!("{other:?}"),
            }
        }
        assert!(process.is_alive());
        drop(process);
        cgroup.remove(within(LONG)).unwrap();
        assert_eq!(place.left(), [] as [PathBuf; 0]);
    });
}

#[test]
fn record_outside_of_mount_point_refused() {
    let record = |path: &str, parent: &str| -> CgroupRecord {
        serde_json::from_value(serde_json::json!({
            "mode": "unified",
            "directories": [{
                "hierarchy": "v2", "mount_point": "/sys/fs/cgroup", "path": path, "made": true, "made_parents": [parent],
            }],
        }))
        .unwrap()
    };
    assert!(Cgroup::open(record("/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a")).is_ok());
    for (path, parent) in [
        ("/sys/fs/cgroup", "/sys/fs/cgroup/a"),
        ("/sys/fs/cgroup/a/../..", "/sys/fs/cgroup/a"),
        ("/srv/a", "/sys/fs/cgroup/a"),
        ("/sys/fs/cgroup/a", "/sys/fs/cgroup"),
        ("/sys/fs/cgroup/a", "/srv"),
    ] {
        assert!(
            matches!(Cgroup::open(record(path, parent)), Err(CgroupError::Record { .. })),
            "{path} {parent}"
        );
    }
}

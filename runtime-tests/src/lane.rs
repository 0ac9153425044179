//! The private mount namespace of a run, and the cgroup view in it: `CGROUP=hybrid|v1|v2`.
//!
//! Pure v1 is the machine's hybrid hierarchy without its v2 mount; pure v2 is that mount alone, moved to
//! `/sys/fs/cgroup`. Both are private: the machine's own mounts stay as they are.
//!
//! The machine's files are read-only in it. What runs here is root and under test: a runtime that takes a container
//! id for a path would else remove that path (crun 1.8 does: `delete --force /some/dir`).

use std::path::Path;
use std::{env, fs};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind,
    mount_change, mount_move, mount_remount, move_mount, open_tree, unmount,
};

use crate::procfs::{Mount, parse_mountinfo};

/// Why nothing can be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unprepared {
    /// The caller has not what tests need: they are skipped.
    Skip(String),
    /// What was asked for can't be had, or something is wrong with the machine: they fail.
    Fail(String),
}

/// Which cgroup hierarchies there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// v1 controllers, and a v2 hierarchy without most of them.
    Hybrid,
    /// v1 alone.
    V1,
    /// v2 alone.
    V2,
}

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

fn own_mounts() -> Vec<Mount> {
    parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo"))
}

impl Lane {
    /// What the mounts show.
    ///
    /// # Errors
    /// A sentence, when there is no cgroup file system.
    pub fn current() -> Result<Self, String> {
        let mounts = own_mounts();
        let below = |kind: &str| {
            mounts.iter().filter(|mount| mount.kind == kind && mount.point.starts_with(CGROUP_ROOT)).count()
        };
        match (below("cgroup"), below("cgroup2")) {
            (0, 0) => Err("no cgroup file system is mounted".into()),
            (0, _) => Ok(Self::V2),
            (_, 0) => Ok(Self::V1),
            _ => Ok(Self::Hybrid),
        }
    }

    fn wanted() -> Result<Option<Self>, String> {
        match env::var("CGROUP").as_deref() {
            Err(_) | Ok("") => Ok(None),
            Ok("hybrid") => Ok(Some(Self::Hybrid)),
            Ok("v1") => Ok(Some(Self::V1)),
            Ok("v2") => Ok(Some(Self::V2)),
            Ok(other) => Err(format!("CGROUP={other}: hybrid, v1 or v2")),
        }
    }

    /// Enters a private mount namespace with a tmpfs at `scratch` and the wanted view. To be called before there
    /// are threads: they inherit it.
    ///
    /// # Errors
    /// A sentence: for the skip, where there is no root or the machine has no such hierarchy; else of what is wrong with
    /// the machine.
    pub fn enter(scratch: &Path) -> Result<Self, Unprepared> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Unprepared::Skip("needs root".into()));
        }
        let wanted = Self::wanted().map_err(Unprepared::Fail)?;
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| Unprepared::Skip(format!("needs a mount namespace: unshare: {error}")))?;
        let step =
            |what: &'static str| move |error: rustix::io::Errno| Unprepared::Fail(format!("{what}: {error}"));
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(step("make / private"))?;
        protect_files().map_err(step("make the machine's files read-only"))?;
        if fs::write("/.runtime-tests", "").is_ok() {
            let _ = fs::remove_file("/.runtime-tests");
            return Err(Unprepared::Fail("the machine's files could not be made read-only".into()));
        }
        mount("tmpfs", scratch, "tmpfs", MountFlags::empty(), c"mode=755")
            .map_err(step("mount a tmpfs for the scratch directory"))?;
        let actual = Self::current().map_err(Unprepared::Skip)?;
        match wanted {
            None => return Ok(actual),
            Some(wanted) if wanted == actual => return Ok(actual),
            Some(Self::V1) if actual == Self::Hybrid => leave_v1().map_err(step("show cgroup v1 alone"))?,
            Some(Self::V2) if actual == Self::Hybrid => {
                leave_v2(scratch).map_err(step("show cgroup v2 alone"))?
            }
            Some(wanted) => {
                let reason = format!("{wanted:?} was asked for, the machine has {actual:?}");
                return Err(Unprepared::Skip(reason));
            }
        }
        Self::current().map_err(Unprepared::Fail)
    }
}

/// File systems whose files are the kernel's: they stay writable.
const KERNEL_KINDS: [&str; 7] = ["proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue"];

/// What systemd is reached by, where there is one.
const SYSTEMD: [&str; 3] = ["/run/systemd", "/run/dbus", "/run/user"];

/// Makes every file system with files of the machine read-only in this mount namespace, `/run` a fresh one but for
/// systemd; `/tmp` stays (runc copies through it).
fn protect_files() -> rustix::io::Result<()> {
    mount_bind("/tmp", "/tmp")?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let mut kept = Vec::new();
    for path in SYSTEMD.iter().filter(|path| Path::new(path).exists()) {
        kept.push((path, open_tree(CWD, *path, clone)?));
    }
    for mount in own_mounts() {
        let stays = KERNEL_KINDS.contains(&mount.kind.as_str())
            // What is mounted below is hidden by the bind.
            || mount.point == "/tmp"
            || mount.point.starts_with("/tmp/")
            || mount.point.starts_with("/dev/")
            || mount.point.starts_with("/sys/")
            || mount.point.starts_with("/proc/");
        if stays || mount.has("ro") {
            continue;
        }
        let kept = [
            ("nosuid", MountFlags::NOSUID),
            ("nodev", MountFlags::NODEV),
            ("noexec", MountFlags::NOEXEC),
            ("noatime", MountFlags::NOATIME),
            ("relatime", MountFlags::RELATIME),
        ];
        let flags = kept
            .iter()
            .filter(|(name, _)| mount.has(name))
            .fold(MountFlags::BIND | MountFlags::RDONLY, |flags, (_, flag)| flags | *flag);
        mount_remount(mount.point.as_str(), flags, c"")?;
    }
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
    for (path, tree) in kept {
        fs::create_dir(path).map_err(|_| rustix::io::Errno::IO)?;
        move_mount(tree, "", CWD, *path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    Ok(())
}

fn v2_mount() -> String {
    let mounts = own_mounts();
    mounts.into_iter().find(|mount| mount.kind == "cgroup2").map(|mount| mount.point).unwrap_or_default()
}

fn leave_v1() -> rustix::io::Result<()> {
    unmount(v2_mount(), UnmountFlags::DETACH)
}

fn leave_v2(scratch: &Path) -> rustix::io::Result<()> {
    let aside = scratch.join("cgroup2");
    fs::create_dir(&aside).map_err(|_| rustix::io::Errno::IO)?;
    mount_bind(v2_mount(), &aside)?;
    unmount(CGROUP_ROOT, UnmountFlags::DETACH)?;
    mount_move(&aside, CGROUP_ROOT)
}

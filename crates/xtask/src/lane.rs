//! A view of the cgroup hierarchies in a private mount namespace: `lane LANE COMMAND`.
//!
//! On a machine with both hierarchies (hybrid), pure v1 is what is left without the v2 mount, and pure v2 is that
//! mount alone, moved to `/sys/fs/cgroup`. The machine's own mounts stay as they are.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Context, Failure, Result};
use crate::project;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Which cgroup hierarchies are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// v1 hierarchies, and a v2 hierarchy beside them.
    Hybrid,
    /// v1 hierarchies alone.
    V1,
    /// The v2 hierarchy alone.
    V2,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Hybrid, Self::V1, Self::V2];
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

impl FromStr for Lane {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|lane| lane.to_string() == name);
        known.ok_or_else(|| "a lane is hybrid, v1 or v2".into())
    }
}

/// Mount points below [`CGROUP_ROOT`], with their file system types, of a mountinfo text.
fn parse_cgroup_mounts(mountinfo: &str) -> Vec<(&str, &str)> {
    let parse_line = |line| {
        let (before, after): (&str, &str) = str::split_once(line, " - ")?;
        Some((before.split(' ').nth(4)?, after.split(' ').next()?))
    };
    let mounts = mountinfo.lines().filter_map(parse_line);
    mounts.filter(|(point, kind)| point.starts_with(CGROUP_ROOT) && kind.starts_with("cgroup")).collect()
}

fn lane_of(mounts: &[(&str, &str)]) -> Option<Lane> {
    let has = |wanted: &str| mounts.iter().any(|(_, kind)| *kind == wanted);
    match (has("cgroup"), has("cgroup2")) {
        (true, true) => Some(Lane::Hybrid),
        (true, false) => Some(Lane::V1),
        (false, true) => Some(Lane::V2),
        (false, false) => None,
    }
}

/// What is mounted here.
pub(crate) fn read_current() -> Result<Lane> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    lane_of(&parse_cgroup_mounts(&mountinfo)).ok_or_else(|| Failure::new("no cgroup file system is mounted"))
}

/// Mount points of the v1 hierarchies.
pub(crate) fn v1_hierarchies() -> Result<Vec<PathBuf>> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    let mounts = parse_cgroup_mounts(&mountinfo);
    Ok(mounts.iter().filter(|(_, kind)| *kind == "cgroup").map(|(point, _)| point.into()).collect())
}

/// The lanes that can be shown where `current` is mounted.
pub(crate) fn reachable(current: Lane) -> Vec<Lane> {
    match current {
        Lane::Hybrid => Lane::ALL.to_vec(),
        only => vec![only],
    }
}

/// Moves this process, which has one thread, into a mount namespace of its own, of which nothing gets out.
pub(crate) fn leave_mount_namespace() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("unshare(CLONE_NEWNS)")?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).context("make / private")
}

/// Moves this process, which has one thread, into a private mount namespace that shows the lane.
pub(crate) fn enter(lane: Lane) -> Result<()> {
    project::check_root()?;
    let current = read_current()?;
    if !reachable(current).contains(&lane) {
        return Err(Failure::new(format!("this machine has cgroup {current}: it can't show {lane}")));
    }
    leave_mount_namespace()?;
    let nothing = None::<&str>;
    if lane == current {
        return Ok(());
    }
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    let mounts = parse_cgroup_mounts(&mountinfo);
    let unified = mounts.iter().find(|(_, kind)| *kind == "cgroup2").map_or("", |(point, _)| point);
    if lane == Lane::V1 {
        return umount2(unified, MntFlags::MNT_DETACH).context("unmount the v2 hierarchy");
    }
    // A mount can't be moved out of the tree that is about to go: a bind elsewhere, then back.
    mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), nothing)
        .context("mount a tmpfs on /mnt")?;
    std::fs::create_dir("/mnt/cgroup").context("make /mnt/cgroup")?;
    mount(Some(unified), "/mnt/cgroup", nothing, MsFlags::MS_BIND, nothing)
        .context("bind the v2 hierarchy")?;
    umount2(CGROUP_ROOT, MntFlags::MNT_DETACH).context("unmount the v1 hierarchies")?;
    mount(Some("/mnt/cgroup"), CGROUP_ROOT, nothing, MsFlags::MS_MOVE, nothing)
        .context("move the v2 hierarchy")?;
    umount2("/mnt", MntFlags::MNT_DETACH).context("unmount /mnt")
}

/// Mount points in a directory, itself included, in the order of mountinfo.
pub(crate) fn mounts_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    Ok(points.filter(|point| point.starts_with(directory)).collect())
}

/// Entry of the task: enters the lane and becomes the command.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut words = parser.raw_args()?;
    let lane: Option<OsString> = words.next();
    let lane = lane.ok_or_else(|| Failure::new("lane: which lane?"))?;
    let lane: Lane = lane.to_string_lossy().parse().map_err(Failure::new)?;
    let program = words.next().ok_or_else(|| Failure::new("lane: which command?"))?;
    enter(lane)?;
    let mut command = Command::new(&program);
    Err(command.args(words).exec()).context(program.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 18 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:22 / /sys/fs/cgroup/unified rw,relatime shared:8 - cgroup2 cgroup2 rw
26 24 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
27 18 0:24 / /tmp rw - tmpfs tmpfs rw
";

    #[test]
    fn mounts_hybrid_recognised() {
        let mounts = parse_cgroup_mounts(HYBRID);
        assert_eq!(mounts, [("/sys/fs/cgroup/unified", "cgroup2"), ("/sys/fs/cgroup/memory", "cgroup")]);
        assert_eq!(lane_of(&mounts), Some(Lane::Hybrid));
        assert_eq!(lane_of(&mounts[..1]), Some(Lane::V2));
        assert_eq!(lane_of(&mounts[1..]), Some(Lane::V1));
        assert_eq!(lane_of(&[]), None);
    }

    #[test]
    fn lane_name_round_trips() {
        for lane in Lane::ALL {
            assert_eq!(lane.to_string().parse(), Ok(lane));
        }
        assert!("v3".parse::<Lane>().is_err());
    }
}

//! What the container shares with the host, and what it is called in the images.
//!
//! Runs in the runtime. The names must be the same at checkpoint and at restore; they are those of runc.

use std::fs;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use init::Step;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use spec::Config;
use spec::config::NamespaceKind;

use super::message::{ExternalMount, InheritedDescriptor};
use crate::error::{Error, Result};
use crate::plan::PlannedStep;

/// The file in the images that says where the streams led.
pub(crate) const DESCRIPTORS: &str = "descriptors.json";

/// What a file that is masked leads to.
const NULL: &str = "/dev/null";

/// The name of a namespace that was joined: `extRootNetNS`.
pub(crate) fn external_key(kind: NamespaceKind) -> Option<(&'static str, &'static str)> {
    match kind {
        NamespaceKind::Network => Some(("net", "extRootNetNS")),
        NamespaceKind::Pid => Some(("pid", "extRootPidNS")),
        _ => None,
    }
}

/// The external mounts of a running container: `(where it is, its name)`.
///
/// # Errors
/// The container's root can't be looked at.
pub(crate) fn dumped_mounts(
    steps: &[PlannedStep],
    config: &Config,
    rootfs: &Path,
    pid: i32,
) -> Result<Vec<ExternalMount>> {
    let mut mounts: Vec<ExternalMount> = binds(steps, rootfs)
        .into_iter()
        .map(|(target, _)| ExternalMount { key: target.clone(), value: target })
        .collect();
    if config.linux.namespaces.cgroup.is_none() {
        mounts.extend(bound_cgroups(pid)?);
    }
    for path in &config.linux.masked_paths {
        let inside = PathBuf::from(format!("/proc/{pid}/root{}", &***path));
        if fs::metadata(&inside).is_ok_and(|status| !status.is_dir()) {
            mounts.push(ExternalMount { key: path.to_string(), value: NULL.into() });
        }
    }
    dedup(&mut mounts);
    Ok(mounts)
}

/// The same for a container to come: `(its name, what is mounted)`.
pub(crate) fn restored_mounts(steps: &[PlannedStep], config: &Config, rootfs: &Path) -> Vec<ExternalMount> {
    let mut mounts: Vec<ExternalMount> = binds(steps, rootfs)
        .into_iter()
        .map(|(target, source)| ExternalMount { key: target, value: source })
        .collect();
    if !config.linux.masked_paths.is_empty() {
        mounts.push(ExternalMount { key: NULL.into(), value: NULL.into() });
    }
    dedup(&mut mounts);
    mounts
}

/// Later mounts hide earlier ones of the same name.
fn dedup(mounts: &mut Vec<ExternalMount>) {
    let mut seen = std::collections::BTreeSet::new();
    mounts.reverse();
    mounts.retain(|mount| seen.insert(mount.key.clone()));
    mounts.reverse();
}

/// The bind mounts of a plan: target in the root, source on the host.
fn binds(steps: &[PlannedStep], rootfs: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directory = String::new();
    for planned in steps {
        match &planned.step {
            Step::Bind { source, target, .. } => {
                found.push((resolve(rootfs, &target.to_string()), source.to_string()));
            }
            Step::EnterDirectory { path } => directory = path.to_string(),
            Step::BindNode { name, source, .. } => {
                found.push((resolve(rootfs, &format!("{directory}/{name}")), source.to_string()));
            }
            _ => {}
        }
    }
    found
}

/// A path of the root without its symbolic links, as far as it exists.
fn resolve(rootfs: &Path, path: &str) -> String {
    let mut rest = Vec::new();
    let clean: PathBuf = Path::new(path)
        .components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::RootDir))
        .collect();
    let mut prefix = clean.clone();
    loop {
        if let Some(resolved) = resolve_existing(rootfs, &prefix) {
            let whole = rest.iter().rev().fold(resolved, |path, name| path.join(name));
            return whole.to_string_lossy().into_owned();
        }
        match (prefix.file_name().map(ToOwned::to_owned), prefix.parent().map(Path::to_owned)) {
            (Some(name), Some(parent)) => {
                rest.push(name);
                prefix = parent;
            }
            _ => return clean.to_string_lossy().into_owned(),
        }
    }
}

fn resolve_existing(rootfs: &Path, path: &Path) -> Option<PathBuf> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(rootfs, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let resolving = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(root.as_fd(), path, flags, Mode::empty(), resolving).ok()?;
    let name = |file: &OwnedFd| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
    let inside = name(&found)?.strip_prefix(name(&root)?).ok()?.to_owned();
    Some(Path::new("/").join(inside))
}

/// The container's own cgroups, bound into its root where it has no cgroup namespace (proc_pid_mountinfo(5)).
fn bound_cgroups(pid: i32) -> Result<Vec<ExternalMount>> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    Ok(text.lines().filter_map(parse_bound_cgroup).collect())
}

fn parse_bound_cgroup(line: &str) -> Option<ExternalMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    if !filesystem.starts_with("cgroup") {
        return None;
    }
    let place = mount.split(' ').nth(4)?.to_owned();
    Some(ExternalMount { key: place.clone(), value: place })
}

/// Where the streams of a process lead.
pub(crate) fn read_streams(pid: i32) -> Vec<String> {
    let stream = |number| fs::read_link(format!("/proc/{pid}/fd/{number}"));
    (0..3)
        .map(|number| stream(number).map_or_else(|_| NULL.to_owned(), |to| to.to_string_lossy().into()))
        .collect()
}

/// Pipes of the host: the restored process gets ours of the same number instead.
pub(crate) fn inherited_pipes(streams: &[String]) -> Vec<InheritedDescriptor> {
    let pipes = streams.iter().enumerate().filter(|(_, to)| to.contains("pipe:"));
    pipes.map(|(number, to)| InheritedDescriptor { key: to.clone(), number: number as i32 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_of_mountinfo_is_external() {
        let line = "36 35 98:0 /c /sys/fs/cgroup/pids rw,noatime master:1 - cgroup cgroup rw,pids";
        assert_eq!(parse_bound_cgroup(line).unwrap().key, "/sys/fs/cgroup/pids");
        assert_eq!(parse_bound_cgroup("36 35 98:0 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn pipes_are_inherited_by_number() {
        let streams = ["/dev/null".to_owned(), "pipe:[12]".to_owned(), "pipe:[12]".to_owned()];
        let numbers: Vec<_> = inherited_pipes(&streams).iter().map(|pipe| pipe.number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn path_is_resolved_as_far_as_it_exists() {
        let root = std::env::temp_dir().join(format!("criu-resolve-{}", std::process::id()));
        fs::create_dir_all(root.join("real")).unwrap();
        std::os::unix::fs::symlink("/real", root.join("link")).unwrap();
        assert_eq!(resolve(&root, "/link/new/x"), "/real/new/x");
        assert_eq!(resolve(&root, "/absent"), "/absent");
        fs::remove_dir_all(root).unwrap();
    }
}

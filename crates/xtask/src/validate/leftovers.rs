//! What the suite leaves behind: mounts, directories, cgroups of fixed names.

use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::{Context, Result};
use crate::lane::mounts_below;

/// Names that the suite gives as `cgroupsPath`, the deepest first.
const CGROUPS: [&str; 4] = ["testdir/cgrouptest/container", "testdir/cgrouptest", "testdir", "cgrouptest"];

/// What is to be removed at the end.
#[derive(Debug)]
pub(super) struct Leftovers {
    scratch: PathBuf,
    cgroups: Vec<PathBuf>,
}

impl Leftovers {
    /// Mounts a scratch directory, makes the root file system read-only and notes which cgroups are not there yet.
    pub(super) fn prepare() -> Result<(PathBuf, Self)> {
        let scratch = std::env::temp_dir().join(format!("sandboxd-validate-{}", std::process::id()));
        std::fs::create_dir(&scratch).context(scratch.display())?;
        // Open to all: a mapped user must be able to pass.
        mount(Some("tmpfs"), &scratch, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .context(scratch.display())?;
        remount_root(MsFlags::MS_RDONLY)?;
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let mut roots: Vec<PathBuf> =
            hierarchies.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        roots.push("/sys/fs/cgroup".into());
        let named = roots.iter().flat_map(|root| CGROUPS.iter().map(|name| root.join(name)));
        let cgroups = named.filter(|path| !path.exists()).collect();
        Ok((scratch.clone(), Self { scratch, cgroups }))
    }

    /// Unmounts what is mounted in the scratch directory, itself included, and removes it; then the cgroups.
    pub(super) fn remove(self) -> Result<()> {
        // Later mounts may cover earlier ones.
        for point in mounts_below(&self.scratch)?.iter().rev() {
            umount2(point.as_path(), MntFlags::MNT_DETACH)
                .context(format_args!("unmount {}", point.display()))?;
        }
        remount_root(MsFlags::empty())?;
        // Not recursively: it is empty, or something is wrong.
        std::fs::remove_dir(&self.scratch).context(self.scratch.display())?;
        for cgroup in self.cgroups.iter().filter(|cgroup| cgroup.exists()) {
            std::fs::remove_dir(cgroup).context(cgroup.display())?;
        }
        Ok(())
    }
}

/// Makes the mount of the root file system writable, or not. What is bound from it afterwards is like it.
fn remount_root(flags: MsFlags) -> Result<()> {
    let nothing = None::<&str>;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
    mount(nothing, "/", nothing, flags, nothing).context("remount /")
}

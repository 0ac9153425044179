//! Somebody else on the machine, who is to notice nothing: a process in cgroups of its own, and a mount. Nothing of it
//! carries the test's token.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::cgroup::Hierarchies;
use crate::test::Test;

/// The bystander; it is gone with this.
#[derive(Debug)]
pub struct Bystander {
    process: Child,
    /// Directories of its cgroups, with their inodes.
    cgroups: Vec<(PathBuf, u64)>,
    directory: PathBuf,
    device: u64,
}

impl Bystander {
    /// Somebody is there from now on.
    ///
    /// # Panics
    /// When the machine refuses.
    #[must_use]
    pub fn start(test: &Test) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("rt{}b{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("sleep");
        command.arg("1000").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("start a process");
        let mut cgroups = Vec::new();
        for root in Hierarchies::mounted().roots() {
            let directory = root.join(&name);
            fs::create_dir(&directory).expect("make a cgroup");
            // Where the kernel takes nobody before there are limits (cpuset of v1) the cgroup is empty.
            let _ = fs::write(directory.join("cgroup.procs"), process.id().to_string());
            let inode = fs::metadata(&directory).expect("stat a cgroup").ino();
            cgroups.push((directory, inode));
        }
        let directory = test.dir.parent().expect("a scratch directory").join(name);
        fs::create_dir(&directory).expect("make a directory");
        mount("bystander", &directory, "tmpfs", MountFlags::empty(), c"size=64k").expect("mount a tmpfs");
        let device = fs::metadata(&directory).expect("stat a mount").dev();
        Self { process, cgroups, directory, device }
    }

    /// What has become of it that should not, one line each.
    #[must_use]
    pub fn harm(&mut self) -> Vec<String> {
        let mut harm = Vec::new();
        if let Ok(Some(status)) = self.process.try_wait() {
            harm.push(format!("the bystander's process has ended: {status}"));
        }
        let pid = self.process.id();
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 'D'])) {
            harm.push(format!("the bystander's process stands still: {state}"));
        }
        for (directory, inode) in &self.cgroups {
            if fs::metadata(directory).map_or(0, |status| status.ino()) != *inode {
                harm.push(format!("the bystander's cgroup is gone: {}", directory.display()));
            }
        }
        if fs::metadata(&self.directory).map_or(0, |status| status.dev()) != self.device {
            harm.push(format!("the bystander's mount is gone: {}", self.directory.display()));
        }
        harm
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = unmount(&self.directory, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.directory);
        for (directory, _) in &self.cgroups {
            // It may be busy for a moment after the end of its last process.
            let end = std::time::Instant::now() + crate::wait::DEADLINE;
            while directory.exists() && fs::remove_dir(directory).is_err() && std::time::Instant::now() < end
            {
                std::thread::yield_now();
            }
        }
    }
}

//! A block device: a file with a file system in it, as a loop device.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::skip::Skip;

/// A loop device; let go when this goes, or with its last mount.
#[derive(Debug)]
pub struct Disk {
    node: PathBuf,
    /// The file of its scheduler, and the scheduler that it had.
    scheduler: Option<(PathBuf, String)>,
}

impl Disk {
    /// A new file of this name, 4 MiB of zeros.
    ///
    /// # Errors
    /// The machine has no loop devices, or no program for them.
    pub fn blank(file: &Path) -> Result<Self, Skip> {
        make_image(file);
        Self::of(file)
    }

    /// A new ext4 in a file of this name.
    ///
    /// # Errors
    /// The machine has no loop devices, or no programs for them.
    pub fn ext4(file: &Path) -> Result<Self, Skip> {
        make_image(file);
        said(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(file))?;
        Self::of(file)
    }

    fn of(file: &Path) -> Result<Self, Skip> {
        // Where nothing has made the node of a module that is not there yet, losetup looks for none.
        if !Path::new("/dev/loop-control").exists() {
            said(Command::new("modprobe").arg("loop"))?;
        }
        let said = said(Command::new("losetup").args(["--find", "--show"]).arg(file))?;
        Ok(Self { node: PathBuf::from(said.trim()), scheduler: None })
    }

    /// Has this scheduler order what is read and written, until the device is let go.
    ///
    /// # Errors
    /// The kernel has no such scheduler, or the machine's `/sys` is not to be written.
    pub fn scheduled_by(mut self, name: &str) -> Result<Self, Skip> {
        let file = Path::new("/sys/block")
            .join(self.node.file_name().expect("a device's name"))
            .join("queue/scheduler");
        // Documentation/block/switching-sched.rst: all that there are, and that in use in brackets.
        let all = std::fs::read_to_string(&file).map_err(|error| no_scheduler(name, &error))?;
        let used =
            all.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("none", |(used, _)| used);
        std::fs::write(&file, name).map_err(|error| no_scheduler(name, &error))?;
        self.scheduler = Some((file, used.to_owned()));
        Ok(self)
    }

    /// Its node on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.node
    }

    /// Its major and minor number.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64) {
        let device = std::fs::metadata(&self.node).expect("look at the device").rdev();
        (nix::sys::stat::major(device), nix::sys::stat::minor(device))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some((file, used)) = &self.scheduler {
            let _ = std::fs::write(file, used);
        }
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).output();
    }
}

fn make_image(file: &Path) {
    File::create(file).and_then(|file| file.set_len(4 << 20)).expect("make an image");
}

/// The major and minor number of a block device that the machine has.
///
/// # Errors
/// It has none.
pub fn any() -> Result<(u64, u64), Skip> {
    let entries = std::fs::read_dir("/sys/block").map_err(|_| Skip::new("no /sys/block"))?;
    let numbers = entries.flatten().find_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    numbers.ok_or_else(|| Skip::new("no block device"))
}

fn no_scheduler(name: &str, error: &std::io::Error) -> Skip {
    Skip::new(format!("no device can have the scheduler {name}: {error}"))
}

fn said(command: &mut Command) -> Result<String, Skip> {
    match command.output() {
        Ok(Output { status, stdout, .. }) if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        }
        Ok(output) => Err(Skip::new(format!(
            "no loop device: {} says: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(error) => Err(Skip::new(format!("no {}: {error}", command.get_program().display()))),
    }
}

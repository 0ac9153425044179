//! A block device: a file with a file system in it, as a loop device.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::suite::Skip;

/// A loop device; let go when this goes, or with its last mount.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// A new ext4 in a file of this name.
    ///
    /// # Errors
    /// The machine has no loop devices, or no programs for them.
    pub fn ext4(file: &Path) -> Result<Self, Skip> {
        File::create(file).and_then(|file| file.set_len(4 << 20)).expect("make an image");
        said(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(file))?;
        let said = said(Command::new("losetup").args(["--find", "--show"]).arg(file))?;
        Ok(Self(PathBuf::from(said.trim())))
    }

    /// Its node on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).output();
    }
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

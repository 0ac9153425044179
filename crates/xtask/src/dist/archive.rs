//! The files of a release, their checksums, and the archive.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Result};
use crate::process::{output_of, run};

/// A directory that becomes the archive.
#[derive(Debug)]
pub(super) struct Stage {
    output: PathBuf,
    name: String,
}

/// Copies a file with its permissions; directories are made.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).context(parent.display())?;
    }
    fs::copy(from, to).map(drop).context(format_args!("copy {} to {}", from.display(), to.display()))
}

/// Where the checksum of an archive is: beside it.
pub(super) fn checksum_file(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

impl Stage {
    /// An empty one.
    pub(super) fn begin(output: &Path, name: &str) -> Result<Self> {
        let stage = Self { output: output.to_owned(), name: name.to_owned() };
        match fs::remove_dir_all(stage.directory()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(name)?,
            _ => fs::create_dir_all(stage.directory()).context(output.display())?,
        }
        Ok(stage)
    }

    fn directory(&self) -> PathBuf {
        self.output.join(&self.name)
    }

    pub(super) fn add_program(&self, from: &Path, name: &str) -> Result<()> {
        self.add(from, name, 0o755)
    }

    pub(super) fn add_file(&self, from: &Path, name: &str) -> Result<()> {
        self.add(from, name, 0o644)
    }

    pub(super) fn add_text(&self, name: &str, text: &str) -> Result<()> {
        let file = self.directory().join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        fs::write(&file, text).context(file.display())?;
        fs::set_permissions(&file, Permissions::from_mode(0o644)).context(file.display())
    }

    /// The files of a directory.
    pub(super) fn add_directory(&self, from: &Path, name: &str) -> Result<()> {
        for entry in fs::read_dir(from).context(from.display())? {
            let file = entry.context(from.display())?;
            self.add_file(&file.path(), &format!("{name}/{}", file.file_name().to_string_lossy()))?;
        }
        Ok(())
    }

    fn add(&self, from: &Path, name: &str, mode: u32) -> Result<()> {
        let to = self.directory().join(name);
        copy(from, &to)?;
        fs::set_permissions(&to, Permissions::from_mode(mode)).context(to.display())
    }

    /// Writes `SHA256SUMS` of all files, then the archive and its own checksum beside it.
    pub(super) fn finish(&self, time: u64) -> Result<PathBuf> {
        let sums = output_of(Command::new("sh").current_dir(self.directory()).args([
            "-c",
            "find . -type f ! -name SHA256SUMS | LC_ALL=C sort | cut -c3- | xargs sha256sum --",
        ]))?;
        self.add_text("SHA256SUMS", &sums)?;
        let archive = self.output.join(format!("{}.tar.gz", self.name));
        let tar = self.output.join(format!("{}.tar", self.name));
        let mut command = Command::new("tar");
        command.args([
            "--format=ustar",
            "--sort=name",
            "--owner=root:0",
            "--group=root:0",
            "--numeric-owner",
        ]);
        command.args(["--mode=u=rwX,go=rX", &format!("--mtime=@{time}"), "-C"]).arg(&self.output);
        run(command.env("LC_ALL", "C").arg("-cf").arg(&tar).arg(&self.name))?;
        // Without the name and the time of the file.
        run(Command::new("gzip").args(["--force", "--no-name", "--best"]).arg(&tar))?;
        let name = archive.file_name().unwrap_or_default();
        let sum = output_of(Command::new("sha256sum").current_dir(&self.output).arg("--").arg(name))?;
        let sum_file = checksum_file(&archive);
        fs::write(&sum_file, sum).context(sum_file.display())?;
        Ok(archive)
    }
}

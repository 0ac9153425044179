//! Root file systems of busybox, made once and hard-linked into each bundle.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where Debian and its kin put a static busybox.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static"];

/// Directories of a fresh root file system.
const DIRECTORIES: [&str; 9] = ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp"];

/// The distribution's busybox and its applets.
#[derive(Debug)]
pub struct Busybox {
    /// A copy in the scratch file system, which can be hard-linked.
    binary: PathBuf,
    applets: Vec<String>,
}

static BUSYBOX_COPY: OnceLock<Result<Busybox, String>> = OnceLock::new();

impl Busybox {
    /// Finds a static busybox and copies it into `scratch`, once.
    ///
    /// # Errors
    /// A sentence for the skip.
    pub fn get(scratch: &Path) -> Result<&'static Self, String> {
        BUSYBOX_COPY.get_or_init(|| Self::copy(scratch)).as_ref().map_err(Clone::clone)
    }

    fn copy(scratch: &Path) -> Result<Self, String> {
        let source = BUSYBOX
            .iter()
            .find(|path| fs::read(path).is_ok_and(|bytes| !has_interpreter(&bytes)))
            .ok_or("no static busybox (Debian: apt-get install busybox-static)")?;
        let binary = scratch.join("busybox");
        fs::copy(source, &binary).map_err(|error| format!("copy {source}: {error}"))?;
        let output = Command::new(source)
            .arg("--list")
            .output()
            .map_err(|error| format!("{source} --list: {error}"))?;
        let applets = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        Ok(Self { binary, applets })
    }

    /// Fills `root` with directories, the applets, `/etc/passwd` and `/etc/group`.
    ///
    /// # Errors
    /// That of the file system.
    pub fn install(&self, root: &Path) -> std::io::Result<()> {
        for directory in DIRECTORIES {
            fs::create_dir_all(root.join(directory))?;
            fs::set_permissions(root.join(directory), fs::Permissions::from_mode(0o755))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::hard_link(&self.binary, root.join("bin/busybox"))?;
        for applet in &self.applets {
            if applet != "busybox" {
                symlink("busybox", root.join("bin").join(applet))?;
            }
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")
    }
}

/// Whether an ELF file asks for a dynamic loader: its path is in the file near the start.
fn has_interpreter(elf: &[u8]) -> bool {
    elf[..elf.len().min(4096)].windows(7).any(|window| window == b"/ld-lin" || window == b"/ld-mus")
}

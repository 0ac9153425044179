//! Root file systems: directories, `world`, busybox where there is a static one.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scratch;
use crate::error::{Context, Result};
use crate::process::{output_of, run};
use crate::project;

/// Where distributions put a static busybox.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static"];

const DIRECTORIES: [&str; 9] = ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp"];

/// Fills a root file system. Files are replaced by rename: one that a container is executing stays as it is.
pub(crate) fn populate(root: &Path) -> Result<()> {
    for name in DIRECTORIES {
        let directory = root.join(name);
        std::fs::create_dir_all(&directory).context(directory.display())?;
        let mode = if name == "tmp" { 0o1777 } else { 0o755 };
        std::fs::set_permissions(&directory, Permissions::from_mode(mode)).context(directory.display())?;
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").context("write etc/passwd")?;
    std::fs::write(root.join("etc/group"), "root:x:0:\n").context("write etc/group")?;
    let world = compile_world()?;
    install(&world, &root.join("bin/world"))?;
    let own = output_of(&mut Command::new(&world))?;
    for name in own.lines() {
        link("world", &root.join("bin").join(name))?;
    }
    let Some(busybox) = find_busybox() else {
        return Ok(());
    };
    install(&busybox, &root.join("bin/busybox"))?;
    // Where both have a name busybox's program does more.
    for name in output_of(Command::new(&busybox).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        link("busybox", &root.join("bin").join(name))?;
    }
    Ok(())
}

/// Compiles `world` statically: one call of rustc, since it needs nothing but the standard library.
fn compile_world() -> Result<PathBuf> {
    let output = scratch("bin")?.join("world");
    let source = project::root().join("crates/xtask/world");
    if !is_older(&output, &source) {
        return Ok(output);
    }
    let host = project::host_triple()?;
    let flags = ["target-feature=+crt-static", "opt-level=s", "panic=abort", "strip=symbols"];
    let mut command = project::rustc();
    command.args(["--edition", "2024", "--crate-name", "world", "--target", &host]);
    command.args(flags.iter().flat_map(|flag| ["-C", flag]));
    command.arg(source.join("main.rs")).arg("-o").arg(&output);
    run(&mut command)?;
    Ok(output)
}

/// Whether a file is missing or older than a source in the directory.
pub(crate) fn is_older(file: &Path, sources: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = std::fs::read_dir(sources).into_iter().flatten().flatten();
    let newest = newest.filter_map(|entry| modified(&entry.path())).max();
    modified(file).is_none_or(|built| newest.is_none_or(|newest| built <= newest))
}

fn find_busybox() -> Option<PathBuf> {
    let is_static = |path: &Path| std::fs::read(path).is_ok_and(|elf| !has_loader(&elf));
    BUSYBOX.iter().map(PathBuf::from).find(|path| is_static(path))
}

/// Whether an ELF file names a dynamic loader: its path is near the start of the file.
fn has_loader(elf: &[u8]) -> bool {
    elf[..elf.len().min(4096)].windows(7).any(|window| window == b"/ld-lin" || window == b"/ld-mus")
}

fn install(source: &Path, target: &Path) -> Result<()> {
    let fresh = target.with_extension("new");
    std::fs::copy(source, &fresh).context(format_args!("copy {}", source.display()))?;
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o755)).context(fresh.display())?;
    std::fs::rename(&fresh, target).context(format_args!("rename to {}", target.display()))
}

fn link(target: &str, name: &Path) -> Result<()> {
    let fresh = name.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    symlink(target, &fresh).context(fresh.display())?;
    std::fs::rename(&fresh, name).context(name.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_named_recognised() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(has_loader(&own), !cfg!(target_feature = "crt-static"));
        assert!(!has_loader(b"\x7fELF"));
    }
}

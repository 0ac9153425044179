//! A CRIU that works on this kernel: the host's, else one of a newer Debian, extracted into a cache directory and run
//! through its own loader.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

use crate::skip::Skip;

/// The suite whose CRIU is taken.
const SUITE: &str = "trixie";

static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Looks for a CRIU, and fetches one where there is none. To be called before the lane is entered, in which the host's
/// files are read-only.
pub fn prepare() {
    let _ = FOUND.get_or_init(|| if works(Path::new("criu")) { Ok("/usr/sbin".into()) } else { download() });
}

/// The directory to put first in `PATH`, or why there is none.
///
/// # Errors
/// Neither the host's CRIU works, nor can another be had.
pub fn directory() -> Result<&'static Path, Skip> {
    match FOUND.get() {
        Some(Ok(directory)) => Ok(directory),
        Some(Err(reason)) => Err(Skip::new(reason.clone())),
        None => Err(Skip::new("no CRIU was looked for")),
    }
}

/// `PATH` with that directory first.
///
/// # Errors
/// As [`directory`].
pub fn path() -> Result<String, Skip> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    Ok(format!("{}:{path}", directory()?.display()))
}

fn works(criu: &Path) -> bool {
    // In a scratch directory: it leaves a cache where it runs.
    let check = Command::new(criu)
        .arg("check")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    check.is_ok_and(|status| status.success())
}

fn download() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let cache = cache.unwrap_or_else(std::env::temp_dir).join("sandboxd/criu");
    let error = |what: &str, error: std::io::Error| format!("no CRIU: {what}: {error}");
    fs::create_dir_all(&cache).map_err(|source| error("make the cache", source))?;
    // Of several runs at a time one fetches, the others wait for it.
    let lock = fs::File::create(cache.join("lock")).map_err(|source| error("lock the cache", source))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| error("lock the cache", errno.into()))?;
    let directory = cache.join(SUITE);
    let script = directory.join("criu");
    if !works(&script) {
        extract(&directory)?;
    }
    if works(&script) { Ok(directory) } else { Err(format!("criu check fails with {SUITE}'s CRIU too")) }
}

fn extract(directory: &Path) -> Result<(), String> {
    let tree = directory.join("root");
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).map_err(|error| format!("no CRIU: {error}"))?;
    let output = Command::new("timeout")
        .args(["300", "mmdebstrap", "--quiet", "--variant=extract", "--include=criu", SUITE])
        .arg(&tree)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("no CRIU that works, and mmdebstrap: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "no CRIU that works, and {SUITE}'s can't be fetched: {}",
            text.lines().last().unwrap_or_default()
        ));
    }
    let machine = std::env::consts::ARCH;
    let script = format!(
        "#!/bin/sh\nT=\"{}\"\nexec \"$T\"/usr/lib*/ld-linux-*.so.* --library-path \"$T/usr/lib/{machine}-linux-gnu\" \
         \"$T/usr/sbin/criu\" \"$@\"\n",
        tree.display()
    );
    let script_path = directory.join("criu");
    let write = fs::write(&script_path, script);
    write
        .and_then(|()| fs::set_permissions(&script_path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("no CRIU: {error}"))
}

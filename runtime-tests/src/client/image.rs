//! Images, from the distribution's busybox: no registry is asked.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::command::Call;
use crate::test::Test;

/// Name of the image.
pub const IMAGE: &str = "localhost/bb:latest";

/// The image's own command stays and reaps, as that of a pod's first container must.
const PAUSE: &str = "while :; do sleep 77777 & wait; done";

/// A tar of a busybox root file system, in `dir`.
///
/// # Panics
/// When tar fails.
#[must_use]
pub fn root_archive(test: &Test, dir: &Path) -> PathBuf {
    let bundle = test.bundle();
    // Its busybox is shared with every bundle: tar wants a file that nobody links meanwhile.
    let busybox = bundle.inside("/bin/busybox");
    let copy = dir.join("busybox");
    fs::copy(&busybox, &copy).expect("copy busybox");
    fs::rename(&copy, &busybox).expect("replace busybox");
    let archive = dir.join("root.tar");
    let words = ["-cf", path(&archive), "--numeric-owner", "--owner=0", "--group=0", "."];
    Call::new(["tar", "-C", path(&bundle.rootfs())]).args(words).ok();
    archive
}

/// An image in the form of `docker save`, in `dir`: the busybox root file system.
///
/// # Panics
/// When tar or sha256sum fails.
#[must_use]
pub fn archive(test: &Test, dir: &Path) -> PathBuf {
    let layer = root_archive(test, dir);
    let sum = Call::new(["sha256sum", path(&layer)]).ok();
    let digest = sum.text().split_whitespace().next().expect("a digest").to_owned();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["sh", "-c", PAUSE] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["root.tar"] }]);
    fs::write(dir.join("config.json"), config.to_string()).expect("write the image's config");
    fs::write(dir.join("manifest.json"), manifest.to_string()).expect("write the image's manifest");
    let archive = dir.join("image.tar");
    let names = ["config.json", "manifest.json", "root.tar"];
    Call::new(["tar", "-C", path(dir), "-cf", path(&archive)]).args(names).ok();
    archive
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a scratch path is text")
}

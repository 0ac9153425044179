//! Paths of the config, as text.
//!
//! Pure.

use std::path::{Component, Path, PathBuf};

/// A path of the host, relative to the bundle unless absolute.
pub(super) fn absolute(bundle: &Path, path: &str) -> PathBuf {
    let joined = bundle.join(path);
    // `.` components would show in mount tables; `..` keeps its meaning, which only the kernel knows.
    joined.components().collect()
}

/// The source of a bind mount as a path of the root, where it lies there: what is mounted in the container by then counts,
/// and its links are the container's.
pub(super) fn inside(bundle: &Path, rootfs: &Path, source: &str) -> Option<String> {
    let source = absolute(bundle, source);
    let below = source.strip_prefix(rootfs).ok()?;
    let is_plain = rootfs != Path::new("/")
        && below.components().all(|component| matches!(component, Component::Normal(_)));
    (is_plain && !below.as_os_str().is_empty()).then(|| format!("/{}", below.to_string_lossy()))
}

/// The path without empty and `.` components, `..` applied to what is written.
pub(super) fn clean(path: &str) -> String {
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()),
            name => components.push(name),
        }
    }
    format!("/{}", components.join("/"))
}

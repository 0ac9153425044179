//! `mounts`.

use std::path::PathBuf;

/// Add mounts to a container, or remove them
///
/// The file has an array of mounts in the form of /mounts in config.json. All of them are added, or none; of those to
/// remove, only `destination` is read. A source is a path of the host (relative: to the bundle), a destination one of the
/// container; what is missing of it is made. The container may be created, running or paused.
///
/// Bind mounts and file systems like tmpfs can be added; proc, sysfs, mqueue and cgroup are made at creation only. Added
/// mounts end with the container, and are not known to checkpoint.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Mounts {
    /// add or remove
    #[arg(value_name = "ACTION", required = true, value_parser = ["add", "remove"])]
    pub(crate) action: String,
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
    /// File with the mounts as JSON; - is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: PathBuf,
}

//! Commands whose flags are read and whose work is still to come.

#![allow(dead_code, reason = "checked, and not used yet")]

use std::path::PathBuf;

/// Add mounts to a running container or remove them (not supported yet)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Mounts {
    /// add or remove
    #[arg(value_name = "ACTION", required = true)]
    action: String,
    /// Container
    #[arg(value_name = "ID", required = true)]
    id: String,
    /// File with the mounts as JSON
    #[arg(value_name = "FILE", required = true)]
    file: PathBuf,
}

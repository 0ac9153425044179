//! `pause` and `resume`.

/// Suspend all processes of a container
///
/// They stand still until resume, wherever they are. A created container can be paused too: start then waits. Of signals
/// only KILL reaches a paused container.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Pause {
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

/// Let the processes of a paused container go on
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Resume {
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

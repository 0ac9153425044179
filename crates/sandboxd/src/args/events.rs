//! `events`.

/// Print a container's resource usage and out-of-memory events
///
/// One JSON object a line: {"type":"stats","id":ID,"data":{...}} at each interval, {"type":"oom","id":ID} each time the
/// container is out of memory. Ends when the container has ended, or nobody reads any more.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Events {
    /// Time between two prints of the usage: 500ms, 5s, 1m30s
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(crate) interval: String,
    /// Print the usage once
    #[arg(long)]
    pub(crate) stats: bool,
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

//! `start`, `state`, `kill`, `delete`, `list`, `ps`: what concerns containers that exist.

use std::ffi::OsString;

use clap::ValueEnum;

/// Start the command of a created container
///
/// Returns when the command has been executed, or with the reason why it can't be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Start {
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

/// Print the state of a container as JSON
///
/// The document is the runtime specification's, with the fields rootfs, created and owner besides.
/// The status is one of creating, created, running, paused, stopped.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct State {
    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

/// Send a signal to a container's first process
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Kill {
    /// Send it to all processes of the container
    #[arg(long, short)]
    pub(crate) all: bool,

    /// ID is a regular expression: send it to every container whose id matches
    #[arg(long, short)]
    pub(crate) regex: bool,

    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,

    /// Name, with or without SIG, or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub(crate) signal: String,
}

/// Delete a stopped container
///
/// Removes its cgroup and its state, after its poststop hooks have run. The bundle is not touched.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Delete {
    /// Kill it first if it is not stopped; no error if it does not exist
    #[arg(long, short)]
    pub(crate) force: bool,

    /// ID is a regular expression: delete every container whose id matches
    #[arg(long, short)]
    pub(crate) regex: bool,

    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
}

/// List the containers below --root
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct List {
    /// Form of the list
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: TableFormat,

    /// Print ids only
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// List the processes of a container
///
/// The table is that of the host's ps, run with the given options, with the container's processes only.
/// The options must make it print a column PID.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Ps {
    /// Form of the list; as JSON it is an array of process ids
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: TableFormat,

    /// Container
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,

    /// Options of ps [default: -ef]
    #[arg(value_name = "PS OPTION", trailing_var_arg = true)]
    pub(crate) options: Vec<OsString>,
}

/// `--format` of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

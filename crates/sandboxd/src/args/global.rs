//! The flags that every command has.

use std::path::PathBuf;

use clap::ValueEnum;

/// Flags that may stand before or after the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Global {
    /// Directory of the containers' state, best on a tmpfs [default: /run/sandboxd, for ordinary users
    /// $XDG_RUNTIME_DIR/sandboxd]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// File to which errors and warnings are appended, besides what is printed on stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,

    /// How a line of the log is written
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// What is logged: this and everything more severe [default: warning]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,

    /// Log what is done, step by step; the same as --log-level debug
    #[arg(long)]
    pub(crate) debug: bool,

    /// Write how long each phase and each step took: JSON for Perfetto, or a picture where FILE ends in .svg; %c in it is the
    /// command's name, %p the process's number; the same as SANDBOXD_TRACE=FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Let systemd make the cgroups; cgroupsPath is then of the form slice:prefix:name
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,

    /// Who makes the cgroups [default: cgroupfs]
    #[arg(long, value_enum, value_name = "MANAGER")]
    pub(crate) cgroup_manager: Option<CgroupManager>,

    /// Whether cgroups that can't be made for lack of permission are done without
    #[arg(long, value_enum, value_name = "true|false|auto", default_value = "auto")]
    pub(crate) rootless: Rootless,

    /// CRIU, for checkpoint and restore [default: criu in $PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) criu: Option<PathBuf>,

    /// Print the version
    #[arg(long, short = 'v')]
    pub(crate) version: bool,
}

/// `--log-format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `--log-level`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    /// Why the command did not succeed.
    Error,
    /// What the caller should know although it did.
    #[value(alias = "warn")]
    Warning,
    /// Milestones.
    Info,
    /// Steps.
    Debug,
    /// Everything.
    Trace,
}

/// `--cgroup-manager`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CgroupManager {
    /// sandboxd, in the cgroup file system.
    Cgroupfs,
    /// systemd, asked over D-Bus.
    Systemd,
    /// Nobody.
    Disabled,
}

/// `--rootless`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rootless {
    /// They are.
    #[value(aliases = ["1", "t", "T", "TRUE", "True"])]
    True,
    /// They are not.
    #[value(aliases = ["0", "f", "F", "FALSE", "False"])]
    False,
    /// They are where the caller is not root.
    #[default]
    Auto,
}

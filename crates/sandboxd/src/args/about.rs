//! `spec`, `plan`, `features`, `completion`, `info`: what concerns no container.

use std::path::PathBuf;

use clap::ValueEnum;

/// Write a starter config.json
///
/// It runs a shell in the directory rootfs beside it. An existing config.json is not overwritten.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Spec {
    /// Directory to write it to
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,

    /// Write one that the calling user can run without privilege
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// Print what create would ask of the kernel, in order, and do nothing
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Plan {
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,

    /// Configuration file [default: config.json in the bundle]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Form of the plan
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: PlanFormat,

    /// Name that the container would have [default: the bundle directory's]
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
}

/// `--format` of `plan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// A line for each step.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Print what this build supports, as the runtime specification's features document
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Features {}

/// Print a completion script for a shell
///
/// For bash: sandboxd completion bash > /usr/share/bash-completion/completions/sandboxd
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Completion {
    /// Shell
    #[arg(value_name = "SHELL", required = true)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print what this host offers to containers, and where it doesn't, why
///
/// Kernel, cgroup controllers, namespaces, security modules, file systems, subordinate ids, CRIU. Nothing is changed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Info {
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: PlanFormat,
}

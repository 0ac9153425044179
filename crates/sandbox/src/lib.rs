//! Run OCI containers: plan what the kernel will be asked, launch it, follow the container to its end.
//!
//! The data goes one way: `config.json` → [`spec::Config`] → [`plan`] → launch → kernel. See `docs/architecture.md`.
//!
//! Never touches what the embedding process owns: no chdir, umask, environment, signal disposition, rlimit, stdout.

pub mod cgroup;
pub mod confinement;
#[cfg(feature = "criu")]
pub mod criu;
pub mod error;
mod features;
mod hint;
pub mod hooks;
pub mod host;
pub mod id;
pub mod launch;
pub mod lifecycle;
pub mod outcome;
pub mod plan;
pub mod request;
pub mod seccomp;
pub mod state;
pub mod survey;
mod sys;

pub use error::{Error, Result};
pub use features::features;
pub use id::ContainerId;
pub use lifecycle::{
    Container, Deletion, Event, Events, Executed, KillScope, Prepared, PreparedExec, Running, Runtime,
    Status, read_process,
};
pub use outcome::{Outcome, Warning};
pub use request::{
    CgroupManager, CreateRequest, ExecProcess, ExecRequest, IfPaused, Newlines, ProcessChanges, RootSwitch,
    Rootless, SessionKeyring,
};

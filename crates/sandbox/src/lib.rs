//! Run OCI containers: plan what the kernel will be asked, launch it, follow the container to its end.
//!
//! ```no_run
//! use sandbox::spec::Config;
//! use sandbox::{ContainerId, CreateRequest, Runtime, Streams};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::open("/run/my-program")?;
//! let config = Config::of_command("/srv/rootfs", ["uname", "-a"])?;
//! let mut request = CreateRequest::of_config(ContainerId::new("web")?, config);
//! request.streams = Streams::captured();
//! let outcome = runtime.run(&request)?;
//! outcome.warnings.iter().for_each(|warning| eprintln!("{}", warning.message));
//! let mut running = outcome.value;
//! let output = running.process.wait_with_output()?;
//! println!("{}: {}", output.status, String::from_utf8_lossy(&output.stdout));
//! runtime.delete_ended(&running)?;
//! # Ok(())
//! # }
//! ```
//!
//! A configuration comes from a bundle ([`CreateRequest::new`]), is made in code or is an `oci_spec::runtime::Spec`
//! ([`CreateRequest::of_config`]). Everything known of a container is in the state directory: any program that opens the same
//! one as a [`Runtime`] can do everything to it, by its id. Whoever has made a process holds it by its pidfd
//! ([`Process`]), which every event loop can wait for: there is no signal handler and no async runtime in here, and no thread
//! outlives a call (a conversation with systemd, and work in another network namespace, have one each meanwhile).
//!
//! The methods of [`Runtime`] block: for the kernel, for hooks, at most ten seconds for another operation on the same
//! container. An async program calls them where it may (`tokio::task::spawn_blocking`).
//!
//! What is odd but not wrong comes as a [`Warning`] with the result, what is wrong as an [`Error`] that names the field of
//! the configuration, the step and the call, and has an [`ErrorKind`] to go by.
//!
//! The data goes one way: `config.json` → [`spec::Config`] → [`plan`] → launch → kernel. See `docs/architecture.md`.
//!
//! # Features
//!
//! None is on by default:
//!
//! * `systemd`: [`CgroupManager::Systemd`], an error without it.
//! * `criu`: `Runtime::checkpoint` and `Runtime::restore`.
//! * `netdevices`: `linux.netDevices`.
//! * `net`: the module `net`, for programs without an engine above.
//! * `oci-spec`: configurations that are an `oci_spec::runtime::Spec`.
//!
//! Never touches what the embedding process owns: no chdir, umask, environment, signal disposition, rlimit, stdout.

/// A phase, for whoever traces: a span of the target `sandbox::trace`, for as long as what this gives lives.
macro_rules! phase {
    ($name:literal) => {
        tracing::trace_span!(target: "sandbox::trace", $name).entered()
    };
}

pub mod cgroup;
pub mod confinement;
mod console;
mod contents;
#[cfg(feature = "criu")]
pub mod criu;
mod descriptors;
mod errno;
pub mod error;
mod error_kind;
mod features;
mod hint;
pub mod hooks;
pub mod host;
pub mod id;
mod interrupt;
pub mod launch;
pub mod lifecycle;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "netdevices")]
mod netdevices;
pub mod outcome;
pub mod plan;
pub mod probe;
pub mod request;
pub mod resctrl;
#[cfg(any(feature = "net", feature = "netdevices"))]
mod rtnetlink;
pub mod seccomp;
pub mod state;
mod step_error;
mod streams;
pub mod survey;
mod sys;

pub use console::{Console, Terminal};
pub use errno::reason;
pub use error::{Error, Result};
pub use error_kind::ErrorKind;
pub use features::features;
pub use id::ContainerId;
pub use interrupt::Interrupt;
pub use lifecycle::{
    Collected, Container, Deletion, Event, Events, KillScope, Pod, PodNamespace, PodRequest, Prepared,
    PreparedExec, Process, Running, Runtime, Status, read_process,
};
pub use outcome::{Outcome, Warning};
pub use plan::Purpose;
pub use request::{
    CgroupManager, ConfigSource, CreateRequest, ExecProcess, ExecRequest, IfPaused, Newlines, ProcessChanges,
    RootSwitch, Rootless, SessionKeyring,
};
/// The configuration: `config.json`, parsed and checked, or made in code.
pub use spec;
pub use streams::{Stdio, Streams};

//! Real engines over the runtime: each with namespaces, storage and configuration of its own, started and stopped by the
//! test.
//!
//! An engine lives in [`Private`] namespaces (network and mount, with `/run` and `/var` of its own) so that neither
//! its bridges and firewall rules nor its files are the machine's. A daemon is a [`Daemon`], whose log tells when it is
//! ready. Everything that an engine makes has the test's token in its path, its environment or its cgroup.

pub mod containerd;
pub mod cri;
pub mod daemon;
pub mod docker;
pub mod image;
pub mod podman;
pub mod private;

pub use containerd::Containerd;
pub use cri::Cri;
pub use daemon::Daemon;
pub use docker::Docker;
pub use podman::Podman;
pub use private::Private;

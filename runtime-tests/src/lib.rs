//! Black-box tests for OCI runtimes: any binary with runc's command line, `RUNTIME=/path/to/it`.
//!
//! A test gets a [`Test`]: a scratch directory, the runtime with a `--root` of its own, bundles with a busybox root
//! file system. When it is over, its containers are deleted and nothing of it may be left: see [`residue`].
//!
//! The whole run is in a private mount namespace, optionally with a pure cgroup v1 or v2 view: see [`lane`].
//! A test is right when it has passed on runc or crun, or the difference has its line in [`differences`].

pub mod agent;
pub mod bundle;
pub mod bystander;
pub mod cgroup;
pub mod client;
pub mod clock;
pub mod command;
pub mod container;
pub mod criu;
pub mod differences;
pub mod disk;
pub mod fuse;
pub mod inject;
pub mod lane;
pub mod lease;
pub mod procfs;
pub mod program;
pub mod race;
pub mod record;
pub mod residue;
pub mod rootfs;
pub mod runtime;
pub mod skip;
pub mod step;
pub mod suite;
pub mod sys;
pub mod system_call;
pub mod test;
pub mod trace;
pub mod tty;
pub mod user;
pub mod wait;
pub mod world;

pub use agent::Agent;
pub use bundle::Bundle;
pub use command::{Call, Output};
pub use container::Container;
pub use lane::Lane;
pub use runtime::Runtime;
pub use skip::{Skip, Verdict};
pub use suite::Case;
pub use sys::Answer;
pub use test::Test;
pub use user::User;
pub use world::World;

//! The seccomp compiler: what its programs decide, against the configuration, libseccomp, the machine's headers and
//! the kernel.

#![allow(clippy::unwrap_used)] // Helpers of tests as well as tests.

mod headers;
mod interpreter;
mod kernel;
mod oracle;
mod profile;
mod semantics;
mod sys;

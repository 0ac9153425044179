//! What the runtime and the container's init say to each other: the steps of a plan, their encoding, and the
//! record in which init reports.
//!
//! Runs in both. The runtime uses this crate as a library (feature `std`); the freestanding program in `main.rs`
//! compiles the same modules without a standard library or an allocator. The program itself is built by the
//! `sandbox` crate's build script, from [`SOURCE_DIRECTORY`].

#![cfg_attr(not(feature = "std"), no_std)]

pub mod network;
pub mod report;
pub mod step;
pub mod sys;
pub mod wire;

pub use report::{Call, Kind, Report};
pub use step::Step;

/// Where the program's sources are on the machine that compiles this crate.
pub const SOURCE_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

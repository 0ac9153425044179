//! The state directory: what is known of each container, on disk.
//!
//! Runs in the runtime. One directory a container, `ROOT/ID` (0700), which is its lock too; in it `intent.json`,
//! with the config that counts from `create` on, then `state.json`, which appears whole, and `start.sock`, the gate of a created
//! container. The intent is recorded before the first outside effect. Both end with a checksum (`checksum.rs`).

mod checksum;
mod directory;
mod holder;
mod identity;
mod record;

pub use directory::{Entry, StateRoot};
pub(crate) use directory::{NOTIFY, decode, encode};
pub use identity::{Identity, boot_id, has_ended};
pub use record::{Phase, Record, SCHEMA};

//! The state directory: what is known of each container, on disk.
//!
//! Runs in the runtime. One directory a container, `ROOT/ID` (0700), which is its lock too; in it `intent.json`,
//! with the config that counts from `create` on, then `state.json`, which appears whole, and `start.sock`, the gate of a created
//! container. The intent is recorded before the first outside effect. Both end with a checksum (`checksum.rs`).

mod checksum;
mod document;
mod entry;
mod holder;
mod identity;
mod record;
mod root;

pub(crate) use document::{decode, encode};
pub use entry::Entry;
pub(crate) use entry::NOTIFY;
pub use identity::{Identity, boot_id, has_ended};
pub use record::{Phase, Record, SCHEMA};
pub use root::StateRoot;

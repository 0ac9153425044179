//! The OCI runtime configuration: `config.json` in, a validated [`Config`] or every violation out.
//!
//! Runs anywhere; pure. Nothing here reads the host: bytes in, values out.
//! Whatever a value can mean (0, −1, absent, duplicate, an option's opposite) is decided here, once;
//! whoever receives a [`Config`] never asks again.

pub mod config;
pub mod text;

pub use config::Config;
pub use text::{AbsolutePath, Text};

//! The OCI runtime configuration: `config.json` in, a validated [`Config`] or every violation out.
//!
//! Runs anywhere; pure. Nothing here reads the host: bytes in, values out.
//! Whatever a value can mean (0, −1, absent, duplicate, an option's opposite) is decided here, once;
//! whoever receives a [`Config`] never asks again.
//!
//! ```
//! let text = r#"{"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "hostname": "web", "linux": {"maskedPaths": ["proc"]}}"#;
//! let violations = spec::parse_config(text.as_bytes()).unwrap_err();
//! assert_eq!(
//!     violations.to_string(),
//!     "/linux/maskedPaths/0: must be an absolute path, found \"proc\" (config-linux.md#masked-paths)\n\
//!      /hostname: needs an entry of type uts in /linux/namespaces, or it would change the host, found none \
//!      (config-linux.md#namespaces)"
//! );
//! ```

mod check;
pub mod config;
mod default;
mod document;
pub mod features;
mod field;
#[cfg(feature = "oci-spec")]
mod oci;
mod report;
mod state;
pub mod text;
mod words;
mod write;

pub use config::Config;
use config::{Mount, Process, Resources};
pub use default::{CgroupVersion, HostIds, default_config, default_config_on};
use field::Field;
use report::Report;
pub use report::{Violation, Violations, Warning};
pub use state::{ContainerProcessState, State, Status};
pub use text::{AbsolutePath, Text};
pub use words::command;

/// The version of the runtime specification that is implemented.
pub const VERSION: &str = "1.3.0";

/// A configuration, and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The meaning.
    pub config: Config,
    /// What the user should hear of.
    pub warnings: Vec<Warning>,
}

/// A process, and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedProcess {
    /// The meaning.
    pub process: Process,
    /// What the user should hear of.
    pub warnings: Vec<Warning>,
}

/// Resources, and what was odd about them.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedResources {
    /// The meaning.
    pub resources: Resources,
    /// What the user should hear of.
    pub warnings: Vec<Warning>,
}

/// Mounts, and what was odd about them.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedMounts {
    /// The meaning.
    pub mounts: Vec<Mount>,
    /// What the user should hear of.
    pub warnings: Vec<Warning>,
}

/// Reads a `config.json`.
///
/// # Errors
///
/// Every rule of the specification that it breaks. Where it is no JSON document at all, that one.
pub fn parse_config(bytes: &[u8]) -> Result<Parsed, Violations> {
    let (config, warnings) = parse(bytes, "config.md", check::check_config)?;
    Ok(Parsed { config, warnings })
}

/// Reads a `process` of its own, as `exec --process FILE` gets it.
///
/// # Errors
///
/// As [`parse_config`].
pub fn parse_process(bytes: &[u8]) -> Result<ParsedProcess, Violations> {
    let (process, warnings) = parse(bytes, "config.md#process", check::check_process)?;
    Ok(ParsedProcess { process, warnings })
}

/// Reads `linux.resources` of their own, as `update --resources FILE` gets them.
///
/// # Errors
///
/// As [`parse_config`].
pub fn parse_resources(bytes: &[u8]) -> Result<ParsedResources, Violations> {
    let (resources, warnings) = parse(bytes, "config-linux.md#control-groups", check::check_resources)?;
    Ok(ParsedResources { resources, warnings })
}

/// Reads `mounts` of their own, as `mounts add FILE` gets them.
///
/// # Errors
///
/// As [`parse_config`].
pub fn parse_mounts(bytes: &[u8]) -> Result<ParsedMounts, Violations> {
    let (mounts, warnings) =
        parse(bytes, "config.md#mounts", |field, report| check::check_mounts(field, None, report))?;
    Ok(ParsedMounts { mounts, warnings })
}

/// Reads the destinations of `mounts`, as `mounts remove FILE` gets them. Nothing else needs to be there.
///
/// # Errors
///
/// As [`parse_config`].
pub fn parse_destinations(bytes: &[u8]) -> Result<Vec<AbsolutePath>, Violations> {
    parse(bytes, "config.md#mounts", check::check_destinations).map(|(destinations, _)| destinations)
}

/// The mount options that are known, sorted; others are the file system's.
pub fn mount_options() -> impl Iterator<Item = &'static str> {
    check::options::names()
}

fn parse<T>(
    bytes: &[u8],
    clause: &'static str,
    check: fn(Field<'_, '_>, &mut Report) -> Option<T>,
) -> Result<(T, Vec<Warning>), Violations> {
    let document = document::parse_document(bytes)?;
    let mut report = Report::default();
    let checked = check(Field::root(&document, clause), &mut report);
    report.finish(checked)
}

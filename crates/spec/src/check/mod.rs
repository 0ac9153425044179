//! The tree of a document → the typed configuration, by the spec's rules.
//!
//! Runs anywhere; pure. One module for each part of [`crate::config`], one function `check_…` for each object of the
//! document. A check notes what is wrong and goes on, so that one run finds everything; it returns `None` for what has no
//! meaning. The whole has a meaning exactly if nothing was noted.

mod hooks;
mod id_ranges;
mod linux;
pub(crate) mod list;
mod mount;
mod network;
pub(crate) mod options;
mod process;
mod resources;
mod scheduler;
mod seccomp;
mod sysctl;
mod together;

use std::collections::BTreeMap;

pub(crate) use mount::{check_destinations, check_mounts};
pub(crate) use process::check_process;
pub(crate) use resources::check_resources;

use crate::Text;
use crate::config::{Config, Root};
use crate::field::Field;
use crate::report::{Pointer, Report};

/// Sections for other platforms, with the platform's name.
const PLATFORMS: [(&str, &str); 5] = [
    ("windows", "Windows"),
    ("solaris", "Solaris"),
    ("zos", "z/OS"),
    ("freebsd", "FreeBSD"),
    ("vm", "a virtual machine with its own kernel"),
];

/// Checks a whole `config.json`.
pub(crate) fn check_config(document: Field<'_, '_>, report: &mut Report) -> Option<Config> {
    let known = &[
        "ociVersion",
        "process",
        "root",
        "hostname",
        "domainname",
        "mounts",
        "hooks",
        "annotations",
        "linux",
        "solaris",
        "windows",
        "vm",
        "zos",
        "freebsd",
    ];
    let config = document.object(report, "config.md", known)?;
    let version = check_version(config.field("ociVersion").of("config.md#specification-version"), report);
    let mut foreign = false;
    for (section, platform) in PLATFORMS {
        let field = config.field(section).of("config.md#platform-specific-configuration");
        if field.is_present() {
            foreign = true;
            let rule = format!(
                "must be absent: this bundle is for {platform}, and a container here shares the kernel of its Linux host"
            );
            field.violate(report, rule);
        }
    }
    if foreign {
        // What else there is follows the rules of that platform.
        return None;
    }
    let root = check_root(config.field("root"), report);
    let process = config.field("process");
    let checked_process = check_process(process, report);
    let hostname = check_uts_name(config.field("hostname").of("config.md#hostname"), report);
    let domainname = check_uts_name(config.field("domainname").of("config.md#domainname"), report);
    let hooks = hooks::check_hooks(config.field("hooks"), report);
    let annotations = check_annotations(config.field("annotations"), report);
    let linux = linux::check_linux(config.field("linux"), report);
    // After it: ids of a mount may be relative to those of the user namespace.
    let mounts = check_mounts(config.field("mounts"), linux.as_ref(), report);
    together::check_together(
        &together::Parts {
            root: root.as_ref(),
            process: checked_process.as_ref(),
            hostname: hostname.as_ref(),
            domainname: domainname.as_ref(),
            mounts: mounts.as_deref(),
            linux: linux.as_ref(),
        },
        report,
    );
    Some(Config {
        oci_version: version?,
        root: root?,
        process: if process.is_present() { Some(checked_process?) } else { None },
        hostname,
        domainname,
        mounts: mounts?,
        hooks: hooks?,
        annotations,
        linux: linux?,
    })
}

fn check_version(field: Field<'_, '_>, report: &mut Report) -> Option<Text> {
    let field = field.required(report);
    let version = field.text(report)?;
    let Some((major, minor)) = parse_version(&version) else {
        field.violate(report, "must be a semantic version (MAJOR.MINOR.PATCH)");
        return None;
    };
    if major != 1 {
        field.violate(report, "must be a version 1.x of the specification");
        return None;
    }
    if minor > 3 {
        report.warn(
            field.at,
            format!("version {version} is newer than 1.3, which is known here: what it adds is ignored"),
        );
    }
    Some(version)
}

/// Major and minor version of a SemVer 2.0.0 string.
fn parse_version(version: &str) -> Option<(u64, u64)> {
    let identifiers = |list: &str| {
        list.split('.').all(|identifier| {
            !identifier.is_empty() && identifier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    };
    let number = |digits: &str| {
        let canonical = digits == "0" || !digits.starts_with('0');
        let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if canonical && decimal { digits.parse::<u64>().ok() } else { None }
    };
    let (version, build) = version.split_once('+').map_or((version, None), |(v, b)| (v, Some(b)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(v, p)| (v, Some(p)));
    if !build.is_none_or(identifiers) || !pre.is_none_or(identifiers) {
        return None;
    }
    let mut parts = core.split('.');
    let version = (number(parts.next()?)?, number(parts.next()?)?);
    number(parts.next()?)?;
    parts.next().is_none().then_some(version)
}

fn check_root(field: Field<'_, '_>, report: &mut Report) -> Option<Root> {
    let root = field.of("config.md#root").required(report).object(
        report,
        "config.md#root",
        &["path", "readonly"],
    )?;
    let path = root.field("path").required(report).filled_text(report);
    let readonly = root.field("readonly").bool(report).unwrap_or(false);
    Some(Root { path: path?, readonly })
}

/// A host or domain name: the kernel takes 64 bytes (`__NEW_UTS_LEN`).
fn check_uts_name(field: Field<'_, '_>, report: &mut Report) -> Option<Text> {
    let name = field.text_if_set(report)?;
    if name.len() > 64 {
        field.violate(report, "must be at most 64 bytes long");
    }
    Some(name)
}

fn check_annotations(field: Field<'_, '_>, report: &mut Report) -> BTreeMap<String, String> {
    let field = field.of("config.md#annotations");
    let mut annotations = BTreeMap::new();
    for (key, value) in field.entries(report) {
        if key.is_empty() {
            report.violate(value.at, "\"\"", "must not have an empty key", "config.md#annotations");
        }
        if let Some(value) = value.required(report).str(report) {
            annotations.insert(key.to_owned(), value.to_owned());
        }
    }
    annotations
}

/// Bits by their names.
fn check_flags(field: Field<'_, '_>, report: &mut Report, flags: crate::config::names::Flags) -> Option<u64> {
    let mut bits = Some(0);
    for item in field.items(report) {
        let Some(name) = item.str(report) else {
            bits = None;
            continue;
        };
        match flags.iter().find(|(known, _)| *known == name) {
            Some((_, bit)) => bits = bits.map(|bits| bits | bit),
            None => {
                let names: Vec<&str> = flags.iter().map(|(known, _)| *known).collect();
                item.violate(report, format!("must be one of {}", names.join(", ")));
                bits = None;
            }
        }
    }
    bits
}

/// Whether one of the components of a path is `..`.
fn climbs(path: &str) -> bool {
    path.split('/').any(|component| component == "..")
}

/// The place of a property of the document that was checked before.
fn below<'p>(parent: &'p Pointer<'p>, key: &'p str) -> Pointer<'p> {
    Pointer::Key(parent, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_semver_is_parsed() {
        assert_eq!(parse_version("1.0.2-dev"), Some((1, 0)));
        assert_eq!(parse_version("1.3.0+dev.7"), Some((1, 3)));
        assert_eq!(parse_version("0.1.0"), Some((0, 1)));
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "1.00.0",
            "1.0.-1",
            "1.0.0-",
            "1.0.0-a..b",
            "1.0.0+",
            " 1.0.0",
        ] {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
    }
}

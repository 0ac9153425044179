//! Packages that are there in more than one version, and dependencies on whatever version there is: as `[bans]` of
//! `deny.toml` has it, which `cargo deny` reads where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Findings;
use crate::error::{Context, Result};
use crate::process::output_of;
use crate::{packages, project};

/// What of the policy is broken. Dependencies of tests alone may be there twice.
pub(super) fn check(root: &Path) -> Result<Findings> {
    let policy = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let all = ["--workspace", "--exclude", "peers", "--edges", "normal,build"];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages::resolve(&all)?.into_iter().filter(|package| !package.is_own) {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let mut findings = duplicates(&versions, &skipped(&policy));
    let metadata =
        output_of(project::cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    findings.extend(wildcards(&serde_json::from_str(&metadata).context("cargo metadata")?));
    Ok(findings)
}

/// Name and version of each `{ crate = "NAME@VERSION", reason = "…" }` in `skip` of `[bans]`.
fn skipped(policy: &str) -> Vec<(String, String)> {
    let section = policy.split_once("[bans]").map_or("", |(_, rest)| rest);
    let list = section.split_once("skip = [").and_then(|(_, rest)| rest.split_once("\n]"));
    let lines = list.map_or("", |(list, _)| list).lines();
    let named = lines.filter(|line| line.contains("reason = \"")).filter_map(|line| {
        let (_, rest) = line.split_once("crate = \"")?;
        rest.split_once('"')?.0.split_once('@')
    });
    named.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

/// All but one version of a package need a reason; what has none is named, and reasons that nothing needs.
fn duplicates(versions: &BTreeMap<String, BTreeSet<String>>, skipped: &[(String, String)]) -> Findings {
    let is_skipped = |name: &str, version: &str| {
        let begins = |prefix: &str| {
            version.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        skipped.iter().any(|(other, prefix)| other == name && begins(prefix))
    };
    let mut findings = Findings::new();
    for (name, versions) in versions {
        let counted: Vec<&str> =
            versions.iter().map(String::as_str).filter(|version| !is_skipped(name, version)).collect();
        if counted.len() > 1 {
            findings
                .push(format!("{name}: {} are all there, and deny.toml has no reason", counted.join(", ")));
        }
    }
    for (name, prefix) in skipped {
        if versions.get(name).is_none_or(|versions| versions.len() < 2) {
            findings.push(format!("deny.toml: {name}@{prefix} is skipped, and there is one version of it"));
        }
    }
    findings
}

/// Dependencies on packages of others by no version, in `cargo metadata`.
fn wildcards(metadata: &Value) -> Findings {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut findings = Findings::new();
    for package in list(metadata, "packages") {
        for dependency in list(&package, "dependencies") {
            if dependency["path"].is_null() && dependency["req"] == "*" {
                findings.push(format!("{}: any version of {}", package["name"], dependency["name"]));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[licenses]\nskip = [\n  { crate = \"no@1\", reason = \"r\" },\n]\n[bans]\nskip = [\n\
        { crate = \"a@2\", reason = \"r\" },\n{ crate = \"b@0.3\" },\n]\nwildcards = \"deny\"\n";

    #[test]
    fn policy_read() {
        assert_eq!(skipped(POLICY), [("a".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn version_more_needs_a_reason() {
        let versions = |all: &[&str]| all.iter().map(|version| (*version).to_owned()).collect();
        let of = |name: &str, all: &[&str]| BTreeMap::from([(name.to_owned(), versions(all))]);
        let skipped = skipped(POLICY);
        assert_eq!(duplicates(&of("a", &["2.0.1", "3.0.0"]), &skipped), Findings::new());
        assert_eq!(duplicates(&of("a", &["2.0.1", "3.0.0", "20.0.0"]), &skipped).len(), 1);
        assert_eq!(duplicates(&of("b", &["0.3.1", "0.4.0"]), &[]).len(), 1);
        assert_eq!(duplicates(&of("a", &["3.0.0"]), &skipped).len(), 1);
    }

    #[test]
    fn version_that_is_any_is_found() {
        let metadata = serde_json::json!({"packages": [{"name": "p", "dependencies": [
            {"name": "a", "req": "*", "path": null}, {"name": "b", "req": "^1", "path": null},
            {"name": "ours", "req": "*", "path": "/p"}]}]});
        assert_eq!(wildcards(&metadata), ["\"p\": any version of \"a\""]);
    }
}

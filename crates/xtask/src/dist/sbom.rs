//! The bill of materials: CycloneDX 1.5, the same for the same sources.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Release;
use crate::error::{Context, Result};
use crate::packages::{self, Package};

pub(super) fn document(release: &Release) -> Result<String> {
    let lock = packages::read_lock()?;
    let (own, foreign): (Vec<_>, Vec<_>) =
        release.packages.iter().partition(|package| package.name == "sandboxd");
    let known: BTreeSet<(String, String)> = release.packages.iter().map(key).collect();
    let dependencies: Vec<Value> = release
        .packages
        .iter()
        .map(|package| {
            let listed =
                lock.get(&key(package)).map(|locked| locked.dependencies.as_slice()).unwrap_or_default();
            let linked = listed.iter().filter(|dependency| known.contains(*dependency));
            let references: Vec<String> = linked.map(|(name, version)| purl(name, version)).collect();
            json!({ "ref": purl(&package.name, &package.version), "dependsOn": references })
        })
        .collect();
    let component = |package: &Package, kind: &str| {
        let mut component = json!({
            "type": kind,
            "bom-ref": purl(&package.name, &package.version),
            "name": package.name,
            "version": package.version,
            "purl": purl(&package.name, &package.version),
            "licenses": [{ "expression": package.license.replace('/', " OR ") }],
        });
        if let Some(checksum) = lock.get(&key(package)).and_then(|locked| locked.checksum.as_ref()) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": timestamp(release.time),
            "component": own.first().map(|package| component(package, "application")),
            "properties": [
                { "name": "commit", "value": release.commit },
                { "name": "target", "value": release.target },
            ],
        },
        "components": foreign.iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&document).context("encode")? + "\n")
}

fn key(package: &Package) -> (String, String) {
    (package.name.clone(), package.version.clone())
}

fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// Seconds since 1970 as RFC 3339, by the civil calendar (Howard Hinnant's `civil_from_days`).
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = year + era * 400;
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(timestamp(1_796_000_461), "2026-11-30T01:01:01Z");
    }
}

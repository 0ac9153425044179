//! The packages that something is built from: names, versions, licences, as cargo resolves them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Context, Failure, Result};
use crate::process::output_of;
use crate::project;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression; empty where the manifest has none.
    pub(crate) license: String,
    /// Of this work tree.
    pub(crate) is_own: bool,
}

/// What `Cargo.lock` says of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locked {
    /// Where it comes from; absent for our own.
    pub(crate) source: Option<String>,
    /// SHA-256 of the archive.
    pub(crate) checksum: Option<String>,
    /// Names and versions.
    pub(crate) dependencies: Vec<(String, String)>,
}

/// `Cargo.lock` by name and version.
pub(crate) type Lock = BTreeMap<(String, String), Locked>;

/// The packages of `cargo tree` with these arguments.
pub(crate) fn resolve(arguments: &[&str]) -> Result<Vec<Package>> {
    let mut cargo = project::cargo();
    cargo.args(["tree", "--locked", "--prefix", "none", "--format", "{p}\t{l}"]).args(arguments);
    let packages: BTreeSet<Package> = output_of(&mut cargo)?.lines().filter_map(parse_line).collect();
    Ok(packages.into_iter().collect())
}

/// `NAME vVERSION (proc-macro) (PATH) (*)`, a tab, the licence.
fn parse_line(line: &str) -> Option<Package> {
    let (package, license) = line.split_once('\t')?;
    let license = license.trim_end_matches(" (*)").trim();
    let mut words = package.split(' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some(Package { name, version, license: license.to_owned(), is_own: package.contains(" (/") })
}

/// Reads `Cargo.lock`.
pub(crate) fn read_lock() -> Result<Lock> {
    let file = project::root().join("Cargo.lock");
    Ok(parse_lock(&std::fs::read_to_string(&file).context(file.display())?))
}

fn parse_lock(text: &str) -> Lock {
    let value = |entry: &str, key: &str| {
        let line =
            entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        line.map(str::to_owned)
    };
    let entries: Vec<&str> = text.split("[[package]]").skip(1).collect();
    let names: Vec<(String, String)> =
        entries.iter().filter_map(|entry| Some((value(entry, "name")?, value(entry, "version")?))).collect();
    let mut lock = Lock::new();
    for (entry, key) in entries.iter().zip(&names) {
        let listed = entry.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
        let listed = listed.map_or("", |(list, _)| list).lines();
        let quoted = listed.filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
        let dependencies = quoted.filter_map(|dependency| {
            // The version is there where the name alone is not enough.
            let mut words = dependency.split(' ');
            let name = words.next()?;
            let version = words.next().map(str::to_owned);
            let known = || names.iter().find(|(other, _)| other == name).map(|(_, version)| version.clone());
            Some((name.to_owned(), version.or_else(known)?))
        });
        let locked = Locked {
            source: value(entry, "source"),
            checksum: value(entry, "checksum"),
            dependencies: dependencies.collect(),
        };
        lock.insert(key.clone(), locked);
    }
    lock
}

/// Where cargo has unpacked a package of a registry.
pub(crate) fn source_directory(package: &Package) -> Result<PathBuf> {
    let sources = cargo_home()?.join("registry/src");
    let name = format!("{}-{}", package.name, package.version);
    let registries = std::fs::read_dir(&sources).context(sources.display())?.flatten();
    let mut directories = registries.map(|registry| registry.path().join(&name));
    let found = directories.find(|directory| directory.is_dir());
    found.ok_or_else(|| Failure::new(format!("{name} is not in {}", sources.display())))
}

/// Cargo's own directory.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    home.ok_or_else(|| Failure::new("neither CARGO_HOME nor HOME is set"))
}

/// Whether one of the ways in which an SPDX expression lets itself be met needs allowed licences alone. The slash is what
/// older manifests have for OR.
pub(crate) fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    meets_any(&words, &mut at, allowed) == Some(true) && at == words.len()
}

/// `None` where it is no expression.
fn meets_any(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<bool> {
    let mut met = meets_all(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= meets_all(words, at, allowed)?;
    }
    Some(met)
}

fn meets_all(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<bool> {
    let mut met = meets_one(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= meets_one(words, at, allowed)?;
    }
    Some(met)
}

fn meets_one(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<bool> {
    let word = words.get(*at)?;
    *at += 1;
    if *word == "(" {
        let met = meets_any(words, at, allowed)?;
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return closed.then_some(met);
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1)?;
        *at += 2;
        return Some(allowed.contains(&format!("{word} WITH {exception}").as_str()));
    }
    Some(allowed.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_line_parsed() {
        let package = |line: &str| parse_line(line).unwrap();
        let foreign = package("serde_derive v1.0.229 (proc-macro)\tMIT OR Apache-2.0 (*)");
        assert_eq!(
            (foreign.name.as_str(), foreign.version.as_str(), foreign.is_own),
            ("serde_derive", "1.0.229", false)
        );
        assert_eq!(foreign.license, "MIT OR Apache-2.0");
        assert!(package("sandbox v0.1.0 (/a/crates/sandbox)\tApache-2.0").is_own);
        assert_eq!(parse_line(""), None);
    }

    #[test]
    fn lock_parsed() {
        let text = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n\
                    [[package]]\nname = \"b\"\nversion = \"0.3.1\"\nsource = \"registry+https://x\"\nchecksum = \"00ff\"\n";
        let lock = parse_lock(text);
        let entry = |name: &str, version: &str| &lock[&(name.to_owned(), version.to_owned())];
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(entry("a", "1.0.0").dependencies, [pair("b", "0.3.1"), pair("c", "2.0.0")]);
        assert_eq!(entry("b", "0.3.1").checksum.as_deref(), Some("00ff"));
        assert_eq!(entry("a", "1.0.0").source, None);
    }

    #[test]
    fn licence_expression_met() {
        let allowed = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
        for met in [
            "MIT",
            "MIT OR Apache-2.0",
            "Apache-2.0/MIT",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(met, &allowed), "{met}");
        }
        for unmet in ["", "GPL-2.0", "MIT AND GPL-2.0", "Apache-2.0", "(MIT", "MIT OR"] {
            assert!(!is_allowed(unmet, &allowed), "{unmet}");
        }
    }
}

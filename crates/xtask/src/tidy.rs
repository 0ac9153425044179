//! `tidy`: what neither the compiler nor clippy looks at.
//!
//! Each module begins with `//!`; `unsafe` stands only in modules named `sys` and in the programs that run without a
//! standard library, each with its reason, and is counted by place; imports point down; file names keep to the field's
//! words; links in the documents lead somewhere, and tests that they name exist; each direct dependency has its line in
//! `docs/dependencies.md`; every package is under a licence that `deny.toml` allows, from the registry, of one version, and asked
//! for by a version.

mod bans;
mod layers;
mod links;
mod source;
mod tests_named;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

use self::tests_named::Known;
use crate::error::{Context, Result};
use crate::process::output_of;
use crate::{packages, project};

/// Words that the project has a better one for.
const AVOIDED: [&str; 14] = [
    "box",
    "child",
    "common",
    "grandchild",
    "helper",
    "helpers",
    "intermediate",
    "jail",
    "manager",
    "misc",
    "stage",
    "tenant",
    "util",
    "utils",
];

/// Programs without a standard library: everything they do is a system call.
const FREESTANDING: [&str; 2] = ["crates/init/", "crates/xtask/floor/"];

/// What was found wrong, one line each.
type Findings = Vec<String>;

/// How often `unsafe` is written, by module.
type Budget = BTreeMap<String, usize>;

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let root = project::root();
    let files = files(&root)?;
    let mut findings = Findings::new();
    let mut budget = Budget::new();
    let tests = Known::read(&root, &files)?;
    for file in &files {
        check_name(file, &mut findings);
        let read = || std::fs::read_to_string(root.join(file)).context(file.display());
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => check_source(file, &read()?, &mut budget, &mut findings),
            Some("md") => {
                let text = read()?;
                findings.extend(links::check(&root, file, &text));
                findings.extend(tests_named::check(file, &text, &tests));
            }
            _ => {}
        }
    }
    findings.extend(check_dependencies(&root)?);
    findings.extend(check_packages(&root)?);
    findings.extend(bans::check(&root)?);
    findings.extend(check_format(&root, &files)?);
    for finding in &findings {
        println!("{finding}");
    }
    for (place, count) in &budget {
        println!("unsafe: {count:3} in {place}");
    }
    let total: usize = budget.values().sum();
    println!("tidy: {} files, {} findings, unsafe written {total} times", files.len(), findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files of the work tree, tracked or about to be.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = output_of(&mut git)?;
    let existing = listed.lines().map(PathBuf::from).filter(|file| root.join(file).is_file());
    Ok(existing.collect::<BTreeSet<_>>().into_iter().collect())
}

fn check_name(file: &Path, findings: &mut Findings) {
    for part in file.iter().map(|part| part.to_string_lossy()) {
        let words = part.split(|letter: char| !letter.is_ascii_alphanumeric());
        for word in words.filter(|word| AVOIDED.contains(&word.to_lowercase().as_str())) {
            findings.push(format!("{}: the word {word:?} in a name", file.display()));
        }
    }
}

fn check_source(file: &Path, text: &str, budget: &mut Budget, findings: &mut Findings) {
    if !text.starts_with("//!") {
        findings.push(format!("{}:1: no `//!` header", file.display()));
    }
    let lines: Vec<usize> = source::lines_with_word(text, "unsafe");
    let name = file.to_string_lossy();
    let is_freestanding = FREESTANDING.iter().any(|area| name.starts_with(area));
    let is_sys = file.file_stem().is_some_and(|stem| stem == "sys") || file.iter().any(|part| part == "sys");
    if !is_sys && !is_freestanding {
        findings.extend(lines.iter().map(|line| format!("{name}:{line}: unsafe outside a module named sys")));
    }
    let bare = source::lines_without_reason(text);
    findings.extend(bare.iter().map(|line| format!("{name}:{line}: unsafe without a reason (`// SAFETY:`)")));
    findings.extend(layers::check(file, text));
    if !lines.is_empty() {
        *budget.entry(place_of(file)).or_default() += lines.len();
    }
}

/// The module of a file: `crates/init/src/sys` of `crates/init/src/sys/mod.rs`.
fn place_of(file: &Path) -> String {
    let place = if file.ends_with("mod.rs") {
        file.parent().unwrap_or(file).to_owned()
    } else {
        file.with_extension("")
    };
    place.to_string_lossy().into_owned()
}

/// Packages of others under a licence that is not allowed, or from elsewhere than the registry. `deny.toml` is read for
/// its list alone: `cargo deny` needs to be installed, this doesn't. Advisories are not looked at.
fn check_packages(root: &Path) -> Result<Findings> {
    let policy = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let allowed: Vec<&str> = allowed_licences(&policy);
    let all = ["--workspace", "--exclude", "peers", "--edges", "normal,build,dev"];
    let lock = packages::read_lock()?;
    let foreign = packages::resolve(&all)?.into_iter().filter(|package| !package.is_own);
    let problem = |package: packages::Package| {
        let name = format!("{} {}", package.name, package.version);
        if !packages::is_allowed(&package.license, &allowed) {
            return Some(format!("{name}: its licence {:?} is not in deny.toml", package.license));
        }
        let source = lock.get(&(package.name, package.version)).and_then(|locked| locked.source.clone());
        let is_registry = source.as_deref().is_some_and(|source| source.starts_with("registry+"));
        (!is_registry).then(|| format!("{name}: it is not from the registry"))
    };
    Ok(foreign.filter_map(problem).collect())
}

/// The list `allow` of `[licenses]`.
fn allowed_licences(policy: &str) -> Vec<&str> {
    let section = policy.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = section
        .split_once("allow = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// Direct dependencies that `docs/dependencies.md` doesn't name, and names that are none.
fn check_dependencies(root: &Path) -> Result<Findings> {
    let metadata =
        output_of(project::cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let document =
        std::fs::read_to_string(root.join("docs/dependencies.md")).context("docs/dependencies.md")?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut names = BTreeSet::new();
    for package in list(&metadata, "packages") {
        let foreign =
            list(&package, "dependencies").into_iter().filter(|dependency| dependency["path"].is_null());
        names.extend(foreign.filter_map(|dependency| dependency["name"].as_str().map(str::to_owned)));
    }
    let listed =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` ").map(|(name, _)| name));
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    let missing = names.difference(&listed).map(|name| format!("docs/dependencies.md: no line for `{name}`"));
    let stale = listed.difference(&names).map(|name| format!("docs/dependencies.md: nothing uses `{name}`"));
    Ok(missing.chain(stale).collect())
}

/// Formatting of the programs that cargo doesn't know of.
fn check_format(root: &Path, files: &[PathBuf]) -> Result<Findings> {
    let alone = files.iter().filter(|file| FREESTANDING.iter().any(|area| file.starts_with(area)));
    let sources = alone.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.current_dir(root).args(["--check", "-l", "--edition", "2024"]).args(sources);
    let output = rustfmt.output().context("rustfmt")?;
    let unformatted = String::from_utf8_lossy(&output.stdout);
    Ok(unformatted.lines().map(|line| format!("{line}: not formatted")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_read() {
        let policy = "[graph]\nallow = [\"no\"]\n[licenses]\nallow = [\"MIT\",\n  \"A WITH B\"]\n[bans]\n";
        assert_eq!(allowed_licences(policy), ["MIT", "A WITH B"]);
    }

    #[test]
    fn place_is_the_module() {
        assert_eq!(place_of(Path::new("crates/init/src/sys/mod.rs")), "crates/init/src/sys");
        assert_eq!(place_of(Path::new("crates/sandboxd/src/sys.rs")), "crates/sandboxd/src/sys");
    }
}

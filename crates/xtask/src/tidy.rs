//! `tidy`: what neither the compiler nor clippy looks at.
//!
//! Each module begins with `//!`; `unsafe` stands only in modules named `sys` and in the programs that run without a
//! standard library; file names keep to the field's words; links in the documents lead somewhere; each direct
//! dependency has its line in `docs/dependencies.md`.

mod links;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::error::{Context, Result};
use crate::process::output_of;
use crate::project;

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

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    let root = project::root();
    let files = files(&root)?;
    let mut findings = Findings::new();
    let mut unsafe_count = 0;
    for file in &files {
        check_name(file, &mut findings);
        let read = || std::fs::read_to_string(root.join(file)).context(file.display());
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => unsafe_count += check_source(file, &read()?, &mut findings),
            Some("md") => findings.extend(links::check(&root, file, &read()?)),
            _ => {}
        }
    }
    findings.extend(check_dependencies(&root)?);
    findings.extend(check_format(&root, &files)?);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings, unsafe written {unsafe_count} times", files.len(), findings.len());
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

/// Checks a Rust file; how often it says `unsafe`.
fn check_source(file: &Path, text: &str, findings: &mut Findings) -> usize {
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
    lines.len()
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

//! The licences of what is linked in, as their authors wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Context, Failure, Result};
use crate::packages::{self, Package};

const INTRODUCTION: &str = "\
sandboxd is under the Apache License 2.0: see LICENSE. Linked into the binary are the packages below, each under the
licence that it names; the texts follow, each once. The Rust standard library (MIT OR Apache-2.0) and the GNU C library
(LGPL-2.1-or-later), which is linked statically, are parts of the compiler's and the distribution's making.
";

/// Packages by licence, then each text with those whose it is.
pub(super) fn text(packages: &[Package]) -> Result<String> {
    let mut text = INTRODUCTION.to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    text.push('\n');
    for package in packages.iter().filter(|package| !package.is_own) {
        let title = format!("{} {}", package.name, package.version);
        text.push_str(&format!("{title}: {}\n", package.license));
        let directory = packages::source_directory(package)?;
        let files = licence_files(&directory)?;
        if files.is_empty() && package.license.is_empty() {
            return Err(Failure::new(format!("{title} has neither a licence nor a text of one")));
        }
        for file in files {
            texts.entry(file).or_default().push(title.clone());
        }
    }
    for (licence, titles) in texts {
        text.push_str(&format!("\n{}\n{}\n\n{licence}\n", "-".repeat(80), titles.join(", ")));
    }
    Ok(text)
}

/// What the files say that are called so.
fn licence_files(directory: &Path) -> Result<Vec<String>> {
    let is_one = |name: &str| {
        let name = name.to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"].iter().any(|start| name.starts_with(start))
    };
    let entries = std::fs::read_dir(directory).context(directory.display())?.flatten();
    let files =
        entries.filter(|entry| is_one(&entry.file_name().to_string_lossy()) && entry.path().is_file());
    let mut files: Vec<_> = files.map(|entry| entry.path()).collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read(file).context(file.display())?;
        // The same text often differs in its line ends alone.
        Ok(String::from_utf8_lossy(&text).replace('\r', "").trim_matches('\n').to_owned())
    };
    files.iter().map(read).collect()
}

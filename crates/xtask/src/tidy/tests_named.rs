//! Tests that documents name, `MODULE::TEST`: they are there, and each row of a table of tests names one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::markdown::{cells, quoted};

/// The black-box suite, whose modules these names begin with.
const SUITE: &str = "runtime-tests/tests/suite/";

/// What the suite has: modules, names, and the beginnings of names that are put together (`option_` of `"option_{name}"`).
#[derive(Debug, Default)]
pub(super) struct Known {
    modules: BTreeSet<String>,
    words: BTreeSet<String>,
    beginnings: BTreeSet<String>,
}

impl Known {
    pub(super) fn read(root: &Path, files: &[PathBuf]) -> Result<Self> {
        let mut known = Self::default();
        for file in files.iter().filter(|file| file.starts_with(SUITE)) {
            let text = std::fs::read_to_string(root.join(file)).context(file.display())?;
            let below = file.strip_prefix(SUITE).unwrap_or(file);
            let names = below.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
            known.modules.extend(names.filter(|name| name != "mod" && name != "main"));
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            known.words.extend(text.split(|letter| !is_part(letter)).map(str::to_owned));
            let open = text.match_indices('{').map(|(at, _)| &text[..at]);
            let beginnings = open.filter_map(|before| before.rsplit(|letter| !is_part(letter)).next());
            known.beginnings.extend(beginnings.filter(|name| name.ends_with('_')).map(str::to_owned));
        }
        Ok(known)
    }

    /// Whether a test may be called so.
    fn has(&self, test: &str) -> bool {
        self.words.contains(test)
            || self.beginnings.iter().any(|beginning| test.starts_with(beginning.as_str()))
    }
}

/// Tests in the rows of a document's tables that the suite doesn't have, and rows without one where the last column is
/// `test`.
pub(super) fn check(file: &Path, text: &str, known: &Known) -> Vec<String> {
    let mut findings = Vec::new();
    let (mut in_table, mut of_tests) = (false, false);
    for (index, line) in text.lines().enumerate() {
        let is_head = line.starts_with('|') && !in_table;
        in_table = line.starts_with('|');
        if !in_table {
            continue;
        }
        let last = cells(line).pop().unwrap_or_default();
        if is_head {
            of_tests = last == "test";
        } else if of_tests && !line.starts_with("|-") && !last.contains('`') {
            findings.push(format!("{}:{}: the row names no test", file.display(), index + 1));
        }
        for name in quoted(line) {
            let Some((module, test)) = name.split_once("::") else { continue };
            let is_name = |name: &str| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
            if is_name(test) && known.modules.contains(module) && !known.has(test) {
                findings.push(format!("{}:{}: there is no test {name}", file.display(), index + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_test_found() {
        let known = Known {
            modules: ["mounts".to_owned()].into(),
            words: ["bind_works".to_owned()].into(),
            beginnings: ["failure_of_".to_owned()].into(),
        };
        let text = "| a | `mounts::bind_works`, `mounts::gone`, `mounts::failure_of_prestart`, `other::gone` |\n`mounts::gone`\n";
        assert_eq!(check(Path::new("d.md"), text, &known), ["d.md:1: there is no test mounts::gone"]);
    }

    #[test]
    fn row_without_test_found() {
        let text = "| fault | test |\n|---|---|\n| a | `mounts::bind` |\n| b | by hand |\n\n| c | d |\n|---|---|\n| e | f |\n";
        assert_eq!(check(Path::new("d.md"), text, &Known::default()), ["d.md:4: the row names no test"]);
    }
}

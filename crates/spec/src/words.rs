//! Words that a program gives in place of a document: refused at the field that they would be in it.
//!
//! Runs anywhere; pure.

use std::ffi::OsStr;

use crate::report::quote;
use crate::{Text, Violation, Violations};

/// A command and its arguments, as `process.args` has them.
///
/// # Errors
/// There is none; or a word has a NUL, or is not UTF-8.
pub fn command<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Result<Vec<Text>, Violations> {
    const CLAUSE: &str = "config.md#process";
    let words = words.into_iter().enumerate();
    let args = words
        .map(|(index, word)| text(&format!("/process/args/{index}"), word.as_ref(), CLAUSE))
        .collect::<Result<Vec<_>, _>>()?;
    if args.is_empty() {
        return Err(violation("/process/args", "[]".into(), "must have at least one entry", CLAUSE));
    }
    Ok(args)
}

/// A word at this place.
pub(crate) fn text(pointer: &str, word: &OsStr, clause: &'static str) -> Result<Text, Violations> {
    let found = || quote(&word.to_string_lossy());
    let word = word.to_str().ok_or_else(|| violation(pointer, found(), "must be UTF-8", clause))?;
    Text::new(word).ok_or_else(|| violation(pointer, found(), "must not contain a NUL byte", clause))
}

pub(crate) fn violation(
    pointer: &str,
    found: String,
    rule: &'static str,
    clause: &'static str,
) -> Violations {
    Violation { pointer: pointer.to_owned(), found, rule: rule.into(), clause }.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn command_that_the_kernel_can_take() {
        let said = |words: &[&[u8]]| {
            let words = words.iter().map(|word| OsStr::from_bytes(word));
            command(words).map(|args| args.len()).map_err(|violations| violations.to_string())
        };
        assert_eq!(said(&[b"echo", b""]), Ok(2));
        let none = said(&[]).unwrap_err();
        assert_eq!(none, "/process/args: must have at least one entry, found [] (config.md#process)");
        let nul = said(&[b"echo", b"a\0b"]).unwrap_err();
        assert!(nul.starts_with("/process/args/1: must not contain a NUL byte, found "), "{nul}");
        assert!(said(&[b"\xff"]).unwrap_err().starts_with("/process/args/0: must be UTF-8"));
    }
}

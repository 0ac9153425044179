//! What is wrong with a document, and what is odd about it.
//!
//! Runs anywhere; pure. Everything is collected, with its place as a JSON pointer (RFC 6901). The number that is kept is
//! bounded, the rest counted: a hostile document can't turn its own errors into memory.

use std::borrow::Cow;
use std::fmt;

/// How many violations, and how many warnings, are kept.
const KEPT: usize = 100;
/// How much of what was found is shown.
pub(crate) const SHOWN: usize = 80;

/// One rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// What is there.
    pub found: String,
    /// What must be there.
    pub rule: Cow<'static, str>,
    /// Where the rule comes from, `config.md#mounts`.
    pub clause: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{pointer}: {}, found {} ({})", self.rule, self.found, self.clause)
    }
}

/// All the rules that a document breaks: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    first: Violation,
    others: Vec<Violation>,
    omitted: usize,
}

impl Violations {
    /// The first: the one to show where there is room for one.
    pub fn first(&self) -> &Violation {
        &self.first
    }

    /// All that were kept, in the order of the check.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        1 + self.others.len() + self.omitted
    }

    /// All in one line, joined by `; `.
    pub fn one_line(&self) -> String {
        self.to_string().replace('\n', "; ")
    }
}

/// One line for each; the first is complete alone.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for violation in &self.others {
            write!(f, "\n{violation}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

impl From<Violation> for Violations {
    fn from(first: Violation) -> Self {
        Self { first, others: Vec::new(), omitted: 0 }
    }
}

/// Something that is not wrong but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What, and what is made of it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// A place in the document. A list from the inside out on the stack: it costs nothing until it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pointer<'p> {
    Root,
    Key(&'p Pointer<'p>, &'p str),
    Index(&'p Pointer<'p>, usize),
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(parent, key) => write!(f, "{parent}/{}", escape(key)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// A key as a reference token: `~` and `/` escaped (RFC 6901), control characters shown as `\u{…}` so that an error
/// stays one line.
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    let plain = |c: char| c != '~' && c != '/' && !c.is_control();
    if key.len() <= SHOWN && key.chars().all(plain) {
        return Cow::Borrowed(key);
    }
    let mut token = String::new();
    for c in key.chars() {
        match c {
            _ if token.len() > SHOWN => {
                token.push('…');
                break;
            }
            '~' => token.push_str("~0"),
            '/' => token.push_str("~1"),
            c if c.is_control() => token.extend(c.escape_unicode()),
            c => token.push(c),
        }
    }
    Cow::Owned(token)
}

/// A string as shown in a message: quoted, on one line, not too long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

/// Collects what the check finds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    violations: Vec<Violation>,
    omitted: usize,
    warnings: Vec<Warning>,
    /// Unknown properties that were compared with the known ones.
    pub(crate) compared: usize,
}

impl Report {
    /// Notes that a rule is broken.
    pub(crate) fn violate(
        &mut self,
        at: Pointer<'_>,
        found: impl fmt::Display,
        rule: impl Into<Cow<'static, str>>,
        clause: &'static str,
    ) {
        if self.violations.len() == KEPT {
            self.omitted += 1;
            return;
        }
        let (pointer, found, rule) = (at.to_string(), found.to_string(), rule.into());
        self.violations.push(Violation { pointer, found, rule, clause });
    }

    /// Notes something odd.
    pub(crate) fn warn(&mut self, at: Pointer<'_>, message: impl Into<String>) {
        if self.warnings.len() < KEPT {
            self.warnings.push(Warning { pointer: at.to_string(), message: message.into() });
        }
    }

    /// The value and the warnings, or the violations. A value that is missing without a violation is our own fault.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Warning>), Violations> {
        let mut violations = self.violations.into_iter();
        match (violations.next(), value) {
            (Some(first), _) => {
                Err(Violations { first, others: violations.collect(), omitted: self.omitted })
            }
            (None, Some(value)) => Ok((value, self.warnings)),
            (None, None) => Err(Violation {
                pointer: String::new(),
                found: "a rule that reports nothing".into(),
                rule: "must be checked (a fault of this program)".into(),
                clause: "config.md",
            }
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_with_special_characters_is_escaped() {
        let (root, key) = (Pointer::Root, "a/b~c\n");
        let map = Pointer::Key(&root, "sysctl");
        assert_eq!(Pointer::Key(&map, key).to_string(), "/sysctl/a~1b~0c\\u{a}");
        assert_eq!(Pointer::Index(&map, 3).to_string(), "/sysctl/3");
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn report_with_many_violations_counts_the_rest() {
        let mut report = Report::default();
        for _ in 0..KEPT + 7 {
            report.violate(Pointer::Root, "x", "must not", "config.md");
        }
        let violations = report.finish(Some(())).unwrap_err();
        assert_eq!(violations.count(), KEPT + 7);
        assert!(violations.to_string().ends_with("\nand 7 more"));
        assert!(!violations.one_line().contains('\n'));
    }

    #[test]
    fn quote_of_a_long_string_is_cut() {
        assert_eq!(quote("a\nb"), r#""a\nb""#);
        assert!(quote(&"é".repeat(5000)).len() < 200);
    }
}

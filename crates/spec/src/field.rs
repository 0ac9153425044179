//! Typed access to the tree: each value at its pointer, each mistake into the report.
//!
//! Runs anywhere; pure. `null` is absent (Go writes it for what is not set), the empty string is a value unless the
//! caller says otherwise. A property that is not known is ignored, with a warning where it looks like a known one.

use std::borrow::Cow;

use crate::Text;
use crate::config::{Id, Named};
use crate::document::Value;
use crate::report::{Pointer, Report, quote};

/// How many unknown properties are compared with the known ones.
const COMPARED: usize = 256;

/// A value that may be absent, and where it is.
#[derive(Clone, Copy)]
pub(crate) struct Field<'v, 'p> {
    value: Option<&'v Value<'v>>,
    pub(crate) at: Pointer<'p>,
    clause: &'static str,
}

impl<'v, 'p> Field<'v, 'p> {
    /// The document.
    pub(crate) fn root(value: &'v Value<'v>, clause: &'static str) -> Self {
        Self { value: Some(value), at: Pointer::Root, clause }
    }

    pub(crate) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it is an array without items.
    pub(crate) fn is_empty_array(&self) -> bool {
        matches!(self.value, Some(Value::Array(items)) if items.is_empty())
    }

    /// Notes that what was found breaks a rule.
    pub(crate) fn violate(&self, report: &mut Report, rule: impl Into<Cow<'static, str>>) {
        match self.value {
            Some(value) => report.violate(self.at, value, rule, self.clause),
            None => report.violate(self.at, "nothing", rule, self.clause),
        }
    }

    /// Notes that it is absent, if it is.
    pub(crate) fn required(self, report: &mut Report) -> Self {
        if self.value.is_none() {
            self.violate(report, "is required");
        }
        self
    }

    /// The same value under the rules of another clause.
    pub(crate) fn of(self, clause: &'static str) -> Self {
        Self { clause, ..self }
    }

    fn read<T>(
        &self,
        report: &mut Report,
        expected: &'static str,
        read: impl FnOnce(&'v Value<'v>) -> Option<T>,
    ) -> Option<T> {
        let read = read(self.value?);
        if read.is_none() {
            self.violate(report, expected);
        }
        read
    }

    pub(crate) fn bool(self, report: &mut Report) -> Option<bool> {
        self.read(report, "must be true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    pub(crate) fn u64(self, report: &mut Report) -> Option<u64> {
        self.read(report, "must be an integer of at least 0 (uint64)", |value| match value {
            Value::Unsigned(value) => Some(*value),
            _ => None,
        })
    }

    pub(crate) fn i64(self, report: &mut Report) -> Option<i64> {
        let expected = "must be an integer (int64)";
        self.read(report, expected, |value| match value {
            Value::Unsigned(value) => i64::try_from(*value).ok(),
            Value::Negative(value) => Some(*value),
            _ => None,
        })
    }

    pub(crate) fn u32(self, report: &mut Report) -> Option<u32> {
        self.read(report, "must be an integer from 0 to 4294967295", |value| match value {
            Value::Unsigned(value) => u32::try_from(*value).ok(),
            _ => None,
        })
    }

    /// An integer between two others.
    pub(crate) fn within(self, report: &mut Report, low: i64, high: i64) -> Option<i64> {
        let value = match self.value? {
            Value::Unsigned(value) => i64::try_from(*value).ok(),
            Value::Negative(value) => Some(*value),
            _ => None,
        };
        let value = value.filter(|value| (low..=high).contains(value));
        if value.is_none() {
            self.violate(report, format!("must be an integer from {low} to {high}"));
        }
        value
    }

    /// A user or group id.
    pub(crate) fn id(self, report: &mut Report) -> Option<Id> {
        self.read(report, "must be an id from 0 to 4294967294", |value| match value {
            Value::Unsigned(value) => Id::new(u32::try_from(*value).ok()?),
            _ => None,
        })
    }

    pub(crate) fn str(self, report: &mut Report) -> Option<&'v str> {
        self.read(report, "must be a string", |value| match value {
            Value::String(value) => Some(&**value),
            _ => None,
        })
    }

    /// A string; the empty one is absent.
    pub(crate) fn str_if_set(self, report: &mut Report) -> Option<&'v str> {
        self.str(report).filter(|text| !text.is_empty())
    }

    pub(crate) fn text(self, report: &mut Report) -> Option<Text> {
        self.str(report).map(text)
    }

    /// A string; the empty one is absent.
    pub(crate) fn text_if_set(self, report: &mut Report) -> Option<Text> {
        self.str_if_set(report).map(text)
    }

    /// A string of at least one character.
    pub(crate) fn filled_text(self, report: &mut Report) -> Option<Text> {
        let text = self.text(report)?;
        if text.is_empty() {
            self.violate(report, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// A path that begins with `/`.
    pub(crate) fn absolute_path(self, report: &mut Report) -> Option<crate::AbsolutePath> {
        let path = crate::AbsolutePath::new(self.text(report)?);
        if path.is_none() {
            self.violate(report, "must be an absolute path");
        }
        path
    }

    /// One of a closed list of names.
    pub(crate) fn name<T: Named>(self, report: &mut Report) -> Option<T> {
        let name = T::from_name(self.str(report)?);
        if name.is_none() {
            let names: Vec<&str> = T::ALL.iter().map(|known| known.name()).collect();
            self.violate(report, format!("must be one of {}", names.join(", ")));
        }
        name
    }

    /// The items of an array; none where it is absent.
    pub(crate) fn items<'s>(
        &'s self,
        report: &mut Report,
    ) -> impl ExactSizeIterator<Item = Field<'v, 's>> + use<'v, 's, 'p> {
        let items = self.read(report, "must be an array", |value| match value {
            Value::Array(items) => Some(&items[..]),
            _ => None,
        });
        let (at, clause) = (&self.at, self.clause);
        let item = move |(index, value)| Field { value: Some(value), at: Pointer::Index(at, index), clause };
        items.unwrap_or_default().iter().enumerate().map(item)
    }

    /// What the items of an array are, if all of them are something. All are checked; nothing is kept once one failed.
    pub(crate) fn checked<T>(
        self,
        report: &mut Report,
        check: impl Fn(Field<'v, '_>, &mut Report) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut checked = Some(Vec::new());
        for item in self.items(report) {
            match (check(item, report), &mut checked) {
                (Some(item), Some(items)) => items.push(item),
                (None, _) => checked = None,
                (Some(_), None) => {}
            }
        }
        checked
    }

    /// All strings of an array.
    pub(crate) fn texts(self, report: &mut Report) -> Vec<Text> {
        self.items(report).filter_map(|item| item.text(report)).collect()
    }

    /// The keys and values of an object that is a map. A value that is `null` is absent.
    pub(crate) fn entries<'s>(
        &'s self,
        report: &mut Report,
    ) -> impl ExactSizeIterator<Item = (&'v str, Field<'v, 's>)> + use<'v, 's, 'p> {
        let entries = self.read(report, "must be an object", |value| match value {
            Value::Object(entries) => Some(&entries[..]),
            _ => None,
        });
        let (at, clause) = (&self.at, self.clause);
        entries.unwrap_or_default().iter().map(move |(key, value)| {
            let value = (!matches!(value, Value::Null)).then_some(value);
            (&**key, Field { value, at: Pointer::Key(at, key), clause })
        })
    }

    /// An object with these properties.
    pub(crate) fn object(
        self,
        report: &mut Report,
        clause: &'static str,
        known: &'static [&'static str],
    ) -> Option<Object<'v, 'p>> {
        let entries = self.read(report, "must be an object", |value| match value {
            Value::Object(entries) => Some(&entries[..]),
            _ => None,
        })?;
        let object = Object { entries, at: self.at, clause, known };
        object.warn_of_near_misses(report);
        Some(object)
    }
}

/// An object with known properties.
#[derive(Clone, Copy)]
pub(crate) struct Object<'v, 'p> {
    entries: &'v [(Cow<'v, str>, Value<'v>)],
    at: Pointer<'p>,
    clause: &'static str,
    known: &'static [&'static str],
}

impl<'v, 'p> Object<'v, 'p> {
    /// One of the known properties.
    pub(crate) fn field<'s>(&'s self, name: &'static str) -> Field<'v, 's> {
        debug_assert!(self.known.contains(&name), "{name} is not among the known properties");
        let entry = self.entries.iter().find(|(key, _)| key == name);
        let value = entry.map(|(_, value)| value).filter(|value| !matches!(value, Value::Null));
        Field { value, at: Pointer::Key(&self.at, name), clause: self.clause }
    }

    /// Notes that the whole object breaks a rule.
    pub(crate) fn violate(&self, report: &mut Report, found: &str, rule: impl Into<Cow<'static, str>>) {
        report.violate(self.at, found, rule, self.clause);
    }

    fn warn_of_near_misses(&self, report: &mut Report) {
        for (key, _) in self.entries {
            if self.known.contains(&&**key) {
                continue;
            }
            if report.compared == COMPARED {
                return;
            }
            report.compared += 1;
            if let Some(near) = self.known.iter().find(|known| is_near_miss(key, known)) {
                let at = Pointer::Key(&self.at, key);
                report
                    .warn(at, format!("unknown property {} is ignored; did you mean {near:?}?", quote(key)));
            }
        }
    }
}

/// Whether a key differs from a known one only in case or by a slip or two of the finger.
fn is_near_miss(key: &str, known: &str) -> bool {
    if key.eq_ignore_ascii_case(known) {
        return true;
    }
    let slips = match known.len() {
        0..3 => return false,
        3..6 => 1,
        _ => 2,
    };
    known.len().abs_diff(key.len()) <= slips && edit_distance(key.as_bytes(), known.as_bytes()) <= slips
}

/// Levenshtein distance; both are short (see [`is_near_miss`]).
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// A string of the document. It has no NUL: the document would have been refused.
pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_miss_by_case_or_slip_is_seen() {
        for (key, known) in [
            ("NoNewPrivileges", "noNewPrivileges"),
            ("noNewPrivilege", "noNewPrivileges"),
            ("maskedPath", "maskedPaths"),
            ("readOnlyPaths", "readonlyPaths"),
            ("seccmop", "seccomp"),
            ("arg", "args"),
            ("OP", "op"),
        ] {
            assert!(is_near_miss(key, known), "{key} {known}");
        }
        for (key, known) in [("no", "op"), ("x", "gid"), ("vendor", "env"), ("enableCMT", "enableMonitoring")]
        {
            assert!(!is_near_miss(key, known), "{key} {known}");
        }
    }
}

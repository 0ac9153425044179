//! JSON text → a tree that borrows from it, strictly.
//!
//! Runs anywhere; pure. What is refused here is refused for every document: too long, too deep, too many values, a byte
//! order mark, text after the end, a key twice in an object, a NUL in a string or key (the kernel's strings end there).
//! So that a hostile document costs at most its own size and a few tens of MiB, and the checks behind never meet these.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::report::{SHOWN, Violation, escape, quote};

/// The longest document, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 64;
/// How many values there may be in all.
const MAX_VALUES: usize = 1 << 19;

/// Where these rules come from, as far as JSON itself doesn't say.
const CLAUSE: &str = "config.md#valid-values";

/// A JSON value.
#[derive(Debug)]
pub(crate) enum Value<'b> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    /// A fraction, an exponent, or an integer out of range.
    Float(f64),
    String(Cow<'b, str>),
    Array(Vec<Value<'b>>),
    Object(Vec<(Cow<'b, str>, Value<'b>)>),
}

/// As in "found …".
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Negative(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::String(value) => f.write_str(&quote(value)),
            Self::Array(_) | Self::Object(_) => {
                let mut text = String::new();
                let short = self.write_short(&mut text);
                f.write_str(match self {
                    _ if short => &text,
                    Self::Array(_) => "an array",
                    _ => "an object",
                })
            }
        }
    }
}

impl Value<'_> {
    /// Appends the value as JSON; gives up where it gets long.
    fn write_short(&self, text: &mut String) -> bool {
        match self {
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    if !item.write_short(text) {
                        return false;
                    }
                }
                text.push(']');
            }
            Self::Object(entries) => {
                text.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(&quote(key));
                    text.push_str(": ");
                    if !value.write_short(text) {
                        return false;
                    }
                }
                text.push('}');
            }
            scalar => text.push_str(&scalar.to_string()),
        }
        text.len() <= SHOWN
    }
}

/// Reads a document.
///
/// # Errors
///
/// The first rule that it breaks, at its place.
pub(crate) fn parse_document(bytes: &[u8]) -> Result<Value<'_>, Violation> {
    let whole = |found: String, rule: &'static str| {
        Err(Violation { pointer: String::new(), found, rule: rule.into(), clause: CLAUSE })
    };
    if bytes.len() > MAX_BYTES {
        return whole(format!("{} bytes", bytes.len()), "must be at most 16 MiB long");
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return whole("nothing".into(), "must be a JSON object");
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return whole("a byte order mark".into(), "must begin with a JSON object");
    }
    let mut state = State::default();
    // One look at the whole is faster than one at each string, which is left for the place of a mistake.
    let parsed = match str::from_utf8(bytes) {
        Ok(text) => parse_value(serde_json::Deserializer::from_str(text), &mut state),
        Err(_) => parse_value(serde_json::Deserializer::from_slice(bytes), &mut state),
    };
    parsed.map_err(|error| {
        let pointer = state.trail.iter().rev().fold(String::new(), |path, token| path + "/" + token);
        match state.broken {
            Some((found, rule)) => Violation { pointer, found, rule: rule.into(), clause: CLAUSE },
            None => Violation {
                pointer,
                found: error.to_string(),
                rule: "must be JSON".into(),
                clause: "RFC 8259",
            },
        }
    })
}

fn parse_value<'b, R: serde_json::de::Read<'b>>(
    mut deserializer: serde_json::Deserializer<R>,
    state: &mut State,
) -> serde_json::Result<Value<'b>> {
    let value = Node { state, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// What is counted over the whole document, and on the way out of an error where it was.
#[derive(Default)]
struct State {
    values: usize,
    /// Reference tokens from the inside out.
    trail: Vec<String>,
    broken: Option<(String, &'static str)>,
}

impl State {
    fn refuse<E: Error>(&mut self, found: impl Into<String>, rule: &'static str) -> E {
        self.broken = Some((found.into(), rule));
        E::custom(rule)
    }
}

struct Node<'s> {
    state: &'s mut State,
    depth: usize,
}

impl Node<'_> {
    fn check_string<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.as_bytes().contains(&0) {
            return Err(self.state.refuse(quote(text), "must not contain a NUL byte"));
        }
        Ok(())
    }

    fn enter<E: Error>(&mut self) -> Result<usize, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.state.refuse("one more level", "must be nested at most 64 levels deep"));
        }
        Ok(self.depth + 1)
    }
}

impl<'b> DeserializeSeed<'b> for Node<'_> {
    type Value = Value<'b>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Value<'b>, D::Error> {
        self.state.values += 1;
        if self.state.values > MAX_VALUES {
            return Err(self.state.refuse("more", "must have at most 524288 values in all"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Node<'_> {
    type Value = Value<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'b>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'b>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'b>, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'b>, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'b>, E> {
        Ok(Value::Float(value))
    }

    /// Without a check: a NUL has to be escaped, and what has escapes is not borrowed.
    fn visit_borrowed_str<E: Error>(self, value: &'b str) -> Result<Value<'b>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Value<'b>, E> {
        self.check_string(value)?;
        Ok(Value::String(Cow::Owned(value.into())))
    }

    fn visit_seq<A: SeqAccess<'b>>(mut self, mut access: A) -> Result<Value<'b>, A::Error> {
        let depth = self.enter()?;
        let mut items = Vec::new();
        loop {
            match access.next_element_seed(Node { state: self.state, depth }) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Value::Array(items)),
                Err(error) => {
                    self.state.trail.push(items.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut access: A) -> Result<Value<'b>, A::Error> {
        let depth = self.enter()?;
        let mut entries: Vec<(Cow<'b, str>, Value<'b>)> = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            if let Cow::Owned(key) = &key {
                self.check_string(key)?;
            }
            match access.next_value_seed(Node { state: self.state, depth }) {
                Ok(value) => entries.push((key, value)),
                Err(error) => {
                    self.state.trail.push(escape(&key).into_owned());
                    return Err(error);
                }
            }
        }
        if let Some(key) = duplicate(&entries) {
            let token = escape(key).into_owned();
            self.state.trail.push(token);
            return Err(self.state.refuse("the key a second time", "must have each key once"));
        }
        Ok(Value::Object(entries))
    }
}

/// A key that is there twice.
fn duplicate<'a>(entries: &'a [(Cow<'_, str>, Value<'_>)]) -> Option<&'a str> {
    if entries.len() <= 16 {
        let earlier = |index: usize| entries[..index].iter().any(|(key, _)| *key == entries[index].0);
        return (1..entries.len()).find(|index| earlier(*index)).map(|index| &*entries[index].0);
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

struct Key;

impl<'b> DeserializeSeed<'b> for Key {
    type Value = Cow<'b, str>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Cow<'b, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'b> Visitor<'b> for Key {
    type Value = Cow<'b, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'b str) -> Result<Cow<'b, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'b, str>, E> {
        Ok(Cow::Owned(key.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse_document(text.as_bytes()).map(|value| value.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn document_with_a_duplicate_key_is_refused_at_the_key() {
        assert_eq!(
            refused(r#"{"a": [{}, {"b": 1, "c": 2, "b": 3}]}"#),
            "/a/1/b: must have each key once, found the key a second time (config.md#valid-values)"
        );
        let many: String = (0..40).map(|n| format!("\"k{n}\": 0, ")).collect();
        assert!(refused(&format!("{{{many} \"k7\": 1}}")).starts_with("/k7: must have each key once"));
        assert!(refused(r#"{"a": 1, "\u0061": 2}"#).starts_with("/a: must have each key once"));
    }

    #[test]
    fn document_with_a_nul_is_refused_at_the_string() {
        assert!(refused(r#"{"a": ["x", "y\u0000"]}"#).starts_with("/a/1: must not contain a NUL byte"));
        assert!(refused(r#"{"a": {"b\u0000": 1}}"#).starts_with("/a: must not contain a NUL byte"));
    }

    #[test]
    fn document_too_deep_is_refused() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse_document(deep(64).as_bytes()).is_ok());
        assert!(refused(&deep(65)).contains("at most 64 levels"));
        assert!(refused(&"[".repeat(100_000)).contains("at most 64 levels"));
    }

    #[test]
    #[cfg_attr(miri, ignore = "a million values")]
    fn document_with_too_many_values_is_refused() {
        let many = format!("[{}0]", "0,".repeat(1 << 20));
        assert!(refused(&many).contains("at most 524288 values"));
    }

    #[test]
    fn document_that_is_no_json_is_refused_with_its_place() {
        for text in ["", " \n", "\u{feff}{}", "{", "{} x", "{\"a\": 1e309}", r#"{"a": "\ud800"}"#, "nul"] {
            refused(text);
        }
        assert_eq!(
            refused("{\"a\": [1, 2,"),
            "/a/2: must be JSON, found EOF while parsing a value at line 1 column 12 (RFC 8259)"
        );
        assert!(parse_document(b"{\"a\": \"\xff\"}").is_err());
        assert!(parse_document(&vec![b' '; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn document_without_escapes_is_borrowed() {
        let Ok(Value::Object(entries)) = parse_document(br#"{"a": "b", "c": "\n"}"#) else { panic!() };
        assert!(matches!(entries[0].1, Value::String(Cow::Borrowed("b"))));
        assert!(matches!(entries[1].1, Value::String(Cow::Owned(_))));
    }
}

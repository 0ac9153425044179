//! Annotations `org.systemd.property.NAME`: properties in systemd's own words, values in GVariant's text format. Pure.
//!
//! As runc has it: a name is of letters alone; one that ends in `Sec` is in seconds, and on the bus `…USec` in µs.

use std::collections::BTreeMap;

use super::super::error::PlanError;
use super::property::{Property, Value};

/// What all annotations begin with.
pub(crate) const PREFIX: &str = "org.systemd.property.";

/// What only this runtime sets.
const RESERVED: [&str; 5] = ["CollectMode", "Delegate", "Description", "PIDs", "Slice"];

pub(super) fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, PlanError> {
    let named = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
    named.map(|(name, value)| property(name, value)).collect()
}

fn property(name: &str, text: &str) -> Result<Property, PlanError> {
    let pointer = format!("/annotations/{PREFIX}{name}");
    let error = |rule: String| PlanError::Value { pointer: pointer.clone(), rule };
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(error("it is not the name of a property".to_owned()));
    }
    if RESERVED.contains(&name) {
        return Err(error("the runtime sets this property".to_owned()));
    }
    let value = parse(text.trim())
        .ok_or_else(|| error(format!("{text:?} is not a value in GVariant's text format")))?;
    if name.ends_with("Sec") && !name.ends_with("USec") {
        let microseconds =
            in_microseconds(&value).ok_or_else(|| error("it is not a number of seconds".to_owned()))?;
        let name = format!("{}USec", name.trim_end_matches("Sec"));
        return Ok(Property::new(&name, Value::U64(microseconds), &pointer));
    }
    Ok(Property::new(name, value, &pointer))
}

fn in_microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::I32(seconds) => u64::try_from(*seconds).ok()?,
        Value::I64(seconds) => u64::try_from(*seconds).ok()?,
        Value::U32(seconds) => u64::from(*seconds),
        Value::U64(seconds) => *seconds,
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

/// A value: `true`, `12`, `uint64 12`, `'text'`, `['a', 'b']`.
fn parse(text: &str) -> Option<Value> {
    if let Some(items) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return parse_array(items);
    }
    if let Some(text) = parse_text(text) {
        return Some(Value::Text(text));
    }
    match text.split_once(char::is_whitespace) {
        None => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            number => number.parse().ok().map(Value::I32),
        },
        Some((kind, value)) => {
            let value = value.trim();
            match kind {
                "boolean" => value.parse().ok().map(Value::Bool),
                "int32" => value.parse().ok().map(Value::I32),
                "uint32" => value.parse().ok().map(Value::U32),
                "int64" => value.parse().ok().map(Value::I64),
                "uint64" => value.parse().ok().map(Value::U64),
                "string" => parse_text(value).map(Value::Text),
                _ => None,
            }
        }
    }
}

/// Of texts, or of `uint32`.
fn parse_array(items: &str) -> Option<Value> {
    let mut rest = items.trim();
    if let Some(numbers) = rest.strip_prefix("uint32 ") {
        let numbers = numbers.split(',').map(|number| number.trim().parse().ok());
        return numbers.collect::<Option<_>>().map(Value::U32s);
    }
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let length = quoted_length(rest)?;
        texts.push(parse_text(&rest[..length])?);
        rest = rest[length..].trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(Value::Texts(texts))
}

/// How long the quoted text at the beginning is.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let mut escaped = false;
    for (index, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn parse_text(text: &str) -> Option<String> {
    if quoted_length(text)? != text.len() {
        return None;
    }
    let mut plain = String::new();
    let mut letters = text[1..text.len() - 1].chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                't' => '\t',
                other @ ('\\' | '\'' | '"') => other,
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parsed() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("12", Value::I32(12)),
            ("uint64 123456789", Value::U64(123_456_789)),
            ("'a \\'b\\''", Value::Text("a 'b'".into())),
            ("\"x\"", Value::Text("x".into())),
            ("['a', 'b,c']", Value::Texts(vec!["a".into(), "b,c".into()])),
            ("[uint32 1, 2]", Value::U32s(vec![1, 2])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for malformed in ["", "'a", "a", "['a' 'b']", "uint64 x", "['a'", "1.5.2"] {
            assert_eq!(parse(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn names_checked_and_seconds_converted() {
        let of = |name: &str, value: &str| property(name, value);
        let stop = of("TimeoutStopSec", "uint64 3").unwrap();
        assert_eq!((stop.name.as_str(), stop.value), ("TimeoutStopUSec", Value::U64(3_000_000)));
        let exact = of("TimeoutStopUSec", "uint64 3").unwrap();
        assert_eq!((exact.name.as_str(), exact.value), ("TimeoutStopUSec", Value::U64(3)));
        for (name, value) in [("Slice", "'x.slice'"), ("a", "1"), ("A-b", "1"), ("TimeoutStopSec", "'x'")] {
            assert!(of(name, value).is_err(), "{name}");
        }
    }
}

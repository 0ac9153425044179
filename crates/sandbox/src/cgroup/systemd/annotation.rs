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

/// What is set anyway: CRI-O up to 1.28 asks for it with every container.
const SET_ANYWAY: (&str, &str) = ("CollectMode", "'inactive-or-failed'");

pub(super) fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, PlanError> {
    let named = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, &**value)));
    named.filter(|asked| *asked != SET_ANYWAY).map(|(name, value)| property(name, value)).collect()
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
    let malformed = || error(format!("{text:?} is not a value in GVariant's text format"));
    if name.ends_with("Sec") && !name.ends_with("USec") {
        let microseconds = match decimal_microseconds(text.trim()) {
            Some(microseconds) => microseconds,
            None => in_microseconds(&parse(text.trim()).ok_or_else(malformed)?)
                .ok_or_else(|| error("it is not a number of seconds".to_owned()))?,
        };
        let name = format!("{}USec", name.trim_end_matches("Sec"));
        return Ok(Property::new(&name, Value::U64(microseconds), &pointer));
    }
    let value = parse(text.trim()).ok_or_else(malformed)?;
    Ok(Property::new(name, value, &pointer))
}

/// Seconds with a fraction, of which systemd takes six digits.
fn decimal_microseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

fn in_microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::I32(seconds) => u64::try_from(*seconds).ok()?,
        Value::I64(seconds) => u64::try_from(*seconds).ok()?,
        Value::U32(seconds) => u64::from(*seconds),
        Value::U64(seconds) => *seconds,
        Value::U8(seconds) => u64::from(*seconds),
        Value::U16(seconds) => u64::from(*seconds),
        Value::I16(seconds) => u64::try_from(*seconds).ok()?,
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
            number => parse_number(number).map(Value::I32),
        },
        Some((kind, value)) => {
            let value = value.trim();
            match kind {
                "boolean" | "@b" => value.parse().ok().map(Value::Bool),
                "byte" | "@y" => parse_number(value).map(Value::U8),
                "int16" | "@n" => parse_number(value).map(Value::I16),
                "uint16" | "@q" => parse_number(value).map(Value::U16),
                "int32" | "@i" => parse_number(value).map(Value::I32),
                "uint32" | "@u" => parse_number(value).map(Value::U32),
                "int64" | "@x" => parse_number(value).map(Value::I64),
                "uint64" | "@t" => parse_number(value).map(Value::U64),
                "string" | "@s" => parse_text(value).map(Value::Text),
                _ => None,
            }
        }
    }
}

/// A whole number, decimal, or hexadecimal or octal as in C.
fn parse_number<N: TryFrom<i128>>(text: &str) -> Option<N> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if !digits.starts_with(|digit: char| digit.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    N::try_from(if negative { -number } else { number }).ok()
}

/// Of texts, or of `uint32`.
fn parse_array(items: &str) -> Option<Value> {
    let mut rest = items.trim();
    if let Some(numbers) = rest.strip_prefix("byte ") {
        let numbers = numbers.split(',').map(|number| parse_number(number.trim()));
        return numbers.collect::<Option<_>>().map(Value::Bytes);
    }
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
            ("[byte 0x01, 7]", Value::Bytes(vec![1, 7])),
            ("uint64 0x20", Value::U64(32)),
            ("@t 100", Value::U64(100)),
            ("byte 234", Value::U8(234)),
            ("int16 -234", Value::I16(-234)),
            ("uint16 017", Value::U16(15)),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for malformed in
            ["", "'a", "a", "['a' 'b']", "uint64 x", "['a'", "1.5.2", "byte 256", "0x", "--1", "+1", "inf"]
        {
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
        assert_eq!(of("TimeoutStopSec", "234.789").unwrap().value, Value::U64(234_789_000));
        for (name, value) in [
            ("Slice", "'x.slice'"),
            ("a", "1"),
            ("A-b", "1"),
            ("TimeoutStopSec", "'x'"),
            ("TimeoutStopSec", "-1.5"),
        ] {
            assert!(of(name, value).is_err(), "{name}");
        }
    }
}

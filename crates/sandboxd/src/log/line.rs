//! One line of the log, in the two forms that callers of runc read.
//!
//! Pure. The keys `level`, `msg` and `time` come first and never change; others follow.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::args::global::LogFormat;

/// What is logged.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    /// `error`, `warning`, `info`, `debug`, `trace`
    pub(crate) level: &'a str,
    /// One line.
    pub(crate) message: &'a str,
    /// When.
    pub(crate) time: SystemTime,
    /// What more is known.
    pub(crate) more: &'a [(&'static str, Value)],
}

impl Line<'_> {
    /// The line, with its newline.
    pub(crate) fn render(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Json => self.render_json(),
            LogFormat::Text => self.render_text(),
        }
    }

    fn render_json(&self) -> String {
        // Strings only: it can't fail.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    fn render_text(&self) -> String {
        let mut line = format!("time=\"{}\" level={} msg=", rfc3339(self.time), self.level);
        quote(&mut line, self.message);
        for (key, value) in self.more {
            let _ = write!(line, " {key}=");
            match value {
                Value::String(text) => quote(&mut line, text),
                value => {
                    let _ = write!(line, "{value}");
                }
            }
        }
        line.push('\n');
        line
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.more.len()))?;
        map.serialize_entry("level", self.level)?;
        map.serialize_entry("msg", self.message)?;
        map.serialize_entry("time", &format_args!("{}", rfc3339(self.time)))?;
        for (key, value) in self.more {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// RFC 3339, UTC, whole seconds, as logrus writes it.
fn rfc3339(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(time)
}

/// logrus quotes what has any other character than these.
fn quote(line: &mut String, value: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\r' => line.push_str("\\r"),
            character if character.is_control() => {
                let _ = write!(line, "\\x{:02x}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn render(format: LogFormat, message: &str, more: &[(&'static str, Value)]) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_999);
        Line { level: "error", message, time, more }.render(format)
    }

    #[test]
    fn line_as_json_begins_with_the_keys_that_callers_read() {
        let more = [("pointer", "/mounts/3".into()), ("errno", 2.into())];
        assert_eq!(
            render(LogFormat::Json, "a \"b\"\nc", &more),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\nc\",\"time\":\"2026-01-01T00:00:00Z\",\"pointer\":\"/mounts/3\",\"errno\":2}\n"
        );
    }

    #[test]
    fn line_as_text_is_as_logrus_writes_it() {
        let table = [
            ("container does not exist", "\"container does not exist\""),
            ("plain", "plain"),
            ("", "\"\""),
            ("a\"b\\c\nd\u{7}", "\"a\\\"b\\\\c\\nd\\x07\""),
            ("ä", "\"ä\""),
        ];
        for (message, quoted) in table {
            let line = format!("time=\"2026-01-01T00:00:00Z\" level=error msg={quoted}\n");
            assert_eq!(render(LogFormat::Text, message, &[]), line);
        }
        let more = [("errno", 2.into()), ("syscall", "move_mount".into()), ("step", "a b".into())];
        assert!(
            render(LogFormat::Text, "x", &more).ends_with("msg=x errno=2 syscall=move_mount step=\"a b\"\n")
        );
    }
}

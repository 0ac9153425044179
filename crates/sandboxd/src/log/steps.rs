//! The library's steps (`tracing` events) as lines of the log.
//!
//! Spans are not kept: a call of the program does one thing. So this is all that is needed of a subscriber, and it
//! costs nothing where nothing is logged.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::{Line, Log};
use crate::args::global::LogLevel;

/// Installs the subscriber.
pub(super) fn follow(log: Log, level: LogLevel) {
    // There is no other.
    let _ = tracing::subscriber::set_global_default(lines(log, level));
}

/// The subscriber.
pub(super) fn lines(log: Log, level: LogLevel) -> impl Subscriber + Send + Sync + use<> {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warning => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Lines { log, level }
}

/// Writes events as the log's lines, with one write each.
struct Lines {
    log: Log,
    level: Level,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.log.write(&Line {
            level,
            message: &fields.message,
            time: SystemTime::now(),
            more: &fields.more,
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    more: Vec<(&'static str, Value)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.more.push((field.name(), format!("{value:?}").into()));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.more.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.more.push((field.name(), value.into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.more.push((field.name(), value.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Global;
    use crate::args::global::LogFormat;

    #[test]
    fn event_becomes_a_line_at_its_level() {
        let path = std::env::temp_dir().join(format!("sandboxd-steps-{}", std::process::id()));
        let global =
            Global { log: Some(path.clone()), log_format: Some(LogFormat::Json), ..Global::default() };
        let lines = Lines { log: Log::new(&global), level: Level::DEBUG };
        tracing::subscriber::with_default(lines, || {
            let _span = tracing::info_span!("create").entered();
            tracing::debug!(pid = 7, path = "/x", "cloned {}", "init");
            tracing::trace!("not asked for");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with(r#"{"level":"debug","msg":"cloned init","time":""#), "{text}");
        assert!(text.ends_with("\",\"pid\":7,\"path\":\"/x\"}\n"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

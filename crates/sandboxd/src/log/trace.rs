//! `--trace`: the phases of a command and the steps of init, with their durations, as a file.
//!
//! The library says them as spans of `tracing`: its own phases (target `sandbox::trace`) take as long as they are entered,
//! init's steps (target `sandbox::init`) bring their times with them. The file is JSON as Chrome's tracing and Perfetto read
//! it, or a picture where its name ends in `.svg`.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::error::{Context as _, Result};

const PHASES: &str = "sandbox::trace";
const STEPS: &str = "sandbox::init";

/// What was traced so far.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    file: PathBuf,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// Who was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Runtime,
    Init,
}

#[derive(Clone, Debug)]
struct Span {
    name: String,
    place: Place,
    /// Spans that were open when it began.
    depth: usize,
    begin_ns: u64,
    /// 0 as long as it lasts.
    end_ns: u64,
}

impl Trace {
    /// Traces from here on, whatever else is logged of what the library does.
    pub(super) fn follow(file: PathBuf, others: impl Subscriber + Send + Sync) -> Self {
        let trace = Self { file, spans: Arc::default() };
        let _ = tracing::subscriber::set_global_default(Both { trace: trace.clone(), others });
        trace
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Of the call, with the file.
    pub(crate) fn write(&self) -> Result<()> {
        let spans: Vec<Span> = self.lock().iter().filter(|span| span.end_ns > 0).cloned().collect();
        let picture = self.file.extension().is_some_and(|extension| extension == "svg");
        std::fs::write(&self.file, if picture { picture_of(&spans) } else { document_of(&spans) })
            .context(|| format!("write the trace {}", self.file.display()))
    }
}

/// The file that is meant: `%c` is the command's name, `%p` the number of this process, `%%` a percent sign. An engine
/// calls several commands with one and the same name of a file.
pub(super) fn file_of(template: &Path, command: &str) -> PathBuf {
    let mut file = Vec::new();
    let mut rest = template.as_os_str().as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after.first()) {
            (b'%', Some(b'c')) => file.extend_from_slice(command.as_bytes()),
            (b'%', Some(b'p')) => file.extend_from_slice(std::process::id().to_string().as_bytes()),
            (b'%', Some(b'%')) => file.push(b'%'),
            _ => {
                file.push(*first);
                continue;
            }
        }
        rest = &after[1..];
    }
    OsString::from_vec(file).into()
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The trace, and who gets the events.
struct Both<S> {
    trace: Trace,
    others: S,
}

impl<S: Subscriber> Subscriber for Both<S> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let traced = metadata.is_span() && matches!(metadata.target(), PHASES | STEPS);
        traced || metadata.is_event() && self.others.enabled(metadata)
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let metadata = attributes.metadata();
        let place = if metadata.target() == STEPS { Place::Init } else { Place::Runtime };
        let name = fields.name.unwrap_or_else(|| metadata.name().to_owned());
        let mut spans = self.trace.lock();
        spans.push(Span { name, place, depth: 0, begin_ns: fields.begin_ns, end_ns: fields.end_ns });
        span::Id::from_u64(spans.len() as u64)
    }

    fn enter(&self, id: &span::Id) {
        let mut spans = self.trace.lock();
        let open = |span: &&Span| span.place == Place::Runtime && span.begin_ns > 0 && span.end_ns == 0;
        let depth = spans.iter().filter(open).count();
        if let Some(span) = spans.get_mut(id.into_u64() as usize - 1) {
            (span.depth, span.begin_ns) = (depth, now_ns());
        }
    }

    fn exit(&self, id: &span::Id) {
        if let Some(span) = self.trace.lock().get_mut(id.into_u64() as usize - 1) {
            span.end_ns = now_ns();
        }
    }

    fn event(&self, event: &Event<'_>) {
        self.others.event(event);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    begin_ns: u64,
    end_ns: u64,
}

impl Visit for Fields {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            self.name = Some(value.to_owned());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "begin_ns" => self.begin_ns = value,
            "end_ns" => self.end_ns = value,
            _ => {}
        }
    }
}

/// The Trace Event Format: complete events, times in microseconds.
fn document_of(spans: &[Span]) -> String {
    let thread = |place: Place| if place == Place::Runtime { 1 } else { 2 };
    let names = [(1, "runtime"), (2, "init")].map(
        |(tid, name)| json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}}),
    );
    let events = spans.iter().map(|span| {
        json!({
            "ph": "X",
            "name": span.name,
            "pid": 1,
            "tid": thread(span.place),
            "ts": span.begin_ns as f64 / 1e3,
            "dur": span.end_ns.saturating_sub(span.begin_ns) as f64 / 1e3,
        })
    });
    let events: Vec<_> = names.into_iter().chain(events).collect();
    json!({ "displayTimeUnit": "ns", "traceEvents": events }).to_string() + "\n"
}

/// A line for each span, in the order in which they began: its bar on the axis of time, its name, its duration.
fn picture_of(spans: &[Span]) -> String {
    const WIDTH: f64 = 640.0;
    const LINE: usize = 16;
    let mut spans = spans.to_vec();
    spans.sort_by_key(|span| (span.begin_ns, span.depth));
    let begin = spans.iter().map(|span| span.begin_ns).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or_default();
    let scale = WIDTH / (end.saturating_sub(begin)).max(1) as f64;
    let height = LINE * (spans.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"980\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"980\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"13\">runtime: blue, init: orange; {} µs in all</text>\n",
        end.saturating_sub(begin) / 1000
    );
    for (number, span) in spans.iter().enumerate() {
        let y = LINE * (number + 1);
        let x = 200.0 + (span.begin_ns - begin) as f64 * scale;
        let width = (span.end_ns.saturating_sub(span.begin_ns) as f64 * scale).max(0.5);
        let colour = if span.place == Place::Runtime { "#4878a8" } else { "#e08030" };
        let microseconds = span.end_ns.saturating_sub(span.begin_ns) as f64 / 1e3;
        let name = span.name.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\">{name}</text><rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"12\" \
             fill=\"{colour}\"/><text x=\"850\" y=\"{}\">{microseconds:.1} µs</text>",
            8 + 10 * span.depth + if span.place == Place::Init { 30 } else { 0 },
            y + 11,
            y + 2,
            y + 11
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_named_after_the_command() {
        let pid = std::process::id();
        for (template, expected) in [
            ("/t/run.svg", "/t/run.svg"),
            ("/t/%c.svg", "/t/create.svg"),
            ("%c-%p", &format!("create-{pid}")),
            ("100%%c%", "100%c%"),
            ("%x%c", "%xcreate"),
        ] {
            assert_eq!(file_of(Path::new(template), "create"), Path::new(expected), "{template}");
        }
    }

    #[test]
    fn phases_and_steps_become_a_document_and_a_picture() {
        let trace = Trace { file: "unused".into(), spans: Arc::default() };
        let both = Both { trace: trace.clone(), others: tracing::subscriber::NoSubscriber::default() };
        tracing::subscriber::with_default(both, || {
            let _outer = tracing::trace_span!(target: "sandbox::trace", "outer").entered();
            let _inner = tracing::trace_span!(target: "sandbox::trace", "inner").entered();
            let _ = tracing::trace_span!(target: "sandbox::init", "step", name = "fork", begin_ns = 5_u64, end_ns = 7_u64);
            let _ = tracing::info_span!("another's");
        });
        let spans = trace.lock().clone();
        let found: Vec<_> = spans.iter().map(|span| (&*span.name, span.depth)).collect();
        assert_eq!(found, [("outer", 0), ("inner", 1), ("fork", 0)]);
        let document: serde_json::Value = serde_json::from_str(&document_of(&spans)).unwrap();
        assert_eq!(document["traceEvents"][4]["dur"], 0.002);
        assert_eq!(picture_of(&spans).matches("<rect").count(), 4);
    }
}

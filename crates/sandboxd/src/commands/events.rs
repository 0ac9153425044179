//! `events`: a line of JSON for each event, to whoever reads.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use sandbox::{ContainerId, Event};
use serde::Serialize;

use super::Session;
use super::stats::Document;
use crate::args::events::Events;
use crate::error::{Context as _, Error, Result};

/// A line: runc's.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Document<'a>>,
}

pub(crate) fn events(session: &Session<'_>, arguments: &Events) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let interval = parse_duration(&arguments.interval)
        .ok_or_else(|| Error::InvalidValue { flag: "interval", value: arguments.interval.clone() })?;
    if interval.is_zero() {
        return Err(Error::InvalidInterval);
    }
    let mut events = session.runtime()?.events(&id)?;
    if arguments.stats {
        let stats = events.stats()?;
        print(&Line { kind: "stats", id: &id, data: Some(Document::new(&stats)) })?;
        return Ok(0);
    }
    let stdout = io::stdout();
    // A moment that the clock does not reach is none.
    let mut next = Instant::now().checked_add(interval);
    loop {
        let event = events.wait(Some(stdout.as_fd()), next)?;
        let goes_on = match event {
            Event::OutOfMemory => print(&Line { kind: "oom", id: &id, data: None })?,
            Event::Deadline => {
                // An interval that was missed, by a machine asleep or a slow reader, is not made up for.
                next = next.and_then(|next| next.checked_add(interval)).map(|next| next.max(Instant::now()));
                let stats = events.stats()?;
                print(&Line { kind: "stats", id: &id, data: Some(Document::new(&stats)) })?
            }
            Event::Stopped | Event::HungUp => false,
        };
        if !goes_on {
            return Ok(0);
        }
    }
}

/// Prints a line; `false` where nobody reads any more.
fn print(line: &Line<'_>) -> Result<bool> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context(|| "write stdout".to_owned()),
    }
}

/// Go's durations: numbers with units, one after the other.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_table() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("1h", 3_600_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5x", "1..5s", "5s1"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}

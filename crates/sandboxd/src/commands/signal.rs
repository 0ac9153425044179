//! Signals as users write them.

use nix::sys::signal::Signal;

use crate::error::{Error, Result};

/// The highest number (`signal(7)`).
const SIGNAL_MAX: i32 = 64;
/// `SIGRTMIN` as user space sees it: the C library keeps two for itself.
const REALTIME_MIN: i32 = 34;

/// A name with or without `SIG`, in either case, `RTMIN+n`, `RTMAX-n`, or a number.
///
/// # Errors
/// [`Error::UnknownSignal`].
pub(crate) fn parse_signal(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if let Ok(number) = text.parse::<i32>() {
        Some(number)
    } else if let Some(offset) = name.strip_prefix("RTMIN") {
        parse_offset(offset).map(|offset| REALTIME_MIN + offset)
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        parse_offset(offset).map(|offset| SIGNAL_MAX + offset)
    } else {
        let name = match name {
            "POLL" => "IO",
            "CLD" => "CHLD",
            "IOT" => "ABRT",
            name => name,
        };
        format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
    };
    let is_realtime = name.starts_with("RT");
    number
        .filter(|number| {
            if is_realtime {
                (REALTIME_MIN..=SIGNAL_MAX).contains(number)
            } else {
                (0..=SIGNAL_MAX).contains(number)
            }
        })
        .ok_or_else(|| Error::UnknownSignal(text.to_owned()))
}

/// Nothing, `+n` or `-n`.
fn parse_offset(text: &str) -> Option<i32> {
    match text.as_bytes() {
        [] => Some(0),
        [b'+' | b'-', b'0'..=b'9', ..] => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_in_any_form_is_read() {
        let table = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("HUP", 1),
            ("WINCH", 28),
            ("POLL", 29),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("rtmax", 64),
        ];
        for (text, number) in table {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
    }

    #[test]
    fn signal_that_does_not_exist_is_refused() {
        for text in
            ["", "SIG", "BOGUS", "65", "-1", "RTMIN+40", "RTMIN-1", "RTMIN+", "RTMAX+1", "1 5", "99999999999"]
        {
            assert_eq!(parse_signal(text).unwrap_err().to_string(), format!("unknown signal {text:?}"));
        }
    }
}

//! The forms of the kernel's statistics. Pure; what is not of the form is left out, as newer kernels add lines.

use std::collections::BTreeMap;

use super::{BlockIoEntry, Pressure, PressureLine};

/// One number, or `max`.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

/// Lines `KEY NUMBER`.
pub(super) fn table(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// Numbers between white space.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`.
pub(super) fn pressure(text: &str) -> Pressure {
    let line = |kind: &str| {
        let mut words = text.lines().find(|line| line.starts_with(kind))?.split(' ').skip(1);
        let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        Some(PressureLine {
            avg10_percent: value("avg10")?.parse().ok()?,
            avg60_percent: value("avg60")?.parse().ok()?,
            avg300_percent: value("avg300")?.parse().ok()?,
            total_us: value("total")?.parse().ok()?,
        })
    };
    Pressure { some: line("some ").unwrap_or_default(), full: line("full ").unwrap_or_default() }
}

/// v1: lines `MAJOR:MINOR [OPERATION] NUMBER`, and a total.
pub(super) fn block_io(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let words: Vec<&str> = words.collect();
        let (operation, value) = match words[..] {
            [value] => ("", value),
            [operation, value] => (operation, value),
            _ => return None,
        };
        Some(BlockIoEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            operation: operation.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// A list of CPUs or memory nodes: `0-3,7`.
pub(super) fn list(text: &str) -> Vec<u16> {
    /// More than the kernel can be built for.
    const MOST: usize = 1 << 14;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tables() {
        assert_eq!((number("max\n"), number("17\n"), number("x")), (Some(u64::MAX), Some(17), None));
        let table = table("cache 5\nrss 7\nbroken\nx y\n");
        assert_eq!((table.len(), table["rss"]), (2, 7));
        assert_eq!(numbers("10 20 \n"), [10, 20]);
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list("\n"), Vec::<u16>::new());
    }

    #[test]
    fn pressure_of_both_kinds() {
        let text = "some avg10=0.91 avg60=0.56 avg300=0.54 total=103475982\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        let pressure = pressure(text);
        assert_eq!((pressure.some.avg10_percent, pressure.some.total_us), (0.91, 103_475_982));
        assert_eq!((pressure.full.avg10_percent, pressure.full.total_us), (0.0, 5));
        assert_eq!(super::pressure(""), Pressure::default());
    }

    #[test]
    fn block_io_of_v1() {
        let entries = block_io("8:0 Read 5\n8:0 Total 5\n8:16 77\nTotal 82\n");
        let entry = |minor, operation: &str, value| BlockIoEntry {
            major: 8,
            minor,
            operation: operation.to_owned(),
            value,
        };
        assert_eq!(entries, [entry(0, "Read", 5), entry(0, "Total", 5), entry(16, "", 77)]);
    }
}

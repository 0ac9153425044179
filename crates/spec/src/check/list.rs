//! Lists of processors and memory nodes: `0-3,7`.
//!
//! Runs anywhere; pure.

/// The highest number that is taken; no kernel can be built with more processors or nodes.
const MAX: u32 = 65_535;

/// The rule, as shown.
pub(super) const RULE: &str = "must be a list of numbers below 65536 and ranges, such as 0-3,7";

/// The numbers, sorted, each once; `None` where it is no list.
pub(super) fn parse_list(list: &str) -> Option<Vec<u32>> {
    let mut ranges = Vec::new();
    for item in list.split(',') {
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        let (low, high) = (parse_number(low)?, parse_number(high)?);
        if low > high {
            return None;
        }
        ranges.push((low, high));
    }
    ranges.sort_unstable();
    let mut numbers = Vec::new();
    for (low, high) in ranges {
        let next = numbers.last().map_or(0, |last| last + 1);
        numbers.extend(low.max(next)..=high);
    }
    Some(numbers)
}

fn parse_number(digits: &str) -> Option<u32> {
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| decimal && *number <= MAX)
}

/// The shortest list of sorted numbers.
pub(crate) fn format_list(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, high)) if high.checked_add(1) == Some(*number) => *high = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range =
        |(low, high): &(u32, u32)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_ranges_is_sorted_and_unique() {
        assert_eq!(parse_list("7,0-3,2"), Some(vec![0, 1, 2, 3, 7]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        assert_eq!(format_list(&[0, 1, 2, 3, 7]), "0-3,7");
    }

    #[test]
    fn list_with_other_text_is_refused() {
        for bad in
            ["", ",", "1,", "-1", "3-1", "a", "+1", " 1", "1 ", "0-99999999999", "65536", "1-2-3", "0x1"]
        {
            assert_eq!(parse_list(bad), None, "{bad:?}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "six billion numbers")]
    fn list_of_many_wide_ranges_stays_small() {
        let list = vec!["0-65535"; 100_000].join(",");
        assert_eq!(parse_list(&list).map(|numbers| numbers.len()), Some(65_536));
    }
}

//! What a config may have meant: the closest of the values that a rule lists.
//!
//! Pure.

use spec::Violation;

use super::Hint;

/// More letters changed, and it is another word.
const MOST_CHANGES: usize = 2;

/// The value that may have been meant, or what else helps with a broken rule.
pub(super) fn of_violation(violation: &Violation) -> Option<Hint> {
    if violation.clause == "RFC 8259" {
        return Some("what stands before that place is not closed, or separated, as JSON wants it".into());
    }
    let found = violation.found.strip_prefix('"')?.strip_suffix('"')?;
    let list = violation.rule.split_once("one of ")?.1;
    let close = closest(found, list.split(", "))?;
    Some(format!("did you mean {close:?}?").into())
}

/// The word that begins the same, or the one with the fewest changes.
fn closest<'a>(found: &str, words: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if found.len() > 1
        && let Some(word) = words.clone().find(|word| word.starts_with(found))
    {
        return Some(word);
    }
    let near = words.map(|word| (changes(found, word), word)).min_by_key(|(changes, _)| *changes);
    near.filter(|(changes, word)| *changes <= MOST_CHANGES.min(word.len() / 2)).map(|(_, word)| word)
}

/// Levenshtein's distance.
fn changes(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_word_is_found_or_none() {
        let namespaces = || "user, pid, network, ipc, uts, cgroup, time, mount".split(", ");
        for (found, close) in [
            ("net", Some("network")),
            ("mont", Some("mount")),
            ("usr", Some("user")),
            ("process", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(found, namespaces()), close, "{found}");
        }
        assert_eq!(changes("kitten", "sitting"), 3);
    }
}

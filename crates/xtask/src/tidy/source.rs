//! Rust source with comments and literals left out.

/// Numbers of the lines that have a word outside comments, strings and characters.
pub(super) fn lines_with_word(text: &str, word: &str) -> Vec<usize> {
    let code = blank_out(text);
    let has_word = |line: &str| {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        line.split(|letter| !is_part(letter)).any(|part| part == word)
    };
    code.lines().enumerate().filter(|(_, line)| has_word(line)).map(|(index, _)| index + 1).collect()
}

/// Lines (from 1) with an `unsafe` block or impl without a reason: a comment with `SAFETY:` on the line itself or before
/// it, with no empty line between.
pub(super) fn lines_without_reason(text: &str) -> Vec<usize> {
    let all: Vec<&str> = text.lines().collect();
    let code = blank_out(text);
    let asks = |line: &str| line.contains("unsafe {") || line.contains("unsafe impl ");
    let asking = code.lines().enumerate().filter(|(_, line)| asks(line)).map(|(index, _)| index + 1);
    let has_reason = |number: &usize| {
        let before = all[..*number].iter().rev().take_while(|line| !line.trim().is_empty());
        before.take(REACH).any(|line| line.contains("SAFETY:"))
    };
    asking.filter(|number| !has_reason(number)).collect()
}

/// How many lines before it a reason may stand.
const REACH: usize = 16;

/// The first segments of the paths that a file takes from its own crate: `crate::NAME`, `use crate::{NAME, …}`. With the
/// numbers of their lines.
pub(super) fn own_modules(text: &str) -> Vec<(usize, String)> {
    let code = blank_out(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$') {
            continue;
        }
        let line = code[..at].lines().count().max(1);
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_segments(list).into_iter().map(|name| (line, name))),
            None => found.push((line, identifier(rest))),
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Of the entries of `{a, b::{c, d}, e}`, up to its end: `a`, `b`, `e`.
fn first_segments(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut expects) = (0, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            _ if expects && !letter.is_whitespace() => {
                names.push(identifier(&list[at..]));
                expects = false;
            }
            _ => {}
        }
    }
    names
}

/// The same text, with everything that is no code replaced by blanks; line ends stay.
fn blank_out(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => find(bytes, at, b"\n").unwrap_or(bytes.len()),
            [b'/', b'*', ..] => find(bytes, at + 2, b"*/").map_or(bytes.len(), |found| found + 2),
            [b'r', b'"' | b'#', ..] if !continues_name(bytes, at) => raw_string_end(bytes, at),
            [b'"', ..] => quoted_end(bytes, at, b'"'),
            [b'\'', b'\\', ..] => quoted_end(bytes, at, b'\''),
            [b'\'', _, b'\'', ..] => at + 3,
            _ => {
                code.push(char::from(bytes[at]));
                at += 1;
                continue;
            }
        };
        code.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

fn find(bytes: &[u8], from: usize, pattern: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(pattern.len()).position(|window| window == pattern).map(|found| from + found)
}

fn continues_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// `r"…"`, `r#"…"#`; a raw identifier `r#name` ends after its `r`.
fn raw_string_end(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..].iter().take_while(|&&byte| byte == b'#').count();
    if bytes.get(start + 1 + hashes) != Some(&b'"') {
        return start + 1;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    find(bytes, start + hashes + 2, &closing).map_or(bytes.len(), |found| found + closing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_in_code_found() {
        let text = "// unsafe\nlet a = \"unsafe \\\" unsafe\";\nunsafe { b() }\n/* unsafe\nunsafe */ c('\\'', '\"');\n";
        assert_eq!(lines_with_word(text, "unsafe"), [3]);
    }

    #[test]
    fn reason_is_before_or_beside() {
        let text =
            "// SAFETY: a\nunsafe { a() }\n\nunsafe { b() }\nunsafe fn c() {}\n\nunsafe impl Send for D {}\n";
        assert_eq!(lines_without_reason(text), [4, 7]);
    }

    #[test]
    fn own_modules_found() {
        let text =
            "use crate::{Id, plan::{a, b}, sys};\n// crate::no\nfn f() { crate::state::g(); $crate::x() }\n";
        let names: Vec<_> =
            own_modules(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(names, ["1 Id", "1 plan", "1 sys", "3 state"]);
    }

    #[test]
    fn word_in_raw_string_or_longer_name_not_found() {
        let text = "r#\"unsafe \" unsafe\"#; #![allow(unsafe_code)]\nfn f<'a>(r#type: &'a str) {}\nunsafe fn g() {}\n";
        assert_eq!(lines_with_word(text, "unsafe"), [3]);
    }
}

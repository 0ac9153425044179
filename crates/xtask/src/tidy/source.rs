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
    fn word_in_raw_string_or_longer_name_not_found() {
        let text = "r#\"unsafe \" unsafe\"#; #![allow(unsafe_code)]\nfn f<'a>(r#type: &'a str) {}\nunsafe fn g() {}\n";
        assert_eq!(lines_with_word(text, "unsafe"), [3]);
    }
}

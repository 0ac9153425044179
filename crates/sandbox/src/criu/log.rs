//! CRIU's log: the reason is in it, not in the answer.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// So many are quoted.
const MOST_ERRORS: usize = 4;

/// The first errors of a log, without their times: the cause of the others is among them.
pub(crate) fn errors(log: &Path) -> Option<String> {
    let lines = BufReader::new(fs::File::open(log).ok()?).lines().map_while(Result::ok);
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        if let Some(error) = parse_error(&line).filter(|error| found.iter().all(|it| it != error)) {
            found.push(error.to_owned());
            if found.len() == MOST_ERRORS {
                break;
            }
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}

/// `(00.012345) Error (criu/file.c:12): what` and `(00.012345)      1: Error (criu/file.c:12): what`.
fn parse_error(line: &str) -> Option<&str> {
    let (_, text) = line.split_once("Error (")?;
    Some(text.split_once("): ")?.1.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_a_line_is_its_text() {
        let line =
            "(00.004)      1: Error (criu/mount.c:1088): mnt: Can't mount at /x: No such file or directory";
        assert_eq!(parse_error(line), Some("mnt: Can't mount at /x: No such file or directory"));
        assert_eq!(parse_error("(00.004) Warn  (criu/x.c:1): y"), None);
    }
}

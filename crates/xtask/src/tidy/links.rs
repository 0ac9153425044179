//! Links between documents: the file is there, and so is the heading.

use std::path::Path;

/// Links of a document that lead nowhere.
pub(super) fn check(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, target) in links(text) {
        if let Some(problem) = problem_of(root, file, text, target) {
            findings.push(format!("{}:{line}: link to {target}: {problem}", file.display()));
        }
    }
    findings
}

fn problem_of(root: &Path, file: &Path, text: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let linked = root.join(file).parent()?.join(path);
    if !path.is_empty() && !linked.exists() {
        return Some("no such file");
    }
    if heading.is_empty() {
        return None;
    }
    let document = if path.is_empty() { text.to_owned() } else { std::fs::read_to_string(linked).ok()? };
    let has_heading = prose(&document).any(|(_, line)| line.starts_with('#') && anchor_of(line) == heading);
    if has_heading { None } else { Some("no such heading") }
}

/// Lines outside code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence && !line.starts_with("    ")).then_some((index + 1, line))
    })
}

/// Targets of `[text](target)`, with their line numbers.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            if let Some(end) = rest.find(')') {
                found.push((number, &rest[..end]));
            }
        }
    }
    found
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_outside_code_found() {
        let text = "see [a](b.md#c)\n```\n[x](y)\n```\n    [p](q)\n[d](e) [f](g)\n";
        assert_eq!(links(text), [(1, "b.md#c"), (6, "e"), (6, "g")]);
    }

    #[test]
    fn heading_anchored() {
        assert_eq!(anchor_of("## With podman, or `containerd`"), "with-podman-or-containerd");
    }
}

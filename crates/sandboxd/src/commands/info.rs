//! `info`: what this host offers, with the reason where it doesn't.

use std::fmt::Write as _;

use sandbox::survey::{Section, survey};

use super::Session;
use crate::args::about::{Info, PlanFormat};
use crate::error::Result;

pub(crate) fn info(session: &Session<'_>, arguments: &Info) -> Result<u8> {
    let sections = survey(session.global.criu.as_deref());
    match arguments.format {
        PlanFormat::Text => crate::print(&text(&sections)),
        PlanFormat::Json => crate::print(&(serde_json::to_string_pretty(&document(&sections))? + "\n")),
    }
}

/// An object with a key for each section, and in it one for each finding.
fn document(sections: &[Section]) -> serde_json::Value {
    let section = |section: &Section| {
        let finding = |finding: &sandbox::survey::Finding| {
            let value = serde_json::json!({"available": finding.available, "detail": finding.detail});
            (finding.name.clone(), value)
        };
        let findings: serde_json::Map<_, _> = section.findings.iter().map(finding).collect();
        (section.name.to_owned(), findings.into())
    };
    serde_json::Value::Object(sections.iter().map(section).collect())
}

fn text(sections: &[Section]) -> String {
    let names = sections.iter().flat_map(|section| &section.findings);
    let width = names.map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for section in sections {
        let _ = writeln!(text, "{}:", section.name);
        for finding in &section.findings {
            let mark = if finding.available { "yes" } else { "no" };
            let line = format!("  {mark:3}  {:width$}  {}", finding.name, finding.detail);
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

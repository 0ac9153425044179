//! `docs/benchmarks.md` and its pictures.

use std::fmt::Write as _;
use std::path::Path;

use super::document::{Document, LaneDocument, Series};
use super::table::{self, Table};
use super::{plot, targets};
use crate::error::{Context, Result};

const INTRODUCTION: &str = "\
# Benchmarks

Made by `cargo xtask bench --docs`: this page and its pictures are what one run of it found, on one machine. Every runtime
is started as a process, with pipes as its streams and its state on a tmpfs, the runtimes in turns; the time is from the
spawn to the end of the process. *Floor* is a program that asks the kernel for the same container and does nothing else:
no config is read, nothing checked, nothing recorded. Figures are medians, in brackets the least; the ratio is to
sandboxd. Absolute numbers are worth little on another machine, ratios more: `cargo xtask bench` tells yours.
";

/// What no measurement of the bench tells; kept by hand.
const WHERE_IT_GOES: &str = include_str!("where-it-goes.md");

/// Writes the page and the pictures.
pub(super) fn write(document: &Document, docs: &Path) -> Result<()> {
    let pictures = docs.join("benchmarks");
    match std::fs::remove_dir_all(&pictures) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context(pictures.display());
        }
        _ => std::fs::create_dir_all(&pictures).context(pictures.display())?,
    }
    let page = docs.join("benchmarks.md");
    std::fs::write(&page, text(document, &pictures)?).context(page.display())
}

fn text(document: &Document, pictures: &Path) -> Result<String> {
    let machine = &document.machine;
    let mut text = INTRODUCTION.to_owned();
    let _ = write!(
        text,
        "\nMeasured {} at commit {}: {} processors ({}), {} MiB of memory, Linux {}.\n",
        machine.date,
        machine.commit,
        machine.processors,
        machine.processor,
        machine.memory_mib,
        machine.kernel
    );
    let verdicts = targets::judge(document);
    if !verdicts.is_empty() {
        let _ = write!(
            text,
            "\n## Targets\n\nA ratio of times may miss its target by the factor {}, for chance; a count may not.\n\n{}",
            targets::MARGIN,
            table::verdicts(&verdicts).to_markdown()
        );
    }
    text.push('\n');
    text.push_str(WHERE_IT_GOES);
    for lane in &document.lanes {
        write_lane(&mut text, lane, pictures)?;
    }
    Ok(text)
}

fn write_lane(text: &mut String, lane: &LaneDocument, pictures: &Path) -> Result<()> {
    let _ = write!(text, "\n## cgroup {}\n\n", lane.cgroup);
    for entrant in &lane.contestants {
        let note = entrant.note.as_ref().map_or(String::new(), |note| format!(": {}", escaped(note)));
        let _ = writeln!(text, "* {}{note}", [entrant.name.as_str(), &entrant.version].join(" ").trim());
    }
    lane.absent.iter().for_each(|absent| text.push_str(&format!("* absent: {}\n", escaped(absent))));
    for measured in &lane.measured {
        let Some(series) = Series::of(&measured.series) else { continue };
        let _ = write!(text, "\n### {}, cgroup {}\n\n", series.title, lane.cgroup);
        if plot::is_worth_it(measured) {
            let name = format!("{}-{}.svg", series.name, lane.cgroup);
            let title = format!("{}, cgroup {}", series.title.replace('`', ""), lane.cgroup);
            plot::draw(measured, &title, &pictures.join(&name))?;
            let _ = write!(text, "![{title}](benchmarks/{name})\n\n");
        }
        if let Some(table) = Table::of(measured).filter(|table| !table.rows.is_empty()) {
            text.push_str(&table.to_markdown());
        }
        if !measured.notes.is_empty() {
            text.push('\n');
            measured.notes.iter().for_each(|note| text.push_str(&format!("* {}\n", escaped(note))));
        }
    }
    Ok(())
}

/// A sentence of a program, as code where it could be taken for markup; without directories of this machine.
fn escaped(sentence: &str) -> String {
    let words = sentence.split(' ').map(|word| match word.rsplit_once('/') {
        Some((directory, name)) if directory.contains("/target/") => name,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ").replace('_', "\\_").replace('*', "\\*").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::document::Measured;
    use super::*;

    #[test]
    fn page_shows_its_pictures() {
        let mut run = Measured::new("run");
        run.add("sandboxd", "", 2.0);
        run.add("crun", "", 25.0);
        let mut rate = Measured::new("throughput");
        for (variant, figure) in [("1", 300.0), ("64", 700.0)] {
            rate.add("sandboxd", variant, figure);
            rate.add("crun", variant, figure / 10.0);
        }
        let lane = LaneDocument {
            cgroup: "v2".into(),
            rounds: 1,
            contestants: Vec::new(),
            absent: vec!["youki is not installed".into()],
            measured: vec![run, rate],
        };
        let document = Document { lanes: vec![lane], ..Document::default() };
        let docs = crate::bundle::scratch("bench-docs").unwrap();
        write(&document, &docs).unwrap();
        let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
        for name in ["run-v2.svg", "throughput-v2.svg"] {
            assert!(page.contains(&format!("(benchmarks/{name})")));
            let picture = std::fs::read_to_string(docs.join("benchmarks").join(name)).unwrap();
            assert!(picture.starts_with("<svg") && picture.contains("sandboxd"), "{picture}");
        }
        assert!(page.contains("| crun | 25.0 | 12.5 |") && page.contains("absent: youki"));
    }
}

//! Figures as text.

use super::contestant::OURS;
use super::document::{LaneDocument, Measured, Series, Unit};
use super::groups::LIBRARY;
use super::targets::Verdict;

/// A figure with three digits that matter.
pub(super) fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A table: heading, then a row for each contestant.
pub(super) struct Table {
    pub(super) heading: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Medians, the best figures, and how many times ours that is.
    pub(super) fn of(measured: &Measured) -> Option<Self> {
        let series = Series::of(&measured.series)?;
        let variants = measured.variants();
        let mut heading = vec![String::new()];
        for variant in &variants {
            let what = [*variant, series.variants].join(" ").trim().to_owned();
            heading.push(if what.is_empty() { series.unit.name().to_owned() } else { what });
            if measured.contestants().len() > 1 {
                heading.push("ratio".into());
            }
        }
        let has_peers = measured.contestants().len() > 1;
        let rows = measured.contestants().into_iter().map(|name| {
            let mut row = vec![name.to_owned()];
            for variant in &variants {
                let Some(cell) = measured.row(name, variant) else {
                    row.push("-".into());
                    if has_peers {
                        row.push(String::new());
                    }
                    continue;
                };
                row.push(match series.unit {
                    Unit::Milliseconds if cell.count > 1 => {
                        format!("{} ({})", figure(cell.median), figure(cell.best))
                    }
                    _ => figure(cell.median),
                });
                if has_peers {
                    let ours = measured.row(OURS, variant).or_else(|| measured.row(LIBRARY, variant));
                    row.push(ours.map_or(String::new(), |ours| figure(cell.median / ours.median)));
                }
            }
            row
        });
        Some(Self { rows: rows.collect(), heading })
    }

    pub(super) fn to_text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.heading]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(&self.heading) + &self.rows.iter().map(line).collect::<String>()
    }

    pub(super) fn to_markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        // Words to the left, figures to the right.
        let is_word = |cell: &String| cell.starts_with(char::is_alphabetic);
        let has_words = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).all(is_word);
        let rule = |column| if has_words(column) { "---" } else { "---:" };
        let rule: Vec<String> = (0..self.heading.len()).map(|column| rule(column).to_owned()).collect();
        line(&self.heading) + &line(&rule) + &self.rows.iter().map(line).collect::<String>()
    }
}

/// A series as it is shown in the terminal.
pub(super) fn series_text(measured: &Measured) -> String {
    let Some(series) = Series::of(&measured.series) else { return String::new() };
    let mut text = format!("{}: {}, {}", series.name, series.title.replace('`', ""), series.unit.name());
    text.push_str(if series.unit == Unit::Milliseconds { ", median (least)\n" } else { "\n" });
    if !measured.rows.is_empty() {
        text.push_str(&Table::of(measured).map(|table| table.to_text()).unwrap_or_default());
    }
    measured.notes.iter().for_each(|note| text.push_str(&format!("  ! {note}\n")));
    text
}

/// Who takes part.
pub(super) fn contestants_text(lane: &LaneDocument) -> String {
    let mut text = format!("cgroup {}, -n {}\n", lane.cgroup, lane.rounds);
    for entrant in &lane.contestants {
        text.push_str(format!("  {} {}", entrant.name, entrant.version).trim_end());
        if let Some(note) = &entrant.note {
            text.push_str(&format!(": {note}"));
        }
        text.push('\n');
    }
    lane.absent.iter().for_each(|absent| text.push_str(&format!("  absent: {absent}\n")));
    text
}

/// The targets and what became of them.
pub(super) fn verdicts(verdicts: &[Verdict]) -> Table {
    let heading = ["cgroup", "target", "measured", ""].map(str::to_owned).to_vec();
    let rows = verdicts.iter().map(|verdict| {
        let measured = match &verdict.figure {
            Ok(number) => figure(*number),
            Err(reason) => reason.clone(),
        };
        let met = if verdict.met { "met" } else { "missed" };
        vec![verdict.lane.clone(), verdict.sentence.clone(), measured, met.to_owned()]
    });
    Table { rows: rows.collect(), heading }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_ratios_to_ours() {
        let mut measured = Measured::new("run");
        measured.add("sandboxd", "", 2.0);
        measured.add("crun", "", 25.0);
        let table = Table::of(&measured).unwrap();
        assert_eq!(
            table.to_text(),
            "              ms  ratio\n  sandboxd  2.00   1.00\n  crun      25.0   12.5\n"
        );
        assert!(table.to_markdown().contains("| crun | 25.0 | 12.5 |"));
    }
}

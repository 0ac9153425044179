//! `list`

use std::fmt::Write as _;

use super::state::{Document, created};
use super::{Session, owner};
use crate::args::lifecycle::{List, TableFormat};
use crate::error::Result;

pub(crate) fn list(session: &Session<'_>, arguments: &List) -> Result<u8> {
    session.check_root()?;
    let mut containers = Vec::new();
    let mut text = String::new();
    for (id, container) in session.runtime()?.list()? {
        if arguments.quiet {
            text.push_str(&id);
            text.push('\n');
            continue;
        }
        match container {
            Ok(container) => containers.push(container),
            Err(error) => session.warn_about(format_args!("{id}: {error}")),
        }
    }
    match arguments.format {
        _ if arguments.quiet => {}
        // runc's, whose list is a nil slice then.
        TableFormat::Json if containers.is_empty() => text.push_str("null\n"),
        TableFormat::Json => {
            let documents: Vec<_> = containers.iter().map(Document::new).collect();
            text = serde_json::to_string(&documents)?;
            text.push('\n');
        }
        TableFormat::Table => {
            let rows = containers.iter().map(|container| {
                [
                    container.id.to_string(),
                    container.pid.to_string(),
                    container.status.to_string(),
                    container.bundle.display().to_string(),
                    created(container),
                    owner::name(container.owner_uid),
                ]
            });
            let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
            text = table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
        }
    }
    crate::print(&text)
}

/// Columns at least twelve wide and three apart, as runc's; the last one is not padded.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12)
    });
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths).take(COLUMNS - 1) {
            let _ = write!(text, "{cell:width$}");
        }
        text.push_str(&row[COLUMNS - 1]);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_aligned_as_runcs() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["ID", "PID", "OWNER"]), row(["a-long-name-1", "7", "root"])];
        assert_eq!(table(&rows), "ID              PID         OWNER\na-long-name-1   7           root\n");
    }
}

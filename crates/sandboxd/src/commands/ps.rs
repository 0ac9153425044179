//! `ps`: the host's `ps`, with the container's processes only.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

use sandbox::ContainerId;

use super::Session;
use crate::args::lifecycle::{Ps, TableFormat};
use crate::error::{Context as _, Error, Result};

pub(crate) fn ps(session: &Session<'_>, arguments: &Ps) -> Result<u8> {
    let id = ContainerId::new(&arguments.id)?;
    let mut pids = session.runtime()?.processes(&id)?;
    pids.sort_unstable();
    let text = match arguments.format {
        TableFormat::Json => {
            let mut text = serde_json::to_string(&pids)?;
            text.push('\n');
            text
        }
        TableFormat::Table => filter(&read_table(&arguments.options)?, &pids)?,
    };
    crate::print(&text)
}

/// What the host's `ps` prints.
fn read_table(options: &[OsString]) -> Result<String> {
    let default = [OsString::from("-ef")];
    let options = if options.is_empty() { &default } else { options };
    let output = match Command::new("ps").args(options).stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Ps("executable file not found in $PATH; --format json needs none".to_owned()));
        }
        output => output.context(|| "execute ps".to_owned())?,
    };
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(Error::Ps(format!("{}: {}", output.status, complaint.lines().next().unwrap_or_default())))
    }
}

/// The heading, and the lines of these processes.
fn filter(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let Some(column) = heading.split_whitespace().position(|name| name == "PID") else {
        return Err(Error::Ps("its output has no column PID".to_owned()));
    };
    let of_container = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.binary_search(&pid).is_ok())
    };
    let mut text = String::new();
    for line in [heading].into_iter().chain(lines.filter(of_container)) {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_filtered_by_the_column_pid() {
        let table = "UID          PID    PPID  C CMD\nroot           1       0  0 init\nroot          17       1  0 sh 1\n";
        assert_eq!(
            filter(table, &[2, 17]).unwrap(),
            "UID          PID    PPID  C CMD\nroot          17       1  0 sh 1\n"
        );
        assert_eq!(filter("TTY CMD\n", &[1]).unwrap_err().to_string(), "ps: its output has no column PID");
        assert!(filter("", &[]).is_err());
    }
}

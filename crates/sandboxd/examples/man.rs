//! Writes the manual pages to a directory: `cargo xtask man`.
#![allow(
    clippy::unwrap_used,
    unused_imports,
    dead_code,
    reason = "of the command line only its definition is used"
)]

#[path = "../src/args/mod.rs"]
mod args;

use std::path::PathBuf;
use std::{env, fs, io};

use clap_mangen::Man;

/// Programs for the administrator (`man-pages(7)`).
const SECTION: &str = "8";

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    fs::create_dir_all(&directory)?;
    for (name, page) in pages()? {
        fs::write(directory.join(name), page)?;
    }
    Ok(())
}

/// Each page and its file's name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let program = args::whole_program();
    let mut pages = vec![page("sandboxd".to_owned(), program.clone())?];
    for command in program.get_subcommands() {
        let (name, line) =
            (format!("sandboxd-{}", command.get_name()), format!("sandboxd {}", command.get_name()));
        pages.push(page(name, command.clone().bin_name(line))?);
    }
    Ok(pages)
}

fn page(name: String, command: clap::Command) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let title = name.to_uppercase();
    let file = format!("{name}.{SECTION}");
    // A name that is made at run time is clap's only with its feature `string`; these few live as long as the program.
    let name: &'static str = name.leak();
    let man = Man::new(command.name(name).disable_version_flag(true).disable_help_subcommand(true));
    man.title(title).section(SECTION).manual("sandboxd").render(&mut bytes)?;
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_every_command_has_its_flags() {
        let pages = pages().unwrap();
        let program = args::whole_program();
        assert_eq!(pages.len(), 1 + program.get_subcommands().count());
        for command in program.get_subcommands() {
            let file = format!("sandboxd-{}.8", command.get_name());
            let (_, page) = pages.iter().find(|(name, _)| *name == file).unwrap();
            let page = String::from_utf8(page.clone()).unwrap();
            for part in [".TH SANDBOXD-", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
                assert!(page.contains(part), "{file}: {part}");
            }
            for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
                if let Some(long) = flag.get_long() {
                    // roff has its dashes escaped.
                    let long = long.replace('-', "\\-");
                    assert!(page.contains(&format!("\\-\\-{long}")), "{file}: {long}\n{page}");
                }
            }
        }
    }
}

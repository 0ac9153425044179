//! What `docs/cli.md` says of flags is what the program takes, in both directions.

use std::collections::BTreeSet;

use super::whole_program;

const PAGE: &str = include_str!("../../../../docs/cli.md");

/// Flags as the page writes them: `--cwd`, `-e/--env`.
type Flags = BTreeSet<String>;

/// The lines of a table below a heading, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let start = PAGE.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = &PAGE[start + 4..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let cells = |line: &str| {
        let line = line.replace("\\|", "/").trim_matches('|').to_owned();
        line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    // Below the head and the line under it.
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The flag at the beginning of each quoted word of a cell.
fn flags_of_cell(cell: &str) -> Flags {
    let words = quoted(cell).filter(|word| word.starts_with('-'));
    words.filter_map(|word| word.split([' ', '=']).next()).map(str::to_owned).collect()
}

fn flags_of(command: &clap::Command, hidden: bool) -> Flags {
    let name = |argument: &clap::Arg| {
        let long = argument.get_long()?;
        Some(match argument.get_short() {
            Some(short) => format!("-{short}/--{long}"),
            None => format!("--{long}"),
        })
    };
    command.get_arguments().filter(|argument| argument.is_hide_set() == hidden).filter_map(name).collect()
}

fn long(flag: &str) -> &str {
    flag.split_once('/').map_or(flag, |(_, long)| long)
}

#[test]
fn flags_of_each_command_are_the_pages() {
    let program = whole_program();
    let rows = rows("Commands");
    let mut named = BTreeSet::new();
    let row_of = |name: &str| {
        let is_it = |row: &&Vec<String>| quoted(&row[0]).any(|word| word.split(' ').next() == Some(name));
        rows.iter().find(is_it).unwrap_or_else(|| panic!("{name} is not on the page"))
    };
    for command in program.get_subcommands() {
        let name = command.get_name();
        let cell = &row_of(name)[2];
        let mut flags = flags_of_cell(cell);
        if cell.contains("those of `create`") {
            flags.extend(flags_of_cell(&row_of("create")[2]));
        }
        assert_eq!(flags, flags_of(command, false), "{name}");
        named.insert(name.to_owned());
    }
    let on_page: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| quoted(&row[0]))
        .map(|word| word.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(on_page, named);
}

#[test]
fn global_flags_are_the_pages() {
    let mut on_page: Flags = rows("Global flags").iter().flat_map(|row| flags_of_cell(&row[0])).collect();
    assert!(on_page.remove("-h/--help"));
    assert_eq!(on_page, flags_of(&whole_program(), false));
}

#[test]
fn flags_without_effect_are_listed_and_exist() {
    let program = whole_program();
    let exists = |command: Option<&str>, flag: &str| {
        let known = |command: &clap::Command| {
            [false, true].iter().any(|hidden| flags_of(command, *hidden).iter().any(|it| long(it) == flag))
        };
        known(&program)
            || program
                .get_subcommands()
                .any(|it| command.is_none_or(|command| it.get_name() == command) && known(it))
    };
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for row in rows("Accepted without effect") {
        for words in quoted(&row[0]) {
            let mut words = words.split(' ');
            let first = words.next().unwrap_or_default();
            let (command, flag) =
                if first.starts_with('-') { (None, Some(first)) } else { (Some(first), words.next()) };
            if let Some(flag) = flag {
                assert!(exists(command, flag), "{command:?} {flag}");
            }
            listed.insert(format!("{} {}", command.unwrap_or_default(), flag.unwrap_or_default()));
        }
    }
    // What is hidden from the help, or said there to be accepted, has no effect.
    for command in program.get_subcommands() {
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            if !argument.is_hide_set() && !help.starts_with("Accepted") {
                continue;
            }
            let flag = format!("{} --{}", command.get_name(), argument.get_long().unwrap_or_default());
            assert!(listed.contains(&flag), "{flag}");
            assert!(help.starts_with("Accepted"), "{flag}: {help}");
        }
    }
}

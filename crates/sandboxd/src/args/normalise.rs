//! Turns Go's flag syntax, which callers of runc write, into one canonical form.
//!
//! Pure: words in, words out. Accepted: one dash for long names, `-b=/x`, `--detach=false`, flags after the id,
//! global flags after the command, several short flags in one word (`-it`).
//! The canonical form: `--name` or `--name=value`, each flag at most where it was meant, then `--`, then operands.

use std::any::TypeId;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::Misuse;

/// Where flags may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlagsMayStand {
    /// Before, between and after the operands.
    Anywhere,
    /// Before the first operand only: what follows belongs to somebody else (`exec ID command -x`).
    BeforeOperands,
}

/// One flag, as far as its syntax is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag<'a> {
    /// Name after two dashes.
    pub(crate) long: &'a str,
    /// Name after one dash.
    pub(crate) short: Option<char>,
    /// Whether a value belongs to it.
    pub(crate) takes_value: bool,
    /// On or off, and to say that it is off is not the same as to say nothing.
    pub(crate) keeps_off: bool,
    /// An empty value is as good as none: a script's `--pid-file "$FILE"`.
    pub(crate) may_be_empty: bool,
}

/// The flags of one command.
#[derive(Clone, Debug)]
pub(crate) struct Flags<'a>(pub(crate) Cow<'a, [Flag<'a>]>);

impl<'a> Flags<'a> {
    /// The flags of a table.
    pub(crate) const fn known(flags: &'a [Flag<'a>]) -> Self {
        Self(Cow::Borrowed(flags))
    }

    /// The flags that a clap command defines.
    pub(crate) fn of(command: &'a clap::Command) -> Self {
        let flag = |argument: &'a clap::Arg| {
            let takes_value = argument.get_action().takes_values();
            let may_stand_alone = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
            Some(Flag {
                long: argument.get_long()?,
                short: argument.get_short(),
                takes_value: takes_value && !may_stand_alone,
                keeps_off: takes_value && may_stand_alone,
                may_be_empty: is_path(argument) && argument.get_long() != Some("root"),
            })
        };
        Self(command.get_arguments().filter_map(flag).collect())
    }

    fn find(&self, name: &str) -> Option<Flag<'a>> {
        let mut characters = name.chars();
        let single = characters.next().filter(|_| characters.next().is_none());
        self.0.iter().copied().find(|flag| flag.long == name || (single.is_some() && flag.short == single))
    }

    /// The flags that a word like `-it` stands for: short ones, of which only the last may take a value.
    fn find_cluster(&self, name: &str) -> Option<Vec<Flag<'a>>> {
        let flags: Option<Vec<_>> = name
            .chars()
            .map(|character| self.0.iter().copied().find(|flag| flag.short == Some(character)))
            .collect();
        let (_, all_but_last) = flags.as_ref()?.split_last()?;
        if all_but_last.iter().any(|flag| flag.takes_value) { None } else { flags }
    }
}

/// Words in canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// `--name` or `--name=value`, of the command.
    pub(crate) own: Vec<OsString>,
    /// The same, of the global flags.
    pub(crate) global: Vec<OsString>,
    /// What is no flag.
    pub(crate) operands: Vec<OsString>,
    /// Help was asked for.
    pub(crate) help: bool,
}

/// Sorts `words` into flags of the command, global flags and operands. A name that both have is the command's.
///
/// # Errors
/// A value is missing, or a flag that is on or off has another value. What was read up to there is left in `to`.
pub(crate) fn normalise(
    words: &[OsString],
    own: &Flags<'_>,
    global: &Flags<'_>,
    flags_may_stand: FlagsMayStand,
    to: &mut Words,
) -> Result<(), Misuse> {
    let mut words = words.iter();
    let mut only_operands = false;
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if only_operands || bytes.first() != Some(&b'-') || bytes == b"-" {
            to.operands.push(word.clone());
            only_operands |= flags_may_stand == FlagsMayStand::BeforeOperands;
            continue;
        }
        if bytes == b"--" {
            only_operands = true;
            continue;
        }
        let body = bytes.strip_prefix(b"--").unwrap_or(&bytes[1..]);
        let (name, value) = match body.iter().position(|&byte| byte == b'=') {
            Some(at) => (&body[..at], Some(OsStr::from_bytes(&body[at + 1..]))),
            None => (body, None),
        };
        // A name that is not text is no flag's: left to the error below.
        let name = std::str::from_utf8(name).unwrap_or_default();
        let one_dash = !bytes.starts_with(b"--");

        let (flags, list) = if let Some(flag) = own.find(name) {
            (vec![flag], &mut to.own)
        } else if let Some(flag) = global.find(name) {
            (vec![flag], &mut to.global)
        } else if matches!(name, "h" | "help") {
            to.help = true;
            continue;
        } else if let Some(flags) = own.find_cluster(name).filter(|_| one_dash) {
            (flags, &mut to.own)
        } else {
            // clap says that it does not exist, and what is close to it.
            let mut unknown = OsString::from("--");
            unknown.push(OsStr::from_bytes(body));
            to.own.push(unknown);
            continue;
        };
        for flag in flags {
            let as_typed =
                || String::from_utf8_lossy(&bytes[..bytes.len() - body.len() + name.len()]).into_owned();
            if flag.takes_value {
                let value = value.or_else(|| words.next().map(OsString::as_os_str));
                let Some(value) = value else { return Err(Misuse::MissingValue { flag: as_typed() }) };
                if flag.may_be_empty && value.is_empty() {
                    // The last one wins.
                    let prefix = with_value(flag.long, OsStr::new(""));
                    list.retain(|word| !word.as_bytes().starts_with(prefix.as_bytes()));
                } else {
                    list.push(with_value(flag.long, value));
                }
            } else {
                let long = OsString::from(format!("--{}", flag.long));
                let on = match value {
                    None => true,
                    Some(value) => parse_bool(value)
                        .ok_or_else(|| Misuse::NotABoolean { flag: as_typed(), value: value.to_owned() })?,
                };
                // The last one wins, as in Go.
                let off = with_value(flag.long, OsStr::new("false"));
                list.retain(|word| *word != long && *word != off);
                if on {
                    list.push(long);
                } else if flag.keeps_off {
                    list.push(off);
                }
            }
        }
    }
    Ok(())
}

fn is_path(argument: &clap::Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

fn with_value(long: &str, value: &OsStr) -> OsString {
    let mut word = Vec::with_capacity(long.len() + value.len() + 3);
    word.extend_from_slice(b"--");
    word.extend_from_slice(long.as_bytes());
    word.push(b'=');
    word.extend_from_slice(value.as_bytes());
    OsString::from_vec(word)
}

/// What Go's `strconv.ParseBool` takes.
fn parse_bool(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(long: &'static str, short: Option<char>, takes_value: bool) -> Flag<'static> {
        Flag { long, short, takes_value, keeps_off: false, may_be_empty: long.ends_with("file") }
    }

    fn own() -> Flags<'static> {
        Flags(Cow::Owned(vec![
            flag("bundle", Some('b'), true),
            flag("detach", Some('d'), false),
            flag("tty", Some('t'), false),
            flag("no-subreaper", None, false),
            flag("pid-file", None, true),
            Flag { keeps_off: true, ..flag("no-new-privs", None, false) },
        ]))
    }

    fn global() -> Flags<'static> {
        Flags(Cow::Owned(vec![
            flag("root", None, true),
            flag("debug", None, false),
            flag("rootless", None, true),
            flag("version", Some('v'), false),
        ]))
    }

    fn run(line: &str, flags_may_stand: FlagsMayStand) -> (Result<(), Misuse>, Words) {
        let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect();
        let mut to = Words::default();
        let result = normalise(&words, &own(), &global(), flags_may_stand, &mut to);
        (result, to)
    }

    fn joined(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_in_any_go_form_become_canonical() {
        // line, own flags, global flags, operands
        let table = [
            ("", "", "", ""),
            ("web-1", "", "", "web-1"),
            ("-b /x web-1", "--bundle=/x", "", "web-1"),
            ("-b=/x web-1", "--bundle=/x", "", "web-1"),
            ("--b /x web-1", "--bundle=/x", "", "web-1"),
            ("-bundle /x web-1", "--bundle=/x", "", "web-1"),
            ("--bundle=/x web-1", "--bundle=/x", "", "web-1"),
            ("--bundle= web-1", "--bundle=", "", "web-1"),
            ("--bundle=a=b web-1", "--bundle=a=b", "", "web-1"),
            ("--bundle -x web-1", "--bundle=-x", "", "web-1"),
            ("--bundle -- web-1", "--bundle=--", "", "web-1"),
            ("web-1 -b /x", "--bundle=/x", "", "web-1"),
            ("-no-subreaper web-1", "--no-subreaper", "", "web-1"),
            ("--detach web-1", "--detach", "", "web-1"),
            ("--detach=true web-1", "--detach", "", "web-1"),
            ("--detach=1 web-1", "--detach", "", "web-1"),
            ("--detach=false web-1", "", "", "web-1"),
            ("-d=F web-1", "", "", "web-1"),
            ("-d --detach=false web-1", "", "", "web-1"),
            ("-d=false -d web-1", "--detach", "", "web-1"),
            ("--no-new-privs web-1", "--no-new-privs", "", "web-1"),
            ("--no-new-privs=false web-1", "--no-new-privs=false", "", "web-1"),
            ("--no-new-privs --no-new-privs=0 web-1", "--no-new-privs=false", "", "web-1"),
            ("--no-new-privs=0 --no-new-privs web-1", "--no-new-privs", "", "web-1"),
            ("--pid-file= web-1", "", "", "web-1"),
            ("--pid-file a --pid-file= web-1", "", "", "web-1"),
            ("--pid-file= --pid-file a web-1", "--pid-file=a", "", "web-1"),
            ("-dt web-1", "--detach --tty", "", "web-1"),
            ("-db /x web-1", "--detach --bundle=/x", "", "web-1"),
            ("-d -d web-1", "--detach", "", "web-1"),
            ("web-1 --root /r", "", "--root=/r", "web-1"),
            ("--debug web-1 -rootless=true", "", "--debug --rootless=true", "web-1"),
            ("-v", "", "--version", ""),
            ("-- -b web-1", "", "", "-b web-1"),
            ("-", "", "", "-"),
            ("web-1 -- --detach", "", "", "web-1 --detach"),
            ("--bogus web-1", "--bogus", "", "web-1"),
            ("-bogus=1", "--bogus=1", "", ""),
            ("--dt", "--dt", "", ""),
            ("-bd x", "--bd", "", "x"),
        ];
        for (line, own, global, operands) in table {
            let (result, words) = run(line, FlagsMayStand::Anywhere);
            assert_eq!(result, Ok(()), "{line}");
            let read = (joined(&words.own), joined(&words.global), joined(&words.operands));
            assert_eq!(read, (own.to_owned(), global.to_owned(), operands.to_owned()), "{line}");
        }
    }

    #[test]
    fn words_after_the_first_operand_are_left_alone_where_told() {
        let table = [
            ("-t web-1 sh -c x --debug", "--tty", "", "web-1 sh -c x --debug"),
            ("web-1 -t", "", "", "web-1 -t"),
            ("web-1 -- -t", "", "", "web-1 -- -t"),
            ("-- web-1 -t", "", "", "web-1 -t"),
            ("web-1 --help", "", "", "web-1 --help"),
        ];
        for (line, own, global, operands) in table {
            let (result, words) = run(line, FlagsMayStand::BeforeOperands);
            assert_eq!(result, Ok(()), "{line}");
            let read = (joined(&words.own), joined(&words.global), joined(&words.operands));
            assert_eq!(read, (own.to_owned(), global.to_owned(), operands.to_owned()), "{line}");
            assert!(!words.help, "{line}");
        }
    }

    #[test]
    fn help_in_any_form_is_recognised() {
        for line in ["-h", "--h", "-help", "--help", "web-1 --help", "-d -h"] {
            let (result, words) = run(line, FlagsMayStand::Anywhere);
            assert_eq!(result, Ok(()), "{line}");
            assert!(words.help, "{line}");
        }
    }

    #[test]
    fn value_missing_or_wrong_is_refused() {
        let table = [
            ("-b", "flag needs an argument: -b"),
            ("web-1 --bundle", "flag needs an argument: --bundle"),
            ("--pid-file", "flag needs an argument: --pid-file"),
            ("-db", "flag needs an argument: -db"),
            ("--root", "flag needs an argument: --root"),
            ("--detach=maybe", "invalid boolean value \"maybe\" for --detach"),
            ("-d=", "invalid boolean value \"\" for -d"),
        ];
        for (line, message) in table {
            let (result, _) = run(line, FlagsMayStand::Anywhere);
            assert_eq!(result.map_err(|misuse| misuse.to_string()), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_was_read_before_an_error_is_kept() {
        let (result, words) = run("--root /r --debug -b", FlagsMayStand::Anywhere);
        assert!(result.is_err());
        assert_eq!(joined(&words.global), "--root=/r --debug");
    }

    #[test]
    fn value_that_is_not_text_is_kept() {
        let path = OsString::from_vec(b"--bundle=/\xff".to_vec());
        let mut to = Words::default();
        let result =
            normalise(std::slice::from_ref(&path), &own(), &global(), FlagsMayStand::Anywhere, &mut to);
        assert_eq!((result, to.own), (Ok(()), vec![path]));
    }
}

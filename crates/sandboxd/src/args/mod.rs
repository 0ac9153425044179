//! What the user said: the command line as values. No I/O, and no decision about what it means.
//!
//! [`mod@normalise`] turns the forms that callers of runc write into one; clap reads it, or [`quick`] does.

pub(crate) mod about;
pub(crate) mod checkpoint;
pub(crate) mod creation;
#[cfg(test)]
mod documented;
pub(crate) mod events;
mod examples;
pub(crate) mod exec;
pub(crate) mod global;
pub(crate) mod lifecycle;
mod misuse;
pub(crate) mod mounts;
mod normalise;
pub(crate) mod pause;
mod quick;
pub(crate) mod update;
mod verb;

use std::cell::OnceCell;
use std::ffi::OsString;

use clap::{Args as _, FromArgMatches as _};

pub(crate) use global::Global;
pub(crate) use misuse::Misuse;
pub(crate) use verb::{Row, Verb};

use misuse::Operands;
use normalise::{Flags, FlagsMayStand, Words, normalise};
use quick::Quick;

/// Name of the program in its messages.
pub(crate) const PROGRAM: &str = "sandboxd";

/// A command line.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// The global flags, as far as they could be read: also a misuse is logged where they say.
    pub(crate) global: Global,
    /// The command's name, where there is one.
    pub(crate) name: Option<&'static str>,
    /// What it is about: the container's id, as typed.
    pub(crate) subject: Option<OsString>,
    /// What is to be done.
    pub(crate) request: Result<Request, Misuse>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Print this help.
    Help(String),
    /// Print the version.
    Version,
    /// A command.
    Verb(Box<Verb>),
}

/// Reads a command line, without the program's name.
pub(crate) fn parse(words: &[OsString]) -> CommandLine {
    let flags = Flags::known(quick::GLOBAL);
    let mut read = Words::default();
    let mut line =
        CommandLine { global: Global::default(), name: None, subject: None, request: Ok(Request::Version) };
    line.request = parse_request(words, &flags, &mut read, &mut line.name, &mut line.subject);
    match read_global(&read.global) {
        Ok(global) => line.global = global,
        Err(misuse) => line.request = line.request.and(Err(misuse)),
    }
    line
}

/// All commands and flags, for the whole help and for completions.
pub(crate) fn whole_program() -> clap::Command {
    program()
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(verb::ROWS.iter().map(Row::command))
}

fn program() -> clap::Command {
    Global::augment_args(clap::Command::new(PROGRAM))
        .about("Run containers from OCI bundles")
        .long_about(
            "Run containers from OCI bundles.\n\n\
             A bundle is a directory with a config.json and the root file system that it names. To run one in the \
             foreground:\n\n    sandboxd run --bundle DIR ID\n\nand to make one, put a root file system into \
             DIR/rootfs and call\n\n    sandboxd spec --bundle DIR",
        )
        .after_help("sandboxd COMMAND --help explains a command.")
        .args_override_self(true)
}

fn parse_request(
    words: &[OsString],
    global: &Flags<'_>,
    read: &mut Words,
    name: &mut Option<&'static str>,
    subject: &mut Option<OsString>,
) -> Result<Request, Misuse> {
    let mut before = Words::default();
    let none = Flags::known(&[]);
    let result = normalise(words, &none, global, FlagsMayStand::BeforeOperands, &mut before);
    read.global = before.global;
    result?;
    if !before.own.is_empty() {
        // There is no such flag: let clap say so.
        read_global(&before.own).map_err(|misuse| misuse.typed_in(words))?;
    }
    if read.global.iter().any(|word| word == "--version") {
        return Ok(Request::Version);
    }
    let mut rest = before.operands.as_slice();
    if matches!(rest.first().and_then(|word| word.to_str()), Some("help" | "h")) {
        read.help = true;
        rest = &rest[1..];
    }
    read.help |= before.help;
    let Some((verb, rest)) = rest.split_first() else {
        return Ok(Request::Help(help(whole_program())));
    };
    let Some(row) = verb.to_str().and_then(Row::find) else { return Err(unknown_command(verb)) };
    *name = Some(row.name);
    parse_verb(row, rest, global, read, subject)
}

fn parse_verb(
    row: &'static Row,
    words: &[OsString],
    global: &Flags<'_>,
    read: &mut Words,
    subject: &mut Option<OsString>,
) -> Result<Request, Misuse> {
    let command = OnceCell::new();
    let quick = Quick::find(row.name);
    let flags = match quick {
        Some(quick) => Flags::known(quick.flags),
        None => Flags::of(command.get_or_init(|| row.command())),
    };
    let result = normalise(words, &flags, global, row.flags_may_stand, read);
    *subject = row.subject.and_then(|at| read.operands.get(at)).cloned();
    let given = read.operands.len();
    if !read.help
        && result.is_ok()
        && row.operands.contains(&given)
        && let Some(verb) = quick.and_then(|quick| quick.read(read))
    {
        return Ok(Request::Verb(Box::new(verb)));
    }
    let command = command.into_inner().unwrap_or_else(|| row.command());
    if read.help {
        return Ok(Request::Help(help(command.bin_name(format!("{PROGRAM} {}", row.name)))));
    }
    result?;
    if row.name == "kill"
        && let Some(signal) = read.own.iter().find_map(signal_as_flag)
    {
        return Err(Misuse::SignalAsFlag { signal });
    }
    let flags = [OsString::from(row.name)].into_iter().chain(read.own.iter().cloned());
    if !row.operands.contains(&given) {
        let usage = usage(&command, row.name);
        // A flag that does not exist explains more than the number of operands.
        let matches = command.mut_args(|argument| argument.required(false)).try_get_matches_from(flags);
        matches.map_err(|error| Misuse::from(error).typed_in(words).of(row.name))?;
        let (min, max) = (*row.operands.start(), *row.operands.end());
        return Err(Misuse::Operands(Operands { min, max, given, usage }));
    }
    let canonical = flags.chain([OsString::from("--")]).chain(read.operands.iter().cloned());
    let matches = command.try_get_matches_from(canonical);
    let matches = matches.map_err(|error| Misuse::from(error).typed_in(words).of(row.name))?;
    Ok(Request::Verb(Box::new(row.read(&matches)?)))
}

/// What looks like a signal among flags: no flag is a number, or in capitals.
fn signal_as_flag(word: &OsString) -> Option<String> {
    let name = word.to_str()?.strip_prefix("--")?;
    let signal = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (signal && !name.is_empty()).then(|| name.to_owned())
}

/// `sandboxd create [OPTIONS] ID`
fn usage(command: &clap::Command, name: &str) -> String {
    let rendered = command.clone().bin_name(format!("{PROGRAM} {name}")).render_usage().to_string();
    rendered
        .trim_start_matches("Usage:")
        .replace(['<', '>'], "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The whole explanation of the command, and a line or two for each flag, under runc's headings.
fn help(command: clap::Command) -> String {
    let name = command.get_bin_name().unwrap_or(PROGRAM).to_owned();
    let short = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    // What the long text adds to the short one, which it begins with.
    let more = long.strip_prefix(&short).unwrap_or(&long).trim_start_matches(['.', '\n']).to_owned();
    let mut template = format!("NAME:\n   {name} - {short}\n\nUSAGE:\n   {{usage}}\n");
    if !more.is_empty() {
        template.push_str("\n{about}\n");
    }
    if command.has_subcommands() {
        let version = env!("CARGO_PKG_VERSION");
        template.push_str(&format!("\nVERSION:\n   {version}\n\nCOMMANDS:\n{{subcommands}}\n\nGLOBAL "));
    } else {
        let operands = command.get_positionals().next().is_some();
        template.push_str(if operands { "\nARGUMENTS:\n{positionals}\n\n" } else { "\n" });
    }
    template.push_str("OPTIONS:\n{options}{after-help}\n");
    let flag =
        clap::Arg::new("help").long("help").short('h').action(clap::ArgAction::Help).help("Print this help");
    command.about(more).disable_help_flag(true).arg(flag).help_template(template).render_help().to_string()
}

fn read_global(words: &[OsString]) -> Result<Global, Misuse> {
    if let Some(global) = quick::read_global(words) {
        return Ok(global);
    }
    let words = [OsString::from(PROGRAM)].into_iter().chain(words.iter().cloned());
    let matches = program().try_get_matches_from(words)?;
    Ok(Global::from_arg_matches(&matches)?)
}

fn unknown_command(word: &OsString) -> Misuse {
    // clap knows what is close.
    let words = [OsString::from(PROGRAM), word.clone()];
    let close = whole_program().try_get_matches_from(words).err().and_then(|error| {
        match error.get(clap::error::ContextKind::SuggestedSubcommand)? {
            // The closest comes last; but by clap's measure `rum` is closer to `resume` than to `run`.
            clap::error::ContextValue::Strings(names) => {
                names.iter().rev().min_by_key(|name| name.len().abs_diff(word.len())).cloned()
            }
            clap::error::ContextValue::String(name) => Some(name.clone()),
            _ => None,
        }
    });
    Misuse::UnknownCommand { name: word.to_string_lossy().into_owned(), close }
}

//! The commands that engines call, read without clap, whose start costs as much as a tenth of a `run` takes.
//!
//! Pure. The definition is clap's: flags and values are read here as clap reads them, and where it isn't certain what it
//! would say, not at all. Then clap reads them, and says what is wrong. Tests compare both.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::ValueEnum;

use super::creation::{Create, Creation, Run};
use super::exec::Exec;
use super::lifecycle::{Delete, Kill, Start, State};
use super::normalise::{Flag, Words};
use super::{Global, Verb};

/// A command that can be read so.
#[derive(Debug)]
pub(super) struct Quick {
    name: &'static str,
    /// Its flags.
    pub(super) flags: &'static [Flag<'static>],
    read: fn(&mut Given<'_>) -> Read<Verb>,
}

/// What is read, or that clap is to read it.
type Read<T> = Result<T, Uncertain>;

/// It is clap's to say what this is.
#[derive(Debug)]
struct Uncertain;

/// The flags of every command.
pub(super) const GLOBAL: &[Flag<'static>] = &[
    Flag { may_be_empty: false, ..path("root") },
    path("log"),
    text("log-format"),
    text("log-level"),
    switch("debug"),
    path("trace"),
    switch("systemd-cgroup"),
    text("cgroup-manager"),
    text("rootless"),
    path("criu"),
    short(switch("version"), 'v'),
];

const COMMANDS: &[Quick] = &[
    Quick {
        name: "create",
        flags: &[BUNDLE, CONFIG, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE_FDS, DETACH],
        read: |given| {
            Ok(Verb::Create(Create { detach: given.switch("detach")?, creation: creation(given)? }))
        },
    },
    Quick {
        name: "run",
        flags: &[
            BUNDLE,
            CONFIG,
            CONSOLE,
            PIDFD,
            PID_FILE,
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE_FDS,
            DETACH,
            switch("keep"),
            switch("no-subreaper"),
        ],
        read: |given| {
            Ok(Verb::Run(Run {
                detach: given.switch("detach")?,
                keep: given.switch("keep")?,
                no_subreaper: given.switch("no-subreaper")?,
                creation: creation(given)?,
            }))
        },
    },
    Quick { name: "start", flags: &[], read: |given| Ok(Verb::Start(Start { id: given.operand()? })) },
    Quick { name: "state", flags: &[], read: |given| Ok(Verb::State(State { id: given.operand()? })) },
    Quick {
        name: "kill",
        flags: &[short(switch("all"), 'a'), short(switch("regex"), 'r')],
        read: |given| {
            Ok(Verb::Kill(Kill {
                all: given.switch("all")?,
                regex: given.switch("regex")?,
                id: given.operand()?,
                signal: if given.operands.is_empty() { "SIGTERM".to_owned() } else { given.operand()? },
            }))
        },
    },
    Quick {
        name: "delete",
        flags: &[short(switch("force"), 'f'), short(switch("regex"), 'r')],
        read: |given| {
            Ok(Verb::Delete(Delete {
                force: given.switch("force")?,
                regex: given.switch("regex")?,
                id: given.operand()?,
            }))
        },
    },
    Quick {
        name: "exec",
        flags: &[
            CONSOLE,
            PIDFD,
            text("cwd"),
            short(text("env"), 'e'),
            short(switch("tty"), 't'),
            short(text("user"), 'u'),
            short(text("additional-gids"), 'g'),
            short(path("process"), 'p'),
            DETACH,
            PID_FILE,
            text("process-label"),
            text("apparmor"),
            Flag { keeps_off: true, ..switch("no-new-privs") },
            short(text("cap"), 'c'),
            PRESERVE_FDS,
            text("cgroup"),
            switch("ignore-paused"),
        ],
        read: |given| {
            Ok(Verb::Exec(Exec {
                console_socket: given.path("console-socket")?,
                pidfd_socket: given.path("pidfd-socket")?,
                cwd: given.text("cwd")?,
                env: given.texts("env")?,
                tty: given.switch("tty")?,
                user: given.text("user")?,
                additional_gids: given.texts("additional-gids")?,
                process: given.path("process")?,
                detach: given.switch("detach")?,
                pid_file: given.path("pid-file")?,
                process_label: given.text("process-label")?,
                apparmor: given.text("apparmor")?,
                no_new_privs: given.on_or_off("no-new-privs")?,
                cap: given.texts("cap")?,
                preserve_fds: given.number("preserve-fds")?,
                cgroup: given.texts("cgroup")?,
                ignore_paused: given.switch("ignore-paused")?,
                id: given.operand()?,
                command: std::mem::take(&mut given.operands).to_vec(),
            }))
        },
    },
];

const BUNDLE: Flag<'static> = short(path("bundle"), 'b');
const CONFIG: Flag<'static> = short(path("config"), 'f');
const CONSOLE: Flag<'static> = path("console-socket");
const PIDFD: Flag<'static> = path("pidfd-socket");
const PID_FILE: Flag<'static> = path("pid-file");
const NO_PIVOT: Flag<'static> = switch("no-pivot");
const NO_KEYRING: Flag<'static> = switch("no-new-keyring");
const PRESERVE_FDS: Flag<'static> = text("preserve-fds");
const DETACH: Flag<'static> = short(switch("detach"), 'd');

fn creation(given: &mut Given<'_>) -> Read<Creation> {
    Ok(Creation {
        bundle: given.path("bundle")?.unwrap_or_else(|| ".".into()),
        config: given.path("config")?,
        console_socket: given.path("console-socket")?,
        pidfd_socket: given.path("pidfd-socket")?,
        pid_file: given.path("pid-file")?,
        no_pivot: given.switch("no-pivot")?,
        no_new_keyring: given.switch("no-new-keyring")?,
        preserve_fds: given.number("preserve-fds")?,
        id: given.operand()?,
    })
}

const fn switch(long: &'static str) -> Flag<'static> {
    Flag { long, short: None, takes_value: false, keeps_off: false, may_be_empty: false }
}

const fn text(long: &'static str) -> Flag<'static> {
    Flag { takes_value: true, ..switch(long) }
}

const fn path(long: &'static str) -> Flag<'static> {
    Flag { may_be_empty: true, ..text(long) }
}

const fn short(flag: Flag<'static>, short: char) -> Flag<'static> {
    Flag { short: Some(short), ..flag }
}

impl Quick {
    /// The command of this name, if it is one that can be read so.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// Reads its flags and operands.
    pub(super) fn read(&self, words: &Words) -> Option<Verb> {
        Given::read(&words.own, &words.operands, self.read)
    }
}

/// Reads the flags of every command.
pub(super) fn read_global(words: &[OsString]) -> Option<Global> {
    Given::read(words, &[], |given| {
        Ok(Global {
            root: given.path("root")?,
            log: given.path("log")?,
            log_format: given.one_of("log-format")?,
            log_level: given.one_of("log-level")?,
            debug: given.switch("debug")?,
            trace: given.path("trace")?,
            systemd_cgroup: given.switch("systemd-cgroup")?,
            cgroup_manager: given.one_of("cgroup-manager")?,
            rootless: given.one_of("rootless")?.unwrap_or_default(),
            criu: given.path("criu")?,
            version: given.switch("version")?,
        })
    })
}

/// Canonical words of which each is taken once.
struct Given<'a> {
    flags: Vec<(&'a str, Option<&'a OsStr>)>,
    operands: &'a [OsString],
}

impl<'a> Given<'a> {
    /// Reads all of the words. Of operands a command is not given more than it takes: their number is looked at before.
    fn read<T>(
        flags: &'a [OsString],
        operands: &'a [OsString],
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Option<T> {
        let flags = flags.iter().map(|word| split(word)).collect::<Option<_>>()?;
        let mut given = Self { flags, operands };
        let value = read(&mut given).ok()?;
        (given.flags.is_empty() && given.operands.is_empty()).then_some(value)
    }

    /// All that was given with a flag.
    fn take(&mut self, name: &str) -> Vec<Option<&'a OsStr>> {
        self.flags.extract_if(.., |(given, _)| *given == name).map(|(_, value)| value).collect()
    }

    fn switch(&mut self, name: &str) -> Read<bool> {
        match self.take(name).as_slice() {
            [] => Ok(false),
            [None] => Ok(true),
            _ => Err(Uncertain),
        }
    }

    fn on_or_off(&mut self, name: &str) -> Read<Option<bool>> {
        match self.take(name).as_slice() {
            [] => Ok(None),
            [None] => Ok(Some(true)),
            [Some(value)] if *value == "false" => Ok(Some(false)),
            _ => Err(Uncertain),
        }
    }

    fn path(&mut self, name: &str) -> Read<Option<PathBuf>> {
        match self.take(name).as_slice() {
            [] => Ok(None),
            [Some(path)] if !path.is_empty() => Ok(Some(path.into())),
            _ => Err(Uncertain),
        }
    }

    fn texts(&mut self, name: &str) -> Read<Vec<String>> {
        let text = |value: Option<&OsStr>| value?.to_str().map(str::to_owned);
        self.take(name).into_iter().map(|value| text(value).ok_or(Uncertain)).collect()
    }

    fn text(&mut self, name: &str) -> Read<Option<String>> {
        let mut texts = self.texts(name)?;
        if texts.len() > 1 { Err(Uncertain) } else { Ok(texts.pop()) }
    }

    /// A number that is 0 where it isn't given.
    fn number(&mut self, name: &str) -> Read<u32> {
        self.text(name)?.map_or(Ok(0), |text| text.parse().map_err(|_| Uncertain))
    }

    fn one_of<T: ValueEnum>(&mut self, name: &str) -> Read<Option<T>> {
        self.text(name)?.map(|text| T::from_str(&text, false).map_err(|_| Uncertain)).transpose()
    }

    fn operand(&mut self) -> Read<String> {
        let (first, rest) = self.operands.split_first().ok_or(Uncertain)?;
        self.operands = rest;
        first.to_str().map(str::to_owned).ok_or(Uncertain)
    }
}

/// `--name` or `--name=value`
fn split(word: &OsStr) -> Option<(&str, Option<&OsStr>)> {
    let body = word.as_bytes().strip_prefix(b"--")?;
    let (name, value) = match body.iter().position(|&byte| byte == b'=') {
        Some(at) => (&body[..at], Some(OsStr::from_bytes(&body[at + 1..]))),
        None => (body, None),
    };
    Some((std::str::from_utf8(name).ok()?, value))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::os::unix::ffi::OsStringExt as _;

    use clap::FromArgMatches as _;

    use super::super::normalise::Flags;
    use super::super::{Row, program};
    use super::*;

    fn word(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    /// Without a value, and with values of which some are none that anything takes.
    fn forms(flag: &Flag<'_>) -> Vec<OsString> {
        let values: [&[u8]; 14] = [
            b"",
            b"x",
            b"0",
            b"7",
            b"+7",
            b"-1",
            b"4294967296",
            b"a=b",
            b"\xff",
            b"json",
            b"true",
            b"false",
            b"systemd",
            b"warn",
        ];
        let name = format!("--{}", flag.long);
        let with = values.iter().map(|value| word(&[name.as_bytes(), b"=", value].concat()));
        [OsString::from(&name)].into_iter().chain(with).collect()
    }

    /// Every form of every flag, alone, and with some of its own and of the next flag's.
    fn lines(flags: &[Flag<'_>]) -> Vec<Vec<OsString>> {
        let mut lines = vec![Vec::new(), vec![word(b"--other")], vec![word(b"-x")]];
        for (at, flag) in flags.iter().enumerate() {
            let next = &flags[(at + 1) % flags.len()];
            for form in forms(flag) {
                lines.push(vec![form.clone()]);
                let others = forms(flag).into_iter().step_by(4).chain(forms(next).into_iter().step_by(3));
                lines.extend(others.map(|other| vec![form.clone(), other]));
            }
        }
        lines
    }

    /// What both say of a line; how often it was read here.
    fn compare<T: Debug, E: Debug>(line: &[OsString], quick: Option<T>, by_clap: Result<T, E>) -> usize {
        let Some(quick) = quick else { return 0 };
        let by_clap = by_clap.unwrap_or_else(|error| panic!("{line:?}: {quick:?}, but clap: {error:?}"));
        assert_eq!(format!("{quick:?}"), format!("{by_clap:?}"), "{line:?}");
        1
    }

    fn same_flags(name: &str, quick: &[Flag<'_>], command: &clap::Command) {
        let sorted = |flags: &[Flag<'_>]| {
            let mut flags: Vec<_> = flags.iter().map(|flag| format!("{flag:?}")).collect();
            flags.sort();
            flags
        };
        assert_eq!(sorted(quick), sorted(&Flags::of(command).0), "{name}");
    }

    #[test]
    fn flags_are_claps() {
        same_flags("global", GLOBAL, &program());
        for quick in COMMANDS {
            same_flags(quick.name, quick.flags, &Row::find(quick.name).unwrap().command());
        }
    }

    #[test]
    fn global_flags_are_read_as_clap_reads_them() {
        let mut read = 0;
        for line in lines(GLOBAL) {
            let words = [OsString::from("sandboxd")].into_iter().chain(line.iter().cloned());
            let matches = program().try_get_matches_from(words);
            read += compare(&line, read_global(&line), matches.and_then(|it| Global::from_arg_matches(&it)));
        }
        assert!(read > 100, "{read}");
    }

    #[test]
    fn commands_are_read_as_clap_reads_them() {
        let operands: [&[&[u8]]; 6] =
            [&[b"web"], &[b""], &[b"\xff"], &[b"-x"], &[b"web", b"9"], &[b"web", b"\xff", b"-l"]];
        for quick in COMMANDS {
            let row = Row::find(quick.name).unwrap();
            let mut read = 0;
            for own in lines(quick.flags) {
                for operands in operands.iter().filter(|operands| row.operands.contains(&operands.len())) {
                    let operands: Vec<_> = operands.iter().map(|operand| word(operand)).collect();
                    let words = Words { own: own.clone(), operands: operands.clone(), ..Words::default() };
                    let line: Vec<_> = [OsString::from(row.name)]
                        .into_iter()
                        .chain(own.iter().cloned())
                        .chain([OsString::from("--")])
                        .chain(operands)
                        .collect();
                    let matches = row.command().try_get_matches_from(&line);
                    read += compare(&line, quick.read(&words), matches.and_then(|it| row.read(&it)));
                    // One after the other is enough of what isn't about the operands.
                    if own.len() > 1 {
                        break;
                    }
                }
            }
            assert!(read > quick.flags.len() * 2, "{}: {read}", quick.name);
        }
    }

    #[test]
    fn what_engines_say_needs_no_clap() {
        let line = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let global = line("--root=/run/runc --log=/run/log.json --log-format=json --systemd-cgroup");
        assert!(read_global(&global).is_some());
        for (name, own, operands) in [
            ("create", "--bundle=/b --pid-file=/p --console-socket=/c --no-pivot", "web"),
            ("run", "--bundle=/b --detach --pid-file=/p", "web"),
            ("start", "", "web"),
            ("state", "", "web"),
            ("kill", "--all", "web 9"),
            ("kill", "", "web"),
            ("delete", "--force", "web"),
            ("exec", "--detach --pid-file=/p --process=/x --tty --console-socket=/c", "web"),
            ("exec", "--env=A=1 --env=B=2 --no-new-privs --user=1:2 --cwd=/", "web sh -c true"),
        ] {
            let words = Words { own: line(own), operands: line(operands), ..Words::default() };
            assert!(Quick::find(name).unwrap().read(&words).is_some(), "{name} {own} {operands}");
        }
    }
}

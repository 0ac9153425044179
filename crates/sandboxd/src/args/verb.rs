//! The table of commands.

use clap::{Args as _, FromArgMatches as _};

use super::normalise::FlagsMayStand::{self, Anywhere, BeforeOperands};
use super::{about, checkpoint, creation, events, examples, exec, lifecycle, mounts, pause, update};

/// One row of the table. Only the row that is used is built: that keeps the start-up short.
pub(crate) struct Row {
    /// Name of the command.
    pub(crate) name: &'static str,
    /// How many operands it takes.
    pub(crate) operands: std::ops::RangeInclusive<usize>,
    /// Which of them is the container that an error is about.
    pub(crate) subject: Option<usize>,
    /// Where its flags may stand.
    pub(crate) flags_may_stand: FlagsMayStand,
    /// Adds its flags and operands, and its help.
    augment: fn(clap::Command) -> clap::Command,
    /// Reads them.
    read: fn(&clap::ArgMatches) -> Result<Verb, clap::Error>,
}

impl Row {
    /// The row of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// The command as clap sees it.
    pub(crate) fn command(&self) -> clap::Command {
        let command = (self.augment)(clap::Command::new(self.name)).args_override_self(true);
        match examples::of(self.name) {
            Some(examples) => command.after_help(examples),
            None => command,
        }
    }

    /// What clap read.
    pub(crate) fn read(&self, matches: &clap::ArgMatches) -> Result<Verb, clap::Error> {
        (self.read)(matches)
    }
}

macro_rules! verbs {
    ($($name:literal $variant:ident($arguments:ty) $operands:expr, $subject:expr, $flags_may_stand:expr;)*) => {
        /// A command and what was said to it.
        #[derive(Clone, Debug)]
        pub(crate) enum Verb {
            $(#[doc = concat!("`", $name, "`")] $variant($arguments),)*
        }

        /// The commands, in the order of the help.
        pub(crate) const ROWS: &[Row] = &[$(Row {
            name: $name,
            operands: $operands,
            subject: $subject,
            flags_may_stand: $flags_may_stand,
            augment: <$arguments>::augment_args,
            read: |matches| <$arguments>::from_arg_matches(matches).map(Verb::$variant),
        },)*];
    };
}

verbs! {
    "create"     Create(creation::Create)      1..=1, Some(0), Anywhere;
    "start"      Start(lifecycle::Start)       1..=1, Some(0), Anywhere;
    "run"        Run(creation::Run)            1..=1, Some(0), Anywhere;
    "exec"       Exec(exec::Exec)              1..=usize::MAX, Some(0), BeforeOperands;
    "state"      State(lifecycle::State)       1..=1, Some(0), Anywhere;
    "list"       List(lifecycle::List)         0..=0, None, Anywhere;
    "ps"         Ps(lifecycle::Ps)             1..=usize::MAX, Some(0), BeforeOperands;
    "kill"       Kill(lifecycle::Kill)         1..=2, Some(0), Anywhere;
    "delete"     Delete(lifecycle::Delete)     1..=1, Some(0), Anywhere;
    "pause"      Pause(pause::Pause)           1..=1, Some(0), Anywhere;
    "resume"     Resume(pause::Resume)         1..=1, Some(0), Anywhere;
    "update"     Update(update::Update)         1..=1, Some(0), Anywhere;
    "events"     Events(events::Events)       1..=1, Some(0), Anywhere;
    "checkpoint" Checkpoint(checkpoint::Checkpoint) 1..=1, Some(0), Anywhere;
    "restore"    Restore(checkpoint::Restore) 1..=1, Some(0), Anywhere;
    "mounts"     Mounts(mounts::Mounts)         3..=3, Some(1), Anywhere;
    "spec"       Spec(about::Spec)             0..=0, None, Anywhere;
    "plan"       Plan(about::Plan)             0..=1, Some(0), Anywhere;
    "features"   Features(about::Features)     0..=0, None, Anywhere;
    "info"       Info(about::Info)             0..=0, None, Anywhere;
    "completion" Completion(about::Completion) 1..=1, None, Anywhere;
}

//! What each command means: a call of the library, and what is printed of its result.

#[cfg(feature = "criu")]
mod checkpoint;
mod completion;
mod create;
mod delete;
mod document;
mod events;
mod exec;
mod features;
mod info;
mod kill;
mod list;
mod mounts;
mod notified;
mod owner;
mod pause;
mod plan;
mod ps;
mod request;
#[cfg(feature = "criu")]
mod restore;
mod run;
mod select;
mod session;
mod signal;
mod spec;
mod start;
mod state;
mod stats;
mod update;

pub(crate) use session::Session;

use crate::args::Verb;
use crate::error::Result;

/// Carries out a command. The result is the exit code.
///
/// # Errors
/// Why it did not succeed.
pub(crate) fn execute(verb: Verb, session: &Session<'_>) -> Result<u8> {
    match verb {
        Verb::Create(create) => create::create(session, &create),
        Verb::Start(start) => start::start(session, &start),
        Verb::Run(run) => run::run(session, &run),
        Verb::Exec(exec) => exec::exec(session, &exec),
        Verb::State(state) => state::state(session, &state),
        Verb::List(list) => list::list(session, &list),
        Verb::Ps(ps) => ps::ps(session, &ps),
        Verb::Kill(kill) => kill::kill(session, &kill),
        Verb::Delete(delete) => delete::delete(session, &delete),
        Verb::Pause(pause) => pause::pause(session, &pause),
        Verb::Resume(resume) => pause::resume(session, &resume),
        Verb::Update(update) => update::update(session, &update),
        Verb::Events(events) => events::events(session, &events),
        Verb::Spec(spec) => spec::spec(&spec),
        Verb::Completion(completion) => completion::completion(&completion),
        Verb::Plan(plan) => plan::plan(session, &plan),
        Verb::Checkpoint(checkpoint) => checkpoint::checkpoint(session, &checkpoint),
        Verb::Restore(restore) => restore::restore(session, &restore),
        Verb::Features(_) => features::features(),
        Verb::Info(info) => info::info(session, &info),
        Verb::Mounts(mounts) => mounts::mounts(session, &mounts),
    }
}

#[cfg(not(feature = "criu"))]
mod checkpoint {
    //! This build has no CRIU.
    use crate::error::{Error, Result};

    pub(super) fn checkpoint(_: &super::Session<'_>, _: &crate::args::checkpoint::Checkpoint) -> Result<u8> {
        Err(Error::WithoutCriu)
    }
}

#[cfg(not(feature = "criu"))]
mod restore {
    //! This build has no CRIU.
    use crate::error::{Error, Result};

    pub(super) fn restore(_: &super::Session<'_>, _: &crate::args::checkpoint::Restore) -> Result<u8> {
        Err(Error::WithoutCriu)
    }
}

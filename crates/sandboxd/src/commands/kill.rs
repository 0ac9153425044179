//! `kill`

use sandbox::KillScope;

use super::Session;
use super::select::for_each;
use super::signal::parse_signal;
use crate::args::lifecycle::Kill;
use crate::error::Result;

pub(crate) fn kill(session: &Session<'_>, arguments: &Kill) -> Result<u8> {
    let signal = parse_signal(&arguments.signal)?;
    let scope = if arguments.all { KillScope::All } else { KillScope::Init };
    let runtime = session.runtime()?;
    for_each(&runtime, &arguments.id, arguments.regex, |id| Ok(runtime.kill(id, signal, scope)?))?;
    Ok(0)
}

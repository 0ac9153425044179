//! What is said to init and heard from it, with the errors of a command.
//!
//! Runs in the runtime.

use std::io;
use std::time::Instant;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::launch::{Conversation, INIT_DEADLINE, Message};

/// How long init may be silent from now on.
pub(super) fn deadline() -> Option<Instant> {
    Some(Instant::now() + INIT_DEADLINE)
}

/// Waits for what init says next.
pub(super) fn hear(conversation: &Conversation, deadline: Option<Instant>) -> Result<Message> {
    match conversation.receive(deadline) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Error::Deadline("init")),
        result => result.map_err(|error| Error::host("hear from init", error)),
    }
}

/// Lets init go on.
pub(super) fn let_go(conversation: &Conversation) -> Result<()> {
    unless_gone("let init go on", conversation.go())
}

/// Where init is gone, its report, or its end, is what is heard next.
pub(super) fn unless_gone(action: &'static str, said: io::Result<()>) -> Result<()> {
    match said {
        Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => Ok(()),
        said => said.map_err(|error| Error::host(action, error)),
    }
}

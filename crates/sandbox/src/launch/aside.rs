//! A short plan that is carried out beside the container's, by a process of its own.
//!
//! Runs in the runtime.

use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use rustix::process::{Signal, pidfd_send_signal};

use super::{INIT_DEADLINE, Launch, Message, step_error, wait, wait_killed};
use crate::error::{Error, Result};
use crate::plan::PlannedStep;

/// Launches a plan whose last step ends the process, and waits for that, for as long as init may be silent.
///
/// # Errors
/// [`Error::Step`]; [`Error::Deadline`], of `what`.
pub(crate) fn carry_out(launch: &Launch<'_>, steps: &[PlannedStep], what: &'static str) -> Result<()> {
    let launched = launch.spawn(steps)?;
    let process = Aside(launched.pidfd);
    match launched.conversation.receive(Some(Instant::now() + INIT_DEADLINE)) {
        Ok(Message::Closed) => {}
        Ok(Message::Failed(report)) => return Err(step_error(steps, report).into()),
        Ok(_) => {
            return Err(Error::InitEnded { how: "asking for what such a process does not get".to_owned() });
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => return Err(Error::Deadline(what)),
        Err(error) => return Err(Error::host("hear from init", error)),
    }
    match wait(process.0.as_fd()) {
        Ok(Some(status)) if status.success() => Ok(()),
        _ => Err(Error::InitEnded { how: "before its steps were done".to_owned() }),
    }
}

/// Ended when it goes, and waited for, if the kernel lets it go.
#[derive(Debug)]
struct Aside(OwnedFd);

impl Drop for Aside {
    fn drop(&mut self) {
        if pidfd_send_signal(&self.0, Signal::KILL).is_ok() && wait_killed(self.0.as_fd()) {
            let _ = wait(self.0.as_fd());
        }
    }
}

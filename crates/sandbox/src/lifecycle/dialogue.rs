//! What is said to init and heard from it, with the errors of a command.
//!
//! Runs in the runtime.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use init::sys::number;
use rustix::io::Errno;

use crate::Interrupt;
use crate::error::{Error, Result};
use crate::launch::{Conversation, INIT_DEADLINE, Message, wait_readable};
use crate::probe::read_small_file;

/// After this the caller may end the wait for a program: most are there long before, and cost no call more.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// Waits for what init says next, which was let go to become the program: how long the kernel takes to load that is the file
/// system's to say (FUSE, NFS, images that are fetched as they are read), and has no deadline. All else has.
pub(super) fn hear_out(
    conversation: &Conversation,
    pid: i32,
    silence: Duration,
    interrupt: &Interrupt,
) -> Result<Message> {
    hear_while(conversation, || is_executing(pid), silence.min(PATIENCE), silence, interrupt)
}

/// Waits for what init says next, which stands still for as long as its container does.
pub(super) fn hear_patiently(conversation: &Conversation, interrupt: &Interrupt) -> Result<Message> {
    hear_while(conversation, || true, PATIENCE, INIT_DEADLINE, interrupt)
}

fn hear_while(
    conversation: &Conversation,
    is_executing: impl Fn() -> bool,
    patience: Duration,
    silence: Duration,
    interrupt: &Interrupt,
) -> Result<Message> {
    let host = |error| Error::host("hear from init", error);
    let mut deadline = Instant::now() + silence;
    match conversation.receive(Some(Instant::now() + patience)) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
        result => return result.map_err(host),
    }
    let mut watched = vec![conversation.as_fd()];
    watched.extend(interrupt.open().map_err(|error| Error::host("make what interrupts", error))?);
    loop {
        let heard = match wait_readable(&watched, deadline) {
            Ok(0) => conversation.receive(Some(deadline)),
            Ok(_) => {
                interrupt.take();
                return Err(Error::Interrupted);
            }
            Err(error) => Err(error),
        };
        match heard {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if !is_executing() {
                    return Err(Error::Deadline("init"));
                }
                deadline = Instant::now() + silence;
            }
            result => return result.map_err(host),
        }
    }
}

/// Whether a process is in execve(2) (`/proc/PID/syscall`), or that can't be seen.
fn is_executing(pid: i32) -> bool {
    let Ok(text) = read_small_file(&format!("/proc/{pid}/syscall")) else { return true };
    match text.split_whitespace().next().map(str::parse) {
        Some(Ok(call)) => [number::EXECVE, number::EXECVEAT].contains(&call),
        // It is running.
        _ => true,
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{PipeReader, pipe};
    use std::os::fd::OwnedFd;
    use std::process::Command;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    const SILENCE: Duration = Duration::from_millis(10);

    fn conversation() -> (Conversation, OwnedFd) {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.unwrap();
        (Conversation::new(ours), theirs)
    }

    fn hear(
        conversation: &Conversation,
        is_executing: impl Fn() -> bool,
        interrupt: &Interrupt,
    ) -> Result<Message> {
        hear_while(conversation, is_executing, SILENCE, SILENCE, interrupt)
    }

    #[test]
    fn program_that_is_loaded_is_waited_for() {
        let (conversation, theirs) = conversation();
        let (theirs, looks) = (Cell::new(Some(theirs)), Cell::new(0));
        let is_executing = || {
            looks.set(looks.get() + 1);
            // Then the file system answers, and it is the program.
            drop(if looks.get() == 3 { theirs.take() } else { None });
            true
        };
        let heard = hear(&conversation, is_executing, &Interrupt::default()).unwrap();
        assert!(matches!(heard, Message::Closed));
        assert_eq!(looks.get(), 3);
    }

    #[test]
    fn init_that_does_not_come_to_the_program_has_a_deadline() {
        let (conversation, _theirs) = conversation();
        let error = hear(&conversation, || false, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, Error::Deadline("init")), "{error}");
    }

    #[test]
    fn wait_for_a_program_is_interrupted() {
        let (conversation, _theirs) = conversation();
        // What hangs up is readable.
        let hung_up = || pipe().map(|(reader, _): (PipeReader, _)| reader.into());
        let error = hear(&conversation, || true, &Interrupt::new(hung_up)).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[test]
    fn process_that_waits_for_something_else_is_not_executing() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        while is_executing(pid) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

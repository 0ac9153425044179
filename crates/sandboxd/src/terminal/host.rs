//! The terminal that we were started from: its size, its modes, and whose its input is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use sandbox::Newlines;

use super::is_ready;

/// Rows and columns of the terminal that we were started from, if there is one and it has a size.
pub(crate) fn host_size() -> Option<(u16, u16)> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let candidates = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let size = tcgetwinsize(candidates.into_iter().find(|candidate| isatty(candidate))?).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// How newlines are to come from a container's terminal: what our stdout is says who reads them.
pub(crate) fn newlines() -> Newlines {
    if isatty(io::stdout()) { Newlines::Translated } else { Newlines::AsWritten }
}

/// The terminal that we were started from. Raw while its input is ours and this lives.
#[derive(Debug)]
pub(super) struct HostTerminal {
    descriptor: OwnedFd,
    input: Input,
    /// The modes that it had when it was first made raw.
    before: Option<Termios>,
}

/// What comes from the terminal that we were started from.
#[derive(Debug)]
enum Input {
    /// Stdin is something else.
    Elsewhere,
    /// In the background it is somebody else's. Nobody is told when that ends: a shell sends SIGCONT to who has stopped.
    Others,
    /// Ours.
    Ours,
}

impl HostTerminal {
    /// The first of stdin, stdout and stderr that is one.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let candidates = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let Some(found) = candidates.into_iter().find(|candidate| isatty(candidate)) else {
            return Ok(None);
        };
        let descriptor = found.try_clone_to_owned()?;
        let input = match isatty(&stdin) {
            false => Input::Elsewhere,
            true => Input::Others,
        };
        let mut host = Self { descriptor, input, before: None };
        if !host.may_read() && in_foreground(&host.descriptor) {
            host.take_input()?;
        }
        Ok(Some(host))
    }

    pub(super) fn may_read(&self) -> bool {
        !matches!(self.input, Input::Others)
    }

    /// In the background: whether that has ended.
    pub(super) fn look_again(&mut self) {
        // One that can't be made raw is gone, which shows when it is read.
        if in_foreground(&self.descriptor) && self.take_input().is_err() {
            self.input = Input::Elsewhere;
        }
    }

    /// We had been stopped: whose the input is, and the modes, may be others.
    pub(super) fn continued(&mut self) {
        if matches!(self.input, Input::Ours) {
            self.input = Input::Others;
            self.look_again();
        }
    }

    /// Makes it raw.
    fn take_input(&mut self) -> Result<(), Errno> {
        let modes = tcgetattr(&self.descriptor)?;
        let mut raw = modes.clone();
        raw.make_raw();
        tcsetattr(&self.descriptor, OptionalActions::Now, &raw)?;
        self.before.get_or_insert(modes);
        self.input = Input::Ours;
        Ok(())
    }

    /// A read said EIO: whether that is because the input was another's. Then it is looked again later.
    pub(super) fn is_not_now(&mut self) -> bool {
        let is_gone = is_ready(&self.descriptor, PollFlags::empty());
        let not_now = matches!(self.input, Input::Ours) && !is_gone;
        if not_now {
            self.input = Input::Others;
        }
        not_now
    }

    pub(super) fn size(&self) -> Result<Winsize, Errno> {
        tcgetwinsize(&self.descriptor)
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        if let Some(before) = self.before.as_ref().filter(|_| matches!(self.input, Input::Ours))
            && in_foreground(&self.descriptor)
        {
            // Nobody is left who could be told.
            let _ = tcsetattr(&self.descriptor, OptionalActions::Drain, before);
        }
    }
}

/// Whether a terminal's input is ours. Jobs are only those of a controlling terminal: of another (ENOTTY), and of one that is
/// gone (EIO), nobody else's. A process group that began outside our pid namespace has the number 0.
fn in_foreground(terminal: &OwnedFd) -> bool {
    let own_group = nix::unistd::getpgrp().as_raw();
    match tcgetpgrp(terminal) {
        Ok(group) => group.as_raw_nonzero().get() == own_group,
        Err(Errno::OPNOTSUPP) => own_group == 0,
        Err(_) => true,
    }
}

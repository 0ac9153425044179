//! A container in the foreground: signals go to it, its end is ours.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions};
use sandbox::Process;

use crate::error::{Context as _, Result};
use crate::sys::{all_signals, is_ignored};
use crate::terminal::Relay;

/// Signals as descriptors' events: no handler ever runs.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks all signals and collects them.
    ///
    /// # Errors
    /// Of the calls.
    pub(crate) fn block() -> Result<Self> {
        let all = all_signals();
        all.thread_block().context(|| "block signals".to_owned())?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&all, flags).context(|| "signalfd".to_owned())?))
    }
}

/// Blocks the signals by which a user ends a command, for the rest of it, and collects them. Those that are ignored (`nohup`, a
/// shell's background) stay so: blocked, they would be collected.
///
/// # Errors
/// Of the calls.
pub(crate) fn interrupting_signals() -> io::Result<OwnedFd> {
    let signals = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];
    let set: SigSet = signals.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    set.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&set, flags)?.into())
}

/// Who reaps processes of the container that its init leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// We do: they become our children.
    Reap,
    /// Somebody else.
    Leave,
}

impl Orphans {
    /// Makes this process the one that orphans below it become children of (`PR_SET_CHILD_SUBREAPER`).
    ///
    /// # Errors
    /// Of prctl.
    pub(crate) fn adopt() -> Result<Self> {
        // Any pid says that it is to be.
        rustix::process::set_child_subreaper(Some(rustix::process::Pid::INIT))
            .context(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())?;
        Ok(Self::Reap)
    }
}

/// Follows a process that we made, a container's init or another, to its end. The result is the exit code: its status, or 128 and the signal that ended it.
///
/// # Errors
/// Of the calls; the container may live on.
pub(crate) fn follow(
    process: &Process,
    signals: &Signals,
    mut relay: Option<Relay>,
    orphans: Orphans,
) -> Result<u8> {
    loop {
        wait_for_event(process, signals, relay.as_ref())?;
        forward(process, signals, relay.as_mut())?;
        if let Some(relay) = &mut relay {
            relay.copy();
        }
        if let Some(code) = exit_code(process, orphans)? {
            if let Some(relay) = &mut relay {
                relay.drain();
            }
            return Ok(code);
        }
    }
}

/// Waits until a signal came, init ended, or bytes can be copied.
fn wait_for_event(process: &Process, signals: &Signals, relay: Option<&Relay>) -> Result<()> {
    let pidfd = process.as_fd();
    let mut interests =
        vec![PollFd::new(&signals.0, PollFlags::IN), PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    interests.extend(relay.map(Relay::interests).unwrap_or_default());
    match rustix::event::poll(&mut interests, relay.and_then(Relay::patience)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error).context(|| "poll".to_owned()),
    }
}

/// Forwards a signal, if it is not about ourselves. The next one is seen by the next poll.
fn forward(process: &Process, signals: &Signals, relay: Option<&mut Relay>) -> Result<()> {
    if let Some(signal) = signals.0.read_signal().context(|| "read signals".to_owned())? {
        match i32::try_from(signal.ssi_signo).unwrap_or_default() {
            number::CHILD | number::URGENT => {}
            number::WINDOW_CHANGED => {
                if let Some(relay) = relay {
                    relay.resize();
                }
            }
            number::CONTINUE => {
                if let Some(relay) = relay {
                    relay.continued();
                }
                drop(process.kill(number::CONTINUE));
            }
            // Our own write: to a pipe that nobody reads, or beyond the size that a file may have.
            number::PIPE | number::FILE_SIZE if signal.ssi_pid == std::process::id() => {}
            // It may have ended in the meantime: then the signal has nobody to go to.
            other => drop(process.kill(other)),
        }
    }
    Ok(())
}

/// The numbers that are told apart.
mod number {
    use nix::sys::signal::Signal;

    pub(super) const CONTINUE: i32 = Signal::SIGCONT as i32;
    pub(super) const CHILD: i32 = Signal::SIGCHLD as i32;
    pub(super) const URGENT: i32 = Signal::SIGURG as i32;
    pub(super) const WINDOW_CHANGED: i32 = Signal::SIGWINCH as i32;
    pub(super) const PIPE: i32 = Signal::SIGPIPE as i32;
    pub(super) const FILE_SIZE: i32 = Signal::SIGXFSZ as i32;
}

/// The exit code, if init has ended. Reaps what else has.
fn exit_code(process: &Process, orphans: Orphans) -> Result<Option<u8>> {
    let context = || "wait for the container".to_owned();
    if orphans == Orphans::Reap {
        while let Some((pid, status)) = rustix::process::wait(WaitOptions::NOHANG).context(context)? {
            if pid.as_raw_nonzero().get() == process.pid {
                return Ok(Some(code(status.exit_status(), status.terminating_signal())));
            }
        }
        return Ok(None);
    }
    let init = WaitId::PidFd(process.as_fd());
    let status =
        rustix::process::waitid(init, WaitIdOptions::EXITED | WaitIdOptions::NOHANG).context(context)?;
    Ok(status.map(|status| code(status.exit_status(), status.terminating_signal())))
}

/// A shell's rule.
fn code(status: Option<i32>, signal: Option<i32>) -> u8 {
    let code = status.or(signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

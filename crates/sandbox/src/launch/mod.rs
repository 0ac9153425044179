//! A plan becomes a process: init in a sealed memfd with its plan behind it, cloned into place, spoken with over a
//! socket.
//!
//! Runs in the runtime.

mod aside;
mod conversation;
mod end;
mod program;
mod stamps;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use init::wire::{Descriptor, Encoder, Field as _};
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

pub(crate) use aside::carry_out;
pub use conversation::{Conversation, Filtering, Message};
pub(crate) use conversation::{receive_descriptor, send_descriptor, wait_readable};
pub(crate) use end::{wait, wait_killed};
pub use program::{ExecutableId, INIT, ProgramFile};

use crate::error::{Error, Result};
use crate::plan::{Plan, PlannedStep};
use crate::step_error::StepError;
use crate::sys;

/// How long init may be silent.
pub(crate) const INIT_DEADLINE: Duration = Duration::from_secs(60);

/// What init inherits, by the names that the plan uses.
#[derive(Debug, Default)]
pub struct Inheritance<'a> {
    /// Each name once.
    pub descriptors: Vec<(Descriptor, BorrowedFd<'a>)>,
}

impl<'a> Inheritance<'a> {
    /// Adds a descriptor.
    pub fn add(&mut self, name: Descriptor, descriptor: BorrowedFd<'a>) {
        self.descriptors.push((name, descriptor));
    }
}

/// A process that works on its plan.
#[derive(Debug)]
pub struct Launched {
    /// Its pid in the runtime's pid namespace.
    pub pid: i32,
    /// Holds it.
    pub pidfd: OwnedFd,
    /// The socket to it.
    pub conversation: Conversation,
    /// The file that it is executed from: how a container that was not started yet is told from one that was.
    pub executable: ExecutableId,
}

/// Where and with what a plan is launched.
#[derive(Debug)]
pub struct Launch<'a> {
    /// `CLONE_NEW*` flags of the clone.
    pub namespaces: u64,
    /// The v2 cgroup to start in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The first descriptor that is not the container's.
    pub first_own_fd: u32,
    /// What init inherits.
    pub inheritance: Inheritance<'a>,
}

impl<'a> Launch<'a> {
    /// The launch that a plan describes.
    pub fn of_plan(plan: &Plan, cgroup: Option<BorrowedFd<'a>>, inheritance: Inheritance<'a>) -> Self {
        Self { namespaces: plan.clone_flags, cgroup, first_own_fd: plan.first_own_fd, inheritance }
    }

    /// Clones init and lets it begin with the steps.
    ///
    /// # Errors
    /// [`Error::Host`]: the call that did not succeed.
    pub fn spawn(&self, steps: &[PlannedStep]) -> Result<Launched> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| Error::launch("socketpair", errno.into()))?;
        let theirs = above(theirs, self.first_own_fd)?;
        let mut moved = Vec::new();
        let mut numbers = vec![(Descriptor::Channel, theirs.as_raw_fd())];
        for (name, descriptor) in &self.inheritance.descriptors {
            let mut number = descriptor.as_raw_fd();
            if (number as u32) < self.first_own_fd {
                let copy = duplicate_above(*descriptor, self.first_own_fd)?;
                number = copy.as_raw_fd();
                moved.push(copy);
            }
            numbers.push((*name, number));
        }
        let traced = tracing::span_enabled!(target: "sandbox::init", tracing::Level::TRACE);
        let plan = encode(steps, &numbers, self.first_own_fd, traced);
        let file = ProgramFile::make(&plan, self.first_own_fd)?;
        let arguments = [
            CString::from(c"sandboxd-init"),
            decimal(file.as_fd().as_raw_fd() as usize),
            decimal(file.plan_offset()),
            decimal(plan.len()),
        ];
        let arguments: Vec<_> = arguments.iter().map(CString::as_c_str).collect();
        // The channel keeps itself open.
        let mut inherited: Vec<RawFd> = numbers.iter().skip(1).map(|(_, number)| *number).collect();
        inherited.push(file.as_fd().as_raw_fd());
        let spawn = sys::Spawn {
            namespaces: self.namespaces,
            cgroup: self.cgroup,
            program: file.as_fd(),
            args: &arguments,
            channel: theirs.as_fd(),
            inherited: &inherited,
            first_own_fd: self.first_own_fd,
        };
        let (pid, pidfd) = sys::spawn(&spawn).map_err(|(call, error)| Error::launch(call, error))?;
        let names = if traced { steps.iter().map(|it| it.step.name()).collect() } else { Vec::new() };
        let conversation = Conversation::receive_channel(&ours, names)
            .map_err(|error| Error::launch("receive the socket of init", error))?;
        Ok(Launched { pid, pidfd, conversation, executable: file.id()? })
    }
}

fn decimal(number: usize) -> CString {
    CString::new(number.to_string()).unwrap_or_default()
}

/// The plan as init reads it: the channel, the first descriptor of ours, whether steps are timed, the steps.
fn encode(
    steps: &[PlannedStep],
    descriptors: &[(Descriptor, RawFd)],
    first_own_fd: u32,
    traced: bool,
) -> Vec<u8> {
    let mut encoder = Encoder { bytes: Vec::with_capacity(4096), descriptors };
    Descriptor::Channel.encode(&mut encoder);
    first_own_fd.encode(&mut encoder);
    u32::from(traced).encode(&mut encoder);
    steps.iter().for_each(|planned| planned.step.encode(&mut encoder));
    encoder.bytes
}

/// The descriptor, where it is none of the container's; else a copy that isn't.
fn above(descriptor: OwnedFd, first: u32) -> Result<OwnedFd> {
    if (descriptor.as_raw_fd() as u32) < first {
        duplicate_above(descriptor.as_fd(), first)
    } else {
        Ok(descriptor)
    }
}

fn duplicate_above(descriptor: BorrowedFd<'_>, first: u32) -> Result<OwnedFd> {
    let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, first as RawFd)
        .map_err(|errno| Error::launch("fcntl(F_DUPFD_CLOEXEC)", errno.into()))?;
    debug_assert!(rustix::io::fcntl_getfd(&copy).is_ok_and(|flags| flags.contains(FdFlags::CLOEXEC)));
    Ok(copy)
}

/// The failure of a step, in full.
pub fn step_error(steps: &[PlannedStep], report: init::Report) -> StepError {
    StepError::new(steps.get(report.step as usize), report)
}

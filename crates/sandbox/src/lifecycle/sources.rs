//! Sources of bind mounts that init can't reach: in a user namespace it has no rights on the host's files.
//!
//! Runs in the runtime, root of the host. Init is at work in a copy of the host's mount namespace and has sent its root; what
//! is found below it is a place of that copy, which init clones.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use init::{Report, Step};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::dialogue::unless_gone;
use crate::error::Result;
use crate::launch::Conversation;
use crate::plan::PlannedStep;

/// Renames anywhere on the system can make the kernel ask for another try of a path with `..` (openat2(2)).
const ATTEMPTS: usize = 32;

/// Answers [`crate::launch::Message::Seeking`].
///
/// # Errors
/// Init can't be told.
pub(super) fn give_source(
    conversation: &Conversation,
    steps: &[PlannedStep],
    report: Report,
    root: &OwnedFd,
) -> Result<()> {
    let found = match steps.get(report.step as usize).map(|planned| &planned.step) {
        Some(Step::OpenSource { source, host_rights: true, .. }) => look_up(root, &source.0),
        _ => Err(Errno::INVAL),
    };
    let said = match &found {
        Ok(place) => conversation.give(place.as_fd()),
        Err(errno) => {
            // Init goes on to try as the container's root, and says what stands in the way of that.
            tracing::debug!(root = root.as_raw_fd(), "a source is out of the runtime's reach: {errno}");
            conversation.deny()
        }
    };
    unless_gone("give init the source of a mount", said)
}

/// `openat2(root, path, O_PATH, RESOLVE_IN_ROOT)`: an absolute link leads to a place of init's mount namespace too.
fn look_up(root: &OwnedFd, path: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    for _ in 1..ATTEMPTS {
        match openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

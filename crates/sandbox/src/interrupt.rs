//! What ends a wait that may take as long as it likes: for a hook without a timeout, for a program whose file system is slow.
//!
//! Runs in the runtime. The library has no say in signals, and no thread: a program that wants such a wait to end, because
//! its user does, gives a descriptor that becomes readable then. It is asked for when there is something to wait for, so that an
//! ordinary container costs nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// Of what is readable, this much is taken at once: a `signalfd_siginfo`.
const MOST_BYTES: usize = 128;

/// Makes the descriptor.
type Make = dyn Fn() -> io::Result<OwnedFd> + Send + Sync;

/// What ends a wait, where the embedding program has asked for it; by default nothing does.
#[derive(Clone, Default)]
pub struct Interrupt {
    source: Option<Arc<Source>>,
}

struct Source {
    make: Box<Make>,
    descriptor: OnceLock<OwnedFd>,
}

impl Interrupt {
    /// Of a descriptor that is made when it is needed for the first time, and should not block: an eventfd, or a signalfd
    /// whose signals are blocked as it is made. Each time it is readable ends one wait, which reads from it.
    pub fn new(make: impl Fn() -> io::Result<OwnedFd> + Send + Sync + 'static) -> Self {
        let source = Source { make: Box::new(make), descriptor: OnceLock::new() };
        Self { source: Some(Arc::new(source)) }
    }

    /// What to wait for, beside what is waited for.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn open(&self) -> io::Result<Option<BorrowedFd<'_>>> {
        let Some(source) = &self.source else { return Ok(None) };
        if let Some(descriptor) = source.descriptor.get() {
            return Ok(Some(descriptor.as_fd()));
        }
        let made = (source.make)()?;
        Ok(Some(source.descriptor.get_or_init(|| made).as_fd()))
    }

    /// A wait has ended by it: what comes after can be waited for again.
    pub(crate) fn take(&self) {
        if let Some(descriptor) = self.source.as_ref().and_then(|source| source.descriptor.get()) {
            let _ = rustix::io::read(descriptor, &mut [0_u8; MOST_BYTES]);
        }
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Interrupt").field("asked_for", &self.source.is_some()).finish()
    }
}

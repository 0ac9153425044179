//! A network namespace of nobody's yet.
//!
//! Runs in the runtime. A child makes it, in the caller's memory and with the caller's table of descriptors: five calls,
//! then it ends. Neither this process nor any of its threads is ever in the namespace.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use init::sys::{CloneArgs, flag};
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::spawn::{Stack, clone3};

/// What the child leaves.
type Opened = Option<init::sys::Result<RawFd>>;

/// A child at work on a network namespace. Dropped, it is waited for.
#[derive(Debug)]
pub(crate) struct NetworkInMaking {
    pidfd: OwnedFd,
    /// The child writes it until it ends.
    opened: *mut Opened,
    /// The child runs on it until it ends.
    stack: *mut Stack,
    ended: bool,
}

impl NetworkInMaking {
    /// Begins to make a network namespace in which `lo` is up.
    ///
    /// `clone3(CLONE_VM | CLONE_FILES | CLONE_CLEAR_SIGHAND | CLONE_PIDFD)`; in the child `unshare(CLONE_NEWNET)`
    ///
    /// # Errors
    /// What clone3 says, with its name.
    pub(crate) fn begin() -> Result<Self, (&'static str, io::Error)> {
        let opened: *mut Opened = Box::into_raw(Box::new(None));
        let stack: *mut Stack = Box::into_raw(Box::<Stack>::new_uninit()).cast();
        let mut pidfd: RawFd = -1;
        let args = CloneArgs {
            flags: flag::CLONE_VM | flag::CLONE_FILES | flag::CLONE_CLEAR_SIGHAND | flag::CLONE_PIDFD,
            pidfd: (&raw mut pidfd) as u64,
            stack: stack as u64,
            stack_size: size_of::<Stack>() as u64,
            ..CloneArgs::default()
        };
        // SAFETY: `args` is a valid clone_args with a stack of its own for the child; `child` never returns and writes
        // only `opened`. Both are given up when it has ended, and not before.
        let result = unsafe { clone3(&args, child, opened.cast()) };
        if result < 0 {
            release(opened, stack);
            return Err(("clone3", io::Error::from_raw_os_error(-result as i32)));
        }
        // SAFETY: CLONE_PIDFD made this descriptor for us alone.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self { pidfd, opened, stack, ended: false })
    }

    /// The namespace.
    ///
    /// # Errors
    /// What the child's calls unshare, socket or ioctl say, with the call's name.
    pub(crate) fn finish(mut self) -> Result<OwnedFd, (&'static str, io::Error)> {
        self.wait();
        // SAFETY: the child has ended, and nobody else knows the place.
        match unsafe { self.opened.replace(None) } {
            // SAFETY: the child made this descriptor, in the table that it shared with us, and for us alone.
            Some(Ok(namespace)) => Ok(unsafe { OwnedFd::from_raw_fd(namespace) }),
            Some(Err(failure)) => {
                Err((failure.call.name(), io::Error::from_raw_os_error(failure.errno as i32)))
            }
            None => Err(("unshare", io::ErrorKind::Interrupted.into())),
        }
    }

    /// Waits until the child has ended: if it is not ours to wait for any more, it has.
    fn wait(&mut self) {
        // `__WALL`: a child that ends without a signal is waited for by who asks for it alone.
        let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(0x4000_0000);
        if !self.ended {
            let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options));
        }
        self.ended = true;
    }
}

impl Drop for NetworkInMaking {
    fn drop(&mut self) {
        self.wait();
        release(self.opened, self.stack);
    }
}

/// Gives up what a child that has ended, or never was, used.
fn release(opened: *mut Opened, stack: *mut Stack) {
    // SAFETY: made by `Box::into_raw` in `begin`, and given up once.
    let opened = unsafe { Box::from_raw(opened) };
    // SAFETY: as above; a stack is bytes of any value, and was a box of them uninitialised.
    drop(unsafe { Box::from_raw(stack.cast::<std::mem::MaybeUninit<Stack>>()) });
    if let Some(Ok(namespace)) = *opened {
        // SAFETY: the child made this descriptor for us alone, and nobody took it.
        drop(unsafe { OwnedFd::from_raw_fd(namespace) });
    }
}

/// Runs in the child, on its own stack, in the caller's memory, while the caller goes on.
extern "C" fn child(opened: *mut c_void) -> ! {
    let made = init::sys::unshare(flag::CLONE_NEWNET).and_then(|()| init::network::open_with_loopback());
    // SAFETY: `begin` passes a valid place, which nobody touches until this process is gone.
    unsafe { opened.cast::<Opened>().write(Some(made)) };
    init::sys::exit(0)
}

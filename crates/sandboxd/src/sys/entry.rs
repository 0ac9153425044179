//! The program's entry, without the standard library's preparations, which cost a run of a container a twentieth: it
//! would look for its stack's end in `/proc/self/maps` and install handlers for its overflow.
//!
//! What callers depend on is done here: the three streams are open, and a broken pipe is an error, not the end.

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::fd::{BorrowedFd, IntoRawFd as _};
use std::os::unix::ffi::OsStrExt as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

/// Called by the C library, which has set up the environment for `std::env`; not all of them do so with the arguments.
#[unsafe(no_mangle)]
extern "C" fn main(count: i32, words: *const *const c_char) -> i32 {
    open_streams();
    set_signals();
    keep_files_readable();
    crate::run(&arguments(count, words)).into()
}

/// Writes to a broken pipe, or beyond RLIMIT_FSIZE, fail with an errno alone: their signals are blocked, which init takes
/// back for all of them at once. With SIGCHLD ignored, as a caller may leave it, the kernel would reap what we wait for.
fn set_signals() {
    let failures = SigSet::from_iter([Signal::SIGPIPE, Signal::SIGXFSZ]);
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&failures), None);
    // SAFETY: no handler is installed, and no other thread exists.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}

/// What the caller said, without the program's name.
fn arguments(count: i32, words: *const *const c_char) -> Vec<OsString> {
    let word = |index| {
        // SAFETY: `main` is given as many pointers as it is told, to NUL-terminated strings that stay.
        let word = unsafe { words.add(index) };
        // SAFETY: as above.
        let word = unsafe { word.read() };
        // SAFETY: as above.
        let text = unsafe { CStr::from_ptr(word) };
        OsStr::from_bytes(text.to_bytes()).to_owned()
    };
    (1..usize::try_from(count).unwrap_or_default()).map(word).collect()
}

/// With a umask that takes the owner's own rights, what is written now could not be read by the next command. Any other is
/// the caller's to choose: it counts for log and pid files.
fn keep_files_readable() {
    use nix::sys::stat::{Mode, umask};
    let usual = Mode::from_bits_truncate(0o022);
    let callers = umask(usual);
    if !callers.intersects(Mode::S_IRWXU) && callers != usual {
        umask(callers);
    }
}

/// Opens `/dev/null` for what the caller closed of 0, 1 and 2: the next file opened would take its place.
fn open_streams() {
    // SAFETY: the numbers are only looked at by poll, which says which of them are no descriptors.
    let streams = [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let mut polled = streams.map(|stream| PollFd::new(stream, PollFlags::empty()));
    if poll(&mut polled, PollTimeout::ZERO).is_err() {
        return;
    }
    for stream in polled {
        if stream.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL))
            && let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null")
        {
            // The lowest number that is free: this one's. The container inherits it as the caller's would be.
            let _ = nix::fcntl::fcntl(&null, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()));
            let _ = null.into_raw_fd();
        }
    }
}

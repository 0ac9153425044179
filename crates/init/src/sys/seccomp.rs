//! The filter, and the page by which the runtime sees that it is in place.

use super::{Result, arg, fd, flag, number};
use crate::report::Call;

#[repr(C)]
struct FilterProgram {
    length: u16,
    instructions: *const u8,
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, flags, program)`: instructions of 8 bytes. What the call returns is a listener's
/// descriptor, where the flags ask for one.
pub fn install_filter(flags: u32, instructions: &[u8]) -> Result<i32> {
    const SET_MODE_FILTER: usize = 1;
    let program =
        FilterProgram { length: (instructions.len() / 8) as u16, instructions: instructions.as_ptr() };
    call!(Call::Seccomp, number::SECCOMP, SET_MODE_FILTER, flags as usize, (&raw const program) as usize)
        .map(fd)
}

/// A page that is not there: reading it waits for whoever has the descriptor of [`watch_page`], without a system call.
pub struct WatchedPage(*const u8);

impl WatchedPage {
    /// The largest page that a kernel has (64 KiB on aarch64): what is mapped and watched.
    pub const LENGTH: usize = 1 << 16;

    /// Its first byte; 0 where the descriptor was closed.
    pub fn read(&self) -> u8 {
        // SAFETY: `watch_page` mapped it readable, and it is never unmapped; the value comes from outside.
        unsafe { self.0.read_volatile() }
    }
}

/// `userfaultfd(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)`, and a page that it watches.
pub fn watch_page() -> Result<(i32, WatchedPage)> {
    const USER_MODE_ONLY: usize = 1;
    const UFFD_API: u64 = 0xaa;
    const UFFDIO_API: usize = 0xc018_aa3f;
    const UFFDIO_REGISTER: usize = 0xc020_aa00;
    const MODE_MISSING: u64 = 1;
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let flags = (flag::O_CLOEXEC | flag::O_NONBLOCK) as usize | USER_MODE_ONLY;
    let watcher = call!(Call::Userfaultfd, number::USERFAULTFD, flags).map(fd)?;
    // struct uffdio_api: api, features, ioctls.
    let mut api = [UFFD_API, 0, 0];
    call!(Call::Userfaultfd, number::IOCTL, arg(watcher), UFFDIO_API, api.as_mut_ptr() as usize)?;
    let length = WatchedPage::LENGTH;
    let page =
        call!(Call::Mmap, number::MMAP, 0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0)?;
    // struct uffdio_register: start, len, mode, ioctls.
    let mut register = [page as u64, length as u64, MODE_MISSING, 0];
    call!(Call::Userfaultfd, number::IOCTL, arg(watcher), UFFDIO_REGISTER, register.as_mut_ptr() as usize)?;
    Ok((watcher, WatchedPage(page as *const u8)))
}

//! The system calls that no library offers in the form needed here.
//!
//! Runs in the runtime. The only place of this crate, besides `cgroup::sys`, where code is unsafe.

#![allow(unsafe_code)]

mod network;
mod spawn;

pub(crate) use network::NetworkInMaking;
pub(crate) use spawn::{Spawn, spawn};

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kind of a namespace file: its `CLONE_NEW*` flag.
///
/// `ioctl(fd, NS_GET_NSTYPE)`
///
/// # Errors
/// ENOTTY where the file is no namespace.
pub(crate) fn namespace_kind(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    const NS_GET_NSTYPE: usize = 0xb703;
    init::sys::ioctl_number(namespace.as_raw_fd(), NS_GET_NSTYPE, 0)
        .map(|kind| kind as u64)
        .map_err(|failure| io::Error::from_raw_os_error(failure.errno as i32))
}

/// Sends a signal by number; 0 only looks whether the process is there.
///
/// `pidfd_send_signal(pidfd, signal, NULL, 0)`
///
/// # Errors
/// ESRCH where the process has ended, EPERM, EINVAL.
pub(crate) fn send_signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let arguments = [process.as_raw_fd() as usize, signal as usize, 0, 0, 0, 0];
    // SAFETY: numbers and a null pointer, which the call allows.
    let result = unsafe { init::sys::syscall6(init::sys::common::PIDFD_SEND_SIGNAL, arguments) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// How a process has ended that was waited for, as `wait(2)` encodes it; `None` where the kernel does not know any more.
///
/// `ioctl(pidfd, PIDFD_GET_INFO, {mask: PIDFD_INFO_EXIT})`, Linux 6.15
pub(crate) fn exit_status_of(process: BorrowedFd<'_>) -> Option<i32> {
    /// `struct pidfd_info` in its first size: what a newer kernel knows beyond it is left out.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup_id: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info)
    const GET_INFO: usize = 3 << 30 | size_of::<Info>() << 16 | 0xff << 8 | 11;
    let mut info = Info { mask: EXIT, ..Info::default() };
    let arguments = [process.as_raw_fd() as usize, GET_INFO, (&raw mut info) as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most the size that the request's number has, which is that of `info`.
    let result = unsafe { init::sys::syscall6(init::sys::number::IOCTL, arguments) };
    (result == 0 && info.mask & EXIT != 0).then_some(info.exit_code)
}

/// Whether the kernel takes this flag.
///
/// `seccomp(SECCOMP_SET_MODE_FILTER, flags, NULL)`: EINVAL where it does not know them, else EFAULT for the filter.
pub(crate) fn takes_seccomp_flag(flags: u64) -> bool {
    const SET_MODE_FILTER: usize = 1;
    const EFAULT: isize = 14;
    let arguments = [SET_MODE_FILTER, flags as usize, 0, 0, 0, 0];
    // SAFETY: a null pointer, which the call refuses: no filter is installed.
    let result = unsafe { init::sys::syscall6(init::sys::number::SECCOMP, arguments) };
    result == -EFAULT
}

/// Gives its page, with this first byte, to whoever waits for it.
///
/// `ioctl(userfaultfd, UFFDIO_COPY, {page, bytes, length, 0})`
///
/// # Errors
/// ESRCH where the process has ended, ENOMEM.
pub(crate) fn give_page(watcher: BorrowedFd<'_>, page: u64, first: u8) -> io::Result<()> {
    const UFFDIO_COPY: usize = 0xc028_aa03;
    let mut bytes = vec![0; init::sys::WatchedPage::LENGTH];
    bytes[0] = first;
    // struct uffdio_copy: dst, src, len, mode, copy.
    let mut copy = [page, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0];
    let arguments = [watcher.as_raw_fd() as usize, UFFDIO_COPY, copy.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the structure that the request asks for, with the length of `bytes`, which outlives the call.
    let result = unsafe { init::sys::syscall6(init::sys::number::IOCTL, arguments) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

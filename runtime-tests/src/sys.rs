//! The few calls that have no safe form.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::ptrace;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, Updater, ioctl, opcode};

/// Gives SIGINT and SIGQUIT their default action, which a shell takes from what it starts in the background: what the
/// tests start would inherit that.
pub fn heed_interrupts() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for number in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: no handler is installed.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
}

/// The flags of a process's scheduling, as `sched_getattr(2)` has them.
///
/// # Errors
/// The kernel's.
pub fn scheduler_flags(pid: i32) -> std::io::Result<u64> {
    // struct sched_attr, version 0: size, policy, flags (as two halves), and what is of no interest here.
    let mut attributes = [0_u32; 12];
    let size = size_of_val(&attributes);
    // SAFETY: the kernel writes at most `size` bytes to the array, which has as many.
    let result =
        unsafe { nix::libc::syscall(nix::libc::SYS_sched_getattr, pid, attributes.as_mut_ptr(), size, 0) };
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(u64::from(attributes[2]) | u64::from(attributes[3]) << 32)
}

/// Makes the command a tracee of the calling thread: it stops with SIGTRAP at its `execve`.
pub fn trace_me(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec and makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) }
}

/// Puts a seccomp filter around the command: one system call fails with an errno, in it and in all that it makes.
pub fn deny(command: &mut Command, number: u32, errno: u16) -> &mut Command {
    use nix::libc::{PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prctl, sock_filter, sock_fprog};
    let statement = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        statement(0x20, 0), // BPF_LD | BPF_W | BPF_ABS: seccomp_data.nr
        sock_filter { code: 0x15, jt: 0, jf: 1, k: number },
        statement(0x06, 0x0005_0000 | u32::from(errno)), // SECCOMP_RET_ERRNO
        statement(0x06, 0x7fff_0000),                    // SECCOMP_RET_ALLOW
    ];
    let install = move || {
        let filter = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the program is whole, and read during the call.
        match unsafe { prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const filter) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure runs between fork and exec and makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(install) }
}

/// Takes a lease on a file that is open for reading: `fcntl(F_SETLEASE, F_RDLCK)`. The signal that tells of its end is one that
/// nobody heeds, since the default one would end this process.
///
/// # Errors
/// The kernel's.
pub(crate) fn take_lease(file: &File) -> std::io::Result<()> {
    use nix::libc::{F_RDLCK, F_SETLEASE, SIGURG, fcntl};
    /// `linux/fcntl.h`.
    const F_SETSIG: i32 = 10;
    for (command, value) in [(F_SETSIG, SIGURG), (F_SETLEASE, F_RDLCK)] {
        // SAFETY: both commands take a number.
        if unsafe { fcntl(file.as_raw_fd(), command, value) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The lease on a file: `fcntl(F_GETLEASE)`.
pub(crate) fn lease_of(file: &File) -> i32 {
    // SAFETY: the command takes nothing.
    unsafe { nix::libc::fcntl(file.as_raw_fd(), nix::libc::F_GETLEASE) }
}

/// Places in `struct user` of x86_64.
pub(crate) mod register {
    /// The result of a call.
    pub(crate) const RAX: usize = 10 * 8;
    /// A call's second argument.
    pub(crate) const RSI: usize = 13 * 8;
    /// A call's first argument.
    pub(crate) const RDI: usize = 14 * 8;
    /// The number of a call.
    pub(crate) const ORIG_RAX: usize = 15 * 8;
    /// The stack.
    pub(crate) const RSP: usize = 19 * 8;
}

/// Reads word `offset` of the tracee's user area (`struct user`).
///
/// # Errors
/// That of ptrace(2).
pub fn read_user_word(pid: nix::unistd::Pid, offset: usize) -> nix::Result<i64> {
    ptrace::read_user(pid, offset as ptrace::AddressType)
}

/// Writes word `offset` of the tracee's user area.
///
/// # Errors
/// That of ptrace(2).
pub fn write_user_word(pid: nix::unistd::Pid, offset: usize, word: i64) -> nix::Result<()> {
    ptrace::write_user(pid, offset as ptrace::AddressType, word)
}

/// Whether a tracee that has stopped at a system call is about to make it: `PTRACE_GET_SYSCALL_INFO`.
#[must_use]
pub fn at_entry(pid: nix::unistd::Pid) -> bool {
    const ENTRY: u8 = 1;
    ptrace::syscall_info(pid).is_ok_and(|info| info.op == ENTRY)
}

/// The user namespace that owns a namespace: `NS_GET_USERNS`, ioctl_ns(2).
///
/// # Errors
/// That of ioctl(2).
pub fn owning_user_namespace(namespace: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    /// The request returns a descriptor as its result.
    struct GetUserNamespace;
    // SAFETY: NS_GET_USERNS takes no argument and returns a new descriptor, which is taken over once.
    unsafe impl Ioctl for GetUserNamespace {
        type Output = OwnedFd;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            opcode::none(0xb7, 1)
        }
        fn as_ptr(&mut self) -> *mut c_void {
            std::ptr::null_mut()
        }
        unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
            // SAFETY: the call has succeeded, so `out` is a descriptor that nobody else owns.
            Ok(unsafe { OwnedFd::from_raw_fd(out) })
        }
    }
    // SAFETY: the implementation above is that of the request.
    unsafe { ioctl(namespace, GetUserNamespace) }
}

/// A call that waits for an agent (`struct seccomp_notif`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    id: u64,
    /// Its number.
    pub call: i32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What an agent says to a call.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The kernel does it.
    Continue,
    /// It has been done, with this result.
    Done(i64),
    /// It fails with this errno.
    Fail(i32),
    /// Nothing, ever.
    Silence,
}

/// The next call that waits: `SECCOMP_IOCTL_NOTIF_RECV`, seccomp_unotify(2).
///
/// # Errors
/// That of ioctl(2): ENOENT where the process has ended.
pub fn receive_notification(listener: BorrowedFd<'_>) -> rustix::io::Result<Notification> {
    // struct seccomp_notif: id, pid and flags, then struct seccomp_data: nr and arch, instruction pointer, arguments.
    let mut words = [0_u64; 10];
    // SAFETY: the request writes a structure of this size.
    let request = unsafe { Updater::<{ opcode::read_write::<[u64; 10]>(b'!', 0) }, _>::new(&mut words) };
    // SAFETY: as above.
    unsafe { ioctl(listener, request) }?;
    let mut arguments = [0; 6];
    arguments.copy_from_slice(&words[4..]);
    Ok(Notification { id: words[0], call: words[2] as u32 as i32, arguments })
}

/// Answers a call: `SECCOMP_IOCTL_NOTIF_SEND`.
///
/// # Errors
/// That of ioctl(2): ENOENT where the process has ended.
pub fn send_answer(
    listener: BorrowedFd<'_>,
    notification: &Notification,
    answer: Answer,
) -> rustix::io::Result<()> {
    const CONTINUE: u64 = 1;
    let (value, error, flags) = match answer {
        Answer::Continue => (0, 0, CONTINUE),
        Answer::Done(value) => (value, 0, 0),
        Answer::Fail(errno) => (0, -errno, 0),
        Answer::Silence => return Ok(()),
    };
    // struct seccomp_notif_resp: id, val, then error and flags in one word (both architectures are little-endian).
    let (error, flags) = (u64::from(error as u32), flags << 32);
    let mut words = [notification.id, value as u64, error | flags];
    // SAFETY: the request reads a structure of this size.
    let request = unsafe { Updater::<{ opcode::read_write::<[u64; 3]>(b'!', 1) }, _>::new(&mut words) };
    // SAFETY: as above.
    unsafe { ioctl(listener, request) }
}

//! System calls, one function a call: safe where the arguments can't go wrong, without an allocator, without libc.
//!
//! Runs in init, and between clone and execve in the runtime. Each function's first line of documentation is the
//! call. A failure names the call and the errno.

#![allow(unsafe_code)]

use core::ffi::CStr;

use crate::report::Call;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
pub mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub mod arch;

pub use arch::{number, syscall6};

/// Numbers that all architectures share.
#[allow(missing_docs)]
pub mod common {
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const OPEN_TREE: usize = 428;
    pub const MOVE_MOUNT: usize = 429;
    pub const FSOPEN: usize = 430;
    pub const FSCONFIG: usize = 431;
    pub const FSMOUNT: usize = 432;
    pub const FSPICK: usize = 433;
    pub const CLONE3: usize = 435;
    pub const CLOSE_RANGE: usize = 436;
    pub const OPENAT2: usize = 437;
    pub const MOUNT_SETATTR: usize = 442;
    pub const LANDLOCK_CREATE_RULESET: usize = 444;
    pub const LANDLOCK_ADD_RULE: usize = 445;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
    pub const OPEN_TREE_ATTR: usize = 467;
}

/// Constants of the kernel's interface that are used here (`linux/*.h`).
#[allow(missing_docs)]
pub mod flag {
    pub const O_RDONLY: u64 = 0;
    pub const O_WRONLY: u64 = 1;
    pub const O_RDWR: u64 = 2;
    pub const O_CREAT: u64 = 0o100;
    pub const O_EXCL: u64 = 0o200;
    pub const O_NOCTTY: u64 = 0o400;
    pub const O_NONBLOCK: u64 = 0o4000;
    #[cfg(target_arch = "x86_64")]
    pub const O_DIRECTORY: u64 = 0o200_000;
    #[cfg(target_arch = "x86_64")]
    pub const O_NOFOLLOW: u64 = 0o400_000;
    #[cfg(target_arch = "aarch64")]
    pub const O_DIRECTORY: u64 = 0o40_000;
    #[cfg(target_arch = "aarch64")]
    pub const O_NOFOLLOW: u64 = 0o100_000;
    pub const O_CLOEXEC: u64 = 0o2_000_000;
    pub const O_PATH: u64 = 0o10_000_000;

    pub const RESOLVE_NO_XDEV: u64 = 0x01;
    pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
    pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
    pub const RESOLVE_BENEATH: u64 = 0x08;
    pub const RESOLVE_IN_ROOT: u64 = 0x10;

    pub const AT_FDCWD: i32 = -100;
    pub const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    pub const AT_EMPTY_PATH: usize = 0x1000;
    pub const AT_RECURSIVE: usize = 0x8000;

    pub const S_IFMT: u32 = 0o170_000;
    pub const S_IFIFO: u32 = 0o010_000;
    pub const S_IFCHR: u32 = 0o020_000;
    pub const S_IFDIR: u32 = 0o040_000;
    pub const S_IFBLK: u32 = 0o060_000;
    pub const S_IFREG: u32 = 0o100_000;
    pub const S_IFLNK: u32 = 0o120_000;

    pub const MNT_DETACH: usize = 2;
    pub const MS_BIND: u64 = 1 << 12;
    pub const MS_MOVE: u64 = 1 << 13;
    pub const MS_REC: u64 = 1 << 14;

    pub const CLONE_NEWTIME: u64 = 0x80;
    pub const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
    pub const CLONE_VM: u64 = 0x100;
    pub const CLONE_FILES: u64 = 0x400;
    pub const CLONE_PIDFD: u64 = 0x1000;
    pub const CLONE_VFORK: u64 = 0x4000;
    pub const CLONE_PARENT: u64 = 0x8000;
    pub const CLONE_NEWNS: u64 = 0x2_0000;
    pub const CLONE_NEWCGROUP: u64 = 0x0200_0000;
    pub const CLONE_NEWUTS: u64 = 0x0400_0000;
    pub const CLONE_NEWIPC: u64 = 0x0800_0000;
    pub const CLONE_NEWUSER: u64 = 0x1000_0000;
    pub const CLONE_NEWPID: u64 = 0x2000_0000;
    pub const CLONE_NEWNET: u64 = 0x4000_0000;
    pub const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

    pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    pub const TMPFS_MAGIC: u64 = 0x0102_1994;
    pub const PIDFS_MAGIC: u64 = 0x5049_4446;
    pub const CGROUP2_MAGIC: u64 = 0x6367_7270;

    pub const EPERM: u32 = 1;
    pub const ENOENT: u32 = 2;
    pub const EINTR: u32 = 4;
    pub const EIO: u32 = 5;
    pub const ENOMEM: u32 = 12;
    pub const EACCES: u32 = 13;
    pub const EEXIST: u32 = 17;
    pub const ENOTDIR: u32 = 20;
    pub const EISDIR: u32 = 21;
    pub const EINVAL: u32 = 22;
    pub const ENFILE: u32 = 23;
    pub const EMFILE: u32 = 24;
    pub const EROFS: u32 = 30;
    pub const EPIPE: u32 = 32;
    pub const ENAMETOOLONG: u32 = 36;
    pub const ENOSYS: u32 = 38;
    pub const ELOOP: u32 = 40;
    pub const EPROTO: u32 = 71;
    pub const EOPNOTSUPP: u32 = 95;
}

/// A call that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub call: Call,
    /// Why.
    pub errno: u32,
}

/// What a call gives.
pub type Result<T> = core::result::Result<T, Failure>;

/// A check of our own that failed, as if a call had.
pub const fn refuse<T>(call: Call, errno: u32) -> Result<T> {
    Err(Failure { call, errno })
}

fn check(call: Call, result: isize) -> Result<usize> {
    if (-4095..0).contains(&result) {
        Err(Failure { call, errno: -result as u32 })
    } else {
        Ok(result as usize)
    }
}

macro_rules! call {
    ($call:expr, $number:expr $(, $argument:expr)*) => {{
        let mut arguments = [0_usize; 6];
        let given = [$($argument),*];
        arguments[..given.len()].copy_from_slice(&given);
        // SAFETY: each function below passes what its call asks for: numbers, and pointers made from references that
        // outlive the call, with the lengths of what they refer to.
        check($call, unsafe { syscall6($number, arguments) })
    }};
}

fn fd(number: usize) -> i32 {
    number as i32
}

const fn arg(fd: i32) -> usize {
    fd as isize as usize
}

fn path(text: &CStr) -> usize {
    text.as_ptr() as usize
}

/// `exit_group(status)`; where the container's filter denies even that, by a signal.
pub fn exit(status: i32) -> ! {
    let _ = call!(Call::Plan, number::EXIT_GROUP, arg(status));
    arch::trap()
}

/// `mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, offset)`: the plan.
///
/// # Safety
/// Nothing may change the file while the bytes are in use: it must be sealed.
pub unsafe fn map_file(fd: i32, offset: usize, length: usize) -> Result<&'static [u8]> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let address = call!(Call::Mmap, number::MMAP, 0, length, PROT_READ, MAP_PRIVATE, arg(fd), offset)?;
    // SAFETY: the kernel mapped `length` readable bytes there, and they are never unmapped; the caller's condition.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
}

/// `mmap(NULL, words, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)`: zeroed memory that is never freed.
pub fn map_words(words: usize) -> Result<&'static mut [usize]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let length = words * size_of::<usize>();
    let address =
        call!(Call::Mmap, number::MMAP, 0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0)?;
    // SAFETY: the kernel mapped zeroed pages there for us alone; the alignment is a page's.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut usize, words) })
}

/// `madvise(below the stack pointer, MADV_DONTNEED)`: gives back what calls that have returned used of the stack.
pub fn release_stack() {
    const MADV_DONTNEED: usize = 4;
    const PAGE: usize = 4096;
    /// Deeper than any call goes.
    const MOST: usize = 1 << 20;
    // What a leaf function may use below the pointer (System V ABI).
    const RED_ZONE: usize = 128;
    let end = (arch::stack_pointer() - RED_ZONE) & !(PAGE - 1);
    // Nothing of this program's lies there; where nothing is mapped either, or the pages are larger, nothing is done.
    let _ = call!(Call::Mmap, number::MADVISE, end - MOST, MOST, MADV_DONTNEED);
}

/// `close(fd)`
pub fn close(fd: i32) {
    let _ = call!(Call::CloseRange, number::CLOSE, arg(fd));
}

/// `close_range(first, ~0, flags)`
pub fn close_range(first: u32, flags: u32) -> Result<()> {
    call!(Call::CloseRange, common::CLOSE_RANGE, first as usize, u32::MAX as usize, flags as usize).map(drop)
}

/// `close_range(first, last, 0)`
pub fn close_between(first: u32, last: u32) -> Result<()> {
    call!(Call::CloseRange, common::CLOSE_RANGE, first as usize, last as usize, 0).map(drop)
}

/// `CLOSE_RANGE_CLOEXEC`
pub const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// `fcntl(fd, F_SETFD, 0)`: the descriptor survives an execve.
pub fn keep_on_exec(fd: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    call!(Call::CloseRange, number::FCNTL, arg(fd), F_SETFD, 0).map(drop)
}

/// `rt_sigaction(signal, SIG_DFL)`
pub fn reset_signal(signal: u32) -> Result<()> {
    let default = [0_usize; 4];
    call!(Call::RtSigaction, number::RT_SIGACTION, signal as usize, default.as_ptr() as usize, 0, 8).map(drop)
}

/// `rt_sigaction(signal, exit)`: the signal ends the process, also where it is the first of a pid namespace, for which the
/// kernel drops the signals that it has no handler for. An execve takes the handler back.
pub fn exit_at(signal: u32) -> Result<()> {
    extern "C" fn ended(signal: i32) -> ! {
        exit(128 + signal)
    }
    #[cfg(target_arch = "x86_64")]
    const SA_RESTORER: usize = 0x0400_0000;
    let handler = ended as extern "C" fn(i32) -> ! as usize;
    // Handler, flags, what the handler would return to (x86_64 delivers no signal without), and no mask.
    #[cfg(target_arch = "x86_64")]
    let action = [handler, SA_RESTORER, handler, 0];
    #[cfg(not(target_arch = "x86_64"))]
    let action = [handler, 0, 0, 0];
    call!(Call::RtSigaction, number::RT_SIGACTION, signal as usize, action.as_ptr() as usize, 0, 8).map(drop)
}

/// `rt_sigprocmask(SIG_SETMASK, 0)`
pub fn unblock_signals() -> Result<()> {
    const SIG_SETMASK: usize = 2;
    let none = 0_u64;
    call!(Call::RtSigprocmask, number::RT_SIGPROCMASK, SIG_SETMASK, (&raw const none) as usize, 0, 8)
        .map(drop)
}

/// `write(fd, bytes)`
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call!(Call::Write, number::WRITE, arg(fd), bytes.as_ptr() as usize, bytes.len())
}

/// `read(fd, buffer)`: how many bytes.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(Call::Recv, number::READ, arg(fd), buffer.as_mut_ptr() as usize, buffer.len())
}

/// `sendto(fd, bytes, MSG_NOSIGNAL)`
pub fn send(fd: i32, bytes: &[u8]) -> Result<usize> {
    const MSG_NOSIGNAL: usize = 0x4000;
    call!(Call::Send, number::SENDTO, arg(fd), bytes.as_ptr() as usize, bytes.len(), MSG_NOSIGNAL)
}

/// `recvfrom(fd, buffer)`, again when interrupted.
pub fn recv(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match call!(Call::Recv, number::RECVFROM, arg(fd), buffer.as_mut_ptr() as usize, buffer.len()) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => return result,
        }
    }
}

#[repr(C)]
struct IoVector {
    base: *mut u8,
    length: usize,
}

#[repr(C)]
struct MessageHeader {
    name: usize,
    name_length: u32,
    vectors: *const IoVector,
    vector_count: usize,
    control: *mut ControlMessage,
    control_length: usize,
    flags: i32,
}

#[repr(C, align(8))]
struct ControlMessage {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

impl MessageHeader {
    /// Of one piece and one descriptor, which both must outlive it.
    fn new(vector: &IoVector, control: &mut ControlMessage) -> Self {
        Self {
            name: 0,
            name_length: 0,
            vectors: vector,
            vector_count: 1,
            control,
            control_length: size_of::<ControlMessage>(),
            flags: 0,
        }
    }
}

/// `sendmsg(socket, bytes, SCM_RIGHTS fd, MSG_NOSIGNAL)`
pub fn send_with_descriptor(socket: i32, bytes: &[u8], descriptor: i32) -> Result<usize> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    const MSG_NOSIGNAL: usize = 0x4000;
    let vector = IoVector { base: bytes.as_ptr().cast_mut(), length: bytes.len() };
    let mut control =
        ControlMessage { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: descriptor, padding: 0 };
    let header = MessageHeader::new(&vector, &mut control);
    call!(Call::Send, number::SENDMSG, arg(socket), (&raw const header) as usize, MSG_NOSIGNAL)
}

/// `recvmsg(socket, byte, SCM_RIGHTS, MSG_CMSG_CLOEXEC)`, again when interrupted: a descriptor; none when the other end is
/// closed.
pub fn recv_descriptor(socket: i32) -> Result<Option<i32>> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    let mut byte = [0_u8];
    let vector = IoVector { base: byte.as_mut_ptr(), length: byte.len() };
    let mut control = ControlMessage { length: 0, level: 0, kind: 0, fd: -1, padding: 0 };
    let mut header = MessageHeader::new(&vector, &mut control);
    let received = loop {
        match call!(Call::Recv, number::RECVMSG, arg(socket), (&raw mut header) as usize, MSG_CMSG_CLOEXEC) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => break result?,
        }
    };
    match (received, control.length) {
        (0, _) => Ok(None),
        // For want of a number it does not arrive.
        (_, 0) => refuse(Call::Recv, flag::EMFILE),
        _ => Ok(Some(control.fd)),
    }
}

/// `socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)`
pub fn socketpair() -> Result<[i32; 2]> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET_CLOEXEC: usize = 5 | 0o2_000_000;
    let mut pair = [-1; 2];
    let place = pair.as_mut_ptr() as usize;
    call!(Call::Socket, number::SOCKETPAIR, AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, place)?;
    Ok(pair)
}

/// `clock_gettime(CLOCK_MONOTONIC)`, in nanoseconds.
pub fn monotonic_ns() -> Result<u64> {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0_u64; 2];
    call!(Call::Recv, number::CLOCK_GETTIME, CLOCK_MONOTONIC, time.as_mut_ptr() as usize)?;
    Ok(time[0] * 1_000_000_000 + time[1])
}

/// `accept4(socket, SOCK_CLOEXEC)`, again when interrupted.
pub fn accept(socket: i32) -> Result<i32> {
    const SOCK_CLOEXEC: usize = 0o2_000_000;
    loop {
        match call!(Call::Accept, number::ACCEPT4, arg(socket), 0, 0, SOCK_CLOEXEC) {
            Err(Failure { errno: flag::EINTR, .. }) => {}
            result => return result.map(fd),
        }
    }
}

/// `setns(fd, kinds)`
pub fn setns(namespace: i32, kinds: u64) -> Result<()> {
    call!(Call::Setns, number::SETNS, arg(namespace), kinds as usize).map(drop)
}

/// `unshare(kinds)`
pub fn unshare(kinds: u64) -> Result<()> {
    call!(Call::Unshare, number::UNSHARE, kinds as usize).map(drop)
}

/// `struct clone_args`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// `clone3(CLONE_PARENT | CLONE_PIDFD | kinds)`: a copy of this process that is the runtime's child; 0 in the copy,
/// elsewhere the copy's pid and pidfd. For a program with one thread and no state but its own memory.
pub fn fork_sibling(kinds: u64) -> Result<(i32, i32)> {
    let mut pidfd = -1_i32;
    let args = CloneArgs {
        flags: flag::CLONE_PARENT | flag::CLONE_PIDFD | kinds,
        pidfd: (&raw mut pidfd) as u64,
        ..CloneArgs::default()
    };
    let pid = call!(Call::Clone3, common::CLONE3, (&raw const args) as usize, size_of::<CloneArgs>())?;
    Ok((fd(pid), pidfd))
}

/// `setsid()`
pub fn setsid() -> Result<()> {
    call!(Call::Setsid, number::SETSID, 0).map(drop)
}

/// `openat2(directory, path, flags, mode, resolve)`, `O_CLOEXEC` always.
pub fn openat2(directory: i32, name: &CStr, flags: u64, mode: u64, resolve: u64) -> Result<i32> {
    let how = [flags | flag::O_CLOEXEC, mode, resolve];
    loop {
        match call!(
            Call::Openat2,
            common::OPENAT2,
            arg(directory),
            path(name),
            how.as_ptr() as usize,
            size_of_val(&how)
        ) {
            // EAGAIN: a rename went on meanwhile, and the kernel can't tell whether the path stayed inside.
            Err(Failure { errno: flag::EINTR | 11, .. }) => {}
            result => return result.map(fd),
        }
    }
}

/// `openat(directory, path, flags, mode)`, `O_CLOEXEC` always. Only for one component, or a path of the host.
pub fn openat(directory: i32, name: &CStr, flags: u64, mode: u32) -> Result<i32> {
    call!(
        Call::Openat,
        number::OPENAT,
        arg(directory),
        path(name),
        (flags | flag::O_CLOEXEC) as usize,
        mode as usize
    )
    .map(fd)
}

/// Flags of `open_tree(2)` for a detached copy.
const OPEN_TREE_CLONE_CLOEXEC: usize = 1 | 0o2_000_000;

/// `open_tree(directory, path, OPEN_TREE_CLONE | flags)`: a detached copy of the mount.
pub fn clone_tree(directory: i32, name: &CStr, flags: usize) -> Result<i32> {
    call!(Call::OpenTree, common::OPEN_TREE, arg(directory), path(name), OPEN_TREE_CLONE_CLOEXEC | flags)
        .map(fd)
}

/// `open_tree_attr(directory, path, OPEN_TREE_CLONE | flags, {set, clear})`: a detached copy with other attributes, as
/// [`clone_tree`] and [`mount_setattr`] make it, in one call; since Linux 6.15.
pub fn clone_tree_with(directory: i32, name: &CStr, flags: usize, set: u64, clear: u64) -> Result<i32> {
    let attributes = [set, clear, 0, 0];
    call!(
        Call::OpenTree,
        common::OPEN_TREE_ATTR,
        arg(directory),
        path(name),
        OPEN_TREE_CLONE_CLOEXEC | flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(fd)
}

/// `move_mount(mount, "", target, "", F_EMPTY_PATH | T_EMPTY_PATH)`
pub fn attach(mount: i32, target: i32) -> Result<()> {
    const F_EMPTY_PATH_T_EMPTY_PATH: usize = 0x04 | 0x40;
    let empty = path(c"");
    call!(
        Call::MoveMount,
        common::MOVE_MOUNT,
        arg(mount),
        empty,
        arg(target),
        empty,
        F_EMPTY_PATH_T_EMPTY_PATH
    )
    .map(drop)
}

/// `fsopen(fstype, FSOPEN_CLOEXEC)`
pub fn fsopen(fstype: &CStr) -> Result<i32> {
    call!(Call::Fsopen, common::FSOPEN, path(fstype), 1).map(fd)
}

/// `fsconfig(context, FSCONFIG_SET_STRING, key, value)`; a flag where the value is empty.
pub fn fsconfig_set(context: i32, key: &CStr, value: &CStr) -> Result<()> {
    const SET_FLAG: usize = 0;
    const SET_STRING: usize = 1;
    if value.is_empty() {
        call!(Call::Fsconfig, common::FSCONFIG, arg(context), SET_FLAG, path(key), 0, 0).map(drop)
    } else {
        call!(Call::Fsconfig, common::FSCONFIG, arg(context), SET_STRING, path(key), path(value), 0).map(drop)
    }
}

/// `fsconfig(context, FSCONFIG_CMD_CREATE)`
pub fn fsconfig_create(context: i32) -> Result<()> {
    const CMD_CREATE: usize = 6;
    call!(Call::Fsconfig, common::FSCONFIG, arg(context), CMD_CREATE, 0, 0, 0).map(drop)
}

/// `fsconfig(context, FSCONFIG_CMD_RECONFIGURE)`
pub fn fsconfig_reconfigure(context: i32) -> Result<()> {
    const CMD_RECONFIGURE: usize = 7;
    call!(Call::Fsconfig, common::FSCONFIG, arg(context), CMD_RECONFIGURE, 0, 0, 0).map(drop)
}

/// `fsmount(context, FSMOUNT_CLOEXEC, attributes)`
pub fn fsmount(context: i32, attributes: u64) -> Result<i32> {
    call!(Call::Fsmount, common::FSMOUNT, arg(context), 1, attributes as usize).map(fd)
}

/// `fspick(mount, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC)`
pub fn fspick(mount: i32) -> Result<i32> {
    const EMPTY_PATH_CLOEXEC: usize = 8 | 1;
    call!(Call::Fspick, common::FSPICK, arg(mount), path(c""), EMPTY_PATH_CLOEXEC).map(fd)
}

/// `mount_setattr(directory, path, flags, {set, clear, propagation})`
pub fn mount_setattr(
    directory: i32,
    name: &CStr,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<()> {
    let attributes = [set, clear, propagation, 0];
    let flags = flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 };
    call!(
        Call::MountSetattr,
        common::MOUNT_SETATTR,
        arg(directory),
        path(name),
        flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(drop)
}

/// `mount_setattr(mount, "", AT_EMPTY_PATH[ | AT_RECURSIVE], MOUNT_ATTR_IDMAP, userns_fd)`
pub fn map_ids(mount: i32, recursive: bool, user_namespace: i32) -> Result<()> {
    let attributes = [flag::MOUNT_ATTR_IDMAP, 0, 0, user_namespace as u64];
    let flags = flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 };
    call!(
        Call::MountSetattr,
        common::MOUNT_SETATTR,
        arg(mount),
        path(c""),
        flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes)
    )
    .map(drop)
}

/// `mount(source, target, NULL, flags, NULL)`
pub fn mount_flags(source: &CStr, target: &CStr, flags: u64) -> Result<()> {
    call!(Call::Mount, number::MOUNT, path(source), path(target), 0, flags as usize, 0).map(drop)
}

/// `umount2(path, MNT_DETACH)`
pub fn unmount(target: &CStr) -> Result<()> {
    call!(Call::Umount, number::UMOUNT2, path(target), flag::MNT_DETACH).map(drop)
}

/// `pivot_root(".", ".")`
pub fn pivot_root() -> Result<()> {
    call!(Call::PivotRoot, number::PIVOT_ROOT, path(c"."), path(c".")).map(drop)
}

/// `chroot(path)`
pub fn chroot(directory: &CStr) -> Result<()> {
    call!(Call::Chroot, number::CHROOT, path(directory)).map(drop)
}

/// `chdir(path)`
pub fn chdir(directory: &CStr) -> Result<()> {
    call!(Call::Chdir, number::CHDIR, path(directory)).map(drop)
}

/// `fchdir(fd)`
pub fn fchdir(directory: i32) -> Result<()> {
    call!(Call::Fchdir, number::FCHDIR, arg(directory)).map(drop)
}

/// `getcwd(buffer)`: how many bytes, the NUL included.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    call!(Call::Getcwd, number::GETCWD, buffer.as_mut_ptr() as usize, buffer.len())
}

/// `mkdirat(directory, name, mode)`
pub fn mkdirat(directory: i32, name: &CStr, mode: u32) -> Result<()> {
    call!(Call::Mkdirat, number::MKDIRAT, arg(directory), path(name), mode as usize).map(drop)
}

/// `mknodat(directory, name, mode, device)`
pub fn mknodat(directory: i32, name: &CStr, mode: u32, major: u32, minor: u32) -> Result<()> {
    // The kernel's encoding of a device number in 32 bits (`new_decode_dev`).
    let device = (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12);
    call!(Call::Mknodat, number::MKNODAT, arg(directory), path(name), mode as usize, device as usize)
        .map(drop)
}

/// `symlinkat(target, directory, name)`
pub fn symlinkat(target: &CStr, directory: i32, name: &CStr) -> Result<()> {
    call!(Call::Symlinkat, number::SYMLINKAT, path(target), arg(directory), path(name)).map(drop)
}

/// `readlinkat(directory, name, buffer)`: how many bytes.
pub fn readlinkat(directory: i32, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    call!(
        Call::Readlinkat,
        number::READLINKAT,
        arg(directory),
        path(name),
        buffer.as_mut_ptr() as usize,
        buffer.len()
    )
}

/// `fchownat(directory, name, uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)`
pub fn fchownat(directory: i32, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = flag::AT_EMPTY_PATH | flag::AT_SYMLINK_NOFOLLOW;
    call!(Call::Fchownat, number::FCHOWNAT, arg(directory), path(name), uid as usize, gid as usize, flags)
        .map(drop)
}

/// `fchmod(fd, mode)`
pub fn fchmod(file: i32, mode: u32) -> Result<()> {
    call!(Call::Fchmod, number::FCHMOD, arg(file), mode as usize).map(drop)
}

/// `getdents64(fd, buffer)`: how many bytes.
pub fn getdents(directory: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(Call::Getdents, number::GETDENTS64, arg(directory), buffer.as_mut_ptr() as usize, buffer.len())
}

/// `sendfile(to, from, NULL, count)`: how many bytes.
pub fn sendfile(to: i32, from: i32, count: usize) -> Result<usize> {
    call!(Call::CopyFile, number::SENDFILE, arg(to), arg(from), 0, count)
}

/// What `statx(2)` says of a file.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct FileStatus {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub inode: u64,
    pub rdev_major: u32,
    pub rdev_minor: u32,
    pub dev_major: u32,
    pub dev_minor: u32,
    /// The id of the mount that it is in.
    pub mount: u64,
    /// It is the root of that mount.
    pub is_mount: bool,
}

impl FileStatus {
    /// The file's type, an `S_IF*`.
    pub const fn kind(&self) -> u32 {
        self.mode & flag::S_IFMT
    }
}

/// `statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID)`
pub fn stat(directory: i32, name: &CStr) -> Result<FileStatus> {
    statx(directory, name, flag::AT_EMPTY_PATH | flag::AT_SYMLINK_NOFOLLOW)
}

/// `statx(2)` of a path, through its symbolic links.
pub fn stat_followed(path: &CStr) -> Result<FileStatus> {
    statx(flag::AT_FDCWD, path, 0)
}

fn statx(directory: i32, name: &CStr, flags: usize) -> Result<FileStatus> {
    const BASIC_STATS_MNT_ID: usize = 0x7ff | 0x1000;
    const ATTR_MOUNT_ROOT: u32 = 0x2000;
    let mut buffer = [0_u32; 64];
    call!(
        Call::Fstat,
        number::STATX,
        arg(directory),
        path(name),
        flags,
        BASIC_STATS_MNT_ID,
        buffer.as_mut_ptr() as usize
    )?;
    // struct statx: mask, blksize, attributes (8), nlink, uid, gid, mode (16 bits), ino (8) …, at 128: rdev, dev,
    // mnt_id (8).
    Ok(FileStatus {
        uid: buffer[5],
        gid: buffer[6],
        mode: buffer[7] & 0xffff,
        inode: u64::from(buffer[8]) | u64::from(buffer[9]) << 32,
        rdev_major: buffer[32],
        rdev_minor: buffer[33],
        dev_major: buffer[34],
        dev_minor: buffer[35],
        mount: u64::from(buffer[36]) | u64::from(buffer[37]) << 32,
        is_mount: buffer[2] & ATTR_MOUNT_ROOT != 0,
    })
}

/// `fstatfs(fd)`: the file system's magic number.
pub fn filesystem_magic(file: i32) -> Result<u64> {
    let mut buffer = [0_u64; 32];
    call!(Call::Fstatfs, number::FSTATFS, arg(file), buffer.as_mut_ptr() as usize)?;
    Ok(buffer[0])
}

/// `faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS)`: as execve will judge. Without the flag the kernel leaves out the
/// capabilities of a process whose real user isn't root.
pub fn may_execute(name: &CStr) -> Result<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    call!(Call::Faccessat2, number::FACCESSAT2, arg(flag::AT_FDCWD), path(name), X_OK, AT_EACCESS).map(drop)
}

/// `ioctl(fd, request, argument)` for requests whose argument is a number.
pub fn ioctl_number(file: i32, request: usize, argument: usize) -> Result<i32> {
    call!(Call::Ioctl, number::IOCTL, arg(file), request, argument).map(fd)
}

/// `ioctl(fd, request, argument)` for requests that read or write an array of this size at most.
pub fn ioctl_buffer(file: i32, request: usize, argument: &mut [u32]) -> Result<()> {
    call!(Call::Ioctl, number::IOCTL, arg(file), request, argument.as_mut_ptr() as usize).map(drop)
}

/// `socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)`
pub fn inet_socket() -> Result<i32> {
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2_000_000;
    call!(Call::Socket, number::SOCKET, 2, SOCK_DGRAM_CLOEXEC, 0).map(fd)
}

/// `dup3(from, to, 0)`; nothing where they are the same.
pub fn duplicate(from: i32, to: i32) -> Result<()> {
    if from == to {
        return keep_on_exec(from);
    }
    call!(Call::Dup3, number::DUP3, arg(from), arg(to), 0).map(drop)
}

/// `sethostname(name)`
pub fn sethostname(name: &CStr) -> Result<()> {
    call!(Call::Sethostname, number::SETHOSTNAME, path(name), name.count_bytes()).map(drop)
}

/// `setdomainname(name)`
pub fn setdomainname(name: &CStr) -> Result<()> {
    call!(Call::Setdomainname, number::SETDOMAINNAME, path(name), name.count_bytes()).map(drop)
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    call!(Call::Keyctl, number::KEYCTL, 1, path(name)).map(drop)
}

/// `fsetxattr(file, name, value, 0)`
pub fn set_attribute(file: i32, name: &CStr, value: &CStr) -> Result<()> {
    let length = value.count_bytes();
    call!(Call::Fsetxattr, number::FSETXATTR, arg(file), path(name), path(value), length, 0).map(drop)
}

/// `prlimit64(0, resource, {soft, hard}, NULL)`
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    call!(Call::Prlimit, number::PRLIMIT64, 0, resource as usize, limit.as_ptr() as usize, 0).map(drop)
}

/// `prctl(option, argument, …)` for options whose arguments are numbers.
pub fn prctl(option: usize, first: usize, second: usize) -> Result<usize> {
    call!(Call::Prctl, number::PRCTL, option, first, second, 0, 0)
}

/// `capset(…)`, version 3.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = [0x2008_0522_u32, 0];
    let sets = [effective, permitted, inheritable];
    let mut data = [0_u32; 6];
    for (index, set) in sets.iter().enumerate() {
        data[index] = *set as u32;
        data[index + 3] = (*set >> 32) as u32;
    }
    call!(Call::Capset, number::CAPSET, header.as_ptr() as usize, data.as_ptr() as usize).map(drop)
}

/// `setgroups(…)`: ids of 32 bits.
pub fn setgroups(groups: &[u8]) -> Result<()> {
    call!(Call::Setgroups, number::SETGROUPS, groups.len() / 4, groups.as_ptr() as usize).map(drop)
}

/// `setresgid(gid, gid, gid)`
pub fn setresgid(gid: u32) -> Result<()> {
    let gid = gid as usize;
    call!(Call::Setresgid, number::SETRESGID, gid, gid, gid).map(drop)
}

/// `setresuid(uid, uid, uid)`
pub fn setresuid(uid: u32) -> Result<()> {
    let uid = uid as usize;
    call!(Call::Setresuid, number::SETRESUID, uid, uid, uid).map(drop)
}

/// `umask(mask)`
pub fn umask(mask: u32) {
    let _ = call!(Call::Prctl, number::UMASK, mask as usize);
}

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

/// A table of pointers that execve takes. Holding one proves: pointers to C strings that live as long, then null.
pub struct PointerTable<'a>(&'a [usize]);

impl<'a> PointerTable<'a> {
    /// Fills `table`, which needs one word more than there are texts.
    pub fn new(table: &'a mut [usize], texts: impl Iterator<Item = &'a CStr>) -> Result<Self> {
        let mut count = 0;
        for text in texts {
            let Some(place) = table.get_mut(count) else { return refuse(Call::Plan, flag::EPROTO) };
            *place = path(text);
            count += 1;
        }
        let Some(end) = table.get_mut(count) else { return refuse(Call::Plan, flag::EPROTO) };
        *end = 0;
        Ok(Self(table))
    }

    fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// `execve(path, args, env)`. Returns only when it fails.
pub fn execve(program: &CStr, args: &PointerTable<'_>, env: &PointerTable<'_>) -> Failure {
    let result = call!(Call::Execve, number::EXECVE, path(program), args.address(), env.address());
    result.err().unwrap_or(Failure { call: Call::Execve, errno: 0 })
}

/// `execveat(fd, "", args, env, AT_EMPTY_PATH)`. Returns only when it fails.
pub fn execveat(program: i32, args: &PointerTable<'_>, env: &PointerTable<'_>) -> Failure {
    let empty = path(c"");
    let flags = flag::AT_EMPTY_PATH;
    let result =
        call!(Call::Execveat, number::EXECVEAT, arg(program), empty, args.address(), env.address(), flags);
    result.err().unwrap_or(Failure { call: Call::Execveat, errno: 0 })
}

/// `sched_setattr(0, attributes, 0)`: `struct sched_attr` of 56 bytes (version 1, Linux 5.3).
pub fn sched_setattr(attributes: &[u8; 56]) -> Result<()> {
    call!(Call::SchedSetattr, number::SCHED_SETATTR, 0, attributes.as_ptr() as usize, 0).map(drop)
}

/// `sched_setaffinity(0, size, processors)`
pub fn sched_setaffinity(processors: &[u8]) -> Result<()> {
    let (size, mask) = (processors.len(), processors.as_ptr() as usize);
    call!(Call::SchedSetaffinity, number::SCHED_SETAFFINITY, 0, size, mask).map(drop)
}

/// `ioprio_set(IOPRIO_WHO_PROCESS, 0, priority)`
pub fn ioprio_set(priority: u32) -> Result<()> {
    call!(Call::IoprioSet, number::IOPRIO_SET, 1, 0, priority as usize).map(drop)
}

/// `set_mempolicy(mode, nodes, count)`
pub fn set_mempolicy(mode: u32, nodes: &[u8]) -> Result<()> {
    let (pointer, bits) =
        if nodes.is_empty() { (0, 0) } else { (nodes.as_ptr() as usize, nodes.len() * 8 + 1) };
    call!(Call::SetMempolicy, number::SET_MEMPOLICY, mode as usize, pointer, bits).map(drop)
}

/// `personality(domain)`
pub fn personality(domain: u32) -> Result<()> {
    call!(Call::Personality, number::PERSONALITY, domain as usize).map(drop)
}

/// `landlock_create_ruleset(&{handled_access_fs}, 8, 0)`
pub fn landlock_create_ruleset(handled: u64) -> Result<i32> {
    let size = size_of::<u64>();
    call!(
        Call::LandlockCreateRuleset,
        common::LANDLOCK_CREATE_RULESET,
        (&raw const handled) as usize,
        size,
        0
    )
    .map(fd)
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`: the version of the kernel's Landlock.
pub fn landlock_version() -> Result<u32> {
    const VERSION: usize = 1;
    call!(Call::LandlockCreateRuleset, common::LANDLOCK_CREATE_RULESET, 0, 0, VERSION)
        .map(|version| version as u32)
}

/// `landlock_add_rule(ruleset, LANDLOCK_RULE_PATH_BENEATH, &{allowed_access, parent_fd}, 0)`
pub fn landlock_add_path(ruleset: i32, parent: i32, access: u64) -> Result<()> {
    const PATH_BENEATH: usize = 1;
    // Packed: 8 bytes, then 4.
    let mut rule = [0_u8; 12];
    rule[..8].copy_from_slice(&access.to_ne_bytes());
    rule[8..].copy_from_slice(&parent.to_ne_bytes());
    call!(
        Call::LandlockAddRule,
        common::LANDLOCK_ADD_RULE,
        arg(ruleset),
        PATH_BENEATH,
        rule.as_ptr() as usize,
        0
    )
    .map(drop)
}

/// `landlock_restrict_self(ruleset, 0)`
pub fn landlock_restrict_self(ruleset: i32) -> Result<()> {
    call!(Call::LandlockRestrictSelf, common::LANDLOCK_RESTRICT_SELF, arg(ruleset), 0).map(drop)
}

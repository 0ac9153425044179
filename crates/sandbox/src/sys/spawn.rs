//! The clone that makes a container's init.
//!
//! Runs in the runtime. The child shares the caller's memory and the caller waits (`CLONE_VM | CLONE_VFORK`), so that
//! the cost does not grow with the caller's size. All that the child does is mark descriptors and execute a file that
//! is open: no allocation, no lock, no library.

use std::arch::asm;
use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use init::sys::{CLOSE_RANGE_CLOEXEC, CloneArgs, PointerTable, common, flag};

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Spawn<'a> {
    /// `CLONE_NEW*` flags.
    pub(crate) namespaces: u64,
    /// The v2 cgroup to start in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The executable file.
    pub(crate) program: BorrowedFd<'a>,
    /// Its arguments.
    pub(crate) args: &'a [&'a CStr],
    /// A socket to the caller. The program finds another at its number, whose other end comes through this one.
    pub(crate) channel: BorrowedFd<'a>,
    /// Descriptors that the program inherits, besides those below `first_own_fd`.
    pub(crate) inherited: &'a [RawFd],
    /// Descriptors from here on are closed, unless inherited.
    pub(crate) first_own_fd: u32,
}

/// A stack for the few calls that the child makes.
#[repr(C, align(16))]
pub(super) struct Stack([u8; 16 * 1024]);

/// What the child reads and writes, in memory that both have.
struct Shared<'a> {
    program: RawFd,
    args: PointerTable<'a>,
    env: PointerTable<'a>,
    channel: RawFd,
    inherited: &'a [RawFd],
    first_own_fd: u32,
    keep_capabilities: bool,
    /// Why it was not executed.
    failure: Option<init::sys::Failure>,
}

/// Starts the program; its pid in the caller's pid namespace and its pidfd.
///
/// `clone3(CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | CLONE_PIDFD | namespaces, CLONE_INTO_CGROUP cgroup)`
///
/// # Errors
/// What clone3, or of the child's calls close_range, socketpair, fcntl or execveat say, with the call's name.
pub(crate) fn spawn(spawn: &Spawn<'_>) -> Result<(i32, OwnedFd), (&'static str, io::Error)> {
    let mut arg_words = vec![0; spawn.args.len() + 1];
    let mut env_words = [0];
    let table_error = |_| ("execveat", io::Error::from(io::ErrorKind::InvalidInput));
    let mut shared = Shared {
        program: spawn.program.as_raw_fd(),
        args: PointerTable::new(&mut arg_words, spawn.args.iter().copied()).map_err(table_error)?,
        env: PointerTable::new(&mut env_words, std::iter::empty()).map_err(table_error)?,
        channel: spawn.channel.as_raw_fd(),
        inherited: spawn.inherited,
        first_own_fd: spawn.first_own_fd,
        keep_capabilities: spawn.namespaces & flag::CLONE_NEWUSER != 0,
        failure: None,
    };
    // Uninitialised: only the pages that the child comes to exist.
    let mut stack = Box::<Stack>::new_uninit();
    let mut pidfd: RawFd = -1;
    let sharing = flag::CLONE_VM | flag::CLONE_VFORK | flag::CLONE_CLEAR_SIGHAND | flag::CLONE_PIDFD;
    let mut args = CloneArgs {
        flags: sharing | spawn.namespaces,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: 17, // SIGCHLD
        stack: stack.as_mut_ptr() as u64,
        stack_size: size_of::<Stack>() as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = spawn.cgroup {
        args.flags |= flag::CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a valid clone_args with a stack of its own for the child; `child` never returns and reads only
    // `shared`, which outlives it: the caller is suspended until the child has executed or ended.
    let result = unsafe { clone3(&args, child, (&raw mut shared).cast()) };
    if result < 0 {
        return Err(("clone3", io::Error::from_raw_os_error(-result as i32)));
    }
    // SAFETY: CLONE_PIDFD made this descriptor for us alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if let Some(failure) = shared.failure {
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
            rustix::process::WaitIdOptions::EXITED,
        );
        return Err((failure.call.name(), io::Error::from_raw_os_error(failure.errno as i32)));
    }
    Ok((result as i32, pidfd))
}

/// Runs in the child, on its own stack, in the caller's memory.
extern "C" fn child(shared: *mut c_void) -> ! {
    // SAFETY: `spawn` passes a valid pointer and does not touch what it points to until this process is gone.
    let shared = unsafe { &mut *shared.cast::<Shared<'_>>() };
    // What the program does not need is closed by its own execve: it marks what is left for the next one itself.
    let prepared = init::sys::close_range(shared.first_own_fd, CLOSE_RANGE_CLOEXEC)
        .and_then(|()| open_channel(shared.channel))
        .and_then(|()| shared.inherited.iter().try_for_each(|fd| init::sys::keep_on_exec(*fd)))
        .and_then(|()| if shared.keep_capabilities { keep_capabilities() } else { Ok(()) });
    let failure = match prepared {
        Ok(()) => init::sys::execveat(shared.program, &shared.args, &shared.env),
        Err(failure) => failure,
    };
    shared.failure = Some(failure);
    init::sys::exit(127)
}

/// Makes the socket pair by which the program and the caller speak. Its end means something (the program was executed, or
/// is gone), so nobody else may hold the program's side: of a pair that the caller makes, whatever another of its threads
/// forks at the same time has a copy.
fn open_channel(channel: RawFd) -> init::sys::Result<()> {
    let [callers, programs] = init::sys::socketpair()?;
    init::sys::send_with_descriptor(channel, &[0], callers)?;
    init::sys::duplicate(programs, channel)
}

/// Carries the capabilities over the execve: the first process of a new user namespace has them all, but its user is
/// not mapped yet, and execve would take them from who isn't root (capabilities(7)).
fn keep_capabilities() -> init::sys::Result<()> {
    const PR_CAP_AMBIENT: usize = 47;
    const PR_CAP_AMBIENT_RAISE: usize = 2;
    let all = u64::MAX;
    init::sys::set_capabilities(all, all, all)?;
    // Ends at the last that the kernel knows.
    for number in 0..64 {
        if init::sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number).is_err() {
            break;
        }
    }
    Ok(())
}

/// `clone3(args, sizeof args)`; in the child `entry(argument)`.
///
/// # Safety
/// `args` must name a stack for the child; `entry` must not return.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn clone3(
    args: &CloneArgs,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> isize {
    let result: isize;
    // SAFETY: the caller's condition. In the parent the kernel changes rax, rcx and r11 alone; the child has the same
    // registers but for rax and rsp, its stack is aligned, and it leaves through `entry`.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            // By name: any register may be rbp, which is cleared before they are used.
            in("r8") entry,
            in("r9") argument,
            inlateout("rax") common::CLONE3 as isize => result,
            in("rdi") args,
            in("rsi") size_of::<CloneArgs>(),
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// `clone3(args, sizeof args)`; in the child `entry(argument)`.
///
/// # Safety
/// `args` must name a stack for the child; `entry` must not return.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn clone3(
    args: &CloneArgs,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> isize {
    let result: isize;
    // SAFETY: the caller's condition. In the parent the kernel changes x0 alone; the child has the same registers but
    // for x0 and sp, its stack is aligned, and it leaves through `entry`.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x10",
            "blr x9",
            "brk 1",
            "2:",
            in("x9") entry,
            in("x10") argument,
            in("x8") common::CLONE3,
            inlateout("x0") args => result,
            in("x1") size_of::<CloneArgs>(),
        );
    }
    result
}

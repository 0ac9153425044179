//! The system call instruction and the call numbers of aarch64.

use core::arch::asm;

/// Makes a system call.
///
/// # Safety
/// The arguments must be what the call `number` asks for: pointers to memory of the right size and lifetime.
#[inline(always)]
pub unsafe fn syscall6(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's condition; the kernel changes only x0 and the memory pointed to.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] as isize => result,
            in("x1") arguments[1], in("x2") arguments[2], in("x3") arguments[3],
            in("x4") arguments[4], in("x5") arguments[5],
            options(nostack),
        );
    }
    result
}

/// The address below which nothing of the caller's is.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Ends the process by SIGILL: an end that no filter of calls denies.
pub fn trap() -> ! {
    // SAFETY: an undefined instruction changes nothing; what comes after it is never reached, since SIGILL that an
    // instruction raises ends the process where it has no handler, blocked and ignored too.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
}

/// Numbers of calls that are not the same everywhere (`asm-generic/unistd.h`).
#[allow(missing_docs)]
pub mod number {
    pub const EVENTFD2: usize = 19;
    pub const DUP3: usize = 24;
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const IOPRIO_SET: usize = 30;
    pub const MKNODAT: usize = 33;
    pub const MKDIRAT: usize = 34;
    pub const SYMLINKAT: usize = 36;
    pub const UMOUNT2: usize = 39;
    pub const MOUNT: usize = 40;
    pub const PIVOT_ROOT: usize = 41;
    pub const FSTATFS: usize = 44;
    pub const FACCESSAT2: usize = 439;
    pub const CHDIR: usize = 49;
    pub const FCHDIR: usize = 50;
    pub const CHROOT: usize = 51;
    pub const FCHMOD: usize = 52;
    pub const FCHOWNAT: usize = 54;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const GETDENTS64: usize = 61;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const SENDFILE: usize = 71;
    pub const READLINKAT: usize = 78;
    pub const CAPSET: usize = 91;
    pub const SCHED_SETAFFINITY: usize = 122;
    pub const PERSONALITY: usize = 92;
    pub const EXIT: usize = 93;
    pub const EXIT_GROUP: usize = 94;
    pub const UNSHARE: usize = 97;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SETRESUID: usize = 147;
    pub const SETRESGID: usize = 149;
    pub const SETSID: usize = 157;
    pub const GETEUID: usize = 175;
    pub const SETGROUPS: usize = 159;
    pub const SETHOSTNAME: usize = 161;
    pub const SETDOMAINNAME: usize = 162;
    pub const UMASK: usize = 166;
    pub const CLOCK_GETTIME: usize = 113;
    pub const PRCTL: usize = 167;
    pub const GETCWD: usize = 17;
    pub const SOCKET: usize = 198;
    pub const SENDTO: usize = 206;
    pub const RECVFROM: usize = 207;
    pub const SENDMSG: usize = 211;
    pub const RECVMSG: usize = 212;
    pub const SOCKETPAIR: usize = 199;
    pub const KEYCTL: usize = 219;
    pub const FSETXATTR: usize = 7;
    pub const EXECVE: usize = 221;
    pub const MMAP: usize = 222;
    pub const MADVISE: usize = 233;
    pub const SET_MEMPOLICY: usize = 237;
    pub const ACCEPT4: usize = 242;
    pub const PRLIMIT64: usize = 261;
    pub const SETNS: usize = 268;
    pub const SCHED_SETATTR: usize = 274;
    pub const SECCOMP: usize = 277;
    pub const EXECVEAT: usize = 281;
    pub const USERFAULTFD: usize = 282;
    pub const STATX: usize = 291;
}

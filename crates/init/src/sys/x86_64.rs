//! The system call instruction and the call numbers of x86_64.

use core::arch::asm;

/// Makes a system call.
///
/// # Safety
/// The arguments must be what the call `number` asks for: pointers to memory of the right size and lifetime.
#[inline(always)]
pub unsafe fn syscall6(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's condition; the kernel changes only rax, rcx, r11 and the memory pointed to.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            out("rcx") _, out("r11") _,
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
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Ends the process by SIGILL: an end that no filter of calls denies.
pub fn trap() -> ! {
    // SAFETY: an undefined instruction changes nothing; what comes after it is never reached, since SIGILL that an
    // instruction raises ends the process where it has no handler, blocked and ignored too.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Numbers of calls that are not the same everywhere (`asm/unistd_64.h`).
#[allow(missing_docs)]
pub mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MADVISE: usize = 28;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const SENDFILE: usize = 40;
    pub const SOCKET: usize = 41;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const SOCKETPAIR: usize = 53;
    pub const RECVFROM: usize = 45;
    pub const SENDTO: usize = 44;
    pub const EXECVE: usize = 59;
    pub const EXIT: usize = 60;
    pub const FCNTL: usize = 72;
    pub const GETCWD: usize = 79;
    pub const CHDIR: usize = 80;
    pub const FCHDIR: usize = 81;
    pub const FCHMOD: usize = 91;
    pub const UMASK: usize = 95;
    pub const CLOCK_GETTIME: usize = 228;
    pub const GETEUID: usize = 107;
    pub const SETSID: usize = 112;
    pub const SETGROUPS: usize = 116;
    pub const SETRESUID: usize = 117;
    pub const SETRESGID: usize = 119;
    pub const CAPSET: usize = 126;
    pub const PERSONALITY: usize = 135;
    pub const FSTATFS: usize = 138;
    pub const PIVOT_ROOT: usize = 155;
    pub const PRCTL: usize = 157;
    pub const CHROOT: usize = 161;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const SETDOMAINNAME: usize = 171;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const GETDENTS64: usize = 217;
    pub const SET_MEMPOLICY: usize = 238;
    pub const EXIT_GROUP: usize = 231;
    pub const KEYCTL: usize = 250;
    pub const FSETXATTR: usize = 190;
    pub const IOPRIO_SET: usize = 251;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const MKNODAT: usize = 259;
    pub const FCHOWNAT: usize = 260;
    pub const READLINKAT: usize = 267;
    pub const SYMLINKAT: usize = 266;
    pub const FACCESSAT2: usize = 439;
    pub const UNSHARE: usize = 272;
    pub const ACCEPT4: usize = 288;
    pub const EVENTFD2: usize = 290;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const SCHED_SETATTR: usize = 314;
    pub const SECCOMP: usize = 317;
    pub const EXECVEAT: usize = 322;
    pub const USERFAULTFD: usize = 323;
    pub const STATX: usize = 332;
}

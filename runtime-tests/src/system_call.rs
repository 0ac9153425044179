//! The system calls that runtimes make, with an errno for each that it may well fail with.

use nix::errno::Errno;

/// A system call of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number (x86_64).
    pub number: i64,
    /// Its name.
    pub name: &'static str,
    /// An errno that it may well fail with, while nothing is wrong with how it is called.
    pub errno: Errno,
}

macro_rules! calls {
    ($($number:literal $name:ident $errno:ident;)*) => {
        /// The calls that runtimes make.
        const CALLS: &[SystemCall] =
            &[$(SystemCall { number: $number, name: stringify!($name), errno: Errno::$errno }),*];
    };
}

calls! {
    0 read EIO; 1 write ENOSPC; 2 open EMFILE; 3 close EIO; 4 stat EACCES; 5 fstat EIO; 6 lstat EACCES; 7 poll ENOMEM;
    8 lseek EINVAL; 9 mmap ENOMEM; 10 mprotect ENOMEM; 11 munmap ENOMEM; 12 brk ENOMEM; 13 rt_sigaction EINVAL;
    14 rt_sigprocmask EINVAL; 16 ioctl EINVAL; 17 pread64 EIO; 20 writev ENOSPC; 21 access EACCES; 25 mremap ENOMEM;
    28 madvise ENOMEM; 33 dup2 EMFILE; 41 socket EMFILE; 42 connect EACCES; 43 accept EMFILE;
    44 sendto ENOBUFS; 45 recvfrom ENOMEM; 46 sendmsg ENOBUFS; 47 recvmsg ENOMEM; 49 bind EADDRINUSE; 50 listen EADDRINUSE;
    53 socketpair EMFILE; 54 setsockopt ENOMEM; 59 execve ENOMEM; 61 wait4 ECHILD; 62 kill EPERM; 72 fcntl EMFILE;
    73 flock ENOLCK; 77 ftruncate ENOSPC; 79 getcwd ENOENT; 80 chdir EACCES; 81 fchdir EACCES; 83 mkdir ENOSPC;
    84 rmdir EIO; 87 unlink EIO; 89 readlink EACCES; 105 setuid EAGAIN; 106 setgid EPERM;
    112 setsid EPERM; 116 setgroups EPERM; 117 setresuid EAGAIN; 119 setresgid EPERM;
    203 sched_setaffinity EINVAL; 125 capget EPERM; 126 capset EPERM; 131 sigaltstack ENOMEM;
    137 statfs EACCES; 138 fstatfs EIO; 155 pivot_root EINVAL; 157 prctl EINVAL; 158 arch_prctl EINVAL; 160 setrlimit EPERM;
    161 chroot EPERM; 165 mount EPERM; 166 umount2 EBUSY; 170 sethostname EPERM; 171 setdomainname EPERM;
    202 futex ENOMEM; 217 getdents64 EIO; 218 set_tid_address EINVAL; 228 clock_gettime EINVAL; 232 epoll_wait ENOMEM;
    247 waitid ECHILD; 250 keyctl EDQUOT; 257 openat EMFILE; 258 mkdirat ENOSPC; 259 mknodat ENOSPC; 260 fchownat EPERM;
    262 newfstatat EACCES; 263 unlinkat EIO; 264 renameat ENOSPC; 265 linkat ENOSPC; 266 symlinkat ENOSPC; 267 readlinkat EACCES;
    268 fchmodat EPERM; 269 faccessat EACCES; 270 pselect6 ENOMEM; 271 ppoll ENOMEM; 272 unshare EPERM; 273 set_robust_list EINVAL;
    288 accept4 EMFILE; 289 signalfd4 EMFILE; 290 eventfd2 EMFILE; 291 epoll_create1 EMFILE; 292 dup3 EMFILE; 293 pipe2 EMFILE;
    302 prlimit64 EPERM; 308 setns EPERM; 316 renameat2 ENOSPC; 317 seccomp ENOMEM; 318 getrandom EAGAIN; 319 memfd_create ENOMEM;
    321 bpf EPERM; 322 execveat ENOMEM; 332 statx EIO; 334 rseq EINVAL; 424 pidfd_send_signal EPERM; 428 open_tree EPERM;
    429 move_mount EPERM; 430 fsopen EPERM; 431 fsconfig EINVAL; 432 fsmount EPERM; 434 pidfd_open EMFILE; 435 clone3 EAGAIN;
    436 close_range EMFILE; 437 openat2 EMFILE; 438 pidfd_getfd EPERM; 439 faccessat2 EACCES; 442 mount_setattr EPERM;
    449 futex_waitv ENOMEM; 452 fchmodat2 EPERM;
}

impl SystemCall {
    /// The call of this name, where it is known.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CALLS.iter().find(|call| call.name == name).copied()
    }

    pub(crate) fn numbered(number: i64) -> Self {
        let known = CALLS.iter().find(|call| call.number == number).copied();
        known.unwrap_or(Self { number, name: "a call that this harness has no name of", errno: Errno::EPERM })
    }
}

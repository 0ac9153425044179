//! The process: its end, signals, namespaces, scheduling, limits, the program that it becomes.

use core::ffi::CStr;

use super::{Failure, Result, arch, arg, common, fd, flag, number, path, refuse};
use crate::report::Call;

/// `exit_group(status)`; where the container's filter denies even that, by a signal.
pub fn exit(status: i32) -> ! {
    let _ = call!(Call::Plan, number::EXIT_GROUP, arg(status));
    arch::trap()
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

/// `clock_gettime(CLOCK_MONOTONIC)`, in nanoseconds.
pub fn monotonic_ns() -> Result<u64> {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0_u64; 2];
    call!(Call::Recv, number::CLOCK_GETTIME, CLOCK_MONOTONIC, time.as_mut_ptr() as usize)?;
    Ok(time[0] * 1_000_000_000 + time[1])
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

/// `sethostname(name)`
pub fn sethostname(name: &CStr) -> Result<()> {
    call!(Call::Sethostname, number::SETHOSTNAME, path(name), name.count_bytes()).map(drop)
}

/// `setdomainname(name)`
pub fn setdomainname(name: &CStr) -> Result<()> {
    call!(Call::Setdomainname, number::SETDOMAINNAME, path(name), name.count_bytes()).map(drop)
}

/// `prlimit64(0, resource, {soft, hard}, NULL)`
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = [soft, hard];
    call!(Call::Prlimit, number::PRLIMIT64, 0, resource as usize, limit.as_ptr() as usize, 0).map(drop)
}

/// Raises a hard limit of a process (0: this one) that is below `hard`; the soft one stays.
pub fn raise_hard_limit(pid: i32, resource: u32, hard: u64) -> Result<()> {
    let mut limit = [0_u64; 2];
    call!(Call::Prlimit, number::PRLIMIT64, arg(pid), resource as usize, 0, limit.as_mut_ptr() as usize)?;
    if limit[1] >= hard {
        return Ok(());
    }
    limit[1] = hard;
    call!(Call::Prlimit, number::PRLIMIT64, arg(pid), resource as usize, limit.as_ptr() as usize, 0).map(drop)
}

/// `umask(mask)`
pub fn umask(mask: u32) {
    let _ = call!(Call::Prctl, number::UMASK, mask as usize);
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

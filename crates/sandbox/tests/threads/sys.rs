//! What the test does that no library offers as safe: it forks, and changes the environment, beside other threads.
#![allow(unsafe_code)]

/// A process that does nothing with what it has inherited until its time is over, or the thread that made it ends.
pub(crate) fn fork_idler(lives_ms: u64) -> i32 {
    // SAFETY: the child goes to `idle`, which calls nothing but what may be called after a fork.
    match unsafe { libc::fork() } {
        0 => idle(lives_ms),
        pid => pid,
    }
}

fn idle(lives_ms: u64) -> ! {
    let time = libc::timespec {
        tv_sec: (lives_ms / 1000) as libc::time_t,
        tv_nsec: ((lives_ms % 1000) * 1_000_000) as libc::c_long,
    };
    // SAFETY: numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: the time is valid, and what is left of it is not asked for.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    // SAFETY: nothing of this process is to be cleaned up.
    unsafe { libc::_exit(0) }
}

/// Ends a child that was not waited for yet.
pub(crate) fn end(pid: i32) {
    // SAFETY: numbers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Waits for a child.
pub(crate) fn reap(pid: i32) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

pub(crate) fn set_variable(name: &str, value: &str) {
    // SAFETY: everything in this program that reads the environment does so through std, which locks it.
    unsafe { std::env::set_var(name, value) };
}

pub(crate) fn remove_variable(name: &str) {
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) };
}

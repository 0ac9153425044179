//! System calls as they are, the entry point, and what the compiler wants of a program without a C library.
//!
//! Runs in the floor, before and after its clone.

#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char};

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
mod number {
    pub(super) const WRITE: usize = 1; pub(super) const CLOSE: usize = 3; pub(super) const READ: usize = 0;
    pub(super) const EXECVE: usize = 59; pub(super) const EXIT_GROUP: usize = 231; pub(super) const WAIT4: usize = 61;
    pub(super) const SETSID: usize = 112; pub(super) const SETHOSTNAME: usize = 170; pub(super) const CAPSET: usize = 126;
    pub(super) const PIVOT_ROOT: usize = 155; pub(super) const PRCTL: usize = 157; pub(super) const SETRLIMIT: usize = 160;
    pub(super) const CHDIR: usize = 80; pub(super) const UMASK: usize = 95; pub(super) const MOUNT: usize = 165;
    pub(super) const UMOUNT2: usize = 166; pub(super) const UNSHARE: usize = 272; pub(super) const OPENAT: usize = 257;
    pub(super) const MKDIRAT: usize = 258; pub(super) const MKNODAT: usize = 259; pub(super) const UNLINKAT: usize = 263;
    pub(super) const SYMLINKAT: usize = 266; pub(super) const PIPE2: usize = 293; pub(super) const CLONE3: usize = 435;
    pub(super) const BPF: usize = 321;
}

#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
mod number {
    pub(super) const WRITE: usize = 64; pub(super) const CLOSE: usize = 57; pub(super) const READ: usize = 63;
    pub(super) const EXECVE: usize = 221; pub(super) const EXIT_GROUP: usize = 94; pub(super) const WAIT4: usize = 260;
    pub(super) const SETSID: usize = 157; pub(super) const SETHOSTNAME: usize = 161; pub(super) const CAPSET: usize = 91;
    pub(super) const PIVOT_ROOT: usize = 41; pub(super) const PRCTL: usize = 167; pub(super) const SETRLIMIT: usize = 164;
    pub(super) const CHDIR: usize = 49; pub(super) const UMASK: usize = 166; pub(super) const MOUNT: usize = 40;
    pub(super) const UMOUNT2: usize = 39; pub(super) const UNSHARE: usize = 97; pub(super) const OPENAT: usize = 56;
    pub(super) const MKDIRAT: usize = 34; pub(super) const MKNODAT: usize = 33; pub(super) const UNLINKAT: usize = 35;
    pub(super) const SYMLINKAT: usize = 36; pub(super) const PIPE2: usize = 59; pub(super) const CLONE3: usize = 435;
    pub(super) const BPF: usize = 280;
}

const AT_FDCWD: usize = -100_isize as usize;
const AT_REMOVEDIR: usize = 0x200;

/// What a call returned: a value, or the negated errno.
type Answer = isize;

#[cfg(target_arch = "x86_64")]
fn call(number: usize, arguments: [usize; 5]) -> Answer {
    let answer;
    // SAFETY: the callers below pass descriptors, flags, and pointers to what lives through the call.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") arguments[0], in("rsi") arguments[1],
            in("rdx") arguments[2], in("r10") arguments[3], in("r8") arguments[4], out("rcx") _, out("r11") _,
            options(nostack));
    }
    answer
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, arguments: [usize; 5]) -> Answer {
    let answer;
    // SAFETY: the callers below pass descriptors, flags, and pointers to what lives through the call.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") arguments[0] => answer, in("x1") arguments[1],
            in("x2") arguments[2], in("x3") arguments[3], in("x4") arguments[4], options(nostack));
    }
    answer
}

fn at(text: &CStr) -> usize {
    text.as_ptr() as usize
}

/// `exit_group(2)`
pub(crate) fn exit(status: i32) -> ! {
    loop {
        call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0]);
    }
}

/// `write(2)`
pub(crate) fn write(file: i32, bytes: &[u8]) -> Answer {
    call(number::WRITE, [file as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0])
}

/// `read(2)`
pub(crate) fn read(file: i32, bytes: &mut [u8]) -> Answer {
    call(number::READ, [file as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0])
}

/// `close(2)`
pub(crate) fn close(file: i32) -> Answer {
    call(number::CLOSE, [file as usize, 0, 0, 0, 0])
}

/// `openat(2)` in the current directory
pub(crate) fn open(path: &CStr, flags: usize) -> Answer {
    call(number::OPENAT, [AT_FDCWD, at(path), flags, 0, 0])
}

/// `mkdirat(2)`
pub(crate) fn mkdir(path: &CStr) -> Answer {
    call(number::MKDIRAT, [AT_FDCWD, at(path), 0o755, 0, 0])
}

/// `unlinkat(2)` of a directory
pub(crate) fn rmdir(path: &CStr) -> Answer {
    call(number::UNLINKAT, [AT_FDCWD, at(path), AT_REMOVEDIR, 0, 0])
}

/// `mknodat(2)`
pub(crate) fn mknod(path: &CStr, mode: usize, device: usize) -> Answer {
    call(number::MKNODAT, [AT_FDCWD, at(path), mode, device, 0])
}

/// `symlinkat(2)`
pub(crate) fn symlink(target: &CStr, path: &CStr) -> Answer {
    call(number::SYMLINKAT, [at(target), AT_FDCWD, at(path), 0, 0])
}

/// `mount(2)`
pub(crate) fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: usize, data: &CStr) -> Answer {
    call(number::MOUNT, [at(source), at(target), at(kind), flags, at(data)])
}

/// `umount2(2)`
pub(crate) fn umount(target: &CStr, flags: usize) -> Answer {
    call(number::UMOUNT2, [at(target), flags, 0, 0, 0])
}

/// `pivot_root(2)`
pub(crate) fn pivot_root(new: &CStr, old: &CStr) -> Answer {
    call(number::PIVOT_ROOT, [at(new), at(old), 0, 0, 0])
}

/// `chdir(2)`
pub(crate) fn chdir(path: &CStr) -> Answer {
    call(number::CHDIR, [at(path), 0, 0, 0, 0])
}

/// `umask(2)`
pub(crate) fn umask(mask: usize) -> Answer {
    call(number::UMASK, [mask, 0, 0, 0, 0])
}

/// `setsid(2)`
pub(crate) fn setsid() -> Answer {
    call(number::SETSID, [0; 5])
}

/// `sethostname(2)`
pub(crate) fn sethostname(name: &[u8]) -> Answer {
    call(number::SETHOSTNAME, [name.as_ptr() as usize, name.len(), 0, 0, 0])
}

/// `setrlimit(2)`
pub(crate) fn setrlimit(resource: usize, limits: &[u64; 2]) -> Answer {
    call(number::SETRLIMIT, [resource, limits.as_ptr() as usize, 0, 0, 0])
}

/// `prctl(2)`
pub(crate) fn prctl(option: usize, argument: usize) -> Answer {
    call(number::PRCTL, [option, argument, 0, 0, 0])
}

/// `capset(2)` of the caller: effective, permitted, inheritable, low words then high words
pub(crate) fn capset(sets: &[u32; 6]) -> Answer {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    call(number::CAPSET, [header.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0])
}

/// `pipe2(2)`, close-on-exec
pub(crate) fn pipe(ends: &mut [i32; 2]) -> Answer {
    call(number::PIPE2, [ends.as_mut_ptr() as usize, 0o2_000_000, 0, 0, 0])
}

/// `unshare(2)`
pub(crate) fn unshare(flags: usize) -> Answer {
    call(number::UNSHARE, [flags, 0, 0, 0, 0])
}

/// `wait4(2)`
pub(crate) fn wait(pid: i32, status: &mut i32) -> Answer {
    call(number::WAIT4, [pid as usize, status as *mut i32 as usize, 0, 0, 0])
}

/// `clone3(2)` that copies the address space, as fork does
pub(crate) fn clone(flags: u64, cgroup: i32) -> Answer {
    const SIGCHLD: u64 = 17;
    let arguments: [u64; 11] = [flags, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, cgroup as u64];
    call(number::CLONE3, [arguments.as_ptr() as usize, size_of_val(&arguments), 0, 0, 0])
}

/// `bpf(2)`: loads a device filter for cgroups
pub(crate) fn bpf_load(instructions: &[u64]) -> Answer {
    const PROG_LOAD: usize = 5;
    const CGROUP_DEVICE: u64 = 15;
    let kind = CGROUP_DEVICE | (instructions.len() as u64) << 32;
    let attributes = [kind, instructions.as_ptr() as u64, c"Apache-2.0".as_ptr() as u64, 0, 0, 0];
    call(number::BPF, [PROG_LOAD, attributes.as_ptr() as usize, size_of_val(&attributes), 0, 0])
}

/// `bpf(2)`: attaches it to a cgroup
pub(crate) fn bpf_attach(cgroup: i32, program: i32) -> Answer {
    const PROG_ATTACH: usize = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let attributes = [cgroup as u32, program as u32, CGROUP_DEVICE, ALLOW_MULTI];
    call(number::BPF, [PROG_ATTACH, attributes.as_ptr() as usize, size_of_val(&attributes), 0, 0])
}

/// `execve(2)` with one argument and one variable
pub(crate) fn execve(path: &CStr, variable: &CStr) -> Answer {
    let arguments = [path.as_ptr(), core::ptr::null()];
    let environment = [variable.as_ptr(), core::ptr::null()];
    call(number::EXECVE, [at(path), arguments.as_ptr() as usize, environment.as_ptr() as usize, 0, 0])
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {entry}", entry = sym entry);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {entry}", entry = sym entry);

/// The program's arguments, from the stack that execve made.
pub(crate) struct Arguments(*const *const c_char);

impl Iterator for Arguments {
    type Item = &'static CStr;
    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: the pointer is at or before the null that ends argv: it moves only past what is not null.
        let text = unsafe { *self.0 };
        if text.is_null() {
            return None;
        }
        // SAFETY: as above, there is a next entry.
        self.0 = unsafe { self.0.add(1) };
        // SAFETY: execve puts NUL-terminated strings there, which nobody changes.
        Some(unsafe { CStr::from_ptr(text) })
    }
}

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: at entry the stack pointer is at argc, argv follows (System V ABI).
    let arguments = unsafe { stack.add(1) };
    crate::main(Arguments(arguments.cast()))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(124)
}

/// Asked for by the precompiled `core`; never called, since panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// `memcpy(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's condition; volatile, so that the loop isn't turned into a call of memcpy.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
    }
    to
}

/// `memset(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's condition; volatile, so that the loop isn't turned into a call of memset.
        unsafe { to.add(index).write_volatile(byte as u8) };
    }
    to
}

/// `strlen(3)`
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller's condition: a NUL ends the text.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

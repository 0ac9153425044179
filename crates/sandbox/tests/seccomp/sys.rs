//! The calls of the tests that Rust has no safe form of: installing a filter, and libseccomp.

#![allow(unsafe_code)]
#![allow(clippy::missing_transmute_annotations)] // The fields of `Library` are the annotations.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use sandbox::seccomp::{Filter, Instruction};

/// Runs `body` in a thread under the filter.
pub(crate) fn under_filter<T: Send>(
    filter: &Filter,
    body: impl FnOnce(Option<OwnedFd>) -> T + Send,
) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(|| Ok(body(install(filter)?))).join().unwrap())
}

/// Installs the filter for this thread.
fn install(filter: &Filter) -> io::Result<Option<OwnedFd>> {
    // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes = filter.as_bytes();
    // The kernel copies bytes: their alignment is of no matter to it.
    let program =
        libc::sock_fprog { len: filter.instruction_count(), filter: bytes.as_ptr().cast_mut().cast() };
    // SAFETY: `program` says where `len` instructions are, and both live until the call is over; the kernel only reads.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, 1, filter.flags(), &raw const program) };
    match result {
        ..0 => Err(io::Error::last_os_error()),
        // SAFETY: with a listener the kernel gives a new descriptor, which nobody else knows.
        fd if filter.needs_listener() => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as c_int) })),
        _ => Ok(None),
    }
}

/// Calls a number with arguments that are no pointers, or 0.
pub(crate) fn call(number: i64, arguments: [u64; 4]) -> io::Result<i64> {
    let [a, b, c, d] = arguments;
    // SAFETY: the callers give numbers, descriptors and null pointers only, of calls that take them.
    match unsafe { libc::syscall(number, a, b, c, d) } {
        ..0 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// `struct scmp_arg_cmp`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) argument: u32,
    pub(crate) operator: c_int,
    pub(crate) datum: [u64; 2],
}

type Context = *mut c_void;

/// The libseccomp of the machine, where there is one.
pub(crate) struct Library {
    init: unsafe extern "C" fn(u32) -> Context,
    release: unsafe extern "C" fn(Context),
    arch_add: unsafe extern "C" fn(Context, u32) -> c_int,
    rule_add_array: unsafe extern "C" fn(Context, u32, c_int, u32, *const Comparison) -> c_int,
    export_bpf: unsafe extern "C" fn(Context, c_int) -> c_int,
    resolve: unsafe extern "C" fn(u32, *const c_char) -> c_int,
    resolve_native: unsafe extern "C" fn(*const c_char) -> c_int,
}

/// `__NR_SCMP_ERROR`
const UNKNOWN: c_int = -1;

impl Library {
    /// Loads it.
    pub(crate) fn load() -> Result<Self, String> {
        // SAFETY: libseccomp has no initialisers that ask for anything.
        let handle = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err("libseccomp.so.2 cannot be loaded".to_owned());
        }
        let symbol = |name: &CStr| {
            // SAFETY: the handle is open, and never closed.
            let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if address.is_null() { Err(format!("libseccomp.so.2 has no {name:?}")) } else { Ok(address) }
        };
        macro_rules! function {
            ($name:literal) => {{
                let address = symbol($name)?;
                // SAFETY: the type is that of the function in seccomp.h.
                unsafe { std::mem::transmute(address) }
            }};
        }
        Ok(Self {
            init: function!(c"seccomp_init"),
            release: function!(c"seccomp_release"),
            arch_add: function!(c"seccomp_arch_add"),
            rule_add_array: function!(c"seccomp_rule_add_array"),
            export_bpf: function!(c"seccomp_export_bpf"),
            resolve: function!(c"seccomp_syscall_resolve_name_arch"),
            resolve_native: function!(c"seccomp_syscall_resolve_name"),
        })
    }

    /// The number of a call on an architecture (libseccomp's token); negative where it has none of its own.
    pub(crate) fn number(&self, token: u32, name: &str) -> Option<i32> {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string.
        Some(unsafe { (self.resolve)(token, name.as_ptr()) }).filter(|number| *number != UNKNOWN)
    }

    /// The number by which rules are added.
    pub(crate) fn native_number(&self, name: &str) -> Option<i32> {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string.
        Some(unsafe { (self.resolve_native)(name.as_ptr()) }).filter(|number| *number != UNKNOWN)
    }

    /// A filter for the native architecture.
    pub(crate) fn filter(&self, default: u32) -> OracleFilter<'_> {
        // SAFETY: takes a number.
        let context = unsafe { (self.init)(default) };
        assert!(!context.is_null());
        OracleFilter { library: self, context }
    }
}

/// A filter of libseccomp.
pub(crate) struct OracleFilter<'a> {
    library: &'a Library,
    context: Context,
}

impl OracleFilter<'_> {
    /// Adds an architecture by libseccomp's token.
    pub(crate) fn add_architecture(&mut self, token: u32) {
        // SAFETY: the context is live.
        let result = unsafe { (self.library.arch_add)(self.context, token) };
        assert_eq!(result, 0);
    }

    /// Adds a rule; fails with the error number.
    pub(crate) fn add_rule(
        &mut self,
        action: u32,
        number: i32,
        comparisons: &[Comparison],
    ) -> Result<(), i32> {
        let (length, array) = (comparisons.len() as u32, comparisons.as_ptr());
        // SAFETY: the context is live, the array has the length that is given.
        match unsafe { (self.library.rule_add_array)(self.context, action, number, length, array) } {
            0 => Ok(()),
            error => Err(-error),
        }
    }

    /// The program.
    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        // SAFETY: takes a name and flags.
        let fd = unsafe { libc::memfd_create(c"filter".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: the descriptor is new.
        let mut file = unsafe { File::from_raw_fd(fd) };
        // SAFETY: the context is live, the descriptor open.
        assert_eq!(unsafe { (self.library.export_bpf)(self.context, file.as_raw_fd()) }, 0);
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let instructions =
            bytes.as_chunks::<8>().0.iter().map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| Instruction {
                code: u16::from_ne_bytes([c0, c1]),
                jt,
                jf,
                k: u32::from_ne_bytes([k0, k1, k2, k3]),
            });
        instructions.collect()
    }
}

impl Drop for OracleFilter<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is live, and not used after this.
        unsafe { (self.library.release)(self.context) };
    }
}

//! `bpf(2)`, which rustix does not have: load a device filter, attach it to a cgroup, find it there, replace it.
//!
//! Runs in the runtime. Descriptors go in borrowed and come out owned.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::bpf::Instruction;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// A program of the container's own below ours does not replace it: all have to say yes.
const BPF_F_ALLOW_MULTI: u32 = 2;
/// In the place of the program that is given.
const BPF_F_REPLACE: u32 = 4;
/// What ours are called.
const NAME: &[u8] = b"sandbox_device";

/// `union bpf_attr`, `BPF_PROG_LOAD`, up to and with `prog_name`. The kernel takes any length and reads what is not
/// given as zero (bpf(2)).
#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// `union bpf_attr`, `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct Attach {
    target: i32,
    program: i32,
    kind: u32,
    flags: u32,
    replaced: i32,
}

/// `union bpf_attr`, `BPF_PROG_QUERY`, up to and with `prog_cnt`.
#[repr(C)]
struct Query {
    target: i32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    identifiers: u64,
    count: u32,
    padding: u32,
}

/// `union bpf_attr`, `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    identifier: u32,
    next: u32,
    flags: u32,
}

/// `union bpf_attr`, `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct Info {
    program: i32,
    length: u32,
    address: u64,
}

/// `struct bpf_prog_info`, up to and with `name`.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    unused: [u64; 8],
    name: [u8; 16],
}

/// Most programs that the kernel attaches to one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: usize = 64;

/// `bpf(2)`; the result is a number or a new descriptor.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: bpf(2) reads and writes at most `size` bytes at the address; each structure above holds addresses only of
    // memory that its caller keeps for the call, as large as its count says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// `bpf(BPF_PROG_LOAD)`: needs `CAP_BPF` and `CAP_NET_ADMIN`, or `CAP_SYS_ADMIN`, in the initial user namespace.
pub(super) fn load_device_filter(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut name = [0; 16];
    name[..NAME.len()].copy_from_slice(NAME);
    let mut attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name,
    };
    open(bpf(BPF_PROG_LOAD, &mut attributes)?)
}

fn open(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: bpf(2) has just returned it: a new descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `bpf(BPF_PROG_ATTACH)` to a cgroup (an `O_PATH` descriptor will do); in the place of another, where one is given.
pub(super) fn attach_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = Attach {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI | if replaced.is_some() { BPF_F_REPLACE } else { 0 },
        replaced: replaced.map_or(0, |replaced| replaced.as_raw_fd()),
    };
    bpf(BPF_PROG_ATTACH, &mut attributes).map(drop)
}

/// `bpf(BPF_PROG_DETACH)`
pub(super) fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = Attach {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: BPF_CGROUP_DEVICE,
        flags: 0,
        replaced: 0,
    };
    bpf(BPF_PROG_DETACH, &mut attributes).map(drop)
}

/// The program of ours that is attached to this cgroup: `BPF_PROG_QUERY`, then by their names. Others may be attached, by
/// the host's service manager for one.
pub(super) fn find_device_filter(cgroup: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut identifiers = [0u32; MOST_PROGRAMS];
    let mut query = Query {
        target: cgroup.as_raw_fd(),
        kind: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        identifiers: identifiers.as_mut_ptr() as u64,
        count: MOST_PROGRAMS as u32,
        padding: 0,
    };
    bpf(BPF_PROG_QUERY, &mut query)?;
    for identifier in identifiers.iter().take(query.count as usize) {
        let mut by_id = ById { identifier: *identifier, next: 0, flags: 0 };
        // It may be gone meanwhile.
        let Ok(program) = bpf(BPF_PROG_GET_FD_BY_ID, &mut by_id) else { continue };
        let program = open(program)?;
        let mut info = ProgramInfo::default();
        let mut request = Info {
            program: program.as_raw_fd(),
            length: size_of::<ProgramInfo>() as u32,
            address: std::ptr::from_mut(&mut info) as u64,
        };
        bpf(BPF_OBJ_GET_INFO_BY_FD, &mut request)?;
        if info.name.starts_with(NAME) {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

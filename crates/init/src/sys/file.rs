//! Files and descriptors.

use core::ffi::CStr;

use super::{Failure, Result, arg, common, fd, flag, number, path};
use crate::report::Call;

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

/// `write(fd, bytes)`
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call!(Call::Write, number::WRITE, arg(fd), bytes.as_ptr() as usize, bytes.len())
}

/// `read(fd, buffer)`: how many bytes.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(Call::Recv, number::READ, arg(fd), buffer.as_mut_ptr() as usize, buffer.len())
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

/// `dup3(from, to, 0)`; nothing where they are the same.
pub fn duplicate(from: i32, to: i32) -> Result<()> {
    if from == to {
        return keep_on_exec(from);
    }
    call!(Call::Dup3, number::DUP3, arg(from), arg(to), 0).map(drop)
}

/// `eventfd2(0, EFD_CLOEXEC)`
pub fn eventfd() -> Result<i32> {
    call!(Call::Eventfd, number::EVENTFD2, 0, flag::O_CLOEXEC as usize).map(|descriptor| descriptor as i32)
}

/// `fsetxattr(file, name, value, 0)`
pub fn set_attribute(file: i32, name: &CStr, value: &CStr) -> Result<()> {
    let length = value.count_bytes();
    call!(Call::Fsetxattr, number::FSETXATTR, arg(file), path(name), path(value), length, 0).map(drop)
}

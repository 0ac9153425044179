//! Cgroup files and directories: opened below a directory descriptor, never through a symbolic link.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, retry_on_intr};

/// Opens a directory by absolute path (`O_PATH`): `openat2(RESOLVE_NO_SYMLINKS)`, which means magic links, too.
pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    Ok(retry_on_intr(|| rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve))?)
}

/// Opens a directory's entry, which must be a directory.
pub(super) fn open_subdirectory(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty()))?)
}

/// Opens a file of a cgroup for writing.
pub(super) fn open_write(directory: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::openat(&directory, name, flags, Mode::empty()))?)
}

/// Opens a cgroup's file for writing by absolute path.
pub(super) fn open_write_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    Ok(retry_on_intr(|| rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve))?)
}

/// Opens a file of a cgroup for reading (and writing, where `flags` say so).
pub(super) fn open_read(directory: impl AsFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::openat(&directory, name, flags, Mode::empty()))?)
}

/// Writes a value. A control file takes it in one `write(2)` or not at all.
pub(super) fn write_descriptor(file: impl AsFd, value: &str) -> io::Result<()> {
    let written = retry_on_intr(|| rustix::io::write(&file, value.as_bytes()))?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO.into()) }
}

/// Opens, writes, closes.
pub(super) fn write_file(directory: impl AsFd, name: &str, value: &str) -> io::Result<()> {
    write_descriptor(open_write(directory, name)?, value)
}

/// Reads a file that the kernel shows as one record: it ends where a read comes back short, so that the usual
/// read of the end can be saved.
pub(super) fn read_descriptor(file: impl AsFd) -> io::Result<String> {
    let mut text = vec![0; 4096];
    let mut length = 0;
    loop {
        let read = retry_on_intr(|| rustix::io::read(&file, &mut text[length..]))?;
        length += read;
        if length < text.len() {
            text.truncate(length);
            return String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into());
        }
        text.resize(2 * length, 0);
    }
}

/// Reads a one-record file of a cgroup.
pub(super) fn read_file(directory: impl AsFd, name: &str) -> io::Result<String> {
    read_descriptor(open_read(directory, name, OFlags::RDONLY)?)
}

/// Reads a one-record file by absolute path.
pub(super) fn read_path(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    read_descriptor(retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?)
}

/// Reads a file of many records, to its end.
pub(super) fn read_list(file: impl AsFd) -> io::Result<String> {
    let mut text = Vec::with_capacity(16 * 1024);
    let mut length = 0;
    loop {
        text.resize(length + 16 * 1024, 0);
        match retry_on_intr(|| rustix::io::read(&file, &mut text[length..]))? {
            0 => break,
            read => length += read,
        }
    }
    text.truncate(length);
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Reads a file of many records by absolute path.
pub(super) fn read_list_path(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    read_list(retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?)
}

/// The names of a cgroup's files that are UTF-8, as all of the kernel's are.
pub(super) fn read_names(directory: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = retry_on_intr(|| rustix::fs::openat(directory, ".", flags, Mode::empty()))?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(open)? {
        names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
    }
    Ok(names)
}

/// The names of the cgroups directly below: any bytes, the container may have made them.
pub(super) fn read_subdirectories(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = retry_on_intr(|| rustix::fs::openat(directory, ".", flags, Mode::empty()))?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(open)? {
        let entry = entry?;
        if entry.file_type() == FileType::Directory && !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes a directory below another.
pub(super) fn remove_directory(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR))?)
}

/// Removes a directory by absolute path.
pub(super) fn remove_directory_path(path: &Path) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR))?)
}

/// Makes a directory by absolute path.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)))?)
}

/// Whether there is anything at an absolute path.
pub(super) fn exists(path: &Path) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::accessat(CWD, path, Access::EXISTS, AtFlags::empty())) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The inode of what is at an absolute path.
pub(super) fn inode(path: &Path) -> io::Result<u64> {
    Ok(retry_on_intr(|| rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW))?.st_ino)
}

/// The inode of an open directory.
pub(super) fn inode_of(directory: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(retry_on_intr(|| rustix::fs::fstat(directory))?.st_ino)
}

/// The owner of an open directory.
pub(super) fn owner(directory: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(retry_on_intr(|| rustix::fs::fstat(directory))?.st_uid)
}

/// The file system's magic number.
pub(super) fn filesystem(directory: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(retry_on_intr(|| rustix::fs::fstatfs(directory))?.f_type.cast_unsigned())
}

/// Whether an error says that the cgroup (or its file) is gone: `ENOENT`, or `ENODEV` on an open file of it.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|errno| errno == Errno::NOENT.raw_os_error() || errno == Errno::NODEV.raw_os_error())
}

/// Whether an error is this errno.
pub(super) fn is_errno(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

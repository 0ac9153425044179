//! `tmpcopyup`: what a directory of the image holds, copied into a new file system.
//!
//! Runs in init. Names are only ever opened in a directory that is open, without following links; nothing outside
//! the directory is reached. Owners, permissions and links are kept; devices, sockets and FIFOs are made anew. The directory's
//! own are the file system's options to say.

use core::ffi::CStr;

use crate::report::Call;
use crate::sys::{self, flag};

/// Directories deeper than this are refused: each costs a frame of the stack.
const MOST_DEPTH: u32 = 64;

/// Copies what the directory `from` (an `O_PATH` descriptor) holds into the directory `to`.
pub fn copy_directory(from: i32, to: i32) -> sys::Result<()> {
    copy_entries(from, to, MOST_DEPTH)
}

fn copy_entries(from: i32, to: i32, depth: u32) -> sys::Result<()> {
    if depth == 0 {
        return sys::refuse(Call::Getdents, flag::ELOOP);
    }
    let directory = sys::openat(from, c".", flag::O_DIRECTORY, 0)?;
    let mut buffer = [0_u8; 2048];
    loop {
        let length = sys::getdents(directory, &mut buffer)?;
        if length == 0 {
            break;
        }
        let mut entries = &buffer[..length];
        // struct linux_dirent64: inode (8), offset (8), record length (2), type (1), name.
        while let Some(record) =
            entries.get(16..18).map(|size| usize::from(size[0]) | usize::from(size[1]) << 8)
        {
            let Some(name) = entries.get(19..record).and_then(|name| CStr::from_bytes_until_nul(name).ok())
            else {
                break;
            };
            if !matches!(name.to_bytes(), b"." | b"..") {
                copy_entry(directory, to, name, depth)?;
            }
            entries = &entries[record..];
        }
    }
    sys::close(directory);
    Ok(())
}

fn copy_entry(from: i32, to: i32, name: &CStr, depth: u32) -> sys::Result<()> {
    let status = sys::stat(from, name)?;
    let permissions = status.mode & 0o7777;
    match status.kind() {
        flag::S_IFDIR => {
            sys::mkdirat(to, name, 0o700)?;
            let source = sys::openat(from, name, flag::O_DIRECTORY | flag::O_NOFOLLOW, 0)?;
            let target = sys::openat(to, name, flag::O_DIRECTORY | flag::O_NOFOLLOW, 0)?;
            copy_entries(source, target, depth - 1)?;
            sys::fchownat(target, c"", status.uid, status.gid)?;
            sys::fchmod(target, permissions)?;
            sys::close(source);
            sys::close(target);
            Ok(())
        }
        flag::S_IFREG => {
            let flags = flag::O_NOFOLLOW | flag::O_NONBLOCK;
            let source = sys::openat(from, name, flags, 0)?;
            let target = sys::openat(to, name, flag::O_WRONLY | flag::O_CREAT | flag::O_EXCL | flags, 0o600)?;
            while sys::sendfile(target, source, 1 << 30)? > 0 {}
            sys::fchownat(target, c"", status.uid, status.gid)?;
            sys::fchmod(target, permissions)?;
            sys::close(source);
            sys::close(target);
            Ok(())
        }
        flag::S_IFLNK => {
            let mut bytes = [0; 4096];
            let length = sys::readlinkat(from, name, &mut bytes[..4095])?;
            let target = CStr::from_bytes_until_nul(&bytes[..=length]).unwrap_or(c"");
            sys::symlinkat(target, to, name)?;
            sys::fchownat(to, name, status.uid, status.gid)
        }
        kind => {
            sys::mknodat(to, name, kind | permissions, status.rdev_major, status.rdev_minor)?;
            sys::fchownat(to, name, status.uid, status.gid)
        }
    }
}

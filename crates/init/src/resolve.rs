//! Paths inside the container's root: the one way in which they become descriptors.
//!
//! Runs in init. Whatever the image's links say, the kernel keeps the walk inside the root (`RESOLVE_IN_ROOT`) and
//! follows no magic link. What is missing is made one component at a time, each by its name in a directory that is
//! open.

use core::ffi::CStr;

use crate::buffer::PathBuffer;
use crate::report::Call;
use crate::sys::{self, Failure, flag};

const INSIDE: u64 = flag::RESOLVE_IN_ROOT | flag::RESOLVE_NO_MAGICLINKS;

/// Links followed before a path is held for a loop, as in the kernel.
const MOST_LINKS: u32 = 40;

/// What is made where a path is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Directory,
    File,
}

/// The file system that was mounted last, new and empty: a directory that is made in it is made by its name there, whatever
/// the image's links are.
pub struct OwnDirectory {
    path: &'static CStr,
    directory: i32,
}

impl OwnDirectory {
    /// There is none.
    pub const NONE: Self = Self { path: c"", directory: -1 };

    /// By the path that it was mounted at, and its mount.
    pub const fn new(path: &'static CStr, mount: i32) -> Self {
        Self { path, directory: mount }
    }

    /// Makes the directory that a path names, directly in this one, and opens it; `None` where it is somewhere else, or can't
    /// be made: then it is had, or the reason said, in the way of all paths.
    pub fn make_directory(&self, path: &CStr) -> sys::Result<Option<i32>> {
        let Some(name) = self.name_of(path) else { return Ok(None) };
        if sys::mkdirat(self.directory, name, 0o755).is_err() {
            return Ok(None);
        }
        // What is opened is what was made, or a race in a mount namespace that was joined, which stays in this file system.
        sys::openat(self.directory, name, flag::O_PATH | flag::O_NOFOLLOW | flag::O_DIRECTORY, 0).map(Some)
    }

    fn name_of<'a>(&self, path: &'a CStr) -> Option<&'a CStr> {
        let within = self.path.to_bytes().len() + 1;
        let parent = path.to_bytes().get(..within)?.strip_suffix(b"/")?;
        let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[within..]).ok()?;
        let plain = !matches!(name.to_bytes(), b"" | b"." | b"..") && !name.to_bytes().contains(&b'/');
        (self.directory >= 0 && parent == self.path.to_bytes() && plain).then_some(name)
    }

    /// There may be something above it.
    pub fn forget(&mut self) {
        crate::descriptor::discard(core::mem::replace(self, Self::NONE).directory);
    }
}

/// An existing path of the root.
pub fn open(root: i32, path: &CStr) -> sys::Result<i32> {
    sys::openat2(root, path, flag::O_PATH, 0, INSIDE)
}

/// An existing path of the root; `None` where there is nothing.
pub fn open_existing(root: i32, path: &CStr) -> sys::Result<Option<i32>> {
    match open(root, path) {
        Ok(file) => Ok(Some(file)),
        Err(Failure { errno: flag::ENOENT | flag::ENOTDIR, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A path of the root, made with its parents (0755, 0644) where it is missing.
pub fn open_or_make(root: i32, path: &CStr, make: Make) -> sys::Result<i32> {
    if let Some(file) = open_existing(root, path)? {
        return Ok(file);
    }
    match make_last(root, path, make)? {
        Some(file) => Ok(file),
        None => make_missing(root, path, make),
    }
}

/// Makes a path of which only the last component is missing; `None` where it is not as simple.
fn make_last(root: i32, path: &CStr, make: Make) -> sys::Result<Option<i32>> {
    let bytes = path.to_bytes();
    let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > 0) else {
        return Ok(None);
    };
    let Ok(name) = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[slash + 1..]) else { return Ok(None) };
    if matches!(name.to_bytes(), b"" | b"." | b"..") {
        return Ok(None);
    }
    let mut parent_path = PathBuffer::new();
    parent_path.push(&bytes[..slash])?;
    let flags = flag::O_PATH | flag::O_DIRECTORY;
    let Ok(parent) = sys::openat2(root, parent_path.as_c_str(), flags, 0, INSIDE) else { return Ok(None) };
    let made = match make {
        Make::Directory => sys::mkdirat(parent, name, 0o755),
        Make::File => {
            let flags = flag::O_WRONLY | flag::O_CREAT | flag::O_EXCL | flag::O_NOFOLLOW;
            sys::openat(parent, name, flags, 0o644).map(sys::close)
        }
    };
    let result = match made {
        // Nobody else's: what is opened is what was made, or a race that O_NOFOLLOW shows.
        Ok(()) => sys::openat(parent, name, flag::O_PATH | flag::O_NOFOLLOW, 0).map(Some),
        // A link to nowhere.
        Err(Failure { errno: flag::EEXIST, .. }) => Ok(None),
        Err(failure) => Err(failure),
    };
    crate::descriptor::discard(parent);
    result
}

/// A directory of the root that is reached without any symbolic link: where `/proc` and `/sys` go.
pub fn open_or_make_ordinary(root: i32, path: &CStr) -> sys::Result<i32> {
    let resolve = INSIDE | flag::RESOLVE_NO_SYMLINKS;
    let flags = flag::O_PATH | flag::O_DIRECTORY;
    match sys::openat2(root, path, flags, 0, resolve) {
        Err(Failure { errno: flag::ENOENT, .. }) => {
            sys::close(make_missing(root, path, Make::Directory)?);
            sys::openat2(root, path, flags, 0, resolve)
        }
        result => result,
    }
}

/// The parent directory of a path of the root, made where it is missing, and the path's last component.
pub fn open_parent<'a>(root: i32, path: &'a CStr) -> sys::Result<(i32, &'a CStr)> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let name =
        path.to_bytes_with_nul().get(slash + 1..).and_then(|rest| CStr::from_bytes_with_nul(rest).ok());
    let Some(name) = name.filter(|name| !matches!(name.to_bytes(), b"" | b"." | b"..")) else {
        return sys::refuse(Call::CheckRoot, flag::EINVAL);
    };
    let mut parent = PathBuffer::new();
    parent.push(if slash == 0 { b"/" } else { &bytes[..slash] })?;
    Ok((open_or_make(root, parent.as_c_str(), Make::Directory)?, name))
}

/// Makes what is missing of a path, and opens it by its path without links.
#[inline(never)]
fn make_missing(root: i32, path: &CStr, make: Make) -> sys::Result<i32> {
    let mut rest = PathBuffer::new();
    rest.push(path.to_bytes())?;
    let mut real = PathBuffer::new();
    let mut links = 0;
    loop {
        let (component, remainder) = split_component(rest.as_bytes());
        let last = remainder.is_empty();
        match component {
            b"" if last => return open(root, real.as_c_str()),
            b"" | b"." => {}
            b".." => real.pop_component(),
            name => {
                let parent_length = real.as_bytes().len();
                real.push_component(name)?;
                let make = if last { make } else { Make::Directory };
                if let Some(target) = look_or_make(root, &real, parent_length, make)? {
                    links += 1;
                    if links > MOST_LINKS {
                        return sys::refuse(Call::CheckRoot, flag::ELOOP);
                    }
                    real.truncate(if target.as_bytes().starts_with(b"/") { 0 } else { parent_length });
                    let mut next = target;
                    next.push_component(remainder)?;
                    rest = next;
                    continue;
                }
            }
        }
        let mut next = PathBuffer::new();
        next.push(remainder)?;
        rest = next;
    }
}

/// The first component, and what comes after its slashes.
fn split_component(path: &[u8]) -> (&[u8], &[u8]) {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let path = &path[start..];
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    let after = path[end..].iter().position(|byte| *byte != b'/').map_or(path.len(), |skip| end + skip);
    (&path[..end], &path[after..])
}

/// Where `path` (whose parents are no links) is a link: its target. Where it is missing: it is made.
fn look_or_make(
    root: i32,
    path: &PathBuffer,
    parent_length: usize,
    make: Make,
) -> sys::Result<Option<PathBuffer>> {
    let resolve = INSIDE;
    match sys::openat2(root, path.as_c_str(), flag::O_PATH | flag::O_NOFOLLOW, 0, resolve) {
        Ok(file) => {
            let link = sys::stat(file, c"")?.kind() == flag::S_IFLNK;
            let target = if link { Some(read_link(file)?) } else { None };
            sys::close(file);
            Ok(target)
        }
        Err(Failure { errno: flag::ENOENT, .. }) => {
            let mut parent_path = PathBuffer::new();
            parent_path.push(if parent_length == 0 { b"/" } else { &path.as_bytes()[..parent_length] })?;
            let parent =
                sys::openat2(root, parent_path.as_c_str(), flag::O_PATH | flag::O_DIRECTORY, 0, resolve)?;
            let mut name = PathBuffer::new();
            name.push(&path.as_bytes()[parent_length + 1..])?;
            match make {
                Make::Directory => match sys::mkdirat(parent, name.as_c_str(), 0o755) {
                    // Somebody else made it meanwhile; what it is shows when it is opened.
                    Err(Failure { errno: flag::EEXIST, .. }) => {}
                    result => result?,
                },
                Make::File => {
                    let flags = flag::O_WRONLY | flag::O_CREAT | flag::O_EXCL | flag::O_NOFOLLOW;
                    match sys::openat(parent, name.as_c_str(), flags, 0o644) {
                        Ok(file) => sys::close(file),
                        Err(Failure { errno: flag::EEXIST, .. }) => {}
                        Err(failure) => return Err(failure),
                    }
                }
            }
            sys::close(parent);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// The target of a link that is open.
fn read_link(link: i32) -> sys::Result<PathBuffer> {
    let mut bytes = [0; 4096];
    let length = sys::readlinkat(link, c"", &mut bytes)?;
    let mut target = PathBuffer::new();
    target.push(&bytes[..length])?;
    Ok(target)
}

//! The directory below which each container has one: entries are found, made, locked and removed, by descriptor.
//!
//! Runs in the runtime. Names below the root are ids, which are safe as names.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstat, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::entry::{Entry, GATE, INTENT, NEW_RECORD, RECORD};
use crate::ContainerId;
use crate::error::{Error, Result};

/// How long another operation may hold a container's lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// How often a creation begins again, whose directory another removes meanwhile.
const ATTEMPTS: usize = 16;

/// The directory below which each container has one.
#[derive(Debug)]
pub struct StateRoot {
    directory: OwnedFd,
    owner: u32,
    path: PathBuf,
}

/// For the words of an error.
fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|status| status.is_symlink())
}

impl StateRoot {
    /// Opens the directory, made 0700 where it is missing.
    ///
    /// # Errors
    /// [`Error::StateRoot`] where it belongs to another user, others can write it, or it is no directory.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |reason: String| Error::StateRoot { root: path.to_owned(), reason };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
        let opened = match open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                make_directories(path).map_err(|error| refuse(crate::error::reason(&error)))?;
                open(path, flags, Mode::empty())
            }
            result => result,
        };
        let directory = opened.map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR if is_link(path) => {
                refuse("it is a symbolic link, which is not followed: name the directory itself".to_owned())
            }
            Errno::LOOP | Errno::NOTDIR => refuse("it is not a directory".to_owned()),
            Errno::ACCESS | Errno::PERM => refuse(crate::error::reason(&errno.into())),
            errno => Error::file("open the state root", path, errno.into()),
        })?;
        let status =
            fstat(&directory).map_err(|errno| Error::file("stat the state root", path, errno.into()))?;
        if status.st_uid != geteuid().as_raw() {
            return Err(refuse(format!("it belongs to user {}", status.st_uid)));
        }
        if status.st_mode & 0o022 != 0 {
            return Err(refuse(format!("others can write to it (mode {:04o})", status.st_mode & 0o7777)));
        }
        Ok(Self { directory, owner: status.st_uid, path: path.to_owned() })
    }

    /// The user that it belongs to: the effective one, when it was opened.
    pub const fn owner(&self) -> u32 {
        self.owner
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory of a new container, locked. One in which nothing was recorded is what a crash has left of a
    /// creation that had done nothing yet: it is as if it weren't there.
    ///
    /// # Errors
    /// [`Error::Exists`]
    pub fn create(&self, id: &ContainerId) -> Result<Entry> {
        self.create_for(id, INTENT)
    }

    /// As [`StateRoot::create`], for what records itself first in the file `first`.
    ///
    /// # Errors
    /// [`Error::Exists`]
    pub(crate) fn create_for(&self, id: &ContainerId, first: &str) -> Result<Entry> {
        for _ in 0..ATTEMPTS {
            let made = match mkdirat(&self.directory, &**id, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => {
                    return Err(Error::file("make the directory", self.path.join(&**id), errno.into()));
                }
            };
            let claimed = self.open_entry(id).and_then(|entry| {
                // Whoever holds the lock of one that is there is at work on it.
                self.lock_within(&entry, if made { LOCK_DEADLINE } else { Duration::ZERO })?;
                // Of two that are faster than each other at the lock, the second finds what the first has recorded.
                let taken = if made { entry.has(first)? } else { !entry.is_abandoned()? };
                if taken {
                    return Err(Error::Exists);
                }
                if !made {
                    entry.remove_files().map_err(|errno| self.remove_error(&entry, errno))?;
                }
                Ok(entry)
            });
            match claimed {
                // It was removed meanwhile.
                Err(Error::NotFound) => {}
                Err(
                    Error::Exists
                    | Error::Busy
                    | Error::CalledByHook
                    | Error::State { .. }
                    | Error::ForeignState { .. },
                ) => {
                    return Err(Error::Exists);
                }
                Err(error) if made => {
                    // It is empty: nobody has anything of it.
                    let _ = unlinkat(&self.directory, &**id, AtFlags::REMOVEDIR);
                    return Err(error);
                }
                claimed => return claimed,
            }
        }
        Err(Error::Busy)
    }

    /// A container's directory, without its lock: for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn open_entry(&self, id: &ContainerId) -> Result<Entry> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
        match openat(&self.directory, &**id, flags, Mode::empty()) {
            Ok(directory) => Ok(Entry::new(directory, id.clone())),
            Err(Errno::NOENT) => Err(Error::NotFound),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Error::State {
                reason: format!("{} is not a directory", self.path.join(&**id).display()),
            }),
            Err(errno) => Err(Error::file("open", self.path.join(&**id), errno.into())),
        }
    }

    /// A container's directory, locked.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Busy`], [`Error::CalledByHook`]
    pub fn lock(&self, id: &ContainerId) -> Result<Entry> {
        let entry = self.open_entry(id)?;
        self.lock_within(&entry, LOCK_DEADLINE)?;
        Ok(entry)
    }

    /// A container's directory, locked again after [`Entry::unlock`].
    ///
    /// # Errors
    /// [`Error::NotFound`] where the directory was removed, whatever has its name now; [`Error::Busy`]
    pub fn lock_again(&self, entry: &Entry) -> Result<()> {
        self.lock_within(entry, LOCK_DEADLINE)
    }

    /// Takes the lock, which ends with the entry.
    ///
    /// The kernel has no lock that is waited for until a deadline; the pauses here are between attempts, and only
    /// where another operation is at work.
    fn lock_within(&self, entry: &Entry, deadline: Duration) -> Result<()> {
        let deadline = Instant::now() + deadline;
        let mut pause = Duration::from_micros(200);
        while !entry.try_lock()? {
            if Instant::now() >= deadline {
                return Err(entry.why_busy());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        // Whoever had the lock may have removed the directory, and another of this name may be there now.
        let ours = fstat(entry).map_err(|errno| Error::host("fstat", errno.into()))?;
        match statat(&self.directory, &**entry.id(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) if (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Error::NotFound),
            // Not the same as its absence: `delete --force` would take that for a success.
            Err(errno) => Err(Error::file("stat", self.path.join(&**entry.id()), errno.into())),
        }
    }

    /// The names below the root, sorted.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let read = || -> rustix::io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.directory)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy();
                // What begins with a hyphen is no container's: see `ContainerId`.
                if !matches!(&*name, "." | "..") && !name.starts_with('-') {
                    names.push(name.into_owned());
                }
            }
            names.sort();
            Ok(names)
        };
        read().map_err(|errno| Error::file("read", &self.path, errno.into()))
    }

    /// Removes an entry that is locked, with all that it holds.
    ///
    /// # Errors
    /// Something can't be removed.
    pub fn remove(&self, entry: &Entry) -> Result<()> {
        let error = |errno| self.remove_error(entry, errno);
        // The record goes last: as long as something is left, so is what tells of it. With the intent alone it would be one
        // that is being created.
        for name in [INTENT, RECORD] {
            match unlinkat(entry, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(error(errno)),
            }
        }
        match unlinkat(&self.directory, &**entry.id(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(error(errno)),
        }
        // What is known by name first: reading the directory takes a descriptor, and there may be none left.
        for name in [NEW_RECORD, GATE] {
            let _ = unlinkat(entry, name, AtFlags::empty());
        }
        if unlinkat(&self.directory, &**entry.id(), AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        entry.remove_files().map_err(error)?;
        match unlinkat(&self.directory, &**entry.id(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(error(errno)),
        }
    }

    fn remove_error(&self, entry: &Entry, errno: Errno) -> Error {
        Error::file("remove", self.path.join(&**entry.id()), errno.into())
    }
}

/// The directory and its missing parents.
fn make_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    // Sticky: what cleans a user's runtime directory leaves it alone then (XDG base directory specification).
    match std::fs::DirBuilder::new().mode(0o1700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

//! Directories of containers: made, locked, read, removed, by descriptor.
//!
//! Runs in the runtime. Names below the root are ids, which are safe as names; nothing below a container's directory
//! is reached by path.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, open, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::checksum::{self, Checked};
use super::holder;
use super::identity::boot_id;
use super::record::{Phase, Record, SCHEMA};
use crate::ContainerId;
use crate::error::{Error, Result};

const RECORD: &str = "state.json";
/// What is recorded before anything exists, with the config that counts from then on. A name of its own: replacing a
/// file makes some file systems (ext4) write it out at once.
const INTENT: &str = "intent.json";
const NEW_RECORD: &str = ".state.json.new";
/// The directory that the container gets to see, with the socket of `sd_notify(3)`.
pub(crate) const NOTIFY: &str = "notify";
/// The gate's name in a container's directory.
pub(crate) const GATE: &str = "start.sock";

/// Most records, and most intents, are smaller.
const USUAL_RECORD_BYTES: usize = 8 << 10;
/// A record larger than this is not one of ours.
const MOST_RECORD_BYTES: u64 = 64 << 20;

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

/// A container's directory.
#[derive(Debug)]
pub struct Entry {
    directory: OwnedFd,
    id: ContainerId,
    locked: AtomicBool,
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
                entry.lock_within(self, if made { LOCK_DEADLINE } else { Duration::ZERO })?;
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
                Err(Error::Exists | Error::Busy | Error::CalledByHook | Error::State { .. }) => {
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
            Ok(directory) => Ok(Entry { directory, id: id.clone(), locked: AtomicBool::new(false) }),
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
        entry.lock(self)?;
        Ok(entry)
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
            match unlinkat(&entry.directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(error(errno)),
            }
        }
        match unlinkat(&self.directory, &*entry.id, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(error(errno)),
        }
        // What is known by name first: reading the directory takes a descriptor, and there may be none left.
        for name in [NEW_RECORD, GATE] {
            let _ = unlinkat(&entry.directory, name, AtFlags::empty());
        }
        if unlinkat(&self.directory, &*entry.id, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        entry.remove_files().map_err(error)?;
        match unlinkat(&self.directory, &*entry.id, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(error(errno)),
        }
    }

    fn remove_error(&self, entry: &Entry, errno: Errno) -> Error {
        Error::file("remove", self.path.join(&*entry.id), errno.into())
    }
}

/// Removes a directory of files.
fn remove_directory(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
    let directory = openat(parent, name, flags, Mode::empty())?;
    for file in Dir::read_from(&directory)? {
        let file = file?;
        if !matches!(file.file_name().to_bytes(), b"." | b"..") {
            unlinkat(&directory, file.file_name(), AtFlags::empty())?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
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

impl Entry {
    /// The container's id.
    pub const fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Takes the lock, which ends with this.
    ///
    /// The kernel has no lock that is waited for until a deadline; the pauses here are between attempts, and only
    /// where another operation is at work.
    fn lock(&self, root: &StateRoot) -> Result<()> {
        self.lock_within(root, LOCK_DEADLINE)
    }

    fn lock_within(&self, root: &StateRoot, deadline: Duration) -> Result<()> {
        let deadline = Instant::now() + deadline;
        let mut pause = Duration::from_micros(200);
        loop {
            match flock(&self.directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    self.locked.store(true, Ordering::Relaxed);
                    break;
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(self.why_busy()),
                Err(errno) => return Err(Error::host("flock", errno.into())),
            }
        }
        // Whoever had the lock may have removed the directory, and another of this name may be there now.
        let ours = fstat(&self.directory).map_err(|errno| Error::host("fstat", errno.into()))?;
        match statat(&root.directory, &*self.id, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) if (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Error::NotFound),
            // Not the same as its absence: `delete --force` would take that for a success.
            Err(errno) => Err(Error::file("stat", root.path.join(&*self.id), errno.into())),
        }
    }

    /// Who has the lock is looked for only now: a program that launches containers may well have started this one for
    /// something else than a hook, and then it was worth waiting.
    fn why_busy(&self) -> Error {
        match fstat(&self.directory).map(|status| holder::is_waiting_for_us(&status)) {
            Ok(true) => Error::CalledByHook,
            _ => Error::Busy,
        }
    }

    /// Whether there is a file of this name.
    fn has(&self, name: &str) -> Result<bool> {
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::file("stat", name, errno.into())),
        }
    }

    /// Whether it holds nothing but what a container's creation may have written, and no record among it that is whole.
    fn is_abandoned(&self) -> Result<bool> {
        let error = |errno: Errno| Error::file("read the directory", &*self.id, errno.into());
        for file in Dir::read_from(&self.directory).map_err(error)? {
            let file = file.map_err(error)?;
            let name = file.file_name().to_bytes();
            if ![".", "..", INTENT, NEW_RECORD, GATE, NOTIFY].iter().any(|it| it.as_bytes() == name) {
                return Ok(false);
            }
        }
        Ok(matches!(self.read(), Ok(None)))
    }

    /// Removes all that the directory holds.
    fn remove_files(&self) -> rustix::io::Result<()> {
        for file in Dir::read_from(&self.directory)? {
            let file = file?;
            let name = file.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match unlinkat(&self.directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => remove_directory(self.directory.as_fd(), name)?,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Takes the lock again, after [`Entry::unlock`].
    ///
    /// # Errors
    /// [`Error::NotFound`] where the directory was removed, whatever has its name now; [`Error::Busy`]
    pub fn lock_again(&self, root: &StateRoot) -> Result<()> {
        self.lock(root)
    }

    /// Gives the lock back and keeps the directory.
    ///
    /// # Errors
    /// What flock says.
    pub fn unlock(&self) -> Result<()> {
        self.locked.store(false, Ordering::Relaxed);
        flock(&self.directory, FlockOperation::Unlock).map_err(|errno| Error::host("flock", errno.into()))
    }

    /// What is recorded; `None` where nothing was yet.
    ///
    /// # Errors
    /// [`Error::State`] where it is not readable.
    pub fn read(&self) -> Result<Option<Record>> {
        let mut record = match self.read_file(RECORD)? {
            Some(bytes) => decode(RECORD, &bytes)?,
            None => match self.read_intent()? {
                Some(intent) => intent.record,
                None => return Ok(None),
            },
        };
        self.check(&mut record)?;
        Ok(Some(record))
    }

    /// What was recorded before anything was done, where what was recorded later is damaged; `None` where this is too.
    ///
    /// # Errors
    /// It can't be known whether it is.
    pub fn read_intended(&self) -> Result<Option<Record>> {
        let read = || -> Result<Option<Record>> {
            let Some(Intent { mut record, .. }) = self.read_intent()? else { return Ok(None) };
            self.check(&mut record)?;
            Ok(Some(record))
        };
        match read() {
            Err(Error::State { .. }) => Ok(None),
            read => read,
        }
    }

    /// Of another boot nothing is left: what has the same pid, or its cgroup's path, is something else.
    fn check(&self, record: &mut Record) -> Result<()> {
        if record.schema != SCHEMA {
            return Err(Error::State { reason: format!("{RECORD}: unknown schema {}", record.schema) });
        }
        if record.id != **self.id() {
            return Err(Error::State { reason: format!("{RECORD}: it is of container {:?}", record.id) });
        }
        if boot_id().map_err(|error| Error::host("read the boot id", error))? != record.boot_id {
            record.phase = Phase::Created;
            (record.init, record.cgroup, record.resctrl) = (None, None, None);
        }
        Ok(())
    }

    /// The config as it was at `create`.
    ///
    /// # Errors
    /// [`Error::State`] where it is missing or not readable.
    pub fn read_config(&self) -> Result<String> {
        let missing = || Error::State { reason: format!("{INTENT} is missing") };
        self.find_config()?.ok_or_else(missing)
    }

    /// The config as it was at `create`; `None` where it is missing, or not whole.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn find_config(&self) -> Result<Option<String>> {
        Ok(self.read_intent()?.map(|intent| intent.config))
    }

    /// The intent; `None` where it is missing or was not written to its end: then nothing was done yet.
    fn read_intent(&self) -> Result<Option<Intent>> {
        let Some(bytes) = self.read_file(INTENT)? else { return Ok(None) };
        match decode(INTENT, &bytes) {
            Ok(intent) => Ok(Some(intent)),
            Err(_) if checksum::check(&bytes) == Checked::Absent => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        // What the medium or the file itself refuses is damage. The rest is not, and passes: who deletes by force must not
        // take it for a record that says nothing.
        let error = |source: io::Error| match Errno::from_io_error(&source) {
            Some(Errno::IO | Errno::LOOP | Errno::NXIO) | None => {
                Error::State { reason: format!("{name}: {}", crate::error::reason(&source)) }
            }
            Some(_) => Error::file("read the state of the container:", name, source),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(error(errno.into())),
        };
        let status = file.metadata().map_err(error)?;
        if !status.is_file() || status.len() > MOST_RECORD_BYTES {
            return Err(Error::State { reason: format!("{name} is not a file of ours") });
        }
        let mut bytes = Vec::with_capacity(status.len() as usize + 1);
        file.take(MOST_RECORD_BYTES).read_to_end(&mut bytes).map_err(error)?;
        Ok(Some(bytes))
    }

    /// Records what is going to be done, and the config. Nothing may be done before this returns; until then the file
    /// may be there in part, and is as if it weren't.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_intent(&self, record: &Record, config: &str) -> Result<()> {
        self.write_file(INTENT, &encode(&IntentRef { record, config })?)
    }

    /// Records init: the file appears whole, or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, record: &Record) -> Result<()> {
        self.replace_file(RECORD, &encode(record)?)
    }

    /// Writes a file that appears whole, or not at all.
    pub(crate) fn replace_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_file(NEW_RECORD, bytes)?;
        renameat(&self.directory, NEW_RECORD, &self.directory, name)
            .map_err(|errno| Error::file("rename", name, errno.into()))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let error = |source: io::Error| Error::file("write", name, source);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| error(errno.into()))?;
        File::from(file).write_all(bytes).map_err(error)
    }

    /// A path of the gate that any process of this user namespace can use, however long the root's path is.
    pub fn gate_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{GATE}", self.directory.as_raw_fd()))
    }

    /// Makes the directory of the socket of `sd_notify(3)`.
    ///
    /// # Errors
    /// Of mkdir.
    pub fn make_notify_directory(&self) -> Result<()> {
        let mode = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
        mkdirat(&self.directory, NOTIFY, mode)
            .map_err(|errno| Error::file("make the directory", NOTIFY, errno.into()))
    }

    /// Removes the gate, where there is one.
    pub fn remove_gate(&self) {
        let _ = unlinkat(&self.directory, GATE, AtFlags::empty());
    }
}

/// Not left to the descriptor's end: what another thread has forked meanwhile has a copy of it.
impl Drop for Entry {
    fn drop(&mut self) {
        if *self.locked.get_mut() {
            let _ = self.unlock();
        }
    }
}

/// `intent.json`, as read.
#[derive(serde::Deserialize)]
struct Intent {
    record: Record,
    config: String,
}

/// `intent.json`, as written.
#[derive(serde::Serialize)]
struct IntentRef<'a> {
    record: &'a Record,
    config: &'a str,
}

/// A record as it is written, with its checksum.
pub(crate) fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_RECORD_BYTES);
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| Error::State { reason: format!("encode: {error}") })?;
    Ok(checksum::seal(bytes))
}

/// What the file of this name holds.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    if checksum::check(bytes) == Checked::Differs {
        let reason =
            format!("{name}: it was damaged, or changed by hand: its checksum is not that of what it holds");
        return Err(Error::State { reason });
    }
    serde_json::from_slice(bytes).map_err(|error| Error::State { reason: format!("{name}: {error}") })
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever byte of a file is another: what is read is the same, or it is said that it is damaged.
    #[test]
    fn byte_that_is_another_changes_nothing_unseen() {
        let path = std::env::temp_dir().join(format!("state-{}", std::process::id()));
        let root = StateRoot::open(&path).unwrap();
        let entry = root.create(&ContainerId::new("c1").unwrap()).unwrap();
        let record = Record {
            schema: SCHEMA,
            oci_version: "1.3.0".to_owned(),
            id: "c1".to_owned(),
            phase: Phase::Created,
            boot_id: boot_id().unwrap(),
            bundle: "/b".into(),
            rootfs: "/b/r".into(),
            created_ns: 1,
            owner_uid: 0,
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            init: Some(super::super::Identity { pid: 4711, pidfs_inode: 815, start_time: 0 }),
            executable: None,
            cgroup: None,
            resources: None,
            poststop: false,
            start_reads_config: false,
            own_pids: true,
            inherits_keyring: false,
            pod: None,
            resctrl: None,
            gate_step: Some(3),
        };
        let config = r#"{"ociVersion":"1.3.0","process":{"args":["a"]}}"#;
        entry.write_intent(&record, config).unwrap();
        entry.write(&record).unwrap();
        for name in [RECORD, INTENT] {
            let file = path.join("c1").join(name);
            let whole = std::fs::read(&file).unwrap();
            if name == INTENT {
                std::fs::remove_file(path.join("c1").join(RECORD)).unwrap();
            }
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << (at % 8);
                std::fs::write(&file, damaged).unwrap();
                match entry.read() {
                    Ok(Some(read)) => {
                        assert_eq!(read, record, "{name}: byte {at}");
                        assert_eq!(entry.read_config().unwrap(), config, "{name}: byte {at}");
                    }
                    // Its end is not there: an intent that was not written to it.
                    Ok(None) => assert!(name == INTENT && at >= whole.len() - 20, "{name}: byte {at}"),
                    Err(error) => assert!(error.to_string().contains(name), "{name}: byte {at}: {error}"),
                }
            }
            std::fs::write(&file, whole).unwrap();
            assert_eq!(entry.read().unwrap().as_ref(), Some(&record));
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
}

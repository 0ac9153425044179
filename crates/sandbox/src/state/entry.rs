//! A container's directory: its lock, what is recorded in it, what else it holds.
//!
//! Runs in the runtime. Nothing below it is reached by path.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::checksum::{self, Checked};
use super::document::{Intent, IntentRef, decode, encode, foreign_schema, is_foreign};
use super::holder;
use super::identity::boot_id;
use super::record::{Phase, Record, SCHEMA};
use crate::ContainerId;
use crate::contents;
use crate::error::{Error, Result};

pub(super) const RECORD: &str = "state.json";
/// What is recorded before anything exists, with the config that counts from then on. A name of its own: replacing a
/// file makes some file systems (ext4) write it out at once.
pub(super) const INTENT: &str = "intent.json";
pub(super) const NEW_RECORD: &str = ".state.json.new";
/// The directory that the container gets to see, with the socket of `sd_notify(3)`.
pub(crate) const NOTIFY: &str = "notify";
/// The gate's name in a container's directory.
pub(crate) const GATE: &str = "start.sock";

/// A record larger than this is not one of ours.
const MOST_RECORD_BYTES: u64 = 64 << 20;

/// A container's directory.
#[derive(Debug)]
pub struct Entry {
    directory: OwnedFd,
    id: ContainerId,
    locked: AtomicBool,
}

impl Entry {
    /// A directory that is open, without its lock.
    pub(super) const fn new(directory: OwnedFd, id: ContainerId) -> Self {
        Self { directory, id, locked: AtomicBool::new(false) }
    }

    /// The container's id.
    pub const fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Takes the lock, which ends with this, if nobody has it.
    pub(super) fn try_lock(&self) -> Result<bool> {
        match flock(&self.directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.locked.store(true, Ordering::Relaxed);
                Ok(true)
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::host("flock", errno.into())),
        }
    }

    /// Who has the lock is looked for only now: a program that launches containers may well have started this one for
    /// something else than a hook, and then it was worth waiting.
    pub(super) fn why_busy(&self) -> Error {
        match fstat(&self.directory).map(|status| holder::is_waiting_for_us(&status)) {
            Ok(true) => Error::CalledByHook,
            _ => Error::Busy,
        }
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> Result<bool> {
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::file("stat", name, errno.into())),
        }
    }

    /// Whether it holds nothing but what a container's creation may have written, and no record among it that is whole.
    pub(super) fn is_abandoned(&self) -> Result<bool> {
        Ok(self.find_other()?.is_none() && matches!(self.read(), Ok(None)))
    }

    /// Refuses what another runtime has made: without a record it holds what no creation of ours writes.
    ///
    /// # Errors
    /// [`Error::ForeignState`]
    pub fn check_abandoned(&self) -> Result<()> {
        match self.find_other()? {
            Some(name) => Err(Error::ForeignState { reason: format!("{name} is no file of ours") }),
            None => Ok(()),
        }
    }

    /// A file that a container's creation does not write before its record.
    fn find_other(&self) -> Result<Option<String>> {
        let error = |errno: Errno| Error::file("read the directory", &*self.id, errno.into());
        for file in Dir::read_from(&self.directory).map_err(error)? {
            let file = file.map_err(error)?;
            let name = file.file_name().to_bytes();
            if ![".", "..", INTENT, NEW_RECORD, GATE, NOTIFY].iter().any(|it| it.as_bytes() == name) {
                return Ok(Some(file.file_name().to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    /// Removes all that the directory holds.
    pub(super) fn remove_files(&self) -> rustix::io::Result<()> {
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
    /// [`Error::State`] where it is not readable; [`Error::ForeignState`] where it is not ours to read.
    pub fn read(&self) -> Result<Option<Record>> {
        let mut record = match self.read_file(RECORD)? {
            Some(bytes) => match decode(RECORD, &bytes) {
                // Beside an intent of ours it is damaged, whatever is written in it.
                Err(Error::State { .. }) if is_foreign(&bytes) && !self.has(INTENT)? => {
                    let reason = format!("{RECORD} has no schema: it is another runtime's");
                    return Err(Error::ForeignState { reason });
                }
                record => record?,
            },
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
    /// It can't be known whether it is; [`Error::ForeignState`].
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
            return Err(foreign_schema(RECORD, u64::from(record.schema)));
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
        contents::read(file, status.len(), MOST_RECORD_BYTES).map(Some).map_err(error)
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

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
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

#[cfg(test)]
mod tests {
    use super::super::StateRoot;
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

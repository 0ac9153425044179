//! `mounts`: the option table of the spec, as what the mount API is asked.

use std::path::Path;

use crate::config::IdMapping;
use crate::report::quote;
use crate::words::{text, violation};
use crate::{AbsolutePath, Text, Violations};

const CLAUSE: &str = "config.md#mounts";

/// The kernel's `MOUNT_ATTR_*` bits (`mount_setattr(2)`).
#[allow(missing_docs)]
pub mod attribute {
    pub const RDONLY: u64 = 0x0000_0001;
    pub const NOSUID: u64 = 0x0000_0002;
    pub const NODEV: u64 = 0x0000_0004;
    pub const NOEXEC: u64 = 0x0000_0008;
    /// The field of the access time policy; 0 in it is relatime.
    pub const ATIME: u64 = 0x0000_0070;
    pub const NOATIME: u64 = 0x0000_0010;
    pub const STRICTATIME: u64 = 0x0000_0020;
    pub const NODIRATIME: u64 = 0x0000_0080;
    pub const IDMAP: u64 = 0x0010_0000;
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// Bits to set and to clear, of [`attribute`]. Whoever sets one of the access time policies has `ATIME` in `clear`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear first.
    pub clear: u64,
}

impl Attributes {
    /// Whether nothing is asked.
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }
}

/// Shared, slave, private, unbindable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PropagationKind {
    Shared,
    Slave,
    Private,
    Unbindable,
}

/// A propagation type, of one mount or of the whole tree below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// Which.
    pub kind: PropagationKind,
    /// `rshared` and so on.
    pub recursive: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// An existing file or directory of the host.
    Bind {
        /// Host path, relative to the bundle unless absolute.
        source: Text,
        /// `rbind`: with the mounts below.
        recursive: bool,
    },
    /// Other attributes for what is mounted at the destination already (`remount`).
    Remount {
        /// With `bind`: of that mount alone; otherwise of its superblock too.
        bind: bool,
    },
    /// A new instance of a file system.
    Filesystem {
        /// `type`, never empty, never `cgroup`, `cgroup2` or `bind`.
        fstype: Text,
        /// `source`, as the file system understands it.
        source: Option<Text>,
    },
    /// The container's view of its cgroups (`type` `cgroup` or `cgroup2`), on whatever set-up the host has.
    Cgroup,
}

/// One option of a file system: `key` or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Before the first `=`.
    pub key: Text,
    /// After it.
    pub value: Option<Text>,
}

/// Id-mapping of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// `ridmap`: the mounts below too.
    pub recursive: bool,
    /// `uidMappings`; the container's user namespace where empty.
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings`; likewise.
    pub gid_mappings: Vec<IdMapping>,
}

/// One of `mounts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `destination`, in the container's root. A relative one was read from `/`, with a warning.
    pub destination: AbsolutePath,
    /// What is mounted.
    pub kind: MountKind,
    /// Attributes of this mount; of two opposite options the later one counts.
    pub attributes: Attributes,
    /// Attributes of this mount and all below (`rro` …).
    pub recursive_attributes: Attributes,
    /// Propagation types to set, in the order listed.
    pub propagation: Vec<Propagation>,
    /// What is left for the file system: `key=value` and superblock flags (`sync`, `dirsync`, `lazytime`, `mand`
    /// and their opposites).
    pub data: Vec<MountOption>,
    /// `tmpcopyup`: what the destination holds is copied into the new tmpfs.
    pub copy_up: bool,
    /// `idmap`, `ridmap`.
    pub id_map: Option<IdMap>,
}

impl Mount {
    /// A file or directory of the host, with the mounts below it, at this place of the container.
    ///
    /// # Errors
    /// The place is no absolute path; or there is a NUL in either, or what is not UTF-8. The pointer is that in the mount.
    pub fn bind(source: impl AsRef<Path>, destination: impl AsRef<Path>) -> Result<Self, Violations> {
        let source = text("/source", source.as_ref().as_os_str(), CLAUSE)?;
        Self::of(destination.as_ref(), MountKind::Bind { source, recursive: true })
    }

    /// A new file system of this type at this place of the container.
    ///
    /// # Errors
    /// As those of [`Mount::bind`]; or the type is empty.
    pub fn filesystem(fstype: &str, destination: impl AsRef<Path>) -> Result<Self, Violations> {
        let fstype = text("/type", fstype.as_ref(), CLAUSE)?;
        if fstype.is_empty() {
            return Err(violation("/type", quote(&fstype), "must not be empty", CLAUSE));
        }
        let source = Some(fstype.clone());
        Self::of(destination.as_ref(), MountKind::Filesystem { fstype, source })
    }

    fn of(destination: &Path, kind: MountKind) -> Result<Self, Violations> {
        let path = text("/destination", destination.as_os_str(), CLAUSE)?;
        let found = quote(&path);
        let destination = AbsolutePath::new(path)
            .ok_or_else(|| violation("/destination", found, "must be an absolute path", CLAUSE))?;
        Ok(Self {
            destination,
            kind,
            attributes: Attributes::default(),
            recursive_attributes: Attributes::default(),
            propagation: Vec::new(),
            data: Vec::new(),
            copy_up: false,
            id_map: None,
        })
    }
}

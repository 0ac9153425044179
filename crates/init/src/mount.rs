//! `mounts`: each is made detached, gets its attributes, and is attached to a descriptor of its target.
//!
//! Runs in init, before the root is switched: paths of the host are still there. Nothing is ever visible without its
//! final attributes.

use core::ffi::CStr;

use crate::report::{Call, Kind};
use crate::resolve::{self, Make, OwnDirectory};
use crate::state::Init;
use crate::sys::{self, Failure, flag};
use crate::wire::{PropagationsRef, StrsRef};

/// Bits of `mount_setattr(2)` that are used here.
pub mod attribute {
    pub const RDONLY: u64 = 1;
    pub const NOSUID: u64 = 2;
    pub const NODEV: u64 = 4;
    pub const NOEXEC: u64 = 8;
    pub const NOSYMFOLLOW: u64 = 1 << 21;
}

/// `PROC_ROOT_INO`, linux/proc_fs.h.
const PROC_ROOT_INODE: u64 = 1;

/// A mount with a new instance of a file system.
pub struct NewMount<'a> {
    pub fstype: &'a CStr,
    pub source: &'a CStr,
    pub target: &'a CStr,
    pub attributes: u64,
    pub options: StrsRef<'a>,
    pub copy_up: bool,
    pub keep_mode: bool,
    pub on_device: bool,
    pub propagation: PropagationsRef<'a>,
}

/// Bits of a clone that change.
#[derive(Clone, Copy)]
pub struct BindAttributes {
    pub set: u64,
    pub clear: u64,
    /// To be cleared where they may be.
    pub implied_clear: u64,
}

impl BindAttributes {
    /// Changes the mount, and with `recursive` what is mounted below. In a user namespace the flags of the host's mounts are
    /// locked: what nobody has asked to clear stays then, but for the one that is never locked.
    pub fn apply(self, mount: i32, recursive: bool) -> sys::Result<()> {
        let Self { set, clear, implied_clear } = self;
        if self.is_none() {
            return Ok(());
        }
        match sys::mount_setattr(mount, c"", recursive, set, clear | implied_clear, 0) {
            Err(Failure { errno: flag::EPERM, .. }) if implied_clear != 0 => {
                let never_locked = implied_clear & attribute::NOSYMFOLLOW;
                sys::mount_setattr(mount, c"", recursive, set, clear | never_locked, 0)
            }
            result => result,
        }
    }

    /// A detached copy of what is mounted at a path, with these attributes; with `AT_RECURSIVE` all that is mounted below
    /// has them too.
    pub fn clone_tree(self, directory: i32, path: &CStr, flags: usize) -> sys::Result<i32> {
        if self.is_none() {
            return sys::clone_tree(directory, path, flags);
        }
        // Older kernels don't know the call, filters around the runtime may not: two calls do the same.
        if let Ok(tree) =
            sys::clone_tree_with(directory, path, flags, self.set, self.clear | self.implied_clear)
        {
            return Ok(tree);
        }
        let tree = sys::clone_tree(directory, path, flags)?;
        self.apply(tree, flags & flag::AT_RECURSIVE != 0)?;
        Ok(tree)
    }

    const fn is_none(self) -> bool {
        self.set | self.clear | self.implied_clear == 0
    }
}

/// A mount of what is mounted or lies elsewhere.
pub struct BindMount<'a> {
    pub source: &'a CStr,
    pub target: &'a CStr,
    pub recursive: bool,
    pub attributes: BindAttributes,
    /// The same for the mounts below too.
    pub all_attributes: (u64, u64),
    pub propagation: PropagationsRef<'a>,
    pub slot: u32,
    pub in_proc: bool,
}

/// A detached mount of a new instance of a file system.
pub fn new_instance(
    fstype: &CStr,
    source: &CStr,
    options: StrsRef<'_>,
    mode: Option<u32>,
    attributes: u64,
) -> sys::Result<i32> {
    let context = open_context(fstype, source, options)?;
    if let Some(mode) = mode {
        sys::fsconfig_set(context, c"mode", octal(mode, &mut [0; 5]))?;
    }
    sys::fsconfig_create(context)?;
    let mount = sys::fsmount(context, attributes)?;
    crate::descriptor::discard(context);
    Ok(mount)
}

/// A file system that is going to be made.
fn open_context(fstype: &CStr, source: &CStr, options: StrsRef<'_>) -> sys::Result<i32> {
    let context = sys::fsopen(fstype)?;
    if !source.is_empty() {
        sys::fsconfig_set(context, c"source", source)?;
    }
    set_options(context, options)?;
    Ok(context)
}

/// Gives a file system that is being made its options: keys, each with its value after it.
pub fn set_options(context: i32, mut options: StrsRef<'_>) -> sys::Result<()> {
    while let (Some(key), Some(value)) = (options.next(), options.next()) {
        sys::fsconfig_set(context, key, value)?;
    }
    Ok(())
}

/// Permissions as file systems take them: up to four digits.
fn octal(mode: u32, buffer: &mut [u8; 5]) -> &CStr {
    for (place, digit) in buffer.iter_mut().take(4).enumerate() {
        *digit = b'0' + (mode >> (9 - 3 * place) & 7) as u8;
    }
    let zeros = buffer.iter().take(3).take_while(|digit| **digit == b'0').count();
    CStr::from_bytes_with_nul(&buffer[zeros..]).unwrap_or(c"0")
}

impl Init {
    /// Makes a mount of a new instance of a file system.
    pub fn mount(&mut self, new: &NewMount<'static>) -> sys::Result<()> {
        let kernel_view = matches!(new.fstype.to_bytes(), b"proc" | b"sysfs");
        let mut mode = None;
        let made = self.own.make_directory(new.target)?;
        let is_made = made.is_some();
        let target = if let Some(made) = made {
            made
        } else if kernel_view {
            resolve::open_or_make_ordinary(self.root, new.target)?
        } else if new.keep_mode {
            // As the directory that it hides, if there is one.
            match resolve::open_existing(self.root, new.target)? {
                Some(target) => {
                    mode = Some(sys::stat(target, c"")?.mode & 0o7777);
                    target
                }
                None => resolve::open_or_make(self.root, new.target, Make::Directory)?,
            }
        } else {
            resolve::open_or_make(self.root, new.target, Make::Directory)?
        };
        let attributes = if new.copy_up { new.attributes & !attribute::RDONLY } else { new.attributes };
        let mount = if new.on_device {
            self.new_instance_on_device(new)?
        } else {
            new_instance(new.fstype, new.source, new.options, mode, attributes)?
        };
        if new.fstype != c"proc" {
            self.check_place(false, mount, target, is_made)?;
        }
        if new.copy_up {
            crate::copy::copy_directory(target, mount)?;
            if new.attributes != attributes {
                sys::mount_setattr(mount, c"", false, attribute::RDONLY, 0, 0)?;
            }
        }
        self.attach(mount, target, is_made, new.propagation)?;
        // An option may hide what kernel parameters are set through (`subset=pid`).
        let is_whole = new.attributes & attribute::RDONLY == 0 && new.options.count() == 0;
        if new.fstype == c"proc" && is_whole && self.procfs < 0 {
            self.procfs = mount;
        } else if !is_made && new.fstype == c"tmpfs" && !new.copy_up {
            self.own = OwnDirectory::new(new.target, mount);
        } else {
            self.discard(mount);
        }
        Ok(())
    }

    /// As [`new_instance`], but that the runtime makes it, in whose cgroup the device may be used.
    fn new_instance_on_device(&self, new: &NewMount<'static>) -> sys::Result<i32> {
        let context = open_context(new.fstype, new.source, new.options)?;
        self.report_descriptor(Kind::Offered, 0, context)?;
        self.await_go()?;
        let mount = sys::fsmount(context, new.attributes)?;
        crate::descriptor::discard(context);
        Ok(mount)
    }

    /// Clones a mount of the host and attaches it.
    pub fn bind(&mut self, bind: &BindMount<'_>) -> sys::Result<()> {
        let opened = if bind.slot == 0 { -1 } else { self.held(bind.slot) };
        let tree = if opened < 0 && !bind.recursive {
            bind.attributes.clone_tree(flag::AT_FDCWD, bind.source, 0)?
        } else {
            let tree = if opened >= 0 { opened } else { clone_host_path(bind.source, true)? };
            bind.attributes.apply(tree, false)?;
            tree
        };
        let directory = sys::stat(tree, c"")?.kind() == flag::S_IFDIR;
        let made = if directory { self.own.make_directory(bind.target)? } else { None };
        let is_made = made.is_some();
        let target = match made {
            Some(target) => target,
            None => {
                let make = if directory { Make::Directory } else { Make::File };
                resolve::open_or_make(self.root, bind.target, make)?
            }
        };
        self.check_place(bind.in_proc, tree, target, is_made)?;
        let (set, clear) = bind.all_attributes;
        if set | clear != 0 {
            sys::mount_setattr(tree, c"", true, set, clear, 0)?;
        }
        self.attach(tree, target, is_made, bind.propagation)?;
        self.discard(tree);
        Ok(())
    }

    /// As [`Init::check_not_in_proc`]; what was `made` in a file system of ours is in no procfs, and is not the root's `/proc`
    /// where that is one.
    fn check_place(&self, in_proc: bool, tree: i32, target: i32, made: bool) -> sys::Result<()> {
        if made && self.procfs >= 0 { Ok(()) } else { self.check_not_in_proc(in_proc, tree, target) }
    }

    /// A procfs that is hidden by something else would make every later write to it go astray, the container's own too:
    /// `/proc` may only be covered by a whole procfs, whatever the path is written as or the image's links make of it, and
    /// in a procfs only the files that the planner allowed.
    pub fn check_not_in_proc(&self, in_proc: bool, tree: i32, target: i32) -> sys::Result<()> {
        if sys::filesystem_magic(target)? == flag::PROC_SUPER_MAGIC {
            let is_root = sys::stat(target, c"")?.inode == PROC_ROOT_INODE;
            if if is_root { is_whole_procfs(tree)? } else { in_proc } {
                return Ok(());
            }
            return sys::refuse(Call::CheckProc, flag::EPERM);
        }
        // With a procfs of ours in its place, that one is what would be covered.
        if self.procfs >= 0 { Ok(()) } else { self.check_not_proc(tree, target) }
    }

    /// The root's `/proc` is for a procfs, also where none is mounted on it.
    pub fn check_not_proc(&self, tree: i32, target: i32) -> sys::Result<()> {
        let Some(proc) = resolve::open_existing(self.root, c"/proc")? else { return Ok(()) };
        let (place, target) = (sys::stat(proc, c"")?, sys::stat(target, c"")?);
        self.discard(proc);
        let same = (place.mount, place.inode) == (target.mount, target.inode);
        if same && !is_whole_procfs(tree)? { sys::refuse(Call::CheckProc, flag::EPERM) } else { Ok(()) }
    }

    /// Attaches a mount; propagation is set when it has its place: the place's own would change it. What is not `made` in the
    /// file system of ours may cover it.
    fn attach(
        &mut self,
        mount: i32,
        target: i32,
        made: bool,
        propagation: PropagationsRef<'_>,
    ) -> sys::Result<()> {
        sys::attach(mount, target)?;
        self.discard(target);
        if !made {
            self.own.forget();
        }
        for flags in propagation {
            let recursive = flags.0 & flag::MS_REC != 0;
            sys::mount_setattr(mount, c"", recursive, 0, 0, flags.0 & !flag::MS_REC)?;
        }
        Ok(())
    }

    /// Changes the attributes of what is mounted at a path.
    pub fn set_attributes(
        &mut self,
        target: &CStr,
        recursive: bool,
        set: u64,
        clear: u64,
    ) -> sys::Result<()> {
        let mount = resolve::open(self.root, target)?;
        sys::mount_setattr(mount, c"", recursive, set, clear, 0)?;
        self.discard(mount);
        Ok(())
    }

    /// Changes the propagation of what is mounted at a path.
    pub fn set_mount_propagation(&mut self, target: &CStr, propagation: u64) -> sys::Result<()> {
        let mount = resolve::open(self.root, target)?;
        let recursive = propagation & flag::MS_REC != 0;
        sys::mount_setattr(mount, c"", recursive, 0, 0, propagation & !flag::MS_REC)?;
        self.discard(mount);
        Ok(())
    }

    /// Changes the superblock's options of what is mounted at a path.
    pub fn reconfigure(&mut self, target: &CStr, options: StrsRef<'_>) -> sys::Result<()> {
        let mount = resolve::open(self.root, target)?;
        let context = sys::fspick(mount)?;
        set_options(context, options)?;
        sys::fsconfig_reconfigure(context)?;
        self.discard(context);
        self.discard(mount);
        Ok(())
    }

    /// Gives a directory an SELinux label.
    pub fn set_label(&mut self, target: &CStr, label: &CStr) -> sys::Result<()> {
        let found = resolve::open(self.root, target)?;
        let directory = sys::openat(found, c".", flag::O_DIRECTORY, 0)?;
        sys::set_attribute(directory, c"security.selinux", label)?;
        self.discard(directory);
        self.discard(found);
        Ok(())
    }

    /// Makes a directory in the root.
    pub fn make_directory(&mut self, path: &CStr) -> sys::Result<()> {
        let directory = resolve::open_or_make(self.root, path, Make::Directory)?;
        self.discard(directory);
        Ok(())
    }
}

/// Whether it is the root of a procfs, and not one of its files or directories.
fn is_whole_procfs(tree: i32) -> sys::Result<bool> {
    Ok(sys::filesystem_magic(tree)? == flag::PROC_SUPER_MAGIC
        && sys::stat(tree, c"")?.inode == PROC_ROOT_INODE)
}

/// A detached clone of what is at a path of the root.
pub fn clone_path_inside(root: i32, path: &CStr, recursive: bool) -> sys::Result<i32> {
    let place = resolve::open(root, path)?;
    let tree =
        sys::clone_tree(place, c"", flag::AT_EMPTY_PATH | if recursive { flag::AT_RECURSIVE } else { 0 });
    crate::descriptor::discard(place);
    tree
}

/// A detached clone of what is at a path of the host.
pub fn clone_host_path(path: &CStr, recursive: bool) -> sys::Result<i32> {
    sys::clone_tree(flag::AT_FDCWD, path, if recursive { flag::AT_RECURSIVE } else { 0 })
}

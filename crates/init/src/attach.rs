//! Mounts of a container that runs: held before its mount namespace is joined, attached and detached inside.
//!
//! Runs in a process of the runtime's that joins the mount namespace. The container's processes are at work meanwhile and
//! may swap whatever a path leads to: a path becomes a descriptor once, inside the root, and what comes after works on
//! that. A failed step undoes those before it.

use core::ffi::CStr;

use crate::descriptor::descriptor_name;
use crate::mount::{BindAttributes, new_instance};
use crate::report::Call;
use crate::resolve::{self, Make};
use crate::state::Init;
use crate::step::Step;
use crate::sys::{self, Failure, flag};
use crate::wire::{PropagationsRef, StrsRef};

/// A mount that a slot holds, and its place.
pub struct HeldMount<'a> {
    pub slot: u32,
    pub target: &'a CStr,
    pub attributes: BindAttributes,
    /// The same for the mounts below too.
    pub all_attributes: (u64, u64),
    /// It gets the permissions of the directory that it hides.
    pub keep_mode: bool,
    pub propagation: PropagationsRef<'a>,
    pub in_proc: bool,
}

impl Init {
    /// The host's `/proc`, as the way to name a descriptor to calls that take paths alone.
    pub fn open_procfs(&mut self) -> sys::Result<()> {
        let procfs = sys::openat(flag::AT_FDCWD, c"/proc", flag::O_PATH | flag::O_DIRECTORY, 0)?;
        if sys::filesystem_magic(procfs)? != flag::PROC_SUPER_MAGIC {
            return sys::refuse(Call::CheckProc, flag::ENOENT);
        }
        self.procfs = procfs;
        Ok(())
    }

    /// A detached mount of a new instance of a file system, into a slot.
    pub fn make_mount(
        &mut self,
        slot: u32,
        fstype: &CStr,
        source: &CStr,
        attributes: u64,
        options: StrsRef<'_>,
    ) -> sys::Result<()> {
        let mount = new_instance(fstype, source, options, None, attributes)?;
        self.hold(slot, mount)
    }

    /// Attaches what a slot holds.
    pub fn attach_held(&mut self, held: &HeldMount<'_>) -> sys::Result<()> {
        let mount = self.held(held.slot);
        if mount < 0 {
            // Neither the runtime's identity nor the container's root may reach the source.
            return sys::refuse(Call::OpenTree, flag::EACCES);
        }
        let make = if sys::stat(mount, c"")?.kind() == flag::S_IFDIR { Make::Directory } else { Make::File };
        let (target, hidden) = match resolve::open_existing(self.root, held.target)? {
            Some(target) => (target, Some(sys::stat(target, c"")?)),
            None => (resolve::open_or_make(self.root, held.target, make)?, None),
        };
        self.check_not_in_proc(held.in_proc, mount, target)?;
        // The procfs that is held is the host's.
        self.check_not_proc(mount, target)?;
        if let Some(hidden) = hidden.filter(|_| held.keep_mode) {
            let directory = sys::openat(mount, c".", flag::O_DIRECTORY, 0)?;
            sys::fchmod(directory, hidden.mode & 0o7777)?;
            sys::close(directory);
        }
        held.attributes.apply(mount, false)?;
        let (set, clear) = held.all_attributes;
        if set | clear != 0 {
            sys::mount_setattr(mount, c"", true, set, clear, 0)?;
        }
        sys::attach(mount, target)?;
        sys::close(target);
        for flags in held.propagation {
            let recursive = flags.0 & flag::MS_REC != 0;
            let set = sys::mount_setattr(mount, c"", recursive, 0, 0, flags.0 & !flag::MS_REC);
            if set.is_err() {
                let _ = self.detach(mount);
                return set;
            }
        }
        Ok(())
    }

    /// The mount at a path of the root, into a slot, and a copy of it, to be put back, into the next.
    pub fn find_mount(&mut self, slot: u32, target: &CStr) -> sys::Result<()> {
        let mount = resolve::open(self.root, target)?;
        let status = sys::stat(mount, c"")?;
        if !status.is_mount || status.mount == sys::stat(self.root, c"")?.mount {
            return sys::refuse(Call::CheckMount, flag::EINVAL);
        }
        self.hold(slot, mount)?;
        // An unbindable one has no copy.
        let copy = match sys::clone_tree(mount, c"", flag::AT_EMPTY_PATH | flag::AT_RECURSIVE) {
            Err(Failure { errno: flag::EINVAL, .. }) => -1,
            result => result?,
        };
        self.hold(slot + 1, copy)
    }

    /// Detaches the mount that a slot holds.
    pub fn detach_held(&mut self, slot: u32) -> sys::Result<()> {
        self.detach(self.held(slot))
    }

    /// `umount2(2)` takes paths alone, and would follow whatever the container has put there: the descriptor's in `/proc`
    /// leads to this mount and no other.
    fn detach(&self, mount: i32) -> sys::Result<()> {
        let name = descriptor_name(mount)?;
        sys::fchdir(self.procfs)?;
        sys::unmount(name.as_c_str())
    }

    /// Undoes the steps of a plan that were done, the last first: all of what was asked for takes effect, or nothing.
    pub fn undo(&mut self, plan: &'static [u8]) {
        for index in (0..self.step).rev() {
            match step_at(plan, index) {
                Some(Step::Attach { slot, .. }) => drop(self.detach_held(slot)),
                Some(Step::Detach { slot, target }) => drop(self.put_back(slot, target)),
                _ => {}
            }
        }
    }

    fn put_back(&mut self, slot: u32, target: &CStr) -> sys::Result<()> {
        let copy = self.held(slot + 1);
        let target = resolve::open(self.root, target)?;
        sys::attach(copy, target)
    }
}

/// A step of an encoded plan.
fn step_at(plan: &'static [u8], index: u32) -> Option<Step<'static>> {
    let mut reader = Init::steps(plan)?;
    (0..index).try_for_each(|_| Step::decode(&mut reader).map(drop))?;
    Step::decode(&mut reader)
}

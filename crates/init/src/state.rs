//! What init holds while it works: what a step leaves for later ones.
//!
//! Runs in init.

use core::ffi::CStr;

use crate::buffer::Buffer;
use crate::report::Call;
use crate::resolve::OwnDirectory;
use crate::sys::{self, flag};

/// Descriptors that later steps use by number: most of them clones of host paths. The table's memory is taken with the first
/// one, and only as much as is touched.
const MOST_SLOTS: usize = 1 << 16;

/// Longest line of a user that is read.
pub const LINE: usize = 1024;

/// `HOME=…`: the variable's name, and what a line can hold.
pub type Home = Buffer<{ LINE + 8 }>;

/// A command, where it lies in the plan.
pub struct Program<'a> {
    /// The directory of the search path that has it; none where its name is a path.
    pub directory: Option<&'a [u8]>,
    /// As it was given.
    pub name: &'a CStr,
}

/// What init holds while it works.
pub struct Init {
    /// Index of the step at work.
    pub step: u32,
    /// The socket to the runtime.
    pub channel: i32,
    /// The first descriptor that is not the container's.
    pub first_own: u32,
    /// The container's root.
    pub root: i32,
    /// The directory entered.
    pub directory: i32,
    /// The file system of ours that the next mounts may lie in.
    pub own: OwnDirectory,
    /// A procfs of our own; −1 as long as there is none.
    pub procfs: i32,
    /// The null device, attached somewhere; −1 as long as there is none.
    pub null: i32,
    /// An empty read-only directory, attached somewhere; −1 as long as there is none.
    pub empty: i32,
    /// The Landlock ruleset; −1 where there is none.
    pub ruleset: i32,
    /// Each slot's descriptor plus one; 0 where there is none.
    slots: &'static mut [usize],
    /// The program found.
    pub program: Option<Program<'static>>,
    /// `HOME=…`, where the environment has none; empty otherwise.
    pub home: Home,
    /// Each step is reported when it begins.
    pub traced: bool,
    /// The working directory is the process's already.
    pub in_working_directory: bool,
}

impl Init {
    /// Nothing opened yet.
    pub const fn new() -> Self {
        Self {
            step: 0,
            channel: -1,
            first_own: 3,
            root: flag::AT_FDCWD,
            directory: -1,
            own: OwnDirectory::NONE,
            procfs: -1,
            null: -1,
            empty: -1,
            ruleset: -1,
            slots: &mut [],
            program: None,
            home: Home::new(),
            traced: false,
            in_working_directory: false,
        }
    }

    /// What a slot holds; −1 where that is nothing.
    pub fn held(&self, slot: u32) -> i32 {
        self.slots.get(slot as usize).map_or(-1, |held| *held as i32 - 1)
    }

    /// Puts a descriptor, or −1, into a slot.
    pub fn hold(&mut self, slot: u32, descriptor: i32) -> sys::Result<()> {
        if self.slots.is_empty() {
            self.slots = sys::map_words(MOST_SLOTS)?;
        }
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = (descriptor + 1) as usize,
            None => return sys::refuse(Call::Plan, flag::EMFILE),
        }
        Ok(())
    }

    /// Closes what is not needed any more, unless execve will.
    pub fn discard(&self, descriptor: i32) {
        crate::descriptor::discard(descriptor);
    }

    /// All descriptors were closed.
    pub fn forget_descriptors(&mut self) {
        self.root = flag::AT_FDCWD;
        self.own = OwnDirectory::NONE;
        (self.directory, self.procfs, self.null, self.empty) = (-1, -1, -1, -1);
    }
}

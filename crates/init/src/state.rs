//! What init holds while it works: what a step leaves for later ones.
//!
//! Runs in init.

use core::ffi::CStr;

use crate::buffer::Buffer;
use crate::resolve::OwnDirectory;
use crate::sys::flag;

/// Clones of host paths that can be held at a time.
pub const SLOTS: usize = 512;

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
    /// Clones of host paths.
    pub slots: [i32; SLOTS],
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
            slots: [-1; SLOTS],
            program: None,
            home: Home::new(),
            traced: false,
            in_working_directory: false,
        }
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

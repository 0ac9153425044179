//! A lease on a file (fcntl(2)): who holds one knows whether the file was opened for writing since, also by somebody who has
//! closed it again.

use std::fs::File;
use std::path::Path;

use crate::sys::{lease_of, take_lease};

/// A read lease, given back at the end.
#[derive(Debug)]
pub struct Lease(File);

impl Lease {
    /// Takes one.
    ///
    /// # Panics
    /// When the kernel refuses: somebody has the file open for writing, or its file system has no leases.
    #[must_use]
    pub fn take(path: &Path) -> Self {
        let file = File::open(path).expect("open a file");
        take_lease(&file).expect("F_SETLEASE");
        Self(file)
    }

    /// Whether nobody has opened the file for writing, or tries to at this moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        lease_of(&self.0) == nix::libc::F_RDLCK
    }
}

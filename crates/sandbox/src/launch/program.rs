//! The file that init is executed from: its program, then its plan, sealed.
//!
//! Runs in the runtime. A container can never reach the runtime's own binary through it, and nobody can change it:
//! it is a file without a name, of which only this copy exists.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// The freestanding program.
pub static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Identifies the file: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExecutableId {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub inode: u64,
}

/// The sealed file.
#[derive(Debug)]
pub struct ProgramFile(OwnedFd);

impl ProgramFile {
    /// Makes the file, with a descriptor that is none of the container's.
    ///
    /// # Errors
    /// [`Error::Host`]: the host has no executable memfds, or no memory.
    pub fn make(plan: &[u8], first_own_fd: u32) -> Result<Self> {
        let file = create().map_err(|errno| Error::launch("memfd_create", errno.into()))?;
        let file = super::above(file, first_own_fd)?;
        let mut file = File::from(file);
        write_all(&mut file, plan).map_err(|error| Error::launch("write to the memfd", error))?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals).map_err(|errno| Error::launch("fcntl(F_ADD_SEALS)", errno.into()))?;
        Ok(Self(file.into()))
    }

    /// Where the plan begins.
    pub const fn plan_offset(&self) -> usize {
        INIT.len()
    }

    /// Which file it is.
    ///
    /// # Errors
    /// [`Error::Host`] where fstat does not succeed.
    pub fn id(&self) -> Result<ExecutableId> {
        let status = fstat(&self.0).map_err(|errno| Error::launch("fstat", errno.into()))?;
        Ok(ExecutableId { device: status.st_dev, inode: status.st_ino })
    }
}

impl AsFd for ProgramFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// MFD_EXEC says that it is to be executable, whatever `vm.memfd_noexec` has as the default; kernels before 6.3 don't
/// know it, and their memfds are executable.
fn create() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"sandboxd-init", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(c"sandboxd-init", flags),
        result => result,
    }
}

fn write_all(file: &mut File, plan: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(INIT), IoSlice::new(plan)];
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        let written = file.write_vectored(slices)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elf64_Ehdr: the program headers' offset at 32, their number at 56. Elf64_Phdr: type, flags, offset, …, 56 bytes.
    #[test]
    fn init_is_one_segment_that_nobody_writes() {
        const PT_LOAD: u32 = 1;
        const READ_EXECUTE: u32 = 4 | 1;
        let word = |at: usize| INIT[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).unwrap();
        let (table, count) = (word(32) as usize, word(56) as usize & 0xffff);
        let headers = (0..count).map(|index| table + 56 * index);
        let loaded: Vec<_> = headers.filter(|at| word(*at) == PT_LOAD).map(|at| word(at + 4)).collect();
        assert_eq!(loaded, [READ_EXECUTE]);
    }
}

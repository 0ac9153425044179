//! A file system in user space, as small as one can be: a directory with one file `mark` in it, served by a thread.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::skip::Skip;

/// What `mark` holds.
pub const CONTENT: &str = "from user space\n";

const ROOT: u64 = 1;
const MARK: u64 = 2;

/// Numbers of `linux/fuse.h`.
mod opcode {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// A server without a mount: the descriptor is what a mount of type `fuse` names as its option `fd`.
///
/// # Errors
/// The skip, where the kernel has none.
pub fn serve() -> Result<OwnedFd, Skip> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let device = device.map_err(|error| Skip::new(format!("no /dev/fuse: {error}")))?;
    let mut served = device.try_clone().expect("dup");
    // It ends when the last mount is gone. Before there is a first one, to read is an error, too.
    std::thread::spawn(move || {
        while wait_readable(&served) {
            if answer(&mut served).is_none() {
                return;
            }
        }
    });
    Ok(device.into())
}

/// A mount of such a file system, gone at the end of the test.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// Makes the directory and mounts it there, with further options.
    ///
    /// # Errors
    /// The skip, where the kernel has none.
    ///
    /// # Panics
    /// When the kernel refuses the mount.
    pub fn at(path: &Path, options: &str) -> Result<Self, Skip> {
        std::fs::create_dir(path).expect("make the mount point");
        let device = serve()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0{options}", device.as_raw_fd());
        let options = std::ffi::CString::new(options).expect("no NUL");
        mount("user-space", path, "fuse", MountFlags::NOSUID | MountFlags::NODEV, &*options).expect("mount");
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// Whether there is a request; false when there is no mount any more. The device says `POLLERR` until it is mounted.
fn wait_readable(device: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let end = std::time::Instant::now() + crate::wait::DEADLINE;
    loop {
        let mut fds = [PollFd::new(device, PollFlags::IN)];
        let slice = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        if poll(&mut fds, Some(&slice)).is_err() {
            return false;
        }
        if fds[0].revents().contains(PollFlags::IN) {
            return true;
        }
        if fds[0].revents().contains(PollFlags::ERR) {
            if std::time::Instant::now() > end {
                return false;
            }
            std::thread::yield_now();
        }
    }
}

/// A reply's bytes.
#[derive(Default)]
struct Reply(Vec<u8>);

impl Reply {
    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// `struct fuse_attr`.
    fn attributes(&mut self, node: u64) -> &mut Self {
        let (mode, size) = if node == ROOT { (0o040_755, 0) } else { (0o100_644, CONTENT.len() as u64) };
        self.u64(node).u64(size).u64(1).zeros(3 * 8 + 3 * 4);
        self.u32(mode).u32(1).u32(0).u32(0).u32(0).u32(4096).u32(0)
    }
}

/// Answers one request; nothing when the file system is gone.
fn answer(device: &mut File) -> Option<()> {
    let mut buffer = vec![0; 256 << 10];
    let length = match device.read(&mut buffer) {
        Ok(length) => length,
        // The request was taken back.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => return Some(()),
        Err(_) => return None,
    };
    let request = &buffer[..length];
    let u32_at = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four"));
    let u64_at = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().expect("eight"));
    let (operation, unique, node, body) = (u32_at(4), u64_at(8), u64_at(16), 40);
    let mut reply = Reply::default();
    let mut errno = 0;
    match operation {
        opcode::INIT => {
            // Version 7.31; no flags.
            reply.u32(7).u32(31).u32(0).u32(0).u32(0).u32(4096).u32(1).zeros(9 * 4);
        }
        opcode::LOOKUP if node == ROOT && &request[body..] == b"mark\0" => {
            reply.u64(MARK).u64(0).u64(60).u64(60).u32(0).u32(0).attributes(MARK);
        }
        opcode::LOOKUP => errno = nix::libc::ENOENT,
        opcode::GETATTR => {
            reply.u64(60).u32(0).u32(0).attributes(node);
        }
        opcode::OPEN | opcode::OPENDIR => {
            reply.u64(1).u32(0).u32(0);
        }
        opcode::READ => {
            let content = CONTENT.as_bytes();
            let start = usize::try_from(u64_at(body + 8)).expect("an offset").min(content.len());
            let count = (u32_at(body + 16) as usize).min(content.len() - start);
            reply.0.extend(&content[start..start + count]);
        }
        opcode::RELEASE | opcode::RELEASEDIR | opcode::FLUSH => {}
        opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => return Some(()),
        _ => errno = nix::libc::ENOSYS,
    }
    let mut message = Reply::default();
    message.u32(16 + u32::try_from(reply.0.len()).expect("short")).u32((-errno).cast_unsigned()).u64(unique);
    message.0.extend(reply.0);
    // Who asked may have gone.
    let _ = device.write(&message.0);
    Some(())
}

//! The container's terminal: a pty of the container's own devpts.
//!
//! Runs in init, before the root is switched, when the config's mounts are made.

use core::ffi::CStr;

use crate::report::Call;
use crate::resolve::{self};
use crate::state::Init;
use crate::sys::{self, Failure, flag};

/// Requests of `ioctl_tty(2)`.
mod request {
    pub const TCGETS: usize = 0x5401;
    pub const TCSETS: usize = 0x5402;
    pub const TIOCSCTTY: usize = 0x540e;
    pub const TIOCSWINSZ: usize = 0x5414;
    pub const TIOCSPTLCK: usize = 0x4004_5431;
    pub const TIOCGPTPEER: usize = 0x5441;
}

/// What was asked for.
pub struct Terminal {
    pub console: i32,
    pub rows: u32,
    pub columns: u32,
    pub uid: u32,
    /// Whether `/dev/console` is bound: only in a mount namespace of our own.
    pub bind: bool,
    /// Nothing is made in `/dev`, which is the host's.
    pub host_dev: bool,
    /// Whether a newline that is written becomes carriage return and newline, as the kernel has it.
    pub translate: bool,
}

/// `ONLCR` of the output flags, the second word of the kernel's `struct termios`.
const ONLCR: u32 = 4;

/// Words of the kernel's `struct termios`: four of flags, a line discipline and 19 control characters.
const TERMIOS_WORDS: usize = 9;

impl Init {
    /// Opens a pty, sends its master to the console socket, makes the other end the process's streams, its
    /// controlling terminal and `/dev/console`.
    pub fn open_terminal(&mut self, terminal: &Terminal) -> sys::Result<()> {
        let master = self.open_master()?;
        let mut unlocked = [0];
        sys::ioctl_buffer(master, request::TIOCSPTLCK, &mut unlocked)?;
        let open_flags = flag::O_RDWR | flag::O_NOCTTY | flag::O_CLOEXEC;
        let slave = sys::ioctl_number(master, request::TIOCGPTPEER, open_flags as usize)?;
        if terminal.rows | terminal.columns != 0 {
            // struct winsize: rows, columns, pixels; 16 bits each.
            let mut size = [terminal.rows | terminal.columns << 16, 0];
            sys::ioctl_buffer(slave, request::TIOCSWINSZ, &mut size)?;
        }
        if !terminal.translate {
            let mut settings = [0; TERMIOS_WORDS];
            sys::ioctl_buffer(slave, request::TCGETS, &mut settings)?;
            settings[1] &= !ONLCR;
            sys::ioctl_buffer(slave, request::TCSETS, &mut settings)?;
        }
        if terminal.uid != 0 {
            sys::fchownat(slave, c"", terminal.uid, u32::MAX)?;
        }
        if terminal.bind {
            self.bind_console(slave, terminal.host_dev)?;
        }
        sys::send_with_descriptor(terminal.console, b"/dev/ptmx", master)?;
        for stream in 0..3 {
            sys::duplicate(slave, stream)?;
        }
        sys::ioctl_number(0, request::TIOCSCTTY, 0)?;
        sys::close(slave);
        sys::close(master);
        sys::close(terminal.console);
        Ok(())
    }

    /// The multiplexer of the container's devpts: not whatever else the image has there, of which none is opened, since that
    /// alone may have an effect. Between the two looks somebody else may exchange it: the second is of what is open.
    fn open_master(&self) -> sys::Result<i32> {
        let resolve = flag::RESOLVE_IN_ROOT | flag::RESOLVE_NO_MAGICLINKS;
        let found = sys::openat2(self.root, c"dev/pts/ptmx", flag::O_PATH | flag::O_NOFOLLOW, 0, resolve)?;
        let status = sys::stat(found, c"")?;
        if sys::filesystem_magic(found)? != flag::DEVPTS_SUPER_MAGIC || status.kind() != flag::S_IFCHR {
            return sys::refuse(Call::CheckType, flag::EINVAL);
        }
        sys::close(found);
        let flags = flag::O_RDWR | flag::O_NOCTTY | flag::O_NOFOLLOW;
        let master = sys::openat2(self.root, c"dev/pts/ptmx", flags, 0, resolve)?;
        if sys::filesystem_magic(master)? != flag::DEVPTS_SUPER_MAGIC {
            return sys::refuse(Call::CheckType, flag::EINVAL);
        }
        Ok(master)
    }

    fn bind_console(&mut self, slave: i32, host_dev: bool) -> sys::Result<()> {
        let (directory, name): (i32, &CStr) = resolve::open_parent(self.root, c"/dev/console")?;
        if !host_dev {
            let flags = flag::O_RDONLY | flag::O_CREAT | flag::O_EXCL | flag::O_NOFOLLOW;
            match sys::openat(directory, name, flags, 0o600) {
                Ok(file) => sys::close(file),
                Err(Failure { errno: flag::EEXIST, .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let target = match sys::openat(directory, name, flag::O_PATH | flag::O_NOFOLLOW, 0) {
            Err(Failure { errno: flag::ENOENT, .. }) if host_dev => return Ok(()),
            target => target?,
        };
        if !matches!(sys::stat(target, c"")?.kind(), flag::S_IFREG | flag::S_IFCHR) {
            return sys::refuse(Call::CheckType, flag::EINVAL);
        }
        let tree = sys::clone_tree(slave, c"", flag::AT_EMPTY_PATH)?;
        sys::attach(tree, target)?;
        self.discard(tree);
        self.discard(target);
        self.discard(directory);
        Ok(())
    }
}

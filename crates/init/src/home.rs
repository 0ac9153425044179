//! `HOME`, for a config whose environment has none: callers of other runtimes rely on it.
//!
//! Runs in init, after the switch of the root. `/etc/passwd` is the image's: it must be a regular file, no special one is
//! opened for reading, no more than a bounded part is read.

use crate::state::{Init, LINE};
use crate::sys::{self, flag};

/// Of a longer file, only the beginning counts.
const MOST_BYTES: usize = 1 << 20;

impl Init {
    /// Finds the user's home directory; `/` where the file doesn't tell.
    #[inline(never)]
    pub fn find_home(&mut self, uid: u32) -> sys::Result<()> {
        self.home.set(b"HOME=")?;
        let found = self.read_home(uid).unwrap_or(false);
        if !found {
            self.home.set(b"HOME=/")?;
        }
        Ok(())
    }

    fn read_home(&mut self, uid: u32) -> sys::Result<bool> {
        // The container's root is this process's own by now.
        let resolve = flag::RESOLVE_NO_MAGICLINKS;
        let flags = flag::O_RDONLY | flag::O_NONBLOCK | flag::O_NOCTTY;
        let found = sys::openat2(flag::AT_FDCWD, c"/etc/passwd", flag::O_PATH, 0, resolve)?;
        if sys::stat(found, c"")?.kind() != flag::S_IFREG {
            return Ok(false);
        }
        let file = sys::openat2(flag::AT_FDCWD, c"/etc/passwd", flags, 0, resolve)?;
        let mut line = [0_u8; LINE];
        let (mut filled, mut total) = (0, 0);
        loop {
            let length = sys::read(file, &mut line[filled..])?;
            total += length;
            filled += length;
            while let Some(end) = line[..filled].iter().position(|byte| *byte == b'\n') {
                if let Some(home) = home_of(&line[..end], uid) {
                    self.home.push(home)?;
                    return Ok(true);
                }
                line.copy_within(end + 1..filled, 0);
                filled -= end + 1;
            }
            if length == 0 || total > MOST_BYTES {
                let home = home_of(&line[..filled], uid);
                return home.map_or(Ok(false), |home| self.home.push(home).map(|()| true));
            }
            if filled == line.len() {
                // Longer than any line of a user: skipped.
                filled = 0;
            }
        }
    }
}

/// The sixth field of a line whose third is the uid (passwd(5)).
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = fields.nth(2)?;
    let value = number.iter().try_fold(0_u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    if number.is_empty() || value != uid {
        return None;
    }
    fields.nth(2).filter(|home| home.starts_with(b"/") && !home.contains(&0))
}

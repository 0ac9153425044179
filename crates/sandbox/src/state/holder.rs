//! Who holds a container's lock, where it does not come free: a command that waits for the very process that asks?
//!
//! Runs in the runtime.

use std::path::Path;

use rustix::fs::{Stat, major, minor};

/// Links of a chain of parents that are followed.
const MOST_PARENTS: usize = 64;

/// Whether a process that this one descends from has the lock of the file. Where that can't be told (no procfs, another pid
/// namespace) it is not so.
pub(super) fn is_waiting_for_us(file: &Stat) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = holder_of(&locks, file.st_dev, file.st_ino);
    holder.is_some_and(|holder| is_parent(Path::new("/proc"), std::process::id(), holder))
}

/// `NUMBER: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END` (proc_locks(5)); the device in hexadecimal. Who waits has
/// an arrow behind its number.
fn holder_of(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let wanted = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, _, _, pid, file) =
            (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        // 0 is a process of another pid namespace.
        let pid = pid.parse().ok().filter(|pid| *pid != 0)?;
        (kind == "FLOCK" && file == wanted).then_some(pid)
    })
}

fn is_parent(procfs: &Path, of: u32, parent: u32) -> bool {
    let mut pid = of;
    for _ in 0..MOST_PARENTS {
        let stat = std::fs::read_to_string(procfs.join(format!("{pid}/stat"))).unwrap_or_default();
        // The name may contain anything, and ends with the last parenthesis; state and parent follow.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        match after_name.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()) {
            Some(next) if next == parent => return true,
            Some(next) if next > 1 => pid = next,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_is_found_by_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:01:12 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 fe:01:13 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 fe:01:12 0 EOF\n3: FLOCK  ADVISORY  WRITE 10 fe:01:12 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 00:1a:5 0 EOF\n";
        let device = |major, minor| rustix::fs::makedev(major, minor);
        assert_eq!(holder_of(locks, device(0xfe, 1), 12), Some(10));
        assert_eq!(holder_of(locks, device(0xfe, 1), 13), Some(8));
        assert_eq!(holder_of(locks, device(0xfe, 1), 14), None);
        assert_eq!(holder_of(locks, device(0, 0x1a), 5), None);
    }

    #[test]
    fn parents_are_followed() {
        let procfs = std::env::temp_dir().join(format!("holder-{}", std::process::id()));
        for (pid, stat) in
            [(9, "9 (a) b) S 5 9"), (5, "5 (sh) S 3 5"), (3, "3 (x) S 1 3"), (4, "4 (loop) S 4 4")]
        {
            std::fs::create_dir_all(procfs.join(pid.to_string())).unwrap();
            std::fs::write(procfs.join(format!("{pid}/stat")), stat).unwrap();
        }
        for (of, parent, is) in
            [(9, 5, true), (9, 3, true), (9, 4, false), (9, 9, false), (4, 5, false), (7, 1, false)]
        {
            assert_eq!(is_parent(&procfs, of, parent), is, "{of} {parent}");
        }
        std::fs::remove_dir_all(&procfs).unwrap();
    }
}

//! Pausing: the v2 freezer where there is a v2 hierarchy (it can be killed through), else v1's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

use super::error::CgroupError;
use super::file;
use super::handle::{Cgroup, for_each_below, open_cgroup, shows_frozen};
use super::record::{Hierarchy, RecordedDirectory};

impl Cgroup {
    /// Stops all processes. Returns when they stand still.
    ///
    /// `init`, a pidfd: its end ends the wait. A process that has ended and is not reaped may keep its cgroup from ever
    /// being frozen.
    ///
    /// # Errors
    /// [`CgroupError::NotFrozen`] at the deadline or at the end of `init`, after thawing again;
    /// [`CgroupError::NoFreezer`].
    pub fn freeze(&self, init: Option<BorrowedFd<'_>>, deadline: Instant) -> Result<(), CgroupError> {
        let directory = self.freezable()?;
        let error = |source| CgroupError::Call { call: "freeze", path: directory.path.clone(), source };
        let open = open_cgroup(directory)?.ok_or_else(|| error(Errno::NOENT.into()))?;
        let guard = Thaw { hierarchy: &directory.hierarchy, cgroup: open.as_fd(), armed: true };
        let frozen = match directory.hierarchy {
            Hierarchy::V2 => file::write_file(&open, "cgroup.freeze", "1")
                .and_then(|()| wait_event(open.as_fd(), "frozen 1", init, deadline)),
            Hierarchy::V1(_) => freeze_v1(open.as_fd(), init, deadline),
        };
        match frozen {
            Ok(true) => {
                guard.disarm();
                Ok(())
            }
            Ok(false) => Err(CgroupError::NotFrozen { path: directory.path.clone() }),
            Err(source) => Err(error(source)),
        }
    }

    /// Lets all processes run again; on a hybrid host also those that someone stopped through v1.
    ///
    /// # Errors
    /// A freezer can't be written. A missing cgroup is no error.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        for directory in &self.record.directories {
            if has_freezer(&directory.hierarchy)
                && let Some(open) = open_cgroup(directory)?
            {
                thaw_one(&directory.hierarchy, open.as_fd()).map_err(|source| CgroupError::Call {
                    call: "thaw",
                    path: directory.path.clone(),
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// Whether the processes are stopped, by us or by another.
    ///
    /// # Errors
    /// A freezer can't be read. A missing cgroup is not frozen.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        for directory in &self.record.directories {
            if has_freezer(&directory.hierarchy)
                && let Some(open) = open_cgroup(directory)?
                && shows_frozen(&directory.hierarchy, open.as_fd()).map_err(|source| CgroupError::Call {
                    call: "read",
                    path: directory.path.clone(),
                    source,
                })?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The cgroup through which CRIU freezes: v1's freezer wherever there is one.
    #[cfg(feature = "criu")]
    pub(crate) fn freezer_of_criu(&self) -> Option<&std::path::Path> {
        let v2 = self.record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2);
        self.freezer().or(v2).map(|directory| &*directory.path)
    }

    /// Where v1 has a freezer, it holds the processes from here on instead of v2's.
    #[cfg(feature = "criu")]
    pub(crate) fn hand_over_pause(
        &self,
        init: Option<BorrowedFd<'_>>,
        deadline: Instant,
    ) -> Result<(), CgroupError> {
        let Some(directory) = self.freezer() else { return Ok(()) };
        let error = |source| CgroupError::Call { call: "freeze", path: directory.path.clone(), source };
        let open = open_cgroup(directory)?.ok_or_else(|| error(Errno::NOENT.into()))?;
        let mut guard = Thaw { hierarchy: &directory.hierarchy, cgroup: open.as_fd(), armed: true };
        if !freeze_v1(open.as_fd(), init, deadline).map_err(error)? {
            return Err(CgroupError::NotFrozen { path: directory.path.clone() });
        }
        for other in &self.record.directories {
            if other.hierarchy == Hierarchy::V2
                && let Some(open) = open_cgroup(other)?
            {
                let path = other.path.clone();
                thaw_one(&other.hierarchy, open.as_fd()).map_err(|source| CgroupError::Call {
                    call: "thaw",
                    path,
                    source,
                })?;
            }
        }
        guard.armed = false;
        Ok(())
    }

    fn freezable(&self) -> Result<&RecordedDirectory, CgroupError> {
        self.primary().filter(|it| has_freezer(&it.hierarchy)).ok_or(CgroupError::NoFreezer)
    }

    /// Thaws v1's freezer here and in all cgroups below, which a container may have frozen by itself: a killed process
    /// dies only when it may run.
    pub(crate) fn thaw_all_v1(&self) -> Result<(), CgroupError> {
        let Some(directory) = self.freezer() else { return Ok(()) };
        let Some(open) = open_cgroup(directory)? else { return Ok(()) };
        thaw_below(&directory.hierarchy, open.as_fd()).map_err(|source| CgroupError::Call {
            call: "thaw",
            path: directory.path.clone(),
            source,
        })
    }
}

fn has_freezer(hierarchy: &Hierarchy) -> bool {
    *hierarchy == Hierarchy::V2 || hierarchy.is_v1_with("freezer")
}

fn thaw_one(hierarchy: &Hierarchy, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let written = match hierarchy {
        Hierarchy::V2 => file::write_file(cgroup, "cgroup.freeze", "0"),
        Hierarchy::V1(_) => file::write_file(cgroup, "freezer.state", "THAWED"),
    };
    match written {
        Err(error) if file::is_gone(&error) => Ok(()),
        written => written,
    }
}

fn thaw_below(hierarchy: &Hierarchy, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    // Nothing is written where nothing stands still: the file system may be read-only for this caller.
    match shows_frozen(hierarchy, cgroup) {
        Ok(true) => thaw_one(hierarchy, cgroup)?,
        Err(error) if !file::is_gone(&error) => return Err(error),
        _ => {}
    }
    for_each_below(cgroup, &mut |below| thaw_below(hierarchy, below))
}

/// Thaws when it goes, unless disarmed: nothing is left frozen by an error.
pub(super) struct Thaw<'a> {
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) cgroup: BorrowedFd<'a>,
    pub(super) armed: bool,
}

impl Thaw<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        if self.armed {
            // What can't be thawed now is thawed by the next command; the error that led here is reported.
            let _ = thaw_one(self.hierarchy, self.cgroup);
        }
    }
}

/// v1 gives no notice, and with processes that come and go it may have to be asked again (kernel,
/// `cgroup-v1/freezer-subsystem.rst`): so this one polls.
fn freeze_v1(cgroup: BorrowedFd<'_>, init: Option<BorrowedFd<'_>>, deadline: Instant) -> io::Result<bool> {
    let mut pause = Duration::from_micros(50);
    loop {
        file::write_file(cgroup, "freezer.state", "FROZEN")?;
        if file::read_file(cgroup, "freezer.state")?.trim() == "FROZEN" {
            return Ok(true);
        }
        let ended = init.map(crate::state::has_ended).transpose()?.unwrap_or(false);
        if ended || Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Waits until a line is in `cgroup.events` (cgroup-v2.rst: a change is a `POLLPRI`); `false` at the deadline, or when
/// `init` ends first. A cgroup that goes meanwhile is an error that [`file::is_gone`] knows.
fn wait_event(
    cgroup: BorrowedFd<'_>,
    line: &str,
    init: Option<BorrowedFd<'_>>,
    deadline: Instant,
) -> io::Result<bool> {
    let events = file::open_read(cgroup, "cgroup.events", OFlags::RDONLY)?;
    loop {
        rustix::fs::seek(&events, SeekFrom::Start(0))?;
        if file::read_descriptor(&events)?.lines().any(|it| it == line) {
            return Ok(true);
        }
        let mut set = vec![PollFd::new(&events, PollFlags::PRI)];
        set.extend(init.map(|init| PollFd::from_borrowed_fd(init, PollFlags::IN)));
        if !wait_readable(&mut set, deadline)? || set.get(1).is_some_and(|init| !init.revents().is_empty()) {
            return Ok(false);
        }
    }
}

/// `poll(2)` until one is ready; `false` at the deadline.
pub(super) fn wait_readable(descriptors: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match poll(descriptors, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

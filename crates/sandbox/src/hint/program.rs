//! Why a file can't be executed: what `execve(2)` folds into three errnos, told apart by a look at the file.
//!
//! Runs in the runtime, after the failure. The container's mounts are gone then: what lies on one of them is not looked
//! at, but for the mount's flags in the config. Paths are opened in the root (`RESOLVE_IN_ROOT`), and read only where
//! they are regular files.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use init::Step;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};
use rustix::io::Errno;
use spec::Config;
use spec::config::attribute;

use super::Hint;
use crate::plan::{PlannedStep, landlock_is_asked};
use crate::step_error::StepError;

/// As much of a file as tells its kind: `execve(2)` reads 256 bytes, an ELF file's interpreter stands in its first page.
const HEAD_BYTES: usize = 4096;

/// Adds to the error what a look at the file tells.
pub(crate) fn explain(error: &mut StepError, planned: Option<&PlannedStep>, rootfs: &Path, config: &Config) {
    explain_file(error, planned, rootfs, config);
    let is_denied = error.errno == Errno::ACCESS.raw_os_error() && name_of(planned).is_some();
    if is_denied && error.hint.is_none() && landlock_is_asked(config) {
        let hint = "Landlock denies what its annotations don't name: the command, its interpreter and its libraries must be \
                    at or below one of their paths";
        error.hint = Some(hint.into());
    }
}

fn explain_file(error: &mut StepError, planned: Option<&PlannedStep>, rootfs: &Path, config: &Config) {
    let Some(process) = &config.process else { return };
    let Some(name) = name_of(planned) else { return };
    let path = Path::new(&**process.cwd).join(&name);
    let path = path.to_string_lossy();
    if !name.contains('/') {
        return;
    }
    let noexec = |mount: &&spec::config::Mount| {
        (mount.attributes.set | mount.recursive_attributes.set) & attribute::NOEXEC != 0
    };
    let mut mounts = config.mounts.iter().filter(|mount| is_below(&path, mount.destination.as_text()));
    // The last one that covers it.
    if let Some(mount) = mounts.next_back() {
        if error.errno == Errno::ACCESS.raw_os_error() && noexec(&mount) {
            error.hint = Some(format!("the mount on {} has the option noexec", &**mount.destination).into());
        }
        return;
    }
    let ids = (process.user.uid.get(), process.user.gid.get());
    explain_at(error, &name, rootfs, &path, ids);
}

/// The same of a command that was to be executed in a container that runs, with the mounts that it has. Only an absolute
/// path is looked at.
pub(crate) fn explain_inside(error: &mut StepError, planned: Option<&PlannedStep>, init_pid: i32) {
    if let Some(name) = name_of(planned).filter(|name| name.starts_with('/')) {
        // The process may belong to any user: what only a mode denies is not told.
        explain_at(error, &name, Path::new(&format!("/proc/{init_pid}/root")), &name, (0, 0));
    }
}

fn name_of(planned: Option<&PlannedStep>) -> Option<String> {
    match &planned?.step {
        Step::Execute { args, .. } => args.0.first().map(ToString::to_string),
        Step::FindProgram { name, .. } => Some(name.to_string()),
        _ => None,
    }
}

fn explain_at(error: &mut StepError, name: &str, root: &Path, path: &str, ids: (u32, u32)) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty()) else { return };
    let Program { hint, exists } = look(&root, path, error.errno, ids);
    error.hint = hint;
    if exists && error.errno == Errno::NOENT.raw_os_error() {
        // It is not the file that is missing. The words are runc's, for what execve says of a file that is there.
        error.message =
            error.message.replace(&format!("exec: {name:?}: stat {name}: "), &format!("exec {name}: "));
    }
}

/// What was seen.
#[derive(Debug, Default)]
struct Program {
    hint: Option<Hint>,
    exists: bool,
}

fn look(root: &OwnedFd, path: &str, errno: i32, (uid, gid): (u32, u32)) -> Program {
    let Some(status) = open(root, path, OFlags::PATH).ok().and_then(|file| fstat(file).ok()) else {
        let missing = errno == Errno::NOENT.raw_os_error();
        let hint =
            missing.then_some("a command is a path of the container: the root file system has no such file");
        return Program { hint: hint.map(Into::into), exists: false };
    };
    let hint = match Errno::from_raw_os_error(errno) {
        Errno::ACCESS | Errno::ISDIR => match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => Some("it is a directory: name a file in it".into()),
            FileType::RegularFile => of_mode(root, &status, path, uid, gid),
            _ => Some("it is no regular file".into()),
        },
        Errno::NOENT => read_head(root, path).and_then(|head| of_interpreter(root, &head)),
        Errno::NOEXEC => read_head(root, path).map(|head| of_format(&head)),
        Errno::PERM => Some("a filter or a security module of the host denies it".into()),
        _ => None,
    };
    Program { hint, exists: true }
}

fn of_mode(root: &OwnedFd, status: &rustix::fs::Stat, path: &str, uid: u32, gid: u32) -> Option<Hint> {
    let mode = status.st_mode & 0o7777;
    if mode & 0o111 == 0 {
        return Some(format!("it is not executable, its mode is {mode:04o}: chmod +x").into());
    }
    let mount = fstatvfs(root.as_fd()).ok()?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Some(
            "the root file system is on a mount with the option noexec: move it, or remount that".into(),
        );
    }
    let allowed = match () {
        () if uid == 0 => return None,
        () if status.st_uid == uid => mode & 0o100,
        () if status.st_gid == gid => mode & 0o010,
        () => mode & 0o001,
    };
    Some(if allowed == 0 {
        format!("its mode is {mode:04o} and its owner {}, the process is user {uid}", status.st_uid).into()
    } else {
        format!("user {uid} must be able to enter each directory of {path}").into()
    })
}

/// Which interpreter is missing.
fn of_interpreter(root: &OwnedFd, head: &[u8]) -> Option<Hint> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let line = String::from_utf8_lossy(line);
        if line.ends_with('\r') {
            return Some("its first line ends in a carriage return: convert it to Unix line ends".into());
        }
        let interpreter = line.split_whitespace().next()?;
        return Some(if open(root, interpreter, OFlags::PATH).is_ok() {
            format!("it is a script for {interpreter}, whose own interpreter the root file system lacks")
                .into()
        } else {
            format!("it is a script for {interpreter}, which the root file system lacks").into()
        });
    }
    let interpreter = elf_interpreter(head)?;
    Some(
        format!(
            "it is linked dynamically and needs {interpreter}, which the root file system lacks: a program of \
             another distribution or C library?"
        )
        .into(),
    )
}

fn of_format(head: &[u8]) -> Hint {
    let Some(machine) = elf_machine(head) else {
        return "it is neither an ELF program nor a script that begins with #! and an interpreter".into();
    };
    let (program, host) = (machine_name(machine), std::env::consts::ARCH);
    if program == host {
        return "it is an ELF file that the kernel refuses: truncated, or an object file?".into();
    }
    format!("it is a program for {program}, this host is {host}").into()
}

/// `e_machine`, in the file's byte order (elf(5)).
fn elf_machine(head: &[u8]) -> Option<u16> {
    let big_endian = *head.strip_prefix(b"\x7fELF")?.get(1)? == 2;
    let bytes = [*head.get(18)?, *head.get(19)?];
    Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

fn machine_name(machine: u16) -> Cow<'static, str> {
    Cow::Borrowed(match machine {
        3 => "x86",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        other => return Cow::Owned(format!("machine {other}")),
    })
}

/// `PT_INTERP` of a 64-bit little-endian file (elf(5)).
fn elf_interpreter(head: &[u8]) -> Option<String> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = head.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let entry = usize::try_from(table.checked_add(index * size)?).ok()?;
        if number(entry, 4)? == PT_INTERP {
            let start = usize::try_from(number(entry.checked_add(8)?, 8)?).ok()?;
            let text = head.get(start..)?.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    None
}

fn open(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The beginning of a regular file.
fn read_head(root: &OwnedFd, path: &str) -> Option<Vec<u8>> {
    let file = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut head = Vec::new();
    File::from(file).take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Whether a path is at or below another, by its text.
fn is_below(path: &str, directory: &str) -> bool {
    Path::new(path).starts_with(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elf_of_any_kind_is_read_without_a_panic() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        assert_eq!((elf_machine(&head), elf_interpreter(&head)), (None, None));
        head.resize(120, 0xff);
        assert_eq!(elf_machine(&head), Some(0xffff));
        assert_eq!(elf_interpreter(&head), None);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(machine_name(elf_machine(&own).unwrap()), std::env::consts::ARCH);
    }

    #[test]
    fn interpreter_of_a_dynamic_program_is_found() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(64, 0);
        (head[32], head[54], head[56]) = (64, 56, 1);
        head.resize(64 + 56, 0);
        (head[64], head[64 + 8]) = (3, 120);
        head.extend(b"/lib64/ld.so\0rest");
        assert_eq!(elf_interpreter(&head).as_deref(), Some("/lib64/ld.so"));
    }
}

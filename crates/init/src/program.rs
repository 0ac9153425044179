//! The program that init becomes.
//!
//! Runs in init, at its end.

use core::ffi::CStr;

use crate::buffer::PathBuffer;
use crate::report::Call;
use crate::state::{Init, Program};
use crate::sys::{self, Failure, PointerTable, flag};
use crate::wire::StrsRef;

/// Arguments and environment entries that fit on the stack; more get memory of their own.
const FEW: usize = 256;

impl Program<'_> {
    fn path(&self) -> sys::Result<PathBuffer> {
        let mut path = PathBuffer::new();
        if let Some(directory) = self.directory {
            path.push(if directory.is_empty() { b"." } else { directory })?;
            path.push(b"/")?;
        }
        path.push(self.name.to_bytes())?;
        Ok(path)
    }
}

impl Init {
    /// Finds the command as `execvp(3)` would, in the container's root, with the process's rights.
    #[inline(never)]
    pub fn find_program(&mut self, name: &'static CStr, search: &'static CStr) -> sys::Result<()> {
        if name.to_bytes().contains(&b'/') {
            self.program = Some(Program { directory: None, name });
            return check_executable(name);
        }
        let mut reason = Failure { call: Call::Execve, errno: flag::ENOENT };
        for directory in search.to_bytes().split(|byte| *byte == b':') {
            let program = Program { directory: Some(directory), name };
            match check_executable(program.path()?.as_c_str()) {
                Ok(()) => {
                    self.program = Some(program);
                    return Ok(());
                }
                Err(failure) if failure.errno == flag::EACCES => reason = failure,
                Err(failure) if leaves_unknown(failure.errno) => return Err(failure),
                Err(_) => {}
            }
        }
        Err(reason)
    }

    /// Becomes the program.
    #[inline(never)]
    pub fn execute(&mut self, args: StrsRef<'_>, env: StrsRef<'_>) -> sys::Result<()> {
        let named = Program { directory: None, name: { args }.next().unwrap_or(c"") };
        let program = self.program.as_ref().unwrap_or(&named).path()?;
        let home = Some(self.home.as_c_str()).filter(|home| !home.is_empty());
        with_pointers(args, env, home, |args, env| sys::execve(program.as_c_str(), args, env))
    }

    /// Becomes the program that was opened beforehand.
    #[inline(never)]
    pub fn execute_opened(&self, program: i32, args: StrsRef<'_>, env: StrsRef<'_>) -> sys::Result<()> {
        with_pointers(args, env, None, |args, env| sys::execveat(program, args, env))
    }
}

/// Whether it is not known then if the file is there, so that none further on may be taken for it.
const fn leaves_unknown(errno: u32) -> bool {
    use flag::{EIO, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM};
    matches!(errno, EPERM | EIO | ENOMEM | ENFILE | EMFILE | ENOSYS)
}

/// Whether it can be executed: a file, with the right to. Opens nothing: the process's limits are in place, and one
/// descriptor more may be too many.
fn check_executable(path: &CStr) -> sys::Result<()> {
    sys::may_execute(path)?;
    let kind = sys::stat_followed(path)?.kind();
    if kind == flag::S_IFDIR { sys::refuse(Call::Execve, flag::EISDIR) } else { Ok(()) }
}

/// Calls with the tables that execve takes.
fn with_pointers(
    args: StrsRef<'_>,
    env: StrsRef<'_>,
    home: Option<&CStr>,
    execute: impl FnOnce(&PointerTable<'_>, &PointerTable<'_>) -> Failure,
) -> sys::Result<()> {
    let needed = args.count() + env.count() + 3;
    let mut few = [0; FEW];
    let table = if needed <= FEW { &mut few[..] } else { sys::map_words(needed)? };
    let (args_table, env_table) = table.split_at_mut(args.count() + 1);
    Err(execute(&PointerTable::new(args_table, args)?, &PointerTable::new(env_table, env.chain(home))?))
}

//! The program that init becomes.
//!
//! Runs in init, at its end.

use core::ffi::CStr;

use crate::interpreter::Init;
use crate::report::Call;
use crate::sys::{self, Failure, PointerTable, flag};
use crate::wire::StrsRef;

/// Arguments and environment entries that fit on the stack; more get memory of their own.
const FEW: usize = 1024;

impl Init {
    /// Finds the command as `execvp(3)` would, in the container's root, with the process's rights.
    pub fn find_program(&mut self, name: &CStr, search: &CStr) -> sys::Result<()> {
        if name.to_bytes().contains(&b'/') {
            self.program.set(name.to_bytes())?;
            return check_executable(name);
        }
        let mut reason = Failure { call: Call::Execve, errno: flag::ENOENT };
        for directory in search.to_bytes().split(|byte| *byte == b':') {
            self.program.set(if directory.is_empty() { b"." } else { directory })?;
            self.program.push_component(name.to_bytes())?;
            match check_executable(self.program.as_c_str()) {
                Ok(()) => return Ok(()),
                Err(failure) if failure.errno == flag::EACCES => reason = failure,
                Err(failure) if leaves_unknown(failure.errno) => return Err(failure),
                Err(_) => {}
            }
        }
        Err(reason)
    }

    /// Becomes the program.
    pub fn execute(&mut self, args: StrsRef<'_>, env: StrsRef<'_>) -> sys::Result<()> {
        if self.program.as_bytes().is_empty()
            && let Some(name) = { args }.next()
        {
            self.program.set(name.to_bytes())?;
        }
        let home = Some(self.home.as_c_str()).filter(|home| !home.is_empty());
        with_pointers(args, env, home, |args, env| sys::execve(self.program.as_c_str(), args, env))
    }

    /// Becomes the program that was opened beforehand.
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

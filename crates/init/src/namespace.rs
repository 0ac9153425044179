//! Namespaces: joined, unshared, entered.
//!
//! Runs in init, first of all. Those that are new came with the clone, as far as the kernel can.

use core::ffi::CStr;

use crate::credentials;
use crate::descriptor::descriptors;
use crate::report::{Call, Kind, Report};
use crate::state::Init;
use crate::sys::{self, Failure, flag};

impl Init {
    /// Joins namespaces by descriptor.
    ///
    /// A namespace that belongs to the host's user namespace can only be joined with the host's rights, one that
    /// belongs to the joined user namespace only with that one's: each is tried before and, refused, after it.
    /// The mount namespace is last: joining it changes what paths mean.
    ///
    /// Whoever may trace in the joined user namespace, and sees this process, could reach the host through it: it has the
    /// host's root and identity until later steps. Not so for an ordinary user, whose runtime has to look into it by its
    /// own rights, and who is no more than that in it.
    pub fn join_namespaces(&mut self, namespaces: &[u8], user: i32, mount: i32) -> sys::Result<()> {
        let mut refused = 0_u32;
        if user >= 0 {
            if sys::effective_user() == 0 {
                credentials::not_dumpable()?;
            }
            for (index, namespace) in descriptors(namespaces).enumerate() {
                if sys::setns(namespace, 0).is_err() {
                    refused |= 1 << index;
                }
            }
            sys::setns(user, flag::CLONE_NEWUSER)?;
        }
        for (index, namespace) in descriptors(namespaces).enumerate() {
            if user < 0 || refused & (1 << index) != 0 {
                sys::setns(namespace, 0)?;
            }
        }
        if mount >= 0 {
            sys::setns(mount, flag::CLONE_NEWNS)?;
        }
        Ok(())
    }

    /// Joins the network namespace that the runtime has made meanwhile.
    pub fn join_network(&self) -> sys::Result<()> {
        let Some(namespace) = sys::recv_descriptor(self.channel)? else { sys::exit(1) };
        sys::setns(namespace, flag::CLONE_NEWNET)?;
        self.discard(namespace);
        Ok(())
    }

    /// A copy of this process goes on as the runtime's child; this one tells the runtime and ends.
    pub fn fork(&mut self, namespaces: u64) -> sys::Result<()> {
        let (pid, pidfd) = sys::fork_sibling(namespaces)?;
        if pid != 0 {
            let report = Report { kind: Kind::Forked, step: self.step, call: 0, errno: pid as u32 };
            let record = report.to_bytes();
            // Without the descriptor the runtime opens one of its own. Unsaid, the two would wait for each other.
            let sent = sys::send_with_descriptor(self.channel, &record, pidfd)
                .or_else(|_| sys::send(self.channel, &record));
            sys::exit(i32::from(sent.is_err()));
        }
        // Until the runtime holds this process: what it reported before could be taken for the other's.
        self.await_go()
    }

    /// A new time namespace: its offsets are written before anything is in it, then this process enters it.
    pub fn new_time_namespace(&mut self, offsets: &CStr) -> sys::Result<()> {
        sys::unshare(flag::CLONE_NEWTIME)?;
        let procfs = self.private_procfs()?;
        if !offsets.is_empty() {
            write_proc_file(procfs, c"self/timens_offsets", offsets.to_bytes())?;
        }
        // RESOLVE_NO_MAGICLINKS would refuse the link that a namespace's file is; the procfs is our own.
        let namespace = sys::openat2(procfs, c"self/ns/time_for_children", 0, 0, 0)?;
        sys::setns(namespace, flag::CLONE_NEWTIME)?;
        self.discard(namespace);
        Ok(())
    }

    /// A procfs that nobody else can shape: the one mounted by this program, or a detached one.
    pub fn private_procfs(&mut self) -> sys::Result<i32> {
        if self.procfs < 0 {
            self.procfs = match new_procfs() {
                // A user namespace may mount one only of a pid namespace of its own.
                Err(Failure { errno: flag::EPERM, .. }) => clone_procfs()?,
                result => result?,
            };
        }
        Ok(self.procfs)
    }

    /// Writes a file of the private procfs.
    pub fn write_proc(&mut self, path: &CStr, value: &CStr) -> sys::Result<()> {
        let procfs = self.private_procfs()?;
        write_proc_file(procfs, path, value.to_bytes())
    }
}

fn new_procfs() -> sys::Result<i32> {
    let context = sys::fsopen(c"proc")?;
    sys::fsconfig_create(context)?;
    let procfs = sys::fsmount(context, 0)?;
    crate::descriptor::discard(context);
    Ok(procfs)
}

/// The host's, with what is mounted in it, which can't be left behind there and is never entered by a write.
fn clone_procfs() -> sys::Result<i32> {
    let procfs = crate::mount::clone_host_path(c"/proc", true)?;
    if sys::filesystem_magic(procfs)? != flag::PROC_SUPER_MAGIC {
        return sys::refuse(Call::CheckProc, flag::EPERM);
    }
    Ok(procfs)
}

/// Writes a file below a procfs, reached without links out of it, mounts over it or magic. The first of the flags excludes the
/// last as kernels are now; openat2(2) leaves open whether it always will.
fn write_proc_file(procfs: i32, path: &CStr, value: &[u8]) -> sys::Result<()> {
    let resolve = flag::RESOLVE_BENEATH | flag::RESOLVE_NO_XDEV | flag::RESOLVE_NO_MAGICLINKS;
    let file = sys::openat2(procfs, path, flag::O_WRONLY, 0, resolve)?;
    sys::write(file, value)?;
    sys::close(file);
    Ok(())
}

//! Does the steps of a plan, one after the other.
//!
//! Runs in init. What a step leaves for later ones is in [`Init`].

use crate::attach::HeldMount;
use crate::credentials::{self, Scheduling};
use crate::descriptor::{descriptors, take_descriptors};
use crate::device::Node;
use crate::mount::{BindAttributes, BindMount, NewMount, clone_path_inside};
use crate::network;
use crate::report::{Call, Kind};
use crate::state::Init;
use crate::step::Step;
use crate::sys::{self, Failure, flag};
use crate::terminal::Terminal;
use crate::wire::{Field, Reader};

impl Init {
    fn try_directory(&mut self, path: &core::ffi::CStr) -> sys::Result<()> {
        match change_directory(path) {
            Err(Failure { errno: flag::EACCES, .. }) => Ok(()),
            result => {
                self.in_working_directory = true;
                result
            }
        }
    }

    /// Does the plan: the channel's number, the first descriptor that is not the container's, whether steps are timed, then
    /// the steps.
    pub fn run(&mut self, plan: &'static [u8]) -> ! {
        if let Err(Failure { call, errno }) = self.run_steps(plan) {
            self.undo(plan);
            let _ = self.report(Kind::Failed, call as u32, errno);
        }
        sys::exit(1)
    }

    /// The steps of an encoded plan.
    pub fn steps(plan: &'static [u8]) -> Option<Reader<'static>> {
        let mut reader = Reader::new(plan);
        i32::decode(&mut reader)?;
        u32::decode(&mut reader)?;
        u32::decode(&mut reader)?;
        Some(reader)
    }

    fn run_steps(&mut self, plan: &'static [u8]) -> sys::Result<()> {
        let reader = &mut Reader::new(plan);
        let header = (i32::decode(reader), u32::decode(reader), u32::decode(reader));
        let (Some(channel), Some(first_own), Some(traced)) = header else {
            return sys::refuse(Call::Plan, flag::EPROTO);
        };
        self.traced = traced != 0;
        self.channel = channel;
        self.first_own = first_own;
        sys::close_range(first_own, sys::CLOSE_RANGE_CLOEXEC)?;
        sys::umask(0);
        while !reader.is_empty() {
            let Some(step) = Step::decode(reader) else { return sys::refuse(Call::Plan, flag::EPROTO) };
            if self.traced {
                self.stamp()?;
                // What comes after it must not call more than the program's execve.
                self.traced = !matches!(step, Step::InstallFilter { .. });
            }
            self.run_step(step)?;
            self.step += 1;
        }
        sys::refuse(Call::Plan, flag::EPROTO)
    }

    /// One line a step; what takes more is in its concern's module. What takes much of the stack is never inlined here: the
    /// pages of this frame are touched by every step.
    fn run_step(&mut self, step: Step<'static>) -> sys::Result<()> {
        match step {
            Step::ResetSignals { ignored } => reset_signals(ignored),
            Step::JoinCgroups { procs } => {
                descriptors(procs).try_for_each(|procs| sys::write(procs, b"0").map(drop))
            }
            Step::NewSession {} => sys::setsid(),
            Step::JoinNamespaces { namespaces, user, mount } => self.join_namespaces(namespaces, user, mount),
            Step::JoinNetwork {} => self.join_network(),
            Step::JoinProcess { process, namespaces } => sys::setns(process, namespaces.0),
            Step::Unshare { namespaces } => sys::unshare(namespaces.0),
            Step::Fork { namespaces } => self.fork(namespaces.0),
            Step::NewTimeNamespace { offsets } => self.new_time_namespace(offsets),
            Step::AwaitCgroup {}
            | Step::AwaitIdMaps {}
            | Step::AwaitSources {}
            | Step::AwaitNetDevices { .. } => self.report_and_wait(),
            Step::BecomeRoot {} => {
                sys::setresgid(0)?;
                sys::setresuid(0)
            }
            Step::TakeTree { slot, tree } => self.hold(slot, tree),
            Step::OpenInside { slot, source, recursive } => {
                let tree = clone_path_inside(self.root, source, recursive)?;
                self.hold(slot, tree)
            }
            Step::OfferTree { slot, .. } => {
                self.report_descriptor(Kind::Offered, 0, self.held(slot))?;
                self.await_go()
            }
            Step::MakeInstance { context } => sys::fsconfig_create(context),
            Step::OpenSource { slot, source, recursive, host_rights } => {
                self.open_source(slot, source, recursive, host_rights)
            }
            Step::SetPropagation { propagation } => sys::mount_setattr(
                flag::AT_FDCWD,
                c"/",
                propagation.0 & flag::MS_REC != 0,
                0,
                0,
                propagation.0 & !flag::MS_REC,
            ),
            Step::OpenRoot { path, opened, shared } => self.open_root(path, opened, shared),
            Step::OpenRootDirectory { path } => self.open_root_directory(path),
            Step::Mount {
                fstype,
                source,
                target,
                attributes,
                options,
                copy_up,
                keep_mode,
                on_device,
                propagation,
            } => {
                let attributes = attributes.0;
                self.mount(&NewMount {
                    fstype,
                    source,
                    target,
                    attributes,
                    options,
                    copy_up,
                    keep_mode,
                    on_device,
                    propagation,
                })
            }
            Step::Bind {
                source,
                target,
                recursive,
                set,
                clear,
                implied_clear,
                all_set,
                all_clear,
                propagation,
                slot,
                in_proc,
            } => self.bind(&BindMount {
                source,
                target,
                recursive,
                attributes: BindAttributes { set: set.0, clear: clear.0, implied_clear: implied_clear.0 },
                all_attributes: (all_set.0, all_clear.0),
                propagation,
                slot,
                in_proc,
            }),
            Step::OpenProcfs {} => self.open_procfs(),
            Step::MakeMount { slot, fstype, source, attributes, options } => {
                self.make_mount(slot, fstype, source, attributes.0, options)
            }
            Step::Attach {
                slot,
                target,
                set,
                clear,
                implied_clear,
                all_set,
                all_clear,
                propagation,
                keep_mode,
                in_proc,
            } => self.attach_held(&HeldMount {
                slot,
                target,
                attributes: BindAttributes { set: set.0, clear: clear.0, implied_clear: implied_clear.0 },
                all_attributes: (all_set.0, all_clear.0),
                keep_mode,
                propagation,
                in_proc,
            }),
            Step::FindMount { slot, target } => self.find_mount(slot, target),
            Step::Detach { slot, .. } => self.detach_held(slot),
            Step::SetAttributes { target, recursive, set, clear } => {
                self.set_attributes(target, recursive, set.0, clear.0)
            }
            Step::SetMountPropagation { target, propagation } => {
                self.set_mount_propagation(target, propagation.0)
            }
            Step::Reconfigure { target, options } => self.reconfigure(target, options),
            Step::SetLabel { target, label } => self.set_label(target, label),
            Step::EnterDirectory { path } => self.enter_directory(path),
            Step::MakeNode { name, mode, major, minor, uid, gid } => {
                self.make_node(&Node { name, mode, major, minor }, uid, gid)
            }
            Step::BindNode { name, source, mode, major, minor } => {
                self.bind_node(&Node { name, mode, major, minor }, source)
            }
            Step::MakeLink { name, target } => self.make_link(name, target),
            Step::MakeLinkAt { path, target } => self.make_link_at(path, target),
            Step::MakeDirectory { path } => self.make_directory(path),
            Step::OpenTerminal { console, rows, columns, uid, bind, host_dev, translate } => {
                self.open_terminal(&Terminal { console, rows, columns, uid, bind, host_dev, translate })
            }
            Step::AwaitHooks { .. } => self.report_and_wait(),
            Step::PivotRoot { shared } => self.pivot_root(shared),
            Step::MoveRoot { kernel_views } => self.move_root(kernel_views),
            Step::ChangeRoot {} => self.change_root(),
            Step::SetRootPropagation { propagation } => self.set_root_propagation(propagation.0),
            Step::ReadonlyRoot {} => self.readonly_root(),
            Step::Mask { path, options } => self.mask(path, options),
            Step::Readonly { path } => self.readonly(path),
            Step::SetHostname { name } => sys::sethostname(name),
            Step::SetDomainname { name } => sys::setdomainname(name),
            Step::WriteProc { path, value } => self.write_proc(path, value),
            Step::NewKeyring { name } => credentials::new_keyring(name),
            Step::SetRlimit { resource, soft, hard } => sys::set_rlimit(resource, soft, hard),
            Step::RaiseLimit { resource, hard } => {
                let _ = sys::raise_hard_limit(0, resource, hard);
                Ok(())
            }
            Step::SetScheduler { policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns } => {
                credentials::set_scheduler(&Scheduling {
                    policy,
                    flags,
                    nice,
                    priority,
                    runtime_ns,
                    deadline_ns,
                    period_ns,
                })
            }
            Step::SetIoPriority { class, priority } => sys::ioprio_set(class << 13 | priority),
            Step::SetMemoryPolicy { mode, nodes } => sys::set_mempolicy(mode, nodes),
            Step::SetPersonality { domain } => sys::personality(domain),
            Step::LoopbackUp {} => network::loopback_up(),
            Step::SetDescriptor { descriptor, number } => sys::duplicate(descriptor, number as i32),
            Step::TakeDescriptors { end } => take_descriptors(end as i32),
            Step::ReopenNull { streams } => self.reopen_null(streams),
            Step::End {} => sys::exit(0),
            Step::SetStreams { input, output } => {
                sys::duplicate(input, 0)?;
                sys::duplicate(output, 1)?;
                sys::duplicate(output, 2)
            }
            Step::GivePipes { streams, uid } => {
                credentials::give_pipes(streams, uid);
                Ok(())
            }
            Step::DropBounding { dropped } => credentials::drop_bounding(dropped.0),
            Step::SetGroups { groups, unless_denied } => credentials::set_groups(groups, unless_denied),
            Step::SetGid { gid } => sys::setresgid(gid),
            Step::SetUid { uid } => credentials::set_uid(uid),
            Step::SetCapabilities { effective, permitted, inheritable } => {
                sys::set_capabilities(effective.0, permitted.0, inheritable.0)
            }
            Step::SetAmbient { ambient } => credentials::set_ambient(ambient.0),
            Step::NoNewPrivileges {} => credentials::no_new_privileges(),
            Step::SetUmask { mask } => {
                sys::umask(mask);
                Ok(())
            }
            Step::ChangeDirectory { .. } if self.in_working_directory => Ok(()),
            Step::ChangeDirectory { path } => change_directory(path),
            Step::TryDirectory { path } => self.try_directory(path),
            Step::FindProgram { name, path } => self.find_program(name, path),
            Step::FindHome { uid } => self.find_home(uid),
            Step::AwaitStart { gate } => self.await_start(gate),
            Step::AwaitGo {} => self.await_go(),
            Step::CloseOnExec { first } => sys::close_range(first, sys::CLOSE_RANGE_CLOEXEC),
            Step::NewRuleset { handled } => self.new_ruleset(handled.0),
            Step::AllowPath { path, access } => self.allow_path(path, access.0),
            Step::RestrictPaths {} => self.restrict_paths(),
            Step::InstallFilter { flags, program } => self.install_filter(flags, program),
            Step::Execute { args, env } => self.execute(args, env),
            Step::SetAffinity { processors } => sys::sched_setaffinity(processors),
            // As many as a kernel may be built for (NR_CPUS).
            Step::ResetAffinity {} => sys::sched_setaffinity(&[0xff; 8192 / 8]),
            Step::NotDumpable {} => credentials::not_dumpable(),
            Step::CloseOthers { kept } => self.close_others(kept),
            Step::ExecuteOpened { program, args, env, .. } => self.execute_opened(program, args, env),
        }
    }
}

fn reset_signals(ignored: u64) -> sys::Result<()> {
    for signal in (1..=64_u32).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        sys::reset_signal(signal)?;
    }
    sys::unblock_signals()
}

/// Changes to the directory and checks that it is below the root: a descriptor that leads elsewhere would show as
/// `(unreachable)`.
#[inline(never)]
fn change_directory(path: &core::ffi::CStr) -> sys::Result<()> {
    sys::chdir(path)?;
    if path == c"/" {
        return Ok(());
    }
    let mut buffer = [0; 4096];
    let length = sys::getcwd(&mut buffer)?;
    if length > 0 && buffer[0] == b'/' { Ok(()) } else { sys::refuse(Call::CheckRoot, flag::ENOENT) }
}

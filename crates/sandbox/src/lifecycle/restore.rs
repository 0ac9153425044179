//! `restore`: a container from images, by CRIU.
//!
//! Runs in the runtime. The container's directory and cgroup are made as by `create`, the intent first; CRIU works in
//! the container's cgroup, so that whatever becomes of us, its processes are found there. The restored init is our
//! child, as one of ours would be.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use spec::config::{HookPoint, NamespaceKind};

use super::caller::{send_pidfd, write_pid_file};
use super::container::{Container, Status, state_document, status};
use super::create::{Running, check_console, intend, poststart};
use super::namespace::open_namespace;
use super::prepare::Prepared;
use super::process::Process;
use super::undo::{Undo, Unfinished};
use crate::cgroup::Cgroup;
use crate::criu::{
    CgroupRoot, CriuError, DESCRIPTORS, Directories, Features, InheritedDescriptor, JoinNamespace, Kind,
    Notify, Options, Passed, Place, Request, RestoreRequest, Swrk, Version, bring_loopback_up, check_recent,
    common_options, external_key, failure, inherited_pipes, make_mount_points, restored_mounts,
};
use crate::error::{Error, Result};
use crate::hooks::{HookPlace, HookRun};
use crate::launch::send_descriptor;
use crate::state::{Entry, Phase, Record, StateRoot};
use crate::streams::Pipes;
use crate::{Interrupt, Outcome};

const LOG: &str = "restore.log";

pub(super) fn restore(
    state: &StateRoot,
    request: &RestoreRequest,
    prepared: Prepared,
    interrupt: &Interrupt,
) -> Result<Outcome<Running>> {
    check_console(&request.create, &prepared)?;
    if request.create.streams.own() != 0 || !request.create.descriptors.is_empty() {
        return Err(Error::Request("a restored container has the open files that it had"));
    }
    if !prepared.plan.net_devices.is_empty() {
        return Err(Error::Request(
            "a container with /linux/netDevices can't be restored: its devices are not in the images",
        ));
    }
    if prepared.plan.resctrl.is_some() {
        return Err(Error::Request("a container with /linux/intelRdt can't be restored"));
    }
    // Before anything is made.
    drop(Directories::open(&request.criu)?);
    let signals = prepared.host.ignored_signals;
    check_version(request, signals)?;

    let pod = request.create.pod.as_ref().map(|pod| super::pod::join(state, pod)).transpose()?;
    let entry = state.create(&request.create.id)?;
    let mut undo = Undo::new(state, &entry);
    let mut record = intend(&entry, &request.create, &prepared, state.owner())?;
    let claim = prepared.plan.cgroup.as_ref().map(crate::cgroup::CgroupPlan::probe_claim).transpose()?;
    record.cgroup = claim.as_ref().map(|claim| claim.record().clone());
    // The parser has read it as UTF-8.
    entry.write_intent(&record, &String::from_utf8_lossy(&prepared.config_bytes))?;
    // Who removes the pod from now on finds the container.
    drop(pod);

    let mut warnings = Vec::new();
    let cgroup = match claim {
        Some(claim) => {
            let made = Cgroup::create(claim)?;
            warnings.extend(made.warnings);
            record.cgroup = Some(made.value.record().clone());
            let cgroup = undo.cgroup.insert(made.value);
            if !cgroup.awaits_process() {
                cgroup.restrict_devices()?;
            }
            Some(cgroup)
        }
        None => None,
    };
    if request.create.notify_directory.is_some() {
        entry.make_notify_directory()?;
    }
    make_mount_points(&prepared.plan.rootfs, &prepared.plan.steps, signals)?;

    let mut passed = Passed::default();
    let mut options = restore_options(request, &prepared, &mut passed)?;
    let place = Place::Restore { rootfs: &prepared.plan.rootfs, cgroup: cgroup.as_deref() };
    let mut swrk = Swrk::start(request.criu.program.as_deref(), &place, &passed, signals)?;
    if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.awaits_process()) {
        // A scope is made around a process: this one, which makes the container's, and waits to be asked to.
        warnings.extend(cgroup.admit(swrk.pid())?);
        record.cgroup = Some(cgroup.record().clone());
        cgroup.restrict_devices()?;
    }
    let directories = Directories::open_of_process(swrk.pid(), &request.criu)?;
    directories.locate(&mut options);
    options.cgroup_roots = cgroup_roots(swrk.pid())?;
    let ask = Request { options: Some(options), ..Request::of(Kind::Restore) };
    let console = request.create.console.open(prepared.terminal())?;
    let mut restoring = Restoring {
        console: console.socket(),
        prepared: &prepared,
        entry: &entry,
        record: &mut record,
        process: &mut undo.process,
        interrupt,
    };
    let restored = swrk.ask(&ask, &mut |notify, descriptor| restoring.answer(notify, descriptor));
    restored.map_err(|error| match error {
        Error::Criu(error) => failure(*error, directories.log(LOG)).into(),
        error => error,
    })?;
    swrk.finish();

    let process = undo.process.as_ref().ok_or_else(|| no_init("it did not say which process it restored"))?;
    let pid = process.pid;
    send_pidfd(request.create.pidfd_socket.as_ref(), &process.pidfd)?;
    if let Some(path) = &request.create.pid_file {
        write_pid_file(path, pid)?;
        undo.pid_file = Some(path);
    }
    let terminal = console.into_terminal()?;
    // A container that was paused is paused again.
    let now = match status(&record)? {
        Status::Paused => Status::Paused,
        _ => Status::Running,
    };
    let container = Container::with_status(&request.create.id, &record, now, true);
    entry.unlock()?;
    let process = undo.disarm().ok_or_else(|| no_init("it did not say which process it restored"))?;
    let process = Process::new(process.pid, process.pidfd, Pipes::default(), terminal);
    warnings.extend(poststart(&prepared, &container, interrupt));
    let mut all = prepared.warnings;
    all.extend(warnings);
    Ok(Outcome { value: Running { container, process, entry, record }, warnings: all })
}

fn no_init(reason: &str) -> Error {
    CriuError::Conversation(reason.to_owned()).into()
}

fn check_version(request: &RestoreRequest, signals: u64) -> Result<()> {
    let features = Features { lazy_pages: request.criu.lazy_pages.then_some(true), ..Features::default() };
    let version = Swrk::probe(request.criu.program.as_deref(), features, signals)?;
    check_recent(version, Version::LEAST, "restore")?;
    if request.lsm_profile.is_some() {
        check_recent(version, Version::LSM, "--lsm-profile")?;
    }
    if request.lsm_mount_context.is_some() {
        check_recent(version, Version::LSM, "--lsm-mount-context")?;
    }
    if request.criu.network_lock.is_some() {
        check_recent(version, Version::NETWORK_LOCK, "--network-lock")?;
    }
    Ok(())
}

fn restore_options(request: &RestoreRequest, prepared: &Prepared, passed: &mut Passed) -> Result<Options> {
    let (config, plan) = (&prepared.config, &prepared.plan);
    let mut options = common_options(&request.criu, config, LOG);
    options.root = Some(plan.rootfs.to_string_lossy().into_owned());
    options.rst_sibling = Some(true);
    options.evasive_devices = Some(true);
    options.lsm_profile.clone_from(&request.lsm_profile);
    options.lsm_mount_context.clone_from(&request.lsm_mount_context);
    options.external_mounts = restored_mounts(&plan.steps, config, &plan.rootfs);
    for join in &plan.joins {
        if join.kind == NamespaceKind::Cgroup {
            return Err(CriuError::Unsupported {
                what: "a container in a cgroup namespace that was joined",
                pointer: format!("/linux/namespaces/{}", join.index),
            }
            .into());
        }
        match external_key(join.kind) {
            Some((_, key)) => {
                let number = passed.add(open_namespace(join)?);
                options.inherited.push(InheritedDescriptor { key: key.to_owned(), number });
            }
            None => {
                // CRIU's names of the kinds are the kernel's.
                let kind = match join.kind {
                    NamespaceKind::Mount => "mnt",
                    kind => kind.name(),
                };
                options.joined.push(JoinNamespace { kind: kind.to_owned(), file: join.path.clone() });
            }
        }
    }
    let streams = request.criu.image_path.join(DESCRIPTORS);
    let text = std::fs::read(&streams).map_err(|error| Error::file("read", &streams, error))?;
    let streams: Vec<String> = serde_json::from_slice(&text).map_err(|error| {
        Error::file("read", &streams, std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    })?;
    options.inherited.extend(inherited_pipes(&streams));
    Ok(options)
}

/// The cgroups that CRIU is in are where those of the images are put (proc_pid_cgroup(5)).
fn cgroup_roots(pid: i32) -> Result<Vec<CgroupRoot>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    let root = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some(CgroupRoot { controllers: Some(controllers), path })
    };
    Ok(text.lines().filter_map(root).collect())
}

/// A container that CRIU is at work on.
struct Restoring<'a> {
    /// Where the terminal's master is sent.
    console: Option<BorrowedFd<'a>>,
    prepared: &'a Prepared,
    entry: &'a Entry,
    record: &'a mut Record,
    process: &'a mut Option<Unfinished>,
    interrupt: &'a Interrupt,
}

impl Restoring<'_> {
    fn answer(&mut self, notify: &Notify, descriptor: Option<OwnedFd>) -> Result<()> {
        match notify.script.as_deref().unwrap_or_default() {
            "setup-namespaces" => self.set_up_namespaces(notify.pid.unwrap_or_default()),
            "orphan-pts-master" => self.send_terminal(descriptor),
            "post-restore" => {
                // Before its first instruction.
                self.hold(notify.pid.unwrap_or_default())?;
                self.record.phase = Phase::Created;
                self.entry.write(self.record)
            }
            _ => Ok(()),
        }
    }

    /// Holds init, whose namespaces are there; nothing in them is yet.
    fn hold(&mut self, pid: i32) -> Result<()> {
        if self.process.as_ref().is_some_and(|process| process.pid == pid) {
            return Ok(());
        }
        let pid = Pid::from_raw(pid).ok_or_else(|| no_init("a notification without a process"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| Error::host("hold the restored init", errno.into()))?;
        let process = self.process.insert(Unfinished { pid: pid.as_raw_nonzero().get(), pidfd });
        self.record.init = Some(process.identify()?);
        Ok(())
    }

    fn set_up_namespaces(&mut self, pid: i32) -> Result<()> {
        self.hold(pid)?;
        let network = &self.prepared.config.linux.namespaces.network;
        let own_network = network.as_ref().is_some_and(|namespace| namespace.path.is_none());
        if let Some(process) = self.process.as_ref().filter(|_| own_network) {
            bring_loopback_up(process.pidfd.as_fd())?;
        }
        for point in [HookPoint::Prestart, HookPoint::CreateRuntime] {
            let container = Container::with_status(self.entry.id(), self.record, Status::Creating, true);
            let run = HookRun {
                point,
                hooks: &self.prepared.config.hooks,
                directory: &self.record.bundle,
                state: &state_document(&container, false),
                place: HookPlace::Runtime,
                ignored_signals: self.prepared.host.ignored_signals,
                interrupt: self.interrupt,
            };
            run.run()?;
        }
        Ok(())
    }

    /// The terminal's master was outside the container, and is again.
    fn send_terminal(&self, master: Option<OwnedFd>) -> Result<()> {
        let Some(console) = self.console else {
            return Err(Error::Request(
                "the images have a terminal: the config must ask for one too (from /process/terminal)",
            ));
        };
        let master = master.ok_or_else(|| no_init("a terminal without its descriptor"))?;
        send_descriptor(console, b"orphan-pts-master", &master)
            .map_err(|error| Error::host("send the terminal", error))
    }
}

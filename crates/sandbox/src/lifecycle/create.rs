//! `create` and `run`: intent, cgroup, init, hooks, record.
//!
//! Runs in the runtime. Whatever fails, nothing is left: [`Undo`] holds what exists so far.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::time::SystemTime;

use init::Step;
use init::wire::Descriptor;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use spec::config::HookPoint;

use super::agent;
use super::caller::{check_streams, send_pidfd};
use super::container::{Container, Status, state_document};
use super::dialogue::{deadline, hear, unless_gone};
use super::making::Making;
use super::namespace::open_namespace;
use super::prepare::Prepared;
use super::process::Process;
use super::undo::{Poststop, Undo, Unfinished};
use crate::cgroup::{Cgroup, make_threaded};
use crate::console::OpenConsole;
use crate::descriptors::check_passed;
use crate::error::{Error, Result};
use crate::hooks::{HookPlace, HookRun};
use crate::launch::{Conversation, Inheritance, Launch, Launched, Message};
use crate::plan::Purpose;
use crate::resctrl::Resctrl;
use crate::state::{Entry, Phase, Record, SCHEMA, StateRoot, boot_id};
use crate::step_error::StepError;
use crate::streams::OpenStreams;
use crate::sys::NetworkInMaking;
use crate::{CreateRequest, Interrupt, Outcome, SessionKeyring};

/// A container that we made, and its init, which is our child.
#[derive(Debug)]
pub struct Running {
    /// The container, as it was when this was returned.
    pub container: Container,
    /// Its init: to wait for, with the pipes that were asked for.
    pub process: Process,
    /// Its directory, without the lock: whatever has its name later, this is it.
    pub(super) entry: Entry,
    pub(super) record: Record,
}

/// Makes a container and takes it to where the purpose wants it.
pub(super) fn launch(
    state: &StateRoot,
    request: &CreateRequest,
    prepared: Prepared,
    interrupt: &Interrupt,
) -> Result<Outcome<Running>> {
    let purpose = prepared.purpose;
    check_console(request, &prepared)?;
    check_passed(prepared.plan.first_own_fd, &request.descriptors, request.preserve_fds)?;
    if purpose == Purpose::Run {
        prepared.check_process()?;
    }
    let phase = phase!("record the intent");
    let pod = request.pod.as_ref().map(|pod| super::pod::join(state, pod)).transpose()?;
    agent::probe(&prepared.config, &prepared.bundle)?;
    let entry = state.create(&request.id)?;
    let mut undo = Undo::new(state, &entry);
    // It takes as long as all until init needs it, and another processor may be free. Nothing of it stays where we end.
    let network = prepared.plan.network_beside.then(NetworkInMaking::begin).transpose();
    let network = network.map_err(|(call, error)| Error::launch(call, error))?;
    let mut record = intend(&entry, request, &prepared, state.owner())?;
    let claim = prepared.plan.cgroup.as_ref().map(crate::cgroup::CgroupPlan::probe_claim).transpose()?;
    record.cgroup = claim.as_ref().map(|claim| claim.record().clone());
    let resctrl = prepared.plan.resctrl.as_ref().map(Resctrl::claim).transpose()?;
    record.resctrl = resctrl.as_ref().map(|resctrl| resctrl.record.clone());
    // The parser has read it as UTF-8.
    entry.write_intent(&record, &String::from_utf8_lossy(&prepared.config_bytes))?;

    // Who removes the pod from now on finds the container.
    drop(pod);
    drop(phase);
    tracing::debug!(steps = prepared.plan.steps.len(), "planned, and recorded the intent");
    for planned in &prepared.plan.steps {
        if let Step::InstallFilter { flags, .. } = planned.step {
            tracing::debug!("seccomp filter flags: {flags}");
        }
    }
    if request.notify_directory.is_some() {
        entry.make_notify_directory()?;
    }
    let mut warnings = Vec::new();
    let cgroup = match claim {
        Some(claim) => {
            let _phase = phase!("make the cgroup");
            let made = Cgroup::create(claim)?;
            warnings.extend(made.warnings);
            record.cgroup = Some(made.value.record().clone());
            Some(undo.cgroup.insert(made.value))
        }
        None => None,
    };
    if let (Some(resctrl), Some(planned)) = (resctrl, &prepared.plan.resctrl) {
        undo.resctrl.insert(resctrl).make(planned)?;
    }
    let phase = phase!("clone init");
    let streams = request.streams.open(&request.descriptors)?;
    let console = request.console.open(prepared.terminal())?;
    let launched = spawn(&prepared, &entry, cgroup.as_deref(), &streams, &console)?;
    let pipes = streams.into_pipes();
    drop(phase);
    let Launched { pid, pidfd, conversation, executable } = launched;
    tracing::debug!(pid, "cloned init");
    let process = undo.process.insert(Unfinished { pid, pidfd });
    if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.awaits_process()) {
        warnings.extend(cgroup.admit(process.pid)?);
        record.cgroup = Some(cgroup.record().clone());
        admitted(&prepared, &conversation, process)?;
    }
    // While init is at work, what follows: it can't go on to the program before it is told to. The wait first: of two
    // processors init needs the one that is not at work on the network.
    if let Some(network) = network {
        give_network(&conversation, network)?;
    }
    if let Some(cgroup) = &mut undo.cgroup {
        let _phase = phase!("attach the device filter");
        cgroup.restrict_devices()?;
    }
    // So can it not here: what it forks has the class, too.
    if let Some(resctrl) = &undo.resctrl {
        resctrl.admit(process.pid)?;
    }
    record.init = Some(process.identify()?);
    record.executable = Some(executable);
    record.phase = Phase::Created;

    let mut making = Making {
        request,
        prepared: &prepared,
        entry: &entry,
        record: &mut record,
        conversation: &conversation,
        began_hooks: Cell::new(false),
        interrupt,
        resctrl: undo.resctrl.as_ref(),
        #[cfg(feature = "netdevices")]
        net_devices: &mut undo.net_devices,
        wrote_pid_file: false,
    };
    let phase = phase!("follow init");
    let followed = making.follow(process, purpose);
    drop(phase);
    undo.pid_file = request.pid_file.as_deref().filter(|_| making.wrote_pid_file);
    // Whatever ends the creation from here on ends the life of a container whose hooks have run.
    if making.began_hooks.get() {
        undo.poststop = Poststop::of(&prepared, &record, entry.id(), interrupt);
    }
    followed?;
    tracing::debug!("init has done its steps");
    let terminal = console.into_terminal()?;
    send_pidfd(request.pidfd_socket.as_ref(), &process.pidfd)?;
    let status = if purpose == Purpose::Run { Status::Running } else { Status::Created };
    let container = Container::with_status(&request.id, &record, status, true);
    entry.unlock()?;
    let Unfinished { pid, pidfd } = undo.disarm().ok_or(Error::NotFound)?;
    if purpose == Purpose::Run {
        warnings.extend(poststart(&prepared, &container, interrupt));
    }
    let mut all = prepared.warnings;
    all.extend(warnings);
    let process = Process::new(pid, pidfd, pipes, terminal);
    Ok(Outcome { value: Running { container, process, entry, record }, warnings: all })
}

pub(super) fn check_console(request: &CreateRequest, prepared: &Prepared) -> Result<()> {
    check_streams(prepared.terminal(), &request.streams)?;
    request.console.check(prepared.terminal())
}

/// What is going to be, as it is recorded before anything is done; `owner` is the user that the state belongs to.
pub(super) fn intend(
    entry: &Entry,
    request: &CreateRequest,
    prepared: &Prepared,
    owner: u32,
) -> Result<Record> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let steps = &prepared.plan.steps;
    let gate = steps.iter().position(|planned| matches!(planned.step, Step::AwaitStart { .. }));
    Ok(Record {
        schema: SCHEMA,
        oci_version: prepared.config.oci_version.to_string(),
        id: entry.id().to_string(),
        phase: Phase::Creating,
        boot_id: boot_id().map_err(|error| Error::host("read the boot id", error))?,
        bundle: prepared.bundle.clone(),
        rootfs: prepared.plan.rootfs.clone(),
        created_ns: since_1970.as_nanos() as u64,
        owner_uid: owner,
        annotations: prepared.config.annotations.clone(),
        init: None,
        executable: None,
        cgroup: None,
        resources: None,
        poststop: !prepared.config.hooks.poststop.is_empty(),
        start_reads_config: prepared.config.process.is_none() || !prepared.config.hooks.poststart.is_empty(),
        own_pids: prepared.has_own_pids(),
        inherits_keyring: request.session_keyring == SessionKeyring::Inherit,
        pod: request.pod.as_ref().map(|pod| pod.id.to_string()),
        resctrl: None,
        gate_step: gate.map(|gate| gate as u32),
    })
}

fn spawn(
    prepared: &Prepared,
    entry: &Entry,
    cgroup: Option<&Cgroup>,
    streams: &OpenStreams<'_>,
    console: &OpenConsole<'_>,
) -> Result<Launched> {
    let plan = &prepared.plan;
    let namespaces = plan.joins.iter().map(open_namespace).collect::<Result<Vec<_>>>()?;
    let trees = super::idmap::open_trees(&plan.trees, &namespaces)?;
    let gate = if prepared.purpose == Purpose::Create { Some(open_gate(entry)?) } else { None };
    let mut inheritance = Inheritance::default();
    for (join, namespace) in plan.joins.iter().zip(&namespaces) {
        inheritance.add(Descriptor::Namespace(join.index as u16), namespace.as_fd());
    }
    for (index, tree) in &trees {
        inheritance.add(Descriptor::Tree(*index), tree.as_fd());
    }
    if let Some(gate) = &gate {
        inheritance.add(Descriptor::Gate, gate.as_fd());
    }
    if let Some(socket) = console.socket() {
        inheritance.add(Descriptor::Console, socket);
    }
    for (index, procs) in cgroup.into_iter().flat_map(Cgroup::procs_fds).enumerate() {
        inheritance.add(Descriptor::CgroupProcs(index as u16), procs);
    }
    streams.inherit(&mut inheritance);
    let launch = Launch::of_plan(plan, cgroup.and_then(Cgroup::v2_fd), inheritance);
    match (launch.spawn(&plan.steps), cgroup) {
        (Err(error), Some(cgroup))
            if error.errno() == Some(Errno::OPNOTSUPP.raw_os_error()) && make_threaded(cgroup.record())? =>
        {
            launch.spawn(&plan.steps)
        }
        (launched, _) => launched,
    }
}

/// The socket on which a created container waits, in its directory.
fn open_gate(entry: &Entry) -> Result<OwnedFd> {
    let open = || -> rustix::io::Result<OwnedFd> {
        let gate = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        bind(&gate, &SocketAddrUnix::new(entry.gate_path())?)?;
        listen(&gate, 4)?;
        Ok(gate)
    };
    open().map_err(|errno| Error::file("listen on", entry.gate_path(), errno.into()))
}

/// Lets init go on, whose cgroup is there now.
fn admitted(prepared: &Prepared, conversation: &Conversation, process: &Unfinished) -> Result<()> {
    match hear(conversation, deadline())? {
        Message::Waiting(_) => conversation.go().map_err(|error| Error::host("let init go on", error)),
        Message::Failed(report) => {
            Err(StepError::new(prepared.plan.steps.get(report.step as usize), report).into())
        }
        _ => Err(Error::InitEnded { how: process.wait() }),
    }
}

/// Sends init the network namespace that it is going to need.
fn give_network(conversation: &Conversation, network: NetworkInMaking) -> Result<()> {
    let _phase = phase!("await the network namespace");
    let namespace = network.finish().map_err(|(call, error)| Error::launch(call, error))?;
    unless_gone("give init its network namespace", conversation.give(namespace.as_fd()))
}

pub(super) fn poststart(
    prepared: &Prepared,
    container: &Container,
    interrupt: &Interrupt,
) -> Vec<crate::Warning> {
    let hooks = &prepared.config.hooks;
    if hooks.poststart.is_empty() {
        return Vec::new();
    }
    let state = state_document(container, false);
    let ignored_signals = prepared.host.ignored_signals;
    let (point, directory) = (HookPoint::Poststart, &*container.bundle);
    let place = HookPlace::Runtime;
    HookRun { point, hooks, directory, state: &state, place, ignored_signals, interrupt }.run_all()
}

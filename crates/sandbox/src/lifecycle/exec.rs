//! `exec`: another process in a container.
//!
//! Runs in the runtime. Nothing of it is recorded: the process is the caller's child, in the container's cgroup and
//! namespaces. Until it is told to go on it ends with the runtime.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use init::Step;
use init::wire::{Descriptor, Words};
use rustix::io::Errno;
use spec::config::{ExecCpuAffinity, Hook, Process as ProcessConfig};
use spec::{AbsolutePath, Config};

use super::agent;
use super::caller::{check_streams, send_pidfd};
use super::container::{Container, Status, status};
use super::exec_process::process_of;
use super::executing::{Executing, STOPPED, explain};
use super::process::Process;
use super::undo::Unfinished;
use crate::cgroup::{Cgroup, CgroupRecord, Entrance};
use crate::console::OpenConsole;
use crate::descriptors::{Passed, check_passed};
use crate::error::{Error, Result};
use crate::host::HostFacts;
use crate::launch::{Inheritance, Launch, Launched};
use crate::plan::{ExecPlan, ExecPlanRequest, plan_exec};
use crate::state::{Record, StateRoot};
use crate::streams::{OpenStreams, Streams};
use crate::{ExecProcess, ExecRequest, IfPaused, Interrupt, Outcome, ProcessChanges, SessionKeyring};

/// A process that could be executed: what was read, and what would be done.
#[derive(Debug)]
pub struct PreparedExec {
    init: OwnedFd,
    cgroup: Option<Cgroup>,
    terminal: bool,
    container: Container,
    config: Config,
    /// What would be done.
    pub plan: ExecPlan,
}

impl PreparedExec {
    /// Whether the process gets a terminal.
    pub const fn terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the container is paused: the process will go on when it is resumed.
    pub const fn paused(&self) -> bool {
        matches!(self.container.status, Status::Paused)
    }
}

/// Reads the document of a process, for [`ExecProcess::Document`].
///
/// # Errors
/// It can't be read, is no regular file, or is larger than any.
pub fn read_process(path: &Path) -> Result<Vec<u8>> {
    super::prepare::read_document("read the process", path)
}

pub(super) fn prepare(state: &StateRoot, request: &ExecRequest) -> Result<PreparedExec> {
    let _phase = phase!("read and plan");
    let entry = state.open_entry(&request.id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    let now = status(&record)?;
    match (now, request.if_paused) {
        (Status::Stopped, _) => return Err(Error::status(STOPPED)),
        (Status::Creating, _) => {
            return Err(Error::status("cannot exec in a container that is being created"));
        }
        (Status::Paused, IfPaused::Refuse) => {
            return Err(Error::status("cannot exec in a paused container (use --ignore-paused to override)"));
        }
        (Status::Created | Status::Running | Status::Paused, _) => {}
    }
    let container = Container::with_status(&request.id, &record, now, true);
    let identity = record.init.ok_or(Error::NotFound)?;
    let init = identity.open().map_err(|error| Error::host("look at init", error))?;
    let init = init.ok_or_else(|| Error::status(STOPPED))?;

    let mut config = spec::parse_config(entry.read_config()?.as_bytes())?.config;
    let mut warnings = Vec::new();
    let process = process_of(request, config.process.take(), &mut warnings)?;
    config.process = Some(process);
    let mut prepared = Target::new(container, &record, init).prepare(config, request)?;
    if matches!(request.process, ExecProcess::Document(_)) {
        point_into_document(&mut prepared.plan);
    }
    warnings.append(&mut prepared.plan.warnings);
    prepared.plan.warnings = warnings;
    Ok(prepared)
}

/// What a process joins.
struct Target {
    /// The container, as it is now.
    container: Container,
    cgroup: Option<CgroupRecord>,
    /// Whether its processes have the session keyring of whoever made it.
    inherits_keyring: bool,
    /// Its init, held.
    init: OwnedFd,
}

impl Target {
    fn new(container: Container, record: &Record, init: OwnedFd) -> Self {
        Self { container, cgroup: record.cgroup.clone(), inherits_keyring: record.inherits_keyring, init }
    }

    /// Opens what the process enters, and plans it: the config is the container's, with this process in it.
    fn prepare(self, config: Config, request: &ExecRequest) -> Result<PreparedExec> {
        let Self { container, cgroup, inherits_keyring, init } = self;
        let terminal = config.process.as_ref().is_some_and(|process| process.terminal.is_some());
        let initial = config.process.as_ref().and_then(|process| process.exec_cpu_affinity.initial.as_ref());
        let cgroup = cgroup.filter(|cgroup| !cgroup.directories.is_empty());
        let out_of_reach = cgroup.as_ref().map_or(Ok(false), CgroupRecord::is_out_of_reach)?;
        let entrance = if out_of_reach {
            Entrance::Systemd
        } else if container.status == Status::Paused || initial.is_some() {
            Entrance::Write
        } else {
            Entrance::Clone
        };
        let mut cgroup =
            cgroup.map(|cgroup| Cgroup::open_to_enter(cgroup, &request.cgroups, entrance)).transpose()?;
        if cgroup.is_none() && !request.cgroups.is_empty() {
            return Err(Error::Request("--cgroup: the container has no cgroup of its own"));
        }
        if let Some(cgroup) = &mut cgroup
            && entrance == Entrance::Clone
            && cgroup.v2_fd().is_none()
        {
            cgroup.follow_init(container.pid)?;
        }
        agent::probe(&config, &container.bundle)?;
        let mut host = HostFacts::probe(&config, None)?;
        host.streams = request.streams.kinds(host.streams);
        let passed = Passed::of(&request.descriptors, request.preserve_fds, request.listen_fds)?;
        let mut plan = plan_exec(
            &config,
            &host,
            &ExecPlanRequest {
                id: &request.id,
                init: container.pid,
                session_keyring: if inherits_keyring { SessionKeyring::Inherit } else { SessionKeyring::New },
                newlines: request.newlines,
                preserve_fds: passed.count,
                listen_fds: request.listen_fds,
                own_streams: request.streams.own(),
                own_descriptors: request.descriptors.len() as u32,
                closed_below: passed.closed_below,
                cgroups: cgroup.as_ref().map_or(0, |cgroup| cgroup.procs_fds().len() as u16),
                awaits_cgroup: out_of_reach,
            },
        )?;
        plan.warnings.extend(passed.warning());
        Ok(PreparedExec { init, cgroup, terminal, container, config, plan })
    }
}

/// The pointers of a process that has a document of its own are into that.
fn point_into_document(plan: &mut ExecPlan) {
    let shorten = |pointer: &str| pointer.strip_prefix("/process").map(str::to_owned);
    for step in &mut plan.steps {
        if let Some(pointer) = shorten(&step.pointer) {
            step.pointer = pointer.into();
        }
    }
    for pointer in plan.warnings.iter_mut().filter_map(|warning| warning.pointer.as_mut()) {
        if let Some(short) = shorten(pointer) {
            *pointer = short;
        }
    }
}

/// What launches hooks as processes of the container, whose init is given: in its cgroup and namespaces, with the rights, the
/// limits and the filter of its own process. What is executed is a file of the container's, which its image may have made.
pub(super) fn hook_launcher<'a>(
    container: &'a Container,
    record: &'a Record,
    init: &'a OwnedFd,
    config: &'a Config,
) -> impl Fn(&Hook, Streams) -> Result<(i32, OwnedFd)> + 'a {
    move |hook, streams| {
        let init = init.try_clone().map_err(|error| Error::host("dup", error))?;
        launch_hook(Target::new(container.clone(), record, init), config, hook, streams)
    }
}

fn launch_hook(target: Target, config: &Config, hook: &Hook, streams: Streams) -> Result<(i32, OwnedFd)> {
    let mut config = config.clone();
    let own = config.process.take().ok_or(Error::NotFound)?;
    config.process = Some(ProcessConfig {
        args: hook.args.clone(),
        env: hook.env.clone(),
        cwd: AbsolutePath::root(),
        terminal: None,
        exec_cpu_affinity: ExecCpuAffinity::default(),
        ..own
    });
    let mut request =
        ExecRequest::new(target.container.id.clone(), ExecProcess::Changed(ProcessChanges::default()));
    request.streams = streams;
    let mut prepared = target.prepare(config, &request)?;
    prepared.plan.execute_hook(&hook.path);
    let process = exec(&request, prepared, None)?.value;
    Ok((process.pid, process.pidfd))
}

/// A hook's program has a deadline; other programs have what ends the wait for them.
pub(super) fn exec(
    request: &ExecRequest,
    prepared: PreparedExec,
    interrupt: Option<&Interrupt>,
) -> Result<Outcome<Process>> {
    let _phase = phase!("execute");
    check_streams(prepared.terminal, &request.streams)?;
    check_passed(prepared.plan.first_own_fd, &request.descriptors, request.preserve_fds)?;
    request.console.check(prepared.terminal)?;
    let PreparedExec { init, mut cgroup, terminal, container, config, plan } = prepared;
    for planned in &plan.steps {
        if let Step::SetAffinity { processors } = &planned.step {
            tracing::debug!("affinity: {} ({})", mask(processors), planned.pointer);
        }
    }
    let streams = request.streams.open(&request.descriptors)?;
    let console = request.console.open(terminal)?;
    let launched = match spawn(&plan, &init, cgroup.as_ref(), &streams, &console) {
        Err(error) if takes_no_processes(&error) && request.cgroups.is_empty() => {
            let Some(cgroup) = cgroup.as_mut().filter(|cgroup| cgroup.v2_fd().is_some()) else {
                return Err(error);
            };
            cgroup.follow_init(container.pid)?;
            spawn(&plan, &init, Some(cgroup), &streams, &console)
        }
        launched => launched,
    };
    let Launched { pid, pidfd, conversation, .. } = launched.map_err(|error| explain(error, &init))?;
    let pipes = streams.into_pipes();
    let mut executing = Executing {
        request,
        steps: &plan.steps,
        init: &init,
        container: &container,
        config: &config,
        cgroup: cgroup.as_ref(),
        conversation: &conversation,
        // The process stands still with the container, for as long as that does.
        patient: container.status == Status::Paused,
        interrupt,
        process: Some(Unfinished { pid, pidfd }),
    };
    tracing::debug!(pid, "cloned a process");
    executing.follow()?;
    tracing::debug!("executed the command in the container");
    if let Some(process) = &executing.process {
        send_pidfd(request.pidfd_socket.as_ref(), &process.pidfd)
            .inspect_err(|_| executing.remove_pid_file())?;
    }
    let terminal = console.into_terminal().inspect_err(|_| executing.remove_pid_file())?;
    let Some(Unfinished { pid, pidfd }) = executing.process.take() else { return Err(Error::NotFound) };
    Ok(Outcome { value: Process::new(pid, pidfd, pipes, terminal), warnings: plan.warnings })
}

fn spawn(
    plan: &ExecPlan,
    init: &OwnedFd,
    cgroup: Option<&Cgroup>,
    streams: &OpenStreams<'_>,
    console: &OpenConsole<'_>,
) -> Result<Launched> {
    let mut inheritance = Inheritance::default();
    inheritance.add(Descriptor::Process, init.as_fd());
    if let Some(socket) = console.socket() {
        inheritance.add(Descriptor::Console, socket);
    }
    for (index, procs) in cgroup.into_iter().flat_map(Cgroup::procs_fds).enumerate() {
        inheritance.add(Descriptor::CgroupProcs(index as u16), procs);
    }
    streams.inherit(&mut inheritance);
    let first_own_fd = plan.first_own_fd;
    let cgroup = cgroup.and_then(Cgroup::v2_fd);
    Launch { namespaces: 0, cgroup, first_own_fd, inheritance }.spawn(&plan.steps)
}

/// As a number: one bit for each processor.
fn mask(processors: &Words) -> String {
    let digits: String = processors.0.iter().rev().map(|word| format!("{word:08x}")).collect();
    format!("0x{}", digits.trim_start_matches('0'))
}

/// Of a v2 cgroup: it gives controllers to those below it, is threaded, or is gone (cgroups(7)).
fn takes_no_processes(error: &Error) -> bool {
    let errnos = [Errno::BUSY, Errno::OPNOTSUPP, Errno::NODEV, Errno::NOENT];
    errnos.iter().any(|errno| error.errno() == Some(errno.raw_os_error()))
}

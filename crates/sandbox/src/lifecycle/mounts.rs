//! `mounts add` and `mounts remove`: other mounts for a container that exists. All of them, or none.
//!
//! Runs in the runtime, under the container's lock. A process of ours does the work (`plan::attach`): it holds the mounts,
//! joins the container's mount namespace and attaches them; killed, it takes with it what it has not attached. Nothing is
//! recorded: mounts end with their namespace. So a paused container needs nothing special: none of its processes takes part.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use init::wire::Descriptor;
use rustix::io::Errno;
use spec::config::Mount;
use spec::{AbsolutePath, Config};

use super::container::{Status, status};
use super::idmap::open_trees;
use super::pause::{not_running, open_init};
use super::sources::give_source;
use super::undo::Unfinished;
use crate::error::{Error, Result};
use crate::host::HostFacts;
use crate::launch::{INIT_DEADLINE, Inheritance, Launch, Message, step_error};
use crate::plan::{AttachPlan, TreeIds, plan_attach, plan_detach};
use crate::state::{Entry, Record, StateRoot, has_ended};
use crate::{ContainerId, Outcome};

pub(super) fn add(state: &StateRoot, id: &ContainerId, mounts: &[Mount]) -> Result<Outcome<()>> {
    let (entry, record) = lock(state, id)?;
    let (config, host) = facts(&entry)?;
    carry_out(&record, plan_attach(&config, &host, &record.bundle, mounts)?)
}

pub(super) fn remove(
    state: &StateRoot,
    id: &ContainerId,
    destinations: &[AbsolutePath],
) -> Result<Outcome<()>> {
    let (entry, record) = lock(state, id)?;
    let (config, host) = facts(&entry)?;
    carry_out(&record, plan_detach(&config, &host, destinations)?)
}

fn lock(state: &StateRoot, id: &ContainerId) -> Result<(Entry, Record)> {
    let entry = state.lock(id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Created | Status::Running | Status::Paused => Ok((entry, record)),
        Status::Creating | Status::Stopped => Err(not_running()),
    }
}

fn facts(entry: &Entry) -> Result<(Config, HostFacts)> {
    let config = spec::parse_config(entry.read_config()?.as_bytes())?.config;
    let host = HostFacts::probe(&config, None)?;
    Ok((config, host))
}

fn carry_out(record: &Record, plan: AttachPlan) -> Result<Outcome<()>> {
    let Some(init) = open_init(record)? else { return Err(not_running()) };
    let joined: Vec<OwnedFd> = if plan.trees.iter().any(|tree| matches!(tree.ids, TreeIds::Joined(_))) {
        vec![user_namespace(record, &init)?]
    } else {
        Vec::new()
    };
    let trees = open_trees(&plan.trees, &joined)?;
    let mut inheritance = Inheritance::default();
    inheritance.add(Descriptor::Process, init.as_fd());
    for (index, tree) in &trees {
        inheritance.add(Descriptor::Tree(*index), tree.as_fd());
    }
    let launch = Launch { namespaces: 0, cgroup: None, first_own_fd: 3, inheritance };
    let launched = launch.spawn(&plan.steps)?;
    let process = Unfinished { pid: launched.pid, pidfd: launched.pidfd };
    let said = loop {
        match launched.conversation.receive(Some(Instant::now() + INIT_DEADLINE)) {
            Ok(Message::Seeking { report, root }) => {
                // Untold, the process would wait for ever.
                let given = give_source(&launched.conversation, &plan.steps, report, &root);
                given.inspect_err(|_| {
                    process.kill();
                    process.wait();
                })?;
            }
            said => break said,
        }
    };
    if said.is_err() {
        process.kill();
    }
    let how = process.wait();
    let result = match said {
        Ok(Message::Failed(report)) => Err(step_error(&plan.steps, report).into()),
        Ok(Message::Closed) if how == "exit status 0" => Ok(()),
        Ok(_) => Err(Error::InitEnded { how }),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Err(Error::Deadline("a path of the host or of the container"))
        }
        Err(error) => Err(Error::host("hear from init", error)),
    };
    match result {
        Ok(()) => Ok(Outcome { value: (), warnings: plan.warnings }),
        Err(error) if joins(&error) && has_ended(init.as_fd()).unwrap_or(false) => Err(not_running()),
        Err(error) => Err(error),
    }
}

fn joins(error: &Error) -> bool {
    error.step() == Some("join-process") && error.errno() == Some(Errno::SRCH.raw_os_error())
}

/// The container's user namespace; read by pid, so init is looked at once more when it is open.
fn user_namespace(record: &Record, init: &OwnedFd) -> Result<OwnedFd> {
    let pid = record.init.map_or(0, |init| init.pid);
    let path = format!("/proc/{pid}/ns/user");
    let namespace = File::open(&path).map_err(|error| Error::file("open", &path, error));
    if has_ended(init.as_fd()).map_err(|error| Error::host("look at init", error))? {
        return Err(not_running());
    }
    namespace.map(Into::into)
}

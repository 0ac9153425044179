//! The process of `exec`: a document of its own, or the container's own with changes.
//!
//! Runs in the runtime.

use spec::ParsedProcess;
use spec::config::{Capabilities, CapabilitySet, Process as ProcessConfig, Terminal};

use crate::error::{Error, Result};
use crate::outcome::Warning;
use crate::{ExecProcess, ExecRequest, ProcessChanges};

/// The process that is asked for.
pub(super) fn process_of(
    request: &ExecRequest,
    own: Option<ProcessConfig>,
    warnings: &mut Vec<Warning>,
) -> Result<ProcessConfig> {
    let mut process = match &request.process {
        ExecProcess::Document(bytes) => {
            let ParsedProcess { process, warnings: found } =
                spec::parse_process(bytes).map_err(|violations| Error::Process(Box::new(violations)))?;
            warnings.extend(
                found.into_iter().map(|it| Warning { pointer: Some(it.pointer), message: it.message }),
            );
            match own {
                Some(own) => completed(process, own),
                None => process,
            }
        }
        ExecProcess::Changed(changes) => {
            let own = own.ok_or(Error::Request(
                "the container has no process to take the user and the environment from (/process): \
                 needs --process",
            ))?;
            changed(own, changes)
        }
    };
    if let Some(terminal) = &mut process.terminal {
        terminal.size = terminal.size.or(request.console_size);
    }
    Ok(process)
}

/// What the document says nothing of is the container's.
fn completed(process: ProcessConfig, own: ProcessConfig) -> ProcessConfig {
    let mut affinity = process.exec_cpu_affinity;
    if affinity.initial.is_none() && affinity.final_.is_none() {
        affinity = own.exec_cpu_affinity;
    }
    ProcessConfig {
        rlimits: if process.rlimits.is_empty() { own.rlimits } else { process.rlimits },
        oom_score_adj: process.oom_score_adj.or(own.oom_score_adj),
        apparmor_profile: process.apparmor_profile.or(own.apparmor_profile),
        selinux_label: process.selinux_label.or(own.selinux_label),
        scheduler: process.scheduler.or(own.scheduler),
        io_priority: process.io_priority.or(own.io_priority),
        exec_cpu_affinity: affinity,
        ..process
    }
}

fn changed(mut process: ProcessConfig, changes: &ProcessChanges) -> ProcessConfig {
    let size = process.terminal.and_then(|terminal| terminal.size);
    process.terminal = changes.terminal.then_some(Terminal { size });
    process.args.clone_from(&changes.args);
    process.env.extend(changes.env.iter().cloned());
    let user = &mut process.user;
    user.uid = changes.uid.unwrap_or(user.uid);
    user.gid = changes.gid.unwrap_or(user.gid);
    user.additional_gids.extend(&changes.additional_gids);
    process.cwd = changes.cwd.clone().unwrap_or(process.cwd);
    process.no_new_privileges = changes.no_new_privileges.unwrap_or(process.no_new_privileges);
    process.selinux_label = changes.selinux_label.clone().or(process.selinux_label);
    process.apparmor_profile = changes.apparmor_profile.clone().or(process.apparmor_profile);
    let union = |set: CapabilitySet| CapabilitySet::from_bits(set.bits() | changes.capabilities.bits());
    let Capabilities { effective, bounding, inheritable, permitted, ambient } = process.capabilities;
    process.capabilities = Capabilities {
        effective: union(effective),
        bounding: union(bounding),
        inheritable,
        permitted: union(permitted),
        // The kernel raises only what is inheritable.
        ambient: union(ambient).intersection(inheritable),
    };
    process
}

//! The standard streams: those that the caller gives, the terminal, the null device, and whose pipes are.
//!
//! Pure.

use init::Step;
use init::wire::Descriptor;
use spec::Config;
use spec::config::Process;

use super::namespace_plan::NamespacePlan;
use super::{Steps, devices};
use crate::Newlines;
use crate::host::{HostFacts, StreamKind};

/// Streams that the caller gives, and `more` descriptors after them, take the place of the runtime's; where some before
/// `closed_below` are closed, they stay so.
pub(super) fn plan_streams(steps: &mut Steps, own_streams: u32, more: u32, closed_below: u32) {
    let streams = (0..3).filter(|number| own_streams & 1 << number != 0);
    for number in streams.chain(3..3 + more) {
        steps.push("", Step::SetDescriptor { descriptor: Descriptor::Stream(number as u16), number });
    }
    if closed_below != 0 {
        steps.push("", Step::TakeDescriptors { end: closed_below });
    }
}

pub(super) fn plan_terminal(
    steps: &mut Steps,
    config: &Config,
    newlines: Newlines,
    namespaces: &NamespacePlan,
) {
    let Some(process) = &config.process else { return };
    let Some(terminal) = process.terminal else { return };
    let host_dev = devices::host_dev(config);
    let step = Step::OpenTerminal {
        console: Descriptor::Console,
        rows: terminal.size.map_or(0, |size| size.height.into()),
        columns: terminal.size.map_or(0, |size| size.width.into()),
        uid: process.user.uid.get(),
        bind: namespaces.own_mounts && (!host_dev || namespaces.new_mount && !devices::shares_dev(config)),
        host_dev,
        translate: newlines == Newlines::Translated,
    };
    steps.push("/process/terminal", step);
}

/// A null device that the runtime was given is the host's: it becomes the root's, or the container could not be
/// checkpointed. A terminal replaces the streams anyway.
pub(super) fn plan_null_streams(
    steps: &mut Steps,
    config: &Config,
    host: &HostFacts,
    namespaces: &NamespacePlan,
) {
    let terminal = config.process.as_ref().is_some_and(|process| process.terminal.is_some());
    let streams = host.streams_that(|kind| kind == StreamKind::Null);
    if streams != 0 && namespaces.own_mounts && !terminal {
        steps.push("/process", Step::ReopenNull { streams });
    }
}

/// Pipes become the user's: `/dev/stdout` and its like are opened anew, which their owner alone may.
pub(super) fn plan_pipes(steps: &mut Steps, process: &Process, host: &HostFacts, namespaces: &NamespacePlan) {
    let uid = process.user.uid.get();
    // How an owner is called in a user namespace of the container's own, the runtime doesn't see.
    let is_foreign = |owner| namespaces.in_user_namespace || owner != uid;
    let streams = host.streams_that(|kind| matches!(kind, StreamKind::Pipe { owner } if is_foreign(owner)));
    if streams != 0 && process.terminal.is_none() {
        steps.push("/process/user/uid", Step::GivePipes { streams, uid });
    }
}

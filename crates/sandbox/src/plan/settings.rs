//! Files of `/proc` that are written for the container and its process: kernel parameters, labels, the OOM score.
//!
//! Pure.

use init::Step;
use spec::Config;
use spec::config::Process;

use super::id_maps::joins_user_namespace;
use super::{PlanError, Steps, confined};
use crate::host::HostFacts;

/// A parameter of a namespace that is joined by path is the container's only where that one is not the host's.
pub(super) fn check_sysctl(config: &Config, host: &HostFacts) -> Result<(), PlanError> {
    let of_host = config.linux.sysctl.iter().find(|it| host.host_namespaces.contains(&it.namespace));
    of_host.map_or(Ok(()), |sysctl| {
        let namespace = config.linux.namespaces.get(sysctl.namespace);
        let path = namespace.and_then(|it| it.path.as_deref()).map_or("", |path| &**path);
        let kind = sysctl.namespace.name();
        let message =
            format!("{} would be set on the host: {path} is the host's {kind} namespace", sysctl.key);
        Err(PlanError { pointer: sysctl_pointer(&sysctl.key).into(), message })
    })
}

fn sysctl_pointer(key: &str) -> String {
    format!("/linux/sysctl/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What is set by name or through a procfs of our own, while there are rights to.
pub(super) fn plan_kernel_settings(steps: &mut Steps, config: &Config, host: &HostFacts) {
    if let Some(name) = &config.hostname {
        steps.push("/hostname", Step::SetHostname { name: (&**name).into() });
    }
    if let Some(name) = &config.domainname {
        steps.push("/domainname", Step::SetDomainname { name: (&**name).into() });
    }
    for sysctl in &config.linux.sysctl {
        let value = &*sysctl.value;
        let step = match &*sysctl.path {
            // Their files are the host's root's to write; by these calls who has rights in the namespace's user namespace sets them.
            "kernel/hostname" => Step::SetHostname { name: value.into() },
            "kernel/domainname" => Step::SetDomainname { name: value.into() },
            path => Step::WriteProc { path: format!("sys/{path}").as_str().into(), value: value.into() },
        };
        steps.push(sysctl_pointer(&sysctl.key), step);
    }
    if config.linux.mount_label.is_some() && !host.selinux {
        steps.warn("/linux/mountLabel", "ignored: the host's kernel has no SELinux");
    }
    if let Some(process) = &config.process {
        if !joins_user_namespace(config) {
            plan_oom_score(steps, process, host);
        }
        plan_labels(steps, process, host);
    }
}

/// What can't be set any more in a user namespace that is joined: the process's files in `/proc` are the host's root's from
/// then on (proc_pid(5), "dumpable"), and limits are raised by root of the host alone.
pub(super) fn plan_settings_before_joining(steps: &mut Steps, process: &Process, host: &HostFacts) {
    plan_oom_score(steps, process, host);
    if host.confinement.is_some() {
        return;
    }
    for (index, limit) in process.rlimits.iter().enumerate() {
        let step = Step::RaiseLimit { resource: limit.resource.number(), hard: limit.hard };
        steps.push(format!("/process/rlimits/{index}"), step);
    }
}

pub(super) fn plan_oom_score(steps: &mut Steps, process: &Process, host: &HostFacts) {
    let Some(adjustment) = process.oom_score_adj else { return };
    let value = confined::oom_score_adj(steps, adjustment.into(), host).to_string();
    let step = Step::WriteProc { path: "self/oom_score_adj".into(), value: value.as_str().into() };
    steps.push("/process/oomScoreAdj", step);
}

pub(super) fn plan_labels(steps: &mut Steps, process: &Process, host: &HostFacts) {
    if let Some(profile) = &process.apparmor_profile {
        if host.apparmor {
            let value = format!("exec {profile}");
            let step =
                Step::WriteProc { path: "self/attr/apparmor/exec".into(), value: value.as_str().into() };
            steps.push("/process/apparmorProfile", step);
        } else {
            steps.warn("/process/apparmorProfile", "ignored: the host's kernel has no AppArmor");
        }
    }
    if let Some(label) = &process.selinux_label {
        if host.selinux {
            // The second is for the session keyring; execve takes both back.
            for path in ["self/attr/exec", "self/attr/keycreate"] {
                let step = Step::WriteProc { path: path.into(), value: (&**label).into() };
                steps.push("/process/selinuxLabel", step);
            }
        } else {
            steps.warn("/process/selinuxLabel", "ignored: the host's kernel has no SELinux");
        }
    }
}

//! The seccomp filter.
//!
//! Pure.

use init::wire::Bytes;
use spec::Config;
use spec::config::{Action, Architecture, Seccomp, SyscallRule};

use super::{PlanError, Steps};

/// What this machine executes.
const NATIVE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

/// The seccomp program, with the bits of seccomp(2).
pub(super) fn compile_filter(steps: &mut Steps, config: &Config) -> Result<Option<(u32, Bytes)>, PlanError> {
    let Some(profile) = &config.linux.seccomp else { return Ok(None) };
    let pointer = "/linux/seccomp";
    if config.process.is_some() && denies_execve(profile) {
        let message = "the filter denies execve, by which the command is started: allow it".to_owned();
        return Err(PlanError { pointer: pointer.into(), message });
    }
    let compiled = crate::seccomp::compile(profile, NATIVE)
        .map_err(|error| PlanError { pointer: error.pointer().into(), message: error.to_string() })?;
    steps.warnings.extend(compiled.warnings);
    let filter = compiled.value;
    Ok(Some((filter.flags(), Bytes(filter.as_bytes().to_vec()))))
}

/// Whether no command can be started under this filter. Where a rule has conditions, the kernel is asked.
fn denies_execve(profile: &Seccomp) -> bool {
    let denies =
        |action: Action| !matches!(action, Action::Allow | Action::Log | Action::Notify | Action::Trace(_));
    let rules = || {
        let names = |rule: &&SyscallRule| rule.names.iter().any(|name| &**name == "execve");
        profile.syscalls.iter().filter(names)
    };
    if rules().next().is_none() {
        return denies(profile.default_action);
    }
    rules().all(|rule| rule.args.is_empty() && denies(rule.action))
}

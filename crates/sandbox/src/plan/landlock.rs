//! Landlock, by annotation: what of the file system the container's processes may use (landlock(7)).
//!
//! Pure. `org.sandboxd.landlock.ro` and `org.sandboxd.landlock.rw` are lists of absolute paths in the container, with `:`
//! between them. Where one is there, processes may read and execute what is at or below the paths of the first, do
//! everything with what is at or below those of the second, and nothing else. Without either, nothing is restricted.

use init::Step;
use init::wire::FileAccess;
use spec::Config;

use super::{PlanError, Steps};
use crate::host::HostFacts;

/// What all annotations begin with.
pub(crate) const PREFIX: &str = "org.sandboxd.landlock.";
const READ_ONLY: &str = "org.sandboxd.landlock.ro";
const READ_WRITE: &str = "org.sandboxd.landlock.rw";

/// `LANDLOCK_ACCESS_FS_*`
const EXECUTE: u64 = 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// All rights of the first version, up to `MAKE_SYM`.
const ABI_1: u64 = (1 << 13) - 1;
/// Rights that came later: the version, the right, what can't be denied without it.
const LATER: [(u32, u64, &str); 3] = [
    (2, 1 << 13, ""),
    (3, 1 << 14, "truncate(2) (before Linux 6.2)"),
    (5, 1 << 15, "ioctl(2) of devices (before Linux 6.10)"),
];

/// Whether the config asks for it.
pub(crate) fn is_asked(config: &Config) -> bool {
    config.annotations.keys().any(|key| key.starts_with(PREFIX))
}

fn error(key: &str, message: impl Into<String>) -> PlanError {
    PlanError { pointer: format!("/annotations/{key}").into(), message: message.into() }
}

/// The ruleset, made while everything can be opened. Whether there is one.
pub(super) fn plan_ruleset(steps: &mut Steps, config: &Config, host: &HostFacts) -> Result<bool, PlanError> {
    let mut asked = config.annotations.iter().filter(|(key, _)| key.starts_with(PREFIX)).peekable();
    let Some((first, _)) = asked.peek() else { return Ok(false) };
    if host.landlock_abi == 0 {
        return Err(error(first, "the host's kernel has no Landlock, or it is not enabled (`lsm=`)"));
    }
    let mut handled = ABI_1;
    for (abi, right, lacking) in LATER {
        if host.landlock_abi >= abi {
            handled |= right;
        } else if !lacking.is_empty() {
            steps.warn(
                &format!("/annotations/{first}"),
                format!("this kernel's Landlock can't deny {lacking}"),
            );
        }
    }
    let pointer = format!("/annotations/{first}");
    steps.push(pointer, Step::NewRuleset { handled: FileAccess(handled) });
    for (key, value) in asked {
        let access = match &**key {
            READ_ONLY => EXECUTE | READ_FILE | READ_DIR,
            READ_WRITE => handled,
            _ => return Err(error(key, format!("must be {READ_ONLY} or {READ_WRITE}"))),
        };
        for path in value.split(':').filter(|_| !value.is_empty()) {
            if !path.starts_with('/') {
                return Err(error(
                    key,
                    format!("must be absolute paths with `:` between them, not {path:?}"),
                ));
            }
            let step = Step::AllowPath { path: path.into(), access: FileAccess(access) };
            steps.push(format!("/annotations/{key}"), step);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(annotations: &str, landlock_abi: u32) -> Result<(Vec<String>, usize), PlanError> {
        let config =
            format!(r#"{{"ociVersion": "1.3.0", "root": {{"path": "r"}}, "annotations": {annotations}}}"#);
        let config = spec::parse_config(config.as_bytes()).unwrap().config;
        let host = HostFacts { landlock_abi, ..HostFacts::default() };
        let mut steps = Steps::default();
        plan_ruleset(&mut steps, &config, &host)?;
        Ok((steps.steps.iter().map(ToString::to_string).collect(), steps.warnings.len()))
    }

    #[test]
    fn nothing_asked_is_nothing_planned() {
        assert_eq!(planned(r#"{"org.sandboxd": "x"}"#, 0).unwrap(), (Vec::new(), 0));
    }

    #[test]
    fn paths_become_rules() {
        let (steps, warnings) = planned(
            r#"{"org.sandboxd.landlock.ro": "/usr:/etc/ssl", "org.sandboxd.landlock.rw": "/tmp"}"#,
            7,
        )
        .unwrap();
        assert_eq!(warnings, 0);
        assert!(steps[0].starts_with("new-ruleset handled=execute,write-file"), "{steps:?}");
        let ro = "access=execute,read-file,read-dir  # /annotations/org.sandboxd.landlock.ro";
        assert_eq!(steps[1], format!("allow-path path=/usr {ro}"));
        assert_eq!(steps[2], format!("allow-path path=/etc/ssl {ro}"));
        assert!(steps[3].contains("ioctl-dev") && steps[3].contains("refer"), "{steps:?}");
        assert_eq!(steps.len(), 4);
    }

    #[test]
    fn empty_list_allows_nothing() {
        assert_eq!(planned(r#"{"org.sandboxd.landlock.ro": ""}"#, 7).unwrap().0.len(), 1);
    }

    #[test]
    fn older_kernel_warns_of_what_it_cannot_deny() {
        assert_eq!(planned(r#"{"org.sandboxd.landlock.ro": "/"}"#, 1).unwrap().1, 2);
    }

    #[test]
    fn mistakes_are_errors_at_the_annotation() {
        for (annotations, abi) in [
            (r#"{"org.sandboxd.landlock.ro": "/"}"#, 0),
            (r#"{"org.sandboxd.landlock.r": "/"}"#, 7),
            (r#"{"org.sandboxd.landlock.ro": "/usr:etc"}"#, 7),
            (r#"{"org.sandboxd.landlock.ro": "/usr:"}"#, 7),
        ] {
            let error = planned(annotations, abi).unwrap_err();
            assert!(error.pointer.starts_with("/annotations/org.sandboxd.landlock.r"), "{error}");
        }
    }
}

//! A step of the plan that init could not do, in a sentence.
//!
//! Pure.

use std::borrow::Cow;

use init::{Call, Report, Step};

use crate::errno::errno_text;
use crate::hint::step::of_step;
use crate::plan::{PlannedStep, describe, syscall_text};

/// A step that init could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// JSON pointer of the field that the step comes from; empty where there is none.
    pub pointer: Cow<'static, str>,
    /// The step's name in the plan.
    pub step: Option<&'static str>,
    /// What was done, for which field, by which call, and why not.
    pub message: String,
    /// The call.
    pub call: Option<Call>,
    /// Why not.
    pub errno: i32,
    /// What to do about it.
    pub hint: Option<Cow<'static, str>>,
}

impl StepError {
    /// From init's report.
    pub(crate) fn new(planned: Option<&PlannedStep>, report: Report) -> Self {
        let call = Call::from_number(report.call);
        let errno = report.errno as i32;
        let Some(planned) = planned else {
            let message = format!("init: {}", errno_text(errno));
            return Self { pointer: Cow::Borrowed(""), step: None, message, call, errno, hint: None };
        };
        Self {
            pointer: planned.pointer.clone(),
            step: Some(planned.step.name()),
            message: sentence(planned, call, errno),
            call,
            errno,
            hint: of_step(planned, call, errno),
        }
    }
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StepError {}

fn sentence(planned: &PlannedStep, call: Option<Call>, errno: i32) -> String {
    match &planned.step {
        Step::FindProgram { name, .. } => program_sentence(&name.to_string(), errno),
        Step::Execute { args, .. } => {
            program_sentence(&args.0.first().map(ToString::to_string).unwrap_or_default(), errno)
        }
        step => {
            let origin = match &*planned.pointer {
                "" => String::new(),
                pointer => format!(" (from {pointer})"),
            };
            let call = call.map(|call| syscall_text(step, call)).unwrap_or_default();
            format!("{}{origin}: {call}: {}", describe(step), errno_text(errno))
        }
    }
}

/// The words that callers look for to tell a command that is missing from one that can't be executed.
fn program_sentence(name: &str, errno: i32) -> String {
    const ENOENT: i32 = 2;
    const ENOEXEC: i32 = 8;
    const EISDIR: i32 = 21;
    let reason = match errno {
        ENOENT if !name.contains('/') => format!("exec: {name:?}: executable file not found in $PATH"),
        ENOENT => format!("exec: {name:?}: stat {name}: no such file or directory"),
        ENOEXEC => format!("exec {name}: {}", errno_text(errno)),
        // execve's own errno for a directory is EACCES, and engines look for its words.
        EISDIR => format!("exec: {name:?}: is a directory: permission denied"),
        errno => format!("exec: {name:?}: {}", errno_text(errno)),
    };
    format!("unable to start container process: {reason}")
}

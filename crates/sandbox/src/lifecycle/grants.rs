//! What only root of the host may give to a process in a user namespace of its own: hard limits above the runtime's, a
//! score of the OOM killer below it (capabilities(7), CAP_SYS_RESOURCE).
//!
//! Runs in the runtime, while init waits for its id maps. Init sets the values as the config has them, and says what is
//! refused.

use spec::config::Process;

/// Raises what has to be raised for the process's settings.
pub(super) fn grant(process: &Process, pid: i32) {
    if let Some(score) = process.oom_score_adj {
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
    }
    for limit in &process.rlimits {
        let _ = init::sys::raise_hard_limit(pid, limit.resource.number(), limit.hard);
    }
}

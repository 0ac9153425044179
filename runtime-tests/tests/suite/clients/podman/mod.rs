//! podman, through conmon: on every cgroup view.

mod checkpoint;
mod lifecycle;
mod pods;
mod run;

use runtime_tests::client::Podman;
use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict};

type Check = fn(&Podman<'_>) -> Verdict;

pub(crate) fn cases() -> Vec<Case> {
    [run::CHECKS, lifecycle::CHECKS, pods::CHECKS, checkpoint::CHECKS]
        .into_iter()
        .flat_map(|checks| super::over_both("podman", checks, with_podman))
        .collect()
}

fn with_podman(t: &Test, runtime: &Runtime, check: Check) -> Verdict {
    if runtime.name == "crun" && t.lane == Lane::Hybrid {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    check(&Podman::start(t, runtime)?)
}

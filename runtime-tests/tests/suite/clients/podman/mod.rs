//! podman, through conmon: on every cgroup view.

mod checkpoint;
mod lifecycle;
mod pods;
mod run;

use runtime_tests::client::Podman;
use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict};

type Check = fn(&Podman<'_>) -> Verdict;

pub(crate) fn cases() -> Vec<Case> {
    let all = [run::CHECKS, lifecycle::CHECKS, pods::CHECKS, checkpoint::CHECKS];
    let over_cgroupfs = all.into_iter().flat_map(|checks| super::over_both("podman", checks, with_podman));
    let over_systemd = all
        .into_iter()
        .flat_map(|checks| super::over_both_in(Lane::V2, "podman_systemd", checks, with_podman_on_systemd));
    over_cgroupfs.chain(over_systemd).collect()
}

/// With systemd as podman's cgroup manager.
fn with_podman_on_systemd(t: &Test, runtime: &Runtime, check: Check) -> Verdict {
    t.use_systemd()?;
    with_podman(t, runtime, check)
}

fn with_podman(t: &Test, runtime: &Runtime, check: Check) -> Verdict {
    if runtime.name == "crun" && t.lane == Lane::Hybrid {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    check(&Podman::start(t, runtime)?)
}

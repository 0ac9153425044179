//! Mistakes with the cgroup.

use runtime_tests::{Lane, Skip, Test};
use serde_json::json;

use super::{Mistake, call, call_verbosely, create_with};

pub(super) const MISTAKES: &[Mistake] = &[
    ("cgroups_path_outside", |t| create_with(t, |b| b.set("/linux/cgroupsPath", "../../../.."))),
    ("cgroups_path_of_systemds_form", |t| {
        let bundle = t.bundle();
        // It has to be another's than that of the test beside it.
        bundle.set("/linux/cgroupsPath", format!("system.slice:sandboxd:{}", t.fresh_name()));
        bundle.write();
        let bundle = bundle.path.to_str().unwrap().to_owned();
        Ok(call_verbosely(t, &["create", "--bundle", &bundle, &t.fresh_id()]))
    }),
    ("cgroups_path_not_of_systemds_form", |t| {
        let bundle = t.bundle();
        bundle.set("/linux/cgroupsPath", "/kubepods/web").write();
        let bundle = bundle.path.to_str().unwrap().to_owned();
        Ok(call(t, &["--systemd-cgroup", "create", "--bundle", &bundle, &t.fresh_id()]))
    }),
    ("cgroup_limit_below_use", |t| {
        t.needs_controller("memory")?;
        let bundle = t.bundle();
        bundle.stays().set("/linux/resources/memory", json!({"limit": 52_428_800}));
        let container = t.start(&bundle);
        let resources = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}});
        Ok(call(t, &["update", "--resources", "-", &container.id]).stdin(&resources.to_string()))
    }),
    ("cgroup_controller_missing", |t| {
        if t.cgroups().has("rdma") {
            return Err(Skip::new("the host has every controller"));
        }
        create_with(t, |b| {
            b.set("/linux/resources/rdma", json!({"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}))
        })
    }),
    ("cgroup_unified_on_v1", |t| {
        if t.lane == Lane::V2 {
            return Err(Skip::new("unified is for cgroup v2"));
        }
        create_with(t, |b| b.set("/linux/resources/unified", json!({"memory.high": "1000000"})))
    }),
    ("cgroup_cpu_that_the_host_lacks", |t| {
        t.needs_controller("cpuset")?;
        create_with(t, |b| b.set("/linux/resources/cpu", json!({"cpus": "900"})))
    }),
    ("cgroup_cpu_quota_too_small", |t| {
        t.needs_controller("cpu")?;
        create_with(t, |b| b.set("/linux/resources/cpu", json!({"quota": 10, "period": 100_000})))
    }),
    ("cgroup_memory_and_swap_below_memory", |t| {
        create_with(t, |b| {
            b.set("/linux/resources/memory", json!({"limit": 100_000_000, "swap": 50_000_000}))
        })
    }),
    ("cgroup_memory_too_small_to_start", |t| {
        t.needs_controller("memory")?;
        create_with(t, |b| b.set("/linux/resources/memory", json!({"limit": 4096})))
    }),
    ("cgroup_pids_limit_reached", |t| {
        t.needs_controller("pids")?;
        let other = t.bundle();
        other.stays();
        let other = t.start(&other);
        create_with(t, |b| {
            b.namespace("pid", Some(format!("/proc/{}/ns/pid", other.pid()).as_ref()));
            b.set("/linux/resources/pids", json!({"limit": 0}))
        })
    }),
    ("cgroup_in_use", in_use),
];

fn in_use(t: &Test) -> Result<runtime_tests::Call, Skip> {
    let path = format!("/{}", t.fresh_name());
    let other = t.bundle();
    other.stays().set("/linux/cgroupsPath", path.as_str());
    let _other = t.start(&other);
    create_with(t, |b| b.set("/linux/cgroupsPath", path.as_str()))
}

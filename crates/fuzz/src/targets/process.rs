//! The documents of `exec --process`, `update --resources`, `mounts add` and `mounts remove`.

use sandbox::host::HostFacts;
use sandbox::plan::{ExecPlanRequest, plan_exec};
use sandbox::{Newlines, SessionKeyring};
use spec::config::CapabilitySet;

use super::config::{check_encoding, id};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"args":["/bin/sh"],"cwd":"/","user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},"env":["A=b"],
            "capabilities":{"bounding":["CAP_KILL"],"ambient":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":2}],
            "terminal":true,"consoleSize":{"height":1,"width":2},"noNewPrivileges":true,"oomScoreAdj":1,
            "scheduler":{"policy":"SCHED_BATCH","nice":1},"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":1},
            "execCPUAffinity":{"initial":"0-1","final":"1"},"apparmorProfile":"p","selinuxLabel":"l"}"#,
        r#"{"memory":{"limit":-1},"cpu":{"shares":2,"quota":-1,"period":1,"cpus":"0","mems":"0"},"pids":{"limit":-1},
            "unified":{"memory.high":"max"},"rdma":{"mlx5":{"hcaHandles":1}},"blockIO":{"weightDevice":[{"major":1,"minor":2,"weight":10}]}}"#,
        r#"[{"destination":"/m","source":"/s","type":"bind","options":["bind","rprivate","x-mount.mkdir","uid=0"]}]"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(super) fn run(bytes: &[u8]) {
    let _ = spec::parse_resources(bytes);
    let _ = spec::parse_mounts(bytes);
    let _ = spec::parse_destinations(bytes);
    let Ok(parsed) = spec::parse_process(bytes) else { return };
    let default = spec::default_config(None);
    let mut config = spec::parse_config(default.as_bytes()).expect("the default config is valid").config;
    config.process = Some(parsed.process);
    let host = HostFacts { bounding: CapabilitySet::from_bits(u64::MAX), ..HostFacts::default() };
    let id = id();
    let request = ExecPlanRequest {
        id: &id,
        init: 2,
        session_keyring: SessionKeyring::New,
        newlines: Newlines::default(),
        preserve_fds: 0,
        listen_fds: 0,
        own_streams: 0,
        own_descriptors: 0,
        closed_below: 5,
        cgroups: 1,
        awaits_cgroup: false,
    };
    match plan_exec(&config, &host, &request) {
        Ok(plan) => {
            assert!(plan.to_string().lines().count() >= plan.steps.len());
            check_encoding(&plan.steps);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

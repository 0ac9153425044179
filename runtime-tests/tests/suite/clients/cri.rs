//! The CRI, as a kubelet calls it: pods, their containers, and what runs in them.

use std::fs;

use runtime_tests::client::Cri;
use runtime_tests::client::cri::messages as m;
use runtime_tests::procfs::status_field;
use runtime_tests::wait::{DEADLINE, Fifo, Process};
use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict, cgroup};

type Check = fn(&Cri<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("pod_runs_stops_and_is_removed", pod_lifecycle),
    ("pod_has_an_address_and_a_host_port", pod_network),
    ("containers_share_the_pods_namespaces", shared_namespaces),
    ("containers_share_a_process_namespace", shared_processes),
    ("pod_on_the_nodes_network", node_network),
    ("pod_in_a_user_namespace", user_namespace),
    ("container_status_exit_code_and_log", container_status),
    ("container_that_cannot_start_says_why", container_fails),
    ("container_is_stopped_in_its_time", container_stop),
    ("container_resources_and_update", resources),
    ("container_out_of_memory_is_oom_killed", out_of_memory),
    ("container_stats", stats),
    ("security_user_groups_and_privileges", security_user),
    ("security_capabilities", security_capabilities),
    ("security_privileged", security_privileged),
    ("security_seccomp_default_and_unconfined", security_seccomp),
    ("security_paths_and_read_only_root", security_paths),
    ("container_mounts_environment_and_sysctls", mounts),
    ("exec_sync_status_streams_and_timeout", exec_sync),
    ("exec_streams_and_terminal", exec_streams),
    ("attach_to_a_running_container", attach),
];

pub(crate) fn cases() -> Vec<Case> {
    super::over_both("cri", CHECKS, |test, runtime, check| check(&start(test, runtime)?))
}

fn start<'t>(test: &'t Test, runtime: &Runtime) -> Result<Cri<'t>, Skip> {
    if test.lane != Lane::Hybrid {
        return Err(Skip::new("containerd is driven on hybrid cgroups"));
    }
    if runtime.name == "crun" {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    Cri::start(test, runtime)
}

const STAYS: &str = "exec sleep 1000";

/// A directory that containers share with the test, at `/t`.
fn shared(c: &Cri<'_>) -> m::Mount {
    let host_path = c.private.dir.display().to_string();
    m::Mount { container_path: "/t".into(), host_path, ..Default::default() }
}

fn wait_exited(c: &Cri<'_>, id: &str, process: &Process) -> m::ContainerStatus {
    assert!(process.wait_exit(DEADLINE));
    // The engine is told a moment later; it answers a stop of what has ended when it knows.
    let _: m::Empty =
        c.call("StopContainer", &m::StopContainerRequest { container_id: id.into(), timeout: 10 });
    c.status(id)
}

fn pod_lifecycle(c: &Cri<'_>) -> Verdict {
    let version: m::VersionResponse = c.call("Version", &m::VersionRequest::default());
    assert_eq!(version.runtime_name, "containerd");
    let status: m::StatusResponse = c.call("Status", &m::Empty {});
    let conditions = status.status.unwrap().conditions;
    assert!(conditions.iter().all(|condition| condition.status), "{conditions:?}");
    let pod = c.run_pod(c.pod_config());
    let status = |id: &str| c.call_for::<m::PodSandboxStatusResponse>("PodSandboxStatus", id).status.unwrap();
    assert_eq!((status(&pod.id).state, status(&pod.id).runtime_handler.as_str()), (0, "tested"));
    let id = pod.run(STAYS);
    let process = Process::open(c.pid(&id)).unwrap();
    let _: m::Empty = c.call_for("StopPodSandbox", &pod.id);
    assert!(process.has_exited());
    assert_eq!(status(&pod.id).state, 1);
    assert_eq!(c.status(&id).state, m::EXITED);
    let _: m::Empty = c.call_for("RemovePodSandbox", &pod.id);
    assert!(c.try_call::<m::PodSandboxStatusResponse>("PodSandboxStatus", &m::Id { id: pod.id }).is_err());
    assert!(c.call::<m::ListContainersResponse>("ListContainers", &m::Empty {}).containers.is_empty());
    Ok(())
}

fn pod_network(c: &Cri<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let port = m::PortMapping { container_port: 80, host_port: 8080 };
    let pod = c.run_pod(m::PodSandboxConfig { port_mappings: vec![port], ..c.pod_config() });
    let status: m::PodSandboxStatusResponse = c.call_for("PodSandboxStatus", &pod.id);
    let address = status.status.unwrap().network.unwrap().ip;
    let script = "echo served >/tmp/index.html; httpd -p 80 -h /tmp; echo up >/t/f; exec sleep 1000";
    let config = pod.container_config(script);
    let server = pod.run_config(m::ContainerConfig { mounts: vec![shared(c)], ..config });
    assert_eq!(fifo.line(), "up");
    for place in [format!("{address}:80"), "10.88.0.1:8080".into()] {
        let text = c.private.in_network(|| super::http_get(&place, "/index.html"));
        assert!(text.ends_with("served\n"), "{place}: {text:?}");
    }
    assert_eq!(c.output_of(&server, "hostname"), "pod");
    let other = pod.run(STAYS);
    assert_eq!(c.output_of(&other, "wget -q -O - http://127.0.0.1/index.html"), "served");
    Ok(())
}

fn namespaces(pid: i32) -> Vec<String> {
    ["net", "ipc", "uts", "pid", "mnt"]
        .iter()
        .map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string())
        .collect()
}

fn shared_namespaces(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let context = || m::LinuxContainerSecurityContext {
        namespace_options: Some(m::NamespaceOption { pid: m::CONTAINER, ..Default::default() }),
        ..Default::default()
    };
    let [first, second] = [(); 2].map(|()| namespaces(c.pid(&pod.run_secured(context(), STAYS))));
    assert_eq!(first[..3], second[..3], "network, ipc and uts are the pod's");
    assert_ne!(first[3], second[3]);
    assert_ne!(first[4], second[4]);
    Ok(())
}

fn shared_processes(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let [first, second] = [(); 2].map(|()| pod.run(STAYS));
    let pids = [c.pid(&first), c.pid(&second)];
    assert_eq!(namespaces(pids[0])[..4], namespaces(pids[1])[..4]);
    let sleeps = "ps -o args | grep -c '^sleep 1000'";
    assert_eq!(c.output_of(&second, sleeps), "2");
    // A container in another's pid namespace: its end must end all that is its own, and nothing else.
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let script = "sleep 1001 & echo up >/t/f; wait";
    let third =
        pod.run_config(m::ContainerConfig { mounts: vec![shared(c)], ..pod.container_config(script) });
    assert_eq!(fifo.line(), "up");
    assert_eq!(c.output_of(&first, "ps -o args | grep -c '^sleep 1001'"), "1");
    let _: m::Empty =
        c.call("StopContainer", &m::StopContainerRequest { container_id: third.clone(), timeout: 0 });
    assert_eq!(c.status(&third).state, m::EXITED);
    assert_eq!(c.exec(&first, "ps -o args | grep '^sleep 1001'").exit_code, 1);
    assert_eq!(c.output_of(&first, sleeps), "2");
    Ok(())
}

fn node_network(c: &Cri<'_>) -> Verdict {
    let mut config = c.pod_config();
    let options =
        m::NamespaceOption { network: m::NODE, pid: m::CONTAINER, ipc: m::POD, userns_options: None };
    let context =
        m::LinuxSandboxSecurityContext { namespace_options: Some(options.clone()), privileged: false };
    config.linux.as_mut().unwrap().security_context = Some(context);
    config.hostname.clear();
    let pod = c.run_pod(config);
    let context = m::LinuxContainerSecurityContext { namespace_options: Some(options), ..Default::default() };
    let id = pod.run_secured(context, STAYS);
    let node = c.private.in_network(|| fs::read_link("/proc/thread-self/ns/net").unwrap());
    assert_eq!(namespaces(c.pid(&id))[0], node.display().to_string());
    Ok(())
}

/// `hostUsers: false`: the root file system and a volume are mapped, and belong to the pod's root.
fn user_namespace(c: &Cri<'_>) -> Verdict {
    let version: m::VersionResponse = c.call("Version", &m::VersionRequest::default());
    let major = version.runtime_version.trim_start_matches('v').split('.').next().map(str::parse::<u32>);
    if !major.is_some_and(|major| major.is_ok_and(|major| major >= 2)) {
        return Err(Skip::new("this containerd has no user namespaces for pods"));
    }
    let map = m::IdMapping { host_id: 1_000_000, container_id: 0, length: 65536 };
    let options = m::NamespaceOption {
        pid: m::CONTAINER,
        userns_options: Some(m::UserNamespace { uids: vec![map], gids: vec![map] }),
        ..Default::default()
    };
    let mut config = c.pod_config();
    let context =
        m::LinuxSandboxSecurityContext { namespace_options: Some(options.clone()), privileged: false };
    config.linux.as_mut().unwrap().security_context = Some(context);
    let pod = c.run_pod(config);
    let context = m::LinuxContainerSecurityContext { namespace_options: Some(options), ..Default::default() };
    let linux = m::LinuxContainerConfig { security_context: Some(context), resources: None };
    let volume = c.private.dir.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("of-5"), "").unwrap();
    std::os::unix::fs::chown(volume.join("of-5"), Some(5), Some(5)).unwrap();
    let mount = |path: &str, readonly: bool| m::Mount {
        container_path: path.into(),
        host_path: volume.display().to_string(),
        readonly,
        recursive_read_only: readonly,
        uid_mappings: vec![map],
        gid_mappings: vec![map],
    };
    let mounts = vec![mount("/v", false), mount("/r", true)];
    let id = pod.run_config(m::ContainerConfig { linux: Some(linux), mounts, ..pod.container_config(STAYS) });
    let pid = c.pid(&id);
    assert_eq!(runtime_tests::procfs::status_of(pid, "Uid"), "1000000\t1000000\t1000000\t1000000");
    let script = "cat /proc/self/uid_map; id -u; stat -c %u /bin/busybox; touch /made && stat -c %u /made; \
                  stat -c %u /v/of-5; touch /v/made; touch /r/made 2>/dev/null || echo read-only";
    let output = c.output_of(&id, script);
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "1000000", "65536", "0", "0", "0", "5", "read-only"]);
    let made = fs::metadata(volume.join("made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 0);
    Ok(())
}

fn container_status(c: &Cri<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let pod = c.run_pod(c.pod_config());
    let script = "echo out; echo err >&2; read w </t/f; exit 3";
    let config = m::ContainerConfig { mounts: vec![shared(c)], ..pod.container_config(script) };
    let log = format!("{}/{}", c.private.path("logs"), config.log_path);
    let id = pod.try_create(config).unwrap();
    assert_eq!(c.status(&id).state, m::CREATED);
    let _: m::Empty = c.call_for("StartContainer", &id);
    let process = Process::open(c.pid(&id)).unwrap();
    assert_eq!(c.status(&id).state, m::RUNNING);
    fifo.send("go");
    let status = wait_exited(c, &id, &process);
    assert_eq!((status.state, status.exit_code, status.reason.as_str()), (m::EXITED, 3, "Error"));
    let log = fs::read_to_string(log).unwrap();
    let mut lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["stderr F err", "stdout F out"]);
    let _: m::Empty = c.call_for("RemoveContainer", &id);
    assert!(c.try_call::<m::ContainerStatusResponse>("ContainerStatus", &m::Id { id }).is_err());
    Ok(())
}

fn container_fails(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    for (command, words) in [
        ("no-such-command", "executable file not found in $PATH"),
        ("/no/such", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ] {
        let id = pod
            .try_create(m::ContainerConfig { command: vec![command.into()], ..pod.container_config("") })
            .unwrap();
        let status = c.try_call::<m::Empty>("StartContainer", &m::Id { id: id.clone() }).unwrap_err();
        assert!(status.message.contains(words), "{status:?}");
        let status = c.status(&id);
        assert_eq!((status.state, status.reason.as_str()), (m::EXITED, "StartError"));
        assert!(status.message.contains(words), "{status:?}");
        let _: m::Empty = c.call_for("RemoveContainer", &id);
    }
    Ok(())
}

fn container_stop(c: &Cri<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let pod = c.run_pod(c.pod_config());
    let run = |script: &str| {
        pod.run_config(m::ContainerConfig { mounts: vec![shared(c)], ..pod.container_config(script) })
    };
    let stop = |id: &str, timeout: i64| {
        let _: m::Empty =
            c.call("StopContainer", &m::StopContainerRequest { container_id: id.into(), timeout });
        c.status(id).exit_code
    };
    let polite = run("trap 'exit 9' TERM; echo up >/t/f; while :; do sleep 1000 & wait; done");
    assert_eq!(fifo.line(), "up");
    assert_eq!(stop(&polite, 20), 9);
    let deaf = run("trap '' TERM; echo up >/t/f; while :; do sleep 1000; done");
    assert_eq!(fifo.line(), "up");
    assert_eq!(stop(&deaf, 1), 137);
    let at_once = run("echo up >/t/f; sleep 1000");
    assert_eq!(fifo.line(), "up");
    assert_eq!(stop(&at_once, 0), 137);
    assert_eq!(stop(&at_once, 0), 137, "once more is no error");
    Ok(())
}

fn limits(memory: i64, quota: i64, shares: i64) -> m::LinuxContainerResources {
    m::LinuxContainerResources {
        cpu_period: 100_000,
        cpu_quota: quota,
        cpu_shares: shares,
        memory_limit_in_bytes: memory,
        cpuset_cpus: "0".into(),
        ..Default::default()
    }
}

fn run_limited(
    pod: &runtime_tests::client::cri::Pod<'_>,
    limits: m::LinuxContainerResources,
    script: &str,
) -> String {
    let linux = m::LinuxContainerConfig { resources: Some(limits), security_context: None };
    pod.run_config(m::ContainerConfig { linux: Some(linux), ..pod.container_config(script) })
}

fn resources(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let id = run_limited(&pod, limits(64 << 20, 50_000, 512), STAYS);
    let pid = c.pid(&id);
    let read = |controller: &str, file: &str| {
        cgroup::read(&c.test().cgroups().directory_of(pid, controller).unwrap(), file)
    };
    let all = || {
        [
            read("memory", "memory.limit_in_bytes"),
            read("cpu", "cpu.cfs_quota_us"),
            read("cpu", "cpu.shares"),
            read("cpuset", "cpuset.cpus"),
        ]
    };
    assert_eq!(all(), ["67108864", "50000", "512", "0"]);
    let linux = Some(limits(128 << 20, 25_000, 256));
    let request = m::UpdateContainerResourcesRequest { container_id: id.clone(), linux };
    let _: m::Empty = c.call("UpdateContainerResources", &request);
    assert_eq!(all(), ["134217728", "25000", "256", "0"]);
    Ok(())
}

fn out_of_memory(c: &Cri<'_>) -> Verdict {
    let mut fifo = Fifo::create(&c.private.dir.join("f"));
    let pod = c.run_pod(c.pod_config());
    let script = "read w </t/f; exec dd if=/dev/zero of=/dev/null bs=64M count=1";
    let linux = m::LinuxContainerConfig { resources: Some(limits(20 << 20, 0, 0)), security_context: None };
    let config = pod.container_config(script);
    let id = pod.run_config(m::ContainerConfig { linux: Some(linux), mounts: vec![shared(c)], ..config });
    let process = Process::open(c.pid(&id)).unwrap();
    fifo.send("go");
    let status = wait_exited(c, &id, &process);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
    Ok(())
}

fn stats(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let id = pod.run(STAYS);
    let answer: m::ContainerStatsResponse = c.call_for("ContainerStats", &id);
    let stats = answer.stats.unwrap();
    assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);
    assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
    Ok(())
}

fn security_user(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let context = m::LinuxContainerSecurityContext {
        run_as_user: Some(m::Int64Value { value: 1000 }),
        run_as_group: Some(m::Int64Value { value: 2000 }),
        supplemental_groups: vec![3000],
        no_new_privs: true,
        ..Default::default()
    };
    let id = pod.run_secured(context, STAYS);
    assert_eq!(c.output_of(&id, "id -u; id -g; id -G"), "1000\n2000\n2000 3000");
    let status = c.output_of(&id, "cat /proc/1/status /proc/self/status | grep NoNewPrivs");
    assert!(status.lines().last().unwrap().ends_with('1'), "{status}");
    assert_eq!(
        status_field(&fs::read_to_string(format!("/proc/{}/status", c.pid(&id))).unwrap(), "NoNewPrivs"),
        "1"
    );
    Ok(())
}

fn security_capabilities(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let capabilities = |add: &[&str], drop: &[&str]| {
        let [add_capabilities, drop_capabilities] =
            [add, drop].map(|names| names.iter().map(|&name| name.into()).collect());
        let capabilities = Some(m::Capability { add_capabilities, drop_capabilities });
        let context = m::LinuxContainerSecurityContext { capabilities, ..Default::default() };
        let id = pod.run_secured(context, STAYS);
        let status = c.output_of(&id, "cat /proc/self/status");
        ["CapBnd", "CapEff"].map(|set| u64::from_str_radix(&status_field(&status, set), 16).unwrap())
    };
    assert_eq!(capabilities(&[], &[]), [0xa804_25fb; 2]);
    assert_eq!(capabilities(&["NET_ADMIN"], &["ALL"]), [1 << 12; 2]);
    assert_eq!(capabilities(&["SYS_PTRACE"], &["CHOWN"]), [0xa80c_25fa; 2]);
    Ok(())
}

fn security_privileged(c: &Cri<'_>) -> Verdict {
    let mut config = c.pod_config();
    let context = m::LinuxSandboxSecurityContext { privileged: true, ..Default::default() };
    config.linux.as_mut().unwrap().security_context = Some(context);
    let pod = c.run_pod(config);
    let context = m::LinuxContainerSecurityContext { privileged: true, ..Default::default() };
    let id = pod.run_secured(context, STAYS);
    let of_init = fs::read_to_string(format!("/proc/{}/status", c.pid(&id))).unwrap();
    let effective = u64::from_str_radix(&status_field(&of_init, "CapEff"), 16).unwrap();
    assert_eq!(effective >> 21 & 1, 1, "CAP_SYS_ADMIN: {effective:x}");
    assert_eq!(status_field(&of_init, "Seccomp"), "0");
    let script = "mount -t tmpfs tmpfs /tmp && echo mounted; test -c /dev/kmsg && echo devices; \
        echo 1 >/proc/sys/net/ipv4/ip_forward && echo sysctl";
    assert_eq!(c.output_of(&id, script), "mounted\ndevices\nsysctl");
    Ok(())
}

fn security_seccomp(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let filter = |profile_type: i32| {
        let seccomp = Some(m::SecurityProfile { profile_type });
        let context = m::LinuxContainerSecurityContext { seccomp, ..Default::default() };
        let id = pod.run_secured(context, STAYS);
        let of_init = fs::read_to_string(format!("/proc/{}/status", c.pid(&id))).unwrap();
        let of_exec = c.output_of(&id, "cat /proc/self/status");
        [of_init, of_exec].map(|status| status_field(&status, "Seccomp"))
    };
    assert_eq!(filter(0), ["2", "2"]);
    assert_eq!(filter(1), ["0", "0"]);
    Ok(())
}

fn security_paths(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let context = m::LinuxContainerSecurityContext {
        readonly_rootfs: true,
        masked_paths: vec!["/proc/version".into(), "/proc/irq".into()],
        readonly_paths: vec!["/proc/sys".into()],
        ..Default::default()
    };
    let id = pod.run_secured(context, STAYS);
    let script = "cat /proc/version | wc -c; ls /proc/irq | wc -l; echo x >/x || echo root; \
        echo 1 >/proc/sys/net/ipv4/ip_forward || echo sys; echo x >/dev/shm/x && echo shm";
    assert_eq!(c.output_of(&id, script), "0\n0\nroot\nsys\nshm");
    Ok(())
}

fn mounts(c: &Cri<'_>) -> Verdict {
    let mut config = c.pod_config();
    config.linux.as_mut().unwrap().sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "7".into());
    let pod = c.run_pod(config);
    c.private.write("v/file", "host\n");
    let mount = |path: &str, readonly: bool| m::Mount {
        container_path: path.into(),
        host_path: c.private.path("v"),
        readonly,
        ..Default::default()
    };
    let variable = m::KeyValue { key: "WORD".into(), value: "value".into() };
    let id = pod.run_config(m::ContainerConfig {
        mounts: vec![mount("/rw", false), mount("/ro", true)],
        envs: vec![variable],
        working_dir: "/tmp".into(),
        ..pod.container_config(STAYS)
    });
    let script = "cat /ro/file; echo x >/ro/new || echo read-only; echo new >/rw/new; echo $WORD; pwd; \
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(c.output_of(&id, script), "host\nread-only\nvalue\n/tmp\n7");
    assert_eq!(fs::read_to_string(c.private.dir.join("v/new")).unwrap(), "new\n");
    Ok(())
}

fn exec_sync(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let id = pod.run(STAYS);
    let answer = c.exec(&id, "echo out; echo err >&2; exit 5");
    assert_eq!(
        (answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code),
        (&b"out\n"[..], &b"err\n"[..], 5)
    );
    // More than a pipe holds.
    assert_eq!(c.exec(&id, "head -c 300000 /dev/zero").stdout.len(), 300_000);
    let request = m::ExecSyncRequest {
        container_id: id.clone(),
        cmd: ["sh", "-c", "sleep 1002"].map(Into::into).to_vec(),
        timeout: 1,
    };
    let status = c.try_call::<m::ExecSyncResponse>("ExecSync", &request).unwrap_err();
    assert!(status.message.contains("timeout"), "{status:?}");
    assert_eq!(c.exec(&id, "ps -o args | grep '^sleep 1002'").exit_code, 1, "it was killed");
    let request = m::ExecSyncRequest { cmd: vec!["no-such-command".into()], ..request };
    let status = c.try_call::<m::ExecSyncResponse>("ExecSync", &request).unwrap_err();
    assert!(status.message.contains("executable file not found in $PATH"), "{status:?}");
    Ok(())
}

fn exec_streams(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    let id = pod.run(STAYS);
    let exec = |tty: bool, script: &str| -> m::Url {
        let cmd = ["sh", "-c", script].map(Into::into).to_vec();
        let request =
            m::ExecRequest { container_id: id.clone(), cmd, tty, stdin: true, stdout: true, stderr: !tty };
        c.call("Exec", &request)
    };
    let url = exec(false, "read w; echo got-$w; echo err >&2; exit 6");
    c.stream(&url, |stream| {
        stream.send(0, "typed\n");
        stream.finish();
        assert_eq!(stream.output, ["got-typed\n", "err\n"]);
        let status = stream.status.take().unwrap();
        assert_eq!(status["details"]["causes"][0]["message"], "6", "{status}");
    });
    let url = exec(true, "tty; until stty size 2>/dev/null | grep '31 101'; do :; done; read w; echo got-$w");
    c.stream(&url, |stream| {
        stream.send(4, r#"{"Width":101,"Height":31}"#);
        stream.until("31 101");
        stream.send(0, "typed\n");
        stream.finish();
        assert!(stream.output[0].contains("/dev/pts/"), "{:?}", stream.output);
        assert!(stream.output[0].contains("got-typed"), "{:?}", stream.output);
        assert_eq!(stream.status.take().unwrap()["status"], "Success");
    });
    Ok(())
}

fn attach(c: &Cri<'_>) -> Verdict {
    let pod = c.run_pod(c.pod_config());
    for tty in [false, true] {
        // It ends when it is told to, not with what it writes: the last words of a container that ends are lost now and
        // then, over every runtime.
        let script = "while read w; do echo got-$w; [ $w = end ] && break; done; read w; exit 4";
        let config = m::ContainerConfig { stdin: true, tty, ..pod.container_config(script) };
        let id = pod.run_config(config);
        let process = Process::open(c.pid(&id)).unwrap();
        let request =
            m::AttachRequest { container_id: id.clone(), stdin: true, tty, stdout: true, stderr: !tty };
        let url: m::Url = c.call("Attach", &request);
        c.stream(&url, |stream| {
            stream.send(0, "one\n");
            stream.until("got-one");
            stream.send(0, "end\n");
            stream.until("got-end");
            stream.send(0, "exit\n");
        });
        assert_eq!(wait_exited(c, &id, &process).exit_code, 4);
    }
    Ok(())
}

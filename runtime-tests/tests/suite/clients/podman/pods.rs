//! Pods: containers that share namespaces, by hand and from a Kubernetes manifest.

use std::fs;

use runtime_tests::client::Podman;
use runtime_tests::client::podman::IMAGE;
use runtime_tests::wait::Fifo;
use runtime_tests::{Skip, Verdict};

use super::Check;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("pod_containers_share_namespaces", pod),
    ("pod_publishes_a_port", port),
    ("kube_play_runs_a_manifest", kube),
];

/// The pod's first container is of our image: podman's own would have to be built.
fn create(p: &Podman<'_>, flags: &[&str]) {
    let parent = p.parent();
    p.call(&["pod", "create", "--cgroup-parent", &parent, "--name", "pod", "--infra-image", IMAGE])
        .args(["--infra-command", "sleep 1000"])
        .args(flags)
        .ok();
}

fn namespaces(p: &Podman<'_>, id: &str) -> Vec<String> {
    let pid = p.inspect(id, ".State.Pid");
    ["net", "ipc", "uts", "pid", "mnt"]
        .iter()
        .map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string())
        .collect()
}

fn needs_cgroups(p: &Podman<'_>) -> Verdict {
    // Of the parent that a pod gets podman sets limits itself.
    p.test().needs_controller("memory")
}

fn pod(p: &Podman<'_>) -> Verdict {
    needs_cgroups(p)?;
    create(p, &["--hostname=named", "--network=none", "--share=net,ipc,uts,pid"]);
    let run = |name: &str| {
        p.call(&["run", "--detach", "--pod=pod", "--name", name, IMAGE, "sleep", "1000"]).ok();
        namespaces(p, name)
    };
    let (first, second) = (run("first"), run("second"));
    assert_eq!(first[..4], second[..4]);
    assert_ne!(first[4], second[4]);
    let output = p.call(&["run", "--rm", "--pod=pod", IMAGE, "sh", "-c", "hostname; ps -o args"]).ok();
    assert_eq!(output.lines().iter().filter(|line| **line == "sleep 1000").count(), 3, "{output}");
    assert_eq!(output.lines()[0], "named");
    p.call(&["pod", "stop", "--time=0", "pod"]).ok();
    let status = p.inspect("first", ".State.Status");
    assert!(matches!(status.as_str(), "stopped" | "exited"), "{status}");
    p.call(&["pod", "start", "pod"]).ok();
    assert_eq!(p.inspect("second", ".State.Status"), "running");
    p.call(&["pod", "rm", "--force", "--time=0", "pod"]).ok();
    assert_eq!(p.call(&["ps", "--all", "--quiet"]).ok().text(), "");
    Ok(())
}

fn port(p: &Podman<'_>) -> Verdict {
    needs_cgroups(p)?;
    create(p, &["--publish=8081:80"]);
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let volume = format!("--volume={}:/t", p.private.dir.display());
    let script = "echo served >/tmp/index.html; httpd -p 80 -h /tmp; echo up >/t/f; exec sleep 1000";
    p.call(&["run", "--detach", "--pod=pod", &volume, IMAGE, "sh", "-c", script]).ok();
    assert_eq!(fifo.line(), "up");
    let text = p.private.in_network(|| crate::clients::http_get("127.0.0.1:8081", "/index.html"));
    assert!(text.ends_with("served\n"), "{text:?}");
    let wget = "wget -q -O - http://127.0.0.1/index.html";
    assert_eq!(p.call(&["run", "--rm", "--pod=pod", IMAGE, "sh", "-c", wget]).ok().text(), "served");
    Ok(())
}

fn kube(p: &Podman<'_>) -> Verdict {
    needs_cgroups(p)?;
    if p.test().needs_program("catatonit").is_err() {
        return Err(Skip::new("catatonit is not installed"));
    }
    let mut fifo = Fifo::create(&p.private.dir.join("f"));
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  hostname: named\n  restartPolicy: Never\n  \
         containers:\n  - name: one\n    image: {IMAGE}:latest\n    imagePullPolicy: Never\n    \
         command: [/bin/sh, -c, 'hostname >/t/f; exec sleep 1000']\n    \
         volumeMounts: [{{name: shared, mountPath: /t}}]\n    \
         resources: {{limits: {{memory: 64Mi}}}}\n    \
         securityContext: {{runAsUser: 0, capabilities: {{drop: [CHOWN]}}, readOnlyRootFilesystem: true}}\n  \
         volumes:\n  - name: shared\n    hostPath: {{path: {}, type: Directory}}\n",
        p.private.dir.display()
    );
    let manifest = p.private.write("pod.yaml", &manifest);
    p.call(&["play", "kube", "--network=none", &manifest]).ok();
    assert_eq!(fifo.line(), "named");
    let pid = p.inspect("web-one", ".State.Pid");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let bounding = runtime_tests::procfs::status_field(&status, "CapBnd");
    assert_eq!(u64::from_str_radix(&bounding, 16).unwrap() & 1, 0, "no CAP_CHOWN");
    p.call(&["play", "kube", "--down", &manifest]).ok();
    assert_eq!(p.call(&["ps", "--all", "--quiet"]).ok().text(), "");
    Ok(())
}

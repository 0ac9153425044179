//! The example bundles, over the harness's root file system: each config runs, and the walk-throughs of their READMEs
//! hold.

use runtime_tests::{Bundle, Case, Test, Verdict};
use serde_json::Value;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("bundles::{name}"), run);
    vec![
        // Specification 1.3.0 is newer than what the distribution's other runtimes know.
        case("hello_runs", hello).only_ours(),
        case("limits_runs", limits).only_ours(),
        case("network_pings_both_ways", network).only_ours(),
        case("pod_shares_its_namespaces", pod).only_ours(),
    ]
}

/// The harness's bundle with an example's config.
fn example(t: &Test, config: &str) -> Bundle {
    let b = t.bundle();
    b.patch(|current| *current = serde_json::from_str::<Value>(config).unwrap());
    b.set("/root/path", "rootfs");
    b
}

fn hello(t: &Test) -> Verdict {
    let b = example(t, include_str!("../../../bundles/hello/config.json"));
    b.sh("hostname; readlink /proc/self/ns/pid | cut -d: -f1");
    assert_eq!(t.run(&b).ok().lines(), ["hello", "pid"]);
    Ok(())
}

fn limits(t: &Test) -> Verdict {
    for controller in ["memory", "cpu", "pids"] {
        t.needs_controller(controller)?;
    }
    let b = example(t, include_str!("../../../bundles/limits/config.json"));
    b.sh("echo within");
    assert_eq!(t.run(&b).ok().text(), "within");
    Ok(())
}

/// The classical walk-through, in a network namespace that stands for the host's; its named ones are on a `/run` of its
/// own. It lasts until the container has said that it reached this end of it: with the wrapper that goes.
const WALK: &str = "set -e
mount -t tmpfs tmpfs /run
ip link set lo up
ip netns add sandboxd-net
ip link add sandboxd-host type veth peer name eth0 netns sandboxd-net
ip addr add 10.200.1.1/24 dev sandboxd-host
ip link set sandboxd-host up
ip -n sandboxd-net addr add 10.200.1.2/24 dev eth0
ip -n sandboxd-net link set eth0 up
ip -n sandboxd-net link set lo up
ip -n sandboxd-net route add default via 10.200.1.1
\"$@\"
busybox ping -c 1 -W 5 10.200.1.2 >/dev/null
echo container reached
timeout 20 sh -c 'read -r line <\"$FIFO\"; echo \"$line\"'";

fn network(t: &Test) -> Verdict {
    t.needs_program("ip")?;
    t.needs_program("unshare")?;
    let b = example(t, include_str!("../../../bundles/network/config.json"));
    b.sh("ping -c 1 -W 5 10.200.1.1 >/dev/null && echo host reached >/fifo; ip route | head -1 >/fifo; exec sleep 1000");
    let mut fifo = b.fifo("/fifo");
    let (call, _id) = t.bundle_call("run", &b, &["--detach"]);
    let call = call.env("FIFO", b.inside("/fifo"));
    let wrapper = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", WALK, "sh"];
    let output = call.through(wrapper).ok();
    assert_eq!(output.lines(), ["container reached", "host reached"]);
    assert_eq!(fifo.line().trim(), "default via 10.200.1.1 dev eth0");
    Ok(())
}

fn pod(t: &Test) -> Verdict {
    let a = example(t, include_str!("../../../bundles/pod/a/config.json"));
    a.stays();
    let first = t.start(&a);
    let b = example(
        t,
        &include_str!("../../../bundles/pod/b/config.json")
            .replace("/proc/PID/", &format!("/proc/{}/", first.pid())),
    );
    b.sh("for kind in net ipc uts mnt pid; do readlink /proc/self/ns/$kind; done");
    let inside = t.run(&b).ok();
    let link = |kind: &str| std::fs::read_link(format!("/proc/{}/ns/{kind}", first.pid())).unwrap();
    for (line, kind) in inside.lines().into_iter().zip(["net", "ipc", "uts", "mnt", "pid"]) {
        let shared = matches!(kind, "net" | "ipc" | "uts");
        assert_eq!(line == link(kind).to_str().unwrap(), shared, "{kind}: {line}");
    }
    first.delete_force().ok();
    Ok(())
}

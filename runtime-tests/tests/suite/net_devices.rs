//! `linux.netDevices`: devices of the runtime's network namespace, which is one of the test's own, in the container.

use std::process::Command;

use runtime_tests::command::{Call, Output};
use runtime_tests::{Bundle, Case, Skip, Test, Verdict};
use serde_json::json;

use crate::namespaces::{Holder, user_bundle};

pub(crate) fn cases() -> Vec<Case> {
    // The other runtimes leave the field out without a word.
    let ours =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("net_devices::{name}"), run).only_ours();
    vec![
        ours("device_is_moved_renamed_and_set_up", device_is_moved_renamed_and_set_up),
        ours("device_without_a_name_keeps_its_own", device_without_a_name_keeps_its_own),
        ours("permanent_global_addresses_are_kept", permanent_global_addresses_are_kept),
        ours("template_becomes_a_free_name", template_becomes_a_free_name),
        ours("moved_into_a_user_namespaces_network", moved_into_a_user_namespaces_network),
        ours("joined_namespace_keeps_the_device_after_delete", joined_namespace_keeps_the_device),
        ours("hooks_find_the_device_in_place", hooks_find_the_device_in_place),
        ours("failed_create_moves_it_back", failed_create_moves_it_back),
        ours("missing_device_fails_and_moves_none", missing_device_fails_and_moves_none),
        ours("name_taken_in_the_container_fails", name_taken_in_the_container_fails),
        ours("loopback_cannot_be_moved", loopback_cannot_be_moved),
        ours("without_a_network_namespace_fails", without_a_network_namespace_fails),
        ours("names_are_checked", names_are_checked),
    ]
}

// Whether a device is up is the first of its flags (IFF_UP): `operstate` follows when the kernel gets to it.

/// What is to be as before: indices, names, flags, addresses. Not the carrier, which comes and goes by itself.
const STATE: &str = r"ip -o link | sed 's/^\([0-9]*: [^ ]*\) <\(.*\)>.*link/\1 \2 link/;s/[A-Z-]*CARRIER,//;s/,LOWER_UP//'
    ip -o addr | sed -n '/ global /{s/ nodad//;s/ tentative//;p}'";

/// What stands for the host's network namespace.
struct Host(Holder);

impl Host {
    /// With a pair `a0`, `a1`, the first with addresses.
    fn new(t: &Test) -> Result<Self, Skip> {
        t.needs_program("unshare")?;
        t.needs_program("nsenter")?;
        t.needs_program("ip")?;
        let host = Self(Holder::new(t, &["--net"]));
        host.sh("ip link add a0 type veth peer name a1 && ip link set a1 up");
        Ok(host)
    }

    fn entering(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net={}", self.0.path("net").display())]
    }

    /// The output of a script there, which must succeed.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let [program, namespace] = self.entering();
        let output = Command::new(program).args([&*namespace, "sh", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn call(&self, t: &Test, verb: &str, b: &Bundle) -> (Call, String) {
        let (call, id) = t.bundle_call(verb, b, &[]);
        (call.through(self.entering()), id)
    }

    /// `run` from there.
    #[track_caller]
    fn run(&self, t: &Test, b: &Bundle) -> Output {
        self.call(t, "run", b).0.ok()
    }

    /// `create` from there, which must fail and leave no container.
    #[track_caller]
    fn create_fails(&self, t: &Test, b: &Bundle) -> Output {
        let (call, id) = self.call(t, "create", b);
        let output = call.fails();
        t.assert_missing(&id);
        output
    }
}

fn device_is_moved_renamed_and_set_up(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    host.sh("ip link set a0 mtu 1400 address 02:00:00:00:00:17 txqueuelen 77");
    let b = t.bundle();
    b.set("/linux/netDevices/a0/name", "net0");
    b.sh("cd /sys/class/net; ls | tr '\\n' ' '; cd net0; cat mtu address tx_queue_len; echo $(($(cat flags) & 1))");
    let output = host.run(t, &b);
    assert_eq!(output.text(), "lo net0 1400\n02:00:00:00:00:17\n77\n1");
    Ok(())
}

fn device_without_a_name_keeps_its_own(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let b = t.bundle();
    b.set("/linux/netDevices/a0", json!({}));
    b.sh("ls /sys/class/net | tr '\\n' ' '; cat /sys/class/net/a0/ifindex");
    let index = host.sh("cat /proc/net/dev >/dev/null; ip -o link show a0 | cut -d: -f1");
    let (call, id) = host.call(t, "create", &b);
    call.ok();
    // Created is enough.
    assert!(!host.sh("ip -o link show").contains("a0"));
    t.call(&["delete", "--force", &id]).ok();
    host.sh("ip link add a0 index 77 type veth peer name a2");
    assert_ne!(index, "77");
    assert_eq!(host.run(t, &b).text(), "a0 lo 77");
    Ok(())
}

fn permanent_global_addresses_are_kept(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    host.sh("ip link set a0 up
        ip addr add 10.9.0.1/24 broadcast 10.9.0.255 dev a0 label a0:web
        ip addr add 10.9.0.2/24 dev a0
        ip addr add 10.8.0.1 peer 10.8.0.2/32 dev a0
        ip addr add 10.7.0.1/16 dev a0 noprefixroute
        ip addr add 10.6.0.1/24 dev a0 valid_lft 1000 preferred_lft 1000
        ip addr add 169.254.3.3/16 dev a0 scope link
        ip addr add fd00:9::1/64 dev a0
        ip addr add fd00:8::1/64 dev a0 valid_lft 1000 preferred_lft 1000");
    let b = t.bundle();
    b.set("/linux/netDevices/a0/name", "net0").stays();
    let (call, id) = host.call(t, "run", &b);
    call.args(["--detach"]).ok();
    let pid = t.state(&id)["pid"].to_string();
    let namespace = format!("--net=/proc/{pid}/ns/net");
    let output = Command::new("nsenter").args([&namespace, "ip", "-o", "addr", "show", "net0"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let find = |address: &str| lines.iter().find(|line| line.contains(address)).copied().unwrap_or_default();
    assert!(find("10.9.0.1/24").contains("brd 10.9.0.255 scope global net0"), "{text}");
    assert!(find("10.9.0.2/24").contains("secondary"), "{text}");
    assert!(find("10.8.0.1 peer 10.8.0.2/32").contains("scope global"), "{text}");
    assert!(find("10.7.0.1/16").contains("noprefixroute"), "{text}");
    assert!(find("fd00:9::1/64").contains("scope global"), "{text}");
    // Usable at once.
    assert!(!find("fd00:9::1/64").contains("tentative"), "{text}");
    for gone in ["10.6.0.1", "169.254.3.3", "fd00:8::1"] {
        assert_eq!(find(gone), "", "{text}");
    }
    Ok(())
}

fn template_becomes_a_free_name(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let b = t.bundle();
    b.set("/linux/netDevices", json!({"a0": {"name": "lan%d"}, "a1": {"name": "lan%d"}}));
    b.sh("ls /sys/class/net | tr '\\n' ' '; cd /sys/class/net; for lan in lan0 lan1; do echo $(($(cat $lan/flags) & 1)); done");
    assert_eq!(host.run(t, &b).text(), "lan0 lan1 lo 1\n1");
    Ok(())
}

fn moved_into_a_user_namespaces_network(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    host.sh("ip addr add 10.9.0.1/24 dev a0");
    let b = user_bundle(t);
    b.set("/linux/netDevices/a0/name", "net0");
    b.sh("echo $(($(cat /sys/class/net/net0/flags) & 1)); ip -o addr show net0 | grep -c 10.9.0.1/24");
    assert_eq!(host.run(t, &b).lines(), ["1", "1"]);
    Ok(())
}

fn joined_namespace_keeps_the_device(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let pod = Holder::new(t, &["--net"]);
    let b = t.bundle();
    b.namespace("network", Some(&pod.path("net"))).set("/linux/netDevices/a0/name", "net0");
    b.sh("echo $(($(cat /sys/class/net/net0/flags) & 1))");
    // `run` deletes the container at its end.
    assert_eq!(host.run(t, &b).text(), "1");
    let namespace = format!("--net={}", pod.path("net").display());
    let status = Command::new("nsenter").args([&namespace, "ip", "link", "show", "net0"]).output().unwrap();
    assert!(status.status.success(), "{status:?}");
    // The name is taken now.
    host.sh("ip link add a0 type veth peer name b1");
    let _ = host.create_fails(t, &b).says("/linux/netDevices/a0").says("file exists");
    host.sh("ip link show a0");
    Ok(())
}

fn hooks_find_the_device_in_place(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let b = t.bundle();
    b.set("/linux/netDevices/a0/name", "net0").sh("true");
    let seen = t.dir.join("seen");
    let script = format!(
        r#"pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/'); nsenter --net=/proc/$pid/ns/net ip -o link show net0 >{}"#,
        seen.display()
    );
    b.hook(
        "createRuntime",
        json!({"path": "/bin/sh", "args": ["sh", "-c", script],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}),
    );
    host.run(t, &b);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("net0") && seen.contains("UP"), "{seen}");
    Ok(())
}

fn failed_create_moves_it_back(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    host.sh("ip link set a0 up; ip addr add 10.9.0.1/24 dev a0; ip addr add fd00:9::1/64 dev a0");
    let before = host.sh(STATE);
    let b = t.bundle();
    b.set("/linux/netDevices", json!({"a0": {"name": "net0"}, "a1": {}})).sh("true");
    b.hook("createRuntime", json!({"path": "/bin/false"}));
    let _ = host.create_fails(t, &b).says("createRuntime");
    assert_eq!(before, host.sh(STATE));
    // The last thing that can fail.
    let b = t.bundle();
    b.set("/linux/netDevices", json!({"a0": {"name": "net0"}, "a1": {}})).args(&["/no/such/command"]);
    let _ = host.create_fails(t, &b).says("no such file");
    assert_eq!(before, host.sh(STATE));
    Ok(())
}

fn missing_device_fails_and_moves_none(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    host.sh("ip link set a0 up");
    let before = host.sh(STATE);
    let b = t.bundle();
    b.set("/linux/netDevices", json!({"a0": {}, "zz9": {}}));
    let output = host.create_fails(t, &b).says("zz9").says("/linux/netDevices/zz9").says("no such device");
    assert_eq!(host.sh(STATE), before, "{output}");
    Ok(())
}

fn name_taken_in_the_container_fails(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let before = host.sh(STATE);
    let b = t.bundle();
    b.set("/linux/netDevices/a0/name", "lo");
    let _ = host.create_fails(t, &b).says("/linux/netDevices/a0").says("file exists");
    assert_eq!(host.sh(STATE), before);
    Ok(())
}

fn loopback_cannot_be_moved(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let b = t.bundle();
    b.set("/linux/netDevices/lo/name", "net0");
    let _ = host.create_fails(t, &b).says("/linux/netDevices/lo").says("invalid argument");
    host.sh("ip link show lo");
    Ok(())
}

fn without_a_network_namespace_fails(t: &Test) -> Verdict {
    let host = Host::new(t)?;
    let b = t.bundle();
    b.without_namespace("network").set("/linux/netDevices/a0", json!({}));
    let _ = host.create_fails(t, &b).says("/linux/netDevices");
    host.sh("ip link show a0");
    Ok(())
}

fn names_are_checked(t: &Test) -> Verdict {
    for (devices, pointer) in [
        (json!({"a0": {"name": "0123456789abcdef"}}), "/linux/netDevices/a0/name"),
        (json!({"0123456789abcdef": {}}), "/linux/netDevices/0123456789abcdef"),
        (json!({"a0": {"name": "a/b"}}), "/linux/netDevices/a0/name"),
        (json!({"a0": {"name": ".."}}), "/linux/netDevices/a0/name"),
        (json!({"a0": {"name": "n"}, "a1": {"name": "n"}}), "/linux/netDevices/a1"),
        (json!({"a0": {"name": "a1"}, "a1": {}}), "/linux/netDevices/a1"),
    ] {
        let b = t.bundle();
        b.set("/linux/netDevices", devices);
        let _ = t.create_fails(&b).says(pointer);
    }
    Ok(())
}

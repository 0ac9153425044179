//! Networking between namespaces of our own, on the real kernel, as root. Nothing is done in the host's.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::IpAddr;

use sandbox::net::NetworkNamespace;
use sandbox::spec::config::Capability;
use sandbox::{Deletion, Error, Pod, PodNamespace, PodRequest, Runtime, Streams};
use support::Place;

/// A namespace with a name of its own, as a pod that shares nothing else.
fn pod(place: &Place, runtime: &Runtime, name: &str) -> (Pod, NetworkNamespace) {
    let mut request = PodRequest::new(place.id(name));
    request.namespaces = vec![PodNamespace::Network];
    let pod = runtime.create_pod(&request).unwrap().value;
    let network = NetworkNamespace::open(pod.network().unwrap()).unwrap();
    (pod, network)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether an answer comes, to `ping` in a container of the pod.
fn ping(place: &Place, runtime: &Runtime, pod: &Pod, address: &str, patience_s: u32) -> Result<(), String> {
    let patience = patience_s.to_string();
    let mut config = place.config(["ping", "-c", "1", "-W", &patience, address]);
    let raw = Capability::from_name("CAP_NET_RAW").unwrap();
    let capabilities = &mut config.process.as_mut().unwrap().capabilities;
    for set in [&mut capabilities.bounding, &mut capabilities.effective, &mut capabilities.permitted] {
        set.insert(raw);
    }
    let mut request = sandbox::CreateRequest::of_config(place.id("ping"), config);
    request.pod = Some(pod.clone());
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    runtime.delete_ended(&running).unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(text) }
}

#[test]
fn veth_pair_between_two_namespaces() {
    let Some(place) = Place::new("veth") else { return };
    let runtime = place.runtime();
    let (a, in_a) = pod(&place, &runtime, "a");
    let (b, in_b) = pod(&place, &runtime, "b");
    in_a.add_veth("to-b", &in_b, "to-a").unwrap();
    in_a.add_address("to-b", address("10.77.0.1"), 24).unwrap();
    in_b.add_address("to-a", address("10.77.0.2"), 24).unwrap();
    assert!(ping(&place, &runtime, &a, "10.77.0.2", 1).is_err(), "they are down");
    in_a.set_up("to-b").unwrap();
    in_b.set_up("to-a").unwrap();
    ping(&place, &runtime, &a, "10.77.0.2", 20).unwrap();
    ping(&place, &runtime, &b, "10.77.0.1", 20).unwrap();
    ping(&place, &runtime, &b, "127.0.0.1", 20).unwrap();
    if std::path::Path::new("/proc/sys/net/ipv6").exists() {
        in_a.add_address("to-b", address("fd77::1"), 64).unwrap();
        in_b.add_address("to-a", address("fd77::2"), 64).unwrap();
        ping(&place, &runtime, &a, "fd77::2", 20).unwrap();
    }

    let taken = in_a.add_veth("to-b", &in_b, "other").unwrap_err();
    let text = "make the veth pair to-b and other: file exists";
    assert_eq!((taken.to_string().as_str(), taken.errno()), (text, Some(17)));
    assert_eq!(in_a.set_up("nothing").unwrap_err().errno(), Some(19));
    assert!(in_a.add_address("to-b", address("10.77.0.1"), 33).is_err());
    in_a.remove_device("to-b").unwrap();
    assert_eq!(in_b.set_up("to-a").unwrap_err().errno(), Some(19), "the other end went with it");
    for pod in [a, b] {
        runtime.delete_pod(&pod.id, Deletion::Stopped).unwrap();
    }
    place.assert_empty();
}

/// `client` and `other` on a bridge of `router`, which has a link to `server`. The server knows no way back.
#[test]
fn bridge_route_and_masquerade() {
    let Some(place) = Place::new("nat") else { return };
    let runtime = place.runtime();
    let (client, in_client) = pod(&place, &runtime, "client");
    let (other, in_other) = pod(&place, &runtime, "other");
    let (router, in_router) = pod(&place, &runtime, "router");
    let (server, in_server) = pod(&place, &runtime, "server");
    in_router.add_bridge("br0").unwrap();
    in_router.add_address("br0", address("10.78.1.1"), 24).unwrap();
    in_router.set_up("br0").unwrap();
    for (port, inside, number) in [("port0", &in_client, 2), ("port1", &in_other, 3)] {
        in_router.add_veth(port, inside, "eth0").unwrap();
        in_router.attach(port, "br0").unwrap();
        in_router.set_up(port).unwrap();
        inside.add_address("eth0", address(&format!("10.78.1.{number}")), 24).unwrap();
        inside.set_up("eth0").unwrap();
        inside.add_default_route(address("10.78.1.1")).unwrap();
    }
    in_router.add_veth("up", &in_server, "eth0").unwrap();
    in_router.add_address("up", address("10.78.2.1"), 24).unwrap();
    in_router.set_up("up").unwrap();
    in_server.add_address("eth0", address("10.78.2.2"), 24).unwrap();
    in_server.set_up("eth0").unwrap();

    ping(&place, &runtime, &client, "10.78.1.3", 20).unwrap();
    ping(&place, &runtime, &router, "10.78.2.2", 20).unwrap();
    in_router.enable_forwarding().unwrap();
    assert!(ping(&place, &runtime, &client, "10.78.2.2", 1).is_err(), "the server knows no way back");
    match in_router.masquerade("shop", address("10.78.1.0"), 24) {
        // Error::Network: the kernel has none of it.
        Err(error) if matches!(error.errno(), Some(2 | 93 | 95)) => eprintln!("skipped: {error}"),
        result => {
            result.unwrap();
            ping(&place, &runtime, &client, "10.78.2.2", 20).unwrap();
            ping(&place, &runtime, &other, "10.78.2.2", 20).unwrap();
            let again = in_router.masquerade("shop", address("10.78.1.0"), 24).unwrap_err();
            assert!(matches!(again, Error::Network { .. }));
            assert_eq!(again.errno(), Some(17));
            in_router.remove_masquerade("shop").unwrap();
            in_router.remove_masquerade("shop").unwrap();
            in_router.masquerade("shop", address("10.78.1.0"), 24).unwrap();
        }
    }
    // Or by a route.
    in_server.add_route(address("10.78.1.0"), 24, address("10.78.2.1")).unwrap();
    in_router.remove_masquerade("shop").unwrap();
    ping(&place, &runtime, &client, "10.78.2.2", 20).unwrap();
    for pod in [client, other, router, server] {
        runtime.delete_pod(&pod.id, Deletion::Stopped).unwrap();
    }
    place.assert_empty();
}

#[test]
fn namespace_of_a_file_and_of_a_process() {
    let Some(place) = Place::new("open") else { return };
    let runtime = place.runtime();
    let wrong = NetworkNamespace::open("/proc/self/ns/uts".as_ref()).unwrap_err();
    assert!(wrong.to_string().ends_with("it is no network namespace"), "{wrong}");

    let created = runtime.create(&place.request("a", ["cat", "/proc/net/dev"])).unwrap().value;
    let inside = NetworkNamespace::of_process(&created.process).unwrap();
    let own = NetworkNamespace::own().unwrap();
    let inode = |namespace: &NetworkNamespace| rustix::fs::fstat(namespace).unwrap().st_ino;
    assert_ne!(inode(&inside), inode(&own));
    let path = format!("/proc/{}/ns/net", created.process.pid);
    assert_eq!(inode(&NetworkNamespace::open(path.as_ref()).unwrap()), inode(&inside));
    inside.add_bridge("inside").unwrap();
    assert_eq!(own.set_up("inside").unwrap_err().errno(), Some(19));
    runtime.delete(&created.container.id, Deletion::Force).unwrap();
}

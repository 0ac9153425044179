//! A pod with a network: two containers speak to each other over `lo` and the host speaks to both over a veth pair; then
//! all of it is removed as one.
//!
//!     cargo run --features net --example pod -- ROOTFS

use std::error::Error;
use std::io::Read as _;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::net::NetworkNamespace;
use sandbox::spec::{Config, Text};
use sandbox::{ContainerId, CreateRequest, Deletion, Pod, PodRequest, Running, Runtime, Streams};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const PREFIX: u8 = 24;

fn main() -> Result<()> {
    let rootfs = std::env::args().nth(1).ok_or("usage: pod ROOTFS")?;
    let rootfs = std::fs::canonicalize(rootfs)?;
    let runtime = Runtime::open("/run/sandbox-examples")?;
    let id = ContainerId::new(&format!("pod-{}", std::process::id()))?;

    let mut request = PodRequest::new(id.clone());
    request.hostname = Text::new("shop");
    let pod = runtime.create_pod(&request)?.value;
    let shown = connect(&pod).and_then(|inside| show(&runtime, &pod, &rootfs, inside));
    // Whatever happened: containers, namespaces and with them the devices, cgroup.
    runtime.delete_pod(&id, Deletion::Force)?;
    shown
}

/// A veth pair from here into the pod; the pod's address.
fn connect(pod: &Pod) -> Result<IpAddr> {
    let (outside, inside): (IpAddr, IpAddr) = ("10.88.7.1".parse()?, "10.88.7.2".parse()?);
    let host = NetworkNamespace::own()?;
    let network = NetworkNamespace::open(pod.network().ok_or("the pod has a network of its own")?)?;
    host.add_veth("shop0", &network, "eth0")?;
    host.add_address("shop0", outside, PREFIX)?;
    host.set_up("shop0")?;
    network.add_address("eth0", inside, PREFIX)?;
    network.set_up("eth0")?;
    network.add_default_route(outside)?;
    Ok(inside)
}

fn show(runtime: &Runtime, pod: &Pod, rootfs: &Path, address: IpAddr) -> Result<()> {
    start(runtime, pod, rootfs, "server", &["nc", "-ll", "-p", "80", "-e", "hostname"])?;
    let script = "until nc 127.0.0.1 80 2>/dev/null </dev/null; do sleep 0.1; done";
    let mut client = start(runtime, pod, rootfs, "client", &["sh", "-c", script])?;
    let output = client.process.wait_with_output()?;
    print!("from within the pod: {}", String::from_utf8_lossy(&output.stdout));
    print!("from the host: {}", answer_of(address)?);
    Ok(())
}

fn start(runtime: &Runtime, pod: &Pod, rootfs: &Path, name: &str, command: &[&str]) -> Result<Running> {
    let id = ContainerId::new(&format!("{}-{name}", pod.id))?;
    let config = Config::of_command(rootfs, command)?;
    let mut request = CreateRequest::of_config(id, config);
    request.pod = Some(pod.clone());
    request.streams = Streams::captured();
    Ok(runtime.run(&request)?.value)
}

fn answer_of(address: IpAddr) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect_timeout(&(address, 80).into(), Duration::from_secs(5)) {
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            // It does not listen yet.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(mut stream) => {
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                return Ok(text);
            }
        }
    }
}

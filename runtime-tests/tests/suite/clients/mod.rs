//! Real engines over the runtime; the same through the distribution's runc, so that the tests are known to be right.

mod buildah;
mod conmon;
mod containerd;
mod cri;
mod docker;
mod podman;
mod rootless;

use std::path::Path;

use runtime_tests::{Case, Lane, Runtime, Skip, Test, Verdict, differences};

pub(crate) fn cases() -> Vec<Case> {
    let clients = [
        podman::cases(),
        buildah::cases(),
        conmon::cases(),
        containerd::cases(),
        cri::cases(),
        docker::cases(),
        rootless::cases(),
    ];
    clients.into_iter().flatten().collect()
}

/// A client's checks, over the runtime under test (`CLIENT::NAME`) and over runc (`CLIENT::runc_NAME`), the latter
/// on hybrid cgroups where this machine has them.
fn over_both<C: Copy + Send + Sync + 'static>(
    client: &str,
    checks: &'static [(&'static str, C)],
    run: fn(&Test, &Runtime, C) -> Verdict,
) -> Vec<Case> {
    over_both_in(Lane::Hybrid, client, checks, run)
}

/// With runc in the lane that shows whether the test is right.
fn over_both_in<C: Copy + Send + Sync + 'static>(
    lane: Lane,
    client: &str,
    checks: &'static [(&'static str, C)],
    run: fn(&Test, &Runtime, C) -> Verdict,
) -> Vec<Case> {
    let ours = checks
        .iter()
        .map(|&(name, check)| Case::new(format!("{client}::{name}"), move |t| run(t, &t.runtime, check)));
    let runcs = checks.iter().map(|&(name, check)| {
        let full = format!("{client}::{name}");
        Case::new(format!("{client}::runc_{name}"), move |t| {
            if t.lane != lane {
                return Err(Skip::new(match lane {
                    Lane::Hybrid => "on hybrid cgroups it is shown that the test is right",
                    _ => "with systemd on cgroup v2 it is shown that the test is right",
                }));
            }
            if t.runtime.name == "runc" {
                return Err(Skip::new("runc is the runtime under test"));
            }
            let runc = Runtime::at(Path::new("runc")).map_err(|_| Skip::new("runc is not installed"))?;
            match differences::known(&runc, t.lane, &full) {
                Some(reason) => Err(Skip::new(format!("runc {}: {reason}", runc.version))),
                None => run(t, &runc, check),
            }
        })
    });
    ours.chain(runcs).collect()
}

/// What a web server answers to `GET path`, with its head; connects to `place`, an address and a port.
fn http_get(place: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(place).unwrap_or_else(|error| panic!("{place}: {error}"));
    stream.set_read_timeout(Some(runtime_tests::wait::DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

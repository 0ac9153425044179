//! conmon, as podman and CRI-O start it: exit files, out-of-memory files, the log, the attach socket.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use runtime_tests::wait::{DEADLINE, Fifo, Process, readable};
use runtime_tests::{Bundle, Call, Case, Lane, Runtime, Skip, Test, Verdict};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};

type Check = fn(&Conmon<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("exit_file_has_the_status", exit_status),
    ("exit_file_of_a_killed_container", killed),
    ("log_has_both_streams", log),
    ("out_of_memory_leaves_its_file", out_of_memory),
    ("attach_socket_carries_both_ways", attach),
    ("create_failure_is_reported", create_fails),
];

pub(crate) fn cases() -> Vec<Case> {
    super::over_both("conmon", CHECKS, |test, runtime, check| {
        test.needs_program("conmon")?;
        if runtime.name == "crun" && test.lane == Lane::Hybrid {
            return Err(Skip::new("crun refuses hybrid cgroups"));
        }
        check(&Conmon { test, runtime: runtime.clone() })
    })
}

struct Conmon<'t> {
    test: &'t Test,
    runtime: Runtime,
}

/// A container under a conmon.
struct Watched<'t> {
    conmon: &'t Conmon<'t>,
    id: String,
    dir: PathBuf,
    monitor: Process,
    /// What conmon reported on its synchronisation pipe.
    report: serde_json::Value,
}

impl Conmon<'_> {
    /// Starts a conmon, which creates the container.
    fn create(&self, bundle: &Bundle, flags: &[&str]) -> Watched<'_> {
        bundle.write();
        let id = self.test.fresh_name();
        let dir = bundle.path.clone();
        for sub in ["exits", "persist", "sockets"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let mut sync = Fifo::create(&dir.join("sync"));
        Call::new(["conmon", "--api-version", "1", "--cid", &id, "--cuuid", &id, "--name", &id])
            .args(["--runtime".as_ref(), self.runtime.path.as_os_str()])
            .args(["--runtime-arg", "--root", "--runtime-arg", &path("root")])
            .args(["--bundle", &path(""), "--container-pidfile", &path("pid")])
            .args(["--conmon-pidfile", &path("conmon.pid"), "--exit-dir", &path("exits")])
            .args(["--persist-dir", &path("persist"), "--socket-dir-path", &path("sockets")])
            .args([
                "--log-path",
                &format!("k8s-file:{}", path("log")),
                "--log-level",
                "error",
                "--full-attach",
            ])
            .args(flags)
            .through_sh(&format!("exec \"$@\" 3<>{}", path("sync")))
            .env("_OCI_SYNCPIPE", "3")
            .env(runtime_tests::test::TOKEN_VARIABLE, &self.test.token)
            .ok();
        let report = serde_json::from_str(&sync.line()).unwrap();
        let pid = fs::read_to_string(dir.join("conmon.pid")).unwrap();
        let monitor = Process::open(pid.trim().parse().unwrap()).unwrap();
        Watched { conmon: self, id, dir, monitor, report }
    }
}

impl Watched<'_> {
    fn runtime(&self, args: &[&str]) -> Call {
        let root = self.dir.join("root");
        Call::new([&self.conmon.runtime.path])
            .args(["--root".as_ref(), root.as_os_str()])
            .args(args)
            .env(runtime_tests::test::TOKEN_VARIABLE, &self.conmon.test.token)
    }

    fn start(&self) {
        self.runtime(&["start", &self.id]).ok();
    }

    /// Waits for conmon's end: its exit file.
    fn exit_code(&self) -> String {
        assert!(self.monitor.wait_exit(DEADLINE), "conmon is still there");
        let _ = self.monitor.reap();
        fs::read_to_string(self.dir.join("exits").join(&self.id)).unwrap()
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let _ = self.runtime(&["delete", "--force", &self.id]).output();
        let _ = self.monitor.wait_exit(DEADLINE);
        let _ = self.monitor.reap();
    }
}

fn exit_status(c: &Conmon<'_>) -> Verdict {
    let watched = c.create(&c.test.sh("exit 7"), &[]);
    let pid = fs::read_to_string(watched.dir.join("pid")).unwrap();
    assert_eq!(watched.report["data"].to_string(), pid.trim(), "{}", watched.report);
    watched.start();
    assert_eq!(watched.exit_code(), "7");
    Ok(())
}

fn killed(c: &Conmon<'_>) -> Verdict {
    let bundle = c.test.bundle();
    bundle.args(&["sleep", "1000"]);
    let watched = c.create(&bundle, &[]);
    watched.start();
    watched.runtime(&["kill", &watched.id, "KILL"]).ok();
    assert_eq!(watched.exit_code(), "137");
    Ok(())
}

fn log(c: &Conmon<'_>) -> Verdict {
    let watched = c.create(&c.test.sh("echo out; echo err >&2"), &[]);
    watched.start();
    assert_eq!(watched.exit_code(), "0");
    let log = fs::read_to_string(watched.dir.join("log")).unwrap();
    let mut lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["stderr F err", "stdout F out"]);
    Ok(())
}

fn out_of_memory(c: &Conmon<'_>) -> Verdict {
    c.test.needs_controller("memory")?;
    let bundle = c.test.bundle();
    bundle.args(&["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    bundle.set("/linux/resources", serde_json::json!({"memory": {"limit": 20 << 20, "swap": 20 << 20}}));
    let watched = c.create(&bundle, &[]);
    watched.start();
    assert_eq!(watched.exit_code(), "137");
    assert!(watched.dir.join("persist/oom").exists(), "conmon did not see it");
    Ok(())
}

fn attach(c: &Conmon<'_>) -> Verdict {
    let watched = c.create(&c.test.sh("read w; echo got-$w; exit 4"), &["--stdin"]);
    let socket = attached(&watched);
    watched.start();
    let mut stream = fs::File::from(socket);
    stream.write_all(b"typed\n").unwrap();
    let mut packet = [0; 8192];
    assert!(readable(&stream, DEADLINE), "nothing on the attach socket");
    let length = stream.read(&mut packet).unwrap();
    // The first byte tells the stream: 2 is standard output.
    assert_eq!(&packet[..length], b"\x02got-typed\n");
    assert_eq!(watched.exit_code(), "4");
    Ok(())
}

/// Connects to the attach socket, which conmon names in the bundle.
fn attached(watched: &Watched<'_>) -> OwnedFd {
    let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    let address = SocketAddrUnix::new(watched.dir.join("attach")).unwrap();
    connect(&socket, &address).unwrap();
    socket
}

fn create_fails(c: &Conmon<'_>) -> Verdict {
    let bundle = c.test.bundle();
    bundle.args(&["no-such-command"]);
    let watched = c.create(&bundle, &[]);
    assert_eq!(watched.report["data"], -1, "{}", watched.report);
    let message = watched.report["message"].as_str().unwrap();
    assert!(message.contains("executable file not found in $PATH"), "{message}");
    Ok(())
}

//! The examples, as programs, on the real kernel, as root.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::Place;

/// An example with the root file system as its first argument; `None`, with the reason printed, where it was not built.
fn example(name: &str, place: &Place) -> Option<Command> {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !program.exists() {
        eprintln!(
            "skipped: {} is not built (cargo test builds it; cargo test --test does not)",
            program.display()
        );
        return None;
    }
    let mut command = Command::new(program);
    command.arg(place.rootfs());
    Some(command)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn run_shows_output_and_status() {
    let Some(place) = Place::new("example-run") else { return };
    let Some(mut run) = example("run", &place) else { return };
    let output = run.args(["sh", "-c", "echo hello; exit 3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nit ended with exit status: 3\n");
}

#[test]
fn test_runner_tells_failures() {
    let Some(place) = Place::new("example-runner") else { return };
    let Some(mut runner) = example("test_runner", &place) else { return };
    let scripts = [
        ("good", "test $$ = 1; echo x > /tmp/x; ! touch /y 2>/dev/null"),
        ("bad", "echo because; false; echo not reached"),
        ("empty", "test -z \"$(ls /tmp)\""),
    ];
    let paths: Vec<_> = scripts
        .iter()
        .map(|(name, script)| {
            let path = place.path().join(name);
            fs::write(&path, script).unwrap();
            path
        })
        .collect();
    let output = runner.arg("2").args(&paths).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("good: ok") && text.contains("empty: ok"), "{text}");
    assert!(
        text.contains("bad: FAILED") && text.contains("because\n") && !text.contains("not reached"),
        "{text}"
    );
    assert!(text.ends_with("2 passed, 1 failed\n"), "{text}");
}

/// A server that ends with the test, also when that fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn job_server_limits_and_reports() {
    let Some(place) = Place::new("example-server") else { return };
    let Some(mut server) = example("job_server", &place) else { return };
    let socket = place.path().join("socket");
    let mut server = Server(server.arg(&socket).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening"), "{line}");
    // It says nothing, and hinders nobody.
    let _silent = UnixStream::connect(&socket).unwrap();
    let ask_bytes = |job: &[u8]| {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(job).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let ask = |job: &str| ask_bytes(format!("{job}\n").as_bytes());
    let answer = ask("64M 16 sh -c \"echo to the client; exit 5\"");
    if answer.contains("controller") {
        eprintln!("skipped: {answer}");
    } else {
        assert_eq!(answer, "to the client\njob 0: exit status: 5\n");
        let answer = ask("8M 16 tail /dev/zero");
        assert!(answer.contains("out of memory, signal: 9"), "{answer}");
        let answer = ask("64M 3 sh -c \"sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait\"");
        assert!(answer.contains("can't fork"), "{answer}");
    }
    assert!(ask("64M 16 /missing").contains("refused: "));
    assert!(ask("64M many true").contains("refused: "));
    assert!(ask_bytes(b"64M 16 \xff\n").contains("refused: "));
    // It is made, and can't be started.
    let program = place.rootfs().join("bin/nothing");
    fs::write(&program, "\u{7f}").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(ask("64M 16 /bin/nothing").contains("refused: "));
    assert_eq!(zombies_of(server.0.id()), Vec::<String>::new());
    ask("quit");
    assert!(server.0.wait().unwrap().success());
}

/// Children of a process that it has not waited for (`/proc/PID/stat`).
fn zombies_of(parent: u32) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let zombie = format!(") Z {parent} ");
    stats.filter(|stat| stat.contains(&zombie)).collect()
}

#[test]
fn under_tokio_all_are_waited_for() {
    let Some(place) = Place::new("example-tokio") else { return };
    let Some(mut tokio) = example("under_tokio", &place) else { return };
    let output = tokio.args(["8", "sh", "-c", "echo from $(hostname); exit 4"]).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("exit status: 4: from sandboxd\n").count(), 8, "{text}");
}

#[test]
fn pod_is_reached_from_within_and_from_the_host() {
    let Some(place) = Place::new("example-pod") else { return };
    let Some(pod) = example("pod", &place) else { return };
    // Its host's side is in a network namespace of the test's own.
    let output =
        Command::new("unshare").arg("--net").arg(pod.get_program()).args(pod.get_args()).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text, "from within the pod: shop\nfrom the host: shop\n");
}

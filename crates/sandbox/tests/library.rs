//! The library as a program uses it, on the real kernel, as root.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::spec::Text;
use sandbox::spec::config::{ConsoleSize, IdMapping, Limit, Namespace, NamespaceKind};
use sandbox::{
    ConfigSource, Console, ContainerId, CreateRequest, Deletion, Error, ErrorKind, Event, Events,
    ExecProcess, ExecRequest, IfPaused, Interrupt, KillScope, Newlines, Prepared, Purpose, Runtime, Status,
    Stdio, Streams, Terminal,
};
use support::Place;

const KILL: i32 = 9;

/// Until when the kernel may take its time on a busy machine.
fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[test]
fn run_captures_output_and_status() {
    let Some(place) = Place::new("capture") else { return };
    let runtime = place.runtime();
    let mut request = place.request("a", ["sh", "-c", "echo out; echo err >&2; exit 3"]);
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    runtime.delete_ended(&running).unwrap();
    place.assert_empty();
}

#[test]
fn one_that_has_not_ended_is_not_deleted_as_ended() {
    let Some(place) = Place::new("not-ended") else { return };
    let runtime = place.runtime();
    let running = runtime.run(&place.request("a", ["sleep", "1000"])).unwrap().value;
    let error = runtime.delete_ended(&running).unwrap_err();
    assert!(error.to_string().ends_with("that is not stopped: running"), "{error}");
    assert_eq!(running.process.try_wait().unwrap(), None, "it was ended");
    running.process.kill(KILL).unwrap();
    running.process.wait().unwrap();
    runtime.delete_ended(&running).unwrap();
    place.assert_empty();
}

#[test]
fn more_output_than_a_pipe_holds_is_read_from_both() {
    let Some(place) = Place::new("much") else { return };
    let runtime = place.runtime();
    let script =
        "dd if=/dev/zero bs=1k count=512 2>/dev/null | cat >&2; dd if=/dev/zero bs=1k count=300 2>/dev/null";
    let mut request = place.request("a", ["sh", "-c", script]);
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!((output.stdout.len(), output.stderr.len()), (300 << 10, 512 << 10));
    runtime.delete_ended(&running).unwrap();
}

#[test]
fn streams_are_pipes_or_any_descriptor() {
    let Some(place) = Place::new("streams") else { return };
    let runtime = place.runtime();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let log = place.path().join("log");
    let mut request = place.request("a", ["sh", "-c", "read line; echo \"heard $line\"; echo logged >&2"]);
    request.streams = Streams {
        stdin: Stdio::Piped,
        stdout: Stdio::from(theirs),
        stderr: Stdio::from(File::create(&log).unwrap()),
    };
    let mut running = runtime.run(&request).unwrap().value;
    drop(request);
    running.process.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "heard hello\n");
    assert!(running.process.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(log).unwrap(), "logged\n");
    runtime.delete_ended(&running).unwrap();
}

#[test]
fn streams_of_the_process_hold_no_descriptor_of_the_caller() {
    let Some(place) = Place::new("descriptors") else { return };
    let runtime = place.runtime();
    let mut request = place.request("a", ["ls", "/proc/self/fd"]);
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    // 3 is the directory that `ls` reads.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n1\n2\n3\n");
    runtime.delete_ended(&running).unwrap();
}

#[test]
fn terminal_is_the_callers() {
    let Some(place) = Place::new("terminal") else { return };
    let runtime = place.runtime();
    let script = "stty size; read line; echo \"heard $line\"; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.1; done";
    let mut config = place.config(["sh", "-c", script]);
    let size = ConsoleSize { height: 24, width: 80 };
    config.process.as_mut().unwrap().terminal = Some(sandbox::spec::config::Terminal { size: Some(size) });
    let mut request = CreateRequest::of_config(place.id("a"), config.clone());
    let error = runtime.run(&request).unwrap_err().to_string();
    assert!(error.starts_with("cannot allocate tty"), "{error}");
    request.console = Console::Kept;
    request.newlines = Newlines::AsWritten;
    let mut running = runtime.run(&request).unwrap().value;
    let mut terminal = running.process.terminal.take().unwrap();
    terminal.write_all(b"hello\n").unwrap();
    let mut text = String::new();
    let read_to = |text: &mut String, terminal: &mut Terminal, end: &str| {
        while !text.ends_with(end) {
            let mut bytes = [0; 256];
            let length = terminal.read(&mut bytes).unwrap();
            assert!(length > 0, "it ended: {text}");
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    };
    read_to(&mut text, &mut terminal, "ready\n");
    assert!(text.contains("24 80\n") && text.contains("hello\n") && text.contains("heard hello\n"), "{text}");
    terminal.resize(ConsoleSize { height: 50, width: 132 }).unwrap();
    read_to(&mut text, &mut terminal, "50 132\n");
    assert_eq!(running.process.wait().unwrap().code(), Some(3));
    assert_eq!(terminal.read(&mut [0; 16]).unwrap(), 0, "nobody has it open");
    runtime.delete_ended(&running).unwrap();

    // What is read from it is the output; of an exec, too.
    config.process.as_mut().unwrap().args = vec![Text::new("sleep").unwrap(), Text::new("1000").unwrap()];
    let mut request = CreateRequest::of_config(place.id("b"), config);
    request.console = Console::Kept;
    let running = runtime.run(&request).unwrap().value;
    let script = "test -t 0 && test -t 1 && test -t 2 && echo on a terminal; exit 4";
    let mut request = ExecRequest::of_command(place.id("b"), ["sh", "-c", script]).unwrap();
    request.console = Console::Kept;
    let mut process = runtime.exec(&request).unwrap().value;
    assert!(process.terminal.is_none(), "it asked for none");
    assert_eq!(process.wait().unwrap().code(), Some(4));
    let ExecProcess::Changed(changes) = &mut request.process else { unreachable!() };
    changes.terminal = true;
    process = runtime.exec(&request).unwrap().value;
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(4), &b"on a terminal\r\n"[..]));
    runtime.kill(&place.id("b"), KILL, KillScope::Init).unwrap();
    running.process.wait().unwrap();
    runtime.delete_ended(&running).unwrap();
    place.assert_empty();
}

#[test]
fn descriptors_are_given_by_what_they_are() {
    let Some(place) = Place::new("given") else { return };
    let runtime = place.runtime();
    let file = |name: &str| {
        std::fs::write(place.path().join(name), format!("{name}\n")).unwrap();
        File::open(place.path().join(name)).unwrap()
    };
    let script = "cat <&3; cat <&4; ls /proc/self/fd; echo \"$LISTEN_FDS\"";
    let mut request = place.request("a", ["sh", "-c", script]);
    request.streams = Streams::captured();
    request.descriptors = vec![file("first").into(), file("second").into()];
    request.listen_fds = 1;
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    // 5 is the directory that `ls` reads.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nsecond\n0\n1\n2\n3\n4\n5\n1\n");
    runtime.delete_ended(&running).unwrap();
    // Whatever init has opened by then.
    for (name, kind) in [("user", NamespaceKind::User), ("time", NamespaceKind::Time)] {
        let mut config = place.config(["sh", "-c", "cat <&3; cat <&4"]);
        let namespace = Some(Namespace { index: 9, path: None });
        match kind {
            NamespaceKind::User => config.linux.namespaces.user = namespace,
            _ => config.linux.namespaces.time = namespace,
        }
        if kind == NamespaceKind::User {
            let map = IdMapping { container_id: 0, host_id: 0, size: 65536 };
            config.linux.uid_mappings = vec![map];
            config.linux.gid_mappings = vec![map];
        }
        let mut request = CreateRequest::of_config(place.id(name), config);
        request.streams = Streams::captured();
        request.descriptors = vec![file("first").into(), file("second").into()];
        let mut running = runtime.run(&request).unwrap().value;
        let output = running.process.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nsecond\n", "{name}: {output:?}");
        assert_eq!(running.process.wait().unwrap(), output.status, "it is told as often as it is asked");
        runtime.delete_ended(&running).unwrap();
    }
    // More than there are.
    let mut too_many = place.request("many", ["true"]);
    too_many.listen_fds = 3;
    let error = runtime.run(&too_many).unwrap_err().to_string();
    assert!(error.contains("listen_fds"), "{error}");
    let missing = runtime.run(&place.request("missing", ["no-such-program"])).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ProgramNotFound, "{missing}");
    let prepared = Prepared::new(&place.request("late", ["true"]), Purpose::Run).unwrap();
    let mut late = place.request("late", ["true"]);
    late.descriptors.push(file("late").into());
    let error = runtime.launch(&late, prepared).unwrap_err().to_string();
    assert!(error.contains("prepare it again"), "{error}");
    // After them the caller's own by number, where it is open.
    request.preserve_fds = 3;
    request.id = place.id("b");
    let outcome = runtime.run(&request).unwrap();
    let warnings: Vec<_> = outcome.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warnings.iter().any(|warning| warning.contains("descriptor 5 is not open")), "{warnings:?}");
    runtime.end(&outcome.value).unwrap();

    let running = runtime.run(&place.request("c", ["sleep", "1000"])).unwrap().value;
    let mut request = ExecRequest::of_command(place.id("c"), ["sh", "-c", "cat <&3"]).unwrap();
    request.streams = Streams::captured();
    request.descriptors = vec![file("third").into()];
    let mut process = runtime.exec(&request).unwrap().value;
    assert_eq!(process.wait_with_output().unwrap().stdout, b"third\n");
    running.process.kill(KILL).unwrap();
    running.process.wait().unwrap();
    runtime.delete_ended(&running).unwrap();
    place.assert_empty();
}

#[test]
fn events_wake_who_polls_for_them() {
    let Some(place) = Place::new("events") else { return };
    let runtime = place.runtime();
    let script = "read line; tail /dev/zero; sleep 1000";
    let mut config = place.config(["sh", "-c", script]);
    let resources = &mut config.linux.resources;
    resources.memory.limit = Some(Limit::Value(16 << 20));
    resources.memory.swap = Some(Limit::Value(16 << 20));
    let mut request = CreateRequest::of_config(place.id("a"), config);
    request.streams = Streams { stdin: Stdio::Piped, stdout: Stdio::Null, stderr: Stdio::Null };
    let mut running = match runtime.run(&request) {
        Err(error) if error.to_string().contains("swap") => {
            request.id = place.id("b");
            let ConfigSource::Config(config) = &mut request.config else { unreachable!() };
            config.linux.resources.memory.swap = None;
            runtime.run(&request).unwrap().value
        }
        running => running.unwrap().value,
    };
    let mut events = runtime.events(&request.id).unwrap();
    let readable = |events: &Events, patience: i64| {
        let patience = Timespec { tv_sec: patience, tv_nsec: 0 };
        poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&patience)).unwrap() > 0
    };
    assert_eq!(events.try_next().unwrap(), None);
    assert!(!readable(&events, 0), "nothing has happened");
    running.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut event = None;
    let until = deadline();
    while event.is_none() && Instant::now() < until {
        assert!(readable(&events, 30), "nobody tells that it is out of memory");
        event = events.try_next().unwrap();
    }
    assert_eq!(event, Some(Event::OutOfMemory));
    while events.try_next().unwrap().is_some() {}
    running.process.kill(KILL).unwrap();
    while event != Some(Event::Stopped) {
        assert!(readable(&events, 30), "nobody tells of its end");
        event = events.try_next().unwrap();
    }
    running.process.wait().unwrap();
    runtime.delete_ended(&running).unwrap();
    place.assert_empty();
}

#[test]
fn output_is_collected_up_to_a_size_and_a_moment() {
    let Some(place) = Place::new("collect") else { return };
    let runtime = place.runtime();
    let mut request = place.request("a", ["sh", "-c", "echo early; read line; seq 1 100000; exit 3"]);
    request.streams = Streams::captured();
    let (reader, mut writer) = std::io::pipe().unwrap();
    request.streams.stdin = reader.into();
    let mut running = runtime.run(&request).unwrap().value;
    let moment = Instant::now() + Duration::from_millis(300);
    let first = running.process.collect(Some(moment), 1 << 20).unwrap();
    assert_eq!((first.status, &*first.stdout, first.truncated), (None, &b"early\n"[..], false));
    writer.write_all(b"\n").unwrap();
    let rest = running.process.collect(Some(deadline()), 10).unwrap();
    assert_eq!(rest.status.and_then(|status| status.code()), Some(3));
    assert_eq!((&*rest.stdout, rest.truncated), (&b"1\n2\n3\n4\n5\n"[..], true));
    runtime.delete_ended(&running).unwrap();
    // One that never stops, and whom nobody asks to.
    let mut request = place.request("b", ["sh", "-c", "while :; do echo line; done"]);
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let endless = running.process.collect(Some(Instant::now() + Duration::from_millis(200)), 100).unwrap();
    assert_eq!((endless.status, endless.stdout.len(), endless.truncated), (None, 100, true));
    let usage = runtime.stats(&running.container.id).unwrap();
    assert!(usage.cpu.total_ns > 0, "{usage:?}");
    assert_eq!(runtime.end(&running).unwrap().value.signal(), Some(KILL));
    assert_eq!(
        runtime.end(&running).unwrap().value.signal(),
        Some(KILL),
        "the second time there is nothing to do"
    );
    place.assert_empty();
}

#[test]
fn what_an_ended_container_has_used_is_there_until_it_is_removed() {
    let Some(place) = Place::new("used") else { return };
    let runtime = place.runtime();
    let mut config = place.config(["sh", "-c", "tail /dev/zero; exit 0"]);
    config.linux.resources.memory.limit = Some(Limit::Value(16 << 20));
    let mut request = CreateRequest::of_config(place.id("a"), config);
    request.streams = Streams { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null };
    let running = runtime.run(&request).unwrap().value;
    assert!(running.process.wait_until(deadline()).unwrap().is_some());
    let usage = runtime.stats(&request.id).unwrap();
    assert!(usage.cpu.total_ns > 0 && usage.memory.oom_kills != Some(0), "{usage:?}");
    runtime.end(&running).unwrap();
    assert!(matches!(runtime.stats(&request.id), Err(Error::NotFound)));
    place.assert_empty();
}

#[test]
fn exec_that_waits_for_a_paused_container_is_interrupted() {
    let Some(place) = Place::new("patient") else { return };
    let runtime = place.runtime();
    let running = runtime.run(&place.request("a", ["sleep", "1000"])).unwrap().value;
    let id = running.container.id.clone();
    runtime.pause(&id).unwrap();
    let mut request = ExecRequest::of_command(id.clone(), ["true"]).unwrap();
    request.if_paused = IfPaused::Wait;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let reader = std::os::fd::OwnedFd::from(reader);
    let interrupt = Interrupt::new(move || reader.try_clone());
    let waiting = std::thread::scope(|scope| {
        let exec = scope.spawn(|| runtime.with_interrupt(interrupt).exec(&request));
        std::thread::sleep(Duration::from_millis(100));
        writer.write_all(b"!").unwrap();
        exec.join().unwrap()
    });
    assert!(matches!(waiting, Err(Error::Interrupted)), "{waiting:?}");
    assert_eq!(runtime.state(&id).unwrap().status, Status::Paused, "the others go on as they were");
    assert_eq!(runtime.end(&running).unwrap().value.signal(), Some(KILL));
    place.assert_empty();
}

#[test]
fn whole_life_by_id_in_another_runtime() {
    let Some(place) = Place::new("life") else { return };
    let created = place.runtime().create(&place.request("a", ["sleep", "1000"])).unwrap().value;
    let id = created.container.id.clone();
    assert_eq!(created.container.status, Status::Created);

    // All that it needs to know is where and which.
    let runtime = place.runtime();
    runtime.start(&id).unwrap();
    let container = runtime.state(&id).unwrap();
    assert_eq!((container.status, container.pid), (Status::Running, created.process.pid));
    assert!(created.process.try_wait().unwrap().is_none());

    let mut request = ExecRequest::of_command(id.clone(), ["sh", "-c", "cat; exit 7"]).unwrap();
    request.streams = Streams { stdin: Stdio::Piped, stdout: Stdio::Piped, stderr: Stdio::Null };
    let mut process = runtime.exec(&request).unwrap().value;
    process.stdin.as_mut().unwrap().write_all(b"through").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"through"[..]));

    runtime.stats(&id).unwrap();
    assert_eq!(runtime.processes(&id).unwrap(), [container.pid]);
    runtime.pause(&id).unwrap();
    assert_eq!(runtime.state(&id).unwrap().status, Status::Paused);
    runtime.resume(&id).unwrap();
    assert!(matches!(runtime.delete(&id, Deletion::Stopped), Err(Error::Status(_))));

    runtime.kill(&id, KILL, KillScope::Init).unwrap();
    let status = created.process.wait_until(deadline()).unwrap().unwrap();
    assert_eq!(status.signal(), Some(KILL));
    assert_eq!(runtime.state(&id).unwrap().status, Status::Stopped);
    assert_eq!(runtime.wait(&id).unwrap(), None);
    runtime.delete(&id, Deletion::Stopped).unwrap();
    assert!(matches!(runtime.state(&id), Err(Error::NotFound)));
    place.assert_empty();
}

/// Not a test by itself: another process, which waits for a container of the test below.
#[test]
fn waiter() {
    let (Ok(root), Ok(id)) = (std::env::var("WAITER_ROOT"), std::env::var("WAITER_ID")) else { return };
    let runtime = Runtime::open(root).unwrap();
    let id = ContainerId::new(&id).unwrap();
    let init = runtime.open_init(&id).unwrap();
    assert!(init.is_some());
    runtime.start(&id).unwrap();
    println!("ended: {:?}", runtime.wait(&id).unwrap().map(|status| status.code()));
}

#[test]
fn another_process_starts_it_and_learns_its_status() {
    let Some(place) = Place::new("waiter") else { return };
    let runtime = place.runtime();
    let created = runtime.create(&place.request("a", ["sh", "-c", "exit 42"])).unwrap().value;
    // It is our zombie for as long as we don't wait.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "waiter", "--nocapture"])
        .env("WAITER_ROOT", place.path().join("state"))
        .env("WAITER_ID", &*created.container.id)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ended: Some(Some(42))"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(created.process.wait().unwrap().code(), Some(42));
    runtime.delete_ended(&created).unwrap();
}

#[test]
fn errors_are_typed_and_nothing_is_left() {
    let Some(place) = Place::new("errors") else { return };
    let runtime = place.runtime();
    let missing = runtime.run(&place.request("a", ["/missing"])).unwrap_err();
    let Error::Step(step) = &missing else { panic!("{missing:?}") };
    assert_eq!((step.step, missing.errno()), (Some("execute"), Some(2)));
    assert_eq!(missing.pointer().as_deref(), Some("/process/args"));

    let mut config = place.config(["true"]);
    config.linux.namespaces.uts = None;
    let refused = CreateRequest::of_config(place.id("b"), config);
    let Error::Config(violations) = runtime.run(&refused).unwrap_err() else { panic!() };
    assert_eq!(violations.first().pointer, "/hostname");

    let mut config = place.config(["true"]);
    config.process.as_mut().unwrap().terminal = Some(Default::default());
    let mut with_terminal = CreateRequest::of_config(place.id("c"), config);
    with_terminal.streams.stdout = Stdio::Piped;
    assert!(matches!(runtime.create(&with_terminal), Err(Error::Request(_))));
    place.assert_empty();
}

#[test]
fn container_of_an_oci_spec() {
    let Some(place) = Place::new("oci") else { return };
    let runtime = place.runtime();
    let config = place.config(["hostname"]);
    let mut spec = oci_spec::runtime::Spec::try_from(&config).unwrap();
    spec.set_hostname(Some("of-a-spec".to_owned()));
    let mut request = CreateRequest::of_config(place.id("a"), ConfigSource::try_from(&spec).unwrap());
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "of-a-spec\n");
    runtime.delete_ended(&running).unwrap();
}

/// What a command prints in a container of the pod.
fn output_in(runtime: &Runtime, pod: &sandbox::Pod, mut request: CreateRequest) -> String {
    request.pod = Some(pod.clone());
    request.streams = Streams::captured();
    let mut running = runtime.run(&request).unwrap().value;
    let output = running.process.wait_with_output().unwrap();
    runtime.delete_ended(&running).unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn cgroup_directories(name: &str) -> Vec<std::path::PathBuf> {
    let hierarchies = sandbox::cgroup::probe_hierarchies(sandbox::cgroup::OwnPaths::Skip).unwrap();
    let v1 = hierarchies.v1.iter().map(|it| it.mount_point.clone());
    let all = v1.chain(hierarchies.v2.iter().map(|it| it.mount_point.clone()));
    all.map(|mount_point| std::path::Path::new(&mount_point).join(format!("sandbox-{name}")))
        .filter(|path| path.exists())
        .collect()
}

#[test]
fn pod_is_shared_found_again_and_removed_as_one() {
    let Some(place) = Place::new("pod") else { return };
    let mut request = sandbox::PodRequest::new(place.id("pod"));
    request.hostname = sandbox::spec::Text::new("of-the-pod");
    let outcome = place.runtime().create_pod(&request).unwrap();
    assert_eq!(outcome.warnings, []);
    assert!(matches!(place.runtime().create_pod(&request), Err(Error::Exists)));

    let runtime = place.runtime();
    let pod = runtime.pod(&request.id).unwrap();
    assert_eq!(pod, outcome.value);
    assert_eq!(runtime.pods().unwrap(), [request.id.clone()]);
    assert!(runtime.list().unwrap().is_empty(), "a pod is no container");

    let links = "hostname; readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts; ip link show lo";
    let first = output_in(&runtime, &pod, place.request("a", ["sh", "-c", links]));
    let second = output_in(&runtime, &pod, place.request("b", ["sh", "-c", links]));
    assert_eq!(first, second);
    assert!(first.starts_with("of-the-pod\n") && first.contains("LOOPBACK,UP"), "{first}");
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!first.contains(own.to_str().unwrap()));

    // Two that run speak over lo, and exec joins the same.
    let mut server = place.request("server", ["nc", "-l", "-p", "7", "-e", "hostname"]);
    server.pod = Some(pod.clone());
    let server = runtime.run(&server).unwrap().value;
    let script = "i=0; until nc 127.0.0.1 7 </dev/null 2>/dev/null; do i=$((i+1)); test $i -lt 200 || exit 1; sleep 0.1; done";
    let client = place.request("client", ["sh", "-c", script]);
    assert_eq!(output_in(&runtime, &pod, client), "of-the-pod\n");
    assert!(server.process.wait_until(deadline()).unwrap().is_some());

    let mut sleeper = place.request("sleeper", ["sleep", "1000"]);
    sleeper.pod = Some(pod.clone());
    let sleeper = runtime.run(&sleeper).unwrap().value;
    let mut containers = runtime.pod_containers(&pod.id).unwrap();
    containers.sort();
    assert_eq!(containers, [server.container.id.clone(), sleeper.container.id.clone()]);
    let below = cgroup_directories(&pod.id);
    assert!(!below.is_empty());
    assert!(below.iter().any(|path| path.join(&*sleeper.container.id).is_dir()), "{below:?}");

    assert!(matches!(runtime.delete_pod(&pod.id, Deletion::Stopped), Err(Error::Status(_))));
    assert_eq!(runtime.state(&sleeper.container.id).unwrap().status, Status::Running);
    place.runtime().delete_pod(&pod.id, Deletion::Force).unwrap();
    assert_eq!(sleeper.process.wait().unwrap().signal(), Some(KILL));
    assert_eq!(cgroup_directories(&pod.id), Vec::<std::path::PathBuf>::new());
    assert!(runtime.pods().unwrap().is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*pod.id), "{mounts}");
    let mut late = place.request("late", ["true"]);
    late.pod = Some(pod);
    assert!(matches!(runtime.run(&late), Err(Error::Status(_))));
    place.assert_empty();
}

#[test]
fn pod_limits_hold_for_its_containers_together() {
    let Some(place) = Place::new("podlimit") else { return };
    let runtime = place.runtime();
    let mut request = sandbox::PodRequest::new(place.id("pod"));
    request.resources.pids = Some(sandbox::spec::config::Limit::Value(3));
    let pod = match runtime.create_pod(&request) {
        Err(Error::CgroupPlan(error)) => return eprintln!("skipped: {error}"),
        pod => pod.unwrap().value,
    };
    let script = "sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & wait";
    let text = output_in(&runtime, &pod, place.request("a", ["sh", "-c", script]));
    assert!(text.contains("can't fork"), "{text}");
    runtime.delete_pod(&pod.id, Deletion::Stopped).unwrap();
    place.assert_empty();
}

/// Not a test by itself: makes pods until it is killed.
#[test]
fn pod_maker() {
    let (Ok(root), Ok(id)) = (std::env::var("MAKER_ROOT"), std::env::var("MAKER_ID")) else { return };
    let runtime = Runtime::open(root).unwrap();
    let request = sandbox::PodRequest::new(ContainerId::new(&id).unwrap());
    println!("begins");
    loop {
        runtime.create_pod(&request).unwrap();
        runtime.delete_pod(&request.id, Deletion::Force).unwrap();
    }
}

#[test]
fn pod_whose_maker_was_killed_is_removed() {
    let Some(place) = Place::new("podcrash") else { return };
    let runtime = place.runtime();
    let id = place.id("pod");
    for round in 0..12_u64 {
        let mut maker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pod_maker", "--nocapture"])
            .env("MAKER_ROOT", place.path().join("state"))
            .env("MAKER_ID", &*id)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(maker.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("begins") {
            line.clear();
            assert_ne!(std::io::BufRead::read_line(&mut output, &mut line).unwrap(), 0);
        }
        // Any moment will do: that is the point.
        std::thread::sleep(Duration::from_micros(700 * round));
        maker.kill().unwrap();
        maker.wait().unwrap();
        runtime.delete_pod(&id, Deletion::Force).unwrap();
        assert!(runtime.pods().unwrap().is_empty());
        assert_eq!(cgroup_directories(&id), Vec::<std::path::PathBuf>::new());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&*id), "{mounts}");
    }
}

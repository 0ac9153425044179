//! What a service manager and other callers pass and get: `sd_notify`, the pidfd socket, `--keep`, the subreaper.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runtime_tests::tty::receive_fd;
use runtime_tests::wait::{DEADLINE, readable};
use runtime_tests::{Bundle, Call, Case, Test, Verdict, cases};
use rustix::fs::inotify;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["service":
        notify_start_waits_until_ready,
        notify_run_detached_waits_until_ready,
        notify_start_that_is_refused_takes_nothing,
        notify_socket_that_can_not_be_reached_is_no_error_of_run,
        notify_start_returns_when_the_container_ends,
        notify_run_in_the_foreground_names_the_runtime,
        notify_socket_absent_is_no_mount,
        pidfd_socket_receives_init,
        keep_leaves_a_stopped_container,
        subreaper_adopts_orphans,
        no_subreaper_leaves_orphans,
    ];
    all.push(
        Case::new("service::notify_passes_only_what_concerns_the_container", notify_passes_only).only_ours(),
    );
    all.push(
        Case::new("service::notify_socket_that_can_not_be_reached_is_a_warning", notify_unreachable_warns)
            .only_ours(),
    );
    all
}

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listen(t: &Test) -> Self {
        let path = t.dir.join("manager");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    fn is_told_to(&self, call: Call) -> Call {
        call.env("NOTIFY_SOCKET", &self.path)
    }

    /// The next message, trimmed.
    #[track_caller]
    fn message(&self) -> String {
        assert!(readable(&self.socket, DEADLINE), "no message");
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    }
}

impl Manager {
    /// Reads what else is said, such as a barrier, which is waited for, until the call is done.
    fn hear_out(&self, running: runtime_tests::command::Running) -> runtime_tests::Output {
        while !running.process.has_exited() {
            if readable(&self.socket, Duration::from_millis(20)) {
                let _ = self.message();
            }
        }
        running.wait()
    }
}

/// Waits until the file is there.
fn await_file(path: &Path) {
    let deadline = Instant::now() + DEADLINE;
    let directory = path.parent().unwrap();
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, directory, inotify::WatchFlags::CREATE | inotify::WatchFlags::ATTRIB).unwrap();
    while !path.exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(readable(&watch, left), "{} does not appear", path.display());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let _ = inotify::Reader::new(&watch, &mut buffer).next();
    }
}

/// Sends a message as the container's process would: to the socket that it sees.
fn notify(t: &Test, id: &str, message: &str) {
    await_file(&t.root().join(id).join("notify/notify.sock"));
    let pid = t.state(id)["pid"].as_i64().unwrap();
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.contains("NOTIFY_SOCKET=/run/notify/notify.sock"), "{environment}");
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(message.as_bytes(), format!("/proc/{pid}/root/run/notify/notify.sock")).unwrap();
}

/// A bundle whose process says on a FIFO that it runs, and stays.
fn bundle_that_says_up(t: &Test) -> (Bundle, runtime_tests::wait::Fifo) {
    let b = t.sh("echo up >/fifo; exec sleep 1000");
    let fifo = b.fifo("/fifo");
    (b, fifo)
}

fn notify_start_waits_until_ready(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (b, mut fifo) = bundle_that_says_up(t);
    let (create, id) = t.bundle_call("create", &b, &[]);
    manager.is_told_to(create).ok();
    let start = manager.is_told_to(t.call(&["start", &id])).start();
    assert_eq!(fifo.line(), "up");
    assert!(!start.process.has_exited());
    notify(t, &id, "READY=1\n");
    assert_eq!(manager.message(), "READY=1");
    assert_eq!(manager.message(), format!("MAINPID={}", t.state(&id)["pid"]));
    manager.hear_out(start).ok();
    t.call(&["delete", "--force", &id]).ok();
    t.assert_missing(&id);
    Ok(())
}

fn notify_run_detached_waits_until_ready(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (b, mut fifo) = bundle_that_says_up(t);
    let (run, id) = t.bundle_call("run", &b, &["--detach"]);
    let run = manager.is_told_to(run).start();
    assert_eq!(fifo.line(), "up");
    notify(t, &id, "READY=1\n");
    assert_eq!(manager.message(), "READY=1");
    assert_eq!(manager.message(), format!("MAINPID={}", t.state(&id)["pid"]));
    manager.hear_out(run).ok();
    Ok(())
}

fn notify_start_that_is_refused_takes_nothing(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (b, mut fifo) = bundle_that_says_up(t);
    let (create, id) = t.bundle_call("create", &b, &[]);
    manager.is_told_to(create).ok();
    let start = manager.is_told_to(t.call(&["start", &id])).start();
    assert_eq!(fifo.line(), "up");
    manager.is_told_to(t.call(&["start", &id])).fails().says("cannot start an already running container");
    notify(t, &id, "READY=1\n");
    assert_eq!(manager.message(), "READY=1");
    let _ = manager.message();
    manager.hear_out(start).ok();
    Ok(())
}

/// The addresses of nobody: without a socket, and of one whose owner is gone.
fn nobodys_sockets(t: &Test) -> [PathBuf; 2] {
    drop(UnixDatagram::bind(t.dir.join("gone")).unwrap());
    ["/no/such/socket".into(), t.dir.join("gone")]
}

/// Every process below a service inherits the variable.
fn notify_socket_that_can_not_be_reached_is_no_error_of_run(t: &Test) -> Verdict {
    for address in nobodys_sockets(t) {
        let (run, _) = t.bundle_call("run", &t.sh("echo out; exit 4"), &[]);
        assert_eq!(run.env("NOTIFY_SOCKET", &address).output().exits(4).stdout, "out\n");
        let (b, mut fifo) = bundle_that_says_up(t);
        let (run, id) = t.bundle_call("run", &b, &["--detach"]);
        run.env("NOTIFY_SOCKET", &address).ok();
        assert_eq!(fifo.line(), "up");
        t.call(&["delete", "--force", &id]).ok();
    }
    Ok(())
}

fn notify_unreachable_warns(t: &Test) -> Verdict {
    for address in nobodys_sockets(t) {
        let said = format!("warning: {{}}: connect to NOTIFY_SOCKET {}: ", address.display());
        let (run, id) = t.bundle_call("run", &t.sh("exec echo \"<$NOTIFY_SOCKET>\""), &[]);
        let run = run.env("NOTIFY_SOCKET", &address).ok().says(&said.replace("{}", &format!("run {id}")));
        assert_eq!(run.stdout, "<>\n");
        assert!(!run.stderr.contains("hint"), "{run}");
        let (b, mut fifo) = bundle_that_says_up(t);
        let (create, id) = t.bundle_call("create", &b, &[]);
        create.env("NOTIFY_SOCKET", &address).ok();
        let start = t.call(&["start", &id]).env("NOTIFY_SOCKET", &address);
        let _ = start.ok().says(&said.replace("{}", &format!("start {id}")));
        assert_eq!(fifo.line(), "up");
    }
    Ok(())
}

fn notify_start_returns_when_the_container_ends(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (create, id) = t.bundle_call("create", &t.sh("exit 3"), &[]);
    manager.is_told_to(create).ok();
    manager.is_told_to(t.call(&["start", &id])).ok();
    Ok(())
}

fn notify_run_in_the_foreground_names_the_runtime(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (b, mut fifo) = bundle_that_says_up(t);
    let (run, id) = t.bundle_call("run", &b, &[]);
    let run = manager.is_told_to(run).start();
    assert_eq!(fifo.line(), "up");
    notify(t, &id, "READY=1\n");
    assert_eq!(manager.message(), "READY=1");
    assert_eq!(manager.message(), format!("MAINPID={}", run.process.pid));
    t.call(&["kill", &id, "KILL"]).ok();
    let _ = run.wait().exits(137);
    Ok(())
}

fn notify_passes_only(t: &Test) -> Verdict {
    let manager = Manager::listen(t);
    let (b, mut fifo) = bundle_that_says_up(t);
    let (run, id) = t.bundle_call("run", &b, &["--detach"]);
    let run = manager.is_told_to(run).start();
    assert_eq!(fifo.line(), "up");
    notify(t, &id, "MAINPID=1\nSTATUS=begins\nFDSTORE=1");
    assert_eq!(manager.message(), "STATUS=begins");
    notify(t, &id, "STATUS=is up\nMAINPID=1\nREADY=1");
    assert_eq!(manager.message(), "STATUS=is up\nREADY=1");
    assert_eq!(manager.message(), format!("MAINPID={}", t.state(&id)["pid"]));
    assert_eq!(manager.message(), "BARRIER=1");
    run.wait().ok();
    Ok(())
}

fn notify_socket_absent_is_no_mount(t: &Test) -> Verdict {
    let b = t.bundle();
    assert_eq!(t.output_of(&b, "echo \"$NOTIFY_SOCKET\"; ls /run").text(), "");
    Ok(())
}

fn pidfd_socket_receives_init(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let path = t.dir.join("pidfd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (run, id) = t.bundle_call("run", &b, &["--detach", "--pidfd-socket", path.to_str().unwrap()]);
    run.ok();
    assert!(readable(&listener, DEADLINE), "nobody connected");
    let (stream, _) = listener.accept().unwrap();
    assert!(readable(&stream, DEADLINE), "nothing sent");
    let pidfd = receive_fd(&stream).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    let pid = t.state(&id)["pid"].as_i64().unwrap();
    assert!(info.lines().any(|line| line == format!("Pid:\t{pid}")), "{info}");
    Ok(())
}

fn keep_leaves_a_stopped_container(t: &Test) -> Verdict {
    let (run, id) = t.bundle_call("run", &t.sh("exit 4"), &["--keep"]);
    let _ = run.output().exits(4);
    assert_eq!(t.state(&id)["status"], "stopped");
    t.call(&["delete", &id]).ok();
    let (run, id) = t.bundle_call("run", &t.sh("exit 4"), &["--keep=false"]);
    let _ = run.output().exits(4);
    t.assert_missing(&id);
    Ok(())
}

/// Runs a container in the host's pid namespace that leaves an orphan: who became the orphan's parent, and the runtime.
fn parent_of_an_orphan(t: &Test, flags: &[&str]) -> (String, i32) {
    let b = t.sh("sh /middle; echo up >/fifo; exec sleep 1000");
    b.without_namespace("pid");
    fs::write(b.inside("/middle"), "sh /orphan &\n").unwrap();
    let orphan = "read line </go\nwhile read key value; do\n\
                  if [ $key = PPid: ]; then echo $value; fi\ndone </proc/$$/status >/fifo\n";
    fs::write(b.inside("/orphan"), orphan).unwrap();
    let mut fifo = b.fifo("/fifo");
    let mut go = b.fifo("/go");
    let (run, id) = t.bundle_call("run", &b, flags);
    let run = run.start();
    assert_eq!(fifo.line(), "up");
    go.send("go");
    let parent = fifo.line();
    t.call(&["kill", &id, "KILL"]).ok();
    let runtime = run.process.pid;
    let _ = run.wait().exits(137);
    (parent, runtime)
}

fn subreaper_adopts_orphans(t: &Test) -> Verdict {
    let (parent, runtime) = parent_of_an_orphan(t, &[]);
    assert_eq!(parent, runtime.to_string());
    Ok(())
}

fn no_subreaper_leaves_orphans(t: &Test) -> Verdict {
    let (parent, _) = parent_of_an_orphan(t, &["--no-subreaper"]);
    // The test process is the next one.
    assert_eq!(parent, std::process::id().to_string());
    Ok(())
}

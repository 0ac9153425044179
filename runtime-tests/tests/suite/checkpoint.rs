//! `checkpoint` and `restore`, with a real CRIU.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use runtime_tests::procfs::{link_of, mount_at, mounts_of, namespace_of, status_of};
use runtime_tests::tty::ConsoleSocket;
use runtime_tests::wait::{Fifo, readable};
use runtime_tests::world::World;
use runtime_tests::{Bundle, Call, Case, Container, Lane, Skip, Test, Verdict, cases, criu};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["checkpoint":
        restored_process_goes_on,
        restored_twice_from_the_same_images,
        leave_running_goes_on,
        pre_dump_is_a_parent,
        lazy_pages_are_fetched,
        terminal_is_sent_again,
        pipes_are_the_callers,
        bind_mounts_are_of_the_bundle,
        user_namespace,
        joined_network_namespace,
        own_network_has_a_loopback_device,
        tcp_connection_is_kept,
        file_lock_is_kept,
        hooks_run_at_restore,
        restore_in_the_foreground_returns_the_status,
        restored_container_is_in_its_cgroup,
        masked_and_readonly_paths_stay,
        flags_for_criu_are_taken,
        created_container_is_refused,
        stopped_container_is_refused,
        missing_container_is_refused,
        restore_of_a_taken_id_is_refused,
        restore_without_images_is_refused,
        parent_path_must_be_relative,
        page_server_needs_a_port,
        unknown_cgroups_mode_is_refused,
    ];
    let ours =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("checkpoint::{name}"), run).only_ours();
    all.push(ours("paused_container_stays_paused", paused_container_stays_paused));
    all.push(ours("images_are_exchanged_with_runc", images_are_exchanged_with_runc));
    all.push(ours("mount_points_that_became_links", mount_points_that_became_links));
    all.push(ours("criu_missing_is_said", criu_missing_is_said));
    all.push(ours("criu_too_old_is_said", criu_too_old_is_said));
    all.push(ours("criu_that_does_not_start_is_said", criu_that_does_not_start_is_said));
    all.push(ours("failure_names_reason_and_log", failure_names_reason_and_log));
    all
}

/// CRIU takes its time where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container that answers each line on `/in` with that line and how many there were.
struct Counter<'t> {
    test: &'t Test,
    bundle: Bundle,
    input: Fifo,
    output: Fifo,
    path: String,
}

const COUNT: &str = "exec 3<>/in; i=0; while read -r l <&3; do i=$((i+1)); echo $l-$i >/out; done";

impl<'t> Counter<'t> {
    fn new(test: &'t Test, script: &str) -> Result<Self, Skip> {
        let path = criu::path()?;
        let bundle = test.bundle();
        bundle.sh(script);
        let (input, output) = (bundle.fifo("/in"), bundle.fifo("/out"));
        Ok(Self { test, bundle, input, output, path })
    }

    fn call(&self, args: &[&str]) -> Call {
        self.test.call(args).env("PATH", &self.path).deadline(PATIENCE)
    }

    fn detached(&self, call: Call) -> Call {
        call.stdout_file(File::options().write(true).open("/dev/null").unwrap())
    }

    fn start(&mut self) -> Container<'t> {
        let (call, id) = self.test.bundle_call("run", &self.bundle, &["--detach"]);
        self.detached(call).ok();
        let container = Container::open(self.test, &id);
        assert_eq!(self.ask("first"), "first-1");
        container
    }

    fn ask(&mut self, word: &str) -> String {
        self.input.send(word);
        self.output.line()
    }

    fn images(&self) -> PathBuf {
        self.test.dir.join("images")
    }

    /// On a host that shows v2 alone, and has v1's hierarchies all the same, CRIU would save the v1 root with all that
    /// other tests have in it.
    fn lane_flags(&self) -> &'static [&'static str] {
        if self.test.lane == Lane::V2 { &["--manage-cgroups-mode", "ignore"] } else { &[] }
    }

    fn checkpoint_call(&self, flags: &[&str], id: &str) -> Call {
        self.call(&["checkpoint", "--image-path", self.images().to_str().unwrap()])
            .args(self.lane_flags())
            .args(flags)
            .args([id])
    }

    /// Checkpoints, and waits until the id is free.
    fn checkpoint(&self, flags: &[&str], container: &Container<'_>) {
        self.checkpoint_call(flags, &container.id).ok();
        let _ = container.wait();
        self.test.assert_missing(&container.id);
    }

    fn restore_call(&self, flags: &[&str], id: &str) -> Call {
        self.call(&["restore", "--image-path", self.images().to_str().unwrap(), "--bundle"])
            .args([&self.bundle.path])
            .args(self.lane_flags())
            .args(flags)
            .args([id])
    }

    fn restore(&self, flags: &[&str], id: &str) -> Container<'t> {
        self.bundle.write();
        self.restore_call(&[&["--detach"], flags].concat(), id).ok();
        Container::open(self.test, id)
    }
}

fn restored_process_goes_on(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let pid_file = t.dir.join("pid");
    let restored = counter.restore(&["--pid-file", pid_file.to_str().unwrap()], &container.id);
    assert_eq!(restored.status(), "running");
    assert_eq!(fs::read_to_string(pid_file).unwrap(), restored.pid().to_string());
    assert_eq!(counter.ask("second"), "second-2");
    let _ = restored.stop();
    restored.delete().ok();
    t.assert_missing(&restored.id);
    Ok(())
}

fn restored_twice_from_the_same_images(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    counter.checkpoint(&[], &container);
    for _ in 0..2 {
        let restored = counter.restore(&[], &container.id);
        assert_eq!(counter.ask("again"), "again-2");
        restored.delete_force().ok();
        let _ = restored.wait();
    }
    Ok(())
}

/// CRIU is asked with every flag that this process makes no difference to: it knows them all.
fn flags_for_criu_are_taken(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    let work = t.dir.join("work");
    let flags = [
        "--tcp-established",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--empty-ns",
        "network",
        "--work-path",
        work.to_str().unwrap(),
    ];
    counter.checkpoint(&[&["--link-remap", "--tcp-skip-in-flight"], &flags[..]].concat(), &container);
    assert!(work.join("dump.log").exists());
    assert!(!counter.images().join("dump.log").exists());
    let restored = counter.restore(&flags, &container.id);
    assert_eq!(counter.ask("second"), "second-2");
    assert!(work.join("restore.log").exists());
    restored.delete_force().ok();
    let _ = restored.wait();
    for (flag, value) in [("--empty-ns", "pid"), ("--network-lock", "none")] {
        counter.restore_call(&["--detach", flag, value], &t.fresh_id()).fails().says(value);
    }
    Ok(())
}

/// An image of ours, restored and saved again by runc, goes on here.
fn images_are_exchanged_with_runc(t: &Test) -> Verdict {
    t.needs_program("runc")?;
    if t.lane == Lane::V2 {
        return Err(Skip::new("Debian 12's runc does not know the mode ignore, which this view needs"));
    }
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let (images, root) = (t.dir.join("runcs-images"), t.dir.join("runcs-root"));
    let id = t.fresh_id();
    let runc = |verb: &str, flags: &[&str]| {
        let call = Call::new(["runc", "--root", root.to_str().unwrap(), verb])
            .args(flags)
            .args(counter.lane_flags());
        counter.detached(call.args([&id]).env("PATH", &counter.path).deadline(PATIENCE))
    };
    let bundle = counter.bundle.path.to_str().unwrap();
    runc("restore", &["--detach", "--bundle", bundle, "--image-path", counter.images().to_str().unwrap()])
        .ok();
    let checkpoint = runc("checkpoint", &["--image-path", images.to_str().unwrap()]);
    let _ = fs::remove_dir_all(counter.images());
    assert_eq!(counter.ask("second"), "second-2");
    checkpoint.ok();
    fs::rename(&images, counter.images()).unwrap();
    let restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("third"), "third-3");
    restored.delete_force().ok();
    let _ = restored.wait();
    Ok(())
}

fn leave_running_goes_on(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    counter.checkpoint_call(&["--leave-running"], &container.id).ok();
    assert_eq!(container.status(), "running");
    assert_eq!(counter.ask("second"), "second-2");
    container.delete_force().ok();
    let _ = container.wait();
    let _restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("other"), "other-2");
    Ok(())
}

fn pre_dump_is_a_parent(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    let parent = t.dir.join("parent");
    let pre =
        counter.call(&["checkpoint", "--pre-dump", "--image-path", parent.to_str().unwrap(), &container.id]);
    let output = pre.output();
    if output.stderr.contains("mem_track") || output.stderr.contains("missing features") {
        return Err(runtime_tests::Skip::new(
            "the kernel does not track changed memory (CONFIG_MEM_SOFT_DIRTY)",
        ));
    }
    let _ = output.ok();
    assert_eq!(container.status(), "running");
    assert_eq!(counter.ask("second"), "second-2");
    counter.checkpoint(&["--parent-path", "../parent"], &container);
    assert_eq!(fs::read_link(counter.images().join("parent")).unwrap(), PathBuf::from("../parent"));
    let _restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("third"), "third-3");
    Ok(())
}

fn lazy_pages_are_fetched(t: &Test) -> Verdict {
    let capabilities = status_of(std::process::id().cast_signed(), "CapEff");
    if u64::from_str_radix(&capabilities, 16).unwrap() & 1 << 24 == 0 {
        return Err(runtime_tests::Skip::new("CRIU's page server needs CAP_SYS_RESOURCE, for larger pipes"));
    }
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    // Its port is chosen by the kernel, and free again: nobody else is here.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (mut ready, theirs) = std::io::pipe().unwrap();
    let theirs = File::from(std::os::fd::OwnedFd::from(theirs));
    let server = format!("127.0.0.1:{port}");
    let images = counter.images();
    let number = "3";
    let call = counter
        .checkpoint_call(&["--lazy-pages", "--page-server", &server, "--status-fd", number], &container.id);
    let running = call.through_sh("exec \"$@\" 3>&0").stdin_file(theirs).start();
    if !readable(&ready, Duration::from_secs(20)) {
        panic!("the checkpoint is not ready: {}", running.wait());
    }
    let mut byte = [1];
    if ready.read(&mut byte).unwrap() == 0 {
        let output = running.wait();
        if output.stderr.contains("LazyPages") || output.stderr.contains("lazy pages") {
            return Err(runtime_tests::Skip::new("the kernel has no lazy pages (userfaultfd)"));
        }
        panic!("{output}");
    }
    assert_eq!(byte, [0]);
    let mut daemon = Command::new(criu::directory()?.join("criu"))
        .args(["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", &port.to_string(), "-D"])
        .arg(&images)
        .args(["-o", "lazy.log", "-vv"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = images.join("lazy-pages.socket");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(
            std::time::Instant::now() < end && daemon.try_wait().unwrap().is_none(),
            "no lazy-pages socket"
        );
        std::thread::yield_now();
    }
    // The images hold no memory: it comes from the process that still has it, whose container is another's until then.
    let id = t.fresh_id();
    let restored = counter.restore(&["--lazy-pages"], &id);
    assert_eq!(counter.ask("second"), "second-2");
    let _ = running.wait().ok();
    assert!(daemon.wait().unwrap().success());
    assert_eq!(restored.status(), "running");
    let _ = container.wait();
    Ok(())
}

fn terminal_is_sent_again(t: &Test) -> Verdict {
    let path = criu::path()?;
    let bundle = t.bundle();
    bundle.set("/process/terminal", true).sh("i=0; while read -r l; do i=$((i+1)); echo got-$l-$i; done");
    let socket = ConsoleSocket::listen(&t.dir.join("first.sock"));
    let flags = ["--detach", "--console-socket", socket.path.to_str().unwrap()];
    let (call, id) = t.bundle_call("run", &bundle, &flags);
    let running = call.start();
    let mut master = socket.receive();
    let _ = running.wait().ok();
    master.type_line("one");
    let _ = master.until("got-one-1");
    let container = Container::open(t, &id);
    let images = t.dir.join("images");
    let images = images.to_str().unwrap();
    t.call(&["checkpoint", "--image-path", images, &id]).env("PATH", &path).deadline(PATIENCE).ok();
    let _ = container.wait();

    let socket = ConsoleSocket::listen(&t.dir.join("second.sock"));
    let restore = t
        .call(&["restore", "--detach", "--image-path", images, "--bundle", bundle.path.to_str().unwrap()])
        .args(["--console-socket", socket.path.to_str().unwrap(), &id])
        .env("PATH", &path)
        .deadline(PATIENCE)
        .start();
    let mut master = socket.receive();
    let _ = restore.wait().ok();
    master.type_line("two");
    let _ = master.until("got-two-2");
    assert_eq!(link_of(Container::open(t, &id).pid(), "fd/0").unwrap(), PathBuf::from("/dev/pts/0"));
    Ok(())
}

fn pipes_are_the_callers(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, &COUNT.replace("echo $l-$i >/out", "echo $l-$i"))?;
    let pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        (std::io::BufReader::new(reader), File::from(std::os::fd::OwnedFd::from(writer)))
    };
    let line = |reader: &mut std::io::BufReader<std::io::PipeReader>| {
        let mut line = String::new();
        assert!(readable(reader.get_ref(), Duration::from_secs(20)), "no line");
        std::io::BufRead::read_line(reader, &mut line).unwrap();
        line.trim().to_owned()
    };
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    let (mut reader, writer) = pipe();
    call.stdout_file(writer).ok();
    let container = Container::open(t, &id);
    counter.input.send("a");
    assert_eq!(line(&mut reader), "a-1");
    counter.checkpoint(&[], &container);

    let (mut reader, writer) = pipe();
    counter.restore_call(&["--detach"], &id).stdout_file(writer).ok();
    counter.input.send("b");
    assert_eq!(line(&mut reader), "b-2");
    Ok(())
}

fn bind_mounts_are_of_the_bundle(t: &Test) -> Verdict {
    let script = "exec 3<>/in; while read -r l <&3; do echo $l-$(cat /link/file)-$(cat /single) >/out; done";
    let mut counter = Counter::new(t, script)?;
    let volume = t.dir.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "1").unwrap();
    fs::write(t.dir.join("single"), "one").unwrap();
    fs::create_dir(counter.bundle.inside("/data")).unwrap();
    std::os::unix::fs::symlink("data", counter.bundle.inside("/link")).unwrap();
    counter.bundle.mount("/link", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
    counter.bundle.mount("/single", "bind", t.dir.join("single").to_str().unwrap(), &["bind", "ro"]);
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    counter.detached(call).ok();
    let container = Container::open(t, &id);
    assert_eq!(counter.ask("a"), "a-1-one");
    counter.checkpoint(&[], &container);

    // Its mount point is made again.
    fs::remove_file(counter.bundle.inside("/single")).unwrap();
    fs::write(volume.join("file"), "2").unwrap();
    let restored = counter.restore(&[], &id);
    assert_eq!(counter.ask("b"), "b-2-one");
    assert!(mount_at(&mounts_of(restored.pid()), "/single").has("ro"));
    Ok(())
}

/// Between checkpoint and restore the image's mount points became links out of it: `docs/security.md`.
fn mount_points_that_became_links(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let (volume, file) = (t.dir.join("volume"), t.dir.join("single"));
    fs::create_dir(&volume).unwrap();
    fs::write(&file, "one").unwrap();
    counter.bundle.mount("/data/deep", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
    counter.bundle.mount("/single", "bind", file.to_str().unwrap(), &["bind", "ro"]);
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let world = World::of_machine(t);
    let up = format!("../../../../../../../..{}", t.canary().display());
    let targets = [t.canary(), up.into(), t.canary().join("secret"), t.canary().join("made")];
    for place in ["/data", "/data/deep", "/single", "/proc", "/dev", "/sys", "/tmp"] {
        for target in &targets {
            let (at, aside) = (counter.bundle.inside(place), t.dir.join("aside"));
            fs::rename(&at, &aside).unwrap();
            std::os::unix::fs::symlink(target, &at).unwrap();
            let output = counter.restore_call(&["--detach"], &container.id).output();
            if output.status.success() {
                let restored = Container::open(t, &container.id);
                let mounts = mounts_of(restored.pid());
                assert!(mounts.iter().all(|mount| !mount.root.contains("/canary")), "{place}: {mounts:?}");
                restored.delete_force().ok();
                let _ = restored.wait();
            } else {
                let _ = output.fails();
                t.assert_missing(&container.id);
            }
            fs::remove_file(&at).unwrap();
            fs::rename(&aside, &at).unwrap();
            world.assert_same(t, &format!("{place} is a link to {}", target.display()));
        }
    }
    // The images are good: it was the links.
    let restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("again"), "again-2");
    restored.delete_force().ok();
    let _ = restored.wait();
    Ok(())
}

fn user_namespace(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    counter.bundle.namespace("user", None).set("/linux/uidMappings", map.clone());
    counter.bundle.set("/linux/gidMappings", map);
    if t.lane == Lane::V2 {
        // CRIU mounts it as the namespace's root, who may not.
        counter.bundle.without_mount("/sys/fs/cgroup");
    }
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("second"), "second-2");
    assert_ne!(namespace_of(restored.pid(), "user"), namespace_of(std::process::id().cast_signed(), "user"));
    Ok(())
}

fn joined_network_namespace(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let mut counter = Counter::new(t, COUNT)?;
    let ready = t.dir.join("ready");
    let mut fifo = Fifo::create(&ready);
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo ready >\"$0\"; exec sleep 1000"])
        .arg(&ready)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(fifo.line(), "ready");
    let path = format!("/proc/{}/ns/net", holder.id());
    counter.bundle.namespace("network", Some(path.as_ref()));
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let restored = counter.restore(&[], &container.id);
    assert_eq!(counter.ask("second"), "second-2");
    assert_eq!(namespace_of(restored.pid(), "net"), namespace_of(holder.id().cast_signed(), "net"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    Ok(())
}

fn own_network_has_a_loopback_device(t: &Test) -> Verdict {
    let script = "exec 3<>/in; while read -r l <&3; do ping -c1 -W5 127.0.0.1 >/dev/null && echo $l-up >/out || echo $l-down >/out; done";
    let mut counter = Counter::new(t, script)?;
    counter.bundle.capabilities(&["CAP_NET_RAW"]);
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    counter.detached(call).ok();
    let container = Container::open(t, &id);
    assert_eq!(counter.ask("a"), "a-up");
    counter.checkpoint(&[], &container);
    let _restored = counter.restore(&[], &id);
    assert_eq!(counter.ask("b"), "b-up");
    Ok(())
}

fn tcp_connection_is_kept(t: &Test) -> Verdict {
    // One end echoes; the other sends what comes on /in and puts what comes back on /out.
    let script = "nc -l -p 7000 -e cat & exec 3<>/in 4<>/out; \
                  until nc 127.0.0.1 7000 <&3 >&4; do :; done; exec sleep 1000";
    let mut counter = Counter::new(t, script)?;
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    counter.detached(call).ok();
    let container = Container::open(t, &id);
    assert_eq!(counter.ask("one"), "one");
    let _ = counter.checkpoint_call(&[], &id).fails();
    assert_eq!(counter.ask("still"), "still");
    let output = counter.checkpoint_call(&["--tcp-established"], &id).output();
    let log = fs::read_to_string(counter.images().join("dump.log")).unwrap_or_default();
    if log.contains("Can't get 1:16 opt") {
        return Err(runtime_tests::Skip::new(
            "this CRIU can't save TCP sockets on this kernel, which refuses SO_PASSCRED of them",
        ));
    }
    let _ = output.ok();
    let _ = container.wait();
    let _restored = counter.restore(&["--tcp-established"], &id);
    assert_eq!(counter.ask("two"), "two");
    Ok(())
}

/// As [`COUNT`], below a process that holds a lock of a file.
const COUNT_LOCKED: &str = "exec 3<>/in; while read -r l <&3; do \
     flock -n /tmp/lock true && echo $l-free >/out || echo $l-held >/out; done";

/// Copies a program of the host and its libraries into the root.
fn install(bundle: &Bundle, program: &str) {
    let found = Call::new(["sh", "-c", &format!("command -v {program}")]).ok().text().to_owned();
    let libraries = Call::new(["ldd", &found]).ok();
    let paths = libraries.stdout.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned);
    for path in paths.chain([found.clone()]) {
        let inside =
            if path == found { bundle.inside(&format!("/bin/{program}")) } else { bundle.inside(&path) };
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::copy(fs::canonicalize(path).unwrap(), inside).unwrap();
    }
}

fn file_lock_is_kept(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, "")?;
    install(&counter.bundle, "flock");
    counter.bundle.args(&["flock", "/tmp/lock", "sh", "-c", COUNT_LOCKED]);
    counter.bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    counter.detached(call).ok();
    let container = Container::open(t, &id);
    assert_eq!(counter.ask("a"), "a-held");
    let _ = counter.checkpoint_call(&[], &id).fails();
    assert_eq!(counter.ask("still"), "still-held");
    counter.checkpoint(&["--file-locks"], &container);
    let _restored = counter.restore(&["--file-locks"], &id);
    assert_eq!(counter.ask("b"), "b-held");
    Ok(())
}

fn hooks_run_at_restore(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let log = t.dir.join("log");
    fs::write(&log, "").unwrap();
    for point in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        // Those that run inside the container don't see the host's file.
        let script = format!("[ ! -e {0} ] || echo {point} >>{0}", log.display());
        counter.bundle.hook(point, json!({"path": "/bin/sh", "args": ["sh", "-c", script]}));
    }
    let container = counter.start();
    fs::write(&log, "").unwrap();
    counter.checkpoint(&[], &container);
    let _restored = counter.restore(&[], &container.id);
    assert_eq!(fs::read_to_string(&log).unwrap(), "prestart\ncreateRuntime\npoststart\n");
    Ok(())
}

fn restore_in_the_foreground_returns_the_status(t: &Test) -> Verdict {
    let mut counter =
        Counter::new(t, &format!("{COUNT}; exit 1").replace("; done", "; [ $l != end ] || exit 7; done"))?;
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let null = File::options().write(true).open("/dev/null").unwrap();
    let running = counter.restore_call(&[], &container.id).stdout_file(null).start();
    assert_eq!(counter.ask("second"), "second-2");
    assert_eq!(counter.ask("end"), "end-3");
    let _ = running.wait().exits(7);
    t.assert_missing(&container.id);
    Ok(())
}

fn restored_container_is_in_its_cgroup(t: &Test) -> Verdict {
    t.names_cgroups_by_path()?;
    let mut counter = Counter::new(t, COUNT)?;
    let cgroup = format!("/{}", t.fresh_name());
    counter.bundle.set("/linux/cgroupsPath", cgroup.as_str());
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let other = format!("/{}", t.fresh_name());
    counter.bundle.set("/linux/cgroupsPath", other.as_str());
    let restored = counter.restore(&[], &container.id);
    let text = restored.proc("cgroup");
    assert!(text.lines().any(|line| line.ends_with(&other)), "{text}");
    assert!(!text.lines().any(|line| line.ends_with(&cgroup)), "{text}");
    assert_eq!(counter.ask("second"), "second-2");
    Ok(())
}

fn masked_and_readonly_paths_stay(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    counter.bundle.set("/linux/maskedPaths", json!(["/proc/version", "/sys/firmware", "/proc/absent"]));
    counter.bundle.set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let container = counter.start();
    counter.checkpoint(&[], &container);
    let restored = counter.restore(&[], &container.id);
    let mounts = mounts_of(restored.pid());
    assert!(mount_at(&mounts, "/proc/sys").has("ro"));
    assert_eq!(fs::read(restored.inside("/proc/version")).unwrap(), b"");
    assert_eq!(fs::read_dir(restored.inside("/sys/firmware")).unwrap().count(), 0);
    Ok(())
}

fn paused_container_stays_paused(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    container.call(&["pause"]).ok();
    counter.checkpoint_call(&["--leave-running"], &container.id).ok();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"]).ok();
    assert_eq!(counter.ask("second"), "second-2");
    container.delete_force().ok();
    let _ = container.wait();
    let restored = counter.restore(&[], &container.id);
    if restored.status() == "paused" {
        restored.call(&["resume"]).ok();
    }
    assert_eq!(counter.ask("other"), "other-2");
    Ok(())
}

fn created_container_is_refused(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let images = t.dir.join("images");
    let _ = c
        .call(&["checkpoint", "--image-path", images.to_str().unwrap()])
        .fails()
        .says("cannot be checkpointed in created state");
    assert_eq!(c.status(), "created");
    Ok(())
}

fn stopped_container_is_refused(t: &Test) -> Verdict {
    let b = t.sh("exit 0");
    let c = t.start(&b);
    let _ = c.wait();
    let images = t.dir.join("images");
    let _ = c
        .call(&["checkpoint", "--image-path", images.to_str().unwrap()])
        .fails()
        .says("cannot be checkpointed in stopped state");
    Ok(())
}

fn missing_container_is_refused(t: &Test) -> Verdict {
    let _ = t.call(&["checkpoint", "absent"]).fails().says("does not exist");
    Ok(())
}

fn restore_of_a_taken_id_is_refused(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    counter.checkpoint_call(&["--leave-running"], &container.id).ok();
    let _ = counter.restore_call(&["--detach"], &container.id).fails().says("already exists");
    assert_eq!(counter.ask("second"), "second-2");
    Ok(())
}

fn restore_without_images_is_refused(t: &Test) -> Verdict {
    let counter = Counter::new(t, COUNT)?;
    counter.bundle.write();
    let id = t.fresh_id();
    let _ = counter.restore_call(&["--detach"], &id).fails().says("no such file or directory");
    t.assert_missing(&id);
    Ok(())
}

fn parent_path_must_be_relative(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, COUNT)?;
    let container = counter.start();
    let _ =
        counter.checkpoint_call(&["--parent-path", "/tmp"], &container.id).fails().says("must be relative");
    let _ = counter.checkpoint_call(&["--parent-path", "absent"], &container.id).fails();
    assert_eq!(counter.ask("second"), "second-2");
    Ok(())
}

fn page_server_needs_a_port(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let images = t.dir.join("images");
    let flags = ["checkpoint", "--image-path", images.to_str().unwrap(), "--page-server", "127.0.0.1"];
    let _ = c.call(&flags).fails().says("ADDRESS:PORT");
    Ok(())
}

fn unknown_cgroups_mode_is_refused(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let images = t.dir.join("images");
    let flags = ["checkpoint", "--image-path", images.to_str().unwrap(), "--manage-cgroups-mode", "other"];
    let output = c.call(&flags).fails();
    assert!(output.stderr.to_lowercase().contains("invalid manage"), "{output}");
    Ok(())
}

/// A directory with a `criu` that is this script.
fn fake_criu(t: &Test, script: &str) -> PathBuf {
    let path = t.dir.join("criu");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn checkpoint_with(t: &Test, criu: &str) -> runtime_tests::Output {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let images = t.dir.join("images");
    let output =
        t.call(&["--criu", criu, "checkpoint", "--image-path", images.to_str().unwrap(), &c.id]).fails();
    assert_eq!(c.status(), "running");
    output
}

fn criu_missing_is_said(t: &Test) -> Verdict {
    let _ = checkpoint_with(t, "criu-is-not-here")
        .says("executable file not found in $PATH")
        .says("3.15 or later");
    Ok(())
}

fn criu_too_old_is_said(t: &Test) -> Verdict {
    // The answer to VERSION, as an old CRIU gives it: type 10, success, version { 3, 11 }.
    let script = r"printf '\010\012\020\001\122\004\010\003\020\013' >&3; cat <&3 >/dev/null";
    let criu = fake_criu(t, script);
    let output = checkpoint_with(t, criu.to_str().unwrap());
    let _ = output.says("criu is of version 3.11: checkpoint needs 3.15 or later");
    Ok(())
}

fn criu_that_does_not_start_is_said(t: &Test) -> Verdict {
    let criu = fake_criu(t, "echo 'no such kernel' >&2; exit 4");
    let _ = checkpoint_with(t, criu.to_str().unwrap()).says("exit status 4: no such kernel");
    Ok(())
}

fn failure_names_reason_and_log(t: &Test) -> Verdict {
    let mut counter = Counter::new(t, "")?;
    install(&counter.bundle, "flock");
    counter.bundle.args(&["flock", "/tmp/lock", "sh", "-c", COUNT_LOCKED]);
    counter.bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    let (call, id) = t.bundle_call("run", &counter.bundle, &["--detach"]);
    counter.detached(call).ok();
    assert_eq!(counter.ask("a"), "a-held");
    let work = t.dir.join("work");
    let output = counter.checkpoint_call(&["--work-path", work.to_str().unwrap()], &id).fails();
    let log = format!("log file {}/dump.log", work.display());
    let _ = output.says("criu failed: type DUMP").says("file locks").says(&log);
    assert_eq!(counter.ask("b"), "b-held");
    Ok(())
}

//! Terminals: the console socket, the foreground pty, sizes, `/dev/console`.

use std::os::unix::fs::{MetadataExt, symlink};

use runtime_tests::procfs::{link_of, mount_at, mounts_of};
use runtime_tests::tty::{ConsoleSocket, Master};
use runtime_tests::{Bundle, Case, Container, Skip, Test, Verdict, cases};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["tty":
        console_socket_receives_a_master,
        console_socket_input_reaches_the_process,
        console_socket_size_is_the_configs,
        console_socket_process_has_a_controlling_terminal,
        console_socket_console_is_a_bind_of_the_pty,
        console_socket_is_used_by_run_detached,
        console_socket_hangup_reaches_the_process,
        console_socket_without_terminal_fails,
        console_socket_missing_path_fails,
        console_socket_regular_file_fails,
        console_of_the_image_is_no_way_out,
        console_of_the_hosts_dev_is_the_pty,
        terminal_without_socket_when_detached_fails,
        terminal_of_another_user_is_owned_by_it,
        foreground_output_and_status,
        foreground_output_to_a_pipe_has_no_carriage_returns,
        foreground_input_is_passed,
        foreground_size_is_passed,
        foreground_resize_is_passed,
        foreground_interrupt_reaches_the_process,
        foreground_terminal_closed_for_a_moment_is_kept,
        foreground_interrupt_reaches_a_process_without_open_terminal,
        foreground_on_a_terminal_that_is_not_controlling,
        foreground_after_the_background,
        foreground_after_a_stop,
        foreground_in_a_pid_namespace_without_its_process_group,
        no_terminal_gives_no_tty,
        devpts_is_its_own,
    ];
    let untouched = "tty::console_changes_nothing_of_the_hosts_dev";
    all.push(Case::new(untouched, console_changes_nothing_of_the_hosts_dev).only_ours());
    all
}

fn terminal_bundle(t: &Test, script: &str) -> Bundle {
    let b = t.bundle();
    b.set("/process/terminal", true).sh(script);
    b
}

/// Creates and starts with a console socket.
fn on_console<'t>(t: &'t Test, b: &Bundle) -> (Container<'t>, Master) {
    let socket = ConsoleSocket::listen(&t.dir.join(t.fresh_name()));
    let c = t.create_with(b, &["--console-socket", socket.path.to_str().unwrap()]);
    let master = socket.receive();
    c.start();
    (c, master)
}

fn foreground_output_to_a_pipe_has_no_carriage_returns(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "echo one; echo two");
    assert_eq!(t.run(&b).ok().stdout, "one\ntwo\n");
    Ok(())
}

fn console_socket_receives_a_master(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "tty; echo output; exit 4");
    let (c, mut master) = on_console(t, &b);
    let text = master.until_closed();
    assert!(text.contains("/dev/pts/0") && text.contains("output"), "{text:?}");
    assert_eq!(c.wait(), Some(4));
    Ok(())
}

fn console_socket_input_reaches_the_process(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "read word; echo got-$word");
    let (c, mut master) = on_console(t, &b);
    master.type_line("hello");
    let _ = master.until("got-hello");
    assert_eq!(c.wait(), Some(0));
    Ok(())
}

fn console_socket_size_is_the_configs(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "stty size");
    b.set("/process/consoleSize", json!({"height": 33, "width": 77}));
    let (_c, mut master) = on_console(t, &b);
    let _ = master.until("33 77");
    Ok(())
}

fn console_socket_process_has_a_controlling_terminal(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "echo direct >/dev/tty; exec sleep 1000");
    let (c, mut master) = on_console(t, &b);
    let _ = master.until("direct");
    // Field 7 of stat is the terminal: pty devices have major 136.
    let stat = c.proc("stat");
    let tty: u32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert_eq!(tty >> 8 & 0xfff, 136);
    Ok(())
}

fn console_socket_console_is_a_bind_of_the_pty(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "exec sleep 1000");
    let (c, _master) = on_console(t, &b);
    assert_eq!(mount_at(&mounts_of(c.pid()), "/dev/console").kind, "devpts");
    let console = std::fs::metadata(c.inside("/dev/console")).unwrap();
    let pty = std::fs::metadata(c.inside("/dev/pts/0")).unwrap();
    assert_eq!(console.rdev(), pty.rdev());
    for fd in 0..3 {
        assert_eq!(link_of(c.pid(), &format!("fd/{fd}")).unwrap().to_str().unwrap(), "/dev/pts/0", "fd {fd}");
    }
    Ok(())
}

fn console_socket_is_used_by_run_detached(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "echo detached; exec sleep 1000");
    let socket = ConsoleSocket::listen(&t.dir.join("socket"));
    let (call, _) = t.bundle_call("run", &b, &["-d", "--console-socket", socket.path.to_str().unwrap()]);
    call.ok();
    let _ = socket.receive().until("detached");
    Ok(())
}

fn console_socket_hangup_reaches_the_process(t: &Test) -> Verdict {
    let b = terminal_bundle(
        t,
        "trap 'echo hup >/fifo' HUP; echo ready >/fifo; while :; do sleep 1000 & wait; done",
    );
    let mut fifo = b.fifo("/fifo");
    let (_c, master) = on_console(t, &b);
    assert_eq!(fifo.line(), "ready");
    drop(master);
    assert_eq!(fifo.line(), "hup");
    Ok(())
}

fn console_socket_without_terminal_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    let socket = ConsoleSocket::listen(&t.dir.join("socket"));
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", socket.path.to_str().unwrap()]);
    call.fails().says("cannot use console socket if runc will not detach or allocate tty");
    t.assert_missing(&id);
    Ok(())
}

fn console_socket_missing_path_fails(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "true");
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", "/no/such/socket"]);
    call.fails();
    t.assert_missing(&id);
    Ok(())
}

fn console_socket_regular_file_fails(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "true");
    let file = t.dir.join("file");
    std::fs::write(&file, "").unwrap();
    let (call, id) = t.bundle_call("create", &b, &["--console-socket", file.to_str().unwrap()]);
    call.fails();
    t.assert_missing(&id);
    Ok(())
}

fn console_of_the_image_is_no_way_out(t: &Test) -> Verdict {
    for with_dev in [true, false] {
        let b = terminal_bundle(t, "exec sleep 1000");
        if !with_dev {
            b.without_mount("/dev").writable();
        }
        symlink(t.canary().join("made"), b.inside("/dev/console")).unwrap();
        let socket = ConsoleSocket::listen(&t.dir.join(t.fresh_name()));
        let (call, _) = t.bundle_call("create", &b, &["--console-socket", socket.path.to_str().unwrap()]);
        // It is refused, or put where it belongs; the residue check looks at the canary.
        let _ = call.output();
    }
    Ok(())
}

/// A directory like the host's `/dev`, a mount of its own, bound in place of the container's; gone at its end.
struct HostDev(std::path::PathBuf);

impl HostDev {
    fn new(t: &Test, with_console: bool) -> Self {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        let path = t.dir.join(t.fresh_name());
        std::fs::create_dir(&path).unwrap();
        mount("tmpfs", &path, "tmpfs", MountFlags::empty(), c"").unwrap();
        mount_change(&path, MountPropagationFlags::SHARED).unwrap();
        for name in ["pts", "shm", "mqueue"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        let node = |name, major, minor| {
            mknod(&path.join(name), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(major, minor)).unwrap();
        };
        node("null", 1, 3);
        symlink("pts/ptmx", path.join("ptmx")).unwrap();
        if with_console {
            node("console", 5, 1);
        }
        Self(path)
    }

    fn bundle(&self, t: &Test, options: &[&str]) -> Bundle {
        let b = terminal_bundle(t, "exec sleep 1000");
        // As for a privileged container: runc opens the node.
        b.set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
        b.patch(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            let dev = mounts.iter_mut().find(|mount| mount["destination"] == "/dev").unwrap();
            *dev = json!({"destination": "/dev", "type": "bind", "source": self.0, "options": options});
        });
        b
    }
}

impl Drop for HostDev {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

fn console_of_the_hosts_dev_is_the_pty(t: &Test) -> Verdict {
    let host = HostDev::new(t, true);
    let (c, _master) = on_console(t, &host.bundle(t, &["rbind"]));
    assert_eq!(mount_at(&mounts_of(c.pid()), "/dev/console").kind, "devpts");
    let console = std::fs::metadata(c.inside("/dev/console")).unwrap();
    assert_eq!(console.rdev(), std::fs::metadata(c.inside("/dev/pts/0")).unwrap().rdev());
    assert_eq!(std::fs::metadata(host.0.join("console")).unwrap().rdev(), nix::sys::stat::makedev(5, 1));
    Ok(())
}

fn console_changes_nothing_of_the_hosts_dev(t: &Test) -> Verdict {
    let is_bound = |c: &Container<'_>| mounts_of(c.pid()).iter().any(|mount| mount.point == "/dev/console");
    // What isn't there is not made.
    let host = HostDev::new(t, false);
    let (c, _master) = on_console(t, &host.bundle(t, &["rbind"]));
    assert!(!is_bound(&c) && !host.0.join("console").exists());
    // Where mounts would reach the host, none is made.
    for (options, root) in [(&["rbind", "rshared"][..], "rslave"), (&["rbind"], "rshared")] {
        let host = HostDev::new(t, true);
        let b = host.bundle(t, options);
        b.set("/linux/rootfsPropagation", root);
        let (c, _master) = on_console(t, &b);
        assert!(!is_bound(&c));
        let console = std::fs::metadata(host.0.join("console")).unwrap();
        assert_eq!(console.rdev(), nix::sys::stat::makedev(5, 1));
    }
    Ok(())
}

fn terminal_without_socket_when_detached_fails(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "true");
    let (call, id) = t.bundle_call("create", &b, &[]);
    call.fails().says("cannot allocate tty if runc will detach without setting console socket");
    t.assert_missing(&id);
    Ok(())
}

fn terminal_of_another_user_is_owned_by_it(t: &Test) -> Verdict {
    let b = terminal_bundle(t, "stat -c '%u' /dev/pts/0; echo mine >/dev/tty; exec sleep 1000");
    b.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let (_c, mut master) = on_console(t, &b);
    let text = master.until("mine");
    assert!(text.contains("1000"), "{text:?}");
    Ok(())
}

/// `run` in the foreground on a pty of ours.
fn foreground(t: &Test, b: &Bundle, size: (u16, u16)) -> (runtime_tests::command::Running, Master) {
    let (master, peer) = Master::pair();
    master.resize(size.0, size.1);
    let call = t
        .run(b)
        .through(["setsid", "--ctty", "--wait"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer);
    (call.start(), master)
}

fn foreground_output_and_status(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(t, "tty; echo on-the-terminal; exit 5");
    let (running, mut master) = foreground(t, &b, (24, 80));
    let text = master.until("on-the-terminal");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    let _ = running.wait().exits(5);
    Ok(())
}

fn foreground_input_is_passed(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(t, "echo ready; read word; echo got-$word");
    let (running, mut master) = foreground(t, &b, (24, 80));
    let _ = master.until("ready");
    master.type_line("typed");
    let _ = master.until("got-typed");
    let _ = running.wait().exits(0);
    Ok(())
}

fn foreground_size_is_passed(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(t, "read go; stty size");
    let (running, mut master) = foreground(t, &b, (31, 99));
    master.type_line("");
    let _ = master.until("31 99");
    let _ = running.wait().exits(0);
    Ok(())
}

fn foreground_resize_is_passed(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(
        t,
        "trap 'stty size' WINCH; echo ready; while :; do read line && break; done; echo end",
    );
    let (running, mut master) = foreground(t, &b, (24, 80));
    let _ = master.until("ready");
    master.resize(40, 120);
    master.type_line("");
    let _ = master.until("end");
    let _ = running.wait().exits(0);
    Ok(())
}

fn foreground_interrupt_reaches_the_process(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(
        t,
        "trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 1000 & wait; done",
    );
    let (running, mut master) = foreground(t, &b, (24, 80));
    let _ = master.until("ready");
    master.type_text("\x03");
    let _ = master.until("interrupted");
    let _ = running.wait().exits(6);
    Ok(())
}

/// `one`, then a while without any descriptor of the terminal, then `two`, and 7.
fn foreground_terminal_closed_for_a_moment_is_kept(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(
        t,
        "echo one >/dev/console; exec </dev/null >/dev/null 2>&1; echo closed >/fifo; read go </go
         echo two >/dev/console; exit 7",
    );
    let (mut fifo, mut go) = (b.fifo("/fifo"), b.fifo("/go"));
    let (running, mut master) = foreground(t, &b, (24, 80));
    let _ = master.until("one");
    assert_eq!(fifo.line(), "closed");
    go.send("go");
    let _ = master.until("two");
    let _ = running.wait().exits(7);
    Ok(())
}

fn foreground_interrupt_reaches_a_process_without_open_terminal(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(
        t,
        "trap 'exit 9' INT; echo ready >/dev/console; exec </dev/null >/dev/null 2>&1
         echo closed >/fifo; while :; do sleep 1000 & wait; done",
    );
    let mut fifo = b.fifo("/fifo");
    let (running, mut master) = foreground(t, &b, (24, 80));
    let _ = master.until("ready");
    assert_eq!(fifo.line(), "closed");
    master.type_text("\x03");
    let _ = running.wait().exits(9);
    Ok(())
}

/// Of a terminal that is not the controlling one nobody can be in the background.
fn foreground_on_a_terminal_that_is_not_controlling(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    let b = terminal_bundle(t, "echo ready; read word; echo got-$word; exit 6");
    for wrapper in [&["env"][..], &["setsid", "--wait"]] {
        let (mut master, peer) = Master::pair();
        let call = t.run(&b).through(wrapper).stdin_file(peer.try_clone().unwrap()).stdout_file(peer);
        let running = call.start();
        let _ = master.until("ready");
        master.type_line("typed");
        let _ = master.until("got-typed");
        let _ = running.wait().exits(6);
    }
    Ok(())
}

fn foreground_after_the_background(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    t.needs_program("bash")?;
    let b = terminal_bundle(t, "echo ready; read word; echo got-$word; exit 6");
    let (mut master, peer) = Master::pair();
    let call = t
        .run(&b)
        .through(["setsid", "--ctty", "--wait", "bash", "-c", "set -m; \"$@\" & read go; fg", "bash"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer);
    let running = call.start();
    let _ = master.until("ready");
    master.type_line("go");
    master.type_line("typed");
    let _ = master.until("got-typed");
    let _ = running.wait().exits(6);
    Ok(())
}

/// The shell gives the terminal its own modes meanwhile: a character without a line's end comes through all the same.
fn foreground_after_a_stop(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    t.needs_program("bash")?;
    let one = "dd bs=1 count=1 >/dev/null 2>&1";
    let b = terminal_bundle(t, &format!("stty raw -echo; {one}; echo first; {one}; echo second; exit 6"));
    let script = "set -m; \"$@\" & echo $! is its number; fg %1; stty sane; echo stopped; fg %1";
    let (mut master, peer) = Master::pair();
    let call = t
        .run(&b)
        .through(["setsid", "--ctty", "--wait", "bash", "-c", script, "bash"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer);
    let running = call.start();
    let text = master.until(" is its number");
    let pid = text.split_once(" is its number").unwrap().0.split_whitespace().last().unwrap();
    let pid = pid.parse().ok().and_then(Pid::from_raw).unwrap();
    master.type_text("x");
    let _ = master.until("first");
    kill_process(pid, Signal::STOP).unwrap();
    let _ = master.until("stopped");
    master.type_text("x");
    let _ = master.until("second");
    let _ = running.wait().exits(6);
    Ok(())
}

/// The terminal's process group, and the runtime's, is outside its pid namespace: its number there is 0.
fn foreground_in_a_pid_namespace_without_its_process_group(t: &Test) -> Verdict {
    t.needs_program("setsid")?;
    if t.uses_systemd() {
        return Err(Skip::new("systemd knows no process of another pid namespace"));
    }
    let b = terminal_bundle(t, "echo ready; read word; echo got-$word");
    let (mut master, peer) = Master::pair();
    let call = t
        .run(&b)
        .through(["setsid", "--ctty", "--wait", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .stdin_file(peer.try_clone().unwrap())
        .stdout_file(peer);
    let running = call.start();
    let _ = master.until("ready");
    master.type_line("typed");
    let text = master.until("got-typed");
    // Once by the container's terminal: the outer one is raw.
    assert_eq!(text.matches("typed").count(), 2, "{text:?}");
    let _ = running.wait().exits(0);
    Ok(())
}

fn no_terminal_gives_no_tty(t: &Test) -> Verdict {
    let b = t.sh("tty; [ -c /dev/console ] && echo console; : 2>/dev/null </dev/tty && echo tty; exit 0");
    let output = t.run(&b).through_sh("\"$@\"").output();
    assert!(!output.stdout.contains("/dev/pts") && !output.stdout.contains("\ntty"), "{output}");
    Ok(())
}

fn devpts_is_its_own(t: &Test) -> Verdict {
    let output = t.output_of(&t.bundle(), "ls /dev/pts; readlink /dev/ptmx; stat -c '%a' /dev/pts/ptmx");
    assert_eq!(output.lines(), ["ptmx", "pts/ptmx", "666"]);
    Ok(())
}

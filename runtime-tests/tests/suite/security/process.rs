//! What a container's process must not have of its caller, and what its filter must hold back whichever way it calls.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use runtime_tests::program::{Argument, Way, write_program};
use runtime_tests::step::{Whose, step, step_before};
use runtime_tests::test::TOKEN_VARIABLE;
use runtime_tests::tty::Master;
use runtime_tests::wait::{DEADLINE, Fifo, Process};
use runtime_tests::world::{World, times};
use runtime_tests::{Bundle, Case, Container, Skip, Test, Verdict};
use serde_json::{Value, json};

pub(super) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("security::{name}"), run).only_ours();
    vec![
        case("t26_filter_of_calls_holds_in_every_way", seccomp),
        case("t33_terminal_of_the_caller", terminal_input),
        case("t34_keyring_of_the_caller", keyring),
        case("t36_pid_that_is_used_again", reused_pid),
        case("t36_pid_of_a_member_that_is_used_again", reused_pid_of_member),
    ]
}

fn needs_x86() -> Result<(), Skip> {
    if cfg!(target_arch = "x86_64") { Ok(()) } else { Err(Skip::new("its programs are of x86")) }
}

/// The number that a call has in a kind of program.
type NumberOf = fn(Numbers) -> u32;

/// Native calls, i386's in a program of theirs and in a native one, x32's.
const WAYS: [(Way, NumberOf); 4] = [
    (Way::Native, |numbers| numbers.native),
    (Way::I386, |numbers| numbers.i386),
    (Way::I386FromNative, |numbers| numbers.i386),
    (Way::Native, |numbers| numbers.native | X32),
];

/// The bit of x32's calls.
const X32: u32 = 0x4000_0000;

#[derive(Clone, Copy)]
struct Numbers {
    native: u32,
    i386: u32,
}

const MKDIR: Numbers = Numbers { native: 83, i386: 39 };
const KILLED_BY_SIGSYS: i32 = 128 + 31;

/// A call that a profile denies fails by number, by another architecture's number, and by numbers that are none; with and
/// without new privileges, and whatever else the profile denies of what init itself calls.
fn seccomp(t: &Test) -> Verdict {
    const EPERM: i32 = 1;
    const ENOSYS: i32 = 38;
    needs_x86()?;
    let all = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let rule = |names: &[&str], action: &str| json!({"names": names, "action": action});
    // Everything that a runtime's last steps need: the filter must come after them.
    let tail = [
        "setuid",
        "setgid",
        "setgroups",
        "setresuid",
        "setresgid",
        "capset",
        "prctl",
        "chdir",
        "fchdir",
        "close_range",
        "close",
        "openat",
        "openat2",
        "open",
        "fcntl",
        "dup",
        "dup3",
        "read",
        "write",
        "sendmsg",
        "recvmsg",
        "poll",
        "ppoll",
        "seccomp",
        "keyctl",
        "setsid",
        "getcwd",
        "mmap",
        "umask",
        "prlimit64",
        "setrlimit",
        "rt_sigprocmask",
        "rt_sigaction",
    ];
    let deny = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule(&["mkdir"], "SCMP_ACT_ERRNO")]});
    let deny_tail = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        rule(&["mkdir"], "SCMP_ACT_ERRNO"), rule(&tail, "SCMP_ACT_KILL_PROCESS"),
    ]});
    let allow = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        rule(&["execve", "execveat", "exit", "exit_group"], "SCMP_ACT_ALLOW"),
    ]});
    // Foreign calls with a profile of the native ones alone, and with one that names all.
    for (profile, name, denied) in
        [(&deny, "deny", EPERM), (&deny_tail, "deny the tail", EPERM), (&allow, "allow", KILLED_BY_SIGSYS)]
    {
        for architectures in [None, Some(json!(["SCMP_ARCH_X86_64"])), Some(all.clone())] {
            for new_privileges in [None, Some(false), Some(true)] {
                for (way, number) in WAYS {
                    let foreign = way != Way::Native || number(MKDIR) & X32 != 0;
                    let named = architectures.as_ref().is_some_and(|names| *names == all);
                    let b = filtered(t, profile, architectures.as_ref(), new_privileges);
                    let arguments = [Argument::Text("/tmp/made"), Argument::Number(0o777)];
                    write_program(&b.inside("/bin/call"), way, number(MKDIR), &arguments);
                    b.args(&["/bin/call"]);
                    let output = t.run(&b).output();
                    let about = format!("{name}, {architectures:?}, {new_privileges:?}, {way:?}: {output}");
                    assert!(!b.inside("/tmp/made").exists(), "{about}");
                    let code = output.status.code();
                    if foreign && !named {
                        // It must not be let through; most end it.
                        assert!(code.is_some_and(|code| code != 0), "{about}");
                    } else {
                        assert_eq!(code, Some(denied), "{about}");
                    }
                    fs::remove_dir_all(&b.path).unwrap();
                }
            }
        }
    }
    // A number that no kernel has.
    for profile in [
        &deny,
        &json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule(&["execve", "execveat", "exit"], "SCMP_ACT_ALLOW")]}),
    ] {
        let b = filtered(t, profile, None, Some(true));
        write_program(&b.inside("/bin/call"), Way::Native, 0x3fff_ffff, &[]);
        b.args(&["/bin/call"]);
        let _ = t.run(&b).output().exits(ENOSYS);
    }
    Ok(())
}

fn filtered(
    t: &Test,
    profile: &Value,
    architectures: Option<&Value>,
    new_privileges: Option<bool>,
) -> Bundle {
    let b = t.bundle();
    let mut profile = profile.clone();
    if let Some(architectures) = architectures {
        profile["architectures"] = architectures.clone();
    }
    b.writable().set("/linux/seccomp", profile);
    match new_privileges {
        None => b.unset("/process/noNewPrivileges"),
        Some(value) => b.set("/process/noNewPrivileges", value),
    }
    .capabilities(&[]);
    b
}

/// The caller's terminal is not the container's: nothing can be typed into it.
fn terminal_input(t: &Test) -> Verdict {
    const TIOCSTI: i64 = 0x5412;
    needs_x86()?;
    t.needs_program("setsid")?;
    let b = t.bundle();
    // ioctl(0, TIOCSTI, "x").
    let type_x = [Argument::Number(0), Argument::Number(TIOCSTI), Argument::Text("x")];
    write_program(&b.inside("/bin/type"), Way::Native, 16, &type_x);
    let script = "set -- $(cat /proc/self/stat); echo \"tty=$7\"; (: </dev/tty) 2>/dev/null && echo opened; \
                  type=/bin/type; $type; echo \"typed=$?\"";
    let look = |call: runtime_tests::Call| {
        let (mut master, peer) = Master::pair();
        let input = peer.try_clone().unwrap();
        // The caller leads a session, and this is its terminal.
        let call = call.through(["setsid", "--ctty", "--wait"]).stdin_file(input).stdout_file(peer);
        call.ok();
        let seen = master.until_closed();
        assert!(seen.contains("tty=0"), "it has a controlling terminal: {seen}");
        assert!(!seen.contains("opened"), "/dev/tty is the caller's: {seen}");
        // EPERM, EIO, or ENOTTY: its input is no terminal.
        assert!(
            ["typed=1\r", "typed=5\r", "typed=25\r"].iter().any(|it| seen.contains(it)),
            "TIOCSTI: {seen}"
        );
    };
    b.sh(script);
    look(t.run(&b));
    let stays = t.bundle();
    fs::copy(b.inside("/bin/type"), stays.inside("/bin/type")).unwrap();
    stays.stays();
    let c = t.start(&stays);
    look(c.call(&["exec"]).args(["sh", "-c", script]));
    Ok(())
}

/// The container finds nothing that is in its caller's session keyring, unless the caller wants it to.
fn keyring(t: &Test) -> Verdict {
    const ENOKEY: i32 = 126;
    needs_x86()?;
    t.needs_program("python3")?;
    let b = t.bundle();
    // keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0).
    let name = format!("key-{}", t.token);
    let search = [
        Argument::Number(10),
        Argument::Number(-3),
        Argument::Text("user"),
        Argument::Text(&name),
        Argument::Number(0),
    ];
    write_program(&b.inside("/bin/search"), Way::Native, 250, &search);
    b.args(&["/bin/search"]);
    let with_key = format!(
        "import ctypes,os,sys\n\
         c=ctypes.CDLL(None, use_errno=True)\n\
         if c.syscall(250,1,b'session-{name}')<0: sys.exit(99)\n\
         if c.syscall(248,b'user',b'{name}',b'value',5,-3)<0: sys.exit(99)\n\
         os.execv(sys.argv[1], sys.argv[1:])\n"
    );
    let call = |flags: &[&str]| t.bundle_call("run", &b, flags).0.through(["python3", "-c", &with_key]);
    let shared = call(&["--no-new-keyring"]).output();
    if shared.status.code() == Some(99) {
        return Err(Skip::new("the machine's kernel gives no keyring"));
    }
    let _ = shared.exits(0);
    let _ = call(&[]).output().exits(ENOKEY);
    let stays = t.bundle();
    fs::copy(b.inside("/bin/search"), stays.inside("/bin/search")).unwrap();
    stays.stays();
    let c = t.start(&stays);
    let executed = c.call(&["exec"]).args(["/bin/search"]).through(["python3", "-c", &with_key]);
    let _ = executed.output().exits(ENOKEY);
    Ok(())
}

/// A process that has the pid which another had: `clone3(set_tid)`.
struct Victim {
    pid: i32,
    keeper: Child,
}

impl Victim {
    /// None where the pid is taken already.
    fn create(t: &Test, pid: i32) -> Option<Self> {
        let said = t.dir.join(t.fresh_name());
        let mut fifo = Fifo::create(&said);
        // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size.
        let script = "import ctypes,os,sys\n\
            c=ctypes.CDLL(None, use_errno=True)\n\
            t=(ctypes.c_int*1)(int(sys.argv[1]))\n\
            a=(ctypes.c_uint64*10)(0,0,0,0,17,0,0,0,ctypes.addressof(t),1)\n\
            r=c.syscall(435,a,ctypes.sizeof(a))\n\
            if r==0: os.execvp('sleep',['sleep','1000'])\n\
            open(sys.argv[2],'w').write('%d %d\\n'%(r,ctypes.get_errno()))\n\
            if r>0: os.waitpid(r,0)\n";
        let mut keeper = Command::new("python3")
            .args(["-c", script, &pid.to_string()])
            .arg(&said)
            .env(TOKEN_VARIABLE, &t.token)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let line = fifo.line();
        if line.starts_with('-') {
            let _ = keeper.wait();
            return None;
        }
        Some(Self { pid, keeper })
    }

    #[track_caller]
    fn assert_untouched(&mut self, about: &str) {
        assert!(self.keeper.try_wait().unwrap().is_none(), "{about}: the other process has ended");
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let state = runtime_tests::procfs::status_field(&status, "State");
        assert!(state.starts_with(['S', 'R', 'D']), "{about}: the other process is {state}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Ok(process) = Process::open(self.pid) {
            process.signal(rustix::process::Signal::KILL);
        }
        let _ = self.keeper.wait();
    }
}

/// The container's init has ended, and another process has its pid; before a command, and in the middle of one.
fn reused_pid(t: &Test) -> Verdict {
    t.needs_program("python3")?;
    let world = World::of_machine(t);
    let replaced = |t: &Test, c: &Container<'_>| {
        let _ = c.stop();
        Victim::create(t, c.pid())
    };
    let commands: &[&[&str]] = &[
        &["state"],
        &["kill"],
        &["exec"],
        &["pause"],
        &["resume"],
        &["ps"],
        &["update", "--pids-limit", "7"],
        &["delete"],
        &["delete", "--force"],
    ];
    let call_of = |c: &Container<'_>, command: &[&str]| {
        let call = c.call(command);
        match command[0] {
            "exec" => call.args(["true"]),
            "kill" => call.args(["KILL"]),
            _ => call,
        }
    };
    let b = t.bundle();
    b.stays();
    let mut tried = 0;
    for command in commands {
        let c = t.start(&b);
        let Some(mut victim) = replaced(t, &c) else { continue };
        assert!(Path::new(&format!("/proc/{}", c.pid())).exists());
        assert_eq!(c.status(), "stopped");
        let output = call_of(&c, command).output();
        let may_succeed = matches!(command[0], "state" | "delete" | "ps" | "update");
        assert!(may_succeed || !output.status.success(), "{output}");
        victim.assert_untouched(command[0]);
        c.delete_force().ok();
        victim.assert_untouched("delete --force");
        tried += 1;
    }
    assert!(tried > 0, "no pid could be had again");
    // In the middle: before a call of the command that takes a path, or that opens the pid.
    if t.lane == runtime_tests::Lane::Hybrid || runtime_tests::world::thorough() {
        for command in [&["state"][..], &["kill"], &["exec"], &["pause"], &["delete", "--force"]] {
            for (opens, last, stride) in [(false, 200, times(9, 1)), (true, 20, 1)] {
                for at in (0..last).step_by(stride) {
                    let c = t.start(&b);
                    let mut victim = None;
                    let replace = || victim = replaced(t, &c);
                    let stepped = if opens {
                        step_before(call_of(&c, command), "pidfd_open", at, Whose::Command, replace)
                    } else {
                        step(call_of(&c, command), at, Whose::Command, replace)
                    };
                    assert!(
                        stepped.status < 128 || stepped.status == 255,
                        "{} at call {at}: {}",
                        command[0],
                        stepped.output
                    );
                    if let Some(victim) = &mut victim {
                        victim.assert_untouched(&format!("{} at call {at}", command[0]));
                        assert!(
                            command[0] != "exec" || stepped.status != 0,
                            "exec at call {at} went into another process's namespaces"
                        );
                    }
                    c.delete_force().ok();
                    if let Some(victim) = &mut victim {
                        victim.assert_untouched("delete --force");
                    }
                    if !stepped.reached {
                        break;
                    }
                }
            }
        }
    }
    world.assert_same(t, "pids that are used again");
    Ok(())
}

/// A process of the container other than init has ended, and another one has its pid, between the reading of the cgroup's
/// processes and the opening of that one.
fn reused_pid_of_member(t: &Test) -> Verdict {
    const MOST_OPENED: usize = 20;
    t.needs_program("python3")?;
    let world = World::of_machine(t);
    let b = t.bundle();
    b.stays();
    let mut replaced = 0;
    let by_signal = ["kill", "--all", "TERM"];
    let mut commands = vec![&by_signal[..]];
    // On v2 the kernel ends them, and nobody reads who they are.
    if t.cgroups().v2_root().is_none() {
        commands.extend([&["kill", "--all", "KILL"][..], &["delete", "--force"]]);
    }
    for command in commands {
        for at in 0..MOST_OPENED {
            let c = t.start(&b);
            let file = t.dir.join(t.fresh_name());
            c.call(&["exec", "--detach", "--pid-file", file.to_str().unwrap()]).args(["sleep", "1000"]).ok();
            let pid: i32 = fs::read_to_string(&file).unwrap().parse().unwrap();
            let frozen = t.cgroups().directory_of(c.pid(), "freezer");
            let mut victim = None;
            // The id goes before the signal.
            let call = match command {
                ["kill", all, signal] => c.call(&["kill", all]).args([signal]),
                _ => c.call(command),
            };
            let stepped = step_before(call, "pidfd_open", at, Whose::Command, || {
                let member = Process::open(pid).unwrap();
                member.signal(rustix::process::Signal::KILL);
                // On v1 all stand still by then: as if one had not got there yet.
                let _ = frozen.map(|freezer| fs::write(freezer.join("freezer.state"), "THAWED"));
                assert!(member.wait_exit(DEADLINE));
                let _ = member.reap();
                victim = Victim::create(t, pid);
            });
            if let Some(victim) = &mut victim {
                victim.assert_untouched(&format!("{command:?} at {at}"));
                replaced += 1;
            }
            c.delete_force().ok();
            if let Some(victim) = &mut victim {
                victim.assert_untouched("delete --force");
            }
            if !stepped.reached {
                break;
            }
        }
    }
    assert!(replaced > 0, "no pid could be had again");
    world.assert_same(t, "pids of members that are used again");
    Ok(())
}

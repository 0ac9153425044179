//! Containers that resist, signals and execs at odd moments, records that are damaged, hosts that lack something.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use runtime_tests::cgroup::read;
use runtime_tests::procfs::status_of;
use runtime_tests::wait::{DEADLINE, Fifo, Process, readable};
use runtime_tests::world::times;
use runtime_tests::{Bundle, Case, Container, Lane, Skip, Test, Verdict};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::callers::assert_nothing_left;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    vec![
        case("f27_init_that_resists_is_deleted_soon", resisting_init),
        case("f27_init_that_is_traced_is_deleted_soon", traced_init),
        case("f27_init_that_the_kernel_does_not_let_go", stuck_init),
        case("f28_container_without_a_pid_left", no_pid_left),
        case("f29_smallest_memory_limit", small_memory),
        case("f30_runtime_out_of_memory_leaves_nothing", runtime_out_of_memory),
        case("f34_odd_state_roots", odd_roots),
        case("f35_record_with_a_damaged_byte", damaged_record),
        case("f35_damaged_byte_does_not_hinder_deletion", damaged_record_deleted),
        case("f35_records_that_are_none", broken_records),
        case("f35_records_of_other_runtimes_stay", records_of_others),
        case("f35_records_of_later_versions_stay", records_of_later_versions),
        case("f37_host_without_proc_dev_or_sys", bare_host),
        case("f39_runtime_in_a_container", nested),
        case("f39_runtime_in_a_container_with_a_user_namespace", nested_in_user_namespace),
        case("f40_exec_into_every_state", exec_into_states),
        case("f40_many_execs_at_a_time", many_execs),
        case("f40_exec_into_an_ending_container", exec_into_ending),
        case("f41_signals_that_are_none", odd_signals),
        case("f42_update_of_an_ending_container", update_of_ending),
        case("f43_paused_container_is_killed", kill_paused),
        case("f44_programs_that_are_none", odd_programs),
        case("f44_program_that_is_being_written", written_program),
        case("f44_payload_that_ends_at_once", short_payloads),
        case("f45_paths_that_can_not_be_written", unwritable_paths),
        case("f32_caller_with_a_umask_that_takes_all", umask_of_all),
        case("f33_signal_of_a_foreground_run_goes_to_its_own_init", foreground_signal),
    ]
}

/// How long a forced deletion may take that has only to kill: on a busy machine.
const SOON: Duration = Duration::from_secs(8);

#[track_caller]
fn delete_soon(t: &Test, c: &Container<'_>) {
    let before = Instant::now();
    c.delete_force().ok();
    assert!(before.elapsed() < runtime_tests::wait::stretched(SOON), "it took {:?}", before.elapsed());
    assert!(c.process.has_exited(), "init is alive");
    let _ = c.process.reap();
    t.assert_missing(&c.id);
}

fn resisting_init(t: &Test) -> Verdict {
    let script = "trap '' TERM HUP INT QUIT USR1 USR2; echo ready >/said; while true; do sleep 1; done";
    let b = t.sh(script);
    b.writable();
    let mut said = b.fifo("said");
    for stopped in [false, true] {
        let c = t.start(&b);
        said.line();
        if stopped {
            c.process.signal(Signal::STOP);
        }
        c.kill("TERM").ok();
        assert_eq!(c.status(), "running");
        delete_soon(t, &c);
    }
    assert_nothing_left(t, "init resisted");
    Ok(())
}

fn traced_init(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let pid = Pid::from_raw(c.pid());
    // Traced by this thread, which reaps what is left of it: the runtime has to see the end all the same.
    ptrace::seize(pid, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(pid).unwrap();
    waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
    let deletion = c.delete_force().start();
    assert!(c.process.wait_exit(SOON), "a process that is traced was not killed");
    let _ = waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL));
    deletion.wait().ok();
    t.assert_missing(&c.id);
    assert_nothing_left(t, "init was traced");
    Ok(())
}

/// A FUSE file system whose server is there, and does not answer: who asks it for a file sleeps, and not even SIGKILL
/// wakes a process whose question was taken. Its error says so, and the container is there for another attempt.
fn stuck_init(t: &Test) -> Verdict {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let server = match rustix::fs::open("/dev/fuse", flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(error) => return Err(Skip::new(format!("/dev/fuse: {error}"))),
    };
    // Not the mount itself, of which the runtime would ask what it is.
    let volume = t.dir.join("volume");
    let point = volume.join("fuse");
    fs::create_dir_all(&point).unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let options = std::ffi::CString::new(options).unwrap();
    rustix::mount::mount("none", &point, "fuse", MountFlags::empty(), options.as_c_str()).unwrap();
    let b = t.sh("echo asking >/said; exec ls /mnt/fuse/");
    b.writable().mount("/mnt", "bind", volume.to_str().unwrap(), &["rbind"]);
    fs::create_dir(b.inside("mnt")).unwrap();
    let mut said = b.fifo("said");
    greet(&server);
    let c = t.start(&b);
    said.line();
    // Its question is taken.
    assert!(readable(&server, Duration::from_secs(20)), "the container asks for nothing");
    let mut question = [0; 65536];
    assert!((&server).read(&mut question).unwrap() > 40);
    let output = c.delete_force().deadline(Duration::from_secs(40)).fails();
    assert!(output.stderr.contains("does not end: it is in state D"), "{output}");
    assert_eq!(c.state()["id"], json!(c.id));
    assert!(!t.cgroups().directories_named(&c.id).is_empty(), "its cgroups are gone before it");
    // The server ends, and with it what was asked.
    drop(server);
    rustix::mount::unmount(&point, UnmountFlags::DETACH).unwrap();
    delete_soon(t, &c);
    assert_nothing_left(t, "init was stuck");
    Ok(())
}

/// Answers the kernel's first question (`FUSE_INIT`, linux/fuse.h).
fn greet(mut server: &File) {
    let mut question = [0; 65536];
    let length = server.read(&mut question).unwrap();
    // struct fuse_in_header: len, opcode, unique …; FUSE_INIT is 26, its body begins with major and minor.
    assert!(length > 48 && question[4] == 26);
    let mut answer = [0_u8; 16 + 64];
    answer[0] = answer.len() as u8;
    answer[8..16].copy_from_slice(&question[8..16]);
    // struct fuse_init_out: major 7, minor 31, max_readahead, flags, background, max_write …
    (answer[16], answer[20]) = (7, 31);
    answer[16 + 20..16 + 24].copy_from_slice(&4096_u32.to_ne_bytes());
    assert_eq!(server.write(&answer).unwrap(), answer.len());
}

/// A fork bomb, and what it leaves free is taken too.
fn no_pid_left(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    for limit in [20, 60] {
        let b = t.sh("(while true; do sleep 1000 & done) 2>/dev/null & exec sleep 1000");
        b.set("/linux/resources/pids", json!({"limit": limit}));
        let c = t.start(&b);
        let exec = || c.call(&["exec", "--detach"]).args(["sleep", "1000"]).output();
        let refused = (0..2 * limit).map(|_| exec()).find(|output| !output.status.success());
        let refused = refused.expect("more processes than the limit");
        refused.exits(255).says("limit of pids");
        assert_eq!(c.status(), "running");
        c.kill("USR1").ok();
        delete_soon(t, &c);
    }
    assert_nothing_left(t, "no pid was left");
    Ok(())
}

/// It runs, or says that the memory is not enough.
fn small_memory(t: &Test) -> Verdict {
    t.needs_controller("memory")?;
    let b = t.bundle();
    b.args(&["true"]);
    let mut smallest = None;
    for kib in [64_u64, 256, 512, 1024, 2048, 4096] {
        b.set("/linux/resources/memory", json!({"limit": kib << 10}));
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.output();
        if output.status.success() {
            smallest = smallest.or(Some(kib));
            let c = Container::open(t, &id);
            assert_eq!(c.status(), "created");
            let started = c.call(&["start"]).output();
            if !started.status.success() {
                let _ = started.fails();
            }
            c.delete_force().ok();
        } else {
            let output = output.fails();
            let words = output.stderr.to_lowercase();
            assert!(words.contains("memory"), "{kib} KiB: {output}");
            t.assert_missing(&id);
            assert_eq!(smallest, None, "{kib} KiB are too few, and {smallest:?} were enough");
        }
        assert_nothing_left(t, "little memory");
    }
    let smallest = smallest.expect("4 MiB are not enough");
    assert!(smallest <= 2048, "a container needs {smallest} KiB to be created");
    Ok(())
}

/// The runtime itself is in a cgroup with little memory: whatever happens to it, what it leaves is removed.
fn runtime_out_of_memory(t: &Test) -> Verdict {
    if t.lane != Lane::Hybrid && !runtime_tests::world::thorough() {
        return Err(Skip::new("as on hybrid: the runtime's memory"));
    }
    let cgroups = t.cgroups();
    let root = cgroups.v1_root("memory").ok_or_else(|| Skip::new("no memory controller in this view"))?;
    let directory = root.join(t.fresh_name());
    fs::create_dir(&directory).unwrap();
    let b = t.bundle();
    b.stays();
    let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", directory.display());
    let mut worked = false;
    for kib in [128_u64, 512, 1024, 1536, 2048, 3072, 4096, 6144, 16384] {
        fs::write(directory.join("memory.limit_in_bytes"), (kib << 10).to_string()).unwrap();
        let (call, id) = t.bundle_call("create", &b, &[]);
        let output = call.through_sh(&enter).output();
        worked = output.status.success();
        assert!(worked || output.status.code() != Some(101), "{kib} KiB: it panicked: {output}");
        runtime_tests::residue::reap_orphans(t);
        t.call(&["delete", "--force", &id]).ok();
        assert!(!t.root().join(&id).exists(), "{kib} KiB: its directory is left");
    }
    assert!(worked, "16 MiB are not enough for the runtime");
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(error) = fs::remove_dir(&directory) {
        assert!(Instant::now() < end, "{}: {error}", directory.display());
        std::thread::yield_now();
    }
    assert_nothing_left(t, "the runtime was out of memory");
    Ok(())
}

fn odd_roots(t: &Test) -> Verdict {
    let b = t.bundle();
    b.args(&["true"]).write();
    let bundle = b.path.to_str().unwrap();
    let life = |root: &str, wrapper: Option<&str>| {
        let id = t.fresh_name();
        for arguments in [
            &["create", "--bundle", bundle, &id][..],
            &["state", &id],
            &["start", &id],
            &["list"],
            &["delete", "--force", &id],
        ] {
            let call = t.bare_call(&["--root", root]).args(arguments);
            match wrapper {
                Some(script) => call.through_sh(script).ok(),
                None => call.ok(),
            };
        }
    };
    // Relative to the working directory; missing, with its parents; longer than a socket's path may be.
    life("relative/root", None);
    life(t.dir.join("far/away/root").to_str().unwrap(), None);
    let long = t.dir.join("r".repeat(100)).join("s".repeat(100));
    life(long.to_str().unwrap(), None);
    // On a file system without executables; in a fresh /run.
    let noexec = t.dir.join("noexec");
    fs::create_dir(&noexec).unwrap();
    let mount = |options: &str| format!("-t tmpfs -o {options},mode=700 none {}", noexec.display());
    let script = |options: &str| {
        ["unshare", "-m", "sh", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("mount {} && exec \"$@\"", mount(options)), "sh".to_owned()])
            .collect::<Vec<_>>()
    };
    let id = t.fresh_name();
    let run = t.bare_call(&["--root", noexec.to_str().unwrap()]).args(["run", "--bundle", bundle, &id]);
    run.through(script("noexec,nosuid,nodev")).ok();
    // One that can't be written: refused, with the path.
    let id = t.fresh_name();
    let run = t.bare_call(&["--root", noexec.to_str().unwrap()]).args(["run", "--bundle", bundle, &id]);
    run.through(script("ro")).fails().says("read-only file system").says(noexec.to_str().unwrap());
    let id = t.fresh_name();
    let below = noexec.join("missing");
    let run = t.bare_call(&["--root", below.to_str().unwrap()]).args(["run", "--bundle", bundle, &id]);
    run.through(script("ro")).fails().says("read-only file system");
    assert_nothing_left(t, "odd state roots");
    Ok(())
}

/// Whatever byte of the record is another: that is said, or the state is the same; and the others are listed.
fn damaged_record(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let (c, neighbour) = (t.create(&b), t.create(&b));
    let path = t.root().join(&c.id).join("state.json");
    let whole = fs::read(&path).unwrap();
    let before = c.call(&["state"]).ok().json();
    let (mut same, every) = (0, (whole.len() / times(40, whole.len())).max(1));
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        let state = c.call(&["state"]).output();
        if state.status.success() {
            assert_eq!(state.json(), before, "byte {at}");
            same += 1;
        } else {
            let _ = state.fails().says("state.json");
        }
        if at % every == 0 {
            let list = t.call(&["list", "--quiet"]).output();
            assert!(list.status.code().is_some_and(|code| code <= 1), "byte {at}: {list}");
            assert!(list.lines().contains(&&*neighbour.id), "byte {at}: the neighbour is not listed: {list}");
        }
    }
    // The name of the checksum itself.
    assert!(same <= ",\"crc32\":\"".len(), "{same} bytes can be others without a word");
    fs::write(&path, &whole).unwrap();
    assert_eq!(c.status(), "created");
    c.delete_force().ok();
    assert!(!neighbour.process.has_exited(), "the neighbour was killed");
    neighbour.delete_force().ok();
    assert_nothing_left(t, "a byte was another");
    Ok(())
}

/// Whatever byte of one of the two files is another, `delete --force` finds the container's processes and cgroups by the
/// other. Those first that lead elsewhere: to another boot, process or cgroup.
fn damaged_record_deleted(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().hook("poststop", json!({"path": "/bin/true"}));
    let neighbour = t.create(&b);
    for name in ["state.json", "intent.json"] {
        let words = ["bootId", "phase", "pid", "pidfsInode", "path", "inode", "mount_point", "poststop"];
        let places: Vec<_> = words.map(Some).into_iter().chain(vec![None; times(3, 200)]).collect();
        for (index, word) in places.iter().enumerate() {
            let c = t.create(&b);
            if index % 2 == 0 {
                c.start();
            }
            let path = t.root().join(&c.id).join(name);
            let mut damaged = fs::read(&path).unwrap();
            let value = word.and_then(|word| value_of(&damaged, word));
            let at = value.unwrap_or(damaged.len() * index / places.len());
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let about = format!("{name}: byte {at}, {word:?}");
            let deleted = c.delete_force().output();
            assert!(deleted.status.success(), "{about}: {deleted}");
            assert!(c.process.wait_exit(SOON), "{about}: init is alive");
            let _ = c.process.reap();
            t.assert_missing(&c.id);
            assert_eq!(
                t.cgroups().directories_named(&c.id),
                [] as [PathBuf; 0],
                "{about}: its cgroups are left"
            );
        }
    }
    assert!(!neighbour.process.has_exited(), "the neighbour was killed");
    neighbour.delete_force().ok();
    assert_nothing_left(t, "a byte of a deleted container's record was another");
    Ok(())
}

/// Where the member's value is: the last digit of a number, one of the first letters of a text.
fn value_of(record: &[u8], name: &str) -> Option<usize> {
    let member = format!("\"{name}\":");
    let value = member.len() + record.windows(member.len()).position(|it| it == member.as_bytes())?;
    let digits = record[value..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(if digits > 0 { value + digits - 1 } else { value + 2 })
}

/// Records that can't be read: an error for that container alone, and `delete --force` finds its process and its cgroup.
fn broken_records(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let neighbour = t.create(&b);
    let of = |whole: &Value, change: &dyn Fn(&mut Value)| {
        let mut record = whole.clone();
        change(&mut record);
        record.to_string().into_bytes()
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&Value) -> Vec<u8>);
    let damages: [Damage<'_>; 8] = [
        ("empty", &|_| Vec::new()),
        ("cut in the middle", &|it| it.to_string().into_bytes()[..it.to_string().len() / 2].to_vec()),
        ("null", &|_| b"null".to_vec()),
        ("no JSON", &|_| b"\xff\xfe{}".to_vec()),
        ("without its schema", &|it| of(it, &|it| drop(it.as_object_mut().unwrap().remove("schema")))),
        ("of another container", &|it| of(it, &|it| it["id"] = json!("another"))),
        ("without its boot", &|it| of(it, &|it| drop(it.as_object_mut().unwrap().remove("bootId")))),
        ("with a pid that is a word", &|it| of(it, &|it| it["init"]["pid"] = json!("one"))),
    ];
    for (about, damage) in damages {
        let c = t.create(&b);
        let path = t.root().join(&c.id).join("state.json");
        let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fs::write(&path, damage(&whole)).unwrap();
        let state = c.call(&["state"]).fails();
        assert!(state.stderr.contains("state.json"), "{about}: {state}");
        let list = t.call(&["list", "--quiet"]).output();
        assert!(list.lines().contains(&&*neighbour.id), "{about}: {list}");
        c.kill("KILL").fails();
        c.delete_force().ok();
        assert!(c.process.wait_exit(SOON), "{about}: init is alive");
        let _ = c.process.reap();
        t.assert_missing(&c.id);
        assert!(t.cgroups().directories_named(&c.id).is_empty(), "{about}: its cgroups are left");
    }
    // What is new to an older runtime is not looked at.
    let c = t.create(&b);
    let path = t.root().join(&c.id).join("state.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::write(&path, of(&whole, &|it| it["ofTheFuture"] = json!([1]))).unwrap();
    assert_eq!(c.status(), "created");
    c.delete_force().ok();
    assert!(!neighbour.process.has_exited());
    neighbour.delete_force().ok();
    assert_nothing_left(t, "records were broken");
    Ok(())
}

/// What runc and crun keep below a state root: whoever removed it would leave a container that its own runtime knows no more.
fn records_of_others(t: &Test) -> Verdict {
    let kinds: [&[(&str, &str)]; 3] = [
        &[("state.json", "{\"id\":\"c1\",\"init_process_pid\":4711}")],
        &[("state.json", "{\"id\":\"c1\",\"init_process_pid\":4711}"), ("exec.fifo", "")],
        &[("status", "{\"pid\":4711}"), ("config.json", "{}")],
    ];
    for files in kinds {
        let id = t.fresh_name();
        let directory = t.root().join(&id);
        fs::create_dir_all(&directory).unwrap();
        files.iter().for_each(|(name, text)| fs::write(directory.join(name), text).unwrap());
        for words in [&["delete"][..], &["delete", "--force"]] {
            t.call(words).args([&id]).fails().says("another runtime");
        }
        for (name, text) in files {
            assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), *text);
        }
        t.bundle_call("create", &t.sh("true"), &[]).0.ok();
        fs::remove_dir_all(&directory).unwrap();
    }
    Ok(())
}

/// What a later version has recorded means what it says: nothing of it is touched, and the container lives on.
fn records_of_later_versions(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    let directory = t.root().join(&c.id);
    let whole = ["state.json", "intent.json"].map(|name| fs::read(directory.join(name)).unwrap());
    let later = whole.each_ref().map(|bytes| {
        let mut record: Value = serde_json::from_slice(bytes).unwrap();
        let schema = if record["record"].is_null() { "/schema" } else { "/record/schema" };
        *record.pointer_mut(schema).unwrap() = json!(1_000_000);
        record.to_string().into_bytes()
    });
    let write = |records: &[Vec<u8>; 2]| {
        fs::write(directory.join("state.json"), &records[0]).unwrap();
        fs::write(directory.join("intent.json"), &records[1]).unwrap();
    };
    // Of a record that is damaged, too: the intent says whose it is.
    for records in [later.clone(), [later[0].clone(), whole[1].clone()], [b"{".to_vec(), later[1].clone()]] {
        write(&records);
        c.delete_force().fails().says("schema");
        assert!(!c.process.has_exited(), "init was ended");
        assert_eq!(fs::read(directory.join("state.json")).unwrap(), records[0]);
    }
    write(&whole);
    c.delete_force().ok();
    assert_nothing_left(t, "records were of a later version");
    Ok(())
}

/// In a mount namespace where something of the host is missing: it works, or says what is missing.
fn bare_host(t: &Test) -> Verdict {
    t.needs_program("unshare")?;
    let b = t.sh("echo inside");
    let hosts = [
        ("umount -l /proc", "/proc"),
        ("mount -t tmpfs none /proc", "/proc"),
        ("mount -t proc -o hidepid=2 proc /proc", ""),
        ("mount -t tmpfs none /dev", "/dev"),
        ("umount -l /sys", "cgroup"),
        ("mount -t tmpfs none /sys", "cgroup"),
        ("umount -l /sys/fs/cgroup", "cgroup"),
    ];
    for (script, missing) in hosts {
        let (call, id) = t.bundle_call("run", &b, &[]);
        let before = Instant::now();
        let script = format!("{script}; exec \"$@\"");
        let output = call.through(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
        assert!(before.elapsed() < Duration::from_secs(15), "{script}: {:?}", before.elapsed());
        if output.status.success() {
            assert_eq!(output.text(), "inside", "{script}");
        } else {
            let output = output.fails();
            assert!(!missing.is_empty() && output.stderr.contains(missing), "{script}: {output}");
        }
        t.call(&["delete", "--force", &id]).ok();
        assert_nothing_left(t, &script);
    }
    Ok(())
}

/// A container with the runtime in it, and all rights but over the host's namespaces; what it runs, and what it prints.
fn with_runtime_inside(t: &Test) -> Bundle {
    let inner = t.sh("echo inside");
    inner.write();
    let b = t.bundle();
    b.writable().capabilities(&ALL_CAPABILITIES).unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    b.set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
    b.without_mount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["rw", "nosuid", "noexec", "nodev"],
    );
    // A runtime that is not linked statically finds its libraries.
    for directory in ["/lib", "/lib64", "/usr"].into_iter().filter(|it| Path::new(it).exists()) {
        b.mount(directory, "bind", directory, &["rbind", "ro"]);
    }
    fs::write(b.inside("runtime"), "").unwrap();
    b.mount("/runtime", "bind", t.runtime.path.to_str().unwrap(), &["bind", "ro"]);
    b.mount("/inner", "bind", inner.path.to_str().unwrap(), &["bind"]);
    b.mount("/run", "tmpfs", "tmpfs", &["mode=755"]);
    b
}

const ALL_CAPABILITIES: [&str; 12] = [
    "CAP_SYS_ADMIN",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_KILL",
    "CAP_NET_ADMIN",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_NET_BIND_SERVICE",
];

/// Runs, or is refused by the host with a sentence; the words of the refusal.
fn run_inside(t: &Test, b: &Bundle) -> Option<String> {
    b.sh("/runtime --root /run/inner run --bundle /inner one; echo $?; ls -A /run/inner");
    let output = t.run(b).output().ok();
    let lines = output.lines();
    if lines.first() == Some(&"inside") {
        assert_eq!(lines, ["inside", "0"], "{output}");
        return None;
    }
    // Nothing is left of it inside either.
    assert_eq!(lines, ["1"], "{output}");
    assert!(output.stderr.contains("sandboxd: error: run one: "), "{output}");
    Some(output.stderr)
}

fn nested(t: &Test) -> Verdict {
    let b = with_runtime_inside(t);
    if let Some(refusal) = run_inside(t, &b) {
        panic!("a runtime in a container runs none: {refusal}");
    }
    assert_nothing_left(t, "a container in a container");
    Ok(())
}

/// Its cgroups may be closed to it there: it works, or says what is.
fn nested_in_user_namespace(t: &Test) -> Verdict {
    let b = with_runtime_inside(t);
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    if let Some(refusal) = run_inside(t, &b) {
        assert!(refusal.contains("denied") || refusal.contains("not permitted"), "{refusal}");
    }
    assert_nothing_left(t, "a container in a container with a user namespace");
    Ok(())
}

fn exec_into_states(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.create(&b);
    c.call(&["exec"]).args(["sh", "-c", "exit 3"]).output().exits(3);
    c.start();
    c.call(&["exec"]).args(["sh", "-c", "exit 4"]).output().exits(4);
    c.call(&["exec", "--cwd", "/nowhere"]).args(["true"]).output().exits(255).says("/nowhere");
    c.call(&["exec", "--user", "nobody-of-these"]).args(["true"]).output().exits(255);
    c.call(&["exec"]).args(["/no/such/program"]).output().exits(255).says("/no/such/program");
    if t.cgroups().has("freezer") || t.cgroups().v2_root().is_some() {
        c.call(&["pause"]).ok();
        c.call(&["exec"]).args(["true"]).output().exits(255).says("paused");
        c.call(&["resume"]).ok();
    }
    c.stop();
    c.call(&["exec"]).args(["true"]).output().exits(255).says("stopped");
    c.delete_force().ok();
    c.call(&["exec"]).args(["true"]).output().exits(255).says("does not exist");
    assert_nothing_left(t, "execs into every state");
    Ok(())
}

fn many_execs(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let running: Vec<_> = (0..times(64, 200))
        .map(|number| {
            let script = format!("exit {}", number % 100);
            let call = c.call(&["exec"]).args(["sh", "-c", &script]);
            (number % 100, call.deadline(Duration::from_secs(60)).start())
        })
        .collect();
    for (code, running) in running {
        running.wait().exits(code as i32);
    }
    // Their processes are gone, from its pid namespace and its cgroup.
    let pids = c.call(&["ps", "--format", "json"]).ok().json();
    assert_eq!(pids, json!([c.pid()]));
    c.delete_force().ok();
    assert_nothing_left(t, "many execs");
    Ok(())
}

/// Execs while init ends: each runs, is killed with the container, or is refused; none hangs.
fn exec_into_ending(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    for round in 0..times(4, 40) {
        let c = t.start(&b);
        let running: Vec<_> = (0..8)
            .map(|_| c.call(&["exec"]).args(["sleep", "1000"]).deadline(Duration::from_secs(40)).start())
            .collect();
        if round % 2 == 0 {
            c.stop();
        } else {
            c.delete_force().ok();
        }
        for running in running {
            let output = running.wait();
            let code = output.status.code();
            assert!(matches!(code, Some(137 | 255)), "{output}");
            assert!(code == Some(137) || !output.stderr.trim().is_empty(), "without a word: {output}");
        }
        c.delete_force().ok();
    }
    assert_nothing_left(t, "execs into an ending container");
    Ok(())
}

fn odd_signals(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    for signal in ["65", "-1", "1000", "SIGNONE", "SIG", "RTMIN+31", "RTMAX-31", "0x9", "9 ", "4294967305"] {
        let output = t.call(&["kill", &c.id, "--", signal]).fails();
        assert!(output.stderr.to_lowercase().contains("signal"), "{signal}: {output}");
        assert!(!c.process.has_exited(), "{signal} has ended it");
    }
    t.call(&["kill", &c.id, "0"]).ok();
    assert!(!c.process.has_exited());
    for (signal, number) in [("64", 64), ("SIGRTMIN+3", 37), ("RTMAX", 64)] {
        let c = t.start(&b);
        // The sleep takes each of them as its end.
        t.call(&["kill", &c.id, signal]).ok();
        let ended = c.process.wait_exit(Duration::from_secs(20));
        assert!(!ended || c.process.reap() == Some(128 + number), "{signal}");
        // As pid 1 of its namespace it is spared by what it has no handler for.
        c.delete_force().ok();
    }
    c.stop();
    c.kill("TERM").fails().says("not running");
    t.call(&["kill", &c.id, "0"]).fails().says("not running");
    c.delete_force().ok();
    assert_nothing_left(t, "odd signals");
    Ok(())
}

/// While a container ends, an update has all of its values or none, and never hangs.
fn update_of_ending(t: &Test) -> Verdict {
    t.needs_controller("pids")?;
    let b = t.bundle();
    b.stays().set("/linux/resources/pids", json!({"limit": 100}));
    for _ in 0..times(4, 40) {
        let c = t.start(&b);
        let update = c.call(&["update", "--pids-limit", "50"]).start();
        c.process.signal(Signal::KILL);
        let output = update.wait();
        if !output.status.success() {
            output.fails().says("container not running");
        }
        let update = c.call(&["update", "--pids-limit", "60"]).start();
        c.delete_force().ok();
        let output = update.wait();
        if !output.status.success() {
            let _ = output.fails();
        }
    }
    // The second value is refused: the first is as it was.
    let c = t.start(&b);
    let directory = t.cgroups().directory_of(c.pid(), "pids").unwrap();
    let resources = json!({"pids": {"limit": 40}, "cpu": {"cpus": "4000"}});
    t.call(&["update", "--resources", "-", &c.id]).stdin(&resources.to_string()).fails();
    assert_eq!(read(&directory, "pids.max"), "100");
    c.delete_force().ok();
    assert_nothing_left(t, "updates of an ending container");
    Ok(())
}

fn kill_paused(t: &Test) -> Verdict {
    let b = t.sh("while true; do true; done & while true; do sleep 1; done");
    for verb in [&["kill"][..], &["delete", "--force"]] {
        let c = t.start(&b);
        c.call(&["pause"]).ok();
        assert_eq!(c.status(), "paused");
        let mut arguments = verb.to_vec();
        arguments.push(&c.id);
        arguments.extend(verb.contains(&"kill").then_some("KILL"));
        t.call(&arguments).ok();
        assert!(c.process.wait_exit(SOON), "{verb:?} has not ended it");
        c.delete_force().ok();
    }
    // Pauses, resumes and a kill at a time.
    for _ in 0..times(3, 30) {
        let c = t.start(&b);
        let calls: Vec<_> =
            ["pause", "resume", "pause"].map(|verb| c.call(&[verb]).start()).into_iter().collect();
        c.kill("KILL").ok();
        for running in calls {
            let output = running.wait();
            if !output.status.success() {
                let _ = output.fails();
            }
        }
        assert!(c.process.wait_exit(SOON), "it lives on after SIGKILL");
        c.delete_force().ok();
    }
    assert_nothing_left(t, "pauses and kills");
    Ok(())
}

fn program(b: &Bundle, name: &str, content: &[u8], mode: u32) {
    let path = b.inside(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The words by which engines choose 126 or 127.
fn odd_programs(t: &Test) -> Verdict {
    let b = t.bundle();
    let mut arm = fs::read(b.inside("bin/busybox")).unwrap();
    arm[18] = 40;
    program(&b, "empty", b"", 0o755);
    program(&b, "plain", b"not a program\n", 0o755);
    program(&b, "denied", b"#!/bin/sh\n", 0o644);
    program(&b, "orphan", b"#!/no/such/shell\n", 0o755);
    program(&b, "arm", &arm, 0o755);
    fs::create_dir(b.inside("directory")).unwrap();
    let table = [
        ("/empty", "exec format error"),
        ("/plain", "exec format error"),
        ("/arm", "exec format error"),
        ("/denied", "permission denied"),
        ("/directory", ""),
        ("/orphan", "no such file or directory"),
        ("/missing", "no such file or directory"),
        ("missing", "executable file not found in $path"),
        ("", ""),
    ];
    for (name, words) in table {
        b.args(&[name]);
        let (call, id) = t.bundle_call("run", &b, &[]);
        call.output().exits(1).fails().says(words);
        t.assert_missing(&id);
    }
    b.stays();
    let c = t.start(&b);
    for (name, words) in table {
        c.call(&["exec"]).args([name]).output().exits(255).fails().says(words);
    }
    c.delete_force().ok();
    assert_nothing_left(t, "programs that are none");
    Ok(())
}

/// Somebody has it open for writing.
fn written_program(t: &Test) -> Verdict {
    let b = t.bundle();
    let busybox = fs::read(b.inside("bin/busybox")).unwrap();
    fs::create_dir(b.inside("written")).unwrap();
    program(&b, "written/true", &busybox, 0o755);
    let writer = fs::File::options().write(true).open(b.inside("written/true")).unwrap();
    b.args(&["/written/true"]);
    let (call, id) = t.bundle_call("run", &b, &[]);
    // Linux 6.11 lets it be executed all the same.
    let output = call.output();
    if !output.status.success() {
        output.exits(1).fails().says("text file busy");
    }
    t.assert_missing(&id);
    drop(writer);
    // A program that another test starts at this moment has the descriptor too, until its execve.
    let end = Instant::now() + DEADLINE;
    let mut output = t.run(&b).output();
    while output.has_said("text file busy") && Instant::now() < end {
        output = t.run(&b).output();
    }
    assert!(output.status.success(), "{output}");
    assert_nothing_left(t, "a program that is being written");
    Ok(())
}

fn short_payloads(t: &Test) -> Verdict {
    let b = t.bundle();
    for code in [0, 1, 126, 127, 255] {
        b.sh(&format!("exit {code}"));
        t.run(&b).output().exits(code);
        let (call, id) = t.bundle_call("run", &b, &["--detach"]);
        call.ok();
        // It may have ended before anybody has looked.
        let c = t.state(&id);
        assert!(matches!(c["status"].as_str(), Some("running" | "stopped")), "{c}");
        t.call(&["delete", "--force", &id]).ok();
    }
    b.sh("kill -TERM $$; trap - TERM; exit 7");
    t.run(&b).output().exits(7);
    assert_nothing_left(t, "payloads that end at once");
    Ok(())
}

fn unwritable_paths(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let bundle = b.path.to_str().unwrap();
    let missing = t.dir.join("missing/file");
    let directory = t.dir.join("directory");
    fs::create_dir(&directory).unwrap();
    for path in [missing.as_path(), &directory, Path::new("/proc/sandboxd")] {
        let path = path.to_str().unwrap();
        let (call, id) = t.bundle_call("create", &b, &["--pid-file", path]);
        call.fails();
        t.assert_missing(&id);
        let (call, id) = t.bundle_call("create", &b, &["--console-socket", path]);
        call.fails();
        t.assert_missing(&id);
        let id = t.fresh_id();
        let call = t.bare_call(&["--log", path, "--root", t.root().to_str().unwrap()]);
        let output = call.args(["create", "--bundle", bundle, &id]).output();
        // A log that can't be had is no reason not to run, or is one: in either case it is whole.
        if output.status.success() {
            t.call(&["delete", "--force", &id]).ok();
        } else {
            let _ = output.fails();
            t.assert_missing(&id);
        }
        assert_nothing_left(t, &format!("a path that can't be written: {path:?}"));
    }
    // An empty one is none, as for runc: a script's variable that is not set.
    t.create_with(&b, &["--pid-file", "", "--console-socket", ""]).delete_force().ok();
    assert_nothing_left(t, "empty paths");
    // A link that somebody has put there: what it leads to is not written for the pid.
    let link = t.dir.join("planted");
    std::os::unix::fs::symlink(t.canary().join("secret"), &link).unwrap();
    let c = t.create_with(&b, &["--pid-file", link.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(t.canary().join("secret")).unwrap(), t.token);
    c.delete_force().ok();
    Ok(())
}

/// Neither the container's directory nor its records can do without their owner's rights.
fn umask_of_all(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let pid_file = t.dir.join("pid");
    for (umask, mode) in [("0777", None), ("0700", None), ("0077", Some(0o600))] {
        let (call, id) = t.bundle_call("create", &b, &["--pid-file", pid_file.to_str().unwrap()]);
        call.through_sh(&format!("umask {umask}; exec \"$@\"")).ok();
        let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let directory = t.root().join(&id);
        assert_eq!(mode_of(&directory) & 0o700, 0o700, "umask {umask}");
        for name in ["state.json", "intent.json"] {
            assert_eq!(mode_of(&directory.join(name)), 0o600, "umask {umask}: {name}");
        }
        if let Some(mode) = mode {
            assert_eq!(mode_of(&pid_file), mode, "umask {umask}: the pid file");
        }
        let c = Container::open(t, &id);
        c.start();
        assert_eq!(status_of(c.pid(), "Umask"), "0022");
        c.delete_force().ok();
    }
    Ok(())
}

/// The id is somebody else's by then.
fn foreground_signal(t: &Test) -> Verdict {
    let b = t.sh("trap 'exit 42' TERM; echo ready >/said; while true; do sleep 0.1; done");
    b.writable();
    let mut said: Fifo = b.fifo("said");
    b.set("/linux/cgroupsPath", format!("/{}", t.fresh_name()));
    let (call, id) = t.bundle_call("run", &b, &[]);
    let running = call.start();
    said.line();
    let first = Container::open(t, &id);
    let (directory, aside) = (t.root().join(&id), t.dir.join("aside"));
    fs::rename(&directory, &aside).unwrap();
    let other = t.bundle();
    other.stays().set("/linux/cgroupsPath", format!("/{}", t.fresh_name()));
    other.write();
    t.call(&["create", "--bundle", other.path.to_str().unwrap(), &id]).ok();
    let second = Container::open(t, &id);
    second.start();
    running.process.signal(Signal::TERM);
    running.wait().exits(42);
    assert!(first.process.has_exited());
    let process: &Process = &second.process;
    assert!(!process.has_exited(), "the other container got the signal");
    second.delete_force().ok();
    fs::rename(&aside, &directory).unwrap();
    t.call(&["delete", "--force", &id]).ok();
    assert_nothing_left(t, "the id was another's");
    Ok(())
}

//! podman and buildah of an ordinary user over the runtime, which they start as root of a user namespace of theirs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use runtime_tests::cgroup::read;
use runtime_tests::user::KEPT_GROUPS;
use runtime_tests::wait::Fifo;
use runtime_tests::{Call, Case, Lane, Runtime, Skip, Test, User, Verdict};

type Check = fn(&Engine<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("run_ids_status_and_read_only", run),
    ("run_keep_id_and_volume", keep_id),
    ("run_keep_groups", keep_groups),
    ("run_in_namespaces_of_the_host", host_namespaces),
    ("run_detached_logs_and_stop", detached),
    ("run_published_port", published_port),
    ("exec_in_a_container", exec),
    ("buildah_builds", build),
];

/// What needs a systemd of the user's own.
const SESSION_CHECKS: &[(&str, Check)] = &[
    ("limits_are_the_kernels_and_systemds", limits),
    ("pause_healthcheck_and_stop", pause),
    ("pod_containers_share_namespaces", pod),
];

pub(super) fn cases() -> Vec<Case> {
    let alone = super::over_both("rootless_podman", CHECKS, with_engine);
    let all = [CHECKS, SESSION_CHECKS].into_iter();
    let session =
        all.flat_map(|checks| super::over_both_in(Lane::V2, "rootless_podman_session", checks, with_session));
    alone.into_iter().chain(session).collect()
}

/// With the user's own systemd as podman's cgroup manager.
fn with_session(t: &Test, runtime: &Runtime, check: Check) -> Verdict {
    needs_programs(t)?;
    let user = User::with_session(t, &runtime.path)?;
    check(&Engine::start(t, runtime, user, "systemd"))
}

fn needs_programs(t: &Test) -> Verdict {
    for program in ["podman", "conmon", "tar"] {
        t.needs_program(program)?;
    }
    // What podman 5 takes by default, or an older one.
    t.needs_program("pasta").or_else(|_| t.needs_program("slirp4netns"))
}

fn with_engine(t: &Test, runtime: &Runtime, check: Check) -> Verdict {
    if t.lane == Lane::V1 {
        return Err(Skip::new("as on hybrid: nothing is delegated"));
    }
    needs_programs(t)?;
    if !std::path::Path::new("/dev/net/tun").exists() {
        return Err(Skip::new("the machine has no /dev/net/tun"));
    }
    if runtime.name == "crun" && t.lane == Lane::Hybrid {
        return Err(Skip::new("crun refuses hybrid cgroups"));
    }
    let user = User::create(t, &runtime.path)?;
    check(&Engine::start(t, runtime, user, "cgroupfs"))
}

/// An ordinary user's podman, with one image.
struct Engine<'t> {
    user: User<'t>,
    test: &'t Test,
    /// `containers.conf`, `storage.conf`.
    dir: PathBuf,
}

impl<'t> Engine<'t> {
    fn start(test: &'t Test, runtime: &Runtime, user: User<'t>, manager: &str) -> Self {
        let dir = test.dir.join("p");
        fs::create_dir_all(&dir).unwrap();
        let limits = if test.lane == Lane::V2 && manager == "cgroupfs" { "pids_limit = 0\n" } else { "" };
        let conf = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n{limits}\
             [engine]\ncgroup_manager = \"{manager}\"\nevents_logger = \"none\"\nlock_type = \"file\"\nruntime = \"{0}\"\n\
             runtime_supports_json = [\"{0}\"]\n[engine.runtimes]\n\"{0}\" = [\"{1}\"]\n",
            runtime.name,
            user.runtime.display()
        );
        fs::write(dir.join("containers.conf"), conf).unwrap();
        fs::write(dir.join("storage.conf"), "[storage]\ndriver = \"vfs\"\n").unwrap();
        let bundle = test.bundle();
        // Its busybox is shared with every bundle: tar wants a file that nobody links meanwhile.
        fs::copy(bundle.inside("/bin/busybox"), dir.join("busybox")).unwrap();
        fs::rename(dir.join("busybox"), bundle.inside("/bin/busybox")).unwrap();
        let archive = dir.join("image.tar");
        Call::new(["tar", "-C", bundle.rootfs().to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."])
            .ok();
        let engine = Self { user, test, dir };
        let change = "CMD [\"/bin/sh\"]";
        engine.podman(&["import", "--change", change, archive.to_str().unwrap(), "localhost/bb"]).ok();
        engine
    }

    fn call(&self, words: &[&str]) -> Call {
        let path = |name: &str| self.dir.join(name);
        self.user
            .call(words)
            .env("CONTAINERS_CONF", path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", path("storage.conf"))
    }

    fn podman(&self, words: &[&str]) -> Call {
        self.call(&["podman", "--log-level", "error"]).args(words)
    }

    /// `run` with flags, the image, and a script.
    fn run(&self, flags: &[&str], script: &str) -> Call {
        self.podman(&["run"]).args(flags).args(["localhost/bb", "sh", "-c", script])
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let _ = self.podman(&["pod", "rm", "--force", "--all", "--time", "0"]).output();
        let _ = self.podman(&["rm", "--force", "--all", "--time", "0"]).output();
        // Ends the process that holds podman's namespaces.
        let _ = self.podman(&["system", "migrate"]).output();
    }
}

fn words(call: Call) -> Vec<String> {
    call.ok().stdout.split_whitespace().map(str::to_owned).collect()
}

fn run(e: &Engine<'_>) -> Verdict {
    let script = "id -u; cat /proc/self/uid_map; touch /file 2>/dev/null || echo sealed; exit 3";
    let output = e.run(&["--rm", "--read-only", "--network=none"], script).output().exits(3);
    let (id, first) = (e.user.id.to_string(), e.user.first_subordinate.to_string());
    let found: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(found, ["0", "0", &id, "1", "1", &first, "65536", "sealed"]);
    let script = "id -u; grep Groups /proc/self/status";
    let found = words(e.run(&["--rm", "--network=none", "--user=1000:1000", "--group-add=55"], script));
    assert_eq!((&*found[0], found.iter().any(|word| word == "55")), ("1000", true), "{found:?}");
    let _ = e.podman(&["run", "--rm", "--network=none", "localhost/bb", "absent"]).output().exits(127);
    Ok(())
}

fn keep_id(e: &Engine<'_>) -> Verdict {
    let volume = e.user.home.join("volume");
    e.user.call(&["mkdir", volume.to_str().unwrap()]).ok();
    let mount = format!("{}:/mnt", volume.display());
    let flags = ["--rm", "--network=none", "--userns=keep-id", "-v", &mount];
    let id = e.user.id.to_string();
    assert_eq!(words(e.run(&flags, "id -u; echo kept >/mnt/file; stat -c %u /mnt/file")), [&*id, &id]);
    assert_eq!(fs::metadata(volume.join("file")).unwrap().uid(), e.user.id);
    let mount = format!("{}:/mnt:ro", volume.display());
    let flags = ["--rm", "--network=none", "-v", &mount];
    assert_eq!(
        words(e.run(&flags, "cat /mnt/file; touch /mnt/other 2>/dev/null || echo sealed")),
        ["kept", "sealed"]
    );
    Ok(())
}

fn keep_groups(e: &Engine<'_>) -> Verdict {
    const GROUP: u32 = 4711;
    let volume = e.user.home.join("volume");
    fs::create_dir(&volume).unwrap();
    e.user.write_for_group(&volume.join("shared"), GROUP);
    let mount = format!("{}:/mnt:ro", volume.display());
    let read = |more: &[&str]| {
        let flags = [&["--rm", "--network=none", "-v", &mount], more].concat();
        let script = "cat /mnt/shared 2>/dev/null || echo refused";
        words(e.run(&flags, script).env(KEPT_GROUPS, GROUP.to_string()))
    };
    assert_eq!(read(&["--group-add=keep-groups"]), ["shared"]);
    assert_eq!(read(&[]), ["refused"]);
    Ok(())
}

fn host_namespaces(e: &Engine<'_>) -> Verdict {
    let flags = ["--rm", "--network=host", "--pid=host", "--uts=host"];
    assert_eq!(words(e.run(&flags, "test -d /proc/self && test -d /sys/kernel && echo there")), ["there"]);
    Ok(())
}

fn detached(e: &Engine<'_>) -> Verdict {
    let volume = e.user.home.join("volume");
    fs::create_dir(&volume).unwrap();
    let mut ready = Fifo::create(&volume.join("ready"));
    fs::set_permissions(volume.join("ready"), fs::Permissions::from_mode(0o666)).unwrap();
    let mount = format!("{}:/mnt", volume.display());
    let script = "trap 'exit 9' TERM; echo started; echo ready >/mnt/ready; while :; do sleep 0.1; done";
    e.run(&["-d", "--name=web", "-v", &mount], script).ok();
    assert_eq!(ready.line(), "ready");
    assert_eq!(e.podman(&["ps", "--format", "{{.Names}}"]).ok().text(), "web");
    e.podman(&["stop", "--time", "10", "web"]).ok();
    assert_eq!(e.podman(&["logs", "web"]).ok().text(), "started");
    assert_eq!(e.podman(&["inspect", "--format", "{{.State.ExitCode}}", "web"]).ok().text(), "9");
    Ok(())
}

fn published_port(e: &Engine<'_>) -> Verdict {
    e.run(&["-d", "-p", "8080:80"], "echo served >/tmp/index.html; exec httpd -f -p 80 -h /tmp").ok();
    let busybox = e.test.bundle().inside("/bin/busybox");
    // The container's process is there when run returns, its socket a moment later.
    let script =
        "for i in $(seq 200); do \"$0\" wget -q -O - http://127.0.0.1:8080/index.html && exit; done; exit 1";
    assert_eq!(e.user.call(&["sh", "-c", script, busybox.to_str().unwrap()]).ok().text(), "served");
    Ok(())
}

fn exec(e: &Engine<'_>) -> Verdict {
    for flags in [&["--userns=host"][..], &["--userns=keep-id", "--user=0"]] {
        let id =
            e.run(&[&["-d", "--network=none"], flags].concat(), "exec sleep 1000").ok().text().to_owned();
        assert_eq!(e.podman(&["exec", &id, "sh", "-c", "id -u; exit 5"]).output().exits(5).text(), "0");
        e.podman(&["rm", "--force", "--time", "0", &id]).ok();
    }
    Ok(())
}

fn build(e: &Engine<'_>) -> Verdict {
    e.test.needs_program("buildah")?;
    let context = e.user.home.join("context");
    e.user.call(&["mkdir", context.to_str().unwrap()]).ok();
    let recipe = "FROM localhost/bb\nRUN id -u >/built && test -c /dev/null\nCMD [\"cat\", \"/built\"]\n";
    fs::write(context.join("Dockerfile"), recipe).unwrap();
    let runtime = e.user.runtime.to_str().unwrap();
    e.call(&["buildah", "build", "--runtime", runtime, "--isolation", "rootless", "-t", "localhost/built"])
        .args([&context])
        .ok();
    assert_eq!(e.podman(&["run", "--rm", "--network=none", "localhost/built"]).ok().text(), "0");
    Ok(())
}

/// The container's cgroup, as the kernel has it.
fn cgroup_of(e: &Engine<'_>, id: &str) -> PathBuf {
    let pid = e.podman(&["inspect", "--format", "{{.State.Pid}}", id]).ok().text().parse().unwrap();
    e.test.cgroups().directory_of(pid, "memory").expect("its cgroup")
}

fn limits(e: &Engine<'_>) -> Verdict {
    let flags = ["-d", "--network=none", "--memory=64m", "--pids-limit=42", "--cpus=0.5"];
    let id = e.run(&flags, "exec sleep 1000").ok().text().to_owned();
    let directory = cgroup_of(e, &id);
    let path = directory.to_str().unwrap();
    assert!(path.contains(&format!("/user@{}.service/", e.user.id)), "{path}");
    let limits = || ["memory.max", "pids.max", "cpu.max"].map(|file| read(&directory, file));
    assert_eq!(limits(), ["67108864", "42", "50000 100000"]);
    let unit = format!("libpod-{id}.scope");
    let memory = || {
        let show = ["systemctl", "--user", "show", "--value", "--property=MemoryMax", &unit];
        e.user.call(&show).ok().text().to_owned()
    };
    assert_eq!(memory(), "67108864");
    e.podman(&["update", "--memory=32m", "--pids-limit=43", "--cpus=0.25", &id]).ok();
    assert_eq!(limits(), ["33554432", "43", "25000 100000"]);
    assert_eq!(memory(), "33554432");
    assert_eq!(words(e.podman(&["exec", &id, "cat", "/sys/fs/cgroup/pids.max"])), ["43"]);
    e.podman(&["rm", "--force", "--time", "0", &id]).ok();
    assert!(!directory.exists(), "{path}");
    Ok(())
}

fn pause(e: &Engine<'_>) -> Verdict {
    let flags = ["-d", "--network=none", "--health-cmd=test -e /healthy", "--health-interval=disable"];
    let id = e.run(&flags, "trap 'exit 9' TERM; while :; do sleep 0.1; done").ok().text().to_owned();
    let frozen = || read(&cgroup_of(e, &id), "cgroup.freeze");
    e.podman(&["pause", &id]).ok();
    assert_eq!(frozen(), "1");
    e.podman(&["unpause", &id]).ok();
    assert_eq!(frozen(), "0");
    let _ = e.podman(&["healthcheck", "run", &id]).output().exits(1);
    e.podman(&["exec", &id, "touch", "/healthy"]).ok();
    e.podman(&["healthcheck", "run", &id]).ok();
    e.podman(&["stop", "--time", "60", &id]).ok();
    assert_eq!(e.podman(&["inspect", "--format", "{{.State.ExitCode}}", &id]).ok().text(), "9");
    Ok(())
}

fn pod(e: &Engine<'_>) -> Verdict {
    let infra = ["--infra-image", "localhost/bb", "--infra-command", "sleep 1000"];
    e.podman(&["pod", "create", "--name=pod", "--network=none", "--memory=128m"]).args(infra).ok();
    let pids = ["first", "second"].map(|name| {
        e.podman(&["run", "-d", "--pod=pod", "--name", name, "localhost/bb", "sleep", "1000"]).ok();
        e.podman(&["inspect", "--format", "{{.State.Pid}}", name]).ok().text().to_owned()
    });
    for kind in ["net", "ipc", "uts"] {
        let [first, second] =
            pids.each_ref().map(|pid| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap());
        assert_eq!(first, second, "{kind}");
    }
    let slice = cgroup_of(e, "first").parent().unwrap().to_owned();
    assert_eq!(
        (slice.as_path(), &*read(&slice, "memory.max")),
        (cgroup_of(e, "second").parent().unwrap(), "134217728")
    );
    e.podman(&["pod", "rm", "--force", "--time=0", "pod"]).ok();
    assert_eq!(e.podman(&["ps", "--all", "--quiet"]).ok().text(), "");
    Ok(())
}

//! An ordinary user of the machine, with ranges of subordinate ids, that exists in a mount namespace of its own only:
//! copies of `/etc/passwd` and its like lie over the machine's there. Its network is empty but for `lo`, its
//! `/dev/net/tun` open to it, and on v2 it has a cgroup that is delegated to it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::bundle::Bundle;
use crate::command::Call;
use crate::lane::Lane;
use crate::residue;
use crate::suite::Skip;
use crate::test::{TOKEN_VARIABLE, Test};
use crate::wait::Fifo;

/// The user's id and its group's; nobody's on a machine of Debian's kind.
pub const ID: u32 = 4242;

/// The first of the user's 65536 subordinate ids, of both kinds.
pub const FIRST_SUBORDINATE: u32 = 500_000;

/// Files that tell of users; what is appended to each.
const FILES: [(&str, &str); 4] = [
    ("passwd", "tester:x:4242:4242::/:/bin/sh\n"),
    ("group", "tester:x:4242:\n"),
    ("subuid", "tester:500000:65536\n"),
    ("subgid", "tester:500000:65536\n"),
];

/// The user, and the namespaces in which it is one.
#[derive(Debug)]
pub struct User<'t> {
    test: &'t Test,
    /// Home directory.
    pub home: PathBuf,
    /// A copy of the runtime that the user can reach.
    pub runtime: PathBuf,
    /// The delegated cgroup, where there is one; the user's processes are in `session` below it.
    pub cgroup: Option<PathBuf>,
    holder: Child,
}

impl<'t> User<'t> {
    /// Makes the user, who runs the runtime at `runtime`.
    ///
    /// # Errors
    /// The skip: something is not installed.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn create(test: &'t Test, runtime: &Path) -> Result<Self, Skip> {
        for program in ["unshare", "nsenter", "setpriv", "newuidmap", "newgidmap", "ip"] {
            test.needs_program(program)?;
        }
        if let Some((name, _)) = FILES.iter().find(|(name, _)| !Path::new("/etc").join(name).exists()) {
            return Err(Skip::new(format!("the machine has no /etc/{name}")));
        }
        let dir = test.dir.join("u");
        let home = dir.join("home");
        fs::create_dir_all(dir.join("etc")).expect("make a directory");
        for (name, line) in FILES {
            let text = fs::read_to_string(Path::new("/etc").join(name)).expect("read a file of /etc") + line;
            fs::write(dir.join("etc").join(name), text).expect("write a file");
        }
        for (directory, mode) in [(&home, 0o755), (&dir.join("run"), 0o700)] {
            fs::create_dir(directory).expect("make a directory");
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("chmod");
            chown(directory, Some(ID), Some(ID)).expect("chown");
        }
        let copy = dir.join(runtime.file_name().expect("a program"));
        fs::copy(runtime, &copy).expect("copy the runtime");
        let ready = dir.join("ready");
        let mut fifo = Fifo::create(&ready);
        let script =
            "cd \"$0\" && for name in passwd group subuid subgid; do mount --bind etc/$name /etc/$name; done
            mknod -m 666 tun c 10 200 && [ -e /dev/net/tun ] && mount --bind tun /dev/net/tun
            mkdir -p /run/user/4242 && mount --bind run /run/user/4242
            ip link set lo up; echo ready >ready; exec sleep 1000";
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", script])
            .arg(&dir)
            .env(TOKEN_VARIABLE, &test.token)
            .stdin(Stdio::null())
            .spawn()
            .expect("start unshare");
        assert_eq!(fifo.line(), "ready");
        let cgroup = (test.lane == Lane::V2).then(|| delegate(test));
        Ok(Self { test, home, runtime: copy, cgroup, holder })
    }

    /// What the user has as `$XDG_RUNTIME_DIR`; there it is `/run/user/4242`, which leaves room in a socket's address.
    #[must_use]
    pub fn runtime_directory(&self) -> PathBuf {
        self.home.with_file_name("run")
    }

    /// A call of any program, as the user, in its home directory.
    #[must_use]
    pub fn call<S: AsRef<OsStr>>(&self, argv: &[S]) -> Call {
        let cgroup = self.cgroup.as_ref().map_or_else(PathBuf::new, |cgroup| cgroup.join("session"));
        let script = "[ -z \"$CGROUP\" ] || echo 0 >\"$CGROUP/cgroup.procs\"
            exec nsenter --target \"$HOLDER\" --mount --net setpriv --reuid 4242 --regid 4242 --clear-groups \
            sh -c 'unset CGROUP HOLDER; cd \"$HOME\" && exec \"$@\"' sh \"$@\"";
        Call::new(argv)
            .through_sh(script)
            .env("HOLDER", self.holder.id().to_string())
            .env("CGROUP", cgroup)
            .env("HOME", &self.home)
            .env("USER", "tester")
            .env("XDG_RUNTIME_DIR", "/run/user/4242")
            .env("XDG_DATA_HOME", self.home.join("data"))
            .env("XDG_CONFIG_HOME", self.home.join("config"))
            .env("TMPDIR", &self.home)
            .env(TOKEN_VARIABLE, &self.test.token)
    }

    /// A call of the runtime, without any global flag.
    #[must_use]
    pub fn runtime<S: AsRef<OsStr>>(&self, args: &[S]) -> Call {
        self.call(&[&self.runtime]).args(args)
    }

    /// A bundle that belongs to the user, with the config that `spec --rootless` writes, without a terminal.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        let bundle = self.test.bundle();
        for directory in [bundle.path.clone(), bundle.rootfs()] {
            chown(&directory, Some(ID), Some(ID)).expect("chown");
        }
        for entry in fs::read_dir(bundle.rootfs()).expect("read a directory").flatten() {
            chown(entry.path(), Some(ID), Some(ID)).expect("chown");
        }
        bundle.without_namespace("network").namespace("user", None);
        bundle.without_mount("/sys").mount(
            "/sys",
            "none",
            "/sys",
            &["rbind", "nosuid", "noexec", "nodev", "ro"],
        );
        bundle.without_mount("/sys/fs/cgroup").without_mount("/dev/pts").without_mount("/dev/mqueue");
        bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
        bundle.unset("/linux/resources").without_namespace("cgroup");
        self.map(&bundle, 1);
        bundle
    }

    /// Maps the user to root, and from 1 on `size − 1` of its subordinate ids.
    pub fn map(&self, bundle: &Bundle, size: u32) {
        let mut map = vec![json!({"containerID": 0, "hostID": ID, "size": 1})];
        if size > 1 {
            map.push(json!({"containerID": 1, "hostID": FIRST_SUBORDINATE, "size": size - 1}));
        }
        bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    }

    /// `VERB --bundle B FLAGS ID`, with a fresh id.
    #[must_use]
    pub fn bundle_call(&self, verb: &str, bundle: &Bundle, flags: &[&str]) -> (Call, String) {
        bundle.write();
        let id = self.test.fresh_name();
        (self.runtime(&[verb, "--bundle"]).args([&bundle.path]).args(flags).args([&id]), id)
    }

    /// `run` in the foreground.
    #[must_use]
    pub fn run(&self, bundle: &Bundle, script: &str) -> Call {
        bundle.sh(script);
        self.bundle_call("run", bundle, &[]).0
    }
}

/// A cgroup below the root's that belongs to the user (cgroups(7), "Delegation").
fn delegate(test: &Test) -> PathBuf {
    let cgroups = test.cgroups();
    let root = cgroups.v2_root().expect("a v2 hierarchy");
    // What a machine has of controllers, as systemd passes it on; some have none here.
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    let cgroup = root.join(format!("{}-user", test.token));
    fs::create_dir_all(cgroup.join("session")).expect("make a cgroup");
    for directory in [cgroup.clone(), cgroup.join("session")] {
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(directory.join(file), Some(ID), Some(ID)).expect("chown a cgroup");
        }
    }
    cgroup
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let listed = self.runtime(&["list", "--quiet"]).output();
        for id in listed.stdout.lines() {
            let _ = self.runtime(&["delete", "--force", id]).output();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        residue::settle(self.test, std::time::Duration::from_secs(5));
        if let Some(cgroup) = &self.cgroup {
            let _ = fs::remove_dir(cgroup.join("session"));
            let _ = fs::remove_dir(cgroup.join("conmon"));
            let _ = fs::remove_dir(cgroup);
        }
    }
}

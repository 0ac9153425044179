//! An ordinary user of the machine, with ranges of subordinate ids, that exists in a mount namespace of its own only:
//! copies of `/etc/passwd` and its like lie over the machine's there. Its network is empty but for `lo`, its
//! `/dev/net/tun` open to it, and on v2 it has a cgroup that is delegated to it.
//!
//! Or a user that the machine has, `SESSION_USER`, for whom a systemd of its own runs: what only that one can give.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;

use crate::bundle::Bundle;
use crate::command::Call;
use crate::lane::Lane;
use crate::residue;
use crate::skip::Skip;
use crate::test::{TOKEN_VARIABLE, Test};
use crate::wait::Fifo;

/// The user's id and its group's; nobody's on a machine of Debian's kind.
pub const ID: u32 = 4242;

/// The first of the user's 65536 subordinate ids, of both kinds.
pub const FIRST_SUBORDINATE: u32 = 500_000;

/// Numbers of groups that the user is in, besides its own.
pub const KEPT_GROUPS: &str = "KEPT_GROUPS";

/// Files that tell of users; what is appended to each.
const FILES: [(&str, &str); 4] = [
    ("passwd", "tester:x:4242:4242::/:/bin/sh\n"),
    ("group", "tester:x:4242:\n"),
    ("subuid", "tester:500000:65536\n"),
    ("subgid", "tester:500000:65536\n"),
];

/// Names a user of the machine for whom a systemd may be started, as that of a login; containers run under it.
const SESSION_USER: &str = "SESSION_USER";

/// A user of the machine with a systemd of its own.
#[derive(Clone, Debug)]
struct SessionUser {
    name: String,
    id: u32,
    first_subordinate: u32,
}

static SESSION: OnceLock<Result<SessionUser, String>> = OnceLock::new();

/// Starts the systemd of `SESSION_USER`, which lingers then, as without a login. To be called before the lane is entered:
/// what logind mounts does not show in it.
pub fn prepare_session() {
    let _ = SESSION.get_or_init(start_session);
}

fn start_session() -> Result<SessionUser, String> {
    let name = std::env::var(SESSION_USER).map_err(|_| format!("{SESSION_USER} names no user"))?;
    let numbers = |file: &str| -> Result<Vec<u32>, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let fields = |line: &str| {
            line.strip_prefix(&*name)?
                .strip_prefix(':')
                .map(|rest| rest.split(':').map(str::to_owned).collect())
        };
        let fields: Vec<String> =
            text.lines().find_map(fields).ok_or_else(|| format!("{name} is not in {file}"))?;
        Ok(fields.iter().filter_map(|field| field.parse().ok()).collect())
    };
    let ids = numbers("/etc/passwd")?;
    let [id, group] = ids[..] else { return Err(format!("{name} has no ids")) };
    if id != group {
        return Err(format!("{name} has no group of its own"));
    }
    let [first_subordinate, _] = numbers("/etc/subuid")?[..] else {
        return Err(format!("{name} has no subordinate ids"));
    };
    let unit = format!("user@{id}.service");
    for call in [["loginctl", "enable-linger", &name], ["systemctl", "start", &unit]] {
        Call::new(call).ok();
    }
    Ok(SessionUser { name, id, first_subordinate })
}

/// The user, and the namespaces in which it is one.
#[derive(Debug)]
pub struct User<'t> {
    test: &'t Test,
    /// Its id.
    pub id: u32,
    /// The first of its 65536 subordinate ids, of both kinds.
    pub first_subordinate: u32,
    /// Its systemd, where it has one.
    session: Option<SessionUser>,
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
        fs::create_dir_all(dir.join("etc")).expect("make a directory");
        for (name, line) in FILES {
            let text = fs::read_to_string(Path::new("/etc").join(name)).expect("read a file of /etc");
            // The machine may have one of this name, with other ids.
            let others = text.lines().filter(|line| !line.starts_with("tester:"));
            let lines: Vec<&str> = others.chain([line]).collect();
            fs::write(dir.join("etc").join(name), lines.join("\n")).expect("write a file");
        }
        let script = "for name in passwd group subuid subgid; do mount --bind etc/$name /etc/$name; done
            mkdir -p /run/user/4242 && mount --bind run /run/user/4242";
        let mut user = Self::enter(test, runtime, script, ID);
        user.cgroup = (test.lane == Lane::V2).then(|| delegate(test));
        Ok(user)
    }

    /// The user that `SESSION_USER` names, with a runtime directory of the test's own, in which the ways to its systemd
    /// are.
    ///
    /// # Errors
    /// The skip: there is no such user, or something is not installed.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn with_session(test: &'t Test, runtime: &Path) -> Result<Self, Skip> {
        for program in ["unshare", "nsenter", "setpriv", "newuidmap", "newgidmap", "ip", "systemctl"] {
            test.needs_program(program)?;
        }
        let session = match SESSION.get() {
            Some(Ok(session)) => session.clone(),
            Some(Err(reason)) => {
                return Err(Skip::new(format!("no user with a systemd of its own: {reason}")));
            }
            None => return Err(Skip::new("no user with a systemd of its own was asked for")),
        };
        // Another's podman would share the process that holds its namespaces.
        let script = format!(
            "R=/run/user/{}; mkdir run/real && mount --rbind $R run/real && mount --rbind run $R || exit
            ln -s real/bus real/systemd run",
            session.id
        );
        let mut user = Self::enter(test, runtime, &script, session.id);
        user.first_subordinate = session.first_subordinate;
        user.session = Some(session);
        Ok(user)
    }

    /// Makes the namespaces, in which a script makes the user one.
    fn enter(test: &'t Test, runtime: &Path, script: &str, id: u32) -> Self {
        let dir = test.dir.join("u");
        let home = dir.join("home");
        for (directory, mode) in [(&dir, 0o755), (&home, 0o755), (&dir.join("run"), 0o700)] {
            fs::create_dir_all(directory).expect("make a directory");
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        for directory in [&home, &dir.join("run")] {
            chown(directory, Some(id), Some(id)).expect("chown");
        }
        let copy = dir.join(runtime.file_name().expect("a program"));
        fs::copy(runtime, &copy).expect("copy the runtime");
        let ready = dir.join("ready");
        let mut fifo = Fifo::create(&ready);
        let script = format!(
            "cd \"$0\" || exit\n{script}
            mknod -m 666 tun c 10 200 && [ -e /dev/net/tun ] && mount --bind tun /dev/net/tun
            ip link set lo up; echo ready >ready; exec sleep 1000"
        );
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", &script])
            .arg(&dir)
            .env(TOKEN_VARIABLE, &test.token)
            .stdin(Stdio::null())
            .spawn()
            .expect("start unshare");
        assert_eq!(fifo.line(), "ready");
        let (session, cgroup) = (None, None);
        Self { test, id, first_subordinate: FIRST_SUBORDINATE, session, home, runtime: copy, cgroup, holder }
    }

    /// What the user has as `$XDG_RUNTIME_DIR`; there it is `/run/user/ID`, which leaves room in a socket's address.
    #[must_use]
    pub fn runtime_directory(&self) -> PathBuf {
        self.home.with_file_name("run")
    }

    /// Makes a file that only root and this group may read, and that says `shared`.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn write_for_group(&self, path: &Path, group: u32) {
        fs::write(path, "shared\n").expect("write a file");
        chown(path, Some(0), Some(group)).expect("give a file to a group");
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("set permissions");
    }

    /// A call of any program, as the user, in its home directory; in the further groups of [`KEPT_GROUPS`], where the call has
    /// that in its environment.
    #[must_use]
    pub fn call<S: AsRef<OsStr>>(&self, argv: &[S]) -> Call {
        let cgroup = self.cgroup.as_ref().map_or_else(PathBuf::new, |cgroup| cgroup.join("session"));
        let script = "[ -z \"$CGROUP\" ] || echo 0 >\"$CGROUP/cgroup.procs\"
            exec nsenter --target \"$HOLDER\" --mount --net setpriv --reuid \"$ID\" --regid \"$ID\" \
            ${KEPT_GROUPS:+--groups} ${KEPT_GROUPS:---clear-groups} \
            sh -c '[ -n \"$DBUS_SESSION_BUS_ADDRESS\" ] || unset DBUS_SESSION_BUS_ADDRESS
            unset CGROUP HOLDER ID; cd \"$HOME\" && exec \"$@\"' sh \"$@\"";
        let runtime_directory = format!("/run/user/{}", self.id);
        let (name, bus) = match &self.session {
            Some(session) => (&*session.name, format!("unix:path={runtime_directory}/bus")),
            None => ("tester", String::new()),
        };
        Call::new(argv)
            .through_sh(script)
            .env("HOLDER", self.holder.id().to_string())
            .env("ID", self.id.to_string())
            .env("CGROUP", cgroup)
            .env("HOME", &self.home)
            .env("USER", name)
            .env("DBUS_SESSION_BUS_ADDRESS", bus)
            .env("XDG_RUNTIME_DIR", runtime_directory)
            .env("XDG_DATA_HOME", self.home.join("data"))
            .env("XDG_CONFIG_HOME", self.home.join("config"))
            .env("TMPDIR", &self.home)
            .env(TOKEN_VARIABLE, &self.test.token)
    }

    /// A call of the runtime, without any global flag but that for a systemd of the user's.
    #[must_use]
    pub fn runtime<S: AsRef<OsStr>>(&self, args: &[S]) -> Call {
        let manager: &[&str] = if self.session.is_some() { &["--systemd-cgroup"] } else { &[] };
        self.call(&[&self.runtime]).args(manager).args(args)
    }

    /// A bundle that belongs to the user, with the config that `spec --rootless` writes, without a terminal.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        let bundle = self.test.bundle();
        for directory in [bundle.path.clone(), bundle.rootfs()] {
            chown(&directory, Some(self.id), Some(self.id)).expect("chown");
        }
        for entry in fs::read_dir(bundle.rootfs()).expect("read a directory").flatten() {
            chown(entry.path(), Some(self.id), Some(self.id)).expect("chown");
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
        let mut map = vec![json!({"containerID": 0, "hostID": self.id, "size": 1})];
        if size > 1 {
            map.push(json!({"containerID": 1, "hostID": self.first_subordinate, "size": size - 1}));
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

//! What a test works with.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bundle::Bundle;
use crate::cgroup::Hierarchies;
use crate::command::{Call, Output};
use crate::container::Container;
use crate::lane::Lane;
use crate::rootfs::Busybox;
use crate::runtime::Runtime;
use crate::skip::Skip;

/// A variable that every call of the runtime carries, so that what it leaves behind is recognised.
pub const TOKEN_VARIABLE: &str = "RUNTIME_TESTS_TOKEN";

/// `systemd`: every test has its cgroups made by it, not only those of systemd's own suite.
const MANAGER_VARIABLE: &str = "CGROUP_MANAGER";

/// One test's world: a scratch directory, a `--root`, and a token that is in every name it makes.
#[derive(Debug)]
pub struct Test {
    /// The runtime.
    pub runtime: Runtime,
    /// The cgroup view.
    pub lane: Lane,
    /// Scratch directory; its name is the token.
    pub dir: PathBuf,
    /// In every container id, path and cgroup name of this test.
    pub token: String,
    busybox: &'static Busybox,
    ids: RefCell<Vec<String>>,
    systemd: Cell<bool>,
    counter: Cell<u32>,
}

impl Test {
    /// Makes a test's world below `scratch`.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn new(
        runtime: Runtime,
        lane: Lane,
        scratch: &Path,
        token: String,
        busybox: &'static Busybox,
    ) -> Self {
        let dir = scratch.join(&token);
        fs::create_dir_all(dir.join("canary")).expect("make the test's directory");
        fs::write(dir.join("canary/secret"), &token).expect("write the canary");
        Self {
            runtime,
            lane,
            dir,
            token,
            busybox,
            ids: RefCell::default(),
            systemd: Cell::new(
                std::env::var_os(MANAGER_VARIABLE).is_some_and(|manager| manager == "systemd"),
            ),
            counter: Cell::new(0),
        }
    }

    /// A directory outside every root file system, with a `secret` in it; it must stay as it is.
    #[must_use]
    pub fn canary(&self) -> PathBuf {
        self.dir.join("canary")
    }

    /// The runtime's `--root`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// A name that has the token in it: for a container, a cgroup, a directory.
    #[must_use]
    pub fn fresh_name(&self) -> String {
        format!("{}-{}", self.token, self.next())
    }

    /// A fresh container id, deleted at the end.
    #[must_use]
    pub fn fresh_id(&self) -> String {
        self.will_delete(&self.fresh_name())
    }

    /// Notes an id that is to be deleted at the end.
    pub fn will_delete(&self, id: &str) -> String {
        self.ids.borrow_mut().push(id.to_owned());
        id.to_owned()
    }

    /// Ids that were made, for the clean-up.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.ids.borrow().clone()
    }

    /// A fresh bundle with the default config.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        Bundle::create(self.dir.join(format!("b{}", self.next())), self.busybox)
    }

    /// A fresh bundle whose process runs a script.
    #[must_use]
    pub fn sh(&self, script: &str) -> Bundle {
        let bundle = self.bundle();
        bundle.sh(script);
        bundle
    }

    /// A call of the runtime, without any global flag.
    #[must_use]
    pub fn bare_call<S: AsRef<OsStr>>(&self, args: &[S]) -> Call {
        Call::new([&self.runtime.path]).args(args).env(TOKEN_VARIABLE, &self.token).cwd(&self.dir)
    }

    /// A call of the runtime with this test's `--root`.
    #[must_use]
    pub fn call<S: AsRef<OsStr>>(&self, args: &[S]) -> Call {
        let manager: &[&str] = if self.systemd.get() { &["--systemd-cgroup"] } else { &[] };
        self.bare_call(&["--root".as_ref(), self.root().as_os_str()]).args(manager).args(args)
    }

    /// Whether systemd makes the cgroups.
    #[must_use]
    pub fn uses_systemd(&self) -> bool {
        self.systemd.get()
    }

    /// Lets systemd make the cgroups of this test's calls.
    ///
    /// # Errors
    /// The skip, where there is no systemd.
    pub fn use_systemd(&self) -> Result<(), Skip> {
        if !Path::new("/run/systemd/system").exists() {
            return Err(Skip::new("systemd is not this machine's init"));
        }
        self.systemd.set(true);
        Ok(())
    }

    /// Goes on only where `cgroupsPath` is a path.
    ///
    /// # Errors
    /// The skip.
    pub fn names_cgroups_by_path(&self) -> Result<(), Skip> {
        if self.uses_systemd() {
            return Err(Skip::new("systemd names a cgroup by its slice, a prefix and a name"));
        }
        Ok(())
    }

    /// `VERB --bundle B FLAGS ID`, with a fresh id.
    #[must_use]
    pub fn bundle_call(&self, verb: &str, bundle: &Bundle, flags: &[&str]) -> (Call, String) {
        bundle.write();
        let id = self.fresh_id();
        (self.call(&[verb, "--bundle"]).args([&bundle.path]).args(flags).args([&id]), id)
    }

    /// `run` in the foreground, with a fresh id.
    #[must_use]
    pub fn run(&self, bundle: &Bundle) -> Call {
        self.bundle_call("run", bundle, &[]).0
    }

    /// Runs a script in the bundle: its output, when it succeeds.
    #[must_use]
    #[track_caller]
    pub fn output_of(&self, bundle: &Bundle, script: &str) -> Output {
        bundle.sh(script);
        self.run(bundle).ok()
    }

    /// `create`, which must succeed.
    #[must_use]
    #[track_caller]
    pub fn create(&self, bundle: &Bundle) -> Container<'_> {
        self.create_with(bundle, &[])
    }

    /// `create` with flags, which must succeed.
    #[must_use]
    #[track_caller]
    pub fn create_with(&self, bundle: &Bundle, flags: &[&str]) -> Container<'_> {
        let (call, id) = self.bundle_call("create", bundle, flags);
        call.ok();
        Container::open(self, &id)
    }

    /// `create`, which must fail, and leave nothing: its output.
    #[track_caller]
    pub fn create_fails(&self, bundle: &Bundle) -> Output {
        let (call, id) = self.bundle_call("create", bundle, &[]);
        let output = call.fails();
        self.assert_missing(&id);
        output
    }

    /// `create` and `start`.
    #[must_use]
    #[track_caller]
    pub fn start(&self, bundle: &Bundle) -> Container<'_> {
        let container = self.create(bundle);
        container.start();
        container
    }

    /// The state document of an id.
    #[must_use]
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        self.call(&["state", id]).ok().json()
    }

    /// Asserts that no container has the id.
    #[track_caller]
    pub fn assert_missing(&self, id: &str) {
        self.call(&["state", id]).fails().says("does not exist");
    }

    /// The cgroup hierarchies.
    #[must_use]
    pub fn cgroups(&self) -> Hierarchies {
        Hierarchies::mounted()
    }

    /// Goes on only where the controller's limits can be set.
    ///
    /// # Errors
    /// The skip.
    pub fn needs_controller(&self, name: &str) -> Result<(), Skip> {
        if self.cgroups().has(name) {
            Ok(())
        } else {
            Err(Skip::new(format!("no {name} controller in this view")))
        }
    }

    /// Goes on only where a program of the machine is installed.
    ///
    /// # Errors
    /// The skip.
    pub fn needs_program(&self, name: &str) -> Result<(), Skip> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
        if found { Ok(()) } else { Err(Skip::new(format!("{name} is not installed"))) }
    }
}

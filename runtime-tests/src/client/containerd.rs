//! containerd, driven through ctr.

use serde_json::Value;

use crate::client::image::{self, IMAGE};
use crate::client::{Daemon, Private};
use crate::command::Call;
use crate::runtime::Runtime;
use crate::skip::Skip;
use crate::test::Test;
use crate::wait::Process;

/// What containerd says when it is ready.
pub const READY: &str = "containerd successfully booted";

/// The configuration that every containerd of these tests has; `rest` is added.
#[must_use]
pub fn configuration(private: &Private<'_>, disabled: &[&str], rest: &str) -> String {
    let disabled: Vec<_> = disabled.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [{}]\n[grpc]\naddress = {:?}\n{rest}",
        private.path("root"),
        private.path("state"),
        disabled.join(", "),
        private.path("s"),
    )
}

/// A containerd of its own with one image.
#[derive(Debug)]
pub struct Containerd<'t> {
    daemon: Daemon,
    /// Its namespaces.
    pub private: Private<'t>,
    runtime: String,
}

impl<'t> Containerd<'t> {
    /// Starts it.
    ///
    /// # Errors
    /// The skip, when it is not installed.
    pub fn start(test: &'t Test, runtime: &Runtime) -> Result<Self, Skip> {
        for program in ["containerd", "ctr", "containerd-shim-runc-v2", "nsenter", "unshare", "ip", "tar"] {
            test.needs_program(program)?;
        }
        let private = Private::new(test);
        let snapshotters =
            ["btrfs", "zfs", "aufs", "devmapper"].map(|name| format!("io.containerd.snapshotter.v1.{name}"));
        let mut disabled: Vec<&str> = snapshotters.iter().map(String::as_str).collect();
        disabled.push("io.containerd.grpc.v1.cri");
        let config = private.write("config.toml", &configuration(&private, &disabled, ""));
        let daemon =
            Daemon::start("containerd", private.call("containerd").args(["--config", &config]), READY);
        let engine = Self { daemon, private, runtime: runtime.path.display().to_string() };
        let archive = image::archive(test, &engine.private.dir);
        engine.ctr(&["images", "import"]).args([archive]).ok();
        Ok(engine)
    }

    /// The test that it is for.
    #[must_use]
    pub fn test(&self) -> &'t Test {
        self.private.test
    }

    /// A call of ctr, in a containerd namespace with the token's name: it is the cgroup's parent too.
    #[must_use]
    pub fn ctr(&self, args: &[&str]) -> Call {
        let socket = self.private.path("s");
        self.private.call("ctr").args(["--address", &socket, "--namespace", &self.test().token]).args(args)
    }

    /// `ctr run`: flags, the container's id, its command.
    #[must_use]
    pub fn run(&self, flags: &[&str], id: &str, command: &[&str]) -> Call {
        self.ctr(&["run", "--runtime", "io.containerd.runc.v2", "--runc-binary", &self.runtime])
            .args(flags)
            .args([IMAGE, id])
            .args(command)
    }

    /// `ctr run --rm` of a script.
    #[must_use]
    pub fn run_rm(&self, flags: &[&str], script: &str) -> Call {
        let id = self.test().fresh_name();
        self.run(&[&["--rm"], flags].concat(), &id, &["sh", "-c", script])
    }

    /// `ctr run --detach` of a script: the container's id.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn run_detached(&self, flags: &[&str], script: &str) -> String {
        let id = self.test().fresh_name();
        self.run(&[&["--detach"], flags].concat(), &id, &["sh", "-c", script]).ok();
        id
    }

    /// Pid and status of a container's task, as `ctr task ls` has them.
    #[must_use]
    #[track_caller]
    pub fn task(&self, id: &str) -> Option<(i32, String)> {
        let output = self.ctr(&["task", "ls"]).ok();
        output.stdout.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words.first() == Some(&id)).then(|| (words[1].parse().unwrap_or(-1), words[2].to_owned()))
        })
    }

    /// The process of a container's task.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn process(&self, id: &str) -> Process {
        let (pid, _) = self.task(id).expect("the container has a task");
        Process::open(pid).expect("the task's process")
    }

    /// `ctr container info`.
    #[must_use]
    #[track_caller]
    pub fn info(&self, id: &str) -> Value {
        self.ctr(&["container", "info", id]).ok().json()
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        let tasks = self.ctr(&["task", "ls", "--quiet"]).output();
        for id in tasks.stdout.split_whitespace() {
            let _ = self.ctr(&["task", "delete", "--force", id]).output();
        }
        self.daemon.stop();
    }
}

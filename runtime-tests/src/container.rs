//! A container that a test has created.

use serde_json::Value;

use crate::command::Call;
use crate::test::Test;
use crate::wait::{DEADLINE, Process};

/// A created container and its init. [`Test`] deletes it in the end.
#[derive(Debug)]
pub struct Container<'t> {
    test: &'t Test,
    /// Its id.
    pub id: String,
    /// Its init.
    pub process: Process,
}

impl<'t> Container<'t> {
    /// Takes hold of a container that exists and has a process.
    ///
    /// # Panics
    /// When it hasn't.
    #[must_use]
    #[track_caller]
    pub fn open(test: &'t Test, id: &str) -> Self {
        let state = test.state(id);
        let pid = state["pid"].as_i64().unwrap_or_default() as i32;
        let process = Process::open(pid).unwrap_or_else(|error| panic!("pid {pid} of {state}: {error}"));
        Self { test, id: id.to_owned(), process }
    }

    /// Process id of init.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// A call with this container's id as last argument.
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Call {
        self.test.call(args).args([&self.id])
    }

    /// The state document.
    #[must_use]
    #[track_caller]
    pub fn state(&self) -> Value {
        self.test.state(&self.id)
    }

    /// The state's status.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// `start`, which must succeed.
    #[track_caller]
    pub fn start(&self) -> &Self {
        self.call(&["start"]).ok();
        self
    }

    /// `kill` with a signal.
    #[must_use]
    pub fn kill(&self, signal: &str) -> Call {
        self.call(&["kill"]).args([signal])
    }

    /// `delete`.
    #[must_use]
    pub fn delete(&self) -> Call {
        self.call(&["delete"])
    }

    /// `delete --force`.
    #[must_use]
    pub fn delete_force(&self) -> Call {
        self.call(&["delete", "--force"])
    }

    /// Waits for the end of init and reaps it: exit status, 128 + signal when it was killed.
    ///
    /// # Panics
    /// At the deadline.
    #[track_caller]
    pub fn wait(&self) -> Option<i32> {
        assert!(self.process.wait_exit(DEADLINE), "{} has not ended in {DEADLINE:?}", self.id);
        self.process.reap()
    }

    /// Kills init and waits for its end.
    #[track_caller]
    pub fn stop(&self) -> Option<i32> {
        self.process.signal(rustix::process::Signal::KILL);
        self.wait()
    }

    /// A file of `/proc/PID` of init.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    #[track_caller]
    pub fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A path inside the container, as the host reaches it through `/proc/PID/root`.
    #[must_use]
    pub fn inside(&self, path: &str) -> std::path::PathBuf {
        format!("/proc/{}/root/{}", self.pid(), path.trim_start_matches('/')).into()
    }
}

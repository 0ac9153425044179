//! A daemon: started, watched through its log, ended.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use rustix::process::Signal;

use crate::command::Call;
use crate::wait::{DEADLINE, Process};

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// A daemon under way.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
    process: Process,
    log: Arc<Log>,
}

impl Daemon {
    /// Starts it and waits until its log says that it is ready.
    ///
    /// # Panics
    /// When it says nothing of the kind.
    #[must_use]
    pub fn start(name: &'static str, call: Call, ready: &str) -> Self {
        let mut child = call
            .into_command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let process = Process::open(child.id().cast_signed()).expect("pidfd of a child that is not reaped");
        let stderr = child.stderr.take().expect("its standard error is a pipe");
        let log = Arc::new(Log::default());
        let filled = Arc::clone(&log);
        // Ends with the last process that has the daemon's standard error.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                filled.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                filled.grown.notify_all();
            }
        });
        let daemon = Self { name, child, process, log };
        daemon.wait_for(ready);
        daemon
    }

    /// Waits until a line of the log has `words`.
    ///
    /// # Panics
    /// At the deadline.
    pub fn wait_for(&self, words: &str) {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while !lines.iter().any(|line| line.contains(words)) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} did not say `{words}`:\n{}", self.name, lines.join("\n"));
            lines = self.log.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        if !self.process.wait_exit(DEADLINE) {
            self.process.signal(Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() && std::env::var_os("KEEP").is_some() {
            let lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("log of {}:\n{}", self.name, lines.join("\n"));
        }
    }
}

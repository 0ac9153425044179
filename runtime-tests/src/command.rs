//! One call of the runtime: output captured, never longer than the deadline.
//!
//! Output goes to anonymous files, not pipes: what the runtime leaves running keeps its standard output open, and
//! a test must not wait for that one's end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::differences::other_words;
use crate::system_call::SystemCall;
use crate::wait::{DEADLINE, Process, reap_orphans, stretched};

/// The runtime under test, whose own words [`Output::says`] knows.
pub static RUNTIME_NAME: OnceLock<String> = OnceLock::new();

/// A call that takes longer than this may wait for a process that only this one, their parent, can reap.
const REAPING: Duration = Duration::from_millis(100);

/// A call that has not been made yet.
#[derive(Debug)]
pub struct Call {
    argv: Vec<OsString>,
    wrapper: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Stdin,
    stdout: Option<File>,
    cwd: Option<PathBuf>,
    deadline: Duration,
    denied: Option<(SystemCall, Errno)>,
}

#[derive(Debug)]
enum Stdin {
    Null,
    File(File),
}

/// An anonymous file.
#[must_use]
pub fn anonymous_file(content: &[u8]) -> File {
    use std::io::Write;
    let mut file = File::from(memfd_create("runtime-tests", MemfdFlags::CLOEXEC).expect("memfd_create"));
    file.write_all(content).expect("write to a memfd");
    file.rewind().expect("rewind a memfd");
    file
}

impl Call {
    /// A call of `argv`.
    #[must_use]
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            wrapper: Vec::new(),
            env: Vec::new(),
            stdin: Stdin::Null,
            stdout: None,
            cwd: None,
            deadline: DEADLINE,
            denied: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Starts it through another program (`env --block-signal`, `setpriv`, `sh -c 'exec "$@" 3</'` …) that ends in
    /// its `execve`.
    #[must_use]
    pub fn through<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Starts it through another program, within those that it is started through already.
    #[must_use]
    pub fn inside<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        let wrapper = wrapper.into_iter().map(|arg| arg.as_ref().to_owned());
        self.argv.splice(0..0, wrapper);
        self
    }

    /// Through a shell that sets something up: `"$@"` is the call.
    #[must_use]
    pub fn through_sh(self, script: &str) -> Self {
        self.through(["sh", "-c", script, "sh"])
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads on standard input; nothing by default.
    #[must_use]
    pub fn stdin(mut self, content: &str) -> Self {
        self.stdin = Stdin::File(anonymous_file(content.as_bytes()));
        self
    }

    /// A descriptor for standard input.
    #[must_use]
    pub fn stdin_file(mut self, file: File) -> Self {
        self.stdin = Stdin::File(file);
        self
    }

    /// A descriptor for standard output and error instead of capture.
    #[must_use]
    pub fn stdout_file(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Its working directory.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Another deadline than the usual.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// A system call that a filter around it denies, to all that it makes too.
    #[must_use]
    pub fn denied(mut self, call: SystemCall, errno: Errno) -> Self {
        self.denied = Some((call, errno));
        self
    }

    fn line(&self) -> String {
        let words: Vec<_> =
            self.wrapper.iter().chain(&self.argv).map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// The command, ready to spawn, without its capture.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.prepare().0
    }

    fn prepare(self) -> (Command, Option<(File, File)>) {
        let mut words = self.wrapper.into_iter().chain(self.argv);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).envs(self.env).process_group(0);
        if let Some(cwd) = self.cwd {
            command.current_dir(cwd);
        }
        if let Some((call, errno)) = self.denied {
            crate::sys::deny(&mut command, call.number as u32, errno as u16);
        }
        command.stdin(match self.stdin {
            Stdin::Null => Stdio::null(),
            Stdin::File(file) => file.into(),
        });
        if let Some(file) = self.stdout {
            command.stdout(file.try_clone().expect("dup")).stderr(file);
            return (command, None);
        }
        let (stdout, stderr) = (anonymous_file(b""), anonymous_file(b""));
        command.stdout(stdout.try_clone().expect("dup")).stderr(stderr.try_clone().expect("dup"));
        (command, Some((stdout, stderr)))
    }

    /// Starts it; [`Running::wait`] gives its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(self) -> Running {
        let (line, deadline) = (self.line(), stretched(self.deadline));
        let (mut command, capture) = self.prepare();
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let process = Process::open(child.id().cast_signed()).expect("pidfd of a child that is not reaped");
        Running { line, child, process, capture, deadline }
    }

    /// Makes the call and waits for its end.
    ///
    /// # Panics
    /// At the deadline.
    #[must_use]
    pub fn output(self) -> Output {
        self.start().wait()
    }

    /// Makes a call that must succeed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.output().ok()
    }

    /// Makes a call that must fail with an exit status of its own (not by a signal).
    ///
    /// # Panics
    /// When it succeeds.
    #[track_caller]
    pub fn fails(self) -> Output {
        self.output().fails()
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    /// The process that was started.
    pub process: Process,
    capture: Option<(File, File)>,
    deadline: Duration,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Panics
    /// At the deadline; it is killed then.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let end = Instant::now() + self.deadline;
        let mut in_time = false;
        while !in_time && Instant::now() < end {
            in_time = self.process.wait_exit(REAPING.min(end.saturating_duration_since(Instant::now())));
            if !in_time {
                reap_orphans();
            }
        }
        if !in_time {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("wait for a child");
        let (stdout, stderr) =
            self.capture.map_or_else(Default::default, |(out, err)| (read(out), read(err)));
        let output = Output { line: self.line, status, stdout, stderr };
        assert!(in_time, "not done in {:?}: {output}", self.deadline);
        output
    }
}

fn read(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind a memfd");
    file.read_to_end(&mut bytes).expect("read a memfd");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What came of a call.
#[derive(Debug)]
pub struct Output {
    line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\nstdout: {}\nstderr: {}", self.line, self.status, self.stdout, self.stderr)
    }
}

impl Output {
    /// Asserts success.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "should succeed: {self}");
        self
    }

    /// Asserts a failure with an exit status and a word on standard error.
    ///
    /// # Panics
    /// When it succeeded, died by a signal, or said nothing.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(!self.status.success(), "should fail: {self}");
        assert!(self.status.code().is_some(), "died by a signal: {self}");
        assert!(!self.stderr.trim().is_empty(), "failed without a word: {self}");
        self
    }

    /// Asserts the exit status, 128 + signal when it was killed.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let actual = self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal));
        assert_eq!(actual, Some(code), "{self}");
        self
    }

    /// Asserts that standard error has these words, whatever their case (or a known runtime's own for them).
    ///
    /// # Panics
    /// When it hasn't.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.has_said(words), "should say `{words}`: {self}");
        self
    }

    /// Whether standard error has these words, as [`Output::says`] looks for them.
    #[must_use]
    pub fn has_said(&self, words: &str) -> bool {
        let text = self.stderr.to_lowercase();
        let other = other_words(RUNTIME_NAME.get().map_or("", String::as_str), words);
        text.contains(&words.to_lowercase()) || other.iter().any(|words| text.contains(words))
    }

    /// Standard output's lines, trimmed.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().map(str::trim).collect()
    }

    /// Standard output, trimmed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it isn't.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}: {self}"))
    }
}

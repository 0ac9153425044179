//! Hooks: programs of others that run at six points of a container's life.
//!
//! Runs in the runtime. A hook is launched as a container is, by a plan: its own session, exactly its environment, the
//! state on stdin, no descriptor of ours. It has a deadline where the config gives one, and ends when the embedding
//! program says so; what it prints is kept in part,
//! for the error, and what it leaves running may go on printing.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use init::Step;
use init::sys::flag;
use init::wire::{Descriptor, NamespaceFlags, Str, Strs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::io::{Errno, pwrite, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group, pidfd_send_signal};
use spec::config::{Hook, HookPoint, Hooks, NamespaceKind};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::launch::{Conversation, Inheritance, Launch, Message, step_error, wait, wait_killed};
use crate::outcome::Warning;
use crate::plan::{PlannedStep, clone_flag};
use crate::streams::{Stdio, Streams};

/// Of what a hook prints, this much is kept for the error.
const MOST_OUTPUT_BYTES: usize = 4096;

/// `SIGSYS`: the filter denied a call.
const SIGSYS: i32 = Signal::SYS.as_raw();

/// How long a hook's process may take to become the hook.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);

/// Makes a process in a container, and gives its pid and pidfd: the caller waits for it.
pub type LaunchInside<'a> = dyn Fn(&Hook, Streams) -> Result<(i32, OwnedFd)> + 'a;

/// Where a hook runs, and so whose file it is and what it may do.
#[derive(Clone, Copy)]
pub enum HookPlace<'a> {
    /// In the runtime's namespaces, with the runtime's rights.
    Runtime,
    /// In the container's namespaces (`CLONE_NEW*`), which this init holds, before its root is entered: a file of the host, with
    /// the runtime's rights.
    Namespaces(BorrowedFd<'a>, u64),
    /// In the container: a file of its root, with no more rights than its process will have.
    Container(&'a LaunchInside<'a>),
}

/// Where and with what the hooks of a point run.
pub struct HookRun<'a> {
    /// The point.
    pub point: HookPoint,
    /// The container's hooks.
    pub hooks: &'a Hooks,
    /// The working directory, as with runc: the bundle; at createContainer the root file system, which is not `/` yet. At
    /// startContainer it is `/`.
    pub directory: &'a Path,
    /// The state document that each reads.
    pub state: &'a [u8],
    /// Where they run.
    pub place: HookPlace<'a>,
    /// Bit n−1: signal n is ignored by the runtime, and must not be by the hook.
    pub ignored_signals: u64,
    /// What ends a hook before it is done.
    pub interrupt: &'a Interrupt,
}

/// `CLONE_NEW*` of the namespaces that the config names.
pub fn namespace_flags(config: &spec::Config) -> u64 {
    let named = NamespaceKind::ALL.into_iter().filter(|kind| config.linux.namespaces.get(*kind).is_some());
    named.fold(0, |flags, kind| flags | clone_flag(kind))
}

impl HookRun<'_> {
    /// Runs the hooks in order; the first failure ends it.
    ///
    /// # Errors
    /// [`Error::Hook`]
    pub fn run(&self) -> Result<()> {
        for (index, hook) in self.hooks.at(self.point).iter().enumerate() {
            self.run_hook(hook).map_err(|reason| self.error(index, hook, reason))?;
        }
        Ok(())
    }

    /// Runs all the hooks; a failure is a warning (`poststart`, `poststop`).
    pub fn run_all(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (index, hook) in self.hooks.at(self.point).iter().enumerate() {
            if let Err(reason) = self.run_hook(hook) {
                let error = self.error(index, hook, reason);
                let pointer = error.pointer().map(std::borrow::Cow::into_owned);
                warnings.push(Warning { pointer, message: error.to_string() });
            }
        }
        warnings
    }

    fn error(&self, index: usize, hook: &Hook, reason: String) -> Error {
        Error::Hook { point: self.point, index, path: hook.path.to_string(), reason }
    }

    fn run_hook(&self, hook: &Hook) -> Result<(), String> {
        let describe = |error: &io::Error| crate::error::reason(error);
        let input = anonymous_file(self.state).map_err(|error| describe(&error))?;
        let mut output = Output::open().map_err(|error| describe(&error))?;
        // A moment that the clock does not reach is none.
        let deadline =
            hook.timeout_s.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));

        // Before the hook is there: from its first moment on it can be ended.
        self.interrupt.open().map_err(|error| describe(&error))?;
        let mut process = match self.place {
            HookPlace::Container(launch) => launch_inside(launch, hook, input, &output)?,
            HookPlace::Namespaces(init, namespaces) => {
                self.launch(hook, input, &output, Some((init, namespaces)))?
            }
            HookPlace::Runtime => self.launch(hook, input, &output, None)?,
        };
        let ended = follow(&mut process, &mut output, deadline, self.interrupt)?;
        judge(ended, &output.kept)
    }

    /// Launches a file of the host.
    fn launch(
        &self,
        hook: &Hook,
        input: OwnedFd,
        output: &Output,
        inside: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<Process, String> {
        let steps = self.plan(hook, inside.map(|(_, namespaces)| namespaces));
        let mut inheritance = Inheritance::default();
        inheritance.add(Descriptor::Input, input.as_fd());
        inheritance.add(Descriptor::Output, output.writer.as_fd());
        if let Some((init, _)) = inside {
            inheritance.add(Descriptor::Process, init);
        }
        let launch = Launch { namespaces: 0, cgroup: None, first_own_fd: 3, inheritance };
        let launched = launch.spawn(&steps).map_err(|error| error.to_string())?;
        drop(input);
        let mut process = Process { pid: launched.pid, pidfd: launched.pidfd, reaped: false };
        await_execution(&steps, &launched.conversation, &mut process)?;
        Ok(process)
    }

    fn plan(&self, hook: &Hook, joined: Option<u64>) -> Vec<PlannedStep> {
        let mut steps = vec![
            Step::ResetSignals { ignored: self.ignored_signals },
            Step::SetStreams { input: Descriptor::Input, output: Descriptor::Output },
        ];
        if let Some(namespaces) = joined {
            let joined = NamespaceFlags(namespaces);
            steps.push(Step::JoinProcess { process: Descriptor::Process, namespaces: joined });
            if namespaces & flag::CLONE_NEWPID != 0 {
                steps.push(Step::Fork { namespaces: NamespaceFlags(0) });
            }
        }
        steps.push(Step::NewSession {});
        steps.push(Step::SetUmask { mask: 0o022 });
        // It may be gone when the container is deleted, and closed to the root of a user namespace.
        if self.directory.is_dir() {
            steps.push(Step::TryDirectory { path: (&*self.directory.to_string_lossy()).into() });
        }
        let texts = |list: &[spec::Text]| Strs(list.iter().map(|text| Str::from(&**text)).collect());
        steps.push(Step::FindProgram { name: (&**hook.path).into(), path: Str::default() });
        steps.push(Step::Execute { args: texts(&hook.args), env: texts(&hook.env) });
        steps.into_iter().map(|step| PlannedStep { pointer: "".into(), step }).collect()
    }
}

/// Launches a file of the container's.
fn launch_inside(
    launch: &LaunchInside<'_>,
    hook: &Hook,
    input: OwnedFd,
    output: &Output,
) -> Result<Process, String> {
    let copy = || output.writer.try_clone().map_err(|error| crate::error::reason(&error));
    let [stdin, stdout, stderr] = [input, copy()?, copy()?].map(Stdio::Descriptor);
    let launched = launch(hook, Streams { stdin, stdout, stderr });
    let (pid, pidfd) = launched.map_err(|error| without_prefix(&error.to_string()))?;
    Ok(Process { pid, pidfd, reaped: false })
}

fn without_prefix(text: &str) -> String {
    text.strip_prefix("unable to start container process: ").unwrap_or(text).to_owned()
}

/// A hook's process, which is killed and waited for in the end.
struct Process {
    pid: i32,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Process {
    /// How it ended; `None` where nobody can tell.
    fn wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = wait(self.pidfd.as_fd())?;
        self.reaped = true;
        Ok(ended)
    }

    /// Ends the hook and whatever it started in its process group, which is still its own: it was not waited for.
    fn kill(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        if let Some(group) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            if wait_killed(self.pidfd.as_fd()) {
                let _ = self.wait();
            }
        }
    }
}

/// Waits until the process has become the hook.
fn await_execution(
    steps: &[PlannedStep],
    conversation: &Conversation,
    process: &mut Process,
) -> Result<(), String> {
    loop {
        match conversation.receive(Some(Instant::now() + LAUNCH_DEADLINE)) {
            Ok(Message::Closed) => return Ok(()),
            Ok(Message::Failed(report)) => {
                return Err(without_prefix(&step_error(steps, report).to_string()));
            }
            Ok(Message::Forked { pid, pidfd }) => {
                // The first process made the hook's and has ended.
                let _ = process.wait();
                *process = Process { pid, pidfd, reaped: false };
                conversation.go().map_err(|error| crate::error::reason(&error))?;
            }
            Ok(
                Message::Waiting(_)
                | Message::Ready
                | Message::Offered { .. }
                | Message::Seeking { .. }
                | Message::Filtering(_),
            ) => {}
            Err(error) => return Err(crate::error::reason(&error)),
        }
    }
}

/// A file with the state, to be read from its beginning. Not a pipe: whatever another thread has forked meanwhile would
/// hold its other end, and a hook that reads all of it would wait for that; nor does anybody have to wait for the hook to read.
fn anonymous_file(content: &[u8]) -> io::Result<OwnedFd> {
    let create = |flags| memfd_create(c"sandboxd-hook", flags);
    // Kernels before 6.3 don't know NOEXEC_SEAL, and with `vm.memfd_noexec` 2 there are no others.
    let file = match create(MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(MemfdFlags::CLOEXEC),
        file => file,
    }?;
    let mut written = 0;
    while written < content.len() {
        written += retry_on_intr(|| pwrite(&file, &content[written..], written as u64))?;
    }
    Ok(file)
}

/// What a hook prints: a pipe, of which the beginning is kept.
///
/// Whatever the hook leaves running has the pipe when we don't read it any more. So what it writes to is open for reading
/// too: there is a reader as long as there is a writer, and nobody gets SIGPIPE. And from then on nobody waits for a pipe that
/// is full: it takes a little, the rest is refused (EAGAIN).
struct Output {
    reader: OwnedFd,
    writer: OwnedFd,
    kept: Vec<u8>,
}

impl Output {
    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Another open file than the reader, that we can make what the hook must not have it be: non-blocking.
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let writer = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { reader, writer, kept: Vec::new() })
    }

    /// Takes what is there.
    fn read(&mut self) {
        let mut buffer = [0_u8; 4096];
        // A bounded number of reads: a hook that never stops printing must not keep its deadline from being looked at.
        for _ in 0..16 {
            match rustix::io::read(&self.reader, &mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let room = MOST_OUTPUT_BYTES.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&buffer[..length.min(room)]);
                }
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // The flag first: who waits for room sees it when there is some.
        let _ = rustix::io::ioctl_fionbio(&self.writer, true);
        self.read();
    }
}

/// Reads what a hook prints, and waits for its end.
///
/// A hook may leave a daemon behind that holds its stdout: that is not waited for.
fn follow(
    process: &mut Process,
    output: &mut Output,
    deadline: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<Option<ExitStatus>, String> {
    let interrupted = interrupt.open().map_err(|error| crate::error::reason(&error))?;
    loop {
        let timeout = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    // Killed and waited for as it is dropped.
                    return Err("killed: it took longer than its timeout".to_owned());
                }
                Timespec::try_from(left).ok()
            }
        };
        let mut polled =
            vec![PollFd::new(&process.pidfd, PollFlags::IN), PollFd::new(&output.reader, PollFlags::IN)];
        polled.extend(interrupted.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(crate::error::reason(&errno.into())),
        }
        let ended = !polled[0].revents().is_empty();
        let interrupted = polled.get(2).is_some_and(|polled| !polled.revents().is_empty());
        output.read();
        if ended {
            return process.wait().map_err(|error| crate::error::reason(&error));
        }
        if interrupted {
            interrupt.take();
            return Err("killed: interrupted".to_owned());
        }
    }
}

fn judge(ended: Option<ExitStatus>, output: &[u8]) -> Result<(), String> {
    let how = match ended.map(|status| (status.code(), status.signal())) {
        Some((Some(0), _)) => return Ok(()),
        Some((Some(code), _)) => format!("exit status {code}"),
        // runc's words.
        Some((None, Some(SIGSYS))) => format!("signal: bad system call (killed by signal {SIGSYS})"),
        Some((None, Some(signal))) => format!("killed by signal {signal}"),
        Some((None, None)) | None => "how it ended can't be told: its caller reaps any child".to_owned(),
    };
    let output = String::from_utf8_lossy(output);
    let output = output.trim().replace('\n', "; ");
    Err(if output.is_empty() { how } else { format!("{how}: {output}") })
}

//! `criu swrk`: CRIU as a process of ours that serves one request, and the conversation with it.
//!
//! Runs in the runtime. CRIU is launched by a plan, as hooks are. A restore has a mount namespace of its own, in which
//! the root is a mount, as CRIU wants it: nothing of that is left when it ends.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use init::Step;
use init::sys::flag;
use init::wire::{Descriptor, Descriptors, PropagationFlags, Str, Strs};
use prost::Message as _;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recvmsg, send, socketpair,
};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

use super::error::CriuError;
use super::message::{Features, Kind, Notify, Request, Response};
use super::version::Version;
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::launch::{Conversation, Inheritance, Launch, Message, carry_out};
use crate::plan::PlannedStep;

/// How long a process may take to become CRIU.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);
/// No message is larger.
const MOST_MESSAGE_BYTES: usize = 64 << 10;
/// Of what CRIU prints, this much is kept for an error.
const MOST_OUTPUT_BYTES: usize = 2048;
/// The socket's number in CRIU; what else is passed comes after it.
const SOCKET: u32 = 3;

/// Descriptors for CRIU, in order; numbered from the one after the socket on.
#[derive(Debug, Default)]
pub(crate) struct Passed(pub(crate) Vec<OwnedFd>);

impl Passed {
    /// Adds one; its number in CRIU.
    pub(crate) fn add(&mut self, descriptor: OwnedFd) -> i32 {
        self.0.push(descriptor);
        (SOCKET as usize + self.0.len()) as i32
    }
}

/// Where CRIU runs.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// In the caller's namespaces and cgroup, its streams apart: for checkpoint.
    Outside,
    /// In the container's cgroup, and a mount namespace in which this root is a mount; with the caller's streams, which
    /// the container gets.
    Restore { rootfs: &'a Path, cgroup: Option<&'a Cgroup> },
}

/// CRIU at work.
#[derive(Debug)]
pub(crate) struct Swrk {
    socket: OwnedFd,
    output: Option<OwnedFd>,
    process: Child,
}

impl Swrk {
    /// Launches it.
    ///
    /// # Errors
    /// [`CriuError::Missing`], or a call that did not succeed.
    pub(crate) fn start(
        program: Option<&Path>,
        place: &Place<'_>,
        passed: &Passed,
        ignored_signals: u64,
    ) -> Result<Self> {
        let host = |action| move |errno: Errno| Error::host(action, errno.into());
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(host("socketpair"))?;
        let mut inheritance = Inheritance::default();
        let mut streams = None;
        if matches!(place, Place::Outside) {
            let output =
                rustix::fs::memfd_create("criu-output", MemfdFlags::CLOEXEC).map_err(host("memfd_create"))?;
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            let input = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())
                .map_err(|errno| Error::file("open", "/dev/null", errno.into()))?;
            streams = Some((input, output));
        }
        if let Some((input, output)) = &streams {
            inheritance.add(Descriptor::Input, input.as_fd());
            inheritance.add(Descriptor::Output, output.as_fd());
        }
        inheritance.add(Descriptor::Passed(0), theirs.as_fd());
        for (index, descriptor) in passed.0.iter().enumerate() {
            inheritance.add(Descriptor::Passed(index as u16 + 1), descriptor.as_fd());
        }
        let (namespaces, cgroup) = match place {
            Place::Outside => (0, None),
            Place::Restore { cgroup, .. } => (flag::CLONE_NEWNS, *cgroup),
        };
        for (index, procs) in cgroup.into_iter().flat_map(Cgroup::procs_fds).enumerate() {
            inheritance.add(Descriptor::CgroupProcs(index as u16), procs);
        }
        let steps = plan(program, place, passed, ignored_signals);
        let launch = Launch {
            namespaces,
            cgroup: cgroup.and_then(Cgroup::v2_fd),
            first_own_fd: SOCKET + 1 + passed.0.len() as u32,
            inheritance,
        };
        let launched = launch.spawn(&steps)?;
        let process = Child { pid: launched.pid, pidfd: launched.pidfd, reaped: false };
        drop(theirs);
        await_execution(&steps, &launched.conversation)?;
        Ok(Self { socket: ours, output: streams.map(|(_, output)| output), process })
    }

    /// Its process id.
    pub(crate) const fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Asks what it is, and whether it can do what is needed.
    ///
    /// # Errors
    /// [`CriuError`]
    pub(crate) fn probe(program: Option<&Path>, needed: Features, ignored_signals: u64) -> Result<Version> {
        let mut swrk = Self::start(program, &Place::Outside, &Passed::default(), ignored_signals)?;
        let ask = Request { keep_open: Some(true), ..Request::of(Kind::Version) };
        let answer = swrk.ask(&ask, &mut |_, _| Ok(()))?;
        let version = answer.version.ok_or_else(|| CriuError::Conversation("no version".into()))?;
        let version = Version::of(&version);
        if needed != Features::default() {
            let ask = Request { features: Some(needed.clone()), ..Request::of(Kind::FeatureCheck) };
            let can = swrk.ask(&ask, &mut |_, _| Ok(()))?.features.unwrap_or_default();
            if needed.mem_track.is_some() && can.mem_track != Some(true) {
                return Err(CriuError::Lacks("the tracking of changed memory (mem_track)").into());
            }
            if needed.lazy_pages.is_some() && can.lazy_pages != Some(true) {
                return Err(CriuError::Lacks("lazy pages (userfaultfd)").into());
            }
        }
        Ok(version)
    }

    /// Sends a request and answers notifications until the response.
    ///
    /// # Errors
    /// [`CriuError`], or what a notification's answer ended with.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        notified: &mut dyn FnMut(&Notify, Option<OwnedFd>) -> Result<()>,
    ) -> Result<Response> {
        self.send(request)?;
        loop {
            let (response, descriptor) = self.receive()?;
            let kind = Kind::try_from(response.kind).unwrap_or(Kind::Empty);
            if !response.success {
                return Err(CriuError::Failed {
                    kind: kind.name(),
                    errno: response.errno.unwrap_or(0),
                    reason: response.message,
                    log: Path::new("").to_owned(),
                }
                .into());
            }
            if kind != Kind::Notify {
                return Ok(response);
            }
            let result = notified(&response.notify.unwrap_or_default(), descriptor);
            self.send(&Request { notify_success: Some(result.is_ok()), ..Request::of(Kind::Notify) })?;
            result?;
        }
    }

    fn send(&self, request: &Request) -> Result<()> {
        match send(&self.socket, &request.encode_to_vec(), SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            // That it ended is what receive finds.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(CriuError::Conversation(crate::error::reason(&errno.into())).into()),
        }
    }

    /// The next message. How long a checkpoint takes only the container's memory says: so there is no deadline, but the
    /// socket is closed when CRIU ends.
    fn receive(&mut self) -> Result<(Response, Option<OwnedFd>)> {
        let mut bytes = vec![0; MOST_MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut buffers = [io::IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                Err(errno) => {
                    return Err(CriuError::Conversation(crate::error::reason(&errno.into())).into());
                }
                Ok(received) => break received.bytes,
            }
        };
        if length == 0 {
            return Err(CriuError::Ended { how: self.end() }.into());
        }
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let response = Response::decode(&bytes[..length])
            .map_err(|error| CriuError::Conversation(format!("malformed response: {error}")))?;
        Ok((response, descriptor))
    }

    /// How it ended, and the last that it printed.
    fn end(&mut self) -> String {
        let how = match self.process.wait() {
            None => "in an unknown way".to_owned(),
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
            },
        };
        let mut bytes = vec![0; MOST_OUTPUT_BYTES];
        let read = self.output.as_ref().and_then(|output| rustix::io::pread(output, &mut bytes[..], 0).ok());
        let output = String::from_utf8_lossy(&bytes[..read.unwrap_or(0)]).trim().replace('\n', "; ");
        if output.is_empty() { how } else { format!("{how}: {output}") }
    }

    /// Ends the conversation and waits for the end of CRIU; whether that was a success.
    pub(crate) fn finish(self) -> bool {
        let Self { socket, mut process, .. } = self;
        drop(socket);
        process.wait().is_some_and(|status| status.exit_status() == Some(0))
    }
}

fn plan(
    program: Option<&Path>,
    place: &Place<'_>,
    passed: &Passed,
    ignored_signals: u64,
) -> Vec<PlannedStep> {
    let mut steps = vec![Step::ResetSignals { ignored: ignored_signals }];
    match place {
        Place::Outside => {
            steps.push(Step::SetStreams { input: Descriptor::Input, output: Descriptor::Output });
        }
        Place::Restore { rootfs, cgroup } => {
            let entered = cgroup.map_or(0, |cgroup| cgroup.procs_fds().len());
            if entered > 0 {
                let procs = (0..entered).map(|index| Descriptor::CgroupProcs(index as u16)).collect();
                steps.push(Step::JoinCgroups { procs: Descriptors(procs) });
            }
            steps.extend(own_root(rootfs));
        }
    }
    for index in 0..=passed.0.len() {
        let descriptor = Descriptor::Passed(index as u16);
        steps.push(Step::SetDescriptor { descriptor, number: SOCKET + index as u32 });
    }
    steps.push(Step::SetUmask { mask: 0o022 });
    let program = program.unwrap_or(Path::new("criu")).to_string_lossy();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    steps.push(Step::FindProgram { name: (&*program).into(), path: path.as_str().into() });
    let args = ["criu", "swrk", &SOCKET.to_string()].map(Str::from).to_vec();
    let env = std::env::vars_os().map(|(name, value)| {
        let line = format!("{}={}", name.to_string_lossy(), value.to_string_lossy());
        Str::from(line.as_str())
    });
    steps.push(Step::Execute { args: Strs(args), env: Strs(env.collect()) });
    steps.into_iter().map(|step| PlannedStep { pointer: "".into(), step }).collect()
}

/// The root as a mount, in a mount namespace that keeps it to itself.
fn own_root(rootfs: &Path) -> [Step; 2] {
    let path = rootfs.to_string_lossy();
    [
        Step::SetPropagation { propagation: PropagationFlags(flag::MS_REC | MS_SLAVE) },
        Step::OpenRoot { path: (&*path).into(), opened: false, shared: false },
    ]
}

/// `MS_SLAVE`
const MS_SLAVE: u64 = 1 << 19;

/// Waits until the process has become CRIU.
fn await_execution(steps: &[PlannedStep], conversation: &Conversation) -> Result<()> {
    loop {
        match conversation.receive(Some(Instant::now() + LAUNCH_DEADLINE)) {
            Ok(Message::Closed) => return Ok(()),
            Ok(Message::Failed(report)) => {
                let error = crate::launch::step_error(steps, report);
                if !matches!(error.step, Some("find-program" | "execute")) {
                    return Err(error.into());
                }
                let text = error.to_string();
                let reason = text.strip_prefix("unable to start container process: ").unwrap_or(&text);
                return Err(CriuError::Missing { reason: reason.to_owned() }.into());
            }
            Ok(_) => {}
            Err(error) => return Err(Error::host("launch criu", error)),
        }
    }
}

/// Makes the mount points of a container in its root, as `create` does: by its own mount steps, in a mount namespace
/// that ends with them. File systems that CRIU fills again, and what is mounted on these, need none.
///
/// # Errors
/// [`Error::Step`]
pub(crate) fn make_mount_points(rootfs: &Path, planned: &[PlannedStep], ignored_signals: u64) -> Result<()> {
    let nameless = |step| PlannedStep { pointer: "".into(), step };
    let mut steps = vec![nameless(Step::ResetSignals { ignored: ignored_signals })];
    steps.extend(own_root(rootfs).map(nameless));
    for planned in planned {
        let mut planned = planned.clone();
        match &mut planned.step {
            Step::Mount { fstype, .. } if fstype.to_string().starts_with("cgroup") => continue,
            Step::Bind { slot, .. } => *slot = 0,
            // This process is in no cgroup that denies it the device.
            Step::Mount { on_device, .. } => *on_device = false,
            _ => continue,
        }
        steps.push(planned);
    }
    steps.push(nameless(Step::End {}));
    let launch = Launch {
        namespaces: flag::CLONE_NEWNS,
        cgroup: None,
        first_own_fd: 3,
        inheritance: Inheritance::default(),
    };
    carry_out(&launch, &steps, "the making of mount points")
}

/// Brings `lo` up in the network namespace of a process, as `create` does.
///
/// # Errors
/// [`Error::Step`]
pub(crate) fn bring_loopback_up(process: BorrowedFd<'_>) -> Result<()> {
    let steps = [
        Step::JoinProcess {
            process: Descriptor::Process,
            namespaces: init::wire::NamespaceFlags(flag::CLONE_NEWNET),
        },
        Step::LoopbackUp {},
        Step::End {},
    ];
    let steps = steps.map(|step| PlannedStep { pointer: "/linux/namespaces".into(), step });
    let mut inheritance = Inheritance::default();
    inheritance.add(Descriptor::Process, process);
    let launch = Launch { namespaces: 0, cgroup: None, first_own_fd: 3, inheritance };
    carry_out(&launch, &steps, "the network namespace")
}

/// A child of ours, ended and waited for when it goes.
#[derive(Debug)]
struct Child {
    pid: i32,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Child {
    fn wait(&mut self) -> Option<WaitIdStatus> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                result => {
                    self.reaped = true;
                    return result.ok().flatten();
                }
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            self.wait();
        }
    }
}

//! The verbs of a container's life.
//!
//! Runs in the runtime. Each verb is a module; what is known of containers is in the [state](crate::state) directory,
//! and nowhere else: a runtime may end at any instruction and another take over.

mod agent;
mod caller;
#[cfg(feature = "criu")]
mod checkpoint;
mod collect;
mod container;
mod create;
mod delete;
mod dialogue;
mod events;
mod exec;
mod exec_process;
mod executing;
mod grants;
mod id_maps;
mod idmap;
mod kill;
mod making;
mod members;
mod mounts;
mod namespace;
mod pause;
mod pod;
mod prepare;
mod process;
#[cfg(feature = "criu")]
mod restore;
mod sources;
mod start;
mod undo;
mod update;

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use spec::AbsolutePath;
use spec::config::{Mount, Resources};

use crate::cgroup::Stats;
use crate::error::{Error, Result};
use crate::plan::Purpose;
use crate::state::StateRoot;
use crate::{ContainerId, CreateRequest, ExecRequest, Interrupt, Outcome};

pub use collect::Collected;
pub use container::{Container, Status};
pub use create::Running;
pub use delete::Deletion;
pub use events::{Event, Events};
pub use exec::{PreparedExec, read_process};
pub use kill::KillScope;
pub use pod::{Pod, PodNamespace, PodRequest};
pub use prepare::Prepared;
pub use process::Process;

/// The containers below one state root.
#[derive(Debug)]
pub struct Runtime {
    state: Arc<StateRoot>,
    interrupt: Interrupt,
}

impl Runtime {
    /// Opens (makes, 0700, where it is missing) the directory of the containers' state.
    ///
    /// # Errors
    /// [`Error::StateRoot`] where it belongs to another user, or others can write to it.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let absolute = std::path::absolute(root).map_err(|error| Error::file("find", root, error))?;
        Ok(Self { state: Arc::new(StateRoot::open(&absolute)?), interrupt: Interrupt::default() })
    }

    /// What ends the wait for a hook, or for a program that the kernel does not get to load, for a program whose user may not want
    /// to wait: the hook, with its process group, is killed.
    /// What can fail by a hook then fails, and is undone; at poststart and poststop it is a warning. Without this such a wait
    /// ends with the hook, or at its timeout.
    ///
    /// ```no_run
    /// use sandbox::{Interrupt, Runtime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # fn eventfd() -> std::io::Result<std::os::fd::OwnedFd> { unimplemented!() }
    /// let stop = eventfd()?;
    /// let copy = stop.try_clone()?;
    /// let runtime = Runtime::open("/run/my-program")?
    ///     .interrupted_by(Interrupt::new(move || copy.try_clone()));
    /// // In another thread: eight bytes written to `stop` end a wait.
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn interrupted_by(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// The same containers, with another [`Interrupt`]: one that ends the waits of one caller, and no other's.
    #[must_use]
    pub fn with_interrupt(&self, interrupt: Interrupt) -> Self {
        Self { state: Arc::clone(&self.state), interrupt }
    }

    /// What is known of a container.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::State`]
    pub fn state(&self, id: &ContainerId) -> Result<Container> {
        let entry = self.state.open_entry(id)?;
        let record = entry.read()?.ok_or(Error::NotFound)?;
        Container::of_record(id, &record)
    }

    /// Where a container's socket of `sd_notify(3)` is: see [`CreateRequest::notify_directory`].
    pub fn notify_directory(&self, id: &ContainerId) -> PathBuf {
        self.state.path().join(&**id).join(crate::state::NOTIFY)
    }

    /// Holds the container's first process; `None` where it has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::State`]
    pub fn open_init(&self, id: &ContainerId) -> Result<Option<OwnedFd>> {
        let record = self.state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
        let Some(init) = record.init else { return Ok(None) };
        init.open().map_err(|error| Error::host("look at init", error))
    }

    /// All containers, by id; for each whose state can't be read the error.
    ///
    /// # Errors
    /// The state root can't be read.
    pub fn list(&self) -> Result<Vec<(String, Result<Container>)>> {
        let mut containers = Vec::new();
        for name in self.state.names()? {
            let state = ContainerId::new(&name).map_err(Error::from).and_then(|id| self.state(&id));
            // Gone, or not recorded yet.
            if !matches!(state, Err(Error::NotFound)) {
                containers.push((name, state));
            }
        }
        Ok(containers)
    }

    /// The processes in the container's cgroup, by pid in the runtime's namespace; without a cgroup, those in
    /// its pid namespace. None of a stopped container, but what its process left behind in a pid namespace of others.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the cgroup can't be read.
    pub fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        let record = self.state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
        let container = Container::of_record(id, &record)?;
        if container.status == Status::Stopped && record.own_pids {
            return Ok(Vec::new());
        }
        match record.cgroup.clone().filter(|cgroup| !cgroup.directories.is_empty()) {
            Some(cgroup) => Ok(crate::cgroup::Cgroup::open(cgroup)?.processes()?),
            None => members::pids(&record),
        }
    }

    /// Everything but the start of the process, which [`Runtime::start`] does, here or in another program. The caller is
    /// the parent of init, and has to wait for it ([`Process::wait`]) also when it is not started, or deleted by force.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn create(&self, request: &CreateRequest) -> Result<Outcome<Running>> {
        self.launch(request, Prepared::new(request, Purpose::Create)?)
    }

    /// `create` and `start` as one. The caller is the parent of init and can wait for it.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn run(&self, request: &CreateRequest) -> Result<Outcome<Running>> {
        self.launch(request, Prepared::new(request, Purpose::Run)?)
    }

    /// Carries out what was prepared from the same request (its console and its pidfd socket may have been set since).
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn launch(&self, request: &CreateRequest, prepared: Prepared) -> Result<Outcome<Running>> {
        create::launch(&self.state, request, prepared, &self.interrupt)
    }

    /// Starts the process of a created container.
    ///
    /// # Errors
    /// The container is not created; then nothing was done. A hook fails, or its command can't be executed: then its init has
    /// ended, and what is left is to [delete](Runtime::delete) it, and for its maker to wait for the process.
    pub fn start(&self, id: &ContainerId) -> Result<Outcome<()>> {
        self.start_with(id, || {})
    }

    /// [`Self::start`], and `about_to` once it is known that the container is created, under its lock: what a start that is
    /// refused must not do, and the process must find.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn start_with(&self, id: &ContainerId, about_to: impl FnOnce()) -> Result<Outcome<()>> {
        start::start(&self.state, id, &self.interrupt, about_to)
    }

    /// Finds out what a [`Runtime::exec`] would do; nothing is done.
    ///
    /// # Errors
    /// The container is stopped, or paused; the process is not valid, or asks for what this host can't do.
    pub fn prepare_exec(&self, request: &ExecRequest) -> Result<PreparedExec> {
        exec::prepare(&self.state, request)
    }

    /// Executes a process in a container that is there. Returns when the program is executed. The caller is the parent of
    /// the process and can wait for it.
    ///
    /// # Errors
    /// No process is left behind.
    pub fn exec(&self, request: &ExecRequest) -> Result<Outcome<Process>> {
        self.launch_exec(request, self.prepare_exec(request)?)
    }

    /// [`Runtime::exec`] as prepared from the same request (its console and its pidfd socket may have been set since).
    ///
    /// # Errors
    /// No process is left behind.
    pub fn launch_exec(&self, request: &ExecRequest, prepared: PreparedExec) -> Result<Outcome<Process>> {
        exec::exec(request, prepared, Some(&self.interrupt))
    }

    /// Waits for the end of a container's init, whoever made it. How it has ended, where that can be known: by its parent
    /// and by others that began to wait before (others on Linux before 6.15: unless the parent was faster to wait for it);
    /// not any more of a container whose init was waited for before.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::State`]
    pub fn wait(&self, id: &ContainerId) -> Result<Option<ExitStatus>> {
        let record = self.state.open_entry(id)?.read()?.ok_or(Error::NotFound)?;
        let host = |error| Error::host("wait for init", error);
        let init = record.init.map(|init| init.hold()).transpose().map_err(host)?.flatten();
        init.map_or(Ok(None), |init| crate::launch::wait(init.as_fd()).map_err(host))
    }

    /// Sends a signal by number.
    ///
    /// # Errors
    /// The container is neither created nor running nor paused.
    pub fn kill(&self, id: &ContainerId, signal: i32, scope: KillScope) -> Result<()> {
        kill::kill(&self.state, id, signal, scope)
    }

    /// Suspends all processes of a created or running container; returns when they stand still.
    ///
    /// # Errors
    /// [`Error::Status`]: it is neither created nor running. [`Error::Cgroup`]: some process does not stop in time; then
    /// they all run again.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        pause::pause(&self.state, id)
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// [`Error::Status`]: it is not paused.
    pub fn resume(&self, id: &ContainerId) -> Result<()> {
        pause::resume(&self.state, id)
    }

    /// Changes the limits of a container that is not stopped. What is not asked for stays as it is; device rules are
    /// replaced as a whole, where there are any.
    ///
    /// # Errors
    /// [`Error::Status`]: it is stopped. [`Error::CgroupPlan`], [`Error::Cgroup`]: a limit that can't be had or is refused;
    /// then nothing has changed.
    pub fn update(&self, id: &ContainerId, asked: &Resources) -> Result<Outcome<()>> {
        update::update(&self.state, id, asked)
    }

    /// Changes lines of the `schemata` of a container's class of service (Intel RDT), as `L3:0=f`; the lines of the same
    /// resources that counted before.
    ///
    /// # Errors
    /// [`Error::Status`]: it is stopped. [`Error::Request`]: it has no class. [`Error::Resctrl`]: the kernel refuses a line.
    pub fn update_schemata(&self, id: &ContainerId, lines: &[String]) -> Result<Vec<String>> {
        update::update_schemata(&self.state, id, lines)
    }

    /// Adds mounts to a container that is created, running or paused: all of them, or none. Sources are paths of the host
    /// (relative: to the bundle); what is missing of a destination is made. Nothing of it is recorded: they end with the
    /// container, and a `checkpoint` doesn't know them.
    ///
    /// # Errors
    /// [`Error::Status`]: it is stopped. [`Error::Plan`], [`Error::Tree`], [`Error::Step`]: one can't be had, the pointer is
    /// into the list; then none was added, although a destination that was missing may be there now.
    pub fn add_mounts(&self, id: &ContainerId, mounts: &[Mount]) -> Result<Outcome<()>> {
        mounts::add(&self.state, id, mounts)
    }

    /// Takes mounts away from a container that is created, running or paused: all of them, or none. They need not be ones
    /// that were added; what is mounted below goes too. Who uses one goes on doing so (`MNT_DETACH`).
    ///
    /// # Errors
    /// [`Error::Status`]: it is stopped. [`Error::Step`]: there is no mount at one of the destinations, or it can't be
    /// taken away; then all of them are there.
    pub fn remove_mounts(&self, id: &ContainerId, destinations: &[AbsolutePath]) -> Result<Outcome<()>> {
        mounts::remove(&self.state, id, destinations)
    }

    /// Removes a container of ours that was waited for: cgroup, with whoever is left in it, and state.
    ///
    /// # Errors
    /// [`Error::Status`]: it has not ended; then nothing was done. Something of it can't be removed.
    pub fn delete_ended(&self, running: &Running) -> Result<Outcome<()>> {
        delete::delete_ended(&self.state, running, &self.interrupt)
    }

    /// Ends a container of ours, whatever it does, and removes it: its processes are killed, its init is waited for. The same as
    /// [`Runtime::delete_ended`] of one that has ended.
    ///
    /// # Errors
    /// A process does not end, or something of it can't be removed: it can be asked again.
    pub fn end(&self, running: &Running) -> Result<Outcome<ExitStatus>> {
        delete::end(&self.state, running, &self.interrupt)
    }

    /// What a container uses now; of one that has ended, what it has used, until it is removed.
    ///
    /// # Errors
    /// [`Error::Request`]: it has no cgroup. The counters can't be read.
    pub fn stats(&self, id: &ContainerId) -> Result<Stats> {
        events::stats(&self.state, id)
    }

    /// Watches a container, for what happens to it until it ends.
    ///
    /// # Errors
    /// [`Error::Status`]: it is stopped. [`Error::Request`]: it has no cgroup.
    pub fn events(&self, id: &ContainerId) -> Result<Events> {
        events::watch(&self.state, id)
    }

    /// Removes a container: cgroup, state, and with [`Deletion::Force`] its processes. Its init is waited for by its parent: a
    /// program that has made it has a zombie until then.
    ///
    /// # Errors
    /// It is not stopped, or something of it can't be removed. [`Error::ForeignState`]: it is another runtime's, or another
    /// version's; it is not touched, also with [`Deletion::Force`].
    pub fn delete(&self, id: &ContainerId, deletion: Deletion) -> Result<Outcome<()>> {
        delete::delete(&self.state, id, deletion, &self.interrupt)
    }

    /// Makes a pod: namespaces and a cgroup for containers that are created with it in [`CreateRequest::pod`].
    ///
    /// ```no_run
    /// use sandbox::{ContainerId, CreateRequest, Deletion, PodRequest, Runtime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::open("/run/my-program")?;
    /// let pod = runtime.create_pod(&PodRequest::new(ContainerId::new("shop")?))?.value;
    /// for name in ["web", "database"] {
    ///     let mut request = CreateRequest::new(ContainerId::new(name)?, format!("/srv/bundles/{name}"));
    ///     request.pod = Some(pod.clone());
    ///     runtime.run(&request)?;
    /// }
    /// // In another program, if need be:
    /// runtime.delete_pod(&pod.id, Deletion::Force)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`]; only root of the host can hold namespaces. Nothing is left behind.
    pub fn create_pod(&self, request: &PodRequest) -> Result<Outcome<Pod>> {
        pod::create(&self.state, request)
    }

    /// Finds a pod by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::State`]
    pub fn pod(&self, id: &ContainerId) -> Result<Pod> {
        pod::open(&self.state, id)
    }

    /// The ids of all pods, also of what is left of one whose maker was ended.
    ///
    /// # Errors
    /// The state root can't be read.
    pub fn pods(&self) -> Result<Vec<ContainerId>> {
        pod::list(&self.state)
    }

    /// The containers of a pod.
    ///
    /// # Errors
    /// The state root can't be read.
    pub fn pod_containers(&self, id: &ContainerId) -> Result<Vec<ContainerId>> {
        pod::containers(&self.state, id)
    }

    /// Removes a pod with all its containers, with [`Deletion::Force`] also those that run, and with what is left of one
    /// whose maker was ended.
    ///
    /// # Errors
    /// A container is not stopped: then nothing was removed. Something can't be removed: it can be tried again.
    pub fn delete_pod(&self, id: &ContainerId, deletion: Deletion) -> Result<Outcome<()>> {
        pod::delete_pod(&self.state, id, deletion, &self.interrupt)
    }

    /// Saves a running container with CRIU; unless it is to go on, it is deleted then.
    ///
    /// # Errors
    /// [`Error::Status`], [`Error::Criu`]: the container is as it was.
    #[cfg(feature = "criu")]
    pub fn checkpoint(&self, request: crate::criu::CheckpointRequest) -> Result<Outcome<()>> {
        checkpoint::checkpoint(&self.state, request, &self.interrupt)
    }

    /// Restores a container with CRIU, as prepared with [`Purpose::Run`] from the same request. The caller is the
    /// parent of init.
    ///
    /// # Errors
    /// Nothing is left behind.
    #[cfg(feature = "criu")]
    pub fn restore(
        &self,
        request: &crate::criu::RestoreRequest,
        prepared: Prepared,
    ) -> Result<Outcome<Running>> {
        restore::restore(&self.state, request, prepared, &self.interrupt)
    }
}

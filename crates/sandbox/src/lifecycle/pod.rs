//! A pod: namespaces and a cgroup that several containers share, made and removed as one.
//!
//! Runs in the runtime. The namespaces are made by a process that ends at once; what holds them are mounts of their files
//! in the pod's directory, `ROOT/-pods/ID` (a name that no container has), in the runtime's mount namespace. The intent,
//! which names all that there can be, is recorded before any of it, so that a pod is removed completely wherever its maker
//! was ended. A container of a pod says so in its own intent, which is recorded under the pod's lock: who removes the pod
//! finds it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use init::Step;
use init::wire::Strs;
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use serde::{Deserialize, Serialize};
use spec::config::{Namespace, NamespaceKind, Resources};
use spec::{AbsolutePath, Config, Text};

use super::Deletion;
use super::delete::delete;
use super::dialogue::{deadline, hear};
use super::undo::Unfinished;
use super::update::checked;
use crate::cgroup::{Cgroup, CgroupPath, CgroupRecord, DEFAULT_DEADLINE, plan_cgroup, probe_hierarchies};
use crate::error::{Error, Result};
use crate::launch::{Inheritance, Launch, Message};
use crate::outcome::Warning;
use crate::plan::{PlannedStep, clone_flag};
use crate::state::{Entry, StateRoot, boot_id, decode, encode};
use crate::step_error::StepError;
use crate::{CgroupManager, ContainerId, Interrupt, Outcome};

/// The layout's version; a record of a newer one is not touched.
const SCHEMA: u32 = 1;
/// Where pods are, in the directory of the containers.
const PODS: &str = "-pods";
const RECORD: &str = "pod.json";

/// A pod to create.
#[derive(Clone, Debug)]
pub struct PodRequest {
    /// Its id. Pods and containers don't get into each other's way.
    pub id: ContainerId,
    /// What its containers share.
    pub namespaces: Vec<PodNamespace>,
    /// The host name in its UTS namespace; the host's where absent.
    pub hostname: Option<Text>,
    /// The cgroup in which those of its containers are, from the mount point of each hierarchy on: absolute. Absent,
    /// `/sandbox-ID`.
    pub cgroups_path: Option<Text>,
    /// Limits for all its containers together. Device rules are each container's own.
    pub resources: Resources,
    /// Who makes the cgroup: the runtime, or nobody.
    pub cgroup_manager: CgroupManager,
}

/// A namespace that can be held without a process in it. (A pid namespace ends with its first process: to share one,
/// containers join `/proc/PID/ns/pid` of the first.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodNamespace {
    /// Interfaces, addresses, ports; `lo` is up.
    Network,
    /// System V objects and POSIX message queues.
    Ipc,
    /// The host name.
    Uts,
}

impl PodNamespace {
    /// All.
    pub const ALL: [Self; 3] = [Self::Network, Self::Ipc, Self::Uts];

    const fn kind(self) -> NamespaceKind {
        match self {
            Self::Network => NamespaceKind::Network,
            Self::Ipc => NamespaceKind::Ipc,
            Self::Uts => NamespaceKind::Uts,
        }
    }

    /// In `/proc/PID/ns`, and in the pod's directory.
    const fn file(self) -> &'static str {
        self.kind().file_name()
    }
}

impl PodRequest {
    /// A pod whose containers share network, IPC and host name, without limits.
    pub fn new(id: ContainerId) -> Self {
        Self {
            id,
            namespaces: PodNamespace::ALL.to_vec(),
            hostname: None,
            cgroups_path: None,
            resources: Resources::default(),
            cgroup_manager: CgroupManager::default(),
        }
    }
}

/// A pod that is there. Nothing happens to it when this is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its id.
    pub id: ContainerId,
    /// When it was created.
    pub created: SystemTime,
    /// The file of each of its namespaces, to join or to look into.
    pub namespaces: BTreeMap<PodNamespace, PathBuf>,
    /// The cgroup below which those of its containers are, as `cgroupsPath` names it; absent where it has none.
    pub cgroups_path: Option<String>,
}

impl Pod {
    /// The file of its network namespace.
    pub fn network(&self) -> Option<&Path> {
        self.namespaces.get(&PodNamespace::Network).map(PathBuf::as_path)
    }

    /// Makes a container of this configuration one of the pod: its namespaces are joined in place of the config's own, its
    /// host name is the pod's, its cgroup is below the pod's.
    pub(super) fn adopt(&self, config: &mut Config, id: &ContainerId) -> Result<()> {
        let not_text = || Error::Request("the path of a pod's namespace is not UTF-8");
        for (kind, path) in &self.namespaces {
            let path = path.to_str().and_then(Text::new).and_then(AbsolutePath::new).ok_or_else(not_text)?;
            let joined = Namespace { path: Some(path), index: 0 };
            let namespaces = &mut config.linux.namespaces;
            match kind {
                PodNamespace::Network => namespaces.network = Some(joined),
                PodNamespace::Ipc => namespaces.ipc = Some(joined),
                PodNamespace::Uts => {
                    namespaces.uts = Some(joined);
                    (config.hostname, config.domainname) = (None, None);
                }
            }
        }
        if let Some(path) = &self.cgroups_path {
            config.linux.cgroups_path = Text::new(format!("{path}/{id}"));
        }
        Ok(())
    }
}

/// `pod.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    schema: u32,
    boot_id: String,
    created_ns: u64,
    /// It is whole.
    ready: bool,
    namespaces: Vec<PodNamespace>,
    cgroups_path: Option<String>,
    cgroup: Option<CgroupRecord>,
}

/// The directory of the pods.
fn pods(state: &StateRoot) -> Result<StateRoot> {
    StateRoot::open(&state.path().join(PODS))
}

fn read(entry: &Entry) -> Result<Option<Record>> {
    let Some(bytes) = entry.read_file(RECORD)? else { return Ok(None) };
    let record: Record = decode(RECORD, &bytes)?;
    if record.schema != SCHEMA {
        let reason = format!("{RECORD}: its schema is {}; this version's is {SCHEMA}", record.schema);
        return Err(Error::ForeignState { reason });
    }
    Ok(Some(record))
}

fn write(entry: &Entry, record: &Record) -> Result<()> {
    entry.replace_file(RECORD, &encode(record)?)
}

fn pod_of(pods: &StateRoot, id: &ContainerId, record: &Record) -> Pod {
    let directory = pods.path().join(&**id);
    Pod {
        id: id.clone(),
        created: SystemTime::UNIX_EPOCH + Duration::from_nanos(record.created_ns),
        namespaces: record.namespaces.iter().map(|it| (*it, directory.join(it.file()))).collect(),
        cgroups_path: record.cgroups_path.clone(),
    }
}

pub(super) fn create(state: &StateRoot, request: &PodRequest) -> Result<Outcome<Pod>> {
    let mut namespaces = request.namespaces.clone();
    namespaces.sort();
    namespaces.dedup();
    if request.hostname.is_some() && !namespaces.contains(&PodNamespace::Uts) {
        return Err(Error::Request("a pod's host name needs a UTS namespace of its own"));
    }
    let pods = pods(state)?;
    let mut warnings = Vec::new();
    let cgroups_path = match request.cgroup_manager {
        CgroupManager::Disabled => None,
        CgroupManager::Systemd => {
            return Err(Error::Request("the cgroup of a pod can't be made by systemd: give cgroups_path"));
        }
        CgroupManager::Cgroupfs => {
            let default = || Text::new(format!("/sandbox-{}", request.id));
            Some(request.cgroups_path.clone().or_else(default).unwrap_or_default())
        }
    };
    if cgroups_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err(Error::Request("cgroups_path of a pod must be absolute: its containers are found by it"));
    }
    let cgroup = match &cgroups_path {
        Some(path) => {
            let path = CgroupPath::new(Some(path), &request.id)?;
            let hierarchies = probe_hierarchies(path.own_paths())?;
            let planned =
                plan_cgroup(request.cgroup_manager, &checked(&request.resources)?, &path, &hierarchies)?;
            warnings.extend(planned.warnings);
            let mut plan = planned.value;
            // A container's rules can't allow what the pod's deny.
            plan.directories.iter_mut().for_each(|directory| directory.devices = None);
            Some(plan)
        }
        None => None,
    };

    let entry = pods.create_for(&request.id, RECORD)?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut record = Record {
        schema: SCHEMA,
        boot_id: boot_id().map_err(|error| Error::host("read the boot id", error))?,
        created_ns: since_1970.as_nanos() as u64,
        ready: false,
        namespaces,
        cgroups_path: cgroups_path.map(|path| path.trim_end_matches('/').to_owned()),
        cgroup: None,
    };
    let made = (|| {
        let claim = cgroup.as_ref().map(crate::cgroup::CgroupPlan::probe_claim).transpose()?;
        record.cgroup = claim.as_ref().map(|claim| claim.record().clone());
        write(&entry, &record)?;
        if let Some(claim) = claim {
            let made = Cgroup::create(claim)?;
            warnings.extend(made.warnings);
            record.cgroup = Some(made.value.record().clone());
            warnings.extend(made.value.offer_controllers());
        }
        make_namespaces(&entry, &record.namespaces, request.hostname.as_ref())?;
        record.ready = true;
        write(&entry, &record)
    })();
    if let Err(error) = made {
        if let Err(left) = remove(&pods, &entry, &record) {
            tracing::warn!("pod {} is left for its deletion: {left}", request.id);
        }
        return Err(error);
    }
    Ok(Outcome { value: pod_of(&pods, &request.id, &record), warnings })
}

/// A process makes the namespaces, waits until each of their files is mounted, and ends.
fn make_namespaces(entry: &Entry, namespaces: &[PodNamespace], hostname: Option<&Text>) -> Result<()> {
    let mut steps = vec![Step::ResetSignals { ignored: 0 }];
    if namespaces.contains(&PodNamespace::Network) {
        steps.push(Step::LoopbackUp {});
    }
    if let Some(name) = hostname {
        steps.push(Step::SetHostname { name: (&**name).into() });
    }
    steps.extend([Step::AwaitHooks { points: Strs::default() }, Step::End {}]);
    let steps: Vec<_> = steps.into_iter().map(|step| PlannedStep { pointer: "".into(), step }).collect();
    let flags = namespaces.iter().fold(0, |flags, namespace| flags | clone_flag(namespace.kind()));
    let launch =
        Launch { namespaces: flags, cgroup: None, first_own_fd: 3, inheritance: Inheritance::default() };
    let launched = launch.spawn(&steps)?;
    let process = Unfinished { pid: launched.pid, pidfd: launched.pidfd };
    let held = hear(&launched.conversation, deadline()).and_then(|message| match message {
        Message::Waiting(_) => {
            namespaces.iter().try_for_each(|namespace| hold(entry, *namespace, process.pid))
        }
        Message::Failed(report) => Err(StepError::new(steps.get(report.step as usize), report).into()),
        _ => Err(Error::InitEnded { how: "before it had made the namespaces".to_owned() }),
    });
    // The end of the conversation is its own.
    process.kill();
    process.wait();
    held
}

/// Mounts the file of a namespace of our child, which is not waited for yet, in the pod's directory.
fn hold(entry: &Entry, namespace: PodNamespace, pid: i32) -> Result<()> {
    let name = namespace.file();
    let error =
        |action, errno: Errno| Error::file(action, format!("{PODS}/{}/{name}", entry.id()), errno.into());
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(entry.as_fd(), name, flags, Mode::empty()).map_err(|errno| error("make", errno))?;
    mount_bind(format!("/proc/{pid}/ns/{name}"), path_in(entry, name))
        .map_err(|errno| error("mount the namespace on", errno))
}

/// A path of a file of the entry, whatever has the entry's name.
fn path_in(entry: &Entry, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", entry.as_fd().as_raw_fd()))
}

/// Finds a pod.
pub(super) fn open(state: &StateRoot, id: &ContainerId) -> Result<Pod> {
    let pods = pods(state)?;
    let record = read(&pods.open_entry(id)?)?.filter(|record| record.ready).ok_or(Error::NotFound)?;
    Ok(pod_of(&pods, id, &record))
}

/// The ids of all pods, those too that are not whole.
pub(super) fn list(state: &StateRoot) -> Result<Vec<ContainerId>> {
    Ok(pods(state)?.names()?.iter().filter_map(|name| ContainerId::new(name).ok()).collect())
}

/// The containers of a pod.
pub(super) fn containers(state: &StateRoot, id: &ContainerId) -> Result<Vec<ContainerId>> {
    let mut found = Vec::new();
    for name in state.names()? {
        let Ok(container) = ContainerId::new(&name) else { continue };
        let record = match state.open_entry(&container).and_then(|entry| entry.read()) {
            // One that is damaged, or another runtime's, is nobody's: `delete --force` is for that.
            Err(Error::State { .. } | Error::ForeignState { .. } | Error::NotFound) => None,
            record => record?,
        };
        if record.is_some_and(|record| record.pod.as_deref() == Some(&**id)) {
            found.push(container);
        }
    }
    Ok(found)
}

/// Locks a pod that a container is going to be in: it is still the one that the caller knows.
pub(super) fn join(state: &StateRoot, pod: &Pod) -> Result<Entry> {
    let gone = || Error::status(format!("pod {} does not exist any more", pod.id));
    let pods = pods(state)?;
    let entry = match pods.lock(&pod.id) {
        Err(Error::NotFound) => return Err(gone()),
        entry => entry?,
    };
    let record = read(&entry)?.filter(|record| record.ready && pod_of(&pods, &pod.id, record) == *pod);
    record.map(|_| entry).ok_or_else(gone)
}

pub(super) fn delete_pod(
    state: &StateRoot,
    id: &ContainerId,
    deletion: Deletion,
    interrupt: &Interrupt,
) -> Result<Outcome<()>> {
    let pods = pods(state)?;
    let entry = match pods.lock(id) {
        Err(Error::NotFound) if deletion == Deletion::Force => return Ok(Outcome::new(())),
        entry => entry?,
    };
    let mut warnings: Vec<Warning> = Vec::new();
    let record = match read(&entry) {
        Err(error @ Error::State { .. }) => {
            warnings
                .push(Warning { pointer: None, message: format!("removed, without its cgroup: {error}") });
            None
        }
        record => record?,
    };
    // Nothing was done yet; or it can't be known what: what has a name is removed.
    let record = record.unwrap_or_else(|| Record {
        schema: SCHEMA,
        boot_id: String::new(),
        created_ns: 0,
        ready: false,
        namespaces: PodNamespace::ALL.to_vec(),
        cgroups_path: None,
        cgroup: None,
    });
    let containers = containers(state, id)?;
    if deletion == Deletion::Stopped {
        for container in &containers {
            let record = state.open_entry(container)?.read()?;
            let now = record.as_ref().map(super::container::status).transpose()?;
            if let Some(now) = now.filter(|now| *now != super::Status::Stopped) {
                return Err(Error::status(format!("cannot delete pod {id}: container {container} is {now}")));
            }
        }
    }
    for container in &containers {
        warnings.extend(delete(state, container, Deletion::Force, interrupt)?.warnings);
    }
    remove(&pods, &entry, &record)?;
    Ok(Outcome { value: (), warnings })
}

/// Removes what there is of a pod, in an order in which it can be done again from any point.
fn remove(pods: &StateRoot, entry: &Entry, record: &Record) -> Result<()> {
    for namespace in &record.namespaces {
        let name = namespace.file();
        let error = |action, errno: Errno| {
            Error::file(action, pods.path().join(&**entry.id()).join(name), errno.into())
        };
        match unmount(path_in(entry, name), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Not there, or not mounted: here, or not any more.
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return Err(error("unmount", errno)),
        }
        match unlinkat(entry.as_fd(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(error("remove", errno)),
        }
    }
    if let Some(cgroup) = &record.cgroup {
        Cgroup::open(cgroup.clone())?.remove(Instant::now() + DEFAULT_DEADLINE)?;
    }
    pods.remove(entry)
}

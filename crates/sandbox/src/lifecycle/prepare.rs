//! From the request to the plan: everything before the first outside effect.
//!
//! Runs in the runtime.

use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use spec::config::{Attributes, Mount, MountKind, attribute};
use spec::{AbsolutePath, Config, Text};

use crate::cgroup::{
    CgroupError, CgroupPath, CgroupPlan, Hierarchies, OwnPaths, Refusal, Session, plan_cgroup, plan_systemd,
};
use crate::contents;
use crate::descriptors::Passed;
use crate::error::{Error, Result};
use crate::host::HostFacts;
use crate::outcome::Warning;
use crate::plan::{Plan, PlanRequest, Purpose, plan};
use crate::{CgroupManager, ConfigSource, CreateRequest, RootSwitch, Rootless};

/// No config is larger (`spec` refuses it too).
const MOST_CONFIG_BYTES: u64 = 16 << 20;

/// A container that could be created: what was read, and what would be done.
#[derive(Debug)]
pub struct Prepared {
    /// The config's bytes, as read once.
    pub(super) config_bytes: Vec<u8>,
    /// The config.
    pub config: Config,
    /// The host's facts.
    pub host: HostFacts,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// What follows the set-up.
    pub purpose: Purpose,
    /// What would be done.
    pub plan: Plan,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

impl Prepared {
    /// Reads the bundle and plans; nothing is done.
    ///
    /// # Errors
    /// The bundle can't be read, its config is not valid, or asks for what this host can't do.
    pub fn new(request: &CreateRequest, purpose: Purpose) -> Result<Self> {
        let _phase = phase!("read and plan");
        let bundle = absolute(&request.bundle)?;
        let mut config_bytes = read_config(&bundle, &request.config)?;
        let mut parsed = spec::parse_config(&config_bytes)?;
        if let Some(pod) = &request.pod {
            pod.adopt(&mut parsed.config, &request.id)?;
            config_bytes = parsed.config.to_json().into_bytes();
            parsed.config = spec::parse_config(&config_bytes)?.config;
        }
        let mut config = parsed.config;
        if let Some(directory) = &request.notify_directory {
            add_notify_socket(&mut config, directory);
        }
        let mut warnings: Vec<Warning> = parsed
            .warnings
            .into_iter()
            .map(|warning| Warning { pointer: Some(warning.pointer), message: warning.message })
            .collect();

        let path = CgroupPath::new(config.linux.cgroups_path.as_ref(), &request.id)?;
        let shows_cgroups = config.mounts.iter().any(|mount| mount.kind == MountKind::Cgroup);
        let own_paths = match request.cgroup_manager {
            // Its units' places do not depend on ours.
            CgroupManager::Systemd => Some(OwnPaths::Skip),
            CgroupManager::Cgroupfs => Some(path.own_paths()),
            // The container stays in ours, and may look at it.
            CgroupManager::Disabled => shows_cgroups.then_some(OwnPaths::Skip),
        };
        let mut host = HostFacts::probe(&config, own_paths)?;
        host.streams = request.streams.kinds(host.streams);
        let passed = Passed::of(&request.descriptors, request.preserve_fds, request.listen_fds)?;
        warnings.extend(passed.warning());
        if request.root_switch == RootSwitch::Move {
            host.probe_kernel_views()?;
        }
        let (cgroup, cgroup_warnings) = plan_own_cgroup(request, &config, &host, &path)?;
        warnings.extend(cgroup_warnings);
        let plan_request = PlanRequest {
            id: &request.id,
            bundle: bundle.clone(),
            purpose,
            root_switch: request.root_switch,
            session_keyring: request.session_keyring,
            newlines: request.newlines,
            preserve_fds: passed.count,
            listen_fds: request.listen_fds,
            own_streams: request.streams.own(),
            own_descriptors: request.descriptors.len() as u32,
            closed_below: passed.closed_below,
            cgroup,
        };
        let mut plan = plan(&config, &host, plan_request)?;
        warnings.append(&mut plan.warnings);
        plan.warnings.clone_from(&warnings);
        Ok(Self { config_bytes, config, host, bundle, purpose, plan, warnings })
    }

    /// Whether the container has a pid namespace of its own.
    pub(super) fn has_own_pids(&self) -> bool {
        self.config.linux.namespaces.pid.as_ref().is_some_and(|namespace| namespace.path.is_none())
    }

    /// That there is something to start: `create` does without (config.md).
    ///
    /// # Errors
    /// [`Error::Request`]
    pub fn check_process(&self) -> Result<()> {
        check_process(&self.config)
    }

    /// Whether the config asks for a terminal.
    pub fn terminal(&self) -> bool {
        self.config.process.as_ref().is_some_and(|process| process.terminal.is_some())
    }
}

/// That a config has what `start` is about.
pub(super) const fn check_process(config: &Config) -> Result<()> {
    match config.process {
        Some(_) => Ok(()),
        None => Err(Error::Request(
            "cannot start a container without a process (from /process): it is required at start",
        )),
    }
}

/// The socket of `sd_notify(3)`, where runc's callers expect it.
pub(super) fn add_notify_socket(config: &mut Config, directory: &Path) {
    let text = |text: &str| Text::new(text);
    let (Some(process), Some(source)) = (&mut config.process, directory.to_str().and_then(text)) else {
        return;
    };
    let Some(destination) = text("/run/notify").and_then(AbsolutePath::new) else { return };
    if config.linux.namespaces.mount.is_none() {
        return;
    }
    let set = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    config.mounts.push(Mount {
        destination,
        kind: MountKind::Bind { source, recursive: false },
        attributes: Attributes { set, clear: 0 },
        recursive_attributes: Attributes::default(),
        propagation: Vec::new(),
        data: Vec::new(),
        copy_up: false,
        id_map: None,
    });
    process.env.retain(|entry| !entry.starts_with("NOTIFY_SOCKET="));
    process.env.extend(text("NOTIFY_SOCKET=/run/notify/notify.sock"));
}

/// The container's cgroups.
fn plan_own_cgroup(
    request: &CreateRequest,
    config: &Config,
    host: &HostFacts,
    path: &CgroupPath,
) -> Result<(Option<CgroupPlan>, Vec<Warning>)> {
    let none = Hierarchies::default();
    let hierarchies = host.cgroups.as_ref().unwrap_or(&none);
    let resources = &config.linux.resources;
    let mut outcome = match request.cgroup_manager {
        CgroupManager::Systemd => {
            let cgroups_path = config.linux.cgroups_path.as_ref();
            let session = Session::probe();
            plan_systemd(resources, cgroups_path, &request.id, &config.annotations, session, hierarchies)?
        }
        manager => plan_cgroup(manager, resources, path, hierarchies)?,
    };
    let confined = host.confinement.is_some();
    if confined && outcome.value.drop_device_program() {
        let message = "rules of devices are not enforced: only root of the host can attach the filter";
        outcome.warnings.push(warning("/linux/resources/devices", message));
    }
    if !confined {
        outcome.value.delegate(config);
    }
    let mut plan = Some(outcome.value).filter(|plan| !plan.directories.is_empty());
    let tolerant = match request.rootless {
        Rootless::Auto => confined,
        Rootless::Yes => true,
        Rootless::No => false,
    };
    // A path that the config names must be had (runc's rule).
    if tolerant
        && config.linux.cgroups_path.is_none()
        && let Some(wanted) = plan.as_ref().filter(|plan| plan.unit.is_none())
        && let Some(Refusal { path, source }) = wanted.probe_refusal(hierarchies)?
    {
        if let Some(pointer) = wanted.limit() {
            return Err(CgroupError::NotDelegated { path, pointer: pointer.to_owned(), source }.into());
        }
        let reason = crate::error::reason(&source);
        let message = format!("the container gets no cgroup: write to {}: {reason}", path.display());
        outcome.warnings.push(warning("/linux/cgroupsPath", &message));
        let own_pids = config.linux.namespaces.pid.as_ref().is_some_and(|pid| pid.path.is_none());
        if !own_pids {
            let message = "without a cgroup and a new pid namespace, processes that outlive the first can't be found by \
                           kill and delete";
            outcome.warnings.push(warning("/linux/namespaces", message));
        }
        plan = None;
    }
    Ok((plan, outcome.warnings))
}

fn warning(pointer: &str, message: &str) -> Warning {
    Warning { pointer: Some(pointer.to_owned()), message: message.to_owned() }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::file("find", path, error))
}

/// Reads the config once.
fn read_config(bundle: &Path, source: &ConfigSource) -> Result<Vec<u8>> {
    match source {
        ConfigSource::Bundle => read_document("read", &bundle.join("config.json")),
        ConfigSource::File(path) => read_document("read", path),
        ConfigSource::Document(bytes) => Ok(bytes.clone()),
        // What is recorded is a document; and rules between fields are checked where it is read.
        ConfigSource::Config(config) => Ok(config.to_json().into_bytes()),
    }
}

/// Reads a document of a bounded size from a regular file, or from a pipe that is open already (`<(command)` of a shell).
/// `action` is what an error says of it.
pub(crate) fn read_document(action: &'static str, path: &Path) -> Result<Vec<u8>> {
    let error = |source| Error::file(action, path, source);
    // A FIFO must not block.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| error(errno.into()))?);
    let status = file.metadata().map_err(error)?;
    let is_own_pipe = status.file_type().is_fifo() && is_own_descriptor(path);
    if is_own_pipe {
        rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(|errno| error(errno.into()))?;
    } else if !status.is_file() {
        let message = "it is not a regular file";
        return Err(error(std::io::Error::new(std::io::ErrorKind::InvalidInput, message)));
    }
    contents::read(file, status.len(), MOST_CONFIG_BYTES + 1).map_err(error)
}

/// Whether it is one of our own descriptors, whose other end the caller holds. A FIFO of the file system may never have one.
fn is_own_descriptor(path: &Path) -> bool {
    let directories = ["/dev/fd", "/proc/self/fd"];
    path == Path::new("/dev/stdin")
        || directories.iter().any(|directory| path.parent() == Some(Path::new(directory)))
}

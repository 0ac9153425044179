//! `checkpoint`: a running container to images, by CRIU.
//!
//! Runs in the runtime, under the container's lock. What CRIU must be told of the container follows from its config and
//! the plan that is made of it again; nothing of the container changes before CRIU begins.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use spec::Config;
use spec::config::NamespaceKind;

use super::container::{Status, status};
use super::delete::{Deletion, delete};
use super::pause::{cgroup, open_init};
use super::prepare::add_notify_socket;
use super::start::ignored_signals;
use crate::cgroup::Hierarchies;
use crate::criu::{
    AfterCheckpoint, CheckpointRequest, CriuError, DESCRIPTORS, Directories, Extent, Kind, Options,
    PageServer, Request, Swrk, Version, check_recent, common_options, dumped_mounts, external_key, failure,
    make_directory, read_streams,
};
use crate::error::{Error, Result};
use crate::host::HostFacts;
use crate::plan::{PlanRequest, Purpose, plan};
use crate::state::{Entry, Record, StateRoot};
use crate::{Interrupt, Outcome};

const LOG: &str = "dump.log";

/// How long processes may take to stand still.
const FREEZE_DEADLINE: Duration = Duration::from_secs(8);

pub(super) fn checkpoint(
    state: &StateRoot,
    request: CheckpointRequest,
    interrupt: &Interrupt,
) -> Result<Outcome<()>> {
    let entry = state.lock(&request.id)?;
    let record = entry.read()?.ok_or(Error::NotFound)?;
    match status(&record)? {
        Status::Running | Status::Paused => {}
        other => return Err(Error::status(format!("container cannot be checkpointed in {other} state"))),
    }
    let mut config = spec::parse_config(entry.read_config()?.as_bytes())?.config;
    let notify_directory = state.path().join(&*request.id).join(crate::state::NOTIFY);
    if notify_directory.exists() {
        // It was created with a socket of `sd_notify(3)`, which is a mount that the bundle does not have.
        add_notify_socket(&mut config, &notify_directory);
    }
    check_supported(&config)?;
    check_status_fd(&request)?;
    make_directory(&request.criu.image_path)?;
    check_parent(&request)?;

    let signals = ignored_signals()?;
    let program = request.criu.program.as_deref();
    let version = Swrk::probe(program, needed_features(&request), signals)?;
    check_recent(version, Version::LEAST, "checkpoint")?;
    if request.criu.network_lock.is_some() {
        check_recent(version, Version::NETWORK_LOCK, "--network-lock")?;
    }

    let directories = Directories::open(&request.criu)?;
    let (options, pid) = dump_options(&request, &directories, &entry, &record, &config)?;
    if request.extent == Extent::Whole {
        write_streams(&request.criu.image_path, pid)?;
    }
    let (extent, after) = (request.extent, request.after);
    let id = request.id.clone();
    dump(request, options, signals).map_err(|error| match error {
        Error::Criu(error) => failure(*error, directories.log(LOG)).into(),
        error => error,
    })?;
    if extent == Extent::PreDump || after == AfterCheckpoint::GoOn {
        return Ok(Outcome::new(()));
    }
    // Its processes have ended: what remains is removed as it always is.
    drop(entry);
    delete(state, &id, Deletion::Force, interrupt)
}

/// Tells CRIU, and whoever waits for the memory.
fn dump(request: CheckpointRequest, options: Options, signals: u64) -> Result<()> {
    let kind = if request.extent == Extent::PreDump { Kind::PreDump } else { Kind::Dump };
    let mut swrk = Swrk::start(
        request.criu.program.as_deref(),
        &crate::criu::Place::Outside,
        &Default::default(),
        signals,
    )?;
    let mut status_fd = request.status_fd;
    let ask = Request { options: Some(options), ..Request::of(kind) };
    swrk.ask(&ask, &mut |notify, _| {
        if notify.script.as_deref() == Some("status-ready")
            && let Some(status_fd) = status_fd.take()
        {
            // Whoever waited may be gone; the memory can be fetched all the same.
            let _ = rustix::io::write(&status_fd, &[0]);
        }
        Ok(())
    })?;
    // After a pre-dump CRIU waits for another; that we don't come is an error to it.
    if !swrk.finish() && kind == Kind::Dump {
        return Err(CriuError::Ended { how: "with an error, after the checkpoint".into() }.into());
    }
    Ok(())
}

fn needed_features(request: &CheckpointRequest) -> crate::criu::Features {
    crate::criu::Features {
        mem_track: (request.extent == Extent::PreDump).then_some(true),
        lazy_pages: request.criu.lazy_pages.then_some(true),
    }
}

/// What CRIU would lose without a word.
fn check_supported(config: &Config) -> Result<()> {
    let mapped = config.mounts.iter().position(|mount| mount.id_map.is_some());
    match mapped {
        Some(index) => {
            let pointer = format!("/mounts/{index}");
            Err(CriuError::Unsupported { what: "an id-mapped mount", pointer }.into())
        }
        None => Ok(()),
    }
}

fn check_status_fd(request: &CheckpointRequest) -> Result<()> {
    let Some(status_fd) = &request.status_fd else { return Ok(()) };
    let flags = rustix::fs::fcntl_getfl(status_fd.as_fd())
        .map_err(|errno| Error::host("look at the status descriptor", errno.into()))?;
    if flags.intersection(OFlags::RWMODE) == OFlags::RDONLY {
        return Err(Error::Request("invalid --status-fd argument: not writable"));
    }
    Ok(())
}

/// The parent's path is stored in the images: it must lead there from them.
fn check_parent(request: &CheckpointRequest) -> Result<()> {
    let Some(parent) = &request.parent_path else { return Ok(()) };
    if parent.is_absolute() {
        return Err(Error::Request("--parent-path must be relative"));
    }
    let whole = request.criu.image_path.join(parent);
    let status =
        std::fs::metadata(&whole).map_err(|error| Error::file("open --parent-path", &whole, error))?;
    if status.is_dir() { Ok(()) } else { Err(Error::Request("invalid --parent-path: not a directory")) }
}

fn dump_options(
    request: &CheckpointRequest,
    directories: &Directories,
    entry: &Entry,
    record: &Record,
    config: &Config,
) -> Result<(Options, i32)> {
    let pid = record.init.map(|init| init.pid).ok_or(Error::NotFound)?;
    let mut options = common_options(&request.criu, config, LOG);
    directories.locate(&mut options);
    options.pid = Some(pid);
    options.root = Some(record.rootfs.to_string_lossy().into_owned());
    options.leave_running = Some(request.after == AfterCheckpoint::GoOn);
    options.freeze_cgroup = freezer(record)?;
    options.external = external_namespaces(config)?;
    options.page_server = request
        .page_server
        .as_ref()
        .map(|(address, port)| PageServer { address: Some(address.clone()), port: Some(i32::from(*port)) });
    if let Some(parent) = &request.parent_path {
        options.parent_img = Some(parent.to_string_lossy().into_owned());
        options.track_mem = Some(true);
    }
    if request.extent == Extent::PreDump {
        options.track_mem = Some(true);
    } else {
        options.external_mounts = dumped_mounts(&steps(entry, record, config)?, config, &record.rootfs, pid)?;
    }
    Ok((options, pid))
}

/// The steps that the config means, for its mounts. Those of the cgroup file system depend on the host: they are found
/// in the container.
fn steps(entry: &Entry, record: &Record, config: &Config) -> Result<Vec<crate::plan::PlannedStep>> {
    let host = HostFacts { cgroups: Some(Hierarchies::default()), ..HostFacts::default() };
    let request = PlanRequest::new(entry.id(), &record.bundle, Purpose::Run);
    Ok(plan(config, &host, request)?.steps)
}

/// The cgroup through which CRIU lets the processes stand still; without one it stops each by ptrace. On a hybrid host
/// CRIU knows v1's freezer alone, and could not work on processes that v2's holds: a pause is handed over.
fn freezer(record: &Record) -> Result<Option<String>> {
    if record.cgroup.as_ref().is_none_or(|cgroup| cgroup.directories.is_empty()) {
        return Ok(None);
    }
    let cgroup = cgroup(record)?;
    let Some(path) = cgroup.freezer_of_criu() else { return Ok(None) };
    let init = open_init(record)?;
    let init = init.as_ref().map(OwnedFd::as_fd);
    if status(record)? == Status::Paused {
        cgroup.hand_over_pause(init, Instant::now() + FREEZE_DEADLINE)?;
    }
    Ok(Some(path.to_string_lossy().into_owned()))
}

/// Namespaces that were joined by path are not the container's to save: `net[INODE]:extRootNetNS`.
fn external_namespaces(config: &Config) -> Result<Vec<String>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut external = Vec::new();
    for kind in [NamespaceKind::Network, NamespaceKind::Pid] {
        let namespace = config.linux.namespaces.get(kind);
        let path = namespace.and_then(|namespace| namespace.path.as_ref());
        let (Some(path), Some((name, key))) = (path, external_key(kind)) else { continue };
        let path = Path::new(&***path);
        let status = std::fs::metadata(path).map_err(|error| Error::file("stat", path, error))?;
        external.push(format!("{name}[{}]:{key}", status.ino()));
    }
    Ok(external)
}

fn write_streams(images: &Path, pid: i32) -> Result<()> {
    let path = images.join(DESCRIPTORS);
    let text = serde_json::to_vec(&read_streams(pid)).unwrap_or_default();
    std::fs::write(&path, text).map_err(|error| Error::file("write", &path, error))
}

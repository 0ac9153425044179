//! CRIU, asked over its service protocol: a container's processes to images, and back.
//!
//! Runs in the runtime. `criu swrk` is launched as a hook is, by a plan; it gets one end of a socket pair and answers
//! requests with protobuf messages (`message`). In between it notifies of where it is, and waits for an answer.
//!
//! What the container shares with the host is named by us, the same at checkpoint and at restore (`external`): bind
//! mounts, namespaces that were joined, pipes. The names are runc's: images can be exchanged.

mod error;
mod external;
mod log;
mod message;
mod request;
mod swrk;
mod version;

pub use error::CriuError;
pub(crate) use error::check_recent;
pub use request::{
    AfterCheckpoint, CheckpointRequest, CriuOptions, Extent, ManageCgroups, NetworkLock, RestoreRequest,
};
pub use version::Version;

pub(crate) use external::{
    DESCRIPTORS, dumped_mounts, external_key, inherited_pipes, read_streams, restored_mounts,
};
pub(crate) use message::{
    CgroupMode, CgroupRoot, Features, InheritedDescriptor, JoinNamespace, Kind, LockMethod, Notify, Options,
    PageServer, Request,
};
pub(crate) use swrk::{Passed, Place, Swrk, bring_loopback_up, make_mount_points};

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use spec::Config;

use crate::error::{Error, Result};

/// The annotation that names CRIU's configuration file; empty: none.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// Where it is otherwise. CRIU does without when it is missing; what is in it overrules the command line.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";

/// The directories that CRIU works in.
#[derive(Debug)]
pub(crate) struct Directories {
    images: OwnedFd,
    work: Option<OwnedFd>,
    logs: PathBuf,
}

impl Directories {
    /// Opens them; that of the logs is made where it is missing.
    ///
    /// # Errors
    /// One is missing.
    pub(crate) fn open(options: &CriuOptions) -> Result<Self> {
        if let Some(path) = &options.work_path {
            make_directory(path)?;
        }
        Self::open_below(Path::new("/"), options)
    }

    /// Opens them as a process sees them. CRIU mounts in its working directory, which therefore must be one of its own
    /// mount namespace.
    ///
    /// # Errors
    /// One is missing.
    pub(crate) fn open_of_process(pid: i32, options: &CriuOptions) -> Result<Self> {
        Self::open_below(Path::new(&format!("/proc/{pid}/root")), options)
    }

    fn open_below(root: &Path, options: &CriuOptions) -> Result<Self> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(|error| Error::file("find", path, error));
        let open = |path: &Path| {
            let path = absolute(path)?;
            open_directory(&root.join(path.strip_prefix("/").unwrap_or(&path)))
        };
        let images = open(&options.image_path)?;
        let work = options.work_path.as_deref().map(open).transpose()?;
        Ok(Self { images, work, logs: absolute(options.work_path.as_ref().unwrap_or(&options.image_path))? })
    }

    /// A log in them.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }

    /// Says where they are. CRIU opens them through `/proc` of whoever made the socket pair: of us.
    pub(crate) fn locate(&self, options: &mut Options) {
        options.images_dir_fd = self.images.as_raw_fd();
        options.work_dir_fd = self.work.as_ref().map(|work| work.as_raw_fd());
    }
}

/// Makes the directory, for our eyes only: what is in the container's memory will be in it.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::file("make the directory", path, error))
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::file("open", path, errno.into()))
}

/// The options that checkpoint and restore have in common, but for [`Directories::locate`].
pub(crate) fn common_options(options: &CriuOptions, config: &Config, log: &str) -> Options {
    let cgroups = match options.manage_cgroups {
        ManageCgroups::Default => CgroupMode::Default,
        ManageCgroups::Soft => CgroupMode::Soft,
        ManageCgroups::Full => CgroupMode::Full,
        ManageCgroups::Strict => CgroupMode::Strict,
        ManageCgroups::Ignore => CgroupMode::Ignore,
    };
    let lock = options.network_lock.map(|lock| match lock {
        NetworkLock::Iptables => LockMethod::Iptables,
        NetworkLock::Nftables => LockMethod::Nftables,
        NetworkLock::Skip => LockMethod::Skip,
    });
    let network = &config.linux.namespaces.network;
    let own_network = network.as_ref().is_some_and(|namespace| namespace.path.is_none());
    let configured = config.annotations.get(CONFIG_ANNOTATION).map_or(CONFIG_FILE, |path| &**path);
    let given = |value: bool| Some(value);
    Options {
        log_level: Some(4),
        log_file: Some(log.to_owned()),
        notify_scripts: given(true),
        orphan_pts_master: given(true),
        manage_cgroups: given(true),
        cgroups_mode: Some(cgroups as i32),
        network_lock: lock.map(|lock| lock as i32),
        shell_job: given(options.shell_job),
        ext_unix_sk: given(options.ext_unix_sk),
        tcp_established: given(options.tcp_established),
        tcp_close: options.tcp_close.then_some(true),
        tcp_skip_in_flight: options.tcp_skip_in_flight.then_some(true),
        link_remap: given(options.link_remap),
        file_locks: given(options.file_locks),
        auto_dedup: given(options.auto_dedup),
        lazy_pages: given(options.lazy_pages),
        // What is in the network namespace is its maker's business, who comes again by the hooks.
        empty_namespaces: own_network.then_some(init::sys::flag::CLONE_NEWNET as u32),
        config_file: (!configured.is_empty()).then(|| configured.to_owned()),
        ..Options::default()
    }
}

/// What CRIU said went wrong, with the reason from its log.
pub(crate) fn failure(error: CriuError, log: PathBuf) -> CriuError {
    match error {
        CriuError::Failed { kind, errno, reason, .. } => {
            CriuError::Failed { kind, errno, reason: log::errors(&log).or(reason), log }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_criu_s_own() {
        let config = Config::of_command("rootfs", ["true"]).unwrap();
        let asked = |options: CriuOptions| common_options(&options, &config, "dump.log");
        let nothing = asked(CriuOptions::default());
        type Case = (&'static str, fn(&mut CriuOptions), fn(&Options) -> bool);
        let cases: &[Case] = &[
            ("--tcp-established", |it| it.tcp_established = true, |it| it.tcp_established == Some(true)),
            ("--tcp-close", |it| it.tcp_close = true, |it| it.tcp_close == Some(true)),
            (
                "--tcp-skip-in-flight",
                |it| it.tcp_skip_in_flight = true,
                |it| it.tcp_skip_in_flight == Some(true),
            ),
            ("--link-remap", |it| it.link_remap = true, |it| it.link_remap == Some(true)),
            ("--ext-unix-sk", |it| it.ext_unix_sk = true, |it| it.ext_unix_sk == Some(true)),
            ("--shell-job", |it| it.shell_job = true, |it| it.shell_job == Some(true)),
            ("--file-locks", |it| it.file_locks = true, |it| it.file_locks == Some(true)),
            ("--auto-dedup", |it| it.auto_dedup = true, |it| it.auto_dedup == Some(true)),
            ("--lazy-pages", |it| it.lazy_pages = true, |it| it.lazy_pages == Some(true)),
            (
                "--network-lock nftables",
                |it| it.network_lock = Some(NetworkLock::Nftables),
                |it| it.network_lock == Some(LockMethod::Nftables as i32),
            ),
            (
                "--manage-cgroups-mode strict",
                |it| it.manage_cgroups = ManageCgroups::Strict,
                |it| it.cgroups_mode == Some(CgroupMode::Strict as i32),
            ),
        ];
        for (name, set, is_set) in cases {
            let mut options = CriuOptions::default();
            set(&mut options);
            assert!(!is_set(&nothing), "{name}");
            let made = asked(options);
            assert!(is_set(&made), "{name}");
            // And no other.
            assert_eq!(cases.iter().filter(|(.., is_set)| is_set(&made)).count(), 1, "{name}");
        }
    }
}

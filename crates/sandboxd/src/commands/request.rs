//! From the flags of `create` and `run` to the library's request.

use std::env;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use sandbox::plan::Purpose;
use sandbox::{
    CgroupManager, ConfigSource, ContainerId, CreateRequest, Prepared, RootSwitch, Rootless, SessionKeyring,
};

use super::Session;
use crate::args::creation::Creation;
use crate::args::global;
use crate::error::{Context as _, Error, Result};
use crate::notify;

/// How long whoever serves a socket of ours may take.
const SOCKET_DEADLINE: Duration = Duration::from_secs(10);

/// Whether the command returns while the container lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    Detached,
    Foreground,
}

/// Makes the request.
///
/// # Errors
/// The id is none; there is no state root for the directory of `NOTIFY_SOCKET`.
pub(crate) fn request(session: &Session<'_>, creation: &Creation) -> Result<CreateRequest> {
    let mut request = CreateRequest::new(ContainerId::new(&creation.id)?, &creation.bundle);
    if let Some(path) = &creation.config {
        request.config = ConfigSource::File(path.clone());
    }
    request.pid_file.clone_from(&creation.pid_file);
    request.root_switch = if creation.no_pivot { RootSwitch::Move } else { RootSwitch::Pivot };
    request.session_keyring =
        if creation.no_new_keyring { SessionKeyring::Inherit } else { SessionKeyring::New };
    request.cgroup_manager = cgroup_manager(session);
    request.rootless = rootless(session);
    request.preserve_fds = creation.preserve_fds.saturating_add(listen_fds());
    request.listen_fds = listen_fds();
    if notify::wanted().is_some() {
        request.notify_directory = Some(session.runtime()?.notify_directory(&request.id));
    }
    Ok(request)
}

/// Makes the plan, and connects the sockets.
///
/// # Errors
/// The bundle's configuration can't be used; terminal and console socket don't fit together; a socket can't be reached.
pub(crate) fn prepare(
    request: &mut CreateRequest,
    creation: &Creation,
    purpose: Purpose,
    stay: Stay,
) -> Result<Prepared> {
    let prepared = Prepared::new(request, purpose)?;
    let socket = creation.console_socket.as_deref().filter(|path| !path.as_os_str().is_empty());
    match (stay, prepared.terminal(), socket) {
        (Stay::Detached, true, None) => return Err(Error::TerminalWithoutSocket),
        (Stay::Foreground, _, Some(_)) | (_, false, Some(_)) => return Err(Error::SocketWithoutTerminal),
        (Stay::Detached, true, Some(path)) => request.console = connect("console socket", path)?.into(),
        (_, _, None) => {}
    }
    if let Some(path) = &creation.pidfd_socket {
        request.pidfd_socket = Some(connect("pidfd socket", path)?);
    }
    Ok(prepared)
}

/// Who makes the cgroup, as the global flags say.
pub(crate) fn cgroup_manager(session: &Session<'_>) -> CgroupManager {
    match session.global.cgroup_manager {
        Some(global::CgroupManager::Cgroupfs) => CgroupManager::Cgroupfs,
        Some(global::CgroupManager::Systemd) => CgroupManager::Systemd,
        Some(global::CgroupManager::Disabled) => CgroupManager::Disabled,
        None if session.global.systemd_cgroup => CgroupManager::Systemd,
        None => CgroupManager::default(),
    }
}

/// Whether cgroups may be done without, as `--rootless` says.
pub(crate) fn rootless(session: &Session<'_>) -> Rootless {
    match session.global.rootless {
        global::Rootless::Auto => Rootless::Auto,
        global::Rootless::True => Rootless::Yes,
        global::Rootless::False => Rootless::No,
    }
}

/// How many descriptors were passed to this process by socket activation (`sd_listen_fds(3)`).
pub(crate) fn listen_fds() -> u32 {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let are_ours = number("LISTEN_PID").is_some_and(|pid| pid == std::process::id());
    if are_ours { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// Connects to a unix socket. The address of one has at most 107 bytes: a longer path is reached by descriptor.
pub(crate) fn connect(what: &str, path: &Path) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
    const ADDRESS_BYTES: usize = 107;
    let context = || format!("connect to {what} {}", path.display());
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.context(context)?;
    // Of connect as of sending later: nobody may accept or read.
    set_socket_timeout(&socket, Timeout::Send, Some(SOCKET_DEADLINE)).context(context)?;
    let connected = if path.as_os_str().len() <= ADDRESS_BYTES {
        SocketAddrUnix::new(path).and_then(|address| rustix::net::connect(&socket, &address))
    } else {
        let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(context)?;
        SocketAddrUnix::new(format!("/proc/self/fd/{}", found.as_raw_fd()))
            .and_then(|address| rustix::net::connect(&socket, &address))
    };
    match connected {
        Err(Errno::AGAIN) => Err(Errno::TIMEDOUT).context(context),
        connected => connected.map(|()| socket).context(context),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn socket_below_a_long_path_is_reached() {
        let directory =
            env::temp_dir().join(format!("sandboxd-{}", std::process::id())).join("d".repeat(120));
        fs::create_dir_all(&directory).unwrap();
        // bind has the same limit.
        let held = fs::File::open(&directory).unwrap();
        let _listener = UnixListener::bind(format!("/proc/self/fd/{}/s", held.as_raw_fd())).unwrap();
        assert!(connect("console socket", &directory.join("s")).is_ok());
        let message = connect("console socket", &directory.join("absent")).unwrap_err().to_string();
        assert!(message.starts_with("connect to console socket /"), "{message}");
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }
}

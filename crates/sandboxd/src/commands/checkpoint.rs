//! `checkpoint`

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use sandbox::ContainerId;
use sandbox::criu::{AfterCheckpoint, CheckpointRequest, CriuOptions, Extent, ManageCgroups, NetworkLock};

use super::Session;
use crate::args::checkpoint::{Checkpoint, Criu};
use crate::error::{Error, Result};

pub(crate) fn checkpoint(session: &Session<'_>, arguments: &Checkpoint) -> Result<u8> {
    let request = CheckpointRequest {
        id: ContainerId::new(&arguments.id)?,
        criu: criu_options(session, &arguments.criu)?,
        parent_path: arguments.parent_path.clone().filter(|path| !path.as_os_str().is_empty()),
        after: if arguments.leave_running { AfterCheckpoint::GoOn } else { AfterCheckpoint::End },
        extent: if arguments.pre_dump { Extent::PreDump } else { Extent::Whole },
        page_server: arguments.page_server.as_deref().map(parse_page_server).transpose()?.flatten(),
        status_fd: arguments.status_fd.filter(|fd| *fd >= 0).map(open_status_fd).transpose()?,
    };
    session.accept(session.runtime()?.checkpoint(request)?);
    Ok(0)
}

/// What `checkpoint` and `restore` have in common.
///
/// # Errors
/// A value that there is not.
pub(super) fn criu_options(session: &Session<'_>, arguments: &Criu) -> Result<CriuOptions> {
    if let Some(kind) = arguments.empty_ns.iter().find(|kind| *kind != "network") {
        return Err(Error::Criu(format!("namespace {kind:?} is not supported (by --empty-ns)")));
    }
    if !rustix::process::geteuid().is_root() {
        session.warn_about("CRIU is untested with rootless containers");
    }
    let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
    Ok(CriuOptions {
        program: given(&session.global.criu),
        image_path: given(&arguments.image_path).unwrap_or_else(|| "checkpoint".into()),
        work_path: given(&arguments.work_path),
        tcp_established: arguments.tcp_established,
        tcp_close: arguments.tcp_close,
        tcp_skip_in_flight: arguments.tcp_skip_in_flight,
        link_remap: arguments.link_remap,
        ext_unix_sk: arguments.ext_unix_sk,
        shell_job: arguments.shell_job,
        file_locks: arguments.file_locks,
        manage_cgroups: parse_manage_cgroups(arguments.manage_cgroups_mode.as_deref())?,
        auto_dedup: arguments.auto_dedup,
        lazy_pages: arguments.lazy_pages,
        network_lock: arguments.network_lock.as_deref().map(parse_network_lock).transpose()?,
    })
}

fn parse_manage_cgroups(mode: Option<&str>) -> Result<ManageCgroups> {
    match mode {
        None | Some("") => Ok(ManageCgroups::Default),
        Some("soft") => Ok(ManageCgroups::Soft),
        Some("full") => Ok(ManageCgroups::Full),
        Some("strict") => Ok(ManageCgroups::Strict),
        Some("ignore") => Ok(ManageCgroups::Ignore),
        Some(other) => Err(Error::Criu(format!(
            "invalid manage-cgroups-mode value {other:?}: it is soft, full, strict or ignore"
        ))),
    }
}

fn parse_network_lock(method: &str) -> Result<NetworkLock> {
    match method {
        "iptables" => Ok(NetworkLock::Iptables),
        "nftables" => Ok(NetworkLock::Nftables),
        "skip" => Ok(NetworkLock::Skip),
        other => Err(Error::Criu(format!(
            "invalid network-lock value {other:?}: it is iptables, nftables or skip"
        ))),
    }
}

/// `ADDRESS:PORT`, with brackets around an IPv6 address; nothing is none.
fn parse_page_server(text: &str) -> Result<Option<(String, u16)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let usage = || Error::Criu("use --page-server ADDRESS:PORT to specify page server".to_owned());
    let (address, port) = text.rsplit_once(':').ok_or_else(usage)?;
    let bracketed = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    let bare = bracketed.unwrap_or(address);
    if bare.is_empty() || port.is_empty() || (bracketed.is_none() && bare.contains(':')) {
        return Err(usage());
    }
    let number = port.parse().map_err(|_| Error::Criu(format!("invalid port number {port:?}")))?;
    Ok(Some((bare.to_owned(), number)))
}

/// A copy of a descriptor that we were started with; the original goes with us.
fn open_status_fd(number: i32) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{number}");
    let refuse =
        |error: std::io::Error| Error::Criu(format!("invalid --status-fd argument {number}: {error}"));
    let file = std::fs::File::options().write(true).open(path).map_err(refuse)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_server_is_address_and_port() {
        assert_eq!(parse_page_server("").unwrap(), None);
        assert_eq!(parse_page_server("10.0.0.1:77").unwrap(), Some(("10.0.0.1".into(), 77)));
        assert_eq!(parse_page_server("[::1]:77").unwrap(), Some(("::1".into(), 77)));
        for wrong in ["10.0.0.1", ":77", "a:", "::1:77", "a:x", "a:70000"] {
            assert!(parse_page_server(wrong).is_err(), "{wrong}");
        }
    }
}

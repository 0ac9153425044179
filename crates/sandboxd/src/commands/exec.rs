//! `exec`

use std::os::unix::ffi::OsStrExt as _;

use sandbox::cgroup::SubCgroup;
use sandbox::{
    Console, ContainerId, ExecProcess, ExecRequest, IfPaused, PreparedExec, Process, ProcessChanges, Runtime,
};
use spec::config::{Capability, CapabilitySet, ConsoleSize, Id};
use spec::{AbsolutePath, Text};

use super::Session;
use super::request::{connect, listen_fds};
use crate::args::Misuse;
use crate::args::exec::Exec;
use crate::error::{Error, Result};
use crate::foreground::{self, Orphans, Signals};
use crate::terminal::{Relay, host_size, newlines};

pub(crate) fn exec(session: &Session<'_>, arguments: &Exec) -> Result<u8> {
    let runtime = session.runtime()?;
    let mut request = request(session, arguments)?;
    let prepared = runtime.prepare_exec(&request)?;
    let socket = arguments.console_socket.as_deref().filter(|path| !path.as_os_str().is_empty());
    match (arguments.detach, prepared.terminal(), socket) {
        (true, true, None) => return Err(Error::TerminalWithoutSocket),
        (false, _, Some(_)) | (_, false, Some(_)) => return Err(Error::SocketWithoutTerminal),
        (true, true, Some(path)) => request.console = connect("console socket", path)?.into(),
        (_, _, None) => {}
    }
    if let Some(path) = &arguments.pidfd_socket {
        request.pidfd_socket = Some(connect("pidfd socket", path)?);
    }
    if prepared.paused() {
        // Not a warning: it was asked for.
        tracing::info!("the container is paused: waiting until it is resumed");
    }
    if arguments.detach {
        session.accept(runtime.launch_exec(&request, prepared)?);
        return Ok(0);
    }
    follow(session, &runtime, request, prepared)
}

/// Executes in the foreground.
fn follow(
    session: &Session<'_>,
    runtime: &Runtime,
    mut request: ExecRequest,
    prepared: PreparedExec,
) -> Result<u8> {
    // Before the process exists: from its first moment on every signal reaches it. But a wait for a paused container can
    // be interrupted.
    let paused = prepared.paused();
    let before = if paused { None } else { Some(Signals::block()?) };
    request.console = Console::Kept;
    let mut process = session.accept(runtime.launch_exec(&request, prepared)?);
    let followed = follow_process(&mut process, before);
    if followed.is_err() {
        // Nobody is going to hear of it any more.
        let _ = process.kill(KILL);
    }
    followed
}

const KILL: i32 = 9;

fn follow_process(process: &mut Process, signals: Option<Signals>) -> Result<u8> {
    let signals = match signals {
        Some(signals) => signals,
        None => Signals::block()?,
    };
    let relay = process.terminal.take().map(Relay::serve).transpose()?;
    foreground::follow(process, &signals, relay, Orphans::Leave)
}

fn request(session: &Session<'_>, arguments: &Exec) -> Result<ExecRequest> {
    let process = match arguments.process.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => ExecProcess::Document(sandbox::read_process(path)?),
        None => ExecProcess::Changed(changes(session, arguments)?),
    };
    let mut request = ExecRequest::new(ContainerId::new(&arguments.id)?, process);
    if !arguments.detach {
        request.newlines = newlines();
    }
    request.console_size = if arguments.detach {
        None
    } else {
        host_size().map(|(height, width)| ConsoleSize { height, width })
    };
    request.pid_file = arguments.pid_file.clone().filter(|path| !path.as_os_str().is_empty());
    request.preserve_fds = arguments.preserve_fds.saturating_add(listen_fds());
    request.listen_fds = listen_fds();
    request.cgroups = sub_cgroups(&arguments.cgroup)?;
    request.if_paused = if arguments.ignore_paused { IfPaused::Wait } else { IfPaused::Refuse };
    Ok(request)
}

fn changes(session: &Session<'_>, arguments: &Exec) -> Result<ProcessChanges> {
    if arguments.command.is_empty() {
        let message = "exec args cannot be empty: needs a command, or --process with a file";
        return Err(Misuse::Other(message.to_owned()).into());
    }
    let args = arguments.command.iter().map(|word| {
        let text = std::str::from_utf8(word.as_bytes()).ok().and_then(Text::new);
        text.ok_or_else(|| invalid("args", &word.to_string_lossy(), "not UTF-8"))
    });
    let (uid, gid) = match arguments.user.as_deref().filter(|user| !user.is_empty()) {
        Some(user) => parse_user(user)?,
        None => (None, None),
    };
    let cwd = arguments.cwd.as_deref().filter(|cwd| !cwd.is_empty());
    let gids = arguments.additional_gids.iter();
    Ok(ProcessChanges {
        args: args.collect::<Result<_>>()?,
        terminal: arguments.tty,
        cwd: cwd
            .map(|cwd| {
                AbsolutePath::new(text("cwd", cwd)?)
                    .ok_or_else(|| invalid("cwd", cwd, "must be an absolute path"))
            })
            .transpose()?,
        env: arguments.env.iter().map(|entry| parse_env(entry)).collect::<Result<_>>()?,
        uid,
        gid,
        additional_gids: gids.map(|gid| parse_id("additional-gids", gid, gid)).collect::<Result<_>>()?,
        capabilities: capabilities(session, &arguments.cap),
        no_new_privileges: arguments.no_new_privs,
        selinux_label: optional("process-label", arguments.process_label.as_deref())?,
        apparmor_profile: optional("apparmor", arguments.apparmor.as_deref())?,
    })
}

fn invalid(flag: &'static str, value: &str, reason: &'static str) -> Error {
    Misuse::Other(format!("--{flag} {value:?}: {reason}")).into()
}

fn text(flag: &'static str, value: &str) -> Result<Text> {
    Text::new(value).ok_or_else(|| invalid(flag, value, "contains a NUL"))
}

fn optional(flag: &'static str, value: Option<&str>) -> Result<Option<Text>> {
    value.filter(|value| !value.is_empty()).map(|value| text(flag, value)).transpose()
}

/// `NAME=VALUE`, the value possibly empty.
fn parse_env(entry: &str) -> Result<Text> {
    match entry.split_once('=') {
        Some((name, _)) if !name.is_empty() => text("env", entry),
        _ => Err(invalid("env", entry, "invalid environment variable: must be NAME=VALUE")),
    }
}

/// `uid` or `uid:gid`. Numbers only: names are the image's, and an image must not decide who is root.
fn parse_user(user: &str) -> Result<(Option<Id>, Option<Id>)> {
    let (uid, gid) = match user.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (user, None),
    };
    let gid = gid.map(|gid| parse_id("user", user, gid)).transpose()?;
    Ok((Some(parse_id("user", user, uid)?), gid))
}

fn parse_id(flag: &'static str, value: &str, number: &str) -> Result<Id> {
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let id = if digits { number.parse::<u32>().ok().and_then(Id::new) } else { None };
    id.ok_or_else(|| invalid(flag, value, "ids are numbers from 0 to 4294967294, names are not looked up"))
}

/// What is not known is not given, with a warning, as in a configuration.
fn capabilities(session: &Session<'_>, names: &[String]) -> CapabilitySet {
    let mut set = CapabilitySet::EMPTY;
    for name in names {
        match Capability::from_name(name) {
            Some(capability) => set.insert(capability),
            None => session.warn_about(format!("--cap: unknown capability {name:?} is ignored")),
        }
    }
    set
}

/// `PATH`, or `CONTROLLER[,CONTROLLER…]:PATH` several times.
fn sub_cgroups(values: &[String]) -> Result<Vec<SubCgroup>> {
    let mut named: Vec<&str> = Vec::new();
    let mut parsed = Vec::new();
    for value in values {
        let invalid = |reason| invalid("cgroup", value, reason);
        match value.split_once(':') {
            Some((controllers, path)) => {
                let controllers: Vec<&str> = controllers.split(',').collect();
                for controller in &controllers {
                    if controller.is_empty() {
                        return Err(invalid("empty <controller> prefix"));
                    }
                    if named.contains(controller) {
                        return Err(invalid("controller specified multiple times"));
                    }
                    named.push(controller);
                }
                let controllers = controllers.into_iter().map(str::to_owned).collect();
                parsed.push(SubCgroup { controllers, path: path.into() });
            }
            None if values.len() > 1 => return Err(invalid("missing <controller>: prefix")),
            None => parsed.push(SubCgroup { controllers: Vec::new(), path: value.into() }),
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_numbers_only() {
        let ids = |uid, gid: Option<u32>| (Id::new(uid), gid.and_then(Id::new));
        for (user, expected) in [
            ("0", ids(0, None)),
            ("1:1", ids(1, Some(1))),
            ("65534", ids(65534, None)),
            ("00001", ids(1, None)),
            ("4294967294", ids(4_294_967_294, None)),
        ] {
            assert_eq!(parse_user(user).unwrap(), expected, "{user}");
        }
        for user in
            ["+1", "-1", "0x1", "1e0", "4294967295", "4294967296", "1:", ":1", " 1", "1 ", "name", "1:2:3"]
        {
            assert!(parse_user(user).is_err(), "{user}");
        }
    }

    #[test]
    fn sub_cgroups_parsed() {
        let parse = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            sub_cgroups(&values).map_err(|error| error.to_string())
        };
        let sub = |controllers: &[&str], path: &str| SubCgroup {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            path: path.into(),
        };
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&["a/b"]), Ok(vec![sub(&[], "a/b")]));
        assert_eq!(
            parse(&["cpu,cpuacct:a", "pids:b"]),
            Ok(vec![sub(&["cpu", "cpuacct"], "a"), sub(&["pids"], "b")])
        );
        for (values, reason) in [
            (&["a", "b"][..], "missing <controller>: prefix"),
            (&[":a"], "empty <controller> prefix"),
            (&["cpu,:a"], "empty <controller> prefix"),
            (&["cpu:a", "cpu:b"], "controller specified multiple times"),
        ] {
            assert!(parse(values).unwrap_err().ends_with(reason), "{values:?}");
        }
    }
}

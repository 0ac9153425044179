//! libcontainer behind the commands of an OCI runtime: `peers [--root DIR] create|start|run|state|kill|delete …`.
//!
//! Never shipped. What drives an OCI binary (`runtime-tests`, `cargo xtask bench --peers`, `cargo xtask validate
//! --against`) can drive it, and so compare the same bundle under both. Without seccomp: libseccomp is a C library.
//!
//! `peers threads`: launches in a program with many threads (`threads.rs`).

mod threads;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::signal::Signal;
use libcontainer::syscall::syscall::SyscallType;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What the command line says.
#[derive(Debug)]
struct Request {
    root: PathBuf,
    bundle: PathBuf,
    pid_file: Option<PathBuf>,
    force: bool,
    samples: usize,
    seconds: u64,
    words: Vec<String>,
}

fn parse() -> Result<Request> {
    let mut parser = lexopt::Parser::from_env();
    let mut request = Request {
        root: "/run/sandboxd-peers".into(),
        bundle: ".".into(),
        pid_file: None,
        force: false,
        samples: 10,
        seconds: 3,
        words: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("root") => request.root = parser.value()?.into(),
            Short('b') | Long("bundle") => request.bundle = parser.value()?.into(),
            Long("pid-file") => request.pid_file = Some(parser.value()?.into()),
            Short('f') | Long("force") => request.force = true,
            Long("samples") => request.samples = parser.value()?.parse()?,
            Long("seconds") => request.seconds = parser.value()?.parse()?,
            Long("version") => {
                println!("libcontainer version 0.7");
                std::process::exit(0);
            }
            Value(word) => request.words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

fn main() -> ExitCode {
    match parse().and_then(|request| run(&request)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("peers: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<ExitCode> {
    let words: Vec<&str> = request.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["create", id] => create(request, id, true).map(drop)?,
        ["run", id] => return run_to_end(request, id),
        ["start", id] => load(&request.root, id)?.start()?,
        ["state", id] => {
            let mut container = load(&request.root, id)?;
            container.refresh_status()?;
            let mut state = serde_json::to_value(&container.state)?;
            // runc's document has a number where libcontainer has nothing.
            if state["pid"].is_null() {
                state["pid"] = 0.into();
            }
            println!("{}", serde_json::to_string_pretty(&state)?);
        }
        ["kill", id] => load(&request.root, id)?.kill(Signal::try_from("TERM")?, false)?,
        ["kill", id, signal] => load(&request.root, id)?.kill(Signal::try_from(*signal)?, false)?,
        ["delete", id] => match load(&request.root, id) {
            Err(_) if request.force => {}
            container => container?.delete(request.force)?,
        },
        ["list"] => {
            for entry in std::fs::read_dir(&request.root).into_iter().flatten().flatten() {
                println!("{}", entry.file_name().to_string_lossy());
            }
        }
        ["threads"] => threads::run(request)?,
        ["threads-sample"] => threads::sample(request)?,
        _ => return Err("create, run, start, state, kill, delete, list or threads".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn load(root: &Path, id: &str) -> Result<Container> {
    let directory = root.join(id);
    if id.is_empty() || !directory.is_dir() {
        return Err("container does not exist".into());
    }
    Ok(Container::load(directory)?)
}

fn create(request: &Request, id: &str, detached: bool) -> Result<Container> {
    std::fs::create_dir_all(&request.root)?;
    let builder = ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .with_root_path(&request.root)?
        .with_pid_file(request.pid_file.as_ref())?
        .validate_id()?
        .as_init(&request.bundle)
        .with_systemd(false)
        .with_detach(detached);
    Ok(builder.build()?)
}

/// Creates, starts, waits and deletes; the status of the container's process.
fn run_to_end(request: &Request, id: &str) -> Result<ExitCode> {
    let mut container = create(request, id, false)?;
    container.start()?;
    let pid = container.pid().ok_or("no process")?;
    let status = nix::sys::wait::waitpid(pid, None)?;
    container.delete(true)?;
    Ok(match status {
        nix::sys::wait::WaitStatus::Exited(_, code) => ExitCode::from(u8::try_from(code)?),
        nix::sys::wait::WaitStatus::Signaled(_, signal, _) => {
            ExitCode::from(128 + u8::try_from(signal as i32)?)
        }
        _ => ExitCode::FAILURE,
    })
}

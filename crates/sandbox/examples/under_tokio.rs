//! Containers under tokio: a pidfd is a descriptor like any other, and so are the pipes.
//!
//!     cargo run --example under_tokio -- ROOTFS COUNT COMMAND [ARG...]
//!
//! Starts the command COUNT times and waits for all of them on one thread.

use std::error::Error;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitStatus;
use std::sync::Arc;

use sandbox::spec::Config;
use sandbox::{ContainerId, CreateRequest, Process, Runtime, Stdio, Streams};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::task::{JoinSet, spawn_blocking};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(run_all())
}

async fn run_all() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: under_tokio ROOTFS COUNT COMMAND [ARG...]";
    let rootfs = std::fs::canonicalize(arguments.next().ok_or(usage)?)?;
    let count: usize = arguments.next().ok_or(usage)?.parse()?;
    let config = Config::of_command(rootfs, arguments)?;
    let runtime = Arc::new(Runtime::open("/run/sandbox-examples")?);

    let mut jobs = JoinSet::new();
    for number in 0..count {
        let id = ContainerId::new(&format!("tokio-{}-{number}", std::process::id()))?;
        let mut request = CreateRequest::of_config(id, config.clone());
        request.streams = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Inherit };
        jobs.spawn(run(Arc::clone(&runtime), request));
    }
    while let Some(result) = jobs.join_next().await {
        let (id, status, output) = result??;
        print!("{id}: {status}: {output}");
    }
    Ok(())
}

async fn run(runtime: Arc<Runtime>, request: CreateRequest) -> Result<(ContainerId, ExitStatus, String)> {
    // A launch takes about a millisecond; it works with the file system, so it goes where blocking is allowed.
    let launching = Arc::clone(&runtime);
    let mut running = spawn_blocking(move || launching.run(&request)).await??.value;
    let pipe = running.process.stdout.take().ok_or("a pipe was asked for")?;
    let followed = async { tokio::try_join!(read_to_end(pipe.into()), end_of(&running.process)) }.await;
    let id = running.container.id.clone();
    // Whatever has happened. (A task that is aborted here leaves its container: by its id anybody can delete it.)
    spawn_blocking(move || runtime.end(&running)).await??;
    let (output, status) = followed?;
    Ok((id, status, output))
}

/// Waits for its end, with all others on one thread.
// What tokio has in its place is unsafe, for types that close or change their descriptor: a borrowed one doesn't.
#[allow(deprecated)]
async fn end_of(process: &Process) -> Result<ExitStatus> {
    let pidfd = AsyncFd::with_interest(process.as_fd(), Interest::READABLE)?;
    let _ = pidfd.readable().await?;
    // It has ended: this does not block.
    Ok(process.wait()?)
}

async fn read_to_end(pipe: OwnedFd) -> Result<String> {
    let pipe = pipe::Receiver::from_owned_fd(pipe)?;
    let mut bytes = Vec::new();
    loop {
        pipe.readable().await?;
        let mut buffer = [0; 4096];
        match pipe.try_read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            // It was not ready after all.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

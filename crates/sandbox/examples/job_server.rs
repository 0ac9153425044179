//! A tiny job server: each connection gives one command, which runs with limits; the client sees its output as it comes,
//! then how it ended, and whether memory was the reason.
//!
//!     cargo run --example job_server -- ROOTFS SOCKET
//!     printf '16M 8 sh -c "echo hello"\n' | nc -U SOCKET
//!
//! A line is: limit of memory, limit of processes, command, its arguments (in double quotes where they have spaces). `quit`
//! ends the server.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbox::spec::Config;
use sandbox::spec::config::Limit;
use sandbox::{ContainerId, CreateRequest, Event, Runtime, Stdio, Streams};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: job_server ROOTFS SOCKET";
    let rootfs = std::fs::canonicalize(arguments.next().ok_or(usage)?)?;
    let socket = PathBuf::from(arguments.next().ok_or(usage)?);
    let server = Arc::new(Server {
        runtime: Runtime::open("/run/sandbox-examples")?,
        rootfs,
        jobs: AtomicU64::new(0),
        quits: AtomicBool::new(false),
    });
    let listener = UnixListener::bind(&socket)?;
    println!("listening on {}", socket.display());
    for client in listener.incoming() {
        let client = match client {
            Ok(client) => client,
            // Such as too many at once: the next may be lucky.
            Err(error) => {
                eprintln!("accept: {error}");
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        if server.quits.load(Ordering::Acquire) {
            break;
        }
        let (server, socket) = (Arc::clone(&server), socket.clone());
        // Whatever a client does, or does not do, is no other's business.
        std::thread::spawn(move || {
            let mut answer = &client;
            let result = server.serve(&client).unwrap_or_else(|error| format!("refused: {error}"));
            // Who has gone does not want to know.
            let _ = writeln!(answer, "{result}");
            if server.quits.load(Ordering::Acquire) {
                // It waits for the next one.
                let _ = UnixStream::connect(socket);
            }
        });
    }
    std::fs::remove_file(&socket)?;
    Ok(())
}

/// How long after a client that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take to give its line, and how much of one is read.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: u64 = 64 << 10;

struct Server {
    runtime: Runtime,
    rootfs: PathBuf,
    jobs: AtomicU64,
    quits: AtomicBool,
}

impl Server {
    /// Reads what a client wants, and does it.
    fn serve(&self, client: &UnixStream) -> Result<String> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(client.take(MOST_BYTES)).read_line(&mut line)?;
        if line.trim() == "quit" {
            self.quits.store(true, Ordering::Release);
            return Ok("goodbye".to_owned());
        }
        self.run(&line, client)
    }

    /// Runs one job; how it ended, in a sentence.
    fn run(&self, line: &str, client: &UnixStream) -> Result<String> {
        let config = self.config(line, &self.rootfs)?;
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        let id = ContainerId::new(&format!("job-{}-{number}", std::process::id()))?;
        let mut request = CreateRequest::of_config(id.clone(), config);
        // Its output goes to the client without passing through us.
        request.streams = Streams {
            stdin: Stdio::Null,
            stdout: Stdio::from(client.try_clone()?),
            stderr: Stdio::from(client.try_clone()?),
        };
        let created = self.runtime.create(&request)?.value;
        let followed = || -> Result<String> {
            // Watched from before its first instruction.
            let mut events = self.runtime.events(&id)?;
            self.runtime.start(&id)?;
            let mut out_of_memory = 0;
            while events.wait(None, None)? == Event::OutOfMemory {
                out_of_memory += 1;
            }
            let status = created.process.wait()?;
            let memory = if out_of_memory > 0 { "out of memory, " } else { "" };
            Ok(format!("job {number}: {memory}{status}"))
        };
        let result = followed();
        self.runtime.end(&created)?;
        result
    }

    fn config(&self, line: &str, rootfs: &Path) -> Result<Config> {
        let mut words = words(line).into_iter();
        let memory = parse_bytes(&words.next().ok_or("a limit of memory is missing")?)?;
        let pids = words.next().ok_or("a limit of processes is missing")?.parse()?;
        let mut config = Config::of_command(rootfs, words)?;
        let resources = &mut config.linux.resources;
        resources.memory.limit = Some(Limit::Value(memory));
        resources.pids = Some(Limit::Value(pids));
        Ok(config)
    }
}

fn words(line: &str) -> Vec<String> {
    let parts = line.trim().split('"').enumerate();
    let words = parts.flat_map(|(number, part)| {
        let quoted = number % 2 == 1;
        if quoted { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    });
    words.collect()
}

fn parse_bytes(text: &str) -> Result<u64> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1 << 20)),
    };
    Ok(number.parse::<u64>()? * unit)
}

//! What is timed: containers and processes from the spawn of the runtime to its end.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::arena::Load;
use super::super::contestant::Contestant;
use super::super::document::Measured;
use super::super::measure::time_ms;
use super::Bench;
use crate::error::{Context, Failure, Result};
use crate::process::rendered;

/// How many containers at a time.
const AT_A_TIME: [usize; 4] = [1, 2, 8, 64];

/// How many mounts more.
const MOUNTS: [usize; 4] = [5, 50, 100, 200];

/// How many processes in a container that is deleted.
const PROCESSES: [usize; 3] = [1, 100, 1000];

/// How long a container may take to have its processes.
const READY: Duration = Duration::from_secs(60);

/// A contestant with the bundle that it runs.
struct Subject<'a> {
    contestant: &'a Contestant<'a>,
    bundle: String,
    /// As in the documents.
    name: String,
    /// Whether what it keeps of seccomp profiles is taken from it before each run.
    without_cache: bool,
}

impl<'a> Subject<'a> {
    fn new(contestant: &'a Contestant<'a>, load: Load) -> Result<Self> {
        let bundle = contestant.bundle(load)?;
        Ok(Self { contestant, bundle, name: contestant.name.clone(), without_cache: false })
    }

    /// How long the container runs.
    fn run(&self) -> Result<f64> {
        let mut command = self.contestant.run_command(&self.bundle, &self.contestant.id(0))?;
        time_ms(|| self.contestant.act(&mut command))
    }
}

fn subjects<'a>(
    contestants: impl Iterator<Item = &'a Contestant<'a>>,
    load: Load,
) -> Result<Vec<Subject<'a>>> {
    contestants.map(|contestant| Subject::new(contestant, load)).collect()
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("run");
    let subjects = subjects(bench.contestants.iter(), Load::True)?;
    bench.interleave(&mut measured, "", &subjects, bench.rounds, |it| &it.name, Subject::run);
    Ok(vec![measured])
}

pub(super) fn cycle(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("cycle");
    let subjects = subjects(bench.runtimes(), Load::True)?;
    bench.interleave(
        &mut measured,
        "",
        &subjects,
        bench.rounds.div_ceil(2),
        |it| &it.name,
        |it| {
            let id = it.contestant.id(0);
            time_ms(|| {
                it.contestant.create(&it.bundle, &id)?;
                it.contestant.start(&id)?;
                it.contestant.delete(&id)
            })
        },
    );
    Ok(vec![measured])
}

pub(super) fn exec(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("exec");
    let mut running = Vec::new();
    for subject in subjects(bench.runtimes(), Load::Sleep)? {
        let (contestant, id) = (subject.contestant, subject.contestant.id(0));
        match contestant.create(&subject.bundle, &id).and_then(|()| contestant.start(&id)) {
            Ok(()) => running.push(subject),
            Err(failure) => bench.note(&mut measured, &contestant.name, "", &failure),
        }
    }
    bench.interleave(
        &mut measured,
        "",
        &running,
        bench.rounds,
        |it| &it.name,
        |it| {
            let mut command = it.contestant.command(&["exec", &it.contestant.id(0), "/bin/true"]);
            time_ms(|| it.contestant.act(&mut command))
        },
    );
    for subject in running {
        subject.contestant.delete(&subject.contestant.id(0))?;
    }
    Ok(vec![measured])
}

pub(super) fn seccomp(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("seccomp");
    let mut subjects = subjects(bench.runtimes(), Load::Podman)?;
    for contestant in bench.runtimes().filter(|contestant| contestant.name.starts_with("crun")) {
        // Once, so that it has a cache if ever it makes one.
        let cached = Subject::new(contestant, Load::Podman)?;
        let _ = cached.run();
        if contestant.state().join(".cache").exists() {
            subjects.push(Subject { without_cache: true, name: uncached(&contestant.name), ..cached });
        } else if let Some(only) = subjects.iter_mut().find(|subject| subject.name == contestant.name) {
            only.name = uncached(&contestant.name);
        }
    }
    bench.interleave(
        &mut measured,
        "",
        &subjects,
        bench.rounds.div_ceil(2),
        |it| &it.name,
        |it| {
            if it.without_cache {
                let cache = it.contestant.state().join(".cache");
                std::fs::remove_dir_all(&cache).context(cache.display())?;
            }
            it.run()
        },
    );
    Ok(vec![measured])
}

/// What a runtime is called that has no cache of seccomp profiles, or none now.
pub(in super::super) fn uncached(name: &str) -> String {
    format!("{name}, no cache")
}

pub(super) fn mounts(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("mounts");
    for count in MOUNTS {
        let subjects = subjects(bench.runtimes(), Load::Mounts(count))?;
        bench.interleave(
            &mut measured,
            &count.to_string(),
            &subjects,
            bench.rounds,
            |it| &it.name,
            Subject::run,
        );
    }
    Ok(vec![measured])
}

pub(super) fn throughput(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("throughput");
    let subjects = subjects(bench.runtimes(), Load::True)?;
    for at_a_time in AT_A_TIME {
        let count = bench.rounds.max(2 * at_a_time);
        let rounds = bench.rounds.div_ceil(20);
        bench.interleave(
            &mut measured,
            &at_a_time.to_string(),
            &subjects,
            rounds,
            |it| &it.name,
            |it| containers_per_second(it, count, at_a_time),
        );
    }
    Ok(vec![measured])
}

fn containers_per_second(subject: &Subject<'_>, count: usize, at_a_time: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let id = subject.contestant.id(number);
            let mut command = subject.contestant.run_command(&subject.bundle, &id)?;
            subject.contestant.act(&mut command).inspect_err(|_| subject.contestant.remove(&id))?;
        }
    };
    let begin = Instant::now();
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let seconds = begin.elapsed().as_secs_f64();
    for result in results {
        result.map_err(|_| Failure::new("a thread panicked"))??;
    }
    Ok(count as f64 / seconds)
}

pub(super) fn delete(bench: &Bench<'_>) -> Result<Vec<Measured>> {
    let mut measured = Measured::new("delete");
    if !bench.arena.has_busybox() {
        measured.notes.push("needs a static busybox (busybox-static)".into());
        return Ok(vec![measured]);
    }
    for count in PROCESSES {
        let subjects = subjects(bench.runtimes(), Load::Processes(count))?;
        let rounds = if count > 100 { bench.rounds.div_ceil(25) } else { bench.rounds.div_ceil(10) };
        bench.interleave(
            &mut measured,
            &count.to_string(),
            &subjects,
            rounds,
            |it| &it.name,
            |it| {
                let id = it.contestant.id(0);
                let ready = start_with_processes(it, &id).inspect_err(|_| it.contestant.remove(&id));
                ready.and_then(|()| time_ms(|| it.contestant.delete(&id)))
            },
        );
    }
    Ok(vec![measured])
}

/// Returns when the container has all its processes: then it says so.
fn start_with_processes(subject: &Subject<'_>, id: &str) -> Result<()> {
    let (hear, say) = pipe_with(PipeFlags::CLOEXEC).context("pipe")?;
    let contestant = subject.contestant;
    let mut create = contestant.command(&["create", "--bundle", &subject.bundle, id]);
    create.stdin(Stdio::piped()).stdout(say.try_clone().context("dup")?).stderr(say);
    let status = create.status().context(rendered(&create))?;
    // It holds the writing end, and would never let the reading one be at its end.
    drop(std::mem::replace(&mut create, Command::new("")));
    if !status.success() {
        return Err(Failure::new(format!("create: {}", read_line(hear)?)));
    }
    contestant.start(id)?;
    match read_line(hear)?.as_str() {
        "ready" => Ok(()),
        other => Err(Failure::new(format!("the container said {other:?}"))),
    }
}

/// The first line, or what there is of it.
fn read_line(hear: std::os::fd::OwnedFd) -> Result<String> {
    let limit = Timespec::try_from(READY).context("deadline")?;
    let mut hear = std::fs::File::from(hear);
    let mut line = Vec::new();
    let mut buffer = [0; 256];
    while !line.contains(&b'\n') {
        if poll(&mut [PollFd::new(&hear, PollFlags::IN)], Some(&limit)).context("poll")? == 0 {
            return Err(Failure::new(format!("it said nothing for {} s", READY.as_secs())));
        }
        let count = hear.read(&mut buffer).context("read")?;
        if count == 0 {
            break;
        }
        line.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

//! Launches of containers by some threads of a program whose others allocate, log, change the environment and fork all the
//! time. Whose library launches them is the caller's: it is used with `sandbox`, and with libcontainer.

#[path = "sys.rs"]
mod sys;

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sys::{end, fork_idler, reap, remove_variable, set_variable};

const BUSY: usize = 64;
pub(crate) const LAUNCHING: usize = 8;

/// What became of the launches.
#[derive(Debug, Default)]
pub(crate) struct Launched {
    /// How many there were.
    pub(crate) count: usize,
    /// Why some did not succeed.
    pub(crate) failures: Vec<String>,
    pub(crate) slowest: Duration,
    /// How often other threads have forked.
    forks: u64,
}

impl fmt::Display for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, failures, slowest, forks } = self;
        write!(
            f,
            "{count} containers, {} failed, beside {forks} forks; the slowest took {slowest:?}",
            failures.len()
        )
    }
}

/// Launches for a while, each by a name of its own; nothing where they are not done after `most`.
pub(crate) fn beside(
    log: fs::File,
    time: Duration,
    most: Duration,
    launch: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
) -> Option<Launched> {
    let (log, launch) = (Arc::new(Mutex::new(log)), Arc::new(launch));
    let stop = Arc::new(AtomicBool::new(false));
    let forks = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for number in 0..BUSY {
        let (stop, log, forks) = (Arc::clone(&stop), Arc::clone(&log), Arc::clone(&forks));
        threads.push(thread::spawn(move || busy(number, &stop, &log, &forks)));
    }
    let (sender, receiver) = mpsc::channel();
    let begin = Instant::now();
    for number in 0..LAUNCHING {
        let (launch, sender) = (Arc::clone(&launch), sender.clone());
        threads.push(thread::spawn(move || {
            let mut launched = Launched::default();
            while begin.elapsed() < time {
                let begin = Instant::now();
                launched.failures.extend(launch(&format!("c{number}-{}", launched.count)).err());
                launched.slowest = launched.slowest.max(begin.elapsed());
                launched.count += 1;
            }
            let _ = sender.send(launched);
        }));
    }
    let mut all = Launched::default();
    for _ in 0..LAUNCHING {
        let launched = receiver.recv_timeout(most.saturating_sub(begin.elapsed())).ok()?;
        all.count += launched.count;
        all.failures.extend(launched.failures);
        all.slowest = all.slowest.max(launched.slowest);
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    all.forks = forks.load(Ordering::Relaxed);
    Some(all)
}

/// What a program's other threads do.
fn busy(number: usize, stop: &AtomicBool, log: &Mutex<fs::File>, forks: &AtomicU64) {
    // It outlives every launch, and with it copies of whatever descriptors were open when it was made.
    let mut long = Vec::new();
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let garbage: Vec<Vec<u8>> = (0..32).map(|size| vec![round as u8; size * 517 + 1]).collect();
        writeln!(log.lock().unwrap(), "thread {number} round {round} {}", garbage.len()).unwrap();
        let name = format!("BUSY_{number}");
        set_variable(&name, &round.to_string());
        assert_eq!(std::env::var(&name).unwrap(), round.to_string());
        if round % 8 == number as u64 % 8 {
            forks.fetch_add(1, Ordering::Relaxed);
            if long.len() < 3 && round > 20 * (long.len() as u64 + 1) {
                long.push(fork_idler(3_600_000));
            } else {
                reap(fork_idler(round % 3 * 7));
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
    remove_variable(&format!("BUSY_{number}"));
    for pid in long {
        end(pid);
        reap(pid);
    }
}

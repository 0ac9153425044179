//! Load: many containers at a time, and many one after the other. Then the machine is as before: descriptors, mounts,
//! cgroups, namespaces, terminals, the kernel's memory.
//!
//! 50 containers and 200 life cycles by default; `LOAD_CONTAINERS` and `LOAD_CYCLES` say how many, `THOROUGH=1` is 1 000 and
//! 10 000. What it has measured is printed.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use runtime_tests::wait::{Process, stretched};
use runtime_tests::world::times;
use runtime_tests::{Bundle, Case, Lane, Skip, Test, Verdict};

pub(crate) fn cases() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("load::{name}"), run).only_ours().alone();
    vec![case("f46_live_containers", live), case("f46_life_cycles", cycles)]
}

/// How many: the variable's number, else few by default and many with `THOROUGH=1`.
fn number(variable: &str, few: usize, many: usize) -> usize {
    let asked = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| times(few, many))
}

/// What there is on the machine, by name.
struct Machine(BTreeMap<String, u64>);

/// What of the kernel's caches a container takes objects of.
const CACHES: [&str; 4] = ["mnt_cache", "net_namespace", "pid_namespace", "nsproxy"];

impl Machine {
    fn now(t: &Test) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let count = |path: &str| fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        let mut all = BTreeMap::new();
        let mut note = |name: &str, value: u64| {
            all.insert(name.to_owned(), value);
        };
        note("descriptors of the suite", count("/proc/self/fd"));
        note("mounts of the suite", read("/proc/self/mountinfo").lines().count() as u64);
        note("mounts of the machine", read("/proc/1/mountinfo").lines().count() as u64);
        note("terminals", read("/proc/sys/kernel/pty/nr").trim().parse().unwrap_or(0));
        for line in read("/proc/cgroups").lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split_whitespace().collect();
            note(&format!("cgroups with {}", fields[0]), fields[2].parse().unwrap_or(0));
        }
        if let Some(root) = t.cgroups().v2_root() {
            let text = fs::read_to_string(root.join("cgroup.stat")).unwrap_or_default();
            let dying = text.lines().find_map(|line| line.strip_prefix("nr_dying_descendants "));
            note("dying cgroups", dying.and_then(|it| it.parse().ok()).unwrap_or(0));
        }
        for line in read("/proc/slabinfo").lines() {
            let mut fields = line.split_whitespace();
            if let Some(name) = fields.next().filter(|name| CACHES.contains(name)) {
                note(
                    &format!("objects of {name}"),
                    fields.next().and_then(|it| it.parse().ok()).unwrap_or(0),
                );
            }
        }
        let memory = |name: &str| {
            let text = read("/proc/meminfo");
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::to_owned);
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        note(AVAILABLE, memory("MemAvailable"));
        note(SLAB, memory("Slab"));
        Self(all)
    }

    /// What there is more of than before, beyond 1 % and what others may have made meanwhile; the machine's memory is not looked
    /// at, of which anybody takes.
    fn more(&self, before: &Self, made: usize) -> Vec<String> {
        let counted = self.0.iter().filter(|(name, _)| ![AVAILABLE, SLAB].contains(&name.as_str()));
        let grown = counted.filter_map(|(name, now)| {
            let then = before.0.get(name).copied().unwrap_or(0);
            // Other programs of the machine make and end processes too, and of its caches the kernel counts what each processor
            // keeps at hand as used. What is left of each container would be as much as there were.
            let slack = if name.starts_with("objects of") { made as u64 / 4 + 40 } else { 0 };
            let slack = then / 100 + slack;
            (*now > then + slack).then(|| format!("{name}: {then} → {now}"))
        });
        grown.collect()
    }

    /// Waits until there is no more than before: the kernel takes its time with some of it.
    fn assert_as(t: &Test, before: &Self, made: usize) -> Self {
        let end = Instant::now() + stretched(Duration::from_secs(30));
        loop {
            let now = Self::now(t);
            let more = now.more(before, made);
            if more.is_empty() {
                return now;
            }
            assert!(
                Instant::now() < end,
                "{made} containers: there is more than before:\n{}",
                more.join("\n")
            );
            std::thread::yield_now();
        }
    }

    fn print(&self, before: &Self) {
        for (name, now) in &self.0 {
            let then = before.0.get(name).copied().unwrap_or(0);
            eprintln!("  {name:28} {then:>10} → {now:>10}");
        }
    }
}

const AVAILABLE: &str = "memory available, KiB";
const SLAB: &str = "slab, KiB";

fn names(t: &Test, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}-live-{number}", t.token)).collect()
}

fn create(t: &Test, b: &Bundle, id: &str) -> Process {
    let pid_file = t.dir.join("pid");
    let flags = ["--pid-file", pid_file.to_str().unwrap()];
    t.call(&["create", "--bundle", b.path.to_str().unwrap()]).args(flags).args([id]).ok();
    Process::open(fs::read_to_string(&pid_file).unwrap().parse().unwrap()).unwrap()
}

fn delete(t: &Test, id: &str, process: &Process) {
    t.call(&["delete", "--force", id]).ok();
    assert!(process.wait_exit(Duration::from_secs(10)), "{id} is alive");
    let _ = process.reap();
}

fn live(t: &Test) -> Verdict {
    only_on_hybrid(t)?;
    let count = number("LOAD_CONTAINERS", 50, 1000);
    let b = t.bundle();
    b.stays().write();
    // The first makes what stays: the state root, caches.
    let first = create(t, &b, &names(t, 1)[0]);
    delete(t, &names(t, 1)[0], &first);
    let before = Machine::now(t);
    let begin = Instant::now();
    let mut processes = Vec::new();
    for (number, id) in names(t, count).iter().enumerate() {
        processes.push(create(t, &b, id));
        if number % 2 == 0 {
            t.call(&["start", id]).ok();
        }
    }
    let made = begin.elapsed();
    let with_all = Machine::now(t);
    let begin = Instant::now();
    let listed = t.call(&["list", "--quiet"]).ok();
    let list = begin.elapsed();
    assert_eq!(listed.lines().len(), count);
    let begin = Instant::now();
    for (id, process) in names(t, count).iter().zip(&processes) {
        delete(t, id, process);
    }
    let deleted = begin.elapsed();
    drop(processes);
    let after = Machine::assert_as(t, &before, count);
    let taken = before.0[AVAILABLE].saturating_sub(with_all.0[AVAILABLE]) / count as u64;
    eprintln!(
        "{count} containers, every other one started: made in {made:?} ({:?} each), listed in {list:?}, deleted in \
         {deleted:?}; about {taken} KiB of the machine each",
        made / count as u32
    );
    after.print(&before);
    Ok(())
}

fn cycles(t: &Test) -> Verdict {
    only_on_hybrid(t)?;
    let count = number("LOAD_CYCLES", 200, 10_000);
    let b = t.bundle();
    b.stays().write();
    let id = t.fresh_id();
    let cycle = || delete(t, &id, &create(t, &b, &id));
    (0..20).for_each(|_| cycle());
    let before = Machine::now(t);
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let one = Instant::now();
        cycle();
        slowest = slowest.max(one.elapsed());
    }
    let taken = begin.elapsed();
    let after = Machine::assert_as(t, &before, count);
    eprintln!("{count} life cycles in {taken:?}: {:?} each, at most {slowest:?}", taken / count as u32);
    after.print(&before);
    Ok(())
}

/// The figures are the kernel's; what it counts for v1 and v2 at once is seen on hybrid.
fn only_on_hybrid(t: &Test) -> Verdict {
    if t.lane == Lane::Hybrid || runtime_tests::world::thorough() {
        Ok(())
    } else {
        Err(Skip::new("load is put on the hybrid lane, or with THOROUGH=1"))
    }
}

//! The loop: mutate, run, look at what was reached, keep.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::coverage::Coverage;
use crate::mutate::{Dictionary, MOST_BYTES, Random, mutate};
use crate::{Request, keep, targets};

/// An input that takes more of the processor is a finding: documents are read at every start of a container.
const SLOW: Duration = Duration::from_secs(1);

/// What an input did.
enum Verdict {
    Fine,
    Panicked(String),
    Slow(Duration),
}

/// Runs a target for the time asked for; how many findings were written.
pub(crate) fn run(request: &Request) -> io::Result<usize> {
    let mut work = Work::begin(request)?;
    let begin = Instant::now();
    let mut told = begin;
    while begin.elapsed() < request.time && work.findings < 10 {
        for _ in 0..64 {
            let input = work.next();
            work.look_at(input)?;
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{}", work.summary(begin.elapsed()));
        }
    }
    println!("{}", work.summary(begin.elapsed()));
    let _ = fs::remove_file(current_file(request));
    if let Some(directory) = &request.grown {
        keep::write(directory, &work.corpus)?;
    }
    if let Some(directory) = &request.keep {
        keep::write(directory, keep::reduce(&work.corpus))?;
    }
    Ok(work.findings)
}

fn current_file(request: &Request) -> PathBuf {
    request.findings.join(format!("{}-current", request.target.name))
}

struct Work<'a> {
    request: &'a Request,
    random: Random,
    dictionary: Dictionary,
    coverage: Coverage,
    corpus: Vec<keep::Input>,
    /// The input at work, for an end that nothing here survives: its length in eight bytes, then itself.
    current: File,
    runs: u64,
    findings: usize,
}

impl<'a> Work<'a> {
    fn begin(request: &'a Request) -> io::Result<Self> {
        // One line each is enough: what the input was is in its file.
        std::panic::set_hook(Box::new(|_| {}));
        fs::create_dir_all(&request.findings)?;
        let current = File::create(current_file(request))?;
        let mut work = Self {
            request,
            random: Random::new(request.seed),
            dictionary: Dictionary::default(),
            coverage: Coverage::default(),
            corpus: Vec::new(),
            current,
            runs: 0,
            findings: 0,
        };
        let mut inputs = (request.target.seeds)();
        for directory in &request.seeds {
            inputs.extend(read_inputs(directory)?);
        }
        inputs.push(Vec::new());
        for mut input in inputs {
            input.truncate(MOST_BYTES);
            work.dictionary.learn(&input);
            work.look_at(input)?;
        }
        Ok(work)
    }

    /// The next input: mostly one of the latest, mutated.
    fn next(&mut self) -> Vec<u8> {
        let count = self.corpus.len();
        let pick = match self.random.below(3) {
            0 => count.saturating_sub(1 + self.random.below(count.min(16))),
            _ => self.random.below(count),
        };
        let other = self.random.below(count);
        let bytes = |index: usize| self.corpus.get(index).map_or(&[][..], |input| &input.bytes);
        mutate(bytes(pick), bytes(other), &self.dictionary, &mut self.random)
    }

    fn look_at(&mut self, input: Vec<u8>) -> io::Result<()> {
        self.current.write_all_at(&(input.len() as u64).to_le_bytes(), 0)?;
        self.current.write_all_at(&input, 8)?;
        self.runs += 1;
        self.coverage.begin();
        let verdict = run_once(self.request.target, &input);
        let new = self.coverage.end();
        match verdict {
            Verdict::Fine if new > 0 || self.corpus.is_empty() => {
                let reached = self.coverage.last().to_vec();
                self.corpus.push(keep::Input { bytes: input, reached });
            }
            Verdict::Fine => {}
            Verdict::Panicked(message) if new > 0 || self.findings == 0 => self.found(&input, &message)?,
            Verdict::Panicked(_) => {}
            Verdict::Slow(time) => self.found(&input, &format!("took {} ms", time.as_millis()))?,
        }
        Ok(())
    }

    fn found(&mut self, input: &[u8], message: &str) -> io::Result<()> {
        self.findings += 1;
        let name = format!("{}-{:016x}", self.request.target.name, keep::hash(input));
        let file = self.request.findings.join(name);
        fs::write(&file, input)?;
        println!("finding: {message}\n  input: {}", file.display());
        Ok(())
    }

    fn summary(&self, time: Duration) -> String {
        let (places, reached) = self.coverage.places();
        let coverage = if places == 0 {
            "no coverage in this build".to_owned()
        } else {
            format!("{reached} of {places} places reached")
        };
        let rate = self.runs as f64 / time.as_secs_f64().max(0.001);
        format!(
            "{}: {} runs in {} s ({rate:.0} per second), {} s of a processor, {coverage}, {} inputs, {} findings",
            self.request.target.name,
            self.runs,
            time.as_secs(),
            processor_time().as_secs(),
            self.corpus.len(),
            self.findings
        )
    }
}

fn run_once(target: &targets::Target, input: &[u8]) -> Verdict {
    let begin = processor_time();
    match panic_of(target, input) {
        None => match processor_time().saturating_sub(begin) {
            time if time > SLOW => Verdict::Slow(time),
            _ => Verdict::Fine,
        },
        Some(message) => Verdict::Panicked(message),
    }
}

/// What the target says of an input for which it panics.
fn panic_of(target: &targets::Target, input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(text.unwrap_or_else(|| "panicked".to_owned()))
}

/// What this thread has had of a processor: others may keep it waiting.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// The files of a directory; none where it is missing.
pub(crate) fn read_inputs(directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().filter(|file| file.is_file()).map(fs::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each target's inputs the shortest, where they are interpreted.
    const MIRI_INPUTS: usize = 12;

    #[test]
    fn kept_corpus_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for target in &targets::TARGETS {
            let mut inputs = read_inputs(&corpus.join(target.name)).unwrap();
            inputs.extend((target.seeds)());
            if cfg!(miri) {
                // It takes a thousand times as long there.
                inputs.sort_by_key(Vec::len);
                inputs.truncate(MIRI_INPUTS);
            }
            for input in &inputs {
                if let Some(message) = panic_of(target, input) {
                    panic!("{}: {message}, with {:?}", target.name, String::from_utf8_lossy(input));
                }
            }
        }
    }
}

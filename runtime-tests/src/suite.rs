//! Running the cases: skips and known differences counted, nothing left behind.
//!
//! Cases run several at a time. One that fails is run once more while no other runs: on a busy machine a deadline passes,
//! an engine loses the last words of a container, another case's mounts show for a moment. One that passes then has
//! passed; what it said at first is printed, and counted, and more than `REPEATED_AT_MOST` of them fail the run.
//! `ATTEMPTS=1` takes the second attempt away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::command::RUNTIME_NAME;
use crate::differences;
use crate::lane::{Lane, Unprepared};
use crate::residue;
use crate::rootfs::Busybox;
use crate::runtime::Runtime;
use crate::skip::{Skip, Verdict};
use crate::test::Test;

/// The function of a test.
pub type Run = Box<dyn Fn(&Test) -> Verdict + Send + Sync>;

/// A test.
pub struct Case {
    /// `suite::subject_condition_result`.
    pub name: String,
    run: Run,
    only_ours: bool,
    alone: bool,
}

/// Of all cases, how many may pass at the second attempt only: one that does often is a defect, of the test or of what it
/// tests.
const REPEATED_AT_MOST: usize = 8;

/// Held by each case that runs; wholly by one that has to be the only one.
static RUNNING: RwLock<()> = RwLock::new(());

impl Case {
    /// A test of any runtime.
    #[must_use]
    pub fn new(name: impl Into<String>, run: impl Fn(&Test) -> Verdict + Send + Sync + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), only_ours: false, alone: false }
    }

    /// Of something that only our own runtime promises.
    #[must_use]
    pub fn only_ours(mut self) -> Self {
        self.only_ours = true;
        self
    }

    /// Of something that all processes of the machine see: no other case runs beside it.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}

/// The cases of a suite, from its functions.
#[macro_export]
macro_rules! cases {
    ($suite:literal: $($name:ident),* $(,)?) => {
        vec![$($crate::Case::new(concat!($suite, "::", stringify!($name)), $name)),*]
    };
}

thread_local! {
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

type Skips = Arc<Mutex<BTreeMap<String, u32>>>;
/// What tests said that failed at first and passed then.
type Repeated = Arc<Mutex<Vec<String>>>;

struct World {
    runtime: Runtime,
    lane: Lane,
    scratch: PathBuf,
    busybox: &'static Busybox,
    skips: Skips,
    repeated: Repeated,
}

/// The cases of which one of the words in `CASES`, separated by commas, is the beginning of the name; without it, all. Of a
/// word after `!` none that has it anywhere.
fn selected(mut cases: Vec<Case>) -> Vec<Case> {
    let Ok(words) = std::env::var("CASES") else { return cases };
    let (excluded, selected): (Vec<_>, Vec<_>) = words.split(',').partition(|word| word.starts_with('!'));
    cases.retain(|case| {
        selected.iter().any(|word| case.name.starts_with(word))
            && !excluded.iter().any(|word| case.name.contains(word.trim_start_matches('!')))
    });
    cases
}

/// Runs the cases that the command line and `CASES` select.
#[must_use]
pub fn main(cases: Vec<Case>) -> ExitCode {
    crate::sys::heed_interrupts();
    let cases = selected(cases);
    let mut arguments = Arguments::from_args();
    if arguments.test_threads.is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        arguments.test_threads = Some(processors * 2);
    }
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let of_criu = |case: &Case| case.name.contains("checkpoint") || case.name.contains("restore");
    if cases.iter().any(|case| case.name.contains(filter) && of_criu(case)) {
        crate::criu::prepare();
    }
    if cases.iter().any(|case| case.name.contains(filter) && case.name.contains("_session::")) {
        crate::user::prepare_session();
    }
    let scratch = std::env::temp_dir().join(format!("runtime-tests-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("make the scratch directory");
    let (skips, repeated) = (Skips::default(), Repeated::default());
    let world = prepare(&scratch, &skips, &repeated);
    match &world {
        Ok(world) => eprintln!(
            "runtime: {} {} ({}), cgroup: {:?}",
            world.runtime.name,
            world.runtime.version,
            world.runtime.path.display(),
            world.lane
        ),
        Err(Unprepared::Skip(reason)) => eprintln!("everything is skipped: {reason}"),
        Err(Unprepared::Fail(reason)) => eprintln!("everything fails: {reason}"),
    }
    let world = Arc::new(world);
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.with_borrow_mut(|at| *at = place);
    }));
    // Of one width: none is the beginning of another's, for they are looked for as parts of names and paths.
    let token = |index: usize| format!("rt{}n{index:05}", std::process::id());
    let trials = cases.into_iter().enumerate().map(|(index, case)| {
        let world = Arc::clone(&world);
        Trial::ignorable_test(case.name.clone(), move || run_case(&world, &case, token(index)))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let _ = rustix::mount::unmount(&scratch, rustix::mount::UnmountFlags::DETACH);
    let _ = std::fs::remove_dir(&scratch);
    let skips = skips.lock().expect("no test panics with it");
    for (reason, count) in skips.iter() {
        eprintln!("skipped {count}: {reason}");
    }
    if let Ok(world) = &*world
        && !skips.is_empty()
    {
        let whose = differs(&world.runtime, "");
        let listed = skips.iter().filter(|(reason, _)| reason.starts_with(&whose)).map(|(_, count)| count);
        eprintln!(
            "skipped {}, of which {} differ as listed",
            skips.values().sum::<u32>(),
            listed.sum::<u32>()
        );
    }
    // On standard output, as the tests' own results are: who runs the suite counts them.
    let repeated = repeated.lock().expect("no test panics with it");
    for failure in repeated.iter() {
        println!("passed at the second attempt: {failure}");
    }
    if repeated.len() > REPEATED_AT_MOST {
        println!("{} passed at the second attempt only, more than {REPEATED_AT_MOST}", repeated.len());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn prepare(scratch: &Path, skips: &Skips, repeated: &Repeated) -> Result<World, Unprepared> {
    let named = ["RUNTIME", "SANDBOXD"].into_iter().any(|name| std::env::var_os(name).is_some());
    let runtime = Runtime::find().map_err(if named { Unprepared::Fail } else { Unprepared::Skip })?;
    let _ = RUNTIME_NAME.set(runtime.name.clone());
    let lane = Lane::enter(scratch)?;
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))
        .map_err(|error| Unprepared::Fail(format!("become a subreaper: {error}")))?;
    let busybox = Busybox::get(scratch).map_err(Unprepared::Skip)?;
    Ok(World {
        runtime,
        lane,
        scratch: scratch.to_owned(),
        busybox,
        skips: Arc::clone(skips),
        repeated: Arc::clone(repeated),
    })
}

/// The reason of a skip that is a listed difference.
fn differs(runtime: &Runtime, reason: &str) -> String {
    format!("{} {}: {reason}", runtime.name, runtime.version)
}

fn skip(skips: &Skips, reason: String) -> Completion {
    *skips.lock().expect("no test panics with it").entry(reason.clone()).or_default() += 1;
    Completion::ignored_with(reason)
}

fn run_case(world: &Result<World, Unprepared>, case: &Case, token: String) -> Result<Completion, Failed> {
    let world = match world {
        Ok(world) => world,
        Err(Unprepared::Skip(reason)) => return Ok(Completion::ignored_with(reason)),
        Err(Unprepared::Fail(reason)) => return Err(reason.into()),
    };
    // Another runtime may fail some of them at the machine's expense: in a virtual machine, or those that can't.
    let ignore_promises = std::env::var_os("ALL_PROMISES").is_some();
    if case.only_ours && !world.runtime.is_ours() && !ignore_promises {
        return Ok(skip(&world.skips, "a promise of our own runtime".into()));
    }
    let ignore_differences = std::env::var_os("ALL_DIFFERENCES").is_some();
    if let Some(reason) = differences::known(&world.runtime, world.lane, &case.name)
        && !ignore_differences
    {
        return Ok(skip(&world.skips, differs(&world.runtime, reason)));
    }
    let attempts = std::env::var("ATTEMPTS").ok().and_then(|number| number.parse().ok()).unwrap_or(2);
    match beside_others(case.alone, || attempt(world, case, token.clone())) {
        Err(first) if attempts > 1 => {
            let completion = beside_others(true, || attempt(world, case, format!("{token}again")))?;
            let said = first.split_whitespace().collect::<Vec<_>>().join(" ");
            world.repeated.lock().expect("no test panics with it").push(format!("{}: {said}", case.name));
            Ok(completion)
        }
        verdict => Ok(verdict?),
    }
}

/// Runs something while other cases may run, or while none does.
fn beside_others<T>(alone: bool, run: impl FnOnce() -> T) -> T {
    if alone {
        let _guard = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
        run()
    } else {
        let _guard = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
        run()
    }
}

fn attempt(world: &World, case: &Case, token: String) -> Result<Completion, String> {
    let test = Test::new(world.runtime.clone(), world.lane, &world.scratch, token, world.busybox);
    let verdict = guarded(|| (case.run)(&test));
    let residue = guarded(|| {
        let said = residue::delete_containers(&test);
        let left = residue::find(&test);
        if left.is_empty() { left } else { left.into_iter().chain(said).collect() }
    });
    if std::env::var_os("KEEP").is_none() {
        residue::scrub(&test);
    }
    match (verdict, residue) {
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
        (Ok(_), Ok(left)) if !left.is_empty() => Err(format!("left behind:\n{}", left.join("\n"))),
        (Ok(Err(Skip(reason))), _) => Ok(skip(&world.skips, reason)),
        (Ok(Ok(())), _) => Ok(Completion::Completed),
    }
}

/// Runs something that panics on failure; its message and place then.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_default();
        PANICKED_AT.with_borrow(|at| format!("{message}\nat {at}"))
    })
}

//! Where other runtimes are known to differ, and why; such a test is skipped for them, and counted.
//!
//! A test that is skipped for runc must have passed on crun, or the other way round; where neither does what the
//! specification says, the reason cites it.

use crate::lane::Lane;
use crate::runtime::Runtime;

/// A known difference.
#[derive(Debug)]
struct Difference {
    /// Name of the runtime and the start of its version.
    runtime: (&'static str, &'static str),
    /// Only in this cgroup view.
    lane: Option<Lane>,
    /// The test's full name, or a prefix that ends in `*`.
    test: &'static str,
    /// What it does, and who is right.
    reason: &'static str,
}

const RUNC: (&str, &str) = ("runc", "1.1");
const CRUN: (&str, &str) = ("crun", "1.8");

const fn any(runtime: (&'static str, &'static str), test: &'static str, reason: &'static str) -> Difference {
    Difference { runtime, lane: None, test, reason }
}

const DIFFERENCES: &[Difference] = &[
    any(RUNC, "lifecycle::create_fifty_of_one_id_one_wins", "two creates of one id can both succeed"),
    any(
        CRUN,
        "lifecycle::state_created_has_all_fields",
        "`rootfs` is as in the config, not absolute as go-runc has it",
    ),
    any(
        CRUN,
        "lifecycle::id_invalid_*",
        "ids are hardly checked; `delete --force` removes an absolute one as a path",
    ),
    any(
        CRUN,
        "lifecycle::id_valid_hidden_is_accepted",
        "names a keyring by the id, and a leading dot is the kernel's",
    ),
    any(CRUN, "lifecycle::kill_takes_names_and_numbers", "takes signal names in upper case only"),
    any(CRUN, "lifecycle::kill_unknown_signal_fails", "an unknown signal is taken as 0"),
    any(CRUN, "lifecycle::list_table_has_the_header_and_a_line", "another table than runc's"),
    any(CRUN, "lifecycle::list_json_empty_is_null", "an empty list is `[]`, runc's is `null`"),
    any(CRUN, "lifecycle::ps_table_shows_the_process", "prints ids alone, runc what ps(1) says"),
];

/// Other words for the same failure: the words are runc's.
const OTHER_WORDS: &[(&str, &str, &[&str])] = &[
    ("crun", "does not exist", &["no such file or directory"]),
    ("crun", "container with given id already exists", &["already exists"]),
    ("crun", "cannot start an already running container", &["exec.fifo"]),
    ("crun", "cannot start a container that has stopped", &["is not running"]),
    ("crun", "container not running", &["no such process", "is not running"]),
    ("crun", "that is not stopped", &["is not in `created` or `stopped` state"]),
];

/// What a runtime may say instead of runc's words.
#[must_use]
pub fn other_words(runtime: &str, words: &str) -> &'static [&'static str] {
    OTHER_WORDS
        .iter()
        .find(|(name, ours, _)| *name == runtime && ours.eq_ignore_ascii_case(words))
        .map_or(&[], |(_, _, other)| other)
}

/// The reason why a test is not run against a runtime.
#[must_use]
pub fn known(runtime: &Runtime, lane: Lane, test: &str) -> Option<&'static str> {
    let applies = |difference: &&Difference| {
        let (name, version) = difference.runtime;
        let named = match difference.test.strip_suffix('*') {
            Some(prefix) => test.starts_with(prefix),
            None => test == difference.test,
        };
        named
            && runtime.name == name
            && runtime.version.starts_with(version)
            && difference.lane.is_none_or(|only| only == lane)
    };
    DIFFERENCES.iter().find(applies).map(|difference| difference.reason)
}

//! The same bundle under this runtime and under another: the world inside must be the same.
//!
//! `DIFFERENTIAL=200 SEED=7` makes so many configurations from a seed; without these it is a dozen, always the same, as a
//! test in continuous integration must not find today what it did not yesterday. What is known to differ is in
//! [`normal`], with what decides it, and in `docs/differences.md`.

mod generate;
mod normal;

use std::collections::BTreeMap;
use std::path::PathBuf;

use generate::{Abilities, Random};
use runtime_tests::{Bundle, Case, Lane, Runtime, Skip, Test, Verdict};

/// How many configurations there are without `DIFFERENTIAL`.
const DEFAULT_COUNT: u64 = 12;
/// Where the numbers begin without `SEED`.
const DEFAULT_SEED: u64 = 1;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &'static str, run: fn(&Test) -> Verdict| {
        Case::new(format!("differential::{name}"), run).only_ours()
    };
    vec![case("runc", runc), case("crun", crun), case("libcontainer", libcontainer)]
}

fn runc(t: &Test) -> Verdict {
    t.needs_program("runc")?;
    compare(t, &peer("runc")?)
}

fn crun(t: &Test) -> Verdict {
    t.needs_program("crun")?;
    match t.lane {
        Lane::Hybrid => Err(Skip::new("crun refuses hybrid cgroups")),
        Lane::V2 => Err(Skip::new("crun's device filter on v2 needs a right that is not everywhere")),
        Lane::V1 => compare(t, &peer("crun")?),
    }
}

/// `crates/peers`, where somebody has built it: it is no part of continuous integration.
fn libcontainer(t: &Test) -> Verdict {
    let built = std::env::var_os("PEERS").map(PathBuf::from);
    let Some(path) = built else {
        return Err(Skip::new("libcontainer: PEERS names no build of crates/peers"));
    };
    compare(t, &Runtime::at(&path).map_err(Skip::new)?)
}

fn peer(name: &str) -> Result<Runtime, Skip> {
    Runtime::at(name.as_ref()).map_err(Skip::new)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn compare(t: &Test, other: &Runtime) -> Verdict {
    let (count, first) = (number("DIFFERENTIAL", DEFAULT_COUNT), number("SEED", DEFAULT_SEED));
    let abilities = Abilities::of(t, other);
    let mut different = Vec::new();
    let mut refused = 0;
    for seed in first..first + count {
        let mut random = Random::new(seed);
        let make = |random: &mut Random| {
            let bundle = t.bundle();
            generate::config(random, &bundle, &abilities);
            bundle
        };
        // Each has a root file system of its own: what one makes in it, the other must not find.
        let (ours, theirs) = (make(&mut random.clone()), make(&mut random));
        let config = shown(&ours);
        let id = t.fresh_id();
        let ours = world(t, &t.runtime, &ours, &id, &other.name);
        let theirs = world(t, other, &theirs, &id, &other.name);
        if let (Err(ours), Err(theirs)) = (&ours, &theirs) {
            eprintln!("SEED={seed} is refused by both: {} / {}", ours.trim(), theirs.trim());
            refused += 1;
        }
        let lines = differing(&ours, &theirs);
        if !lines.is_empty() {
            different.push(format!(
                "SEED={seed} DIFFERENTIAL=1, - ours, + {}'s:\n{config}\n{}",
                other.name,
                lines.join("\n")
            ));
        }
    }
    eprintln!(
        "{} configurations from seed {first}, under sandboxd and {} {}: {} alike, {refused} of them refused by both",
        count,
        other.name,
        other.version,
        count - different.len() as u64
    );
    assert!(different.is_empty(), "{} of {count}:\n{}", different.len(), different.join("\n\n"));
    assert!(
        refused * 10 <= count,
        "{refused} of {count} configurations were refused by both: they show nothing"
    );
    Ok(())
}

/// The configuration without the script.
fn shown(bundle: &Bundle) -> String {
    let mut config = bundle.config();
    config["process"]["args"] = serde_json::Value::Null;
    config.to_string()
}

/// What the probe prints inside, in a form in which it can be compared; or what the runtime says.
fn world(t: &Test, runtime: &Runtime, bundle: &Bundle, id: &str, other: &str) -> Result<Vec<String>, String> {
    bundle.write();
    let root = t.dir.join(format!("root-{}", runtime.name));
    let call = |args: &[&str]| {
        let call =
            runtime_tests::Call::new([&runtime.path]).env(runtime_tests::test::TOKEN_VARIABLE, &t.token);
        call.args(["--root".as_ref(), root.as_os_str()]).args(args).cwd(&t.dir)
    };
    // Not the host's null device: crun 1.8 gives its standard input to the container's user.
    let (input, _) = std::io::pipe().expect("a pipe");
    let input = std::fs::File::from(std::os::fd::OwnedFd::from(input));
    let output = call(&["run", "--bundle", bundle.path.to_str().unwrap(), id]).stdin_file(input).output();
    if !output.status.success() {
        let _ = call(&["delete", "--force", id]).output();
        return Err(output.stderr);
    }
    let path = bundle.path.to_str().unwrap();
    let below = format!("/{}/{}", t.token, bundle.path.file_name().unwrap().to_str().unwrap());
    Ok(normal::lines(&output.stdout, other, &[(path, "BUNDLE"), (&below, "BUNDLE")]))
}

/// The lines that one of them has more often than the other.
fn differing(ours: &Result<Vec<String>, String>, theirs: &Result<Vec<String>, String>) -> Vec<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) => return Vec::new(),
        (Err(said), Ok(_)) => return vec![format!("- {said}"), "+ runs".to_owned()],
        (Ok(_), Err(said)) => return vec!["- runs".to_owned(), format!("+ {said}")],
    };
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    ours.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    theirs.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    let sign = |(line, count): (&str, i32)| match count {
        0 => None,
        1.. => Some(format!("- {line}")),
        _ => Some(format!("+ {line}")),
    };
    counts.into_iter().filter_map(sign).collect()
}

//! `cargo xtask`: the tasks of the project.
//!
//! Each task is a module. What they run are ordinary commands, printed nowhere else: cargo, the runtimes, the suite.

mod bench;
mod build;
mod bundle;
mod debian;
mod dist;
mod engines;
mod error;
mod fuzz;
mod lane;
mod load;
mod man;
mod markdown;
mod miri;
mod packages;
mod process;
mod project;
mod test;
mod tidy;
mod validate;
mod vm;

use std::process::ExitCode;

use lexopt::prelude::*;

use crate::error::{Failure, Result};

const USAGE: &str = "\
usage: cargo xtask TASK

  build                         the static release binary, as ./sandboxd
  bundle NAME [--run]           the root file system of bundles/NAME; with --run also runs it (as root)
  test [--lane LANE]... [--update-skips] [-- ARG...]
                                every test: the crates', then the black-box suite on each cgroup set-up that this
                                machine can show (hybrid, v1, v2), that of clients with the newest engines (engines),
                                and part of it in a virtual machine (vm); ARGs go to the black-box suite;
                                --update-skips writes how many tests each lane skips into runtime-tests/skips.txt
  bench [-n N] [--lane LANE]... [--only NAME,...] [--peers NAME=PATH]... [--runtime FILE] [--vm]
        [--json FILE] [--docs] [--check] [--from FILE]
                                what containers cost, against the floor and the runtimes that are installed; --check
                                fails where a target is missed, --docs writes docs/benchmarks.md with its pictures,
                                --vm boots a virtual machine for the same command, --from reads the figures of --json
  validate --suite DIR [--vm] [--cgroup LANE] [--runtime FILE] [--against RUNTIME] [TEST...]
                                the validation suite of a built opencontainers/runtime-tools checkout, here or in
                                the virtual machine
  dist [--twice] [--output DIR] a release: static binary, completions, manual pages, licences, bill of materials,
                                checksums, as a reproducible archive; --twice builds in two places and compares
  fuzz [TARGET]... [--seconds N] [--seed N] [--keep] [--sanitizer]
                                the fuzz targets (crates/fuzz), each so long, with coverage; --keep renews the corpus in
                                the repository, --sanitizer adds AddressSanitizer
  load [--containers N] [--cycles N]
                                1 000 live containers and 10 000 life cycles, or as many as given, as root: times, and
                                what there is of the machine before and after
  man                           the manual pages, into target/man
  miri                          what reads bytes of others, in the interpreter that finds undefined behaviour (nightly)
  tidy                          headers, unsafe, words, links, dependencies
  lane LANE COMMAND [ARG...]    runs a command where it sees cgroup v1 or v2 alone
  engines [--rebuild] LANE COMMAND [ARG...]
                                runs a command, as lane does, where containerd, Docker, podman, buildah, runc and crun are those
                                of Debian's next release
  vm [--suite bookworm|trixie|sid] [--lsm apparmor|selinux] [--cgroup LANE] [--limit SECONDS] [--runtime FILE] [--copy FILE]... [--console]
     [--rebuild] [--] COMMAND [ARG...]
                                runs a command as root in a virtual machine with systemd, AppArmor, and cgroup v2
                                alone or the hierarchies of LANE; sandboxd and runtime-tests are in its PATH, each FILE is in /job

LANE is hybrid, v1 or v2; for test also engines and vm.";

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_env();
    let task = match parser.next()? {
        Some(Value(task)) => task.string()?,
        Some(Short('h') | Long("help")) => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(Failure::new(USAGE)),
    };
    match task.as_str() {
        "build" => build::main(parser),
        "bundle" => bundle::main(parser),
        "test" => test::main(parser),
        "bench" => bench::main(parser),
        "validate" => validate::main(parser),
        "dist" => dist::main(parser),
        "fuzz" => fuzz::main(parser),
        "load" => load::main(parser),
        "man" => man::main(parser),
        "miri" => miri::main(parser),
        "tidy" => tidy::main(parser),
        "lane" => lane::main(parser),
        "engines" => engines::main(parser),
        "vm" => vm::main(parser),
        _ => Err(Failure::new(format!("no task {task:?}\n{USAGE}"))),
    }
}

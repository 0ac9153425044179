//! `vm`: a command in a virtual machine with what this machine may lack: cgroup v2 with all controllers, or systemd's
//! hybrid and legacy hierarchies, systemd itself, AppArmor enforced.
//!
//! A Debian system, built from distribution packages and kept outside the repository; emulated, since not every
//! machine has KVM: about eight times slower than the machine itself. Nothing is written back to it.

mod boot;
mod image;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use crate::debian::Unavailable;
use crate::error::{Failure, Result};
use crate::lane::Lane;
use crate::process::output_of;
use crate::{build, project};

pub(crate) use boot::{Job, ONCE_MORE, boot};
pub(crate) use image::Image;

/// A release of Debian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Suite {
    Bookworm,
    /// The one whose podman, crun and systemd are new enough to be worth a lane.
    #[default]
    Trixie,
    Sid,
}

impl Suite {
    const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Sid];
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        })
    }
}

impl FromStr for Suite {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|suite| suite.to_string() == name);
        known.ok_or_else(|| "a suite is bookworm, trixie or sid".into())
    }
}

/// The security module of the machine, beside those that every kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lsm {
    /// Enforced.
    #[default]
    AppArmor,
    /// With the distribution's policy; what that denies is let through: nothing of the image has a label.
    Selinux,
}

impl FromStr for Lsm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "apparmor" => Ok(Self::AppArmor),
            "selinux" => Ok(Self::Selinux),
            _ => Err("a security module is apparmor or selinux".into()),
        }
    }
}

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut suite = Suite::default();
    let mut lsm = Lsm::default();
    let mut limit = Duration::from_secs(600);
    let mut shown = false;
    let mut cgroup = Lane::V2;
    let mut rebuild = false;
    let mut runtime = None;
    let mut files: Vec<PathBuf> = Vec::new();
    let mut words: Vec<OsString> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("suite") => suite = parser.value()?.parse()?,
            Long("lsm") => lsm = parser.value()?.parse()?,
            Long("cgroup") => cgroup = parser.value()?.parse()?,
            Long("limit") => limit = Duration::from_secs(parser.value()?.parse()?),
            Long("runtime") => runtime = Some(PathBuf::from(parser.value()?)),
            Long("copy") => files.push(parser.value()?.into()),
            Long("console") => shown = true,
            Long("rebuild") => rebuild = true,
            Value(word) => {
                words.push(word);
                words.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if words.is_empty() {
        return Err(Failure::new("vm: which command?"));
    }
    if (suite, lsm) == (Suite::Sid, Lsm::Selinux) {
        return Err(Failure::new("vm: sid's SELinux policy can't be installed: use trixie"));
    }
    let image = Image::get(suite, rebuild).map_err(Unavailable::into_failure)?;
    let mut job = Job::new(shell_line(&words)?)?;
    job.limit = limit;
    job.console = shown;
    job.cgroup = cgroup;
    job.lsm = lsm;
    let runtime = runtime.map_or_else(build::build_static, Ok)?;
    job.copy(&runtime, "bin/sandboxd")?;
    job.copy(&test_program(&image)?, "bin/runtime-tests")?;
    for file in &files {
        let name = file.file_name().ok_or_else(|| Failure::new("vm: --copy names no file"))?;
        job.copy(file, &name.to_string_lossy())?;
    }
    let mut print = |line: &str| println!("{line}");
    Ok(ExitCode::from(boot(&image, &job, &mut print)?))
}

/// The words as a line for a shell. A single word is one already.
pub(crate) fn shell_line(words: &[OsString]) -> Result<String> {
    let text = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| Failure::new("vm: the command is not UTF-8"))
    };
    if let [line] = words {
        return text(line);
    }
    let quoted = words.iter().map(|word| Ok(format!("'{}'", text(word)?.replace('\'', r"'\''"))));
    Ok(quoted.collect::<Result<Vec<_>>>()?.join(" "))
}

/// Builds the black-box suite for a virtual machine. It is linked with this machine's C library: that one's must not be older.
pub(crate) fn test_program(image: &Image) -> Result<PathBuf> {
    let ours = output_of(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let ours = ours.trim().trim_start_matches("glibc ");
    if version(ours) > version(&image.glibc) {
        return Err(Failure::new(format!(
            "the tests need glibc {ours}, {} has {}: use a newer suite",
            image.suite, image.glibc
        )));
    }
    suite_executable()
}

/// Builds the black-box suite as a program that can be run elsewhere.
pub(crate) fn suite_executable() -> Result<PathBuf> {
    let mut cargo = project::cargo();
    cargo.args(["test", "--quiet", "--package", "runtime-tests", "--test", "suite", "--no-run"]);
    let messages = output_of(cargo.args(["--message-format", "json"]))?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "suite").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables.next_back().ok_or_else(|| Failure::new("cargo names no executable of the suite"))
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_line_quotes_words() {
        let line =
            |words: &[&str]| shell_line(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap();
        assert_eq!(line(&["echo a | cat"]), "echo a | cat");
        assert_eq!(line(&["echo", "it's", "a b"]), r"'echo' 'it'\''s' 'a b'");
    }

    #[test]
    fn version_compared_by_number() {
        assert!(version("2.9") < version("2.41"));
        assert!(version("2.36") == version("2.36-9+deb12u1".split('-').next().unwrap()));
    }
}

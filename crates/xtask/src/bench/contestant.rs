//! Who is measured.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::arena::{Arena, DeviceRules, Load};
use super::document::Entrant;
use crate::error::{Context, Failure, Result};
use crate::lane::{Lane, v1_hierarchies};
use crate::process::{capture, find_program, rendered, wait_until};
use crate::project;

/// What it is called in the documents.
pub(super) const OURS: &str = "sandboxd";

/// What it is called in the documents.
pub(super) const FLOOR: &str = "floor";

/// The runtimes that are looked for in `PATH`.
const PEERS: [&str; 3] = ["crun", "runc", "youki"];

/// A runtime besides those that are in `PATH`.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) program: PathBuf,
}

impl std::str::FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("a peer is NAME=PATH")?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if name.is_empty() || !name.chars().all(is_plain) || [OURS, FLOOR].contains(&name) {
            return Err(format!("{name:?} can't be a peer's name"));
        }
        let program = std::path::absolute(path).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), program })
    }
}

/// One that is measured: the floor, or a runtime.
#[derive(Debug)]
pub(super) struct Contestant<'a> {
    pub(super) name: String,
    version: String,
    pub(super) program: PathBuf,
    arena: &'a Arena,
    rules: DeviceRules,
    note: Option<String>,
}

/// All that can run the default spec; for the others a sentence each.
pub(super) fn enter_all<'a>(
    arena: &'a Arena,
    runtime: &Path,
    peers: &[Peer],
) -> (Vec<Contestant<'a>>, Vec<String>) {
    let mut all = vec![
        Peer { name: FLOOR.into(), program: arena.floor.clone() },
        Peer { name: OURS.into(), program: runtime.to_owned() },
    ];
    let installed = PEERS.iter().filter(|name| peers.iter().all(|peer| peer.name != **name));
    all.extend(installed.map(|name| Peer {
        name: (*name).to_owned(),
        program: find_program(name).unwrap_or_else(|| (*name).into()),
    }));
    all.extend(peers.iter().cloned());
    let (mut contestants, mut absent) = (Vec::new(), Vec::new());
    for peer in all {
        match Contestant::enter(arena, peer) {
            Ok(contestant) => contestants.push(contestant),
            Err(failure) => absent.push(failure.to_string()),
        }
    }
    (contestants, absent)
}

impl<'a> Contestant<'a> {
    /// Who can't run the default spec runs it without its device rules, and that is said.
    fn enter(arena: &'a Arena, peer: Peer) -> Result<Self> {
        if !peer.program.is_file() {
            return Err(Failure::new(format!("{} is not installed", peer.name)));
        }
        let version = if peer.name == FLOOR { String::new() } else { version_of(&peer.program)? };
        let Peer { name, program } = peer;
        let mut contestant = Self { name, version, program, arena, rules: DeviceRules::Given, note: None };
        let Err(failure) = contestant.run(Load::True) else { return Ok(contestant) };
        contestant.rules = DeviceRules::LeftOut;
        if contestant.is_floor() || contestant.run(Load::True).is_err() {
            return Err(Failure::new(format!("{}: {failure}", contestant.name)));
        }
        contestant.note = Some(format!("measured without device rules, since with them it fails: {failure}"));
        Ok(contestant)
    }

    pub(super) fn entrant(&self) -> Entrant {
        Entrant { name: self.name.clone(), version: self.version.clone(), note: self.note.clone() }
    }

    pub(super) fn is_floor(&self) -> bool {
        self.name == FLOOR
    }

    pub(super) fn is_ours(&self) -> bool {
        self.name == OURS
    }

    /// The bundle of a load, as far as this contestant can run it.
    pub(super) fn bundle(&self, load: Load) -> Result<String> {
        Ok(self.arena.bundle(load, self.rules)?.to_string_lossy().into_owned())
    }

    /// Id of a container of this contestant.
    pub(super) fn id(&self, number: usize) -> String {
        format!("bench-{}-{number}", self.name)
    }

    /// Where it keeps its state.
    pub(super) fn state(&self) -> PathBuf {
        self.arena.state_of(&self.name)
    }

    /// A command of it: a verb with its arguments.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.state()).args(words);
        command
    }

    /// The command that runs a container to its end.
    pub(super) fn run_command(&self, bundle: &str, id: &str) -> Result<Command> {
        if !self.is_floor() {
            return Ok(self.command(&["run", "--bundle", bundle, id]));
        }
        let mut command = Command::new(&self.program);
        command.arg(self.arena.rootfs());
        if self.arena.lane == Lane::V2 {
            command.arg("v2").arg(Path::new("/sys/fs/cgroup").join(id));
        } else {
            command.arg("v1").args(v1_hierarchies()?.iter().map(|point| point.join(id)));
        }
        Ok(command)
    }

    /// Runs a container to its end, prepared and all.
    fn run(&self, load: Load) -> Result<()> {
        let bundle = self.bundle(load)?;
        self.act(&mut self.run_command(&bundle, &self.id(0))?).inspect_err(|_| self.remove(&self.id(0)))
    }

    /// Runs a command of it to its end; it must succeed.
    pub(super) fn act(&self, command: &mut Command) -> Result<()> {
        self.arena.streams.run(command)
    }

    pub(super) fn create(&self, bundle: &str, id: &str) -> Result<()> {
        self.act(&mut self.command(&["create", "--bundle", bundle, id]))
    }

    pub(super) fn start(&self, id: &str) -> Result<()> {
        self.act(&mut self.command(&["start", id]))
    }

    /// `delete --force`.
    pub(super) fn delete(&self, id: &str) -> Result<()> {
        self.act(&mut self.command(&["delete", "--force", id]))
    }

    /// Removes what may be left of a container after something went wrong.
    pub(super) fn remove(&self, id: &str) {
        if !self.is_floor() {
            let _ = self.delete(id);
        }
    }

    /// Whether a container runs and succeeds in time.
    pub(super) fn can_run(&self, bundle: &str, id: &str, limit: Duration) -> Result<bool> {
        let mut command = self.run_command(bundle, id)?;
        let mut child =
            self.arena.streams.give(&mut command)?.process_group(0).spawn().context(rendered(&command))?;
        let ended = wait_until(&mut child, limit)?;
        self.arena.streams.drain();
        let succeeded = ended.is_some_and(|status| status.success());
        if !succeeded {
            self.remove(id);
        }
        Ok(succeeded)
    }

    /// The process of a created container.
    pub(super) fn state_pid(&self, id: &str) -> Result<i64> {
        let output = capture(&mut self.command(&["state", id]))?;
        let state: Value =
            serde_json::from_slice(&output.stdout).context(format_args!("state of {}", self.name))?;
        state["pid"].as_i64().ok_or_else(|| Failure::new(format!("{}: state has no pid", self.name)))
    }
}

/// The last word of the first line of `--version`.
fn version_of(program: &Path) -> Result<String> {
    let output = capture(Command::new(program).arg("--version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.split_whitespace().last().unwrap_or("unknown").to_owned())
}

/// The program that is measured as ours.
pub(super) fn own_program(given: Option<&PathBuf>) -> Result<PathBuf> {
    match given {
        Some(path) => std::path::absolute(path).context(path.display()),
        None => Ok(project::binary()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_parsed() {
        let peer: Peer = "crun-new=/opt/crun".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.program.as_path()), ("crun-new", Path::new("/opt/crun")));
        for wrong in ["crun", "=/opt/crun", "a/b=/c", "sandboxd=/c", "floor=/c"] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}

//! The bundles, and where the runtimes keep their state.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::config::{self, Controllers};
use super::streams::Streams;
use crate::error::{Context, Failure, Result};
use crate::lane::{Lane, mounts_below};
use crate::process::run;
use crate::{bundle, project};

/// A bundle that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// The default spec with `/bin/true`.
    True,
    /// The same with a command that stays.
    Sleep,
    /// What podman asks for.
    Podman,
    /// So many bind mounts more.
    Mounts(usize),
    /// So many processes.
    Processes(usize),
    /// A memory limit in KiB.
    Limited(u64),
}

/// Whether a config has the default spec's device rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceRules {
    Given,
    LeftOut,
}

/// Everything that is prepared once for a lane.
#[derive(Debug)]
pub(super) struct Arena {
    directory: PathBuf,
    state: PathBuf,
    pub(super) floor: PathBuf,
    pub(super) lane: Lane,
    pub(super) streams: Streams,
    pub(super) controllers: Controllers,
}

impl Arena {
    pub(super) fn prepare(lane: Lane) -> Result<Self> {
        let directory = bundle::scratch("bench")?;
        bundle::populate(&directory.join("rootfs"))?;
        let floor = bundle::scratch("bin")?.join("floor");
        compile_floor(&floor)?;
        let state = PathBuf::from(format!("/run/sandboxd-bench-{}", std::process::id()));
        std::fs::create_dir(&state).context(state.display())?;
        // What /run is on hosts; here it may be a disk. For all contestants, in this lane's mount namespace.
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0711", "sandboxd-bench"]).arg(&state))?;
        let controllers = Controllers::probe(lane);
        Ok(Self { directory, state, floor, lane, streams: Streams::open()?, controllers })
    }

    /// The state directory of a contestant.
    pub(super) fn state_of(&self, contestant: &str) -> PathBuf {
        self.state.join(contestant)
    }

    pub(super) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// Whether there is a shell that can do more than call the names of `world`.
    pub(super) fn has_busybox(&self) -> bool {
        self.rootfs().join("bin/busybox").exists()
    }

    /// The bundle of a load, written anew.
    pub(super) fn bundle(&self, load: Load, rules: DeviceRules) -> Result<PathBuf> {
        let mut config = self.config(load)?;
        if rules == DeviceRules::LeftOut
            && let Some(resources) = config["linux"]["resources"].as_object_mut()
        {
            resources.remove("devices");
        }
        let directory = self.directory.join(format!("{load:?}-{rules:?}").to_lowercase());
        std::fs::create_dir_all(&directory).context(directory.display())?;
        let file = directory.join("config.json");
        std::fs::write(&file, config.to_string()).context(file.display())?;
        Ok(directory)
    }

    fn config(&self, load: Load) -> Result<Value> {
        let default = |args: &[&str]| config::default_spec(&self.rootfs(), args);
        Ok(match load {
            Load::True => default(&["/bin/true"]),
            Load::Sleep => default(&["/bin/sleep", "1000000"]),
            Load::Podman => config::podman(&self.rootfs(), &self.files()?, &self.controllers),
            Load::Mounts(count) => {
                let sources = self.directory.join("mounted");
                std::fs::create_dir_all(&sources).context(sources.display())?;
                for index in 0..count {
                    let point = self.rootfs().join(config::mount_point(index).trim_start_matches('/'));
                    std::fs::create_dir_all(&point).context(point.display())?;
                }
                config::with_mounts(default(&["/bin/true"]), &sources, count)
            }
            Load::Processes(count) => default(&["/bin/sh", "-c", &config::forking(count)]),
            Load::Limited(kib) => {
                let mut config = default(&["/bin/true"]);
                config["linux"]["resources"]["memory"]["limit"] = (kib * 1024).into();
                config
            }
        })
    }

    /// The files that an engine makes for a container and mounts into it.
    fn files(&self) -> Result<PathBuf> {
        let files = self.directory.join("files");
        std::fs::create_dir_all(&files).context(files.display())?;
        for name in config::ENGINE_FILES {
            let name = Path::new(name).file_name().unwrap_or_default();
            std::fs::write(files.join(name), "").context(files.display())?;
        }
        Ok(files)
    }

    /// Removes the state directories, unless something is mounted in there.
    pub(super) fn remove(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.state))?;
        if let Some(point) = mounts_below(&self.state)?.first() {
            return Err(Failure::new(format!("{} is mounted: nothing is removed", point.display())));
        }
        std::fs::remove_dir(&self.state).context(self.state.display())
    }
}

/// Compiles the floor.
fn compile_floor(output: &Path) -> Result<()> {
    let source = project::root().join("crates/xtask/floor");
    if !bundle::is_older(output, &source) {
        return Ok(());
    }
    let host = project::host_triple()?;
    let options =
        ["panic=abort", "opt-level=3", "codegen-units=1", "strip=symbols", "relocation-model=static"];
    let linking =
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(|argument| format!("link-arg={argument}"));
    let mut command = project::rustc();
    command.args(["--edition", "2024", "--crate-name", "floor", "--target", &host]);
    command.args(options.iter().flat_map(|option| ["-C", option]));
    command.args(linking.iter().flat_map(|option| ["-C", option.as_str()]));
    command.args(["-C", "force-unwind-tables=no"]).arg("-o").arg(output).arg(source.join("main.rs"));
    run(&mut command)
}

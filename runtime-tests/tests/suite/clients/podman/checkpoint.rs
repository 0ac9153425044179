//! podman's checkpoint and restore, which it leaves to the runtime, and the runtime to CRIU.

use std::fs;
use std::time::Duration;

use runtime_tests::client::Podman;
use runtime_tests::wait::Fifo;
use runtime_tests::{Call, Skip, Verdict, criu};

use super::Check;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("checkpoint_and_restore", in_place),
    ("checkpoint_leaves_it_running", leave_running),
    ("checkpoint_is_exported_and_imported", export),
];

/// CRIU takes its time where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container that answers each line with that line and how many there were.
struct Counter<'p> {
    podman: &'p Podman<'p>,
    path: String,
    input: Fifo,
    output: Fifo,
    id: String,
}

impl<'p> Counter<'p> {
    fn start(podman: &'p Podman<'p>) -> Result<Self, Skip> {
        let path = criu::path()?;
        // Apart from podman's own storage, whose mounts would be saved with the volume.
        let shared = podman.private.dir.join("shared");
        fs::create_dir(&shared).expect("make the volume");
        let fifo = |name: &str| Fifo::create(&shared.join(name));
        let (input, output) = (fifo("in"), fifo("out"));
        let volume = format!("--volume={}:/t", shared.display());
        let script = "exec 3<>/t/in; i=0; while read -r l <&3; do i=$((i+1)); echo $l-$i >/t/out; done";
        let id = podman.run_detached(&[&volume], script);
        Ok(Self { podman, path, input, output, id })
    }

    fn ask(&mut self, word: &str) -> String {
        self.input.send(word);
        self.output.line()
    }

    fn call(&self, args: &[&str]) -> Call {
        self.podman.call(&["container"]).args(args).env("PATH", &self.path).deadline(PATIENCE)
    }

    fn status(&self) -> String {
        self.podman.inspect(&self.id, ".State.Status")
    }
}

fn in_place(p: &Podman<'_>) -> Verdict {
    let mut counter = Counter::start(p)?;
    assert_eq!(counter.ask("a"), "a-1");
    counter.call(&["checkpoint", &counter.id]).ok();
    assert_eq!(counter.status(), "exited");
    assert_eq!(p.inspect(&counter.id, ".State.Checkpointed"), "true");
    counter.call(&["restore", &counter.id]).ok();
    assert_eq!(counter.status(), "running");
    assert_eq!(counter.ask("b"), "b-2");
    p.call(&["stop", "--time=0", &counter.id]).ok();
    assert_eq!(counter.status(), "exited");
    Ok(())
}

fn leave_running(p: &Podman<'_>) -> Verdict {
    let mut counter = Counter::start(p)?;
    assert_eq!(counter.ask("a"), "a-1");
    counter.call(&["checkpoint", "--leave-running", &counter.id]).ok();
    assert_eq!(counter.status(), "running");
    assert_eq!(counter.ask("b"), "b-2");
    Ok(())
}

fn export(p: &Podman<'_>) -> Verdict {
    let mut counter = Counter::start(p)?;
    assert_eq!(counter.ask("a"), "a-1");
    let archive = p.private.path("checkpoint.tar");
    counter.call(&["checkpoint", "--compress=none", "--export", &archive, &counter.id]).ok();
    p.call(&["rm", &counter.id]).ok();
    let restore = ["restore", "--import", &archive, "--name", "restored"];
    counter.id = counter.call(&restore).ok().text().to_owned();
    assert_eq!(p.inspect("restored", ".Id"), counter.id);
    assert_eq!(counter.ask("b"), "b-2");
    Ok(())
}

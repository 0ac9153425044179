//! Network and mount namespaces for one engine, held by a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::command::Call;
use crate::residue;
use crate::test::{TOKEN_VARIABLE, Test};
use crate::wait::Fifo;

/// The namespaces; gone with it.
#[derive(Debug)]
pub struct Private<'t> {
    /// The test that they are for.
    pub test: &'t Test,
    /// A directory for the engine's files.
    pub dir: PathBuf,
    holder: Child,
}

/// How often what an engine leaves to end by itself is waited for.
const ROUNDS: u32 = 10;

/// What the holder does before it says that it is ready.
///
/// `/run`, `/var/lib`, `/var/tmp`, `/dev/shm` and `/etc/docker` are where engines keep what cannot be configured (shim
/// sockets, results of CNI, layers, locks, a key that dockerd makes). Of cgroups they see the mounted hierarchies alone:
/// podman takes any other directory beside them for one, and then fails to remove the files that it made there. Of `/run`
/// the ways to systemd stay.
const SET_UP: &str = r#"
    for place in /var/tmp /var/lib /dev/shm /etc/docker; do
        [ ! -d $place ] || mount -t tmpfs -o mode=755 tmpfs $place || exit
    done
    kept=
    for name in dbus systemd; do
        [ -d /run/systemd/system ] && [ -d /run/$name ] || continue
        mkdir /dev/shm/$name && mount --bind /run/$name /dev/shm/$name || exit
        kept="$kept $name"
    done
    mount -t tmpfs -o mode=755 tmpfs /run || exit
    for name in $kept; do
        mkdir /run/$name && mount --move /dev/shm/$name /run/$name && rmdir /dev/shm/$name || exit
    done
    root=/sys/fs/cgroup
    if [ "$(stat -f -c %T $root)" = tmpfs ]; then
        view=/run/cgroup
        mkdir $view && mount -t tmpfs -o mode=755 tmpfs $view || exit
        for hierarchy in $root/*; do
            if [ -L $hierarchy ]; then
                cp -P $hierarchy $view || exit
            elif mountpoint -q $hierarchy; then
                mkdir $view/${hierarchy##*/} && mount --bind $hierarchy $view/${hierarchy##*/} || exit
            fi
        done
        mount --move $view $root && rmdir $view || exit
    fi
    ip link set lo up && echo ready >"$0"
    exec sleep 1000
"#;

impl<'t> Private<'t> {
    /// Makes the namespaces.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn new(test: &'t Test) -> Self {
        let dir = test.dir.join("e");
        std::fs::create_dir_all(&dir).expect("make the engine's directory");
        let ready = dir.join("ready");
        let mut fifo = Fifo::create(&ready);
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", SET_UP])
            .arg(&ready)
            .env(TOKEN_VARIABLE, &test.token)
            .stdin(Stdio::null())
            .spawn()
            .expect("start the holder of the namespaces");
        let private = Self { test, dir, holder };
        assert_eq!(fifo.line(), "ready");
        private
    }

    /// A file of the engine's.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().expect("a scratch path is text").to_owned()
    }

    /// Writes a file of the engine's: its path.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.dir))
            .expect("make a directory of the engine's");
        std::fs::write(path, content).expect("write a file of the engine's");
        self.path(name)
    }

    /// A call of a program in the namespaces.
    #[must_use]
    pub fn call(&self, program: &str) -> Call {
        let pid = self.holder.id().to_string();
        Call::new(["nsenter", "--target", &pid, "--net", "--mount", program])
            .env(TOKEN_VARIABLE, &self.test.token)
            .env("HOME", &self.dir)
            .env("TMPDIR", &self.dir)
            .cwd(&self.dir)
    }

    /// Runs something with this network, in a thread of its own.
    ///
    /// # Panics
    /// When it panics, or the namespace cannot be entered.
    pub fn in_network<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("open the namespace");
        let inside = move || {
            setns(network, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
            run()
        };
        match std::thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Removes the cgroups that an engine leaves: parents that it was given, and what it made there for itself.
    pub fn remove_empty_cgroups(&self) {
        for root in self.test.cgroups().roots() {
            let top = root.join(&self.test.token);
            remove_empty(&top);
        }
    }
}

/// Removes a directory of a cgroup hierarchy and those below it, as far as they are empty.
fn remove_empty(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // What is in use stays, and is reported as left behind.
    let _ = std::fs::remove_dir(directory);
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        // Ending an engine's containers starts processes that clean up after them: each round waits for those there are.
        for _ in 0..ROUNDS {
            residue::settle(self.test, Duration::from_secs(5));
            self.remove_empty_cgroups();
            if self.test.cgroups().directories_named(&self.test.token).is_empty() {
                break;
            }
        }
    }
}

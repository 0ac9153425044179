//! A state root and a root file system of busybox, in a directory that goes with the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::spec::Config;
use sandbox::{ContainerId, CreateRequest, Runtime};

/// What a test works with.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// `None`, with the reason printed, where containers can't be run.
    pub fn new(name: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let candidates = ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static"];
        let Some(busybox) = candidates.iter().find(|path| is_static(Path::new(path))) else {
            eprintln!("skipped: no static busybox (Debian: apt-get install busybox-static)");
            return None;
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sandbox-{name}-{}-{count}", std::process::id()));
        for directory in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
            fs::create_dir_all(path.join("rootfs").join(directory)).unwrap();
        }
        fs::copy(busybox, path.join("rootfs/bin/busybox")).unwrap();
        for applet in [
            "sh", "true", "false", "cat", "echo", "sleep", "ls", "ip", "ping", "id", "hostname", "ipcs",
            "test", "wc", "dd", "tail", "head", "seq", "nc", "kill", "ps", "readlink", "env", "grep",
            "mkdir", "touch", "stty",
        ] {
            symlink("busybox", path.join("rootfs/bin").join(applet)).unwrap();
        }
        Some(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    pub fn runtime(&self) -> Runtime {
        Runtime::open(self.path.join("state")).unwrap()
    }

    /// The default configuration with this command, and nobody's terminal.
    pub fn config<const N: usize>(&self, args: [&str; N]) -> Config {
        Config::of_command(self.rootfs(), args).unwrap()
    }

    pub fn request<const N: usize>(&self, id: &str, args: [&str; N]) -> CreateRequest {
        CreateRequest::of_config(self.id(id), self.config(args))
    }

    /// An id that no other test has: cgroups are named after it.
    pub fn id(&self, name: &str) -> ContainerId {
        let place = self.path.file_name().unwrap().to_str().unwrap();
        ContainerId::new(&format!("{place}-{name}")).unwrap()
    }

    /// Nothing is left of any container.
    pub fn assert_empty(&self) {
        let names: Vec<_> =
            fs::read_dir(self.path.join("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| name != "-pods").collect();
        assert!(names.is_empty(), "left in the state root: {names:?}");
        let pods = self.runtime().pods().unwrap();
        assert!(pods.is_empty(), "left of the pods: {pods:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let runtime = self.runtime();
            for (id, _) in runtime.list().unwrap_or_default() {
                if let Ok(id) = ContainerId::new(&id) {
                    let _ = runtime.delete(&id, sandbox::Deletion::Force);
                }
            }
            for pod in runtime.pods().unwrap_or_default() {
                let _ = runtime.delete_pod(&pod, sandbox::Deletion::Force);
            }
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn is_static(elf: &Path) -> bool {
    let loader = |bytes: &[u8]| bytes.windows(7).any(|window| window == b"/ld-lin" || window == b"/ld-mus");
    fs::read(elf).is_ok_and(|bytes| !loader(&bytes[..bytes.len().min(4096)]))
}

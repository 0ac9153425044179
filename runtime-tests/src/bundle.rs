//! Bundles: `runc spec`'s config without a terminal, patched by the test, over a root file system of its own.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::rootfs::Busybox;
use crate::wait::Fifo;

/// A bundle directory. The config is written when the runtime is called with it.
#[derive(Debug)]
pub struct Bundle {
    /// The directory.
    pub path: PathBuf,
    config: RefCell<Value>,
}

impl Bundle {
    /// Makes a bundle with the default config at `path`, which must not exist.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn create(path: PathBuf, busybox: &Busybox) -> Self {
        fs::create_dir_all(path.join("rootfs")).expect("make the bundle");
        busybox.install(&path.join("rootfs")).expect("install busybox");
        Self { path, config: RefCell::new(default_config()) }
    }

    /// The root file system on the host.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// A path in the root file system, as the host sees it.
    #[must_use]
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// Changes the config.
    pub fn patch(&self, patch: impl FnOnce(&mut Value)) -> &Self {
        patch(&mut self.config.borrow_mut());
        self
    }

    /// Sets a value by JSON pointer; objects on the way are made.
    ///
    /// # Panics
    /// When the pointer leads through something that is no object.
    pub fn set(&self, pointer: &str, value: impl Into<Value>) -> &Self {
        let mut config = self.config.borrow_mut();
        let mut place = &mut *config;
        for key in pointer.trim_start_matches('/').split('/') {
            if let Value::Array(items) = place {
                place = &mut items[key.parse::<usize>().expect("an index")];
                continue;
            }
            if place.is_null() {
                *place = json!({});
            }
            place = place.as_object_mut().expect("an object").entry(key).or_insert(Value::Null);
        }
        *place = value.into();
        drop(config);
        self
    }

    /// Appends to the array at the pointer, which is made when it is not there.
    ///
    /// # Panics
    /// When there is something else.
    pub fn push(&self, pointer: &str, value: Value) -> &Self {
        let mut list = self.config.borrow().pointer(pointer).cloned().unwrap_or_else(|| json!([]));
        list.as_array_mut().expect("an array").push(value);
        self.set(pointer, list)
    }

    /// Removes the key that the pointer ends in.
    ///
    /// # Panics
    /// When its object is not there.
    pub fn unset(&self, pointer: &str) -> &Self {
        let (object, key) = pointer.rsplit_once('/').expect("a pointer");
        let mut config = self.config.borrow_mut();
        let object = if object.is_empty() { Some(&mut *config) } else { config.pointer_mut(object) };
        object.and_then(Value::as_object_mut).expect("an object").remove(key);
        drop(config);
        self
    }

    /// Sets `process.args`.
    pub fn args(&self, args: &[&str]) -> &Self {
        self.set("/process/args", json!(args))
    }

    /// Runs a shell script as the container's process.
    pub fn sh(&self, script: &str) -> &Self {
        self.args(&["sh", "-c", script])
    }

    /// A process that stays until it is killed, and dies of any signal: not a shell as pid 1, which would not.
    pub fn stays(&self) -> &Self {
        self.args(&["sleep", "1000"])
    }

    /// Lets the process write to its root.
    pub fn writable(&self) -> &Self {
        self.set("/root/readonly", false)
    }

    /// Adds a mount.
    pub fn mount(&self, destination: &str, kind: &str, source: &str, options: &[&str]) -> &Self {
        self.push(
            "/mounts",
            json!({"destination": destination, "type": kind, "source": source, "options": options}),
        )
    }

    /// Removes the default mount at `destination`.
    ///
    /// # Panics
    /// When there is none.
    pub fn without_mount(&self, destination: &str) -> &Self {
        self.patch(|config| {
            let mounts = config["mounts"].as_array_mut().expect("mounts");
            let before = mounts.len();
            mounts.retain(|mount| mount["destination"] != destination);
            assert_ne!(mounts.len(), before, "no mount at {destination}");
        })
    }

    /// The config's namespaces, as it is to be: replaces the one of this type.
    ///
    /// # Panics
    /// When `linux.namespaces` is no array.
    pub fn namespace(&self, kind: &str, path: Option<&Path>) -> &Self {
        self.without_namespace(kind);
        self.push(
            "/linux/namespaces",
            match path {
                Some(path) => json!({"type": kind, "path": path}),
                None => json!({"type": kind}),
            },
        )
    }

    /// Removes a namespace type: the container shares the runtime's.
    ///
    /// # Panics
    /// When `linux.namespaces` is no array.
    pub fn without_namespace(&self, kind: &str) -> &Self {
        self.patch(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|namespace| namespace["type"] != kind);
        })
    }

    /// Gives all five capability sets these.
    pub fn capabilities(&self, names: &[&str]) -> &Self {
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            self.set(&format!("/process/capabilities/{set}"), json!(names));
        }
        self
    }

    /// Adds a hook at a point.
    pub fn hook(&self, point: &str, hook: Value) -> &Self {
        self.push(&format!("/hooks/{point}"), hook)
    }

    /// A FIFO in the root file system: [`Fifo::line`] waits for what the container writes to it.
    #[must_use]
    pub fn fifo(&self, path: &str) -> Fifo {
        Fifo::create(&self.inside(path))
    }

    /// A copy of the config as it is now.
    #[must_use]
    pub fn config(&self) -> Value {
        self.config.borrow().clone()
    }

    /// Writes `config.json`.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn write(&self) -> &Self {
        fs::write(self.path.join("config.json"), self.config.borrow().to_string())
            .expect("write config.json");
        self
    }
}

/// What `runc spec` writes, without a terminal.
#[must_use]
pub fn default_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "container",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

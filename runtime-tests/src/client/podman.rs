//! podman, which starts conmon, which starts the runtime.

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::client::{Private, image};
use crate::command::Call;
use crate::lane::Lane;
use crate::runtime::Runtime;
use crate::skip::Skip;
use crate::test::Test;

/// Its image.
pub const IMAGE: &str = "localhost/bb";

/// Where the image is, once a test has imported it: every other podman reads it there.
static IMAGES: Mutex<Option<PathBuf>> = Mutex::new(None);

/// A podman with storage, configuration and namespaces of its own, and one image.
#[derive(Debug)]
pub struct Podman<'t> {
    /// Its namespaces.
    pub private: Private<'t>,
    runtime: String,
    /// It was asked for pods.
    pods: Cell<bool>,
}

impl<'t> Podman<'t> {
    /// Prepares it: there is no daemon.
    ///
    /// # Errors
    /// The skip, when it is not installed.
    ///
    /// # Panics
    /// When the image cannot be imported.
    pub fn start(test: &'t Test, runtime: &Runtime) -> Result<Self, Skip> {
        for program in ["podman", "conmon", "nsenter", "unshare", "ip", "tar"] {
            test.needs_program(program)?;
        }
        let private = Private::new(test);
        for sub in ["tmp", "networks"] {
            fs::create_dir_all(private.dir.join(sub)).expect("make podman's directories");
        }
        let limits = if test.lane == Lane::V2 { "pids_limit = 0\n" } else { "" };
        // Locks in files are this podman's own; those in shared memory are one machine's.
        // Hard limits cannot be raised where CAP_SYS_RESOURCE is missing: those that podman asks for are bounded.
        let conf = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n{limits}\
             [engine]\ncgroup_manager = \"{3}\"\nevents_logger = \"none\"\nlock_type = \"file\"\nruntime = \"{0}\"\n\
             runtime_supports_json = [\"{0}\"]\nimage_copy_tmp_dir = \"{2}/tmp\"\n\
             [engine.runtimes]\n\"{0}\" = [\"{1}\"]\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{2}/networks\"\n",
            runtime.name,
            runtime.path.display(),
            private.dir.display(),
            if test.uses_systemd() { "systemd" } else { "cgroupfs" }
        );
        private.write("containers.conf", &conf);
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n",
            private.dir.display()
        );
        private.write("storage.conf", &storage);
        let podman = Self { private, runtime: runtime.name.clone(), pods: Cell::new(false) };
        let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
        if images.is_none() {
            podman.import();
            *images = Some(podman.images());
        }
        Ok(podman)
    }

    /// A store beside the tests' directories.
    fn images(&self) -> PathBuf {
        self.test().dir.with_file_name("podman-images")
    }

    /// Makes the store, from nothing: an import that failed may have left a part.
    fn import(&self) {
        let store = self.images();
        let _ = fs::remove_dir_all(&store);
        let archive = image::root_archive(self.test(), &self.private.dir);
        self.private
            .call("podman")
            .args([
                "--root",
                store.to_str().expect("a scratch path is text"),
                "--runroot",
                &self.private.path("import"),
            ])
            .args(["--storage-driver", "overlay", "import", "--change", "CMD [\"/bin/sh\"]"])
            .args([archive.as_os_str(), IMAGE.as_ref()])
            .env("CONTAINERS_CONF", self.private.path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.private.path("storage.conf"))
            .ok();
    }

    /// The test that it is for.
    #[must_use]
    pub fn test(&self) -> &'t Test {
        self.private.test
    }

    /// A call of podman.
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Call {
        let path = |sub: &str| self.private.path(sub);
        if matches!(args.first(), Some(&("pod" | "play" | "kube"))) {
            self.pods.set(true);
        }
        let images = format!("overlay.imagestore={}", self.images().display());
        self.private
            .call("podman")
            .args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("tmp")])
            .args(["--storage-driver", "overlay", "--storage-opt", &images])
            .args(["--runtime", &self.runtime, "--log-level", "error"])
            .args(args)
            .env("CONTAINERS_CONF", path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", path("storage.conf"))
    }

    /// `run` with flags, the image, and a script.
    #[must_use]
    pub fn run(&self, flags: &[&str], script: &str) -> Call {
        let parent = self.parent();
        self.call(&["run", "--cgroup-parent", &parent]).args(flags).args([IMAGE, "sh", "-c", script])
    }

    /// A cgroup parent with the token in its name.
    #[must_use]
    pub fn parent(&self) -> String {
        if self.test().uses_systemd() { self.slice() } else { format!("/{}", self.test().token) }
    }

    fn slice(&self) -> String {
        format!("{}.slice", self.test().token)
    }

    /// Without a network, which most tests need not wait for.
    #[must_use]
    pub fn run_rm(&self, flags: &[&str], script: &str) -> Call {
        self.run(&[&["--rm", "--network=none"], flags].concat(), script)
    }

    /// `run --detach` without a network: the container's id.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn run_detached(&self, flags: &[&str], script: &str) -> String {
        self.run(&[&["--detach", "--network=none"], flags].concat(), script).ok().text().to_owned()
    }

    /// `inspect` of one field.
    #[must_use]
    #[track_caller]
    pub fn inspect(&self, id: &str, field: &str) -> String {
        self.call(&["inspect", "--format", &format!("{{{{{field}}}}}"), id]).ok().text().to_owned()
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let pods = self.pods.get();
        let remove_pods = pods.then(|| self.call(&["pod", "rm", "--force", "--all", "--time", "0"]));
        let remove = self.call(&["rm", "--force", "--all", "--time", "0"]);
        // podman leaves the slice that it was given.
        let stop = self.test().uses_systemd().then(|| Call::new(["systemctl", "stop", &self.slice()]));
        for call in [remove_pods, Some(remove), stop].into_iter().flatten() {
            // A check that failed must be told of, whatever comes of this.
            let _ = catch_unwind(AssertUnwindSafe(|| call.output()));
        }
    }
}

//! Docker Engine, driven through its command line.

use serde_json::json;

use crate::client::image;
use crate::client::{Daemon, Private};
use crate::command::Call;
use crate::runtime::Runtime;
use crate::skip::Skip;
use crate::test::Test;

/// Debian's; another one in front of it in PATH may not speak the engine's version.
const CLIENT: [&str; 2] = ["/usr/bin/docker", "docker"];

/// A dockerd of its own, over the runtime by default, with an image `bb`.
#[derive(Debug)]
pub struct Docker<'t> {
    daemon: Daemon,
    /// Its namespaces.
    pub private: Private<'t>,
    client: &'static str,
}

impl<'t> Docker<'t> {
    /// Starts it.
    ///
    /// # Errors
    /// The skip, when it is not installed.
    pub fn start(test: &'t Test, runtime: &Runtime) -> Result<Self, Skip> {
        for program in ["dockerd", "docker", "containerd", "iptables", "nsenter", "unshare", "ip", "tar"] {
            test.needs_program(program)?;
        }
        let client = CLIENT.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap_or("docker");
        let private = Private::new(test);
        private
            .call("sh")
            .args([
                "-c",
                "ip link add name dk0 type bridge && ip addr add 172.30.0.1/24 dev dk0 && ip link set dk0 up",
            ])
            .ok();
        // runc's name on dockerd's PATH is what its BuildKit executes.
        std::fs::create_dir(private.dir.join("bin")).expect("make a directory of programs");
        std::os::unix::fs::symlink(&runtime.path, private.dir.join("bin/runc")).expect("link runc");
        let config = json!({
            "data-root": private.path("data"),
            "exec-root": private.path("exec"),
            "pidfile": private.path("pid"),
            "hosts": [format!("unix://{}", private.path("s"))],
            "bridge": "dk0",
            "storage-driver": "overlay2",
            "cgroup-parent": format!("/{}", test.token),
            "runtimes": { "tested": { "path": runtime.path } },
            "default-runtime": "tested",
        });
        let config = private.write("daemon.json", &config.to_string());
        let path = std::env::var("PATH").unwrap_or_default();
        let call = private
            .call("dockerd")
            .args(["--config-file", &config])
            .env("PATH", format!("{}:{path}", private.path("bin")));
        let daemon = Daemon::start("dockerd", call, "API listen on");
        let engine = Self { daemon, private, client };
        let archive = image::root_archive(test, &engine.private.dir);
        engine
            .call(&["import", "--change", "CMD [\"/bin/sh\"]"])
            .args([archive.as_os_str(), "bb".as_ref()])
            .ok();
        Ok(engine)
    }

    /// The test that it is for.
    #[must_use]
    pub fn test(&self) -> &'t Test {
        self.private.test
    }

    /// A call of docker.
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Call {
        self.private
            .call(self.client)
            .args(["--host", &format!("unix://{}", self.private.path("s"))])
            .args(args)
    }

    /// `docker run` with flags, and a script.
    #[must_use]
    pub fn run(&self, flags: &[&str], script: &str) -> Call {
        self.call(&["run"]).args(flags).args(["bb", "sh", "-c", script])
    }

    /// `docker run --rm`, without a network, which most tests need not wait for.
    #[must_use]
    pub fn run_rm(&self, flags: &[&str], script: &str) -> Call {
        self.run(&[&["--rm", "--network=none"], flags].concat(), script)
    }

    /// `docker run --detach`: the container's id.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn run_detached(&self, flags: &[&str], script: &str) -> String {
        self.run(&[&["--detach", "--network=none"], flags].concat(), script).ok().text().to_owned()
    }

    /// `docker inspect` of one field.
    #[must_use]
    #[track_caller]
    pub fn inspect(&self, id: &str, field: &str) -> String {
        self.call(&["inspect", "--format", &format!("{{{{{field}}}}}"), id]).ok().text().to_owned()
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        let ids = self.call(&["ps", "--all", "--quiet"]).output();
        let ids: Vec<_> = ids.stdout.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = self.call(&["rm", "--force"]).args(ids).output();
        }
        self.daemon.stop();
    }
}

//! The CRI of a containerd, as a kubelet drives it.

pub mod grpc;
pub mod messages;
pub mod stream;

use std::path::Path;

use prost::Message;
use serde_json::{Value, json};

use crate::client::containerd::{READY, configuration};
use crate::client::image::{self, IMAGE};
use crate::client::{Daemon, Private};
use crate::runtime::Runtime;
use crate::skip::Skip;
use crate::test::Test;
use grpc::{Channel, Status};
use messages as m;
use stream::Stream;

/// The runtime handler, as a RuntimeClass names it.
pub const HANDLER: &str = "tested";

/// Where the distributions put the CNI plugins.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// A containerd with the CRI, a bridge network and one image, which is the pods' own too.
#[derive(Debug)]
pub struct Cri<'t> {
    daemon: Daemon,
    /// Its namespaces.
    pub private: Private<'t>,
    channel: Channel,
}

impl<'t> Cri<'t> {
    /// Starts it.
    ///
    /// # Errors
    /// The skip, when it is not installed.
    pub fn start(test: &'t Test, runtime: &Runtime) -> Result<Self, Skip> {
        for program in
            ["containerd", "ctr", "containerd-shim-runc-v2", "iptables", "nsenter", "unshare", "ip", "tar"]
        {
            test.needs_program(program)?;
        }
        let plugins = PLUGINS
            .into_iter()
            .find(|path| Path::new(path).join("bridge").exists())
            .ok_or_else(|| Skip::new("the CNI plugins are not installed"))?;
        let private = Private::new(test);
        let network = json!({
            "cniVersion": "0.4.0",
            "name": "tests",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
                    "ipam": {
                        "type": "host-local", "dataDir": private.path("ipam"),
                        "ranges": [[{ "subnet": "10.88.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                },
                { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
            ],
        });
        private.write("net.d/10-tests.conflist", &network.to_string());
        // A machine without CAP_SYS_RESOURCE cannot lower a score; AppArmor's profiles would be the machine's.
        let rest = format!(
            "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = {IMAGE:?}\nrestrict_oom_score_adj = true\n\
             disable_apparmor = true\nenable_selinux = false\nstream_server_address = \"127.0.0.1\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {plugins:?}\nconf_dir = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = {HANDLER:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{HANDLER}]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{HANDLER}.options]\nBinaryName = {:?}\n",
            private.path("net.d"),
            runtime.path.display().to_string(),
        );
        let config = private.write("config.toml", &configuration(&private, &[], &rest));
        let daemon =
            Daemon::start("containerd", private.call("containerd").args(["--config", &config]), READY);
        let channel = Channel::new(&private.dir.join("s"));
        let engine = Self { daemon, private, channel };
        let archive = image::archive(test, &engine.private.dir);
        let socket = engine.private.path("s");
        let import = ["--address", &socket, "--namespace", "k8s.io", "images", "import"];
        engine.private.call("ctr").args(import).args([archive]).ok();
        Ok(engine)
    }

    /// The test that it is for.
    #[must_use]
    pub fn test(&self) -> &'t Test {
        self.private.test
    }

    /// Calls a method of the runtime service.
    ///
    /// # Errors
    /// The server's status.
    pub fn try_call<A: Message + Default>(&self, method: &str, request: &impl Message) -> Result<A, Status> {
        self.channel.call(&format!("runtime.v1.RuntimeService/{method}"), request)
    }

    /// Calls a method, which must succeed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn call<A: Message + Default>(&self, method: &str, request: &impl Message) -> A {
        self.try_call(method, request)
            .unwrap_or_else(|status| panic!("{method}: {} ({})", status.message, status.code))
    }

    /// A pod's configuration; its cgroup is named by the test.
    #[must_use]
    pub fn pod_config(&self) -> m::PodSandboxConfig {
        let name = self.test().fresh_name();
        m::PodSandboxConfig {
            metadata: Some(m::PodSandboxMetadata { uid: name.clone(), name, namespace: "tests".into() }),
            hostname: "pod".into(),
            log_directory: self.private.path("logs"),
            linux: Some(m::LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", self.test().token),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Runs a pod.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn run_pod(&self, config: m::PodSandboxConfig) -> Pod<'_> {
        let request =
            m::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: HANDLER.into() };
        let answer: m::Id = self.call("RunPodSandbox", &request);
        Pod { cri: self, id: answer.id, config }
    }

    /// A request for a container or a pod by its id.
    #[track_caller]
    pub fn call_for<A: Message + Default>(&self, method: &str, id: &str) -> A {
        self.call(method, &m::Id { id: id.to_owned() })
    }

    /// A container's status.
    #[must_use]
    #[track_caller]
    pub fn status(&self, id: &str) -> m::ContainerStatus {
        self.call_for::<m::ContainerStatusResponse>("ContainerStatus", id).status.expect("a status")
    }

    /// What the engine knows besides: `pid`, `runtimeSpec` and others.
    #[must_use]
    #[track_caller]
    pub fn info(&self, id: &str) -> Value {
        let request = m::ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
        let answer: m::ContainerStatusResponse = self.call("ContainerStatus", &request);
        serde_json::from_str(&answer.info["info"]).expect("JSON")
    }

    /// The process of a container.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn pid(&self, id: &str) -> i32 {
        self.info(id)["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    /// `ExecSync` of a script, without a timeout.
    #[must_use]
    #[track_caller]
    pub fn exec(&self, id: &str, script: &str) -> m::ExecSyncResponse {
        let cmd = ["sh", "-c", script].map(Into::into).to_vec();
        self.call("ExecSync", &m::ExecSyncRequest { container_id: id.into(), cmd, timeout: 0 })
    }

    /// Output of a script that must succeed in a container, trimmed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn output_of(&self, id: &str, script: &str) -> String {
        let answer = self.exec(id, script);
        let [out, err] =
            [answer.stdout, answer.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(answer.exit_code, 0, "{out}{err}");
        out.trim().to_owned()
    }

    /// Opens the streams of an `Exec` or `Attach`, and does something with them.
    pub fn stream<T: Send>(&self, url: &m::Url, run: impl FnOnce(&mut Stream) -> T + Send) -> T {
        self.private.in_network(|| run(&mut Stream::connect(&url.url)))
    }
}

impl Drop for Cri<'_> {
    fn drop(&mut self) {
        // Pods first: their namespaces are mounts that only their removal undoes.
        if let Ok(pods) = self.try_call::<m::ListContainersResponse>("ListPodSandbox", &m::Empty {}) {
            for pod in pods.containers {
                let _ = self.try_call::<m::Empty>("StopPodSandbox", &pod);
                let _ = self.try_call::<m::Empty>("RemovePodSandbox", &pod);
            }
        }
        self.daemon.stop();
    }
}

/// A pod.
#[derive(Debug)]
pub struct Pod<'c> {
    cri: &'c Cri<'c>,
    /// Its id.
    pub id: String,
    config: m::PodSandboxConfig,
}

impl Pod<'_> {
    /// The configuration of a container that runs a script.
    #[must_use]
    pub fn container_config(&self, script: &str) -> m::ContainerConfig {
        let name = self.cri.test().fresh_name();
        m::ContainerConfig {
            log_path: format!("{name}.log"),
            metadata: Some(m::ContainerMetadata { name }),
            image: Some(m::ImageSpec { image: IMAGE.into() }),
            command: ["sh", "-c", script].map(Into::into).to_vec(),
            ..Default::default()
        }
    }

    /// Creates a container, or says why not.
    ///
    /// # Errors
    /// The server's status.
    pub fn try_create(&self, config: m::ContainerConfig) -> Result<String, Status> {
        let request = m::CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        self.cri.try_call::<m::Id>("CreateContainer", &request).map(|answer| answer.id)
    }

    /// Creates and starts a container: its id.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[track_caller]
    pub fn run_config(&self, config: m::ContainerConfig) -> String {
        let id =
            self.try_create(config).unwrap_or_else(|status| panic!("CreateContainer: {}", status.message));
        let _: m::Empty = self.cri.call_for("StartContainer", &id);
        id
    }

    /// Creates and starts a container with a script.
    #[must_use]
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        self.run_config(self.container_config(script))
    }

    /// The same with a security context.
    #[must_use]
    #[track_caller]
    pub fn run_secured(&self, context: m::LinuxContainerSecurityContext, script: &str) -> String {
        let linux = m::LinuxContainerConfig { security_context: Some(context), resources: None };
        self.run_config(m::ContainerConfig { linux: Some(linux), ..self.container_config(script) })
    }
}

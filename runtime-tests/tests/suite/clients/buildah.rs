//! buildah: its own `run`, and the RUN of a Dockerfile.

use runtime_tests::client::{Private, image};
use runtime_tests::procfs::status_field;
use runtime_tests::{Call, Case, Lane, Runtime, Skip, Test, Verdict};

type Check = fn(&Buildah<'_>) -> Verdict;

const CHECKS: &[(&str, Check)] = &[
    ("run_output_status_and_stdin", run),
    ("run_user_and_capabilities", run_user),
    ("build_a_dockerfile", build),
    ("build_fails_with_the_status", build_fails),
];

pub(crate) fn cases() -> Vec<Case> {
    super::over_both("buildah", CHECKS, |test, runtime, check| check(&Buildah::start(test, runtime)?))
}

struct Buildah<'t> {
    private: Private<'t>,
    runtime: String,
    container: String,
}

impl<'t> Buildah<'t> {
    /// With a working container from scratch that has the busybox root file system.
    fn start(test: &'t Test, runtime: &Runtime) -> Result<Self, Skip> {
        for program in ["buildah", "nsenter", "unshare", "ip", "tar"] {
            test.needs_program(program)?;
        }
        if runtime.name == "crun" && test.lane == Lane::Hybrid {
            return Err(Skip::new("crun refuses hybrid cgroups"));
        }
        let private = Private::new(test);
        // Hard limits cannot be raised where CAP_SYS_RESOURCE is missing: those asked for are bounded.
        let conf = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = {:?}\n",
            private.path("networks")
        );
        private.write("containers.conf", &conf);
        std::fs::create_dir(private.dir.join("networks")).unwrap();
        let runtime = runtime.path.display().to_string();
        let mut buildah = Self { private, runtime, container: String::new() };
        buildah.container = buildah.call("from", &["scratch"]).ok().text().to_owned();
        let archive = image::root_archive(test, &buildah.private.dir);
        buildah.call("add", &["--quiet", &buildah.container]).args([archive]).ok();
        buildah.call("commit", &["--quiet", &buildah.container, "localhost/bb"]).ok();
        Ok(buildah)
    }

    fn call(&self, command: &str, args: &[&str]) -> Call {
        let path = |sub: &str| self.private.path(sub);
        self.private
            .call("buildah")
            .args([
                "--root",
                &path("root"),
                "--runroot",
                &path("run"),
                "--storage-driver",
                "overlay",
                command,
            ])
            .args(args)
            .env("CONTAINERS_CONF", path("containers.conf"))
            .env("XDG_RUNTIME_DIR", path("xdg"))
    }

    fn run(&self, flags: &[&str], script: &str) -> Call {
        self.call("run", &["--runtime", &self.runtime, "--isolation=oci", "--network=none"])
            .args(flags)
            .args(["--", &self.container, "sh", "-c", script])
    }

    fn build(&self, dockerfile: &str) -> Call {
        self.private.write("c/Dockerfile", dockerfile);
        let parent = format!("/{}", self.private.test.token);
        self.call("bud", &["--runtime", &self.runtime, "--isolation=oci", "--network=none", "--layers=false"])
            .args(["--cgroup-parent", &parent, "--pull-never", "--tag", "localhost/built"])
            .args([self.private.path("c")])
    }
}

impl Drop for Buildah<'_> {
    fn drop(&mut self) {
        let _ = self.call("rm", &["--all"]).output();
    }
}

fn run(b: &Buildah<'_>) -> Verdict {
    let output = b.run(&[], "echo out; echo err >&2; echo kept >/file").ok();
    assert_eq!(output.text(), "out");
    // Nothing of the runtime's, though buildah asks for ambient capabilities that are not inheritable.
    assert_eq!(output.stderr, "err\n", "{output}");
    assert_eq!(b.run(&[], "cat /file").ok().text(), "kept");
    assert_eq!(b.run(&[], "cat").stdin("through\n").ok().text(), "through");
    let _ = b.run(&[], "exit 7").output().exits(7);
    b.call(
        "run",
        &["--runtime", &b.runtime, "--isolation=oci", "--network=none", "--", &b.container, "no-such"],
    )
    .fails()
    .says("executable file not found in $PATH");
    Ok(())
}

fn run_user(b: &Buildah<'_>) -> Verdict {
    let flags = ["--user=1000:1000", "--env=WORD=value", "--workingdir=/tmp", "--hostname=named"];
    let output = b.run(&flags, "id -u; echo $WORD; pwd; hostname").ok();
    assert_eq!(output.lines(), ["1000", "value", "/tmp", "named"]);
    let output = b.run(&["--cap-drop=CAP_CHOWN"], "cat /proc/self/status").ok();
    let bounding = u64::from_str_radix(&status_field(&output.stdout, "CapBnd"), 16).unwrap();
    assert_eq!((bounding & 1, bounding >> 1 & 1), (0, 1), "no CAP_CHOWN, but CAP_DAC_OVERRIDE");
    Ok(())
}

fn build(b: &Buildah<'_>) -> Verdict {
    let dockerfile = "FROM localhost/bb\nENV WORD=value\nUSER 1000:1000\nWORKDIR /tmp\n\
        RUN echo $(id -u) $WORD $(pwd) >/tmp/made\nRUN test -e /proc/self && cat /tmp/made\n";
    let output = b.build(dockerfile).ok();
    assert!(output.stdout.contains("1000 value /tmp"), "{output}");
    let made = b.call("from", &["--pull-never", "localhost/built"]).ok().text().to_owned();
    let call = b.call("run", &["--runtime", &b.runtime, "--isolation=oci", "--network=none", "--", &made]);
    assert_eq!(call.args(["cat", "/tmp/made"]).ok().text(), "1000 value /tmp");
    Ok(())
}

fn build_fails(b: &Buildah<'_>) -> Verdict {
    b.build("FROM localhost/bb\nRUN exit 9\n").fails().says("exit status 9");
    Ok(())
}

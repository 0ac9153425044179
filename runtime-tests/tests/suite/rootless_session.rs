//! An ordinary user's systemd makes the cgroups of the user's containers, with their limits.

use std::path::{Path, PathBuf};
use std::time::Instant;

use runtime_tests::cgroup::read;
use runtime_tests::wait::{DEADLINE, stretched};
use runtime_tests::{Bundle, Case, Lane, Skip, Test, User, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    cases!("rootless_session":
        scope_has_the_limits_and_goes,
        limits_updated_hold_at_a_reload,
        pause_stops_the_scope,
        exec_enters_the_scope,
        create_that_fails_leaves_no_scope,
    )
}

/// A user whose calls of the runtime ask for systemd.
struct Session<'t> {
    test: &'t Test,
    user: User<'t>,
}

impl<'t> Session<'t> {
    fn start(test: &'t Test) -> Result<Self, Skip> {
        if test.lane != Lane::V2 {
            return Err(Skip::new("a user's systemd has controllers on v2 alone"));
        }
        Ok(Self { test, user: User::with_session(test, &test.runtime.path)? })
    }

    fn bundle(&self, unit: &str) -> Bundle {
        let bundle = self.user.bundle();
        self.user.map(&bundle, 65536);
        let resources = json!({
            "memory": {"limit": 50 << 20}, "pids": {"limit": 33}, "cpu": {"quota": 20_000, "period": 100_000}
        });
        bundle.stays().set("/linux/resources", resources);
        bundle.set("/linux/cgroupsPath", format!("user.slice:t:{unit}"));
        bundle
    }

    /// `run --detach`: the container's id and its cgroup.
    fn run(&self, bundle: &Bundle) -> (String, PathBuf) {
        let (call, id) = self.user.bundle_call("run", bundle, &["--detach"]);
        call.ok();
        let pid = self.state(&id)["pid"].as_i64().unwrap_or_default() as i32;
        (id, self.test.cgroups().directory_of(pid, "memory").expect("its cgroup"))
    }

    fn state(&self, id: &str) -> serde_json::Value {
        self.user.runtime(&["state", id]).ok().json()
    }

    fn show(&self, unit: &str, property: &str) -> String {
        let words = ["systemctl", "--user", "show", "--value", "--property", property, unit];
        self.user.call(&words).ok().text().to_owned()
    }

    /// Memory in bytes, processes, and the quota and period of processor time in µs.
    fn limits(directory: &Path) -> [String; 3] {
        ["memory.max", "pids.max", "cpu.max"].map(|file| read(directory, file))
    }

    /// systemd unloads a unit in its own time.
    fn assert_gone(&self, unit: &str) {
        let end = Instant::now() + stretched(DEADLINE);
        while self.show(unit, "LoadState") != "not-found" {
            assert!(Instant::now() < end, "{unit} is still loaded");
        }
    }
}

fn scope_has_the_limits_and_goes(t: &Test) -> Verdict {
    let session = Session::start(t)?;
    let unit = t.fresh_name();
    let (id, directory) = session.run(&session.bundle(&unit));
    let uid = session.user.id;
    let below = format!("user.slice/user-{uid}.slice/user@{uid}.service/user.slice/t-{unit}.scope");
    assert!(directory.ends_with(&below), "{}", directory.display());
    assert_eq!(Session::limits(&directory), ["52428800", "33", "20000 100000"]);
    let unit = format!("t-{unit}.scope");
    let shown = ["MemoryMax", "TasksMax", "CPUQuotaPerSecUSec"].map(|name| session.show(&unit, name));
    assert_eq!(shown, ["52428800", "33", "200ms"]);
    session.user.runtime(&["delete", "--force", &id]).ok();
    session.assert_gone(&unit);
    assert!(!directory.exists());
    Ok(())
}

fn limits_updated_hold_at_a_reload(t: &Test) -> Verdict {
    let session = Session::start(t)?;
    let (id, directory) = session.run(&session.bundle(&t.fresh_name()));
    let update = ["update", "--memory", "64M", "--pids-limit", "44", "--cpu-quota", "30000", &id];
    session.user.runtime(&update).ok();
    let updated = ["67108864", "44", "30000 100000"];
    assert_eq!(Session::limits(&directory), updated);
    session.user.call(&["systemctl", "--user", "daemon-reload"]).ok();
    assert_eq!(Session::limits(&directory), updated);
    Ok(())
}

fn pause_stops_the_scope(t: &Test) -> Verdict {
    let session = Session::start(t)?;
    let (id, directory) = session.run(&session.bundle(&t.fresh_name()));
    session.user.runtime(&["pause", &id]).ok();
    assert_eq!((&session.state(&id)["status"], &*read(&directory, "cgroup.freeze")), (&json!("paused"), "1"));
    session.user.runtime(&["resume", &id]).ok();
    assert_eq!(session.state(&id)["status"], "running");
    Ok(())
}

fn exec_enters_the_scope(t: &Test) -> Verdict {
    let session = Session::start(t)?;
    let unit = t.fresh_name();
    let (id, _) = session.run(&session.bundle(&unit));
    let output = session.user.runtime(&["exec", &id, "cat", "/proc/self/cgroup"]).ok();
    assert!(output.text().ends_with(&format!("/t-{unit}.scope")), "{output}");
    Ok(())
}

fn create_that_fails_leaves_no_scope(t: &Test) -> Verdict {
    let session = Session::start(t)?;
    let unit = t.fresh_name();
    let bundle = session.bundle(&unit);
    bundle.mount("/mnt", "no-such-fs", "none", &[]);
    let _ = session.user.bundle_call("create", &bundle, &[]).0.fails();
    session.assert_gone(&format!("t-{unit}.scope"));
    Ok(())
}

//! AppArmor, enforced: the process has the profile that the config asks for.

use std::fs;
use std::path::Path;

use runtime_tests::{Bundle, Call, Skip, Test, Verdict};

pub(crate) fn cases() -> Vec<runtime_tests::Case> {
    runtime_tests::cases!("apparmor":
        profile_is_applied_and_enforced,
        profile_absent_leaves_the_process_unconfined,
        profile_that_is_not_loaded_fails,
        profile_holds_in_a_user_namespace,
        exec_has_the_profile_or_its_own,
        exec_with_a_profile_that_is_not_loaded_fails,
    )
}

/// A profile that is loaded as long as this is there.
struct Loaded<'t> {
    test: &'t Test,
    name: String,
}

impl<'t> Loaded<'t> {
    fn load(test: &'t Test) -> Result<Self, Skip> {
        if !Path::new("/sys/kernel/security/apparmor/profiles").exists() {
            return Err(Skip::new("AppArmor is not enabled"));
        }
        test.needs_program("apparmor_parser")?;
        let loaded = Self { test, name: format!("p-{}", test.token) };
        let profile = format!(
            "profile {} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  signal,\n  \
             mount,\n  umount,\n  pivot_root,\n  ptrace,\n  unix,\n  deny /secret r,\n}}\n",
            loaded.name
        );
        fs::write(loaded.file(), profile).unwrap();
        loaded.parser("--replace").ok();
        Ok(loaded)
    }

    fn file(&self) -> std::path::PathBuf {
        self.test.dir.join("profile")
    }

    fn parser(&self, operation: &str) -> Call {
        Call::new(["apparmor_parser", "--skip-cache", "--quiet", operation]).args([self.file()])
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        let _ = self.parser("--remove").output();
    }
}

fn confined(t: &Test, profile: &str) -> Bundle {
    let b = t.sh("cat /proc/self/attr/current; cat /secret; cat /plain");
    fs::write(b.inside("/secret"), "secret\n").unwrap();
    fs::write(b.inside("/plain"), "plain\n").unwrap();
    b.set("/process/apparmorProfile", profile);
    b
}

fn profile_is_applied_and_enforced(t: &Test) -> Verdict {
    let loaded = Loaded::load(t)?;
    let output = t.run(&confined(t, &loaded.name)).output();
    assert_eq!(output.lines(), [&*format!("{} (enforce)", loaded.name), "plain"], "{output}");
    assert!(output.stderr.contains("/secret': Permission denied"), "{output}");
    Ok(())
}

fn profile_absent_leaves_the_process_unconfined(t: &Test) -> Verdict {
    let _loaded = Loaded::load(t)?;
    let b = confined(t, "");
    b.unset("/process/apparmorProfile");
    assert_eq!(t.run(&b).ok().lines(), ["unconfined", "secret", "plain"]);
    Ok(())
}

fn profile_that_is_not_loaded_fails(t: &Test) -> Verdict {
    let loaded = Loaded::load(t)?;
    let name = format!("{}-other", loaded.name);
    let output = t.run(&confined(t, &name)).fails();
    assert!(output.stderr.contains(&name), "{output}");
    Ok(())
}

fn profile_holds_in_a_user_namespace(t: &Test) -> Verdict {
    let loaded = Loaded::load(t)?;
    let b = confined(t, &loaded.name);
    let map = serde_json::json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let output = t.run(&b).output();
    assert_eq!(output.lines(), [&*format!("{} (enforce)", loaded.name), "plain"], "{output}");
    Ok(())
}

fn exec_has_the_profile_or_its_own(t: &Test) -> Verdict {
    let loaded = Loaded::load(t)?;
    let b = confined(t, &loaded.name);
    b.stays();
    let c = t.start(&b);
    let look = ["sh", "-c", "cat /proc/self/attr/current; cat /secret; cat /plain"];
    let exec = |flags: &[&str]| t.call(&["exec"]).args(flags).args([&c.id]).args(look).output();
    let enforced = format!("{} (enforce)", loaded.name);
    let output = exec(&[]);
    assert_eq!(output.lines(), [&*enforced, "plain"], "{output}");
    c.delete_force().ok();

    let b = confined(t, "");
    b.stays().unset("/process/apparmorProfile");
    let c = t.start(&b);
    let exec = |flags: &[&str]| t.call(&["exec"]).args(flags).args([&c.id]).args(look).output();
    let output = exec(&[]);
    assert_eq!(output.lines(), ["unconfined", "secret", "plain"], "{output}");
    let output = exec(&["--apparmor", &loaded.name]);
    assert_eq!(output.lines(), [&*enforced, "plain"], "{output}");
    assert!(output.stderr.contains("/secret': Permission denied"), "{output}");
    Ok(())
}

fn exec_with_a_profile_that_is_not_loaded_fails(t: &Test) -> Verdict {
    let loaded = Loaded::load(t)?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let name = format!("{}-other", loaded.name);
    let output = t.call(&["exec", "--apparmor", &name, &c.id, "true"]).fails();
    assert!(output.stderr.contains(&name), "{output}");
    assert_eq!(c.status(), "running");
    Ok(())
}

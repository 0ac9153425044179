//! SELinux: the labels of the process, of its session keyring and of new file systems are the config's. The machine's
//! policy is the distribution's, with its module for containers.

use std::path::Path;

use runtime_tests::{Bundle, Case, Container, Skip, Test, Verdict, cases};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!("selinux":
        label_is_the_processs_from_execve_on,
        label_absent_is_the_callers,
        label_of_the_keyring_is_the_processs,
        label_that_the_policy_does_not_know_fails,
        label_holds_in_a_user_namespace,
        exec_has_the_label_or_its_own,
        exec_with_a_label_that_the_policy_does_not_know_fails,
        mount_label_is_that_of_new_file_systems,
        mount_label_leaves_what_the_policy_labels,
        mount_label_that_the_policy_does_not_know_fails,
        mount_label_holds_in_a_user_namespace,
    );
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("selinux::{name}"), run).only_ours();
    all.push(ours("mount_label_yields_to_a_mounts_own_context", own_context));
    all.push(ours("info_says_that_it_is_enabled", info));
    all
}

const LABEL: &str = "system_u:system_r:container_t:s0:c1,c2";

const OTHER: &str = "system_u:system_r:container_t:s0:c3,c4";

/// Of a type that no policy has.
const UNKNOWN: &str = "system_u:system_r:runtime_tests_none_t:s0";

const MOUNT_LABEL: &str = "system_u:object_r:container_file_t:s0:c1,c2";

/// Prints the label of whoever runs it; the kernel ends it with a zero.
const PRINT: &str = "tr -d '\\0' </proc/self/attr/current; echo";

fn needs_selinux() -> Verdict {
    if Path::new("/sys/fs/selinux/status").exists() {
        Ok(())
    } else {
        Err(Skip::new("SELinux is not enabled"))
    }
}

fn map_users(b: &Bundle) {
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    b.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
}

fn label_of_process(c: &Container<'_>) -> String {
    c.proc("attr/current").trim_end_matches('\0').to_owned()
}

/// The label of a file of the container's, as the host's kernel has it.
#[track_caller]
fn label_of(c: &Container<'_>, path: &str) -> String {
    let mut label = vec![0; 256];
    let length = rustix::fs::getxattr(c.inside(path), "security.selinux", &mut label[..])
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&label[..length]).trim_end_matches('\0').to_owned()
}

fn label_is_the_processs_from_execve_on(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.sh(PRINT);
    b.set("/process/selinuxLabel", LABEL);
    assert_eq!(t.run(&b).ok().text(), LABEL);
    let mut ready = b.fifo("/ready");
    b.sh("echo ready >/ready; exec sleep 1000");
    let c = t.create(&b);
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(ready.line(), "ready");
    assert_eq!(label_of_process(&c), LABEL);
    Ok(())
}

fn label_absent_is_the_callers(t: &Test) -> Verdict {
    needs_selinux()?;
    let own = std::fs::read_to_string("/proc/self/attr/current").unwrap();
    assert_eq!(t.run(&t.sh(PRINT)).ok().text(), own.trim_end_matches('\0'));
    Ok(())
}

fn label_of_the_keyring_is_the_processs(t: &Test) -> Verdict {
    needs_selinux()?;
    t.needs_program("keyctl")?;
    let b = t.bundle();
    for directory in ["/usr", "/lib", "/lib64"] {
        b.mount(directory, "bind", directory, &["bind", "ro"]);
    }
    b.args(&["/usr/bin/keyctl", "security", "@s"]).set("/process/selinuxLabel", LABEL);
    assert_eq!(t.run(&b).ok().text(), LABEL);
    Ok(())
}

fn label_that_the_policy_does_not_know_fails(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.sh(PRINT);
    b.set("/process/selinuxLabel", UNKNOWN);
    let output = t.run(&b).fails();
    if t.runtime.is_ours() {
        let words = [UNKNOWN, "/process/selinuxLabel", "policy"];
        words.iter().for_each(|word| assert!(output.stderr.contains(word), "{word}: {output}"));
    }
    Ok(())
}

fn label_holds_in_a_user_namespace(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.sh(PRINT);
    map_users(&b);
    b.set("/process/selinuxLabel", LABEL);
    assert_eq!(t.run(&b).ok().text(), LABEL);
    Ok(())
}

fn exec_has_the_label_or_its_own(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    b.stays().set("/process/selinuxLabel", LABEL);
    let c = t.start(&b);
    let exec = |flags: &[&str]| {
        let call = t.call(&["exec"]).args(flags).args([&*c.id, "sh", "-c", PRINT]);
        call.ok().text().to_owned()
    };
    assert_eq!(exec(&[]), LABEL);
    assert_eq!(exec(&["--process-label", OTHER]), OTHER);
    Ok(())
}

fn exec_with_a_label_that_the_policy_does_not_know_fails(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let output = t.call(&["exec", "--process-label", UNKNOWN, &c.id, "true"]).fails();
    assert!(!t.runtime.is_ours() || output.stderr.contains(UNKNOWN), "{output}");
    assert_eq!(c.status(), "running");
    Ok(())
}

fn mount_label_is_that_of_new_file_systems(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    b.mount("/mnt", "tmpfs", "tmpfs", &["nosuid"]);
    b.set("/linux/mountLabel", MOUNT_LABEL);
    let mut ready = b.fifo("/ready");
    b.sh("echo x >/mnt/file; echo ready >/ready; exec sleep 1000");
    let c = t.start(&b);
    assert_eq!(ready.line(), "ready");
    for path in ["/mnt", "/mnt/file", "/dev", "/dev/null", "/dev/shm", "/dev/pts", "/dev/mqueue"] {
        assert_eq!(label_of(&c, path), MOUNT_LABEL, "{path}");
    }
    Ok(())
}

fn mount_label_leaves_what_the_policy_labels(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    let volume = t.dir.join("volume");
    std::fs::create_dir(&volume).unwrap();
    b.mount("/volume", "bind", volume.to_str().unwrap(), &["bind"]);
    b.stays().set("/linux/mountLabel", MOUNT_LABEL);
    let c = t.start(&b);
    for path in ["/proc/version", "/sys/kernel", "/sys/fs/cgroup", "/volume"] {
        assert_ne!(label_of(&c, path), MOUNT_LABEL, "{path}");
    }
    Ok(())
}

/// The kernel takes one; others give it both.
fn own_context(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    let own = "system_u:object_r:container_file_t:s0:c7";
    b.mount("/mnt", "tmpfs", "tmpfs", &[&format!("context={own}")]);
    b.stays().set("/linux/mountLabel", MOUNT_LABEL);
    assert_eq!(label_of(&t.start(&b), "/mnt"), own);
    Ok(())
}

fn mount_label_that_the_policy_does_not_know_fails(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    b.stays().set("/linux/mountLabel", UNKNOWN);
    let output = t.create_fails(&b);
    assert!(!t.runtime.is_ours() || output.stderr.contains("/linux/mountLabel"), "{output}");
    Ok(())
}

fn mount_label_holds_in_a_user_namespace(t: &Test) -> Verdict {
    needs_selinux()?;
    let b = t.bundle();
    map_users(&b);
    b.mount("/mnt", "tmpfs", "tmpfs", &["nosuid"]);
    b.stays().set("/linux/mountLabel", MOUNT_LABEL);
    let c = t.start(&b);
    for path in ["/mnt", "/dev/shm"] {
        assert_eq!(label_of(&c, path), MOUNT_LABEL, "{path}");
    }
    Ok(())
}

fn info(t: &Test) -> Verdict {
    needs_selinux()?;
    let output = t.bare_call(&["info"]).ok();
    let line =
        output.lines().into_iter().find(|line| line.contains("SELinux")).unwrap_or_default().to_owned();
    assert!(line.contains("enabled") && !line.contains("not enabled"), "{output}");
    Ok(())
}

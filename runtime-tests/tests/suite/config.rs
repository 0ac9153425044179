//! What of `config.json` is taken, ignored, refused.

use std::fs;

use runtime_tests::{Bundle, Case, Test, Verdict, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases!["config":
        unknown_property_is_ignored,
        unknown_annotation_is_ignored,
        annotation_that_is_no_string_fails,
        invalid_version_fails,
        newer_minor_version_is_accepted,
        wrong_types_fail,
        root_absent_fails,
        root_path_empty_fails,
        process_cwd_absent_fails,
        process_user_absent_is_root,
        mount_label_without_selinux_fails_or_is_ignored,
        apparmor_profile_without_apparmor_fails_or_is_ignored,
        selinux_label_without_selinux_fails_or_is_ignored,
        optional_sections_may_be_absent,
        numbers_out_of_range_fail,
        is_not_written,
    ];
    let ours = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("config::{name}"), run).only_ours();
    all.push(ours("duplicate_key_fails", duplicate_key_fails));
    all.push(ours("other_platform_is_named", other_platform_is_named));
    all.push(ours("nul_in_a_string_fails", nul_in_a_string_fails));
    all
}

fn unknown_property_is_ignored(t: &Test) -> Verdict {
    // config.md, extensibility: MUST NOT generate an error.
    for pointer in
        ["/unknown", "/process/unknown", "/linux/unknown", "/root/unknown", "/linux/resources/unknown"]
    {
        let b = t.bundle();
        b.set(pointer, json!({"some": "thing"}));
        assert_eq!(t.output_of(&b, "echo hi").text(), "hi", "{pointer}");
    }
    Ok(())
}

fn unknown_annotation_is_ignored(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/annotations", json!({"org.example.unknown": "", "com.example.key": "value"}));
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn annotation_that_is_no_string_fails(t: &Test) -> Verdict {
    for annotations in [json!({"org.example.key": 7}), json!({"org.example.key": ["a"]}), json!(["a"])] {
        let b = t.bundle();
        b.set("/annotations", annotations);
        t.create_fails(&b);
    }
    Ok(())
}

fn invalid_version_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/ociVersion", "invalid");
    t.create_fails(&b);
    Ok(())
}

fn newer_minor_version_is_accepted(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/ociVersion", "1.3.0");
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn wrong_types_fail(t: &Test) -> Verdict {
    for (pointer, value) in [
        ("/process/args", json!("sh")),
        ("/process/user/uid", json!("root")),
        ("/mounts", json!({})),
        ("/linux/namespaces", json!("pid")),
        ("/process/env", json!([1])),
    ] {
        let b = t.bundle();
        b.set(pointer, value);
        t.create_fails(&b);
    }
    Ok(())
}

fn root_absent_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/root");
    t.create_fails(&b);
    Ok(())
}

fn root_path_empty_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.set("/root/path", "no/such/directory");
    t.create_fails(&b);
    Ok(())
}

fn process_cwd_absent_fails(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/process/cwd");
    t.create_fails(&b).says("cwd");
    Ok(())
}

fn process_user_absent_is_root(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/process/user");
    assert_eq!(t.output_of(&b, "id -u").text(), "0");
    Ok(())
}

fn refused_or_ignored(t: &Test, b: &Bundle) {
    b.sh("echo hi");
    let (call, id) = t.bundle_call("run", b, &[]);
    let output = call.output();
    if output.status.success() {
        assert_eq!(output.text(), "hi");
    } else {
        let _ = output.fails();
        t.assert_missing(&id);
    }
}

fn has_lsm(name: &str) -> bool {
    fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|list| list.contains(name))
}

fn without_lsm(t: &Test, name: &str, pointer: &str, value: &str) -> Verdict {
    if has_lsm(name) {
        return Err(runtime_tests::Skip::new(format!("{name} is there")));
    }
    let b = t.bundle();
    b.set(pointer, value);
    refused_or_ignored(t, &b);
    Ok(())
}

fn mount_label_without_selinux_fails_or_is_ignored(t: &Test) -> Verdict {
    without_lsm(t, "selinux", "/linux/mountLabel", "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811")
}

fn selinux_label_without_selinux_fails_or_is_ignored(t: &Test) -> Verdict {
    without_lsm(t, "selinux", "/process/selinuxLabel", "system_u:system_r:svirt_lxc_net_t:s0:c124,c675")
}

fn apparmor_profile_without_apparmor_fails_or_is_ignored(t: &Test) -> Verdict {
    without_lsm(t, "apparmor", "/process/apparmorProfile", "acme_secure_profile")
}

fn optional_sections_may_be_absent(t: &Test) -> Verdict {
    let b = t.bundle();
    b.unset("/hostname").unset("/linux/resources").unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    b.unset("/process/rlimits").unset("/process/capabilities").unset("/process/noNewPrivileges");
    assert_eq!(t.output_of(&b, "echo hi").text(), "hi");
    Ok(())
}

fn numbers_out_of_range_fail(t: &Test) -> Verdict {
    for (pointer, value) in [
        ("/process/user/uid", json!(4_294_967_296_u64)),
        ("/process/user/gid", json!(-1)),
        ("/process/rlimits/0/hard", json!(-1)),
        ("/linux/resources/memory", json!({"limit": 1.5})),
    ] {
        let b = t.bundle();
        b.set(pointer, value);
        t.create_fails(&b);
    }
    Ok(())
}

fn is_not_written(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    let before = fs::read(b.path.join("config.json")).unwrap();
    t.start(&b).delete_force().ok();
    assert_eq!(fs::read(b.path.join("config.json")).unwrap(), before);
    Ok(())
}

/// Creates from a text as it is, which must fail with these words.
fn text_fails(t: &Test, text: &str, words: &str) {
    let b = t.bundle();
    fs::write(b.path.join("config.json"), text).unwrap();
    let id = t.fresh_id();
    t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]).fails().says(words);
    t.assert_missing(&id);
}

fn default_text(t: &Test) -> String {
    let config: Value = t.bundle().config();
    config.to_string()
}

fn duplicate_key_fails(t: &Test) -> Verdict {
    let text = default_text(t).replacen("\"cwd\":\"/\"", "\"cwd\":\"/\",\"cwd\":\"/tmp\"", 1);
    text_fails(t, &text, "cwd");
    Ok(())
}

fn other_platform_is_named(t: &Test) -> Verdict {
    for platform in ["windows", "solaris", "zos", "vm"] {
        let text = default_text(t).replacen('{', &format!("{{\"{platform}\":{{}},"), 1);
        text_fails(t, &text, platform);
    }
    Ok(())
}

fn nul_in_a_string_fails(t: &Test) -> Verdict {
    let text = default_text(t).replacen("\"hostname\":\"container\"", "\"hostname\":\"a\\u0000b\"", 1);
    text_fails(t, &text, "hostname");
    Ok(())
}

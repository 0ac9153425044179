//! Mistakes with the bundle and the text of its config.

use std::fs;

use runtime_tests::{Call, Skip, Test};
use serde_json::json;

use super::{Mistake, call, create, create_with};

pub(super) const MISTAKES: &[Mistake] = &[
    ("bundle_missing", |t| {
        let bundle = t.dir.join("absent");
        Ok(call(t, &["create", "--bundle", bundle.to_str().unwrap(), &t.fresh_id()]))
    }),
    ("config_named_missing", |t| {
        let bundle = t.bundle();
        let path = t.dir.join("no-such-file");
        Ok(create(t, &bundle)?.args(["--config", path.to_str().unwrap()]))
    }),
    ("config_missing", |t| {
        let bundle = t.bundle();
        Ok(call(t, &["create", "--bundle", bundle.path.to_str().unwrap(), &t.fresh_id()]))
    }),
    ("config_ends_early", |t| with_text(t, |text| text[..40].to_owned())),
    ("config_trailing_comma", |t| with_text(t, |text| text.replacen("\"cwd\":\"/\"", "\"cwd\":\"/\",}", 1))),
    ("config_of_another_type", |t| create_with(t, |b| b.set("/process/args", "sh"))),
    ("config_version_unknown", |t| create_with(t, |b| b.set("/ociVersion", "2.0.0"))),
    ("config_for_windows", |t| create_with(t, |b| b.set("/windows", json!({"layerFolders": []})))),
    ("root_absent", |t| create_with(t, |b| b.unset("/root"))),
    ("root_missing", |t| create_with(t, |b| b.set("/root/path", "absent"))),
    ("root_is_a_file", |t| {
        create_with(t, |b| {
            fs::write(b.path.join("image.tar"), "").unwrap();
            b.set("/root/path", "image.tar")
        })
    }),
    ("process_absent", |t| {
        let bundle = t.bundle();
        bundle.unset("/process");
        let container = t.create(&bundle);
        Ok(call(t, &["start", &container.id]))
    }),
];

/// `create` with the default config's text, changed.
fn with_text(t: &Test, change: impl FnOnce(&str) -> String) -> Result<Call, Skip> {
    let bundle = t.bundle();
    let call = create(t, &bundle);
    fs::write(bundle.path.join("config.json"), change(&bundle.config().to_string())).unwrap();
    call
}

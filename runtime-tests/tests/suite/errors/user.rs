//! Mistakes of ordinary users.

use std::fs;
use std::os::unix::fs::chown;

use runtime_tests::user::{FIRST_SUBORDINATE, ID, User};
use runtime_tests::{Bundle, Output, Skip, Test};
use serde_json::json;

use super::log_file;

/// A mistake of a user, whose world must live as long as the call.
pub(super) type Mistake = (&'static str, fn(&Test) -> Result<Output, Skip>);

pub(super) const MISTAKES: &[Mistake] = &[
    ("user_without_a_user_namespace", |t| {
        create(t, |_, b| {
            b.without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings");
        })
    }),
    ("user_maps_more_than_his_range", |t| {
        create(t, |_, b| {
            for map in ["/linux/uidMappings", "/linux/gidMappings"] {
                b.push(map, json!({"containerID": 1, "hostID": FIRST_SUBORDINATE + 65_000, "size": 1000}));
            }
        })
    }),
    ("user_without_subordinate_ids", |t| {
        create(t, |user, b| {
            for file in ["subuid", "subgid"] {
                fs::write(user.home.with_file_name("etc").join(file), "").unwrap();
            }
            for map in ["/linux/uidMappings", "/linux/gidMappings"] {
                b.push(map, json!({"containerID": 1, "hostID": FIRST_SUBORDINATE, "size": 1000}));
            }
        })
    }),
    ("user_maps_anothers_id", |t| {
        create(t, |_, b| {
            b.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 1}]));
        })
    }),
];

fn create(t: &Test, change: impl FnOnce(&User<'_>, &Bundle)) -> Result<Output, Skip> {
    let user = User::create(t, &t.runtime.path)?;
    let bundle = user.bundle();
    bundle.stays();
    change(&user, &bundle);
    let log = log_file(t);
    fs::write(&log, "").unwrap();
    chown(&log, Some(ID), Some(ID)).unwrap();
    let flags = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    Ok(user.bundle_call("create", &bundle, &flags).0.output())
}

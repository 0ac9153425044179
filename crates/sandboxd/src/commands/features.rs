//! `features`: what this build can do, whatever the host (runtime-spec, `features.md`).

use crate::error::Result;

pub(crate) fn features() -> Result<u8> {
    let mut features = sandbox::features();
    for (name, value) in [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("SANDBOXD_COMMIT"))] {
        features.annotations.insert(format!("org.sandboxd.{name}"), value.to_owned());
    }
    crate::print(&(serde_json::to_string_pretty(&features)? + "\n"))
}

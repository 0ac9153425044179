//! `spec`: a starter `config.json`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use crate::args::about::Spec;
use crate::error::{Context as _, Error, Result};

/// For root.
const CONFIG: &str = include_str!("spec/config.json");
/// For anybody else: a user namespace with the caller as its root, the host's network, /sys bound from the host.
const ROOTLESS_CONFIG: &str = include_str!("spec/rootless.json");

pub(crate) fn spec(arguments: &Spec) -> Result<u8> {
    let text = if arguments.rootless { rootless_config() } else { CONFIG.to_owned() };
    let path = arguments.bundle.join("config.json");
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::FileExists(path)),
        file => file,
    };
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .context(|| format!("write {}", path.display()))?;
    Ok(0)
}

fn rootless_config() -> String {
    ROOTLESS_CONFIG
        .replace("\"@UID@\"", &rustix::process::geteuid().as_raw().to_string())
        .replace("\"@GID@\"", &rustix::process::getegid().as_raw().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_json() {
        for text in [CONFIG, &rootless_config()] {
            let config: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(config["root"]["path"], "rootfs");
            assert!(!text.contains('@'));
        }
    }
}

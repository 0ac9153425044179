//! `spec`: a starter `config.json`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use rustix::process::{getegid, geteuid};
use spec::HostIds;

use crate::args::about::Spec;
use crate::error::{Context as _, Error, Result};

pub(crate) fn spec(arguments: &Spec) -> Result<u8> {
    let caller = || HostIds { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let text = spec::default_config(arguments.rootless.then(caller));
    let path = arguments.bundle.join("config.json");
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::FileExists(path)),
        file => file,
    };
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .context(|| format!("write {}", path.display()))?;
    Ok(0)
}

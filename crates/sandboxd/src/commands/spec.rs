//! `spec`: a starter `config.json`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use rustix::process::{getegid, geteuid};
use spec::{CgroupVersion, HostIds};

use crate::args::about::Spec;
use crate::error::{Context as _, Error, Result};

pub(crate) fn spec(arguments: &Spec) -> Result<u8> {
    let caller = || HostIds { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let text = spec::default_config_on(arguments.rootless.then(caller), cgroup_version());
    let path = arguments.bundle.join("config.json");
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::FileExists(path)),
        file => file,
    };
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .context(|| format!("write {}", path.display()))?;
    Ok(0)
}

/// By what is mounted where cgroups are.
fn cgroup_version() -> CgroupVersion {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    match rustix::fs::statfs("/sys/fs/cgroup") {
        Ok(status) if status.f_type as u64 != CGROUP2_SUPER_MAGIC => CgroupVersion::V1,
        _ => CgroupVersion::V2,
    }
}

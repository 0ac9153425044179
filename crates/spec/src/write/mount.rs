//! `mounts`.

use serde_json::Value;

use super::{Object, list, write_mapping};
use crate::check::options::{attribute_names, format_option, propagation_name};
use crate::config::{Mount, MountKind};

pub(super) fn write_mount(mount: &Mount) -> Value {
    let mut options: Vec<String> = Vec::new();
    let object = Object::default().with("destination", &**mount.destination);
    let object = match &mount.kind {
        MountKind::Bind { source, recursive } => {
            options.push(if *recursive { "rbind" } else { "bind" }.into());
            object.with("type", "none").with("source", &**source)
        }
        MountKind::Remount { bind } => {
            options.push("remount".into());
            options.extend(bind.then(|| "bind".into()));
            object
        }
        MountKind::Filesystem { fstype, source } => {
            object.with("type", &**fstype).with_some("source", source.as_deref())
        }
        MountKind::Cgroup => object.with("type", "cgroup").with("source", "cgroup"),
    };
    options.extend(attribute_names(mount.attributes, false).into_iter().map(str::to_owned));
    options.extend(attribute_names(mount.recursive_attributes, true).into_iter().map(str::to_owned));
    options.extend(mount.propagation.iter().map(|propagation| propagation_name(*propagation).to_owned()));
    options.extend(mount.data.iter().map(format_option));
    if mount.copy_up {
        options.push("tmpcopyup".into());
    }
    let id_map = mount.id_map.as_ref();
    options.extend(id_map.map(|id_map| if id_map.recursive { "ridmap" } else { "idmap" }.to_owned()));
    let (uids, gids) =
        id_map.map(|id_map| (&id_map.uid_mappings[..], &id_map.gid_mappings[..])).unwrap_or_default();
    object
        .with_filled("options", options)
        .with_filled("uidMappings", list(uids, write_mapping))
        .with_filled("gidMappings", list(gids, write_mapping))
        .into()
}

//! `mounts`.

use super::id_ranges::parse_id_ranges;
use super::linux::check_mappings;
use super::options::Options;
use crate::AbsolutePath;
use crate::config::{IdMap, IdMapping, Linux, Mount, MountKind};
use crate::field::{Field, Object, text};
use crate::report::Report;

const CLAUSE: &str = "config.md#mounts";
const OPTIONS: &str = "config.md#linux-mount-options";
const POSIX: &str = "config.md#posix-platform-mounts";

const KNOWN: &[&str] = &["destination", "type", "source", "options", "uidMappings", "gidMappings"];

/// `linux` is the container's, where it is known: ids may be relative to its user namespace.
pub(crate) fn check_mounts(
    field: Field<'_, '_>,
    linux: Option<&Linux>,
    report: &mut Report,
) -> Option<Vec<Mount>> {
    field.of(CLAUSE).checked(report, |field, report| check_mount(field, linux, report))
}

/// The destinations alone.
pub(crate) fn check_destinations(field: Field<'_, '_>, report: &mut Report) -> Option<Vec<AbsolutePath>> {
    field.of(CLAUSE).checked(report, |field, report| {
        let mount = field.object(report, CLAUSE, KNOWN)?;
        check_destination(mount.field("destination"), report)
    })
}

fn check_mount(field: Field<'_, '_>, linux: Option<&Linux>, report: &mut Report) -> Option<Mount> {
    let mount = field.object(report, CLAUSE, KNOWN)?;
    let destination = check_destination(mount.field("destination"), report);
    let mut options = Options::default();
    for item in mount.field("options").of(OPTIONS).items(report) {
        if let Some(option) = item.str(report) {
            options.add(option);
        }
    }
    let kind = check_kind(&mount, &options, report);
    let id_map = check_id_map(&mount, &options, linux, report);
    let (kind, id_map, destination) = (kind?, id_map?, destination?);

    let options_field = mount.field("options").of(OPTIONS);
    if id_map.is_some() && matches!(kind, MountKind::Remount { .. } | MountKind::Cgroup) {
        options_field.violate(report, "must not ask for an id-mapping of a remount or of a cgroup mount");
    }
    if options.copy_up && !matches!(&kind, MountKind::Filesystem { fstype, .. } if &**fstype == "tmpfs") {
        options_field.violate(report, "must have tmpcopyup only where the type is tmpfs");
    }
    if options.change_counter {
        report.warn(options_field.at, "iversion is ignored: the file systems that support it always do it");
    }
    let of_one_mount = matches!(kind, MountKind::Bind { .. } | MountKind::Remount { bind: true });
    if of_one_mount {
        // The kernel would ignore them; a misspelt `noexec` among them would weaken the container unseen.
        for item in options_field.items(report) {
            let mut option = Options::default();
            item.str(report).into_iter().for_each(|text| option.add(text));
            match option.data.first() {
                // What engines leave of their own in the options of volumes.
                Some(data) if data.value.is_none() && matches!(&*data.key, "copy" | "nocopy") => {}
                Some(data) if data.value.is_some() => {
                    report.warn(item.at, format!("{} is ignored for a bind mount", data.key));
                }
                Some(_) => item.violate(
                    report,
                    "must be one of the spec's options: a bind mount takes none of a file system",
                ),
                None => {}
            }
        }
        if let Some(option) = options.superblock.first() {
            report.warn(options_field.at, format!("{} is ignored for a bind mount", option.key));
            options.superblock.clear();
        }
        options.data.clear();
    }
    let mut data = options.superblock;
    data.append(&mut options.data);
    Some(Mount {
        destination,
        kind,
        attributes: options.attributes,
        recursive_attributes: options.recursive_attributes,
        propagation: options.propagation,
        data,
        copy_up: options.copy_up,
        id_map,
    })
}

fn check_destination(field: Field<'_, '_>, report: &mut Report) -> Option<AbsolutePath> {
    let field = field.required(report);
    let destination = field.filled_text(report)?;
    if let Some(path) = AbsolutePath::new(destination.clone()) {
        return Some(path);
    }
    report.warn(field.at, "a relative destination is deprecated, and read from /");
    AbsolutePath::new(text(&format!("/{destination}")))
}

/// What is mounted. A bind mount is one by its options, whatever the type says, or by its type.
fn check_kind(mount: &Object<'_, '_>, options: &Options, report: &mut Report) -> Option<MountKind> {
    let (type_field, source_field) = (mount.field("type").of(POSIX), mount.field("source"));
    let fstype = type_field.text_if_set(report);
    let source = source_field.text_if_set(report);
    let bind = match (options.bind, fstype.as_deref()) {
        (Some(recursive), _) => Some(recursive || fstype.as_deref() == Some("rbind")),
        (None, Some("bind")) => Some(false),
        (None, Some("rbind")) => Some(true),
        (None, _) => None,
    };
    match (bind, fstype) {
        _ if options.remount => Some(MountKind::Remount { bind: bind.is_some() }),
        (Some(recursive), _) => {
            if source.is_none() {
                source_field.violate(report, "is required for a bind mount");
            }
            Some(MountKind::Bind { source: source?, recursive })
        }
        (None, None) => {
            type_field.violate(report, "is required unless it is a bind mount (options bind or rbind)");
            None
        }
        (None, Some(fstype)) if matches!(&*fstype, "cgroup" | "cgroup2") => Some(MountKind::Cgroup),
        (None, Some(fstype)) => Some(MountKind::Filesystem { fstype, source }),
    }
}

#[allow(clippy::option_option)]
fn check_id_map(
    mount: &Object<'_, '_>,
    options: &Options,
    linux: Option<&Linux>,
    report: &mut Report,
) -> Option<Option<IdMap>> {
    let (uids, gids) = (mount.field("uidMappings").of(POSIX), mount.field("gidMappings").of(POSIX));
    let uid_mappings: Option<Vec<IdMapping>> = check_mappings(uids, report);
    let gid_mappings: Option<Vec<IdMapping>> = check_mappings(gids, report);
    let (mut uid_mappings, mut gid_mappings) = (uid_mappings?, gid_mappings?);
    if let Some(ranges) = &options.id_ranges {
        match parse_id_ranges(ranges, linux) {
            // The mount's own mappings count before those of the option, as for crun.
            Ok(mappings) if uid_mappings.is_empty() && gid_mappings.is_empty() => {
                (uid_mappings, gid_mappings) = mappings;
            }
            Ok(_) => {}
            Err(rule) => {
                mount.field("options").of(OPTIONS).violate(report, rule);
                return None;
            }
        }
    }
    match (uid_mappings.is_empty(), gid_mappings.is_empty()) {
        (false, true) => gids.violate(report, "is required together with uidMappings"),
        (true, false) => uids.violate(report, "is required together with gidMappings"),
        (false, false) if options.id_map.is_none() => {
            report.warn(uids.at, "mappings without the option idmap or ridmap: read as idmap");
        }
        _ => {}
    }
    let recursive = options.id_map.or((!uid_mappings.is_empty()).then_some(false));
    Some(recursive.map(|recursive| IdMap { recursive, uid_mappings, gid_mappings }))
}

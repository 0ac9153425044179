//! The table of mount options, and what a list of them comes to.
//!
//! Runs anywhere; pure. The names are the spec's (`config.md`, "Linux mount options"); what mount(8) keeps for itself
//! (`nofail`, `x-…`) is dropped, what is not known is the file system's.

use crate::config::{Attributes, MountOption, Propagation, PropagationKind, attribute};
use crate::field::text;

/// What an option asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing of the kernel: the default, or only about its log.
    Nothing,
    /// Nothing either since Linux 6.1: the file systems that can count changes all do.
    ChangeCounter,
    Bind {
        recursive: bool,
    },
    Remount,
    Set(u64),
    Clear(u64),
    RecursiveSet(u64),
    RecursiveClear(u64),
    AccessTime(AccessTime),
    RecursiveAccessTime(AccessTime),
    Propagation(Propagation),
    /// A flag of the superblock.
    Superblock,
    IdMap {
        recursive: bool,
    },
    CopyUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccessTime {
    /// Use this policy.
    Use(u64),
    /// Not this policy.
    Not(u64),
}

/// The policy that is 0 in its field.
const RELATIME: u64 = 0;

const fn propagation(kind: PropagationKind, recursive: bool) -> Meaning {
    Meaning::Propagation(Propagation { kind, recursive })
}

const TABLE: &[(&str, Meaning)] = {
    use self::AccessTime::{Not, Use};
    use self::Meaning::*;
    use crate::config::attribute::*;
    &[
        ("async", Superblock),
        ("atime", AccessTime(Not(NOATIME))),
        ("bind", Bind { recursive: false }),
        ("defaults", Nothing),
        ("dev", Clear(NODEV)),
        ("diratime", Clear(NODIRATIME)),
        ("dirsync", Superblock),
        ("exec", Clear(NOEXEC)),
        ("idmap", IdMap { recursive: false }),
        ("iversion", ChangeCounter),
        ("lazytime", Superblock),
        ("loud", Nothing),
        ("mand", Superblock),
        ("noatime", AccessTime(Use(NOATIME))),
        ("nodev", Set(NODEV)),
        ("nodiratime", Set(NODIRATIME)),
        ("noexec", Set(NOEXEC)),
        ("noiversion", Nothing),
        ("nolazytime", Superblock),
        ("nomand", Superblock),
        ("norelatime", AccessTime(Not(RELATIME))),
        ("nostrictatime", AccessTime(Not(STRICTATIME))),
        ("nosuid", Set(NOSUID)),
        ("nosymfollow", Set(NOSYMFOLLOW)),
        ("private", propagation(PropagationKind::Private, false)),
        ("ratime", RecursiveAccessTime(Not(NOATIME))),
        ("rbind", Bind { recursive: true }),
        ("rdev", RecursiveClear(NODEV)),
        ("rdiratime", RecursiveClear(NODIRATIME)),
        ("relatime", AccessTime(Use(RELATIME))),
        ("remount", Remount),
        ("rexec", RecursiveClear(NOEXEC)),
        ("ridmap", IdMap { recursive: true }),
        ("rnoatime", RecursiveAccessTime(Use(NOATIME))),
        ("rnodev", RecursiveSet(NODEV)),
        ("rnodiratime", RecursiveSet(NODIRATIME)),
        ("rnoexec", RecursiveSet(NOEXEC)),
        ("rnorelatime", RecursiveAccessTime(Not(RELATIME))),
        ("rnostrictatime", RecursiveAccessTime(Not(STRICTATIME))),
        ("rnosuid", RecursiveSet(NOSUID)),
        ("rnosymfollow", RecursiveSet(NOSYMFOLLOW)),
        ("ro", Set(RDONLY)),
        ("rprivate", propagation(PropagationKind::Private, true)),
        ("rrelatime", RecursiveAccessTime(Use(RELATIME))),
        ("rro", RecursiveSet(RDONLY)),
        ("rrw", RecursiveClear(RDONLY)),
        ("rshared", propagation(PropagationKind::Shared, true)),
        ("rslave", propagation(PropagationKind::Slave, true)),
        ("rstrictatime", RecursiveAccessTime(Use(STRICTATIME))),
        ("rsuid", RecursiveClear(NOSUID)),
        ("rsymfollow", RecursiveClear(NOSYMFOLLOW)),
        ("runbindable", propagation(PropagationKind::Unbindable, true)),
        ("rw", Clear(RDONLY)),
        ("shared", propagation(PropagationKind::Shared, false)),
        ("silent", Nothing),
        ("slave", propagation(PropagationKind::Slave, false)),
        ("strictatime", AccessTime(Use(STRICTATIME))),
        ("suid", Clear(NOSUID)),
        ("symfollow", Clear(NOSYMFOLLOW)),
        ("sync", Superblock),
        ("tmpcopyup", CopyUp),
        ("unbindable", propagation(PropagationKind::Unbindable, false)),
    ]
};

/// All options that are known, sorted: what `features` lists.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// What a list of options comes to. Of two opposite options the later one counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `bind` (false), `rbind` (true).
    pub(super) bind: Option<bool>,
    pub(super) remount: bool,
    pub(super) attributes: Attributes,
    pub(super) recursive_attributes: Attributes,
    pub(super) propagation: Vec<Propagation>,
    /// Flags of the superblock.
    pub(super) superblock: Vec<MountOption>,
    /// What only the file system knows.
    pub(super) data: Vec<MountOption>,
    /// `idmap` (false), `ridmap` (true).
    pub(super) id_map: Option<bool>,
    /// What `idmap=`, `ridmap=` map.
    pub(super) id_ranges: Option<String>,
    pub(super) copy_up: bool,
    /// `iversion`.
    pub(super) change_counter: bool,
}

impl Options {
    /// Adds the next of the list. A comma divides, as in mount(8) and in what mount(2) hands to a file system.
    pub(super) fn add(&mut self, option: &str) {
        split(option).for_each(|item| self.add_one(item));
    }

    fn add_one(&mut self, option: &str) {
        let Some((_, meaning)) = TABLE.iter().find(|(name, _)| *name == option) else {
            self.add_unknown(option);
            return;
        };
        match *meaning {
            Meaning::Nothing => {}
            Meaning::ChangeCounter => self.change_counter = true,
            Meaning::Bind { recursive } => self.bind = Some(recursive || self.bind == Some(true)),
            Meaning::Remount => self.remount = true,
            Meaning::Set(bits) => set(&mut self.attributes, bits),
            Meaning::Clear(bits) => clear(&mut self.attributes, bits),
            Meaning::RecursiveSet(bits) => set(&mut self.recursive_attributes, bits),
            Meaning::RecursiveClear(bits) => clear(&mut self.recursive_attributes, bits),
            Meaning::AccessTime(asked) => set_access_time(&mut self.attributes, asked, None),
            Meaning::RecursiveAccessTime(asked) => {
                set_access_time(&mut self.recursive_attributes, asked, Some(RELATIME));
            }
            Meaning::Propagation(propagation) => self.propagation.push(propagation),
            Meaning::Superblock => {
                self.superblock.retain(|other| !is_same_flag(&other.key, option));
                self.superblock.push(MountOption { key: text(option), value: None });
            }
            Meaning::IdMap { recursive } => self.id_map = Some(recursive || self.id_map == Some(true)),
            Meaning::CopyUp => self.copy_up = true,
        }
    }

    /// What only the file system knows, less what mount(8) keeps for itself.
    fn add_unknown(&mut self, option: &str) {
        let own = matches!(option, "" | "auto" | "noauto" | "nofail" | "_netdev");
        if own || option.starts_with("x-") || option.starts_with("X-") {
            return;
        }
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
        if let ("idmap" | "ridmap", Some(ranges)) = (key, value) {
            self.id_map = Some(key == "ridmap" || self.id_map == Some(true));
            self.id_ranges = Some(ranges.to_owned());
            return;
        }
        self.data.push(MountOption { key: text(key), value: value.map(|value| text(unquote(value))) });
    }
}

/// Whether two flags of the superblock are the same or opposite.
fn is_same_flag(left: &str, right: &str) -> bool {
    let stem = |option| match option {
        "async" => "sync",
        option => option.strip_prefix("no").unwrap_or(option),
    };
    stem(left) == stem(right)
}

/// The LSM's options may be quoted, because of the commas in a label.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// An option as it is written in a list, so that it is read back as it is.
pub(crate) fn format_option(option: &MountOption) -> String {
    let Some(value) = &option.value else { return option.key.to_string() };
    let plain = format!("{}={value}", option.key);
    if split(&plain).count() == 1 && unquote(value) == &**value {
        return plain;
    }
    format!("{}=\"{value}\"", option.key)
}

fn set(attributes: &mut Attributes, bits: u64) {
    attributes.set |= bits;
    attributes.clear &= !bits;
}

fn clear(attributes: &mut Attributes, bits: u64) {
    attributes.set &= !bits;
    attributes.clear |= bits;
}

/// The policy is a field, not a bit: who sets it clears the whole field (`mount_setattr(2)`). What is left where one is taken
/// back that was not asked for: for one mount what it has, as mount(2) leaves it, which is relatime where it is new.
fn set_access_time(attributes: &mut Attributes, asked: AccessTime, otherwise: Option<u64>) {
    let asked_before =
        (attributes.clear & attribute::ATIME != 0).then_some(attributes.set & attribute::ATIME);
    let policy = match asked {
        AccessTime::Use(policy) => Some(policy),
        AccessTime::Not(RELATIME) => asked_before.filter(|policy| *policy != RELATIME),
        AccessTime::Not(policy) => asked_before.filter(|asked| *asked != policy).or(otherwise),
    };
    attributes.set &= !attribute::ATIME;
    attributes.clear &= !attribute::ATIME;
    if let Some(policy) = policy {
        attributes.set |= policy;
        attributes.clear |= attribute::ATIME;
    }
}

/// At the commas that are neither quoted nor escaped.
fn split(option: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    option.split(move |c| {
        let divides = c == ',' && !quoted && !escaped;
        quoted ^= c == '"';
        escaped = c == '\\' && !escaped;
        divides
    })
}

/// The options that ask for these bits: the way back from [`Options`].
pub(crate) fn attribute_names(attributes: Attributes, recursive: bool) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, meaning) in TABLE {
        let asked = match (*meaning, recursive) {
            (Meaning::Set(bits), false) | (Meaning::RecursiveSet(bits), true) => attributes.set & bits != 0,
            (Meaning::Clear(bits), false) | (Meaning::RecursiveClear(bits), true) => {
                attributes.clear & bits != 0
            }
            (Meaning::AccessTime(AccessTime::Use(policy)), false)
            | (Meaning::RecursiveAccessTime(AccessTime::Use(policy)), true) => {
                attributes.clear & attribute::ATIME != 0 && attributes.set & attribute::ATIME == policy
            }
            _ => false,
        };
        if asked {
            names.push(*name);
        }
    }
    names
}

/// The option that asks for this propagation type.
pub(crate) fn propagation_name(propagation: Propagation) -> &'static str {
    let found = TABLE.iter().find(|(_, meaning)| *meaning == Meaning::Propagation(propagation));
    found.map_or("", |(name, _)| name)
}

/// A propagation type by its name.
pub(super) fn propagation_by_name(name: &str) -> Option<Propagation> {
    TABLE.iter().find_map(|(known, meaning)| match meaning {
        Meaning::Propagation(propagation) if *known == name => Some(*propagation),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::attribute::*;

    fn options(list: &[&str]) -> Options {
        let mut options = Options::default();
        list.iter().for_each(|option| options.add(option));
        options
    }

    fn bits(list: &[&str]) -> (u64, u64) {
        let attributes = options(list).attributes;
        (attributes.set, attributes.clear)
    }

    #[test]
    fn options_that_are_opposite_the_later_counts() {
        assert_eq!(bits(&["ro", "rw"]), (0, RDONLY));
        assert_eq!(bits(&["rw", "ro"]), (RDONLY, 0));
        assert_eq!(bits(&["nosuid", "nodev", "suid"]), (NODEV, NOSUID));
        assert_eq!(bits(&["nodiratime", "diratime"]), (0, NODIRATIME));
    }

    #[test]
    fn options_of_access_time_clear_the_whole_field() {
        assert_eq!(bits(&["noatime"]), (NOATIME, ATIME));
        assert_eq!(bits(&["strictatime"]), (STRICTATIME, ATIME));
        assert_eq!(bits(&["relatime"]), (0, ATIME));
        assert_eq!(bits(&["noatime", "strictatime"]), (STRICTATIME, ATIME));
        assert_eq!(bits(&["noatime", "relatime"]), (0, ATIME));
    }

    #[test]
    fn options_against_an_access_time_leave_what_is_there() {
        assert_eq!(bits(&["atime"]), (0, 0));
        assert_eq!(bits(&["noatime", "atime"]), (0, 0));
        assert_eq!(bits(&["strictatime", "atime"]), (STRICTATIME, ATIME));
        assert_eq!(bits(&["strictatime", "nostrictatime"]), (0, 0));
        assert_eq!(bits(&["noatime", "nostrictatime"]), (NOATIME, ATIME));
        assert_eq!(bits(&["norelatime"]), (0, 0));
        assert_eq!(bits(&["relatime", "norelatime"]), (0, 0));
        assert_eq!(bits(&["noatime", "norelatime"]), (NOATIME, ATIME));
    }

    #[test]
    fn options_with_r_are_recursive() {
        let found = options(&["rro", "rnosuid", "rsuid", "rnoatime", "nodev"]);
        assert_eq!(found.recursive_attributes, Attributes { set: RDONLY | NOATIME, clear: NOSUID | ATIME });
        assert_eq!(found.attributes, Attributes { set: NODEV, clear: 0 });
    }

    #[test]
    fn options_of_the_superblock_keep_the_last() {
        let keys = |list: &[&str]| -> Vec<String> {
            options(list).superblock.iter().map(|option| option.key.to_string()).collect()
        };
        assert_eq!(keys(&["sync", "dirsync", "async"]), ["dirsync", "async"]);
        assert_eq!(keys(&["mand", "nomand", "nolazytime", "lazytime"]), ["nomand", "lazytime"]);
    }

    #[test]
    fn options_not_known_are_the_file_systems() {
        let data = |list: &[&str]| -> Vec<(String, Option<String>)> {
            let pair =
                |option: MountOption| (option.key.to_string(), option.value.map(|value| value.to_string()));
            options(list).data.into_iter().map(pair).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            data(&["mode=755,size=64k", "newinstance", "a=b=c", "", "nofail", "x-mount.mkdir", "uid="]),
            [
                ("mode".into(), some("755")),
                ("size".into(), some("64k")),
                ("newinstance".into(), None),
                ("a".into(), some("b=c")),
                ("uid".into(), some("")),
            ]
        );
        assert_eq!(data(&[r#"context="u:r:t:s0:c1,c2",size=1"#]).len(), 2);
        assert_eq!(data(&[r#"context="u:r:t:s0:c1,c2""#]), [("context".into(), some("u:r:t:s0:c1,c2"))]);
        assert_eq!(data(&[r"lowerdir=/a\,b:/c"]), [("lowerdir".into(), some(r"/a\,b:/c"))]);
    }

    #[test]
    fn table_is_sorted_and_complete() {
        let names: Vec<&str> = names().collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted);
        for name in ["rnodev", "ridmap", "tmpcopyup", "nosymfollow"] {
            assert!(names.contains(&name));
        }
    }
}

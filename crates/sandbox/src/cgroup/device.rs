//! Device rules: what the config says, then the devices that every container may use; as text, and as what the v1
//! `devices` controller can hold. Pure.
//!
//! The meaning, the same on v1 and v2: at first nothing is allowed; for each of the three kinds of access the last rule
//! that is about the device and that access decides; an open that wants several needs all of them.

use std::fmt;

use spec::config::{Access, DeviceRule, DeviceRuleKind};

use super::error::PlanError;

const ALL: Access = Access { read: true, write: true, mknod: true };

const fn character(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule { allow: true, kind: DeviceRuleKind::Character, major: Some(major), minor, access: ALL }
}

const fn mknod(kind: DeviceRuleKind) -> DeviceRule {
    let access = Access { read: false, write: false, mknod: true };
    DeviceRule { allow: true, kind, major: None, minor: None, access }
}

/// What every container may use, whatever the config denies: making any device node (it can't be opened unless another
/// rule allows that), and null, random, full, tty, zero, urandom, the pseudo-terminals, ptmx, net/tun. The list is
/// runc's; the host's `/dev/console` (5:1) is not in it: a container's is a pseudo-terminal.
pub const fn default_device_rules() -> [DeviceRule; 11] {
    [
        mknod(DeviceRuleKind::Character),
        mknod(DeviceRuleKind::Block),
        character(1, Some(3)),
        character(1, Some(8)),
        character(1, Some(7)),
        character(5, Some(0)),
        character(1, Some(5)),
        character(1, Some(9)),
        character(136, None),
        character(5, Some(2)),
        character(10, Some(200)),
    ]
}

/// A rule as the v1 files take it: `c 1:3 rwm`.
pub(super) struct Line<'a>(pub(super) &'a DeviceRule);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind {
            DeviceRuleKind::All => "a ",
            DeviceRuleKind::Character => "c ",
            DeviceRuleKind::Block => "b ",
        })?;
        match self.0.major {
            Some(major) => write!(f, "{major}:")?,
            None => f.write_str("*:")?,
        }
        match self.0.minor {
            Some(minor) => write!(f, "{minor} ")?,
            None => f.write_str("* ")?,
        }
        let Access { read, write, mknod } = self.0.access;
        for (set, letter) in [(read, "r"), (write, "w"), (mknod, "m")] {
            if set {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Kinds of access as bits (`BPF_DEVCG_ACC_*`, linux/bpf.h).
pub(super) fn access_bits(access: Access) -> u8 {
    u8::from(access.mknod) | u8::from(access.read) << 1 | u8::from(access.write) << 2
}

pub(super) fn access_of(bits: u8) -> Access {
    Access { mknod: bits & 1 != 0, read: bits & 2 != 0, write: bits & 4 != 0 }
}

/// Whether a rule is about every device.
pub(super) const fn is_about_all(rule: &DeviceRule) -> bool {
    matches!(rule.kind, DeviceRuleKind::All) && rule.major.is_none() && rule.minor.is_none()
}

/// What the v1 controller holds: a default, and exceptions from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exceptions {
    /// Everything is allowed but the exceptions; otherwise nothing but they.
    pub(super) allow: bool,
    /// Each with the index of the rule that it comes from.
    pub(super) rules: Vec<(usize, DeviceRule)>,
}

impl Exceptions {
    /// The rules one after the other, as the controller would take them, but exactly.
    ///
    /// # Errors
    /// A rule takes back a part of an earlier one that the controller can only take back whole (a hole in a wildcard):
    /// it would not notice, and go on allowing.
    pub(super) fn reduce(rules: &[DeviceRule]) -> Result<Self, PlanError> {
        let mut state = Self { allow: false, rules: Vec::new() };
        for (index, rule) in rules.iter().enumerate() {
            if is_about_all(rule) && access_bits(rule.access) == 7 {
                state = Self { allow: rule.allow, rules: Vec::new() };
            } else if rule.allow == state.allow {
                state.take_back(index, rule)?;
            } else {
                state.add(index, rule);
            }
        }
        if !state.allow {
            state.widen();
        }
        Ok(state)
    }

    /// The controller lets an open for reading and writing pass only where one exception allows both: what a wider one
    /// allows is said again in the narrower.
    fn widen(&mut self) {
        const OPEN: u8 = 6;
        for index in 0..self.rules.len() {
            let narrow = self.rules[index].1;
            let bits = self.rules.iter().filter(|(_, wide)| covers(wide, &narrow));
            let bits = bits.fold(0, |bits, (_, wide)| bits | access_bits(wide.access) & OPEN);
            if access_bits(narrow.access) & OPEN != 0 {
                self.rules[index].1.access = access_of(access_bits(narrow.access) | bits);
            }
        }
    }

    fn add(&mut self, index: usize, rule: &DeviceRule) {
        // The controller has no exception for "all kinds": one for each.
        let kinds: &[DeviceRuleKind] = match rule.kind {
            DeviceRuleKind::All => &[DeviceRuleKind::Character, DeviceRuleKind::Block],
            DeviceRuleKind::Character => &[DeviceRuleKind::Character],
            DeviceRuleKind::Block => &[DeviceRuleKind::Block],
        };
        for &kind in kinds {
            let rule = DeviceRule { kind, ..*rule };
            match self.rules.iter_mut().find(|(_, known)| same_devices(known, &rule)) {
                Some((_, known)) => {
                    known.access = access_of(access_bits(known.access) | access_bits(rule.access));
                }
                None => self.rules.push((index, rule)),
            }
        }
    }

    fn take_back(&mut self, index: usize, rule: &DeviceRule) -> Result<(), PlanError> {
        let bits = access_bits(rule.access);
        for (_, known) in &mut self.rules {
            if !overlap(known, rule) || access_bits(known.access) & bits == 0 {
                continue;
            }
            if !covers(rule, known) {
                return Err(PlanError::Value {
                    pointer: format!("/linux/resources/devices/{index}"),
                    rule: format!(
                        "cgroup v1 can't {} a part ({}) of what an earlier rule says of more devices ({})",
                        if rule.allow { "allow" } else { "deny" },
                        Line(rule),
                        Line(known),
                    ),
                });
            }
            known.access = access_of(access_bits(known.access) & !bits);
        }
        self.rules.retain(|(_, known)| access_bits(known.access) != 0);
        Ok(())
    }
}

fn same_devices(a: &DeviceRule, b: &DeviceRule) -> bool {
    a.kind == b.kind && a.major == b.major && a.minor == b.minor
}

fn either<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn overlap(a: &DeviceRule, b: &DeviceRule) -> bool {
    let kinds = a.kind == b.kind || a.kind == DeviceRuleKind::All || b.kind == DeviceRuleKind::All;
    kinds && either(a.major, b.major) && either(a.minor, b.minor)
}

fn covers(wide: &DeviceRule, narrow: &DeviceRule) -> bool {
    (wide.kind == DeviceRuleKind::All || wide.kind == narrow.kind)
        && (wide.major.is_none() || wide.major == narrow.major)
        && (wide.minor.is_none() || wide.minor == narrow.minor)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The meaning, spelled out: for each bit, the last rule about it.
    pub(in super::super) fn allowed(
        rules: &[DeviceRule],
        kind: DeviceRuleKind,
        major: u32,
        minor: u32,
        bits: u8,
    ) -> bool {
        [1, 2, 4].into_iter().filter(|bit| bits & bit != 0).all(|bit| {
            rules
                .iter()
                .rev()
                .find(|rule| {
                    (rule.kind == DeviceRuleKind::All || rule.kind == kind)
                        && rule.major.is_none_or(|it| it == major)
                        && rule.minor.is_none_or(|it| it == minor)
                        && access_bits(rule.access) & bit != 0
                })
                .is_some_and(|rule| rule.allow)
        })
    }

    pub(in super::super) fn rule(text: &str) -> DeviceRule {
        let mut words = text.split_whitespace();
        let allow = words.next() == Some("allow");
        let kind = match words.next().unwrap() {
            "a" => DeviceRuleKind::All,
            "b" => DeviceRuleKind::Block,
            _ => DeviceRuleKind::Character,
        };
        let (major, minor) = words.next().unwrap().split_once(':').unwrap();
        let access = words.next().unwrap();
        let has = |letter| access.contains(letter);
        DeviceRule {
            allow,
            kind,
            major: major.parse().ok(),
            minor: minor.parse().ok(),
            access: Access { read: has('r'), write: has('w'), mknod: has('m') },
        }
    }

    fn reduced(rules: &[&str]) -> Result<(bool, Vec<String>), PlanError> {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        let state = Exceptions::reduce(&rules)?;
        Ok((state.allow, state.rules.iter().map(|(_, rule)| Line(rule).to_string()).collect()))
    }

    #[test]
    fn rules_reduced_to_exceptions() {
        let yes = |rules: &[&str]| reduced(rules).unwrap();
        assert_eq!(yes(&[]), (false, vec![]));
        assert_eq!(yes(&["deny a *:* rwm", "allow c 1:3 rwm"]), (false, vec!["c 1:3 rwm".to_owned()]));
        assert_eq!(yes(&["allow c 1:3 r", "allow c 1:3 w"]), (false, vec!["c 1:3 rw".to_owned()]));
        assert_eq!(yes(&["allow c 1:3 rwm", "deny c 1:3 m"]), (false, vec!["c 1:3 rw".to_owned()]));
        assert_eq!(yes(&["allow c 1:3 rwm", "deny c 1:* rwm"]), (false, vec![]));
        assert_eq!(yes(&["allow c 1:3 rwm", "deny a *:* rwm"]), (false, vec![]));
        assert_eq!(yes(&["allow a *:* rwm", "deny b 8:0 w"]), (true, vec!["b 8:0 w".to_owned()]));
        assert_eq!(yes(&["allow a *:* rwm", "deny b 8:0 w", "allow b 8:* w"]), (true, vec![]));
        assert_eq!(yes(&["allow a 9:* r"]), (false, vec!["c 9:* r".to_owned(), "b 9:* r".to_owned()]));
        let both = ["c 1:* r", "c 1:3 rw"].map(str::to_owned).to_vec();
        assert_eq!(yes(&["allow c 1:* r", "allow c 1:3 w"]), (false, both));
        // Not about what was allowed: nothing to take back.
        assert_eq!(yes(&["allow c 1:* r", "deny c 1:3 w"]), (false, vec!["c 1:* r".to_owned()]));
    }

    #[test]
    fn rule_hole_in_wildcard_refused_with_pointer() {
        let error = reduced(&["allow c *:* rwm", "deny c 1:3 rwm"]).unwrap_err();
        let PlanError::Value { pointer, rule } = error else { panic!("{error}") };
        assert_eq!(pointer, "/linux/resources/devices/1");
        assert_eq!(
            rule,
            "cgroup v1 can't deny a part (c 1:3 rwm) of what an earlier rule says of more devices (c *:* rwm)"
        );
    }

    #[test]
    fn defaults_allow_null_and_not_console_or_disk() {
        let rules = default_device_rules();
        let open = |kind, major, minor| allowed(&rules, kind, major, minor, 6);
        assert!(open(DeviceRuleKind::Character, 1, 3));
        assert!(open(DeviceRuleKind::Character, 136, 7));
        assert!(!open(DeviceRuleKind::Character, 5, 1));
        assert!(!open(DeviceRuleKind::Block, 8, 0));
        assert!(allowed(&rules, DeviceRuleKind::Block, 8, 0, 1));
    }
}

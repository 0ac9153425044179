//! The plan of the device filter: the rules of the config and the default ones, as a program or as files. Pure.

use std::fmt;

use serde::Serialize;
use spec::config::{DeviceRule, Resources};

use super::bpf::MAX_RULES;
use super::device::{Exceptions, Line, default_device_rules};
use super::error::PlanError;

/// A rule of the device filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// The rule.
    pub rule: DeviceRule,
    /// The field of the config that it comes from, as JSON pointer; absent for a default one.
    pub pointer: Option<String>,
}

/// Which devices may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceFilter {
    /// v2: a program that is attached to the cgroup.
    Program(Vec<DevicePlan>),
    /// v1: files are written. First everything is allowed or denied, then each of the rules.
    Files {
        /// Which of the two.
        allow: bool,
        /// Exceptions from it.
        exceptions: Vec<DevicePlan>,
    },
}

/// The rules, and the default ones.
///
/// # Errors
/// More than a program can be made of.
pub(super) fn device_rules(resources: &Resources) -> Result<Vec<DevicePlan>, PlanError> {
    let asked = resources.devices.iter().enumerate().map(|(index, rule)| DevicePlan {
        rule: *rule,
        pointer: Some(format!("/linux/resources/devices/{index}")),
    });
    let defaults = default_device_rules().into_iter().map(|rule| DevicePlan { rule, pointer: None });
    let rules: Vec<DevicePlan> = asked.chain(defaults).collect();
    if rules.len() > MAX_RULES {
        return Err(PlanError::Value {
            pointer: "/linux/resources/devices".to_owned(),
            rule: format!("more than {MAX_RULES} rules, with the default ones"),
        });
    }
    Ok(rules)
}

pub(super) fn v1_filter(plans: &[DevicePlan]) -> Result<DeviceFilter, PlanError> {
    let rules: Vec<DeviceRule> = plans.iter().map(|plan| plan.rule).collect();
    let reduced = Exceptions::reduce(&rules)?;
    let exception =
        |(index, rule): (usize, DeviceRule)| DevicePlan { rule, pointer: plans[index].pointer.clone() };
    Ok(DeviceFilter::Files {
        allow: reduced.allow,
        exceptions: reduced.rules.into_iter().map(exception).collect(),
    })
}

impl fmt::Display for DeviceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, plans) = match self {
            Self::Program(plans) => (false, plans),
            Self::Files { allow, exceptions } => (*allow, exceptions),
        };
        writeln!(f, "cgroup devices {} all", if base { "allow" } else { "deny" })?;
        plans.iter().try_for_each(|plan| writeln!(f, "cgroup devices {plan}"))
    }
}

impl fmt::Display for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.rule.allow { "allow" } else { "deny" }, Line(&self.rule))?;
        match &self.pointer {
            Some(pointer) => write!(f, " from {pointer}"),
            None => f.write_str(" by default"),
        }
    }
}

impl Serialize for DevicePlan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("DevicePlan", 3)?;
        fields.serialize_field("allow", &self.rule.allow)?;
        fields.serialize_field("rule", &Line(&self.rule).to_string())?;
        fields.serialize_field("pointer", &self.pointer)?;
        fields.end()
    }
}

impl Serialize for DeviceFilter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let (base, rules) = match self {
            Self::Program(plans) => (false, plans),
            Self::Files { allow, exceptions } => (*allow, exceptions),
        };
        let mut fields = serializer.serialize_struct("DeviceFilter", 3)?;
        fields.serialize_field("program", &matches!(self, Self::Program(_)))?;
        fields.serialize_field("allow", &base)?;
        fields.serialize_field("rules", rules)?;
        fields.end()
    }
}

//! The plan of a container's cgroups: which directories, and what is written into which file. Pure.
//!
//! It prints as text, one line a step.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spec::Config;
use spec::config::{DeviceRule, Resources};

use super::bpf::MAX_RULES;
use super::change::ChangePlan;
use super::device::{Exceptions, Line, default_device_rules};
use super::error::PlanError;
use super::hierarchies::{Hierarchies, Mode, V1Hierarchy, V2Hierarchy};
use super::owner::{OwnerPlan, plan_owner};
use super::path::CgroupPath;
use super::record::Hierarchy;
use super::systemd::UnitPlan;
use super::{limits_v1, limits_v2};
use crate::{CgroupManager, Outcome, Warning};

/// What a write does where the kernel does not have the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// Nothing: what is asked is the case then, for lack of the thing that it limits.
    Ignore,
    /// It writes into another file.
    Instead {
        /// Its name.
        file: String,
        /// What is written.
        value: String,
    },
}

/// A value for a file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The file's name.
    pub file: String,
    /// What is written, in one call.
    pub value: String,
    /// The field of the config that it comes from, as JSON pointer.
    pub pointer: String,
    /// What happens without the file.
    pub missing: Missing,
}

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

/// The container's cgroup in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryPlan {
    /// Which.
    pub hierarchy: Hierarchy,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The cgroup's name and its parents', below the mount point.
    pub components: Vec<String>,
    /// v2: the controllers that the writes need, with the first field that needs each.
    pub required_controllers: BTreeMap<String, String>,
    /// v2: those that the host has, for the container's statistics and its own sub-cgroups. They are enabled in the mount
    /// point and in directories that are made, not in cgroups of others.
    pub offered_controllers: Vec<String>,
    /// v1 cpuset: its files can't be empty when a process enters, so they are filled from the parent's.
    pub inherit_cpuset: bool,
    /// In this order.
    pub writes: Vec<Write>,
    /// The filter.
    pub devices: Option<DeviceFilter>,
    /// v2: whether init can be cloned into it; with a limit of 0 processes it has to be moved there.
    pub clone_into: bool,
}

/// A container's cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlan {
    /// How the host does cgroups; absent where the container gets none.
    pub mode: Option<Mode>,
    /// One for each hierarchy, v2 last.
    pub directories: Vec<DirectoryPlan>,
    /// The scope that it is, where systemd makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitPlan>,
    /// Whose the v2 cgroup will be, where it is delegated to the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerPlan>,
}

/// Plans the cgroups of a container.
///
/// # Errors
/// [`PlanError`]: the manager can't be had, the path is not known, a limit's controller is missing or its value makes no
/// sense on this host.
pub fn plan_cgroup(
    manager: CgroupManager,
    resources: &Resources,
    path: &CgroupPath,
    hierarchies: &Hierarchies,
) -> Result<Outcome<CgroupPlan>, PlanError> {
    match manager {
        CgroupManager::Systemd => Err(PlanError::Systemd("is planned by plan_systemd")),
        CgroupManager::Disabled => {
            let mut outcome = Outcome::new(CgroupPlan::default());
            if *resources != Resources::default() {
                outcome.warnings.push(Warning {
                    pointer: Some("/linux/resources".to_owned()),
                    message: "limits are not set: cgroups are disabled".to_owned(),
                });
            }
            Ok(outcome)
        }
        CgroupManager::Cgroupfs => Planner::new(resources, hierarchies).plan(path),
    }
}

/// What is collected while planning: writes by the place of their controller.
pub(super) struct Planner<'a> {
    resources: &'a Resources,
    hierarchies: &'a Hierarchies,
    v1_writes: Vec<Vec<Write>>,
    v2_writes: Vec<Write>,
    required: BTreeMap<String, String>,
    pub(super) warnings: Vec<Warning>,
    /// The cgroup exists, and may have had other values: what a new one has anyway is written too.
    pub(super) is_change: bool,
}

/// Where a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    V1(usize),
    V2,
}

impl<'a> Planner<'a> {
    fn new(resources: &'a Resources, hierarchies: &'a Hierarchies) -> Self {
        Self {
            resources,
            hierarchies,
            v1_writes: vec![Vec::new(); hierarchies.v1.len()],
            v2_writes: Vec::new(),
            required: BTreeMap::new(),
            warnings: Vec::new(),
            is_change: false,
        }
    }

    /// For a cgroup that exists.
    pub(super) fn of_change(resources: &'a Resources, hierarchies: &'a Hierarchies) -> Self {
        Self { is_change: true, ..Self::new(resources, hierarchies) }
    }

    pub(super) fn plan_change(mut self) -> Result<Outcome<ChangePlan>, PlanError> {
        let resources = self.resources;
        limits_v1::check_and_add(&mut self, resources)?;
        limits_v2::check_and_add(&mut self, resources)?;
        let value = ChangePlan {
            v1: self.v1_writes,
            v2: self.v2_writes,
            required_controllers: self.required,
            devices: None,
        };
        Ok(Outcome { value, warnings: self.warnings })
    }

    fn plan(mut self, path: &CgroupPath) -> Result<Outcome<CgroupPlan>, PlanError> {
        let resources = self.resources;
        limits_v1::check_and_add(&mut self, resources)?;
        limits_v2::check_and_add(&mut self, resources)?;
        let rules = device_rules(resources)?;
        let mut directories = Vec::with_capacity(self.hierarchies.v1.len() + 1);
        let v1_devices = self.place("devices").filter(|place| *place != Place::V2);
        for (index, hierarchy) in self.hierarchies.v1.iter().enumerate() {
            let devices = if v1_devices == Some(Place::V1(index)) { Some(v1_filter(&rules)?) } else { None };
            let writes = std::mem::take(&mut self.v1_writes[index]);
            directories.push(v1_directory(hierarchy, path, writes, devices)?);
        }
        if let Some(hierarchy) = &self.hierarchies.v2 {
            // v2 filters devices without a controller; on a hybrid host v1 does, where it can.
            let devices = v1_devices.is_none().then(|| DeviceFilter::Program(rules.clone()));
            directories.push(self.v2_directory(hierarchy, path, devices)?);
        }
        if path.is_for_systemd() {
            self.warnings.push(Warning {
                pointer: Some("/linux/cgroupsPath".to_owned()),
                message:
                    "the cgroup gets this very name: slice:prefix:name is for the systemd cgroup manager \
                          (--systemd-cgroup)"
                        .to_owned(),
            });
        }
        if directories.is_empty() {
            self.warnings.push(Warning {
                pointer: Some("/linux/resources/devices".to_owned()),
                message:
                    "this host has no cgroup file system mounted: the container gets no cgroup, and devices \
                          are not filtered"
                        .to_owned(),
            });
        } else if v1_devices.is_none() && self.hierarchies.v2.is_none() {
            return Err(controller_error("devices", "/linux/resources/devices"));
        }
        let plan = CgroupPlan { mode: self.hierarchies.mode(), directories, unit: None, owner: None };
        Ok(Outcome { value: plan, warnings: self.warnings })
    }

    fn v2_directory(
        &mut self,
        hierarchy: &V2Hierarchy,
        path: &CgroupPath,
        devices: Option<DeviceFilter>,
    ) -> Result<DirectoryPlan, PlanError> {
        let writes = std::mem::take(&mut self.v2_writes);
        let no_process = |write: &Write| write.file == "pids.max" && write.value.trim() == "0";
        let unified = self.hierarchies.v1.is_empty();
        Ok(DirectoryPlan {
            hierarchy: Hierarchy::V2,
            mount_point: hierarchy.mount_point.clone(),
            components: path.below(hierarchy.own_path.as_deref(), true)?,
            required_controllers: std::mem::take(&mut self.required),
            offered_controllers: if unified { hierarchy.controllers.clone() } else { Vec::new() },
            inherit_cpuset: false,
            clone_into: !writes.iter().any(no_process),
            writes,
            devices,
        })
    }

    /// Where a controller is: v1 first, as a controller is on one hierarchy only.
    pub(super) fn place(&self, controller: &str) -> Option<Place> {
        let v1 =
            self.hierarchies.v1.iter().position(|it| it.controllers.iter().any(|name| name == controller));
        v1.map(Place::V1).or_else(|| self.has_v2_controller(controller).then_some(Place::V2))
    }

    pub(super) fn has_v2_controller(&self, controller: &str) -> bool {
        self.hierarchies.v2.as_ref().is_some_and(|v2| v2.controllers.iter().any(|name| name == controller))
    }

    /// Whether the host is v2 alone.
    pub(super) fn is_unified(&self) -> bool {
        self.hierarchies.mode() == Some(Mode::Unified)
    }

    /// Adds a write into the v1 hierarchy of a place.
    pub(super) fn add_v1(&mut self, index: usize, write: Write) {
        self.v1_writes[index].push(write);
    }

    /// Adds a write into the v2 hierarchy.
    pub(super) fn add_v2(&mut self, controller: Option<&str>, write: Write) {
        if let Some(controller) = controller {
            self.required.entry(controller.to_owned()).or_insert_with(|| write.pointer.clone());
        }
        self.v2_writes.push(write);
    }
}

pub(super) fn controller_error(controller: &str, pointer: &str) -> PlanError {
    PlanError::Controller { controller: controller.to_owned(), pointer: pointer.to_owned() }
}

/// A write whose file must be there.
pub(super) fn write(file: impl Into<String>, value: impl Into<String>, pointer: impl Into<String>) -> Write {
    Write { file: file.into(), value: value.into(), pointer: pointer.into(), missing: Missing::Error }
}

fn v1_directory(
    hierarchy: &V1Hierarchy,
    path: &CgroupPath,
    writes: Vec<Write>,
    devices: Option<DeviceFilter>,
) -> Result<DirectoryPlan, PlanError> {
    let mut controllers = hierarchy.controllers.clone();
    controllers.extend(hierarchy.name.iter().map(|name| format!("name={name}")));
    Ok(DirectoryPlan {
        mount_point: hierarchy.mount_point.clone(),
        components: path.below(hierarchy.own_path.as_deref(), false)?,
        required_controllers: BTreeMap::new(),
        offered_controllers: Vec::new(),
        inherit_cpuset: controllers.iter().any(|name| name == "cpuset"),
        hierarchy: Hierarchy::V1(controllers),
        writes,
        devices,
        clone_into: false,
    })
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

impl CgroupPlan {
    /// Has the cgroup delegated, where the config asks for that. Never on a host with v1 hierarchies: there it would not
    /// be safe.
    pub fn delegate(&mut self, config: &Config) {
        self.owner = plan_owner(config).filter(|_| self.mode == Some(Mode::Unified));
    }

    /// A limit that the config asks for, as JSON pointer. Without one a container can do without a cgroup, where the host
    /// does not let us make any (device rules apart, which only a privileged container can get around).
    pub fn limit(&self) -> Option<&str> {
        let mut writes = self.directories.iter().flat_map(|directory| &directory.writes);
        writes.next().map(|write| &*write.pointer)
    }
}

impl DirectoryPlan {
    /// The cgroup, absolute.
    pub fn path(&self) -> PathBuf {
        self.path_at(self.components.len())
    }

    /// The cgroup's ancestor with so many components below the mount point, absolute.
    pub(super) fn path_at(&self, depth: usize) -> PathBuf {
        let mut path = self.mount_point.clone();
        path.extend(&self.components[..depth]);
        path
    }
}

impl fmt::Display for CgroupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(unit) = &self.unit {
            write!(f, "{unit}")?;
        }
        for directory in &self.directories {
            let made_by = if self.unit.is_some() { MadeBy::Systemd } else { MadeBy::Us };
            directory.render(f, made_by)?;
            if let (Some(OwnerPlan { uid, pointer }), Hierarchy::V2) = (&self.owner, &directory.hierarchy) {
                let path = directory.path();
                writeln!(
                    f,
                    "cgroup chown {} and its delegated files to {uid} from {pointer}",
                    path.display()
                )?;
            }
        }
        Ok(())
    }
}

/// Who makes a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MadeBy {
    Us,
    Systemd,
}

impl fmt::Display for DirectoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.render(f, MadeBy::Us)
    }
}

impl DirectoryPlan {
    fn render(&self, f: &mut fmt::Formatter<'_>, made_by: MadeBy) -> fmt::Result {
        let path = self.path();
        if made_by == MadeBy::Us {
            writeln!(f, "cgroup mkdir {}", path.display())?;
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        for (controller, pointer) in &self.required_controllers {
            writeln!(f, "cgroup enable {controller} in {} from {pointer}", parent.display())?;
        }
        for controller in &self.offered_controllers {
            if !self.required_controllers.contains_key(controller) {
                writeln!(f, "cgroup enable {controller} in {} where it is not another's", parent.display())?;
            }
        }
        if self.inherit_cpuset {
            writeln!(
                f,
                "cgroup fill cpuset.cpus cpuset.mems of {} from its parent where empty",
                path.display()
            )?;
        }
        for Write { file, value, pointer, missing } in &self.writes {
            write!(f, "cgroup write {}/{file} {value:?} from {pointer}", path.display())?;
            match missing {
                Missing::Error => writeln!(f)?,
                Missing::Ignore => writeln!(f, ", if it is there")?,
                Missing::Instead { file, value } => writeln!(f, ", else {file} {value:?}")?,
            }
        }
        if let Some(devices) = &self.devices {
            write!(f, "{devices}")?;
        }
        match self.hierarchy {
            _ if made_by == MadeBy::Systemd => Ok(()),
            Hierarchy::V2 if self.clone_into => writeln!(f, "cgroup clone into {}", path.display()),
            _ => writeln!(f, "cgroup enter {}", path.display()),
        }
    }
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

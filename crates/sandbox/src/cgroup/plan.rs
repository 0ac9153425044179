//! The plan of a container's cgroups: which directories, and what is written into which file. Pure.
//!
//! It prints as text, one line a step.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spec::Config;
use spec::config::Resources;

use super::device_plan::{DeviceFilter, device_rules, v1_filter};
use super::error::PlanError;
use super::hierarchies::{Hierarchies, Mode, V1Hierarchy, V2Hierarchy};
use super::owner::{OwnerPlan, plan_owner};
use super::path::CgroupPath;
use super::planner::{Missing, Place, Planner, Write, controller_error};
use super::record::Hierarchy;
use super::systemd::unit::UnitPlan;
use super::{limits_v1, limits_v2};
use crate::{CgroupManager, Outcome, Warning};

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
        CgroupManager::Cgroupfs => plan_cgroupfs(resources, path, hierarchies),
    }
}

fn plan_cgroupfs(
    resources: &Resources,
    path: &CgroupPath,
    hierarchies: &Hierarchies,
) -> Result<Outcome<CgroupPlan>, PlanError> {
    let mut planner = Planner::new(hierarchies);
    limits_v1::check_and_add(&mut planner, resources)?;
    limits_v2::check_and_add(&mut planner, resources)?;
    let rules = device_rules(resources)?;
    let mut directories = Vec::with_capacity(hierarchies.v1.len() + 1);
    let v1_devices = planner.place("devices").filter(|place| *place != Place::V2);
    for (index, hierarchy) in hierarchies.v1.iter().enumerate() {
        let devices = if v1_devices == Some(Place::V1(index)) { Some(v1_filter(&rules)?) } else { None };
        let writes = std::mem::take(&mut planner.v1[index]);
        directories.push(v1_directory(hierarchy, path, writes, devices)?);
    }
    if let Some(hierarchy) = &hierarchies.v2 {
        // v2 filters devices without a controller; on a hybrid host v1 does, where it can.
        let devices = v1_devices.is_none().then(|| DeviceFilter::Program(rules.clone()));
        directories.push(v2_directory(&mut planner, hierarchy, path, devices)?);
    }
    if path.is_for_systemd() {
        planner.warnings.push(Warning {
            pointer: Some("/linux/cgroupsPath".to_owned()),
            message: "the cgroup gets this very name: slice:prefix:name is for the systemd cgroup manager \
                      (--systemd-cgroup)"
                .to_owned(),
        });
    }
    if directories.is_empty() {
        planner.warnings.push(Warning {
            pointer: Some("/linux/resources/devices".to_owned()),
            message:
                "this host has no cgroup file system mounted: the container gets no cgroup, and devices \
                      are not filtered"
                    .to_owned(),
        });
    } else if v1_devices.is_none() && hierarchies.v2.is_none() {
        return Err(controller_error("devices", "/linux/resources/devices"));
    }
    let plan = CgroupPlan { mode: hierarchies.mode(), directories, unit: None, owner: None };
    Ok(Outcome { value: plan, warnings: planner.warnings })
}

fn v2_directory(
    planner: &mut Planner<'_>,
    hierarchy: &V2Hierarchy,
    path: &CgroupPath,
    devices: Option<DeviceFilter>,
) -> Result<DirectoryPlan, PlanError> {
    let writes = std::mem::take(&mut planner.v2);
    let no_process = |write: &Write| write.file == "pids.max" && write.value.trim() == "0";
    let unified = planner.is_unified();
    Ok(DirectoryPlan {
        hierarchy: Hierarchy::V2,
        mount_point: hierarchy.mount_point.clone(),
        components: path.below(hierarchy.own_path.as_deref(), true)?,
        required_controllers: std::mem::take(&mut planner.required),
        offered_controllers: if unified { hierarchy.controllers.clone() } else { Vec::new() },
        inherit_cpuset: false,
        clone_into: !writes.iter().any(no_process),
        writes,
        devices,
    })
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

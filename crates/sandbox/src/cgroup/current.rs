//! What a container's cgroups are now, as far as a change of limits depends on it.
//!
//! Runs in the runtime.

use spec::config::{Limit, Resources};

use super::change::CurrentLimits;
use super::error::CgroupError;
use super::file::{self, is_gone};
use super::handle::{Cgroup, open_cgroup};
use super::hierarchies::{Hierarchies, V1Hierarchy, V2Hierarchy};
use super::record::Hierarchy;

impl Cgroup {
    /// The hierarchies of the record, and what controllers v2 has on this host.
    pub(super) fn probe_own_hierarchies(&self) -> Result<Hierarchies, CgroupError> {
        let mut hierarchies = Hierarchies::default();
        for directory in &self.record.directories {
            let mount_point = directory.mount_point.clone();
            match &directory.hierarchy {
                Hierarchy::V1(controllers) => hierarchies.v1.push(V1Hierarchy {
                    mount_point,
                    own_path: None,
                    controllers: controllers.clone(),
                    name: None,
                }),
                Hierarchy::V2 => {
                    let path = mount_point.join("cgroup.controllers");
                    let text = file::read_path(&path).map_err(|source| CgroupError::Call {
                        call: "read",
                        path: path.clone(),
                        source,
                    })?;
                    let controllers = text.split_whitespace().map(str::to_owned).collect();
                    hierarchies.v2 = Some(V2Hierarchy { mount_point, own_path: None, controllers });
                }
            }
        }
        Ok(hierarchies)
    }

    /// Reads only what the change needs.
    pub(super) fn read_current(&self, asked: &Resources) -> Result<CurrentLimits, CgroupError> {
        let mut current = CurrentLimits::default();
        let check = asked.memory.check_before_update == Some(true);
        if asked.memory.swap.is_some() || (check && asked.memory.limit.is_some()) {
            let limit = self.read_first("memory", &["memory.max", "memory.limit_in_bytes"])?;
            current.memory = limit.map(|text| parse_limit(&text));
            let usage = self.read_first("memory", &["memory.current", "memory.usage_in_bytes"])?;
            current.memory_usage_bytes = usage.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        }
        if asked.cpu.period.is_some() != asked.cpu.quota.is_some() {
            let bandwidth = self.read_first("cpu", &["cpu.max"])?.unwrap_or_default();
            let mut words = bandwidth.split_whitespace();
            current.quota = words.next().map(parse_limit);
            current.period = words.next().and_then(|period| period.parse().ok());
        }
        Ok(current)
    }

    /// The text of the first of these files that is in the controller's cgroup.
    pub(super) fn read_first(&self, controller: &str, names: &[&str]) -> Result<Option<String>, CgroupError> {
        let v1 = self.record.directories.iter().find(|it| it.hierarchy.is_v1_with(controller));
        let v2 = self.record.directories.iter().find(|it| it.hierarchy == Hierarchy::V2);
        let Some(directory) = v1.or(v2) else { return Ok(None) };
        let Some(open) = open_cgroup(directory)? else { return Ok(None) };
        for name in names {
            match file::read_file(&open, name) {
                Ok(text) => return Ok(Some(text)),
                Err(error) if is_gone(&error) => {}
                Err(source) => {
                    return Err(CgroupError::Call { call: "read", path: directory.path.join(name), source });
                }
            }
        }
        Ok(None)
    }
}

/// v2 says `max`; v1 a number of pages that no machine has.
fn parse_limit(text: &str) -> Limit {
    const NO_LIMIT: u64 = 1 << 62;
    match text.trim().parse::<u64>() {
        Ok(limit) if limit < NO_LIMIT => Limit::Value(limit),
        _ => Limit::Max,
    }
}

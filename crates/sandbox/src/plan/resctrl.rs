//! Intel Resource Director Technology: which class of service the container is in.
//!
//! Pure. The runtime makes the directories and writes the files (`crate::resctrl`).

use std::path::PathBuf;

use serde::Serialize;
use spec::Config;

use super::PlanError;
use crate::ContainerId;
use crate::host::HostFacts;

const POINTER: &str = "/linux/intelRdt";

/// What is done in the resctrl file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResctrlPlan {
    /// The directory of the class of service.
    pub class: PathBuf,
    /// It has the name that the config gives: it may be there, and stays when the container is deleted.
    pub named: bool,
    /// Lines for its `schemata`, in order.
    pub schemata: Vec<String>,
    /// How many of them, from the front, an existing named class must have already.
    pub compared: usize,
    /// The directory of a monitoring group of the container's own.
    pub monitoring: Option<PathBuf>,
}

pub(super) fn plan_resctrl(
    config: &Config,
    host: &HostFacts,
    id: &ContainerId,
) -> Result<Option<ResctrlPlan>, PlanError> {
    let Some(rdt) = &config.linux.intel_rdt else { return Ok(None) };
    let Some(root) = &host.resctrl else {
        let message = "no resctrl file system is mounted on this host".to_owned();
        return Err(PlanError { pointer: POINTER.into(), message });
    };
    let class = match rdt.clos_id.as_deref() {
        Some("/") => root.clone(),
        Some(name) => root.join(name),
        None => root.join(&**id),
    };
    let both = [&rdt.l3_cache_schema, &rdt.mem_bw_schema];
    let mut schemata: Vec<String> = both.into_iter().flatten().map(ToString::to_string).collect();
    let compared = schemata.len();
    schemata.extend(rdt.schemata.iter().map(ToString::to_string));
    let monitoring = rdt.enable_monitoring.then(|| class.join("mon_groups").join(&**id));
    Ok(Some(ResctrlPlan { class, named: rdt.clos_id.is_some(), schemata, compared, monitoring }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rdt: &str) -> ResctrlPlan {
        let config =
            format!(r#"{{"ociVersion": "1.3.0", "root": {{"path": "r"}}, "linux": {{"intelRdt": {rdt}}}}}"#);
        let config = spec::parse_config(config.as_bytes()).unwrap().config;
        let host = HostFacts { resctrl: Some("/r".into()), ..HostFacts::default() };
        plan_resctrl(&config, &host, &ContainerId::new("c").unwrap()).unwrap().unwrap()
    }

    #[test]
    fn class_without_a_name_is_the_containers() {
        let planned =
            plan(r#"{"memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f", "schemata": ["L2:0=3"]}"#);
        assert_eq!((planned.class, planned.named), ("/r/c".into(), false));
        assert_eq!(planned.schemata, ["L3:0=f", "MB:0=20", "L2:0=3"]);
        assert_eq!((planned.compared, planned.monitoring), (2, None));
    }

    #[test]
    fn slash_is_the_default_class() {
        let planned = plan(r#"{"closID": "/", "enableMonitoring": true}"#);
        assert_eq!((planned.class, planned.named), ("/r".into(), true));
        assert_eq!(planned.monitoring, Some("/r/mon_groups/c".into()));
        assert_eq!(plan(r#"{"closID": "gold"}"#).class, PathBuf::from("/r/gold"));
    }

    #[test]
    fn not_mounted_is_an_error_at_the_field() {
        let config = br#"{"ociVersion": "1.3.0", "root": {"path": "r"}, "linux": {"intelRdt": {}}}"#;
        let config = spec::parse_config(config).unwrap().config;
        let id = ContainerId::new("c").unwrap();
        let error = plan_resctrl(&config, &HostFacts::default(), &id).unwrap_err();
        assert_eq!(error.pointer, "/linux/intelRdt");
    }
}

//! Network devices that are moved into the container.
//!
//! Pure. Init waits for the runtime, which moves them; late, since most that can fail has been done then, and before the
//! hooks, which may find them there.

use init::Step;
use init::wire::Strs;
use spec::Config;

use super::{PlanError, Steps};

/// A device of the runtime's network namespace, to be moved into the container's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetDeviceMove {
    /// Its name where it is.
    pub host_name: String,
    /// Its name in the container; `%d` stands for a number that the kernel chooses.
    pub name: String,
    /// Where it stands in the config.
    pub pointer: String,
}

pub(super) fn plan_net_devices(steps: &mut Steps, config: &Config) -> Result<Vec<NetDeviceMove>, PlanError> {
    let devices = &config.linux.net_devices;
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    if cfg!(not(feature = "netdevices")) {
        let message = "this build can't move network devices (feature netdevices)".to_owned();
        return Err(PlanError { pointer: "/linux/netDevices".into(), message });
    }
    let moves: Vec<NetDeviceMove> = devices
        .iter()
        .map(|(host_name, device)| NetDeviceMove {
            host_name: host_name.to_string(),
            name: device.name.as_ref().unwrap_or(host_name).to_string(),
            pointer: format!("/linux/netDevices/{}", host_name.replace('~', "~0")),
        })
        .collect();
    let text = |it: &NetDeviceMove| format!("{}={}", it.host_name, it.name).as_str().into();
    let devices = Strs(moves.iter().map(text).collect());
    steps.push("/linux/netDevices", Step::AwaitNetDevices { devices });
    Ok(moves)
}

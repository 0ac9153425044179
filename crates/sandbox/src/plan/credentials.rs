//! Who the process is, and what it may do.
//!
//! Pure. The order is that of the kernel's rules: what needs a right comes before the right is given up.

use init::Step;
use init::wire::CapabilityMask;
use spec::Config;
use spec::config::{Capabilities, Capability, CapabilitySet, Process};

use super::groups::plan_groups;
use super::namespace_plan::NamespacePlan;
use super::streams::plan_pipes;
use super::{PlanError, Steps};
use crate::host::HostFacts;

/// keyring → bounding set → groups → gid → uid → capability sets → ambient set.
pub(super) fn plan_credentials(
    steps: &mut Steps,
    config: &Config,
    process: &Process,
    host: &HostFacts,
    namespaces: &NamespacePlan,
    needs_admin: bool,
) -> Result<(), PlanError> {
    let all = CapabilitySet::from_bits(u64::MAX);
    // A user namespace's first processes have every capability in it.
    let available = if namespaces.in_user_namespace { all } else { host.bounding };
    let capabilities = grantable(steps, &process.capabilities, available);
    let dropped = available.bits() & !capabilities.bounding.bits() | host.unnamed_capabilities;
    if dropped != 0 {
        let step = Step::DropBounding { dropped: CapabilityMask(dropped) };
        steps.push("/process/capabilities/bounding", step);
    }
    let user = &process.user;
    plan_groups(steps, config, user, host)?;
    plan_pipes(steps, process, host, namespaces);
    steps.push("/process/user/gid", Step::SetGid { gid: user.gid.get() });
    steps.push("/process/user/uid", Step::SetUid { uid: user.uid.get() });
    // Without noNewPrivileges only CAP_SYS_ADMIN may install a filter, or restrict by Landlock. It is kept until then; execve
    // computes the program's sets anew from the inheritable, ambient and bounding sets, so that it never gets there.
    let kept = match Capability::from_name("CAP_SYS_ADMIN") {
        Some(admin) if needs_admin => 1_u64 << admin.number(),
        _ => 0,
    };
    let step = Step::SetCapabilities {
        effective: CapabilityMask(capabilities.effective.bits() | kept),
        permitted: CapabilityMask(capabilities.permitted.bits() | kept),
        inheritable: CapabilityMask(capabilities.inheritable.bits()),
    };
    steps.push("/process/capabilities", step);
    // What is not inheritable leaves the ambient set by itself (capabilities(7)).
    if capabilities.inheritable.bits() != 0 {
        let ambient = CapabilityMask(capabilities.ambient.bits());
        steps.push("/process/capabilities/ambient", Step::SetAmbient { ambient });
    }
    Ok(())
}

/// What can be had of what is asked; a warning for the rest.
fn grantable(steps: &mut Steps, asked: &Capabilities, available: CapabilitySet) -> Capabilities {
    let mut trim = |name: &str, set: CapabilitySet| {
        let granted = set.intersection(available);
        if granted != set {
            let missing: Vec<_> =
                set.iter().filter(|one| !granted.contains(*one)).map(Capability::name).collect();
            let message = format!(
                "ignoring unknown or unavailable capabilities: [{}]: the runtime itself has not got them",
                missing.join(" ")
            );
            steps.warn(&format!("/process/capabilities/{name}"), message);
        }
        granted
    };
    Capabilities {
        effective: trim("effective", asked.effective),
        bounding: trim("bounding", asked.bounding),
        inheritable: trim("inheritable", asked.inheritable),
        permitted: trim("permitted", asked.permitted),
        ambient: trim("ambient", asked.ambient),
    }
}

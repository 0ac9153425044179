//! Supplementary groups: those of the config, or those that the caller has.
//!
//! Pure.

use init::Step;
use init::wire::Words;
use spec::Config;
use spec::config::User;

use super::id_maps::{has_own_maps, is_setgroups_denied, joins_user_namespace};
use super::{PlanError, Steps};
use crate::host::HostFacts;

/// An ordinary user keeps the groups that he is in, though they have no number in the container: what he reaches by them he
/// reaches there. crun's annotation, which podman and buildah give for `--group-add keep-groups`.
pub(crate) const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

const POINTER: &str = "/process/user/additionalGids";

pub(super) fn plan_groups(
    steps: &mut Steps,
    config: &Config,
    user: &User,
    host: &HostFacts,
) -> Result<(), PlanError> {
    let asked = &user.additional_gids;
    let keeps = config.annotations.get(KEEP_GROUPS).is_some_and(|value| &**value == "1");
    if keeps && host.confinement.is_some() {
        if !asked.is_empty() {
            steps.warn(POINTER, format!("ignored: the caller's groups are kept ({KEEP_GROUPS})"));
        }
        return Ok(());
    }
    if keeps {
        // Engines hand down annotations of images.
        let message = "ignored: the runtime is root of the host, whose groups are not given away";
        steps.warn(&format!("/annotations/{KEEP_GROUPS}"), message);
    }
    if !is_setgroups_denied(config, host) {
        let groups = Words(asked.iter().map(|gid| gid.get()).collect());
        // Whoever made a user namespace that is joined may have given up the call for all in it.
        let unless_denied = asked.is_empty() && joins_user_namespace(config);
        steps.push(POINTER, Step::SetGroups { groups, unless_denied });
    } else if !asked.is_empty() {
        check_groups(steps, config)?;
    }
    Ok(())
}

/// Root's groups of the host are left before a user namespace is joined: whoever made it may have given up the call for all
/// in it, and the groups would stay.
pub(super) fn plan_leaving_groups(steps: &mut Steps, config: &Config, host: &HostFacts) {
    if host.confinement.is_none() && joins_user_namespace(config) {
        steps.push(POINTER, Step::SetGroups { groups: Words(Vec::new()), unless_denied: true });
    }
}

/// Supplementary groups that can't be set. Where an engine made the user namespace that we are in, it could not know
/// better; where the map is the config's own, the config is wrong.
fn check_groups(steps: &mut Steps, config: &Config) -> Result<(), PlanError> {
    if has_own_maps(config) {
        let message = "cannot set any additional groups in a rootless container whose gidMappings have the caller's \
                       group alone: the kernel denies setgroups(2) there; map a range of /etc/subgid";
        return Err(PlanError { pointer: POINTER.into(), message: message.to_owned() });
    }
    steps.warn(POINTER, "ignored: setgroups(2) is denied in the runtime's user namespace");
    Ok(())
}

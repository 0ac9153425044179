//! `plan`: what `create` would ask of the kernel.

use std::path::Path;

use sandbox::plan::Purpose;
use sandbox::{ConfigSource, ContainerId, CreateRequest, Prepared};

use super::Session;
use super::request::{cgroup_manager, rootless};
use crate::args::about::{Plan, PlanFormat};
use crate::error::{Context as _, Result};

pub(crate) fn plan(session: &Session<'_>, arguments: &Plan) -> Result<u8> {
    let id = match &arguments.id {
        Some(id) => ContainerId::new(id)?,
        None => name_of_bundle(&arguments.bundle)?,
    };
    let mut request = CreateRequest::new(id, &arguments.bundle);
    if let Some(path) = &arguments.config {
        request.config = ConfigSource::File(path.clone());
    }
    request.cgroup_manager = cgroup_manager(session);
    request.rootless = rootless(session);
    let prepared = Prepared::new(&request, Purpose::Create)?;
    let text = match arguments.format {
        PlanFormat::Text => {
            prepared.warnings.iter().for_each(|warning| session.warn(warning));
            prepared.plan.to_string()
        }
        PlanFormat::Json => serde_json::to_string_pretty(&prepared.plan.to_json())? + "\n",
    };
    crate::print(&text)
}

/// The directory's name, where it can be an id.
fn name_of_bundle(bundle: &Path) -> Result<ContainerId> {
    let bundle = std::path::absolute(bundle).context(|| format!("find {}", bundle.display()))?;
    let name = bundle.file_name().and_then(|name| ContainerId::new(name.to_str()?).ok());
    Ok(name.map_or_else(|| ContainerId::new("container"), Ok)?)
}

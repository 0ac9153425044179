//! One container, or with `--regex` all whose id matches.

use regex_lite::Regex;
use sandbox::{ContainerId, Runtime};

use crate::error::{Error, Result};

/// Does `work` to the container `id`, or to each whose id matches it.
///
/// # Errors
/// Of one container: its error. Of several: what went wrong with each; the others are done.
pub(crate) fn for_each(
    runtime: &Runtime,
    id: &str,
    is_regex: bool,
    mut work: impl FnMut(&ContainerId) -> Result<()>,
) -> Result<()> {
    if !is_regex {
        return work(&ContainerId::new(id)?);
    }
    let regex = Regex::new(id).map_err(|source| Error::Regex { pattern: id.to_owned(), source })?;
    let mut errors = Vec::new();
    for (id, _) in runtime.list()?.into_iter().filter(|(id, _)| regex.is_match(id)) {
        if let Err(error) = ContainerId::new(&id).map_err(Error::from).and_then(|id| work(&id)) {
            errors.push((id, error));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Several(errors)) }
}

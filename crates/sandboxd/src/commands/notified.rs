//! Starting a container whose process may tell a service manager that it is ready.
//!
//! The container does not depend on the service manager: every process below a service inherits `NOTIFY_SOCKET`, whether
//! anybody waits for it or not. What goes wrong with it is a warning.

use sandbox::{ContainerId, Runtime};

use super::Session;
use crate::error::Result;
use crate::notify::{Notify, ServiceManager};

/// The service manager, where one is named and can be reached.
pub(super) fn manager(session: &Session<'_>) -> Option<ServiceManager> {
    ServiceManager::connect()?.inspect_err(|error| session.warn_about(error)).ok()
}

/// Starts a created container. Its socket is made once it is known that it is about to be started: that of a container
/// which runs already belongs to who waits for its word.
pub(super) fn start(
    session: &Session<'_>,
    runtime: &Runtime,
    id: &ContainerId,
    manager: Result<ServiceManager>,
) -> Result<Option<Notify>> {
    let mut bound = Ok(None);
    let bind = || bound = manager.and_then(|manager| Notify::bind(&runtime.notify_directory(id), manager));
    session.accept(runtime.start_with(id, bind)?);
    Ok(bound.unwrap_or_else(|error| {
        session.warn_about(error);
        None
    }))
}

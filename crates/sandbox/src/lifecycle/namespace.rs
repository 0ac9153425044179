//! Namespaces that are joined by path.
//!
//! Runs in the runtime, before init is cloned.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use spec::config::NamespaceKind;

use crate::error::{Error, Result};
use crate::plan::{Join, clone_flag};

/// Opens a namespace's file and checks that it is of the kind that the config says.
pub(super) fn open_namespace(join: &Join) -> Result<OwnedFd> {
    let error = |reason: String| Error::Namespace {
        kind: join.kind.name(),
        path: join.path.clone(),
        index: join.index,
        reason,
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(&*join.path, flags, Mode::empty())
        .map_err(|errno| error(crate::error::reason(&errno.into())))?;
    match crate::sys::namespace_kind(file.as_fd()) {
        Ok(kind) if kind == clone_flag(join.kind) => Ok(file),
        Ok(kind) => {
            let actual = NamespaceKind::ALL.into_iter().find(|other| clone_flag(*other) == kind);
            Err(error(format!("it is a {} namespace", actual.map_or("different", NamespaceKind::name))))
        }
        Err(_) => Err(error("it is not a namespace".to_owned())),
    }
}

//! What is collected while cgroups are planned: writes, by the place of their controller. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::PlanError;
use super::hierarchies::{Hierarchies, Mode};
use crate::Warning;

/// What a write does where the kernel does not have the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// Nothing: what is asked is the case then, for lack of the thing that it limits.
    Ignore,
    /// It writes into another file.
    Instead {
        /// Its name.
        file: String,
        /// What is written.
        value: String,
    },
}

/// A value for a file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The file's name.
    pub file: String,
    /// What is written, in one call.
    pub value: String,
    /// The field of the config that it comes from, as JSON pointer.
    pub pointer: String,
    /// What happens without the file.
    pub missing: Missing,
}

/// The writes so far.
pub(super) struct Planner<'a> {
    hierarchies: &'a Hierarchies,
    /// For each v1 hierarchy, in their order.
    pub(super) v1: Vec<Vec<Write>>,
    pub(super) v2: Vec<Write>,
    /// v2: the controllers that the writes need, with the first field that needs each.
    pub(super) required: BTreeMap<String, String>,
    pub(super) warnings: Vec<Warning>,
    /// The cgroup exists, and may have had other values: what a new one has anyway is written too.
    pub(super) is_change: bool,
}

/// Where a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    V1(usize),
    V2,
}

impl<'a> Planner<'a> {
    /// For a new cgroup.
    pub(super) fn new(hierarchies: &'a Hierarchies) -> Self {
        Self {
            hierarchies,
            v1: vec![Vec::new(); hierarchies.v1.len()],
            v2: Vec::new(),
            required: BTreeMap::new(),
            warnings: Vec::new(),
            is_change: false,
        }
    }

    /// For a cgroup that exists.
    pub(super) fn of_change(hierarchies: &'a Hierarchies) -> Self {
        Self { is_change: true, ..Self::new(hierarchies) }
    }

    /// Where a controller is: v1 first, as a controller is on one hierarchy only.
    pub(super) fn place(&self, controller: &str) -> Option<Place> {
        let v1 =
            self.hierarchies.v1.iter().position(|it| it.controllers.iter().any(|name| name == controller));
        v1.map(Place::V1).or_else(|| self.has_v2_controller(controller).then_some(Place::V2))
    }

    pub(super) fn has_v2_controller(&self, controller: &str) -> bool {
        self.hierarchies.v2.as_ref().is_some_and(|v2| v2.controllers.iter().any(|name| name == controller))
    }

    /// Whether the host is v2 alone.
    pub(super) fn is_unified(&self) -> bool {
        self.hierarchies.mode() == Some(Mode::Unified)
    }

    /// Adds a write into the v1 hierarchy of a place.
    pub(super) fn add_v1(&mut self, index: usize, write: Write) {
        self.v1[index].push(write);
    }

    /// Adds a write into the v2 hierarchy.
    pub(super) fn add_v2(&mut self, controller: Option<&str>, write: Write) {
        if let Some(controller) = controller {
            self.required.entry(controller.to_owned()).or_insert_with(|| write.pointer.clone());
        }
        self.v2.push(write);
    }
}

pub(super) fn controller_error(controller: &str, pointer: &str) -> PlanError {
    PlanError::Controller { controller: controller.to_owned(), pointer: pointer.to_owned() }
}

/// A write whose file must be there.
pub(super) fn write(file: impl Into<String>, value: impl Into<String>, pointer: impl Into<String>) -> Write {
    Write { file: file.into(), value: value.into(), pointer: pointer.into(), missing: Missing::Error }
}

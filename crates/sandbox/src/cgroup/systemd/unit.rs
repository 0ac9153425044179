//! The plan of a scope, printed as text.

use std::fmt;

use serde::Serialize;

use super::property::Property;
use super::session::Session;

/// A transient scope to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitPlan {
    /// By which systemd.
    pub session: Session,
    /// Its name, with `.scope`.
    pub unit: String,
    /// The slice that it is in.
    pub slice: String,
    /// The slices above it and itself, outermost first.
    pub slices: Vec<String>,
    /// Limits and what the annotations ask for.
    pub properties: Vec<Property>,
}

impl fmt::Display for UnitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "systemd start {} in {}", self.unit, self.slice)?;
        for Property { name, value, pointer } in &self.properties {
            write!(f, "systemd set {name} {value:?}")?;
            if pointer.is_empty() { writeln!(f, " by default")? } else { writeln!(f, " from {pointer}")? }
        }
        Ok(())
    }
}

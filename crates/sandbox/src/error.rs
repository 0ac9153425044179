//! What can go wrong, and whose it is.

use crate::id::InvalidContainerId;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that did not succeed. The text is one line: what, where in the config, which call, why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The id is not one.
    #[error(transparent)]
    InvalidId(#[from] InvalidContainerId),
}

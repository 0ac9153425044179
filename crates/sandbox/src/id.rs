//! Container ids.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A container id. Holding one proves that it is safe as a file name: 1 to 1024 bytes of `[A-Za-z0-9_+.-]`,
/// neither `.` nor `..`, not beginning with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Box<str>);

/// The id has a byte or a form that ids don't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid container ID format: {0:?}")]
pub struct InvalidContainerId(pub String);

impl ContainerId {
    /// Longest id, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Checks an id.
    ///
    /// # Errors
    /// [`InvalidContainerId`] where it is not of the form above.
    pub fn new(id: &str) -> Result<Self, InvalidContainerId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let well_formed = (1..=Self::MAX_BYTES).contains(&id.len())
            && id.bytes().all(allowed)
            && !matches!(id, "." | "..")
            && !id.starts_with('-');
        if well_formed { Ok(Self(id.into())) } else { Err(InvalidContainerId(id.to_owned())) }
    }
}

impl FromStr for ContainerId {
    type Err = InvalidContainerId;
    fn from_str(id: &str) -> Result<Self, InvalidContainerId> {
        Self::new(id)
    }
}

impl TryFrom<&str> for ContainerId {
    type Error = InvalidContainerId;
    fn try_from(id: &str) -> Result<Self, InvalidContainerId> {
        Self::new(id)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidContainerId;
    fn try_from(id: String) -> Result<Self, InvalidContainerId> {
        Self::new(&id)
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A map by ids is looked up by text.
impl Borrow<str> for ContainerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for ContainerId {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_well_formed_accepted() {
        for id in ["a", "web-1", "A_b+c.d", ".hidden", "1", &"x".repeat(1024)] {
            assert!(ContainerId::new(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn id_ill_formed_refused() {
        for id in ["", ".", "..", "a/b", "../x", "/etc", "-x", "a\nb", "é", "a b", "a\0", &"x".repeat(1025)]
        {
            assert!(ContainerId::new(id).is_err(), "{id:?}");
        }
    }
}
